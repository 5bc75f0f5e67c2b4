"""One cell of a table derived again from the files on disk, by the slowest and plainest way there is.

Nothing of the fast path is used but the reading of files and the hash that orders ties: ItemKNN by cosine ranks the
candidates anew from the vectors, one playlist at a time; for other recommenders, which would have to be trained again,
the ranked lists on disk are taken and the metric is computed anew.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
import polars as pl

from larp_core.config.encoders import SCORE_FILES, fuses_playlists
from larp_core.config.paths import DatasetPaths
from larp_core.config.recipes import Recipe
from larp_core.evaluation.holdouts import Holdouts, hash_order, load_holdouts
from larp_core.evaluation.names import DISPLAY_NAMES, ITEMKNN, ORACLE, RANDOM
from larp_core.evaluation.score_files import WITHOUT_RECOMMENDER
from larp_core.evaluation.vectors import MISSING, load_vectors
from larp_core.report.tables import TABLE_2_ENCODERS
from larp_core.runtime.errors import UserError

SAME = 1e-9
METRICS = ("recall", "ndcg")


@dataclass(frozen=True)
class Cell:
    """A derived value, what it was derived from, and what the files say: file name -> value."""

    value: float
    num_playlists: int
    origin: str
    on_disk: dict[str, float] = field(default_factory=dict)

    @property
    def is_same(self) -> bool:
        return all(abs(value - self.value) <= SAME for value in self.on_disk.values())

    def lines(self) -> list[str]:
        head = f"{self.value:.10f} over {self.num_playlists:,} test playlists, from {self.origin}"
        verdict = {True: "the same", False: "NOT the same"}
        lines = (f"{name}: {v:.10f}, {verdict[abs(v - self.value) <= SAME]}" for name, v in self.on_disk.items())
        return [head, *lines]


def derive_cell(paths: DatasetPaths, recipe: Recipe, encoder: str, recommender: str, metric: str, k: int) -> Cell:
    """One figure, derived again. `encoder` is `metadata` or `hybrid` for the rows whose name is the recommender.

    Raises:
        UserError: no such encoder, recommender, metric or K; an encoder without weights; files that aren't there.
    """
    summary = _summary(paths, encoder, recommender, metric, k)
    holdouts = load_holdouts(paths, "test")
    if recommender == RANDOM:
        values, origin = _random_values(holdouts, metric, k), "the number of targets and candidates"
    elif recommender == ORACLE:
        lists = [targets.tolist() for targets in holdouts.targets]
        values, origin = _values([lists], holdouts, metric, k), "the targets"
    elif _can_rank(recipe, encoder, recommender):
        lists = slow_itemknn(holdouts, *load_vectors(paths.embeddings(encoder)), k)
        values, origin = _values([lists], holdouts, metric, k), f"embeddings/{encoder}.parquet, ranked anew"
    else:
        values = _values(_lists_on_disk(paths, encoder, recommender, holdouts), holdouts, metric, k)
        origin = f"rankings/{encoder}.parquet"
    on_disk = {f"scores/{encoder}.parquet": summary} | _in_tables(paths, encoder, recommender, metric, k)
    return Cell(math.fsum(values) / len(values), len(values), origin, on_disk)


def slow_itemknn(holdouts: Holdouts, track_ids: np.ndarray, vectors: np.ndarray, k: int) -> list[list[int]]:
    """Cosine to the mean of the seeds' vectors, rounded to nine decimals; ties by hash; no vector, no place but the
    last."""
    vector_of = {int(track): vector.astype(np.float64) for track, vector in zip(track_ids, vectors, strict=True)}
    order = [int(track) for track in hash_order(holdouts.candidates)]
    known = [track for track in order if track in vector_of]
    table = np.array([vector_of[track] / (np.linalg.norm(vector_of[track]) or 1.0) for track in known])
    lists = []
    for seeds in holdouts.seeds:
        own = {int(seed) for seed in seeds}
        shown = [vector_of[seed] for seed in sorted(own) if seed in vector_of]
        if not shown:
            lists.append([track for track in order if track not in own][:k])
            continue
        total = np.sum(shown, axis=0)
        scores = np.round(table @ (total / (np.linalg.norm(total) or 1.0)), 9)
        by_score = [known[i] for i in np.argsort(-scores, kind="stable")]
        behind = [track for track in order if track not in vector_of]
        lists.append([track for track in by_score + behind if track not in own][:k])
    return lists


def _can_rank(recipe: Recipe, encoder: str, recommender: str) -> bool:
    config = recipe.evaluation
    is_plain = config.similarity == "cosine" and not fuses_playlists(encoder, config)
    return recommender == ITEMKNN and encoder not in WITHOUT_RECOMMENDER and is_plain


def _values(by_seed: list[list[list[int]]], holdouts: Holdouts, metric: str, k: int) -> list[float]:
    """Each playlist's mean over the seeds of a recommender that chance takes part in."""
    measure = _recall if metric == "recall" else _ndcg
    wanted = [{int(track) for track in targets} for targets in holdouts.targets]
    return [
        math.fsum(measure(lists[i][:k], targets, k) for lists in by_seed) / len(by_seed)
        for i, targets in enumerate(wanted)
    ]


def _recall(tracks: list[int], targets: set[int], k: int) -> float:
    return sum(track in targets for track in tracks) / len(targets)


def _ndcg(tracks: list[int], targets: set[int], k: int) -> float:
    gain = math.fsum(1 / math.log2(place + 1) for place, track in enumerate(tracks, 1) if track in targets)
    return gain / math.fsum(1 / math.log2(place + 1) for place in range(1, min(len(targets), k) + 1))


def _random_values(holdouts: Holdouts, metric: str, k: int) -> list[float]:
    """Each of C candidates stands at each place with the same probability."""
    values = []
    for seeds, targets in zip(holdouts.seeds, holdouts.targets, strict=True):
        candidates, wanted = len(holdouts.candidates) - len(seeds), len(targets)
        shown = min(k, candidates)
        gain = math.fsum(1 / math.log2(place + 1) for place in range(1, shown + 1)) * wanted / candidates
        ideal = math.fsum(1 / math.log2(place + 1) for place in range(1, min(wanted, k) + 1))
        values.append(shown / candidates if metric == "recall" else gain / ideal)
    return values


def _lists_on_disk(paths: DatasetPaths, encoder: str, recommender: str, holdouts: Holdouts) -> list[list[list[int]]]:
    frame = pl.read_parquet(paths.rankings(encoder)).filter(pl.col("recommender") == recommender)
    by_seed = [dict(part.select("playlist_id", "track_ids").iter_rows()) for part in frame.partition_by("seed")]
    return [[lists[playlist_id] for playlist_id in holdouts.playlist_ids.tolist()] for lists in by_seed]


def _summary(paths: DatasetPaths, encoder: str, recommender: str, metric: str, k: int) -> float:
    """The value in the score file."""
    path = paths.scores(encoder)
    if encoder not in SCORE_FILES:
        raise UserError(f"--encoder: unknown '{encoder}'; choose from {', '.join(SCORE_FILES)}")
    if not path.exists():
        raise UserError(f"{path} is not there; run the step scores/{encoder} first")
    if missing := pl.read_parquet_metadata(path).get(MISSING):
        raise UserError(f"{encoder} has no scores: {missing}")
    scores = pl.read_parquet(path)
    for name, value in {"recommender": recommender, "metric": metric, "k": k}.items():
        if value not in set(scores[name]):
            there = ", ".join(map(str, scores[name].unique(maintain_order=True)))
            raise UserError(f"--{name}: {path} has no '{value}'; choose from {there}")
    return float(scores.filter(recommender=recommender, metric=metric, k=k)["value"].item())


def _in_tables(paths: DatasetPaths, encoder: str, recommender: str, metric: str, k: int) -> dict[str, float]:
    """What the tables that have the row show."""
    named = {recommender} if encoder in WITHOUT_RECOMMENDER else {DISPLAY_NAMES[encoder], TABLE_2_ENCODERS.get(encoder)}
    named |= {f"{name} (untrained)" for name in named if name}
    shown = {}
    for table in ("table_2", "table_3"):
        path = paths.data_dir / "reports" / f"{table}.parquet"
        if not path.exists():
            continue
        rows = pl.read_parquet(path).filter(pl.col("row").is_in([name for name in named if name]), metric=metric, k=k)
        rows = rows.filter(dataset=paths.dataset)
        if encoder not in WITHOUT_RECOMMENDER:
            rows = rows.filter(recommender=recommender)
        if rows.height:
            shown[f"reports/{table}.parquet"] = float(rows["value"][0])
    return shown
