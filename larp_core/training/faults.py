"""What goes wrong while training, as one line that says what to do."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator
from traceback import clear_frames

import numpy as np
import torch

from larp_core.config import TrainingConfig
from larp_core.runtime.errors import UserError
from larp_core.training.track_data import NO_MEL, TrackData

OUT_OF_MEMORY = ("out of memory", "can't allocate memory")
"""As PyTorch says it on a GPU, where the error has a class too, and on a CPU, where it has none."""


class NonFiniteError(UserError):
    """Training has come to NaN or infinity.

    Attributes:
        track_ids: int32, those whose mels are at fault, or else the offending batch's.
        why: what was seen, and what to do.
    """

    def __init__(self, why: str, track_ids: np.ndarray) -> None:
        super().__init__(f"{why}; track ids: {', '.join(map(str, track_ids))}")
        self.why = why
        self.track_ids = track_ids


def check_losses(losses: dict[str, float], tracks: np.ndarray, data: TrackData, place: str) -> None:
    """Raises NonFiniteError where a loss isn't finite.

    Args:
        tracks: the batch, positions in `data`.
        place: where in the run, for the message.
    """
    broken = {name: value for name, value in losses.items() if not math.isfinite(value)}
    if not broken:
        return
    what = f"{place}: loss {', '.join(f'{name} is {value}' for name, value in broken.items())}"
    raise _blaming(what, _with_broken_mels(data, tracks), data.track_ids[np.unique(tracks)])


def check_vectors(vectors: np.ndarray, encoded: TrackData, settled: TrackData) -> None:
    """Raises NonFiniteError where validation vectors [N, D] aren't finite.

    Args:
        encoded: the tracks that they are of.
        settled: the tracks that batch norms took their statistics from.
    """
    if np.isfinite(vectors).all():
        return
    broken = [_with_broken_mels(data, np.arange(len(data.track_ids))) for data in (encoded, settled)]
    bad = encoded.track_ids[~np.isfinite(vectors).all(axis=1)]
    raise _blaming("validation: vectors hold NaN or infinity", np.concatenate(broken), bad)


def _blaming(what: str, broken: np.ndarray, batch: np.ndarray) -> NonFiniteError:
    if len(broken):
        return NonFiniteError(f"{what}; mels.npy holds some too, delete it and run mels again", broken)
    return NonFiniteError(f"{what}; the inputs are finite: lower training.learning_rate, or train in fp32", batch)


def _with_broken_mels(data: TrackData, positions: np.ndarray) -> np.ndarray:
    """Ids of those tracks at `positions` whose mel isn't finite."""
    unique = np.unique(positions)
    broken = [data.mel_rows[at] != NO_MEL and not np.isfinite(data.mels[data.mel_rows[at]]).all() for at in unique]
    return data.track_ids[unique[np.array(broken, dtype=bool)]]


def is_out_of_memory(error: BaseException) -> bool:
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or (
        isinstance(error, RuntimeError) and any(words in str(error) for words in OUT_OF_MEMORY)
    )


@contextlib.contextmanager
def telling_what_fits(config: TrainingConfig, fits: Callable[[int], bool] | None) -> Iterator[None]:
    """Running out of memory as a UserError with the batch size that fits.

    Args:
        fits: tries a step of so many pairs. None where that can't be tried: other processes wait for this one.
    """
    try:
        yield
    except (torch.OutOfMemoryError, MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        clear_frames(error.__traceback__)  # they hold the step's activations
        raise UserError(
            f"out of memory at training.batch_size {config.batch_size}: {_what_fits(config.batch_size, fits)}; "
            f"gradient_accumulation keeps the pairs a step, gradient_checkpointing saves more"
        ) from error


def _what_fits(batch_size: int, fits: Callable[[int], bool] | None) -> str:
    """Halves the batch until a step goes through."""
    if fits is None:
        return f"try {max(batch_size // 2, 1)}"
    size = batch_size // 2
    while size >= 1:
        if fits(size):
            return f"{size} fits"
        size //= 2
    return "not even 1 fits"
