"""Decoding: lengths are what decoding gives, windows are where they should be, and no odd file does any harm."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest
import soundfile
from audio_files import chirp, write_audio

from larp_core.audio import decode
from larp_core.audio.decode import FFMPEG, LIBSNDFILE, CorruptAudio, Measured, measure, read_window

FORMATS = {
    "cbr.mp3": ("libmp3lame", {"b": "128k"}),
    "vbr.mp3": ("libmp3lame", {"q": "4", "compression_level": "2"}),
    "vorbis.ogg": ("vorbis", {}),
    "lossless.flac": ("flac", {}),
    "aac.m4a": ("aac", {"b": "96k"}),
}


@pytest.fixture(scope="module", params=FORMATS)
def encoded(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    codec, options = FORMATS[request.param]
    return write_audio(tmp_path_factory.mktemp("encoded") / request.param, chirp(14.0), codec=codec, **options)


def whole_file(path: Path, decoder: str) -> tuple[np.ndarray, int]:
    """The slow, obvious twin: all of the file, decoded from its beginning."""
    if decoder == LIBSNDFILE:
        samples, rate_hz = soundfile.read(path, dtype="float32", always_2d=True)
        return samples.mean(axis=1), rate_hz
    with av.open(str(path)) as container:
        blocks = [frame.to_ndarray() for frame in container.decode(audio=0)]
        return np.concatenate(blocks, axis=1).mean(axis=0), container.streams.audio[0].rate


def test_a_window_is_that_part_of_the_whole(encoded: Path) -> None:
    measured = measure(encoded)
    whole, rate_hz = whole_file(encoded, measured.decoder)
    assert measured.duration_seconds == len(whole) / rate_hz == pytest.approx(14, abs=0.1)
    for start in (0.0, 0.001, 3.217, 7.5, measured.duration_seconds - 5):
        window, rate = read_window(encoded, start, 5.0, measured)
        first = min(round(start * rate_hz), len(whole) - 5 * rate_hz)
        assert rate == rate_hz
        np.testing.assert_allclose(window, whole[first : first + 5 * rate_hz], atol=1e-6)


MATRIX = [
    ("8 kHz mono.mp3", 8_000, 1, "libmp3lame", {"b": "24k"}),
    ("11 kHz stereo VBR.mp3", 11_025, 2, "libmp3lame", {"q": "5", "compression_level": "5"}),
    ("16 kHz mono.mp3", 16_000, 1, "libmp3lame", {"b": "48k"}),
    ("22 kHz mono VBR.mp3", 22_050, 1, "libmp3lame", {"q": "7", "compression_level": "5"}),
    ("24 kHz stereo.mp3", 24_000, 2, "libmp3lame", {"b": "64k"}),
    ("32 kHz mono VBR.mp3", 32_000, 1, "libmp3lame", {"q": "3", "compression_level": "5"}),
    ("48 kHz stereo.mp3", 48_000, 2, "libmp3lame", {"b": "192k"}),
    ("48 kHz stereo VBR.mp3", 48_000, 2, "libmp3lame", {"q": "2", "compression_level": "5"}),
    ("8 kHz mono.ogg", 8_000, 1, "vorbis", {}),
    ("48 kHz 5.1.ogg", 48_000, 6, "vorbis", {}),
    ("96 kHz 5.1.flac", 96_000, 6, "flac", {}),
    ("192 kHz mono.flac", 192_000, 1, "flac", {}),
    ("192 kHz stereo.wav", 192_000, 2, "pcm_s16le", {}),
    ("44 kHz 5.1.m4a", 44_100, 6, "aac", {"b": "192k"}),
    ("16 kHz mono.m4a", 16_000, 1, "aac", {"b": "48k"}),
    ("48 kHz stereo.opus", 48_000, 2, "libopus", {"b": "96k"}),
]


@pytest.mark.parametrize("case", MATRIX, ids=[case[0] for case in MATRIX])
def test_a_window_is_off_by_no_sample_whatever_the_file(tmp_path: Path, case: tuple[str, int, int, str, dict]) -> None:
    """The best match of the window in a full decode lies where it should, under a sample and so under 1 ms away."""
    name, rate_hz, num_channels, codec, options = case
    path = write_audio(tmp_path / name, chirp(6.0, rate_hz, num_channels), rate_hz, codec, **options)
    measured = measure(path)
    whole, rate = whole_file(path, measured.decoder)
    assert rate == rate_hz
    for start_seconds in (0.0, 0.1, 1.2345, 3.0):
        window, _ = read_window(path, start_seconds, 2.0, measured)
        first = round(start_seconds * rate_hz)
        errors = {
            shift: np.abs(window - whole[first + shift :][: len(window)]).max() for shift in range(-min(5, first), 6)
        }
        assert min(errors, key=lambda shift: errors[shift]) == 0
        assert errors[0] < 1e-5


def test_every_format_keeps_the_time_of_its_source(encoded: Path) -> None:
    """The sound at 8 s is the source's at 8 s, within what an encoder's delay may shift it."""
    window, rate_hz = read_window(encoded, 8.0, 2.0, measure(encoded))
    source = chirp(14.0)[0]
    shifts = range(-1_500, 1_501, 5)
    match = [np.corrcoef(window, source[8 * rate_hz + s : 10 * rate_hz + s])[0, 1] for s in shifts]
    assert max(match) > 0.9
    assert abs(shifts[int(np.argmax(match))]) <= 1_105


def test_what_libsndfile_cannot_read_goes_to_ffmpeg(encoded: Path) -> None:
    assert measure(encoded).decoder == (FFMPEG if encoded.suffix == ".m4a" else LIBSNDFILE)


def test_channels_are_averaged(tmp_path: Path) -> None:
    samples = np.stack([np.full(24_000, 0.5), np.full(24_000, -0.25)]).astype(np.float32)
    soundfile.write(tmp_path / "x.wav", samples.T, 24_000, subtype="FLOAT")
    window, _ = read_window(tmp_path / "x.wav", 0.0, 1.0, Measured(1.0, LIBSNDFILE))
    np.testing.assert_array_equal(window, 0.125)
    window, _ = read_window(tmp_path / "x.wav", 0.0, 1.0, Measured(1.0, FFMPEG))
    np.testing.assert_array_equal(window, 0.125)


@pytest.mark.parametrize("num_channels", [1, 2, 6])
def test_the_fast_mean_of_channels_is_the_mean(num_channels: int) -> None:
    samples = np.random.default_rng(1).normal(0, 0.3, (1_000, num_channels)).astype(np.float32)
    fast = decode._mean_of_channels(samples)
    assert fast.dtype == np.float32
    np.testing.assert_array_equal(fast, samples.mean(axis=1))


def test_a_header_that_lies_is_not_believed(tmp_path: Path) -> None:
    path = write_audio(tmp_path / "x.mp3", chirp(16.0, channels=1), b="64k")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert soundfile.info(path).duration == pytest.approx(16, abs=0.2)
    measured = measure(path)
    assert measured.duration_seconds == pytest.approx(8, abs=0.5)
    window, rate_hz = read_window(path, 2.0, 5.0, measured)
    np.testing.assert_allclose(window, whole_file(path, measured.decoder)[0][2 * rate_hz : 7 * rate_hz], atol=1e-6)


def test_decoding_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_audio(tmp_path / "x.m4a", chirp(20.0, channels=1), codec="aac")
    monkeypatch.setattr(decode, "MAX_SECONDS", 5)
    assert measure(path).duration_seconds < 6
    soundfile.write(tmp_path / "x.flac", chirp(20.0, channels=1).T, 44_100)
    assert measure(tmp_path / "x.flac").duration_seconds < 7


@pytest.mark.parametrize(
    "content", [b"", b"not audio at all\n" * 400, b"ID3\x04\x00\x00\x00\x00\x00\x00", b"\xff\xfb" * 9]
)
def test_what_is_no_audio_says_so(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.mp3").write_bytes(content)
    with pytest.raises(CorruptAudio, match=r"ffmpeg: .+; libsndfile: .+"):
        measure(tmp_path / "x.mp3")


def test_another_file_than_was_measured_is_refused(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "x.flac", chirp(5.0, channels=1).T, 44_100)
    with pytest.raises(CorruptAudio, match="could be read"):
        read_window(tmp_path / "x.flac", 12.0, 10.0, Measured(30.0, LIBSNDFILE))


def test_real_windows_are_where_a_whole_decode_has_them(sample_data: Path) -> None:
    for path in sorted((sample_data / "audio").iterdir())[:14]:
        if path.suffix not in (".mp3", ".ogg") or (measured := measure(path)).duration_seconds < 20:
            continue
        whole, rate_hz = whole_file(path, measured.decoder)
        start = measured.duration_seconds * 0.37
        window, _ = read_window(path, start, 5.0, measured)
        expected = whole[round(start * rate_hz) :][: 5 * rate_hz]
        np.testing.assert_allclose(window, expected, atol=1e-5, err_msg=path.name)


def test_every_odd_file_is_read_or_refused(sample_data: Path) -> None:
    kinds = {"read": 0, "refused": 0}
    for path in sorted((sample_data / "audio_odd").iterdir()):
        try:
            measured = measure(path)
        except CorruptAudio as error:
            kinds["refused"] += 1
            assert str(error)
            continue
        kinds["read"] += 1
        assert 0 < measured.duration_seconds < 70, path.name  # the longest holds 50 s, headers claim up to 2e14
        if measured.duration_seconds > 4:
            window, rate_hz = read_window(path, 1.0, 2.0, measured)
            assert len(window) == 2 * rate_hz, path.name
    assert kinds["read"] >= 25
    assert kinds["refused"] >= 20
