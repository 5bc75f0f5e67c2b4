"""Do names and learned vectors together beat names alone on real playlists? Captions only, no audio.

    python benchmarks/real_playlists.py /where/you/keep/mpd                     five splits, some five minutes each
    python benchmarks/real_playlists.py /where/you/keep/mpd --seeds 6 201 202   other splits

Each split runs the graph's own steps with the recipe `small_real`. Hybrid, metadata row, LARP's stage and the way its
seeds are pooled are chosen on that split's validation playlists; its test playlists are scored once. The first seed is
the recipe's own: settings were tuned without its test playlists. In the others these take part in training and
validation, and a playlist that several splits hold out counts once, with the mean of its values. Prints
`figure: measured (required bound)` and exits 1 where the aim is missed: the hybrid above the metadata row at Recall@40
with its whole 95% interval, and not below it at Recall@10. Differences to every other metadata row are printed too:
with few validation playlists the row that they choose need not be the one that test finds strongest.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections import defaultdict
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl

from larp_core.config.paths import DatasetPaths
from larp_core.config.recipes import SMALL_REAL
from larp_core.config.settings import Settings
from larp_core.evaluation.artist_affinity import CHOICE_K
from larp_core.evaluation.bootstrap import bootstrap_intervals, paired_difference
from larp_core.evaluation.holdouts import Holdouts, load_holdouts
from larp_core.evaluation.hybrid import best_on
from larp_core.evaluation.metadata_rows import random_frame
from larp_core.evaluation.metrics import evaluate_ranking
from larp_core.evaluation.names import HYBRID_ALONE, HYBRID_ENCODERS, METADATA_ROWS
from larp_core.evaluation.ranking import rank_by
from larp_core.evaluation.rankings import Rankings, load_rankings
from larp_core.evaluation.recommenders.itemknn import rank
from larp_core.evaluation.recommenders.nearest_seed import nearest_seed_score, unit_vectors
from larp_core.evaluation.vectors import load_vectors
from larp_core.graph import memo
from larp_core.graph.registry import job_named

KS = (10, 40)
INGEST = ("source", "playlists", "cold_start_split", "metadata", "captions")
NO_SOUND = ("mp3", "clips", "mels", "interaction_graph")
TRAINING = ("larp_wtc", *HYBRID_ENCODERS)
SCORES = (*(f"embeddings/{encoder}" for encoder in HYBRID_ENCODERS), "scores/metadata", "scores/hybrid")
BEST_HYBRID, BEST_METADATA, PURE = "best hybrid", "best metadata row", "LARP alone"
Values = dict[str, dict[int, np.ndarray]]
"""Row -> K -> Recall@K of each test playlist, in the order of the split's ids."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("mpd", type=Path, help="the folder of mpd.slice.*.json")
    parser.add_argument("--seeds", type=int, nargs="+", default=[SMALL_REAL.split.seed, 101, 102, 103, 104])
    parser.add_argument("--data-dir", type=Path, help="keep the splits here; a temporary folder by default")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.data_dir or Path(temporary)
        splits = [measure_split(options.mpd, folder / str(seed), seed) for seed in options.seeds]
    failed = print_split(f"split {options.seeds[0]}", splits[0])
    if len(splits) > 1:
        failed |= print_split(f"{len(splits)} splits", pooled(splits))
    return int(failed)


def measure_split(mpd: Path, folder: Path, seed: int) -> tuple[list[str], Values]:
    """The test playlists' own ids, and every row's values."""
    recipe = replace(SMALL_REAL, split=replace(SMALL_REAL.split, seed=seed))
    settings = Settings(folder.resolve(), recipe, ("mpd",), mpd_dir=mpd.resolve())
    for name in (*INGEST, *NO_SOUND, *TRAINING, *SCORES):
        done = memo.run(job_named(name, settings, "mpd"))
    paths = settings.paths("mpd")
    valid, test = load_holdouts(paths, "valid"), load_holdouts(paths, "test")
    rows: Rankings = load_rankings(paths.rankings("metadata"), test) | load_rankings(paths.rankings("hybrid"), test)
    rows[BEST_HYBRID] = rows[done.report.facts["best_hybrid_on_validation"]]
    rows[BEST_METADATA] = rows[done.report.facts["best_metadata_row_on_validation"]]
    pure = best_on(pure_lists(paths, valid), valid)
    rows[PURE] = pure_lists(paths, test)[pure]
    values = {row: {k: recall(lists[0], test, k) for k in KS} for row, lists in rows.items()}
    chance = random_frame(test, KS)
    values["random"] = {k: chance.filter(metric="recall", k=k)["value"].to_numpy() for k in KS}
    chosen = {key: value for key, value in done.report.facts.items() if key.startswith("best_")}
    print(
        f"seed {seed}: {len(valid.seeds)} validation, {len(test.seeds)} test playlists, {len(test.candidates)}", end=" "
    )
    print(f"candidates; chosen on validation: {chosen}, {pure}", flush=True)
    for line in done.report.tables["Weights of the standardised parts"]:
        print("   ", {name: round(v, 3) if isinstance(v, float) else v for name, v in line.items()}, flush=True)
    return source_ids(paths, test), values


def pure_lists(paths: DatasetPaths, holdouts: Holdouts) -> Rankings:
    """LARP's own lists: every stage, by the mean of the seeds and by the nearest."""
    lists, candidates = {}, holdouts.in_hash_order
    for encoder in HYBRID_ENCODERS:
        track_ids, vectors = load_vectors(paths.embeddings(encoder))
        nearest = nearest_seed_score(*unit_vectors(track_ids, vectors, candidates))
        lists[f"{encoder}, mean of seeds"] = rank(holdouts, track_ids, vectors, CHOICE_K)[None]
        lists[f"{encoder}, nearest seed"] = rank_by(holdouts, candidates, nearest, CHOICE_K)[None]
    return lists


def recall(ranked: np.ndarray, holdouts: Holdouts, k: int) -> np.ndarray:
    return evaluate_ranking(ranked, holdouts.targets, [k])["recall"][:, 0]


def source_ids(paths: DatasetPaths, holdouts: Holdouts) -> list[str]:
    """The dataset's own ids, which are the same in every split."""
    ids = pl.DataFrame({"playlist_id": holdouts.playlist_ids})
    return ids.join(pl.read_parquet(paths.playlists), on="playlist_id", maintain_order="left")["source_id"].to_list()


def pooled(splits: list[tuple[list[str], Values]]) -> tuple[list[str], Values]:
    """Each playlist once, with the mean of its values over the splits that hold it out."""
    found: dict[str, dict[int, dict[str, list[float]]]] = defaultdict(lambda: defaultdict(lambda: defaultdict(list)))
    for ids, values in splits:
        for row, by_k in values.items():
            for k, column in by_k.items():
                for playlist, value in zip(ids, column.tolist(), strict=True):
                    found[row][k][playlist].append(value)
    ids = sorted({playlist for ids, _ in splits for playlist in ids})
    return ids, {
        row: {k: np.array([np.mean(by_playlist[p]) for p in ids]) for k, by_playlist in by_k.items()}
        for row, by_k in found.items()
    }


def print_split(name: str, split: tuple[list[str], Values]) -> bool:
    """Prints the rows and the claims; returns whether the aim is missed."""
    ids, values = split
    rows = [row for row in METADATA_ROWS if row in values]
    rows += [HYBRID_ALONE, *sorted(row for row in values if row.startswith("hybrid") and row != HYBRID_ALONE)]
    print(f"\n{name}: {len(ids)} test playlists")
    for row in [*rows, PURE, BEST_METADATA, BEST_HYBRID]:
        intervals = bootstrap_intervals(np.stack([values[row][k] for k in KS], axis=1))
        cells = (f"R@{k} {i.mean:.4f} [{i.low:.4f}, {i.high:.4f}]" for k, i in zip(KS, intervals, strict=True))
        print(f"{row:36}" + "  ".join(cells))
    missed = False
    rivals = [BEST_METADATA, HYBRID_ALONE, *(row for row in METADATA_ROWS if row in values and row != "random")]
    for better, worse in (*((BEST_HYBRID, rival) for rival in rivals), (PURE, BEST_METADATA)):
        for k in KS:
            found = paired_difference(values[better][k], values[worse][k])
            bound, holds = "reported, no bound", True
            if (better, worse) == (BEST_HYBRID, BEST_METADATA):
                bound, holds = ("interval above 0", found.low > 0) if k == max(KS) else (">= 0", found.mean >= 0)
            missed |= not holds
            figure = f"{found.mean:+.4f} [{found.low:+.4f}, {found.high:+.4f}]"
            print(f"{name}, Recall@{k}, {better} over {worse}: {figure} ({bound})", flush=True)
    return missed


if __name__ == "__main__":
    sys.exit(main())
