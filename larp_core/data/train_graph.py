"""The train graph as compressed sparse rows: positive pairs and neighbour sets are drawn from it on the fly.

Letters of shapes: B batch, C candidates, K neighbours, T tracks, P playlists, E edges. Tracks and playlists are dense
indices (0..T-1, 0..P-1) into `track_ids` and `playlist_ids`; -1 stands for none.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
Index = npt.NDArray[np.integer]

BITS = 64
SHUFFLE_ROUNDS = 10


@dataclass(frozen=True)
class TrainGraph:
    """The bipartite graph R of one split, from both sides.

    Attributes:
        track_ids [T], playlist_ids [P]: int32, sorted; the dataset's ids by dense index.
        playlist_indptr [P + 1], playlist_tracks [E]: each playlist's tracks, ascending.
        track_indptr [T + 1], track_playlists [E]: each track's playlists, those of two tracks or more first.
        track_slots [E]: where the same edge stands in `playlist_tracks`.
        num_pairable [T]: how many of a track's playlists have another track in them.
    """

    track_ids: npt.NDArray[np.int32]
    playlist_ids: npt.NDArray[np.int32]
    playlist_indptr: Ints
    playlist_tracks: npt.NDArray[np.int32]
    track_indptr: Ints
    track_playlists: npt.NDArray[np.int32]
    track_slots: Ints
    num_pairable: Ints

    @property
    def num_tracks(self) -> int:
        return len(self.track_ids)

    @property
    def num_playlists(self) -> int:
        return len(self.playlist_ids)

    @property
    def num_edges(self) -> int:
        return len(self.playlist_tracks)

    @property
    def anchors(self) -> Ints:
        """The tracks that have a partner: those that share a playlist with another track."""
        return np.flatnonzero(self.num_pairable)

    def dense_tracks(self, track_ids: Index) -> Ints:
        """Dense indices of the dataset's track ids, -1 for those that are not in this graph."""
        places = np.searchsorted(self.track_ids, track_ids).clip(max=max(self.num_tracks - 1, 0))
        if self.num_tracks == 0:
            return np.full(len(track_ids), -1)
        return np.where(self.track_ids[places] == track_ids, places, -1).astype(np.int64)

    def tracks_of(self, playlist: int) -> npt.NDArray[np.int32]:
        """The tracks of one playlist, ascending, as a view."""
        return self.playlist_tracks[self.playlist_indptr[playlist] : self.playlist_indptr[playlist + 1]]

    def playlists_of(self, track: int) -> npt.NDArray[np.int32]:
        """The playlists of one track, as a view."""
        return self.track_playlists[self.track_indptr[track] : self.track_indptr[track + 1]]

    def draw_partners(self, rng: np.random.Generator, anchors: Index) -> tuple[Ints, Ints]:
        """For each anchor [B] a random playlist of it and a random other track in that: partners [B], playlists [B].

        Playlists of one track are passed over; an anchor with no other playlist gets -1 and -1. These are TTC's
        positive pairs, edges of the paper's track graph O.
        """
        possible = self.num_pairable[anchors]
        edge = self.track_indptr[anchors] + rng.integers(0, np.maximum(possible, 1))
        edge = np.where(possible > 0, edge, 0)
        playlists = self.track_playlists[edge].astype(np.int64)
        start = self.playlist_indptr[playlists]
        sizes = self.playlist_indptr[playlists + 1] - start
        own = self.track_slots[edge] - start
        other = rng.integers(0, np.maximum(sizes - 1, 1))
        slot = start + other + (other >= own)
        partners = self.playlist_tracks[np.where(possible > 0, slot, 0)].astype(np.int64)
        return np.where(possible > 0, partners, -1), np.where(possible > 0, playlists, -1)

    def draw_neighbours(self, rng: np.random.Generator, playlists: Index, exclude: Index, num_neighbours: int) -> Ints:
        """Tracks that stand for each playlist [B], without repetition and without `exclude` [B]: [B, K], padded by -1.

        A playlist with K other tracks or fewer gives all of them. The set is uniform, its order is not (Floyd's
        sampling, Bentley & Floyd, CACM 30(9), 1987).
        """
        start = self.playlist_indptr[playlists]
        own = self._slots(playlists, exclude) - start
        sizes = self.playlist_indptr[playlists + 1] - start - (own >= 0)
        chosen = np.full((len(playlists), num_neighbours), -1, dtype=np.int64)
        for step in range(num_neighbours):
            last = sizes - num_neighbours + step
            drawn = rng.integers(0, np.maximum(last, 0) + 1)
            taken = (chosen[:, :step] == drawn[:, None]).any(axis=1)
            chosen[:, step] = np.where(last < 0, -1, np.where(taken, last, drawn))
        chosen = chosen[:, ::-1]  # the padding of short playlists came first
        slots = start[:, None] + chosen + ((own >= 0)[:, None] & (chosen >= own[:, None]))
        return np.where(chosen >= 0, self.playlist_tracks[np.where(chosen >= 0, slots, 0)], -1)

    def co_occurs(self, rows: Index, candidates: Index) -> Bools:
        """Whether two tracks share a playlist, tracks [B] against tracks [C]: [B, C]. A track co-occurs with itself.

        Each row is one bit of a table over all tracks, set for the tracks of its playlists, then looked up: the cost
        grows with what the rows' playlists hold. Memory is T * B / 8 bytes. Rows and candidates of -1 are False.
        """
        marks = np.zeros((self.num_tracks, -(-len(rows) // BITS)), dtype=np.uint64)
        for bit, row in enumerate(np.asarray(rows)):
            playlists = self.playlists_of(row) if row >= 0 else self.track_playlists[:0]
            starts, ends = self.playlist_indptr[playlists], self.playlist_indptr[playlists + 1]
            _set_bit(marks, self.playlist_tracks[_ranges(starts, ends)], bit)
        return _look_up(marks, candidates, len(rows))

    def contains(self, playlists: Index, tracks: Index) -> Bools:
        """Whether a playlist holds a track, playlists [B] against tracks [C]: [B, C]; -1 on either side is False."""
        marks = np.zeros((self.num_tracks, -(-len(playlists) // BITS)), dtype=np.uint64)
        for bit, playlist in enumerate(np.asarray(playlists)):
            _set_bit(marks, self.tracks_of(playlist) if playlist >= 0 else self.playlist_tracks[:0], bit)
        return _look_up(marks, tracks, len(playlists))

    def shuffled(self, rng: np.random.Generator) -> TrainGraph:
        """A graph with the same degrees and random edges: the control that says what co-occurrence is worth.

        Rounds of random pairs of edges that trade their tracks where no double edge arises (the swap chain of the
        configuration model), so every track and playlist keeps its degree exactly.
        """
        playlists = np.repeat(np.arange(self.num_playlists), np.diff(self.playlist_indptr))
        tracks = self.playlist_tracks.astype(np.int64)
        for _ in range(SHUFFLE_ROUNDS):
            tracks = _swap_once(rng, playlists, tracks, self.num_tracks)
        return make_train_graph(self.playlist_ids[playlists], self.track_ids[tracks])

    def _slots(self, playlists: Index, tracks: Index) -> Ints:
        """Where the edge of playlist [B] and track [B] stands in `playlist_tracks`, -1 if nowhere: binary search."""
        low, end = self.playlist_indptr[playlists], self.playlist_indptr[playlists + 1]
        high = end
        while (open_ := low < high).any():
            middle = (low + high) // 2
            below = self.playlist_tracks[np.where(open_, middle, 0)] < tracks
            low, high = np.where(open_ & below, middle + 1, low), np.where(open_ & ~below, middle, high)
        found = (low < end) & (self.playlist_tracks[np.where(low < end, low, 0)] == tracks)
        return np.where(found, low, -1)


def load_train_graph(graph_path: Path, split: str = "train") -> TrainGraph:
    """The graph of one split out of graph.duckdb, opened read-only, handed over as Arrow columns."""
    query = "SELECT playlist_id, track_id FROM interactions WHERE split = $split"
    with duckdb.connect(str(graph_path), read_only=True) as connection:
        edges: Any = connection.sql(query, params={"split": split}).to_arrow_table()
    return make_train_graph(edges["playlist_id"].to_numpy(), edges["track_id"].to_numpy())


def make_train_graph(playlist_ids: npt.NDArray[np.int32], track_ids: npt.NDArray[np.int32]) -> TrainGraph:
    """The graph of edges given as two columns [E] of the dataset's ids (small, not negative), no edge twice."""
    known_playlists, playlists = _dense(playlist_ids)
    known_tracks, tracks = _dense(track_ids)
    num_edges, num_tracks = len(tracks), max(len(known_tracks), 1)
    # Sorting one column of combined keys is several times faster than sorting by two columns.
    playlists, tracks = np.divmod(np.sort(playlists * num_tracks + tracks), num_tracks)
    playlist_indptr = _indptr(playlists, len(known_playlists))
    is_single = np.diff(playlist_indptr)[playlists] < 2
    slots = np.sort((2 * tracks + is_single) * num_edges + np.arange(num_edges)) % max(num_edges, 1)
    return TrainGraph(
        track_ids=known_tracks,
        playlist_ids=known_playlists,
        playlist_indptr=playlist_indptr,
        playlist_tracks=tracks.astype(np.int32),
        track_indptr=_indptr(tracks, len(known_tracks)),
        track_playlists=playlists[slots].astype(np.int32),
        track_slots=slots,
        num_pairable=np.bincount(tracks[~is_single], minlength=len(known_tracks)).astype(np.int64),
    )


def _dense(ids: npt.NDArray[np.int32]) -> tuple[npt.NDArray[np.int32], Ints]:
    """The different ids, sorted, and where each one stands among them."""
    present = np.bincount(ids) > 0
    return np.flatnonzero(present).astype(np.int32), (np.cumsum(present) - 1)[ids]


def _indptr(rows: Ints, num_rows: int) -> Ints:
    return np.concatenate(([0], np.cumsum(np.bincount(rows, minlength=num_rows)))).astype(np.int64)


def _ranges(starts: Ints, ends: Ints) -> Ints:
    """The numbers of all ranges [start, end), one range after the other."""
    lengths = ends - starts
    return np.repeat(starts - (np.cumsum(lengths) - lengths), lengths) + np.arange(lengths.sum())


def _set_bit(marks: npt.NDArray[np.uint64], tracks: npt.NDArray[np.int32], bit: int) -> None:
    marks[tracks, bit // BITS] |= np.uint64(1) << np.uint64(bit % BITS)


def _look_up(marks: npt.NDArray[np.uint64], candidates: Index, num_rows: int) -> Bools:
    """The bits [T, W] of candidate tracks [C] as booleans [B, C]; False for a candidate of -1."""
    candidates = np.asarray(candidates, dtype=np.int64)
    words = np.where((candidates >= 0)[:, None], marks[np.maximum(candidates, 0)], np.uint64(0)).astype("<u8")
    octets = np.ascontiguousarray(words.view(np.uint8).T)
    return np.unpackbits(octets, axis=0, count=num_rows, bitorder="little").view(np.bool_)


def _swap_once(rng: np.random.Generator, playlists: Ints, tracks: Ints, num_tracks: int) -> Ints:
    """Every edge is paired with a random other one; the two trade tracks unless an edge would be there twice."""
    order = rng.permutation(len(tracks))
    half = len(order) // 2
    first, second = order[:half], order[half : 2 * half]
    old = np.sort(playlists * num_tracks + tracks)
    new = np.stack([playlists[first] * num_tracks + tracks[second], playlists[second] * num_tracks + tracks[first]])
    together = np.sort(new, axis=None)
    twice = together[1:][together[1:] == together[:-1]]
    fine = ~(_is_in(new, old) | _is_in(new, twice)).any(axis=0)
    swapped = tracks.copy()
    swapped[first[fine]], swapped[second[fine]] = tracks[second[fine]], tracks[first[fine]]
    return swapped


def _is_in(values: Ints, sorted_values: Ints) -> Bools:
    if not len(sorted_values):
        return np.zeros(values.shape, dtype=np.bool_)
    places = np.searchsorted(sorted_values, values).clip(max=len(sorted_values) - 1)
    return sorted_values[places] == values
