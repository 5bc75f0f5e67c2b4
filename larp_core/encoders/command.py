"""Encoders of an environment of their own: a command that reads a list of clips and writes their vectors.

A setting such as `LARP_MULE_COMMAND` is one line of words and never passes through a shell:

    /path/to/env/bin/python -m mule_extract {clips_csv} {out_npy}

`{clips_csv}` becomes a CSV `track_uri,path,sample_rate_hz,num_samples` of clips at the encoder's rate; `{out_npy}` the
file to write, floats [clips, D] or [clips, slices, D] in the order of the CSV; `{out_parquet}` in its place a Parquet
`track_uri, vector`, where a null vector says that a clip can't be encoded. Clips go out in batches. A finished batch is
kept, so that a killed run goes on after it.
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
import shlex
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path
from typing import IO

import numpy as np
import polars as pl

from larp_core.config.encoders import Encoder
from larp_core.encoders.embedded import Embedded, EncodingRequest, WeightsNotFound
from larp_core.encoders.handed_clips import HandedClip, clips_of, hand_out
from larp_core.encoders.precomputed import VectorFile, embed_precomputed, read_vectors
from larp_core.runtime.errors import UserError
from larp_core.runtime.files import hash_of, make_folder, write_text

logger = logging.getLogger(__name__)

CLIPS_A_BATCH = 1_000
START_SECONDS, SECONDS_A_CLIP = 1_800.0, 60.0
"""The longest that a batch may take: to load a model of some 10 GB, and a clip's share on a slow machine."""
ERROR_LINES = 12
PLACEHOLDERS = ("{clips_csv}", "{out_npy}", "{out_parquet}")


def embed_elsewhere(request: EncodingRequest, track_ids: np.ndarray) -> Embedded:
    """The encoder's vectors from its file where one is named, else from its command.

    Raises:
        WeightsNotFound: neither is set.
        UserError: the command fails, takes too long, or writes what `read_vectors` refuses.
    """
    encoder, paths = request.encoder, request.paths
    if request.weights:
        return embed_precomputed(request, track_ids)
    if not request.command:
        raise WeightsNotFound(encoder.missing)
    clips = clips_of(paths, track_ids)
    words = words_of(request.command, encoder)
    parts = make_folder(paths.embedding_parts(encoder.name))
    found = [_batch(encoder, words, batch, parts) for batch in _batches(clips)]
    present = np.concatenate([np.empty(0, bool), *(part.present for part in found)])
    ids = np.array([clip.track_id for clip in clips], dtype=np.int32)
    widths = {part.vectors.shape[1] for part in found if part.present.any()}
    if len(widths) > 1:
        raise UserError(f"{encoder.variables[-1]}: batches with vectors of {sorted(widths)} numbers; make them alike")
    width = widths.pop() if widths else encoder.dimensions[0]
    vectors = [part.vectors[part.present] for part in found if part.present.any()]
    shutil.rmtree(parts)
    return Embedded(
        track_ids=ids[present],
        vectors=np.concatenate(vectors) if vectors else np.empty((0, width), np.float32),
        weights_sha256="",
        pretrained=True,
        given_up=ids[~present],
        notes={"command": shlex.join(words)},
    )


def words_of(command: str, encoder: Encoder) -> list[str]:
    """The command's words.

    Raises:
        UserError: unbalanced quotes, no program of that name, or a placeholder that is lacking or unknown.
    """
    variable = encoder.variables[-1]
    try:
        words = shlex.split(command)
    except ValueError as error:
        raise UserError(f"{variable}: can't be read as words ({error}); quote paths that hold spaces") from None
    named = re.findall(r"\{\w*\}", command)
    if sorted(named) not in ([PLACEHOLDERS[0], PLACEHOLDERS[1]], [PLACEHOLDERS[0], PLACEHOLDERS[2]]):
        raise UserError(f"{variable}: needs {PLACEHOLDERS[0]} and one of {' and '.join(PLACEHOLDERS[1:])}, once each")
    if shutil.which(words[0]) is None:
        raise UserError(f"{variable}: there is no program {words[0]}; give the path of one that may be run")
    return words


def _batches(clips: list[HandedClip]) -> list[list[HandedClip]]:
    return [clips[start : start + CLIPS_A_BATCH] for start in range(0, len(clips), CLIPS_A_BATCH)]


def _batch(encoder: Encoder, words: list[str], clips: list[HandedClip], parts: Path) -> VectorFile:
    """The vectors of some clips in their order: those that an earlier run has left, or new ones."""
    suffix = ".npy" if PLACEHOLDERS[1] in " ".join(words) else ".parquet"
    stamps = [[clip.track_uri, str(clip.path), clip.path.stat().st_mtime_ns] for clip in clips if clip.path.exists()]
    done = parts / f"{hash_of([words, encoder.sample_rate_hz, stamps])[:32]}{suffix}"
    if not done.exists():
        assert encoder.sample_rate_hz is not None
        with tempfile.TemporaryDirectory(prefix="batch.", dir=parts) as folder:
            listed, out = hand_out(clips, encoder.sample_rate_hz, Path(folder)), Path(folder) / f"out{suffix}"
            _run(encoder, [_filled(word, listed, out) for word in words], len(clips))
            if not out.is_file():
                raise UserError(
                    f"{encoder.variables[-1]}: ended well but wrote no {out.name}; have it write {suffix} there"
                )
            if suffix == ".npy":
                names = pl.DataFrame({"track_uri": [clip.track_uri for clip in clips]})
                write_text(names.write_csv(), done.with_suffix(".csv"))
            out.replace(done)
    try:
        return _in_order(encoder, read_vectors(done, encoder), clips, done)
    except UserError:
        done.unlink()  # the next run asks the command again
        raise


def _in_order(encoder: Encoder, found: VectorFile, clips: list[HandedClip], path: Path) -> VectorFile:
    """Raises UserError where the command left a clip out."""
    rows = {key: row for row, key in enumerate(found.keys.to_list())}
    keys = [clip.track_uri if found.key == "track_uri" else clip.track_id for clip in clips]
    if lacking := [str(key) for key in keys if key not in rows]:
        raise UserError(
            f"{encoder.variables[-1]}: {path.name} lacks {len(lacking)} of {len(clips)} clips, such as {lacking[0]}; "
            "have it write a null vector for a clip that it can't encode"
        )
    order = np.array([rows[key] for key in keys])
    return VectorFile(found.key, found.keys[order.tolist()], found.vectors[order], found.present[order])


def _filled(word: str, listed: Path, out: Path) -> str:
    for placeholder, path in {PLACEHOLDERS[0]: listed, PLACEHOLDERS[1]: out, PLACEHOLDERS[2]: out}.items():
        word = word.replace(placeholder, str(path.resolve()))
    return word


def _run(encoder: Encoder, words: list[str], num_clips: int) -> None:
    """Runs the command to its end, in a process group that ends with it.

    Raises:
        UserError: it can't be started, fails or takes too long; with the last lines that it wrote to stderr.
    """
    variable, seconds = encoder.variables[-1], START_SECONDS + SECONDS_A_CLIP * num_clips
    logger.info("%d clips to %s", num_clips, words[0])
    with tempfile.TemporaryFile() as errors:
        try:
            child = subprocess.Popen(
                words, stdin=subprocess.DEVNULL, stdout=errors, stderr=errors, start_new_session=True
            )
        except OSError as error:
            raise UserError(f"{variable}: {words[0]} can't be started: {error.strerror}") from None
        try:
            status = child.wait(seconds)
        except subprocess.TimeoutExpired:
            raise UserError(
                f"{variable}: took more than {seconds:.0f} s for {num_clips} clips{_tail(errors)}"
            ) from None
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)
            child.wait()
        if status:
            raise UserError(f"{variable}: ended with status {status}{_tail(errors)}")


def _tail(file: IO[bytes]) -> str:
    file.seek(0)
    lines = file.read().decode(errors="replace").strip().splitlines()[-ERROR_LINES:]
    return "; its last words: " + " | ".join(lines) if lines else ", and said nothing"
