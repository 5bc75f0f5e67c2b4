"""L2, track-track contrast: a track's clip against the caption of another that shares a playlist, and the reverse.

Paper, equations 4 and 16 to 19.
"""

from __future__ import annotations

from torch import Tensor

from larp_core.losses.encoded import EncodedBatch
from larp_core.losses.released import released_track_track_contrast


def track_track_contrast(batch: EncodedBatch) -> Tensor:
    """Contrast(a_i, t_j)/2 + Contrast(t_i, a_j)/2, positives from O within the batch; pruned pairs take no part.

    Where a track lacks one modality the other stands in, so that captions alone can be contrasted with captions. A
    track with neither asks nothing and is no column.
    """
    if batch.options.diagonal_targets:
        return released_track_track_contrast(batch)
    i, j = batch.anchors, batch.partners
    online, keys, momentum, queue = (
        f.filled() for f in (batch.online, batch.keys, batch.momentum, batch.queue_features)
    )
    related_ij = batch.co_occurs(batch.tracks[i], batch.tracks[j])
    queue_i = batch.co_occurs(batch.tracks[i], batch.queue.tracks)
    queue_j = batch.co_occurs(batch.tracks[j], batch.queue.tracks)

    queue_text, queue_audio = (queue.text, queue.has_text), (queue.audio, queue.has_audio)
    captions_i, captions_j = ((batch.momentum.text[rows], batch.momentum.has_text[rows]) for rows in (i, j))
    texts_j = batch.make_keys((keys.text[j], keys.has_text[j]), related_ij, queue_text, queue_i, captions_i)
    audios_j = batch.make_keys((keys.audio[j], keys.has_audio[j]), related_ij, queue_audio, queue_i, captions_i)
    texts_i = batch.make_keys((keys.text[i], keys.has_text[i]), related_ij.T, queue_text, queue_j, captions_j)
    audios_i = batch.make_keys((keys.audio[i], keys.has_audio[i]), related_ij.T, queue_audio, queue_j, captions_j)
    if batch.keeps is not None:
        pruned_ij = related_ij & ~batch.keeps(batch.tracks[i], batch.tracks[j])
        texts_j, audios_j = texts_j.without(pruned_ij), audios_j.without(pruned_ij)
        texts_i, audios_i = texts_i.without(pruned_ij.T), audios_i.without(pruned_ij.T)

    audio_i_text_j = (
        batch.contrast(online.audio[i], momentum.audio[i], texts_j, online.has_text[i])
        + batch.contrast(online.text[j], momentum.text[j], audios_i, online.has_text[j])
    ) / 2
    text_i_audio_j = (
        batch.contrast(online.text[i], momentum.text[i], audios_j, online.has_text[i])
        + batch.contrast(online.audio[j], momentum.audio[j], texts_i, online.has_text[j])
    ) / 2
    return (audio_i_text_j + text_i_audio_j) / 2
