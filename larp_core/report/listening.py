"""The listening page: a few test playlists and how ItemKNN continues them, with the clips to be heard.

Which playlists are shown is drawn by a hash, never chosen by how well they do. How the page looks is said by
`templates/listening.html.j2`.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import numpy as np
import polars as pl

from larp_core.audio.acquire.ledger import OK
from larp_core.audio.clips.report import first_good
from larp_core.config.paths import DatasetPaths
from larp_core.config.settings import Settings
from larp_core.evaluation.holdouts import load_holdouts
from larp_core.evaluation.metrics import evaluate_ranking, random_values
from larp_core.evaluation.names import DISPLAY_NAMES, ITEMKNN, dataset_title
from larp_core.evaluation.ranking import NO_TRACK
from larp_core.evaluation.recommenders.itemknn import rank
from larp_core.evaluation.vectors import load_vectors
from larp_core.report.html_page import render_page
from larp_core.runtime.files import write_text
from larp_core.runtime.hashing import hash_ids
from larp_core.runtime.report import Report

ENCODER = "larp_tpc"
NUM_PLAYLISTS = 6
MAX_SEEDS = 8
K = 10


@dataclass(frozen=True)
class ShownTrack:
    """One track of a list.

    Attributes:
        title: the track's uri where the dataset names none.
        link: the clip's file as seen from the page, percent-encoded; None where there is no audio.
        remark: why there is no audio, or what to be wary of in the clip; mostly empty.
        is_hit: the recommender found a target.
    """

    title: str
    artist: str | None
    link: str | None
    remark: str
    is_hit: bool


@dataclass(frozen=True)
class Continuation:
    """One test playlist: what the recommender was shown and what it answered, best first.

    Attributes:
        name: None where it has none; `source_id` is what the raw files call it.
        num_seeds: all of them; `seeds` may be fewer.
        is_arbitrary: no seed has a vector, so that the order of the answer means nothing.
    """

    name: str | None
    source_id: str
    num_seeds: int
    seeds: list[ShownTrack]
    answer: list[ShownTrack]
    num_targets: int
    recall: float
    is_arbitrary: bool

    @property
    def num_hits(self) -> int:
        return sum(track.is_hit for track in self.answer)


@dataclass(frozen=True)
class Listening:
    """All that the page shows; `mean_recall` and `random_recall` are over all `num_test_playlists`, at `k`."""

    title: str
    recipe_name: str
    recipe_summary: str
    recommender: str
    k: int
    draw_seed: int
    num_test_playlists: int
    num_candidates: int
    mean_recall: float
    random_recall: float
    continuations: list[Continuation]


def build_listening_page(settings: Settings, dataset: str) -> Report:
    """Writes `reports/listen_<dataset>.html`: playlists, continuations and players of their clips.

    Raises:
        UserError: no test playlist has a target.
        ValueError: vectors that are not finite or not of one length.
    """
    page = settings.shared.listening_page(dataset)
    listening = read_listening(settings, dataset, page.parent)
    write_text(render_page("listening.html.j2", title=f"Listen: {listening.title}", page=listening), page)
    tracks = [track for shown in listening.continuations for track in (*shown.seeds, *shown.answer)]
    num_players = sum(track.link is not None for track in tracks)
    facts = {
        "page": str(page),
        "how to listen": "Open the page in a browser, from disk: its players need no server and no network.",
        "num_players": num_players,
        "num_tracks_without_audio": len(tracks) - num_players,
        "num_hits": sum(shown.num_hits for shown in listening.continuations),
    }
    rows = [
        {
            "playlist": shown.name or f"(no name) {shown.source_id}",
            "seeds": shown.num_seeds,
            "targets": shown.num_targets,
            "hits": shown.num_hits,
            f"R@{K}": shown.recall,
        }
        for shown in listening.continuations
    ]
    return Report(len(rows), facts=facts, tables={"Playlists on the page": rows})


def read_listening(settings: Settings, dataset: str, folder: Path) -> Listening:
    """Ranks all test playlists as the scores do, and looks up names and clips for the drawn ones; errors as above.

    `folder` is where the page will lie, from which the clips are linked.
    """
    paths, seed = settings.paths(dataset), settings.recipe.evaluation.seed
    holdouts = load_holdouts(paths, "test")
    track_ids, vectors = load_vectors(paths.embeddings(ENCODER))
    ranked = rank(holdouts, track_ids, vectors, K)
    recall = evaluate_ranking(ranked, holdouts.targets, (K,))["recall"][:, 0]
    chance = random_values(holdouts.num_targets, holdouts.num_candidates, (K,))["recall"]
    rows = _draw(holdouts.playlist_ids, NUM_PLAYLISTS, seed, "playlists to listen to")
    seeds = [holdouts.seeds[row][_draw(holdouts.seeds[row], MAX_SEEDS, seed, "seeds to listen to")] for row in rows]
    answers = [ranked[row][ranked[row] != NO_TRACK] for row in rows]
    shown = _track_maker(paths, np.concatenate([*seeds, *answers]), folder)
    names = pl.read_parquet(paths.playlists, columns=["playlist_id", "source_id", "name"])
    drawn = names.filter(pl.col("playlist_id").is_in(holdouts.playlist_ids[rows].tolist()))
    named = drawn.rows_by_key("playlist_id", unique=True)

    def continuation(row: int, some_seeds: np.ndarray, answer: np.ndarray) -> Continuation:
        source_id, name = named[int(holdouts.playlist_ids[row])]
        return Continuation(
            name=_text(name),
            source_id=source_id,
            num_seeds=len(holdouts.seeds[row]),
            seeds=[shown(track_id, False) for track_id in some_seeds.tolist()],
            answer=[shown(track_id, track_id in holdouts.targets[row]) for track_id in answer.tolist()],
            num_targets=len(holdouts.targets[row]),
            recall=float(recall[row]),
            is_arbitrary=not np.isin(holdouts.seeds[row], track_ids).any(),
        )

    return Listening(
        title=dataset_title(settings, dataset),
        recipe_name=settings.recipe.name,
        recipe_summary=settings.recipe.summary,
        recommender=f"{ITEMKNN} on {DISPLAY_NAMES[ENCODER]}",
        k=K,
        draw_seed=seed,
        num_test_playlists=len(holdouts.playlist_ids),
        num_candidates=len(holdouts.candidates),
        mean_recall=float(recall.mean()),
        random_recall=float(chance.mean()),
        continuations=[continuation(*parts) for parts in zip(rows.tolist(), seeds, answers, strict=True)],
    )


def _draw(ids: np.ndarray, num: int, seed: int, purpose: str) -> np.ndarray:
    """Indices of at most `num` of `ids`, in the order of a hash of each id and the seed; int64."""
    return np.lexsort((ids, hash_ids(map(str, ids.tolist()), seed, purpose)))[:num]


def _track_maker(paths: DatasetPaths, track_ids: np.ndarray, folder: Path) -> Callable[[int, bool], ShownTrack]:
    """`shown(track_id, is_hit)` for any of `track_ids`: names from the metadata, sound from clips and ledger."""
    wanted = pl.DataFrame({"track_id": np.unique(track_ids)}, schema={"track_id": pl.Int32})
    sound = ["track_id", "status", "detail"]
    ledger = pl.read_parquet(paths.ledger, columns=sound)
    clips = first_good(pl.read_parquet(paths.clips, columns=[*sound, "path"]))
    names = pl.read_parquet(paths.metadata, columns=["track_id", "track_uri", "track_name", "artist_name"])
    known = wanted.join(names, on="track_id", how="left").join(ledger, on="track_id", how="left")
    rows = known.join(clips, on="track_id", how="left", suffix="_of_clip").rows_by_key(
        "track_id", named=True, unique=True
    )

    def shown(track_id: int, is_hit: bool) -> ShownTrack:
        row = rows[track_id]
        # The ledger knows why nothing was got, and the clip's row why what was got could not be cut.
        source = "_of_clip" if row["status_of_clip"] else ""
        status, detail = row[f"status{source}"] or "not in the ledger", row[f"detail{source}"]
        link = quote(Path(os.path.relpath(paths.root / row["path"], folder)).as_posix()) if row["path"] else None
        remark = detail if status == OK else ": ".join(filter(None, (status, detail)))
        title = _text(row["track_name"]) or row["track_uri"]
        return ShownTrack(title, _text(row["artist_name"]), link, remark, is_hit)

    return shown


def _text(name: str | None) -> str | None:
    """A name that can be seen, or None."""
    return (name or "").strip() or None
