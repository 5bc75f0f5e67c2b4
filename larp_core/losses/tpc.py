"""L3, track-playlist contrast: a playlist, without the track in question, against that track.

Paper, equations 5 and 20 to 25.
"""

from __future__ import annotations

from torch import Tensor

from larp_core.losses.encoded import EncodedBatch, Features
from larp_core.losses.released import released_track_playlist_contrast


def track_playlist_contrast(batch: EncodedBatch, playlist: Features) -> Tensor:
    """Contrast(a_p, t_i)/2 + Contrast(t_p, a_i)/2, positives from R within the batch.

    Args:
        playlist: the playlists' audio and text vectors [B, D], fused from the lookup tables' rows of their other
            tracks; `has_audio`, `has_text` are False where none of those tracks is known.

    From a playlist the columns are the batch's tracks and the queue; from a track, the batch's playlists and, as in
    equation 22's denominators, the queued tracks. Playlists none of whose other tracks is known ask nothing. Where
    false negatives are masked, tracks that share any playlist with t_i are left out of what its playlist asks.
    """
    if batch.options.diagonal_targets:
        return released_track_playlist_contrast(batch, playlist)
    i = batch.anchors
    online, keys, momentum = (f.part(i).filled() for f in (batch.online, batch.keys, batch.momentum))
    queue = batch.queue_features.filled()
    in_playlist = batch.contains(batch.playlists, batch.tracks[i])
    queue_of_playlist = batch.contains(batch.playlists, batch.queue.tracks)
    queue_of_track = batch.co_occurs(batch.tracks[i], batch.queue.tracks)
    queue_text, queue_audio = (queue.text, queue.has_text), (queue.audio, queue.has_audio)
    if batch.options.mask_false_negatives:
        queue_of_playlist = queue_of_playlist | queue_of_track

    names, names_i = (playlist.text, playlist.has_text), (batch.momentum.text[i], batch.momentum.has_text[i])
    texts = batch.make_keys((keys.text, keys.has_text), in_playlist, queue_text, queue_of_playlist, names)
    audios = batch.make_keys((keys.audio, keys.has_audio), in_playlist, queue_audio, queue_of_playlist, names)
    if batch.options.mask_false_negatives:
        known = batch.co_occurs(batch.tracks[i], batch.tracks[i]) & ~in_playlist
        texts, audios = texts.without(known), audios.without(known)
    playlist_texts = batch.make_keys(names, in_playlist.T, queue_text, queue_of_track, names_i)
    playlist_audios = batch.make_keys(
        (playlist.audio, playlist.has_audio), in_playlist.T, queue_audio, queue_of_track, names_i
    )

    audio_p_text_i = (
        batch.contrast(playlist.audio, playlist.audio.detach(), texts, playlist.has_audio)
        + batch.contrast(online.text, momentum.text, playlist_audios, online.has_text)
    ) / 2
    text_p_audio_i = (
        batch.contrast(playlist.text, playlist.text.detach(), audios, playlist.has_text)
        + batch.contrast(online.audio, momentum.audio, playlist_texts, online.has_audio)
    ) / 2
    return (audio_p_text_i + text_p_audio_i) / 2
