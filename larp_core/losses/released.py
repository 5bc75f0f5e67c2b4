"""The three losses as the authors' published code computes them (`models/larp.py`, `train.py`), for `released_code`.

Every target is the diagonal, mixed with the momentum encoder's soft labels; what is in truth a positive elsewhere in
the batch or the queue counts as a negative. Kept apart from that code: the temperature is fixed, empty queue slots take
no part (theirs start as random vectors), and playlists are normalised, without padding and without the track itself.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from larp_core.losses.contrast import Keys, contrast
from larp_core.losses.encoded import EncodedBatch, Features

Columns = tuple[Tensor, Tensor]
"""(vectors [C, D], valid [C])."""


def released_within_track_contrast(batch: EncodedBatch) -> Tensor:
    """The "ego" pass: each clip against its own caption; columns are the batch's momentum features and the queue."""
    online, keys, queue = batch.online, batch.keys, batch.queue_features
    both = online.has_audio & online.has_text
    texts = [(keys.text, keys.has_text), (queue.text, queue.has_text)]
    audios = [(keys.audio, keys.has_audio), (queue.audio, queue.has_audio)]
    audio_to_text = batch.contrast(online.audio, batch.momentum.audio, _diagonal(texts), both)
    text_to_audio = batch.contrast(online.text, batch.momentum.text, _diagonal(audios), both)
    return (audio_to_text + text_to_audio) / 2


def released_track_track_contrast(batch: EncodedBatch) -> Tensor:
    """The "cross" pass: both tracks' clips against each other's captions in one softmax.

    The ego pass has by then queued this batch's own momentum features, in place of the oldest: they are negatives.
    """
    online, keys, momentum = (f.filled() for f in (batch.online, batch.keys, batch.momentum))
    queue = batch.queue_features.filled()
    swapped = torch.arange(2 * batch.num_pairs, device=batch.tracks.device).roll(batch.num_pairs)
    kept = torch.ones_like(queue.has_text)
    kept[batch.queue.next_slots(len(swapped))] = False

    def columns(vectors: Tensor, past: Tensor, queued: Tensor) -> list[Columns]:
        crossed = (vectors[swapped], keys.has_text[swapped])
        return [crossed, (past, momentum.has_text), (queued, queue.has_text & kept)]

    texts = _diagonal(columns(keys.text, momentum.text, queue.text))
    audios = _diagonal(columns(keys.audio, momentum.audio, queue.audio))
    audio_to_text = batch.contrast(online.audio, momentum.audio, texts, online.has_text)
    text_to_audio = batch.contrast(online.text, momentum.text, audios, online.has_text)
    return (audio_to_text + text_to_audio) / 2


def released_track_playlist_contrast(batch: EncodedBatch, playlist: Features) -> Tensor:
    """Tracks against the batch's playlists alone: no queue, no soft labels, nothing asked from the playlists' side.

    The cross pass pairs the anchor's clip and its partner's caption with the anchor's playlist. It averages over the
    2 B rows of that pass, of which the partners' have no target, which halves the loss.
    """
    online = batch.online.filled()
    i, j = batch.anchors, batch.partners
    texts = _diagonal([(playlist.text, playlist.has_text)])
    audios = _diagonal([(playlist.audio, playlist.has_audio)])
    total = online.audio.new_zeros(())
    for queries, asks, keys in (
        (online.audio[i], online.has_audio[i], texts),
        (online.text[j], online.has_text[j], audios),
    ):
        asked = Keys(keys.vectors, keys.positives & asks[:, None], keys.takes_part)
        total = total + contrast(queries, asked, batch.temperature)
    return total / 2 / 2


def _diagonal(columns: list[Columns]) -> Keys:
    """The n-th row's one positive is the n-th column of the first group; columns of nothing take no part."""
    vectors = torch.cat([group for group, _ in columns])
    valid = torch.cat([group_valid for _, group_valid in columns])
    rows = len(columns[0][0])
    positives = F.pad(torch.eye(rows, dtype=torch.bool, device=valid.device), (0, len(valid) - rows))
    return Keys(vectors, positives & valid, valid.expand_as(positives))
