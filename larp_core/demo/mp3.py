"""MP3 files of the demo world. Only the repeated loop is encoded; its frames are then written again and again.

MPEG-1 layer III frames without a bit reservoir stand for themselves (ISO/IEC 11172-3, 2.4.3.4), and the loop is
periodic and a whole number of frames long, so that the overlap of each frame with the next fits too. A 52 s file takes
a fifth of the time that encoding all of it would.
"""

from __future__ import annotations

import io
from pathlib import Path

import av
import numpy as np
from mutagen.id3 import ID3
from mutagen.id3._frames import TALB, TIT2, TPE1

from larp_core.demo.music import DemoTrack
from larp_core.demo.synth import FRAME_SECONDS, MP3_FRAME_SAMPLES, MP3_SAMPLE_RATE_HZ, synthesise_loop
from larp_core.runtime.files import atomic_path

BIT_RATE = 64_000
CODEC_DELAY_SAMPLES = 1105
"""Of LAME's encoder and a decoder together: input sample 0 comes out as sample 1105."""

WARM_UP_FRAMES = 6
ENCODER_OPTIONS = {"reservoir": "0", "compression_level": "9"}


def write_mp3(track: DemoTrack, path: Path) -> Path:
    """Synthesises a track and writes it with ID3 tags (title, artist, album), atomically."""
    frames = encode_loop(synthesise_loop(track))
    num_frames = num_mp3_frames(track)
    audio = (b"".join(frames) * (num_frames // len(frames) + 1))[: num_frames * len(frames[0])]
    with atomic_path(path) as partial:
        partial.write_bytes(_id3(track) + audio)
    return path


def num_mp3_frames(track: DemoTrack) -> int:
    """Frames of a track's file, at least `track.seconds` of audio."""
    return int(np.ceil(track.seconds / FRAME_SECONDS))


def duration_ms(track: DemoTrack) -> int:
    """The exact length of a track's file, as its metadata tell it."""
    return round(num_mp3_frames(track) * FRAME_SECONDS * 1000)


def encode_loop(loop: np.ndarray) -> list[bytes]:
    """MP3 frames of one period of `loop` (float32 mono at MP3_SAMPLE_RATE_HZ), all of one size.

    Repeated, they decode to the repeated loop, its first sample first.

    Raises:
        ValueError: the loop is not a whole number of frames.
    """
    num_frames, rest = divmod(loop.size, MP3_FRAME_SAMPLES)
    if rest:
        raise ValueError(f"a loop of {loop.size} samples is not a whole number of {MP3_FRAME_SAMPLES}-sample frames")
    codec = av.CodecContext.create("libmp3lame", "w")
    codec.sample_rate, codec.layout, codec.format = MP3_SAMPLE_RATE_HZ, "mono", "fltp"
    codec.bit_rate, codec.options = BIT_RATE, ENCODER_OPTIONS
    # Frame k decodes to the input from k * 1152 - 1105 on, so that frame WARM_UP_FRAMES starts with the loop's start.
    first = -WARM_UP_FRAMES * MP3_FRAME_SAMPLES + CODEC_DELAY_SAMPLES
    length = (num_frames + WARM_UP_FRAMES + 4) * MP3_FRAME_SAMPLES
    signal = np.resize(np.roll(loop, -first), length)[None]
    packets: list[bytes] = []
    for start in range(0, length, MP3_FRAME_SAMPLES):
        block = np.ascontiguousarray(signal[:, start : start + MP3_FRAME_SAMPLES])
        frame = av.AudioFrame.from_ndarray(block, format="fltp", layout="mono")
        frame.sample_rate, frame.pts = MP3_SAMPLE_RATE_HZ, start
        packets += [bytes(packet) for packet in codec.encode(frame)]
    packets += [bytes(packet) for packet in codec.encode(None)]
    return packets[WARM_UP_FRAMES : WARM_UP_FRAMES + num_frames]


def _id3(track: DemoTrack) -> bytes:
    tags = ID3()
    tags.add(TIT2(encoding=3, text=[track.name]))
    tags.add(TPE1(encoding=3, text=[track.artist.name]))
    tags.add(TALB(encoding=3, text=[track.album.name]))
    buffer = io.BytesIO()
    tags.save(buffer)
    return buffer.getvalue()
