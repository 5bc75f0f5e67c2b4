"""Every loss against a naive loop that reads like the paper's appendix A."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from loss_batches import make_batch, make_features, mean_of, naive_cross_entropy

from larp_core.losses.clap import clap_contrast
from larp_core.losses.encoded import EncodedBatch, Features
from larp_core.losses.tpc import track_playlist_contrast
from larp_core.losses.ttc import track_track_contrast
from larp_core.losses.wtc import within_track_contrast

CASES = [
    dict(seed=1),
    dict(seed=2, queue_positives="masked"),
    dict(seed=3, missing=0.3),
    dict(seed=4, missing=0.5, queue_positives="masked"),
    dict(seed=5, missing=0.7),
    dict(seed=6, mask_false_negatives=True),
    dict(seed=7, mask_false_negatives=True, missing=0.3),
    dict(seed=8, prunes=True),
    dict(seed=9, prunes=True, queue_positives="masked", missing=0.3),
]


def rows(features: Features) -> list[dict[str, np.ndarray | None]]:
    """Each track's vectors, None where it lacks the modality."""
    audio, text = features.audio.detach().numpy(), features.text.detach().numpy()
    return [
        {"audio": audio[n] if features.has_audio[n] else None, "text": text[n] if features.has_text[n] else None}
        for n in range(len(audio))
    ]


def either(track: dict[str, np.ndarray | None], wanted: str) -> np.ndarray | None:
    other = {"audio": "text", "text": "audio"}[wanted]
    return track[wanted] if track[wanted] is not None else track[other]


def queue_rows(batch: EncodedBatch) -> list[tuple[int, dict[str, np.ndarray | None]]]:
    return [(int(t), row) for t, row in zip(batch.queue.tracks, rows(batch.queue_features), strict=True) if int(t) >= 0]


def queue_columns(
    queue: list[tuple[int, dict[str, np.ndarray | None]]], wanted: str, masked: Callable[[int], bool]
) -> list[tuple[np.ndarray, bool]]:
    """Queued vectors, none of them a positive, without those of masked tracks."""
    return [(key, False) for t, row in queue if (key := either(row, wanted)) is not None and not masked(t)]


def masks(case: dict) -> bool:
    """Whether queued positives are left out, by either switch."""
    return case.get("queue_positives") == "masked" or case.get("mask_false_negatives", False)


@pytest.mark.parametrize("case", CASES)
def test_wtc_equals_the_naive_loop(case: dict) -> None:
    batch, membership = make_batch(**case)
    tracks, here, queue = batch.tracks.tolist(), rows(batch.online), queue_rows(batch)
    directions = []

    def left_out(a: int, b: int) -> bool:
        return a != b and case.get("mask_false_negatives", False) and (membership[:, a] & membership[:, b]).any()

    for query_side, key_side in (("audio", "text"), ("text", "audio")):
        losses = []
        for n, track in enumerate(here):
            if track["audio"] is None or track["text"] is None:
                continue
            columns = [
                (o[key_side], tracks[n] == tracks[m])
                for m, o in enumerate(here)
                if o[key_side] is not None and not left_out(tracks[n], tracks[m])
            ]
            columns += [
                (o[key_side], False)
                for t, o in queue
                if o[key_side] is not None and t != tracks[n] and not left_out(tracks[n], t)
            ]
            losses.append(naive_cross_entropy(track[query_side], columns))
        directions.append(mean_of(losses))
    assert within_track_contrast(batch).item() == pytest.approx(sum(directions) / 2, abs=1e-5)


@pytest.mark.parametrize("case", CASES)
def test_ttc_equals_the_naive_loop(case: dict) -> None:
    batch, membership = make_batch(**case)
    masked = masks(case)
    tracks, here, queue, size = batch.tracks.tolist(), rows(batch.online), queue_rows(batch), batch.num_pairs

    def together(a: int, b: int) -> bool:
        return bool((membership[:, a] & membership[:, b]).any())

    def direction(from_partners: bool, query_side: str, key_side: str) -> float:
        queries = range(size, 2 * size) if from_partners else range(size)
        columns_of = range(size) if from_partners else range(size, 2 * size)
        losses = []
        for n in queries:
            query = either(here[n], query_side)
            if query is None:
                continue
            columns = []
            for m in columns_of:
                key = either(here[m], key_side)
                pruned = case.get("prunes", False) and (tracks[n] + tracks[m]) % 2 == 1
                if key is not None and not (pruned and together(tracks[n], tracks[m])):
                    columns.append((key, together(tracks[n], tracks[m])))
            columns += queue_columns(queue, key_side, lambda t, n=n: masked and together(tracks[n], t))
            losses.append(naive_cross_entropy(query, columns))
        return mean_of(losses)

    a_i_t_j = (direction(False, "audio", "text") + direction(True, "text", "audio")) / 2
    t_i_a_j = (direction(False, "text", "audio") + direction(True, "audio", "text")) / 2
    assert track_track_contrast(batch).item() == pytest.approx((a_i_t_j + t_i_a_j) / 2, abs=1e-5)


@pytest.mark.parametrize("case", CASES)
def test_tpc_equals_the_naive_loop(case: dict) -> None:
    batch, membership = make_batch(**case)
    masked = masks(case)
    size = batch.num_pairs
    playlist = make_features(np.random.default_rng(99), size, 6, missing=case.get("missing", 0.0))
    tracks, here, queue = batch.tracks.tolist(), rows(batch.online)[:size], queue_rows(batch)
    lists, fused = batch.playlists.tolist(), rows(playlist)

    def together(a: int, b: int) -> bool:
        return bool((membership[:, a] & membership[:, b]).any())

    def holds(p: int, n: int) -> bool:
        return bool(membership[lists[p], tracks[n]])

    def left_out(p: int, t: int) -> bool:
        known = case.get("mask_false_negatives", False) and together(tracks[p], t)
        return known and not membership[lists[p], t]

    def from_playlist(query_side: str, key_side: str) -> float:
        losses = []
        for p in range(size):
            columns = [
                (k, holds(p, n))
                for n in range(size)
                if (k := either(here[n], key_side)) is not None and not left_out(p, tracks[n])
            ]
            columns += queue_columns(
                queue, key_side, lambda t, p=p: (masked and membership[lists[p], t]) or left_out(p, t)
            )
            if (query := fused[p][query_side]) is not None:
                losses.append(naive_cross_entropy(query, columns))
        return mean_of(losses)

    def from_track(query_side: str, key_side: str) -> float:
        losses = []
        for n in range(size):
            if (query := either(here[n], query_side)) is None:
                continue
            columns = [(k, holds(p, n)) for p in range(size) if (k := fused[p][key_side]) is not None]
            columns += queue_columns(queue, key_side, lambda t, n=n: masked and together(tracks[n], t))
            losses.append(naive_cross_entropy(query, columns))
        return mean_of(losses)

    expected = (
        from_playlist("audio", "text") + from_track("text", "audio") + from_playlist("text", "audio")
    ) / 4 + from_track("audio", "text") / 4
    assert track_playlist_contrast(batch, playlist).item() == pytest.approx(expected, abs=1e-5)


def test_clap_equals_the_naive_loop() -> None:
    features = make_features(np.random.default_rng(0), 6, 6, missing=0.2)
    tracks = torch.tensor([3, 1, 4, 1, 5, 9])
    both = (features.has_audio & features.has_text).tolist()
    here = [(int(t), row) for t, row, kept in zip(tracks, rows(features), both, strict=True) if kept]
    assert 0 < len(here) < len(tracks)
    directions = [
        mean_of([naive_cross_entropy(row[q], [(o[k], t == u) for u, o in here]) for t, row in here])
        for q, k in (("audio", "text"), ("text", "audio"))
    ]
    assert clap_contrast(features, tracks, 0.2).item() == pytest.approx(sum(directions) / 2, abs=1e-5)
