"""What ranked lists are like beyond hits: artists and albums found, how much of the catalogue is shown, how little
known it is, how alike the tracks of a list are.

Lists are track ids int32 [P, K], best first, distinct in a row, -1 where a list is shorter. Values are float64
[P, len(ks)], NaN where a playlist has none (no target with a known artist, fewer than two vectors): it then takes no
part in the mean.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from larp_core.evaluation.ranking import NO_TRACK, rows_of

UNKNOWN = -1
PLAYLISTS_AT_ONCE = 64
TABLE_CELLS = 1_000_000


@dataclass(frozen=True)
class TrackFacts:
    """What is known of the candidates.

    Attributes:
        track_ids: int32 [N], distinct.
        artists, albums: int64 [N]; equal codes mean the same one, -1 that it is unknown.
        surprise: float64 [N], bits of self-information of the track's artist, see `surprise_of`.
    """

    track_ids: np.ndarray
    artists: np.ndarray
    albums: np.ndarray
    surprise: np.ndarray


def surprise_of(num_playlists_with_artist: np.ndarray, num_train_playlists: int) -> np.ndarray:
    """-log2 of the share of train playlists that hold the artist, one more playlist assumed to hold everyone.

    Self-information as in Zhou et al. 2010 (PNAS 107, "surprisal"); of the artist, since a cold track itself stands in
    no train playlist.
    """
    return np.log2(num_train_playlists + 1) - np.log2(num_playlists_with_artist + 1)


def list_values(
    ranked: np.ndarray, targets: Sequence[np.ndarray], facts: TrackFacts, ks: Sequence[int]
) -> dict[str, np.ndarray]:
    """Three metrics that need the lists and the tracks' metadata.

    `artist_recall`: of the artists of a playlist's targets, the share with a track among the first K of the list.
    `album_recall`: the same of albums. `novelty`: mean surprise of the first K tracks, in bits.
    """
    rows = rows_of(facts.track_ids, ranked.ravel()).reshape(ranked.shape)
    target_rows = rows_of(facts.track_ids, np.concatenate(targets))
    owners = np.repeat(np.arange(len(targets)), [len(t) for t in targets])
    return {
        "artist_recall": _key_recall(_looked_up(facts.artists, rows), owners, facts.artists[target_rows], ks),
        "album_recall": _key_recall(_looked_up(facts.albums, rows), owners, facts.albums[target_rows], ks),
        "novelty": _means(facts.surprise[rows], rows >= 0, ks),
    }


def coverage(ranked: np.ndarray, num_candidates: int, ks: Sequence[int]) -> np.ndarray:
    """Share of the candidates that stand among the first K of at least one list: float64 [len(ks)]."""
    shown = [np.sort(ranked[:, :k], axis=None) for k in ks]
    return np.array([np.count_nonzero(np.diff(tracks, prepend=NO_TRACK)) for tracks in shown]) / num_candidates


def similarity_values(ranked: np.ndarray, track_ids: np.ndarray, vectors: np.ndarray, ks: Sequence[int]) -> np.ndarray:
    """Intra-list similarity: mean cosine over all pairs of different tracks among the first K (Ziegler et al. 2005).

    The published code's "flow" is the mean over all pairs, each track with itself included: (1 + (K - 1) s) / K of this
    s. Tracks without a vector, and zero vectors, take no part. For n unit vectors u the mean over pairs is
    (|sum u|^2 - n) / (n (n - 1)).
    """
    rows = rows_of(track_ids, ranked.ravel()).reshape(ranked.shape)
    values = np.full((len(ranked), len(ks)), np.nan)
    for start in range(0, len(ranked) if len(vectors) else 0, PLAYLISTS_AT_ONCE):
        own = slice(start, start + PLAYLISTS_AT_ONCE)
        taken = vectors.take(rows[own], axis=0)
        sizes = np.sqrt(np.einsum("pkd,pkd->pk", taken, taken))
        counted = (rows[own] >= 0) & (sizes > 0)
        scale = np.divide(1.0, sizes, out=np.zeros_like(sizes), where=counted)
        counts = np.cumsum(counted, axis=1)[:, np.array(ks) - 1]
        pairs = counts * (counts - 1)
        np.divide(_squared_sums(taken, scale, ks) - counts, pairs, out=values[own], where=pairs > 0)
    return values


def _squared_sums(taken: np.ndarray, scale: np.ndarray, ks: Sequence[int]) -> np.ndarray:
    """|sum of the first K unit vectors|^2 of vectors [P, L, D]: float64 [P, len(ks)]."""
    order = np.argsort(ks, kind="stable")
    total = np.zeros((len(taken), taken.shape[2]))
    squares = np.empty((len(taken), len(ks)))
    done = 0
    for column in order:
        part = slice(done, ks[column])
        total += np.matmul(scale[:, None, part], taken[:, part])[:, 0]
        squares[:, column] = np.einsum("pd,pd->p", total, total)
        done = ks[column]
    return squares


def _looked_up(codes: np.ndarray, rows: np.ndarray) -> np.ndarray:
    return np.where(rows >= 0, codes[rows], UNKNOWN)


def _key_recall(listed: np.ndarray, owners: np.ndarray, wanted: np.ndarray, ks: Sequence[int]) -> np.ndarray:
    """Share of each playlist's distinct wanted keys that are listed, each counted where it comes first.

    Args:
        listed: int64 [P, K]; owners, wanted: int64 [T], the targets' playlists (ascending) and keys.
    """
    size = int(max(listed.max(initial=UNKNOWN), wanted.max(initial=UNKNOWN))) + 2
    found = np.zeros(listed.shape)
    num_goals = np.zeros(len(listed))
    step = max(1, TABLE_CELLS // size)
    for start in range(0, len(listed), step):
        own = slice(*np.searchsorted(owners, [start, start + step]))
        part = listed[start : start + step]
        goals = np.zeros((len(part), size), bool)
        goals[owners[own] - start, wanted[own]] = True
        goals[:, UNKNOWN] = False  # the last column stands for unknown keys
        num_goals[start : start + step] = goals.view(np.uint8).sum(axis=1, dtype=np.uint32)  # twice as fast as of bools
        lines, places = np.divmod(np.flatnonzero(np.take_along_axis(goals, part, axis=1)), part.shape[1])
        _, first = np.unique(lines * size + part[lines, places], return_index=True)
        found[start + lines[first], places[first]] = 1.0
    found = np.cumsum(found, axis=1)[:, np.array(ks) - 1]
    return np.divide(found, num_goals[:, None], out=np.full(found.shape, np.nan), where=num_goals[:, None] > 0)


def _means(values: np.ndarray, present: np.ndarray, ks: Sequence[int]) -> np.ndarray:
    """Mean of the present ones among the first K."""
    last = np.array(ks) - 1
    totals = np.cumsum(np.where(present, values, 0.0), axis=1)[:, last]
    counts = np.cumsum(present, axis=1)[:, last]
    return np.divide(totals, counts, out=np.full(totals.shape, np.nan), where=counts > 0)
