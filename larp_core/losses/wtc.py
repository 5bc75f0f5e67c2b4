"""L1, within-track contrast: a track's clip against its own caption (paper, equations 1 to 3 and 13 to 15)."""

from __future__ import annotations

from torch import Tensor

from larp_core.losses.contrast import Keys
from larp_core.losses.encoded import EncodedBatch, same_track
from larp_core.losses.released import released_within_track_contrast


def within_track_contrast(batch: EncodedBatch) -> Tensor:
    """Half of audio-to-text plus half of text-to-audio, over the tracks that have both modalities."""
    if batch.options.diagonal_targets:
        return released_within_track_contrast(batch)
    both = batch.online.has_audio & batch.online.has_text
    queue, keys = batch.queue_features, batch.keys
    texts = _keys(batch, both, keys.text, keys.has_text, queue.text, queue.has_text)
    audios = _keys(batch, both, keys.audio, keys.has_audio, queue.audio, queue.has_audio)
    audio_to_text = batch.contrast(batch.online.audio[both], batch.momentum.audio[both], texts)
    text_to_audio = batch.contrast(batch.online.text[both], batch.momentum.text[both], audios)
    return (audio_to_text + text_to_audio) / 2


def _keys(
    batch: EncodedBatch, rows: Tensor, vectors: Tensor, valid: Tensor, queue: Tensor, queue_valid: Tensor
) -> Keys:
    """A queued copy of the query's own track is never a negative; nor, where they are masked, those it plays with."""
    tracks = batch.tracks[rows]
    in_batch = same_track(tracks, batch.tracks)
    in_queue = same_track(tracks, batch.queue.tracks)
    captions = (batch.momentum.text[rows], batch.momentum.has_text[rows])
    if not batch.options.mask_false_negatives:
        return batch.make_keys((vectors, valid), in_batch, (queue, queue_valid), in_queue, captions, "masked")
    in_queue = in_queue | batch.co_occurs(tracks, batch.queue.tracks)
    keys = batch.make_keys((vectors, valid), in_batch, (queue, queue_valid), in_queue, captions, "masked")
    return keys.without(batch.co_occurs(tracks, batch.tracks) & ~in_batch)
