"""MULE and Jukebox as commands, with a stand-in of the true shapes: what is handed out, what is refused."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import soundfile
from encoder_world import HEARD, uri, write_tracks

from larp_core.config.encoders import CATALOGUE
from larp_core.config.settings import Settings
from larp_core.encoders import command
from larp_core.encoders.embedded import EncodingRequest
from larp_core.encoders.handed_clips import clips_of, hand_out, read_at_rate
from larp_core.graph.registry import job_named
from larp_core.runtime.errors import UserError
from larp_core.runtime.files import write_parquet

STAND_IN = Path(__file__).with_name("stand_in.py")
TONE_HZ = 440.0


def told(width: int, mode: str = "", out: str = "{out_npy}") -> str:
    return f"{shlex.quote(sys.executable)} {shlex.quote(str(STAND_IN))} {{clips_csv}} {out} {width} {mode}".strip()


def write_clips(data_dir: Path, **settings: str) -> Settings:
    """A tone as the clip of each heard track; its loudness tells which."""
    found = write_tracks(data_dir, **settings)
    paths = found.paths("mpd")
    paths.clips_dir.mkdir(parents=True, exist_ok=True)
    seconds = np.arange(480_000) / 48_000
    for n in HEARD:
        soundfile.write(paths.clips_dir / f"{n}.flac", loudness(n) * np.sin(2 * np.pi * TONE_HZ * seconds), 48_000)
    frame = pl.DataFrame({"track_id": HEARD, "path": [f"clips/{n}.flac" for n in HEARD]})
    frame = frame.with_columns(pl.col("track_id").cast(pl.Int32), start_seconds=20.0, status=pl.lit("ok"))
    write_parquet(frame, paths.clips)
    return found


def loudness(track: int) -> float:
    return 0.1 * (track + 1)


def embed(data_dir: Path, encoder: str, line: str) -> tuple[pl.DataFrame, dict[str, str]]:
    job = job_named(f"embeddings/{encoder}", write_clips(data_dir, **{f"{encoder}_command": line}), "mpd")
    job.work()
    path = job.paths.embeddings(encoder)
    assert not job.paths.embedding_parts(encoder).exists()
    return pl.read_parquet(path), pl.read_parquet_metadata(path)


@pytest.mark.parametrize("out", ["{out_npy}", "{out_parquet}"])
@pytest.mark.parametrize(
    ("encoder", "width", "mode", "stored", "rate_hz"),
    [
        ("mule", 1728, "", 1728, 16_000),
        ("mule", 1728, "slices", 5 * 1728, 16_000),
        ("jukebox", 4800, "", 4800, 44_100),
    ],
)
def test_clips_go_out_at_the_encoders_rate_and_vectors_come_back(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    encoder: str,
    width: int,
    mode: str,
    stored: int,
    rate_hz: int,
    out: str,
) -> None:
    monkeypatch.setattr(command, "CLIPS_A_BATCH", 4)
    frame, footer = embed(tmp_path, encoder, told(width, mode, out))
    assert frame["track_id"].to_list() == HEARD
    vectors = np.stack(frame["vector"].to_list())
    assert vectors.shape == (len(HEARD), stored)
    expected = [(rate_hz, 10 * rate_hz, loudness(n) / np.sqrt(2)) for n in HEARD]
    np.testing.assert_allclose(vectors[:, :3], expected, rtol=1e-3)
    assert footer["sample_rate_hz"] == str(rate_hz) and "stand_in.py" in footer["command"]


def test_resampling_keeps_the_tone(tmp_path: Path) -> None:
    paths = write_clips(tmp_path).paths("mpd")
    samples = read_at_rate(paths.clips_dir / "0.flac", 16_000)
    spectrum = np.abs(np.fft.rfft(samples))
    assert len(samples) == 160_000 and np.argmax(spectrum) / 10 == TONE_HZ


def test_a_clip_of_another_rate_is_refused_not_bent(tmp_path: Path) -> None:
    wrong = tmp_path / "clip.flac"
    soundfile.write(wrong, np.zeros(441_000), 44_100)
    with pytest.raises(UserError, match=f"{wrong}: 44100 Hz, 1 channels, not 48000 Hz and mono: .*run clips again"):
        read_at_rate(wrong, 16_000)
    with pytest.raises(UserError, match="can't be read"):
        read_at_rate(tmp_path / "gone.flac", 16_000)


def test_the_list_tells_rate_and_length(tmp_path: Path) -> None:
    paths = write_clips(tmp_path / "data").paths("mpd")
    listed = pl.read_csv(hand_out(clips_of(paths, np.array([0, 1, 2])), 16_000, tmp_path / "out"))
    assert listed["sample_rate_hz"].to_list() == [16_000, 16_000] and listed["num_samples"].to_list() == [160_000] * 2
    assert all(Path(path).is_file() for path in listed["path"])


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (
            told(1728, "fail"),
            r"LARP_MULE_COMMAND: ended with status 1; .*cannot find the weights \| CUDA out of memory",
        ),
        (told(1728, "quiet"), r"LARP_MULE_COMMAND: ended well but wrote no out.npy"),
        (told(1727), r"column vector holds 1727 numbers a track, MULE gives 1728 or 8640"),
        (told(1728, "nan"), r"1 vectors hold NaN or infinity"),
        (told(1728, "short"), r"holds float32 \[6, 1728\] where .* has 7 rows"),
        (told(1728, "lack", "{out_parquet}"), r"LARP_MULE_COMMAND: .* lacks 1 of 7 clips, .*null vector"),
        ("nosuchprogram {clips_csv} {out_npy}", r"LARP_MULE_COMMAND: there is no program nosuchprogram"),
        ("python {clips_csv}", r"LARP_MULE_COMMAND: needs \{clips_csv\} and one of \{out_npy\} and \{out_parquet\}"),
        ("python {clips_csv} {out_npy} {out_parquet}", r"LARP_MULE_COMMAND: needs"),
        ("python '{clips_csv} {out_npy}", r"LARP_MULE_COMMAND: can't be read as words"),
    ],
)
def test_what_a_command_may_not_do(tmp_path: Path, line: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        embed(tmp_path, "mule", line)


def test_a_command_that_takes_too_long_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "START_SECONDS", 1.0)
    monkeypatch.setattr(command, "SECONDS_A_CLIP", 0.0)
    with pytest.raises(UserError, match=r"LARP_MULE_COMMAND: took more than 1 s for 7 clips"):
        embed(tmp_path, "mule", told(1728, "hang"))


def test_no_shell_reads_the_command(tmp_path: Path) -> None:
    spilt = tmp_path / "spilt"
    frame, _ = embed(tmp_path / "data", "mule", told(1728, f"'; touch {spilt}'"))
    assert frame.height == len(HEARD) and not spilt.exists()


def test_finished_batches_are_not_asked_for_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "CLIPS_A_BATCH", 3)
    calls = []
    run = command._run

    def killed_in_the_third(encoder: object, words: list[str], num_clips: int) -> None:
        calls.append(num_clips)
        if len(calls) == 3:
            raise KeyboardInterrupt
        run(encoder, words, num_clips)  # type: ignore[arg-type]

    monkeypatch.setattr(command, "_run", killed_in_the_third)
    settings = write_clips(tmp_path, mule_command=told(1728))
    job = job_named("embeddings/mule", settings, "mpd")
    with pytest.raises(KeyboardInterrupt):
        job.work()
    job.work()
    assert calls == [3, 3, 1, 1]
    assert pl.read_parquet(job.paths.embeddings("mule"))["track_id"].to_list() == HEARD


def test_a_file_is_taken_before_a_command(tmp_path: Path) -> None:
    vectors = tmp_path / "made.npy"
    np.save(vectors, np.ones((len(HEARD), 1728), np.float32))
    pl.DataFrame({"track_uri": [uri(n) for n in HEARD]}).write_csv(tmp_path / "made.csv")
    settings = write_clips(tmp_path / "data", mule=str(vectors), mule_command=told(1728, "fail"))
    report = job_named("embeddings/mule", settings, "mpd").work()
    assert report.facts["vectors_file"] == "made.npy"


def test_without_clips_nothing_is_run(tmp_path: Path) -> None:
    settings = write_clips(tmp_path, jukebox_command=told(4800, "fail"))
    paths = settings.paths("mpd")
    write_parquet(pl.read_parquet(paths.clips).with_columns(status=pl.lit("corrupt")), paths.clips)
    encoder = CATALOGUE["jukebox"]
    request = EncodingRequest(encoder, paths, settings.recipe, command=settings.jukebox_command)
    assert command.embed_elsewhere(request, np.array(HEARD)).vectors.shape == (0, encoder.dimensions[0])
