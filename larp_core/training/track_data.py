"""Tracks as tensors: captions as token ids, clips as rows of the memory-mapped mel array.

Shapes: T tracks, L tokens.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import polars as pl
import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from larp_core.config.paths import DatasetPaths

NO_MEL = -1
SMALLEST_GROUP = 8
"""Captions. Each group adds a gradient to every weight of the text tower, which for fewer costs more than padding."""

DRAWING_CLIPS = 1
"""Sets the draws of clips apart from the sampler's, which have the same seed and epoch."""


@dataclass(frozen=True)
class TrackBatch:
    """Inputs of T tracks, or one process's share of them.

    Attributes:
        input_ids, attention_mask: int64 [T, L].
        input_features: float32 [len(audio_rows), 1, 1001, 64].
        has_audio, has_text: bool [T].
        audio_rows, text_rows: which of the T tracks are to be encoded here; ascending, but for grouped captions.
        num_shares: over how many processes the tracks are shared out.
        text_groups: (number, longest) of each group of `text_rows` to be encoded apart, its captions cut to the group's
            longest; none encodes all at once.
    """

    input_ids: Tensor
    attention_mask: Tensor
    input_features: Tensor
    has_audio: Tensor
    has_text: Tensor
    audio_rows: Tensor
    text_rows: Tensor
    num_shares: int = 1
    text_groups: tuple[tuple[int, int], ...] = ()

    def with_hidden_tokens(self, share: float) -> TrackBatch:
        """A random `share` of the tokens takes no part in attention; CLS always does."""
        if share == 0.0:
            return self
        hidden = torch.rand(self.attention_mask.shape) < share
        hidden[:, 0] = False
        return replace(self, attention_mask=self.attention_mask.masked_fill(hidden, 0))

    def pinned(self) -> TrackBatch:
        """In page-locked memory, from which a GPU copies while it computes."""
        held: dict[str, Any] = {n: value.pin_memory() for n, value in vars(self).items() if isinstance(value, Tensor)}
        return replace(self, **held)

    def to(self, device: torch.device) -> TrackBatch:
        moved: dict[str, Any] = {
            name: value.to(device, non_blocking=True) for name, value in vars(self).items() if isinstance(value, Tensor)
        }
        return replace(self, **moved)


@dataclass(frozen=True)
class TrackData:
    """The inputs of a set of tracks, addressed by position.

    Attributes:
        track_ids: int32 [N], ascending.
        input_ids, attention_mask: int64 [N, L]; rows of tracks without a caption hold padding only.
        has_text: bool [N].
        mel_rows: int64 [N], the row in `mels` of a track's clip, of the first of several; NO_MEL where it has none.
        mels: float16 [num_clips, 1001, 64], usually memory-mapped.
        num_clips: int64 [N], how many rows from `mel_rows` on are the track's; None where no track has several.
        caption_groups: into how many groups of like length a batch's captions are sorted, where it has enough.
    """

    track_ids: np.ndarray
    input_ids: Tensor
    attention_mask: Tensor
    has_text: Tensor
    mel_rows: np.ndarray
    mels: np.ndarray
    num_clips: np.ndarray | None = None
    caption_groups: int = 1

    def with_drawn_clips(self, seed: int, epoch: int) -> TrackData:
        """The same tracks with one of its clips each, which follows from seed and epoch: a resumed epoch has the same.

        Where no track has several there is nothing to draw.
        """
        if self.num_clips is None:
            return self
        draws = np.random.default_rng([seed, epoch, DRAWING_CLIPS]).random(len(self.mel_rows))
        return replace(self, mel_rows=self.mel_rows + (draws * self.num_clips).astype(np.int64), num_clips=None)

    def heard_only(self) -> TrackData:
        """The same tracks for a model that reads no captions."""
        nothing = torch.zeros_like(self.attention_mask[:, :1])
        return replace(self, input_ids=nothing, attention_mask=nothing, has_text=torch.zeros_like(self.has_text))

    def further_clips(self, positions: np.ndarray) -> Iterator[tuple[Tensor, Tensor]]:
        """All clips but the first of the tracks at `positions` [T], a clip a track at a time.

        Yields: which of the T tracks have one more, int64 [M], and the clips' float32 [M, 1, 1001, 64].
        """
        counts = np.zeros(0, np.int64) if self.num_clips is None else self.num_clips[positions]
        for index in range(1, counts.max(initial=0)):
            tracks = np.flatnonzero(counts > index)
            mels = np.asarray(self.mels[self.mel_rows[positions[tracks]] + index], dtype=np.float32)
            yield torch.from_numpy(tracks), torch.from_numpy(mels).unsqueeze(1)

    def batch(self, positions: np.ndarray, share: int = 0, num_shares: int = 1) -> TrackBatch:
        """The inputs of the tracks at `positions` [T], or one share of them; captions are cut to the longest of all."""
        index = torch.from_numpy(positions.astype(np.int64))
        attention_mask = self.attention_mask[index]
        lengths = attention_mask.sum(1).numpy()
        longest = max(int(lengths.max()), 1)
        rows, has_text = self.mel_rows[positions], self.has_text[index]
        audio_rows = _share(np.flatnonzero(rows != NO_MEL), share, num_shares)
        text_rows = _share(np.flatnonzero(has_text.numpy()), share, num_shares)
        groups = [text_rows]
        num_groups = min(self.caption_groups, len(text_rows) // SMALLEST_GROUP)
        if num_groups > 1:
            groups = np.array_split(text_rows[np.argsort(lengths[text_rows], kind="stable")], num_groups)
            text_rows = np.concatenate(groups)
        mels = np.asarray(self.mels[rows[audio_rows]], dtype=np.float32)
        return TrackBatch(
            input_ids=self.input_ids[index, :longest],
            attention_mask=attention_mask[:, :longest],
            input_features=torch.from_numpy(mels).unsqueeze(1),
            has_audio=torch.from_numpy(rows != NO_MEL),
            has_text=has_text,
            audio_rows=torch.from_numpy(audio_rows),
            text_rows=torch.from_numpy(text_rows),
            num_shares=num_shares,
            text_groups=tuple((len(group), int(lengths[group].max())) for group in groups if len(group)),
        )


def _share(rows: np.ndarray, share: int, num_shares: int) -> np.ndarray:
    """Every `num_shares`-th row, so that each process has as much to do; all rows where there are fewer than shares."""
    return rows[share::num_shares] if len(rows) >= num_shares else rows


def load_captions(paths: DatasetPaths, split: str) -> pl.DataFrame:
    """`track_id, caption` of a split's tracks that have one, by ascending id."""
    tracks = pl.read_parquet(paths.split_tracks).filter(pl.col("split") == split)
    return pl.read_parquet(paths.captions).join(tracks, on="track_id").select("track_id", "caption").sort("track_id")


def load_track_data(
    paths: DatasetPaths,
    track_ids: np.ndarray,
    tokenizer: PreTrainedTokenizerBase | None,
    max_tokens: int,
    mels: np.ndarray,
    caption_groups: int = 1,
) -> TrackData:
    """The inputs of `track_ids` (ascending int32); without a tokenizer as for a model that reads no captions."""
    tracks = pl.DataFrame({"track_id": track_ids}, schema={"track_id": pl.Int32})
    captions = tracks.join(pl.read_parquet(paths.captions), on="track_id", how="left", maintain_order="left")["caption"]
    clips = pl.read_parquet(paths.mel_rows).group_by("track_id").agg(pl.col("row").min(), num_clips=pl.len())
    sound = tracks.join(clips, on="track_id", how="left", maintain_order="left")
    num_clips = sound["num_clips"].fill_null(0).to_numpy().astype(np.int64)
    if tokenizer is None:
        captions = pl.Series([None] * len(captions), dtype=pl.String)
        nothing = torch.zeros(len(captions), 1, dtype=torch.long)
        tokens = {"input_ids": nothing, "attention_mask": nothing}
    else:
        tokens = _tokenize(tokenizer, captions.fill_null("").to_list(), max_tokens)
    has_text = torch.from_numpy(captions.is_not_null().to_numpy().copy())
    return TrackData(
        track_ids=track_ids,
        input_ids=tokens["input_ids"],
        attention_mask=tokens["attention_mask"],
        has_text=has_text,
        mel_rows=sound["row"].fill_null(NO_MEL).to_numpy().astype(np.int64),
        mels=mels,
        num_clips=num_clips if num_clips.max(initial=0) > 1 else None,
        caption_groups=caption_groups,
    )


def _tokenize(tokenizer: PreTrainedTokenizerBase, captions: list[str], max_tokens: int) -> Any:
    return tokenizer(captions, padding="max_length", truncation=True, max_length=max_tokens, return_tensors="pt")
