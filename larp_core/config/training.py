"""How encoders are trained."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class TrainingConfig:
    """One loop for every stage.

    Attributes:
        batch_size: track pairs (anchor and partner) in a step; stage 1, which has no pairs, takes twice as many tracks.
        epochs: the most epochs of each stage.
        patience: epochs without a better validation Recall@10 before a stage stops; None never stops early.
        num_neighbours: tracks |J| that stand for a playlist in TPC (paper, figure 4).
        targets: `graph` is the paper's appendix A; `diagonal` the published code's, with momentum soft labels.
        batch_keys: the batch's own columns come from the `online` encoder (equation 15) or the `momentum` one (ALBEF).
        label_smoothing: share of each target that is spread over all columns, for small towers trained from scratch.
        token_dropout: share of caption tokens hidden in training; a small text tower learns few captions by heart else.
        queue_positives: queue columns that are in truth positives are a `negative` (the paper's letter) or `masked`.
        false_negatives: `masked` leaves out of every softmax, batch and queue alike, tracks that share a playlist with
            the query's track (O) and are no positives there. It includes `queue_positives="masked"`.
        pair_pruning: the share of track pairs, those least alike to the stage's starting weights, that are no longer
            drawn and no positives, see `larp_core.training.pruning`. Of stages 2 and 3.
        loss_weights: of `wtc`, `ttc`, `tpc` in the mean that is descended; 1 for what is not named.
        text_hardness: queued negatives count the more the nearer their captions are to the query's, by
            exp(text_hardness * cosine), see `larp_core.losses.hard_negatives`; 0 counts all alike.
        text_twins: the cosine of captions from which a queued track is taken for the same song and left out.
        precision: of the towers; losses, weights and optimiser are always fp32. `fp16` scales its gradients.
        caption_groups: a batch's captions are encoded in at most so many groups of like length, each cut to its
            longest: the same numbers but for rounding, and less padding for a full-size text tower to work on.
        fused_adam: Adam goes over the weights once a step: seven times as fast at full size, and rounded otherwise.
        gradient_accumulation: batches whose gradients are averaged into one step; each is contrasted by itself.
        gradient_checkpointing: layers are computed again in the backward pass, for less memory and a third more time.
        deterministic: only algorithms that repeat to the bit. Slower on a GPU; on several, HTS-AT needs
            `train_mel_norm` off.
        device: `auto` takes a GPU where there is one.
        save_every_steps, save_every_minutes: how often an epoch under way is saved; each epoch's end always is.
    """

    batch_size: int = 50
    epochs: tuple[tuple[str, int], ...] = (
        ("larp_wtc", 45),
        ("larp_ttc", 45),
        ("larp_ttc_continued", 45),
        ("larp_tpc", 45),
        ("larp_tpc_fusion", 45),
        ("clap_ft", 45),
        ("co_playlist", 45),
    )
    patience: int | None = 5
    learning_rate: float = 1e-4
    adam_betas: tuple[float, float] = (0.9, 0.99)
    weight_decay: float = 0.0
    warmup_steps: int = 3_000
    num_neighbours: int = 10
    targets: Literal["graph", "diagonal"] = "graph"
    soft_label_weight: float = 0.0
    soft_label_warmup_epochs: int = 2
    label_smoothing: float = 0.0
    token_dropout: float = 0.0
    queue_positives: Literal["negative", "masked"] = "negative"
    false_negatives: Literal["kept", "masked"] = "kept"
    pair_pruning: float = 0.0
    loss_weights: tuple[tuple[str, float], ...] = ()
    text_hardness: float = 0.0
    text_twins: float | None = None
    batch_keys: Literal["online", "momentum"] = "online"
    precision: Literal["fp32", "bf16", "fp16"] = "fp32"
    caption_groups: int = 1
    fused_adam: bool = False
    gradient_accumulation: int = 1
    gradient_checkpointing: bool = False
    deterministic: bool = False
    device: Literal["auto", "cpu", "cuda"] = "auto"
    save_every_steps: int | None = None
    save_every_minutes: float = 10.0
    num_threads: int | None = None
    seed: int = 42

    def epochs_of(self, stage: str) -> int:
        return dict(self.epochs)[stage]


@dataclass(frozen=True)
class CoPlaylistConfig:
    """The CO-Playlist baseline: a ResNet50 at full size, 2048-d, by its bottleneck blocks.

    Attributes:
        stem, widths, depths: channels before the first stage, after each, and blocks of each.
        head_width: of the projection that the contrast is made on.
        temperature: of NT-Xent; LARP's paper doesn't tell it.
        frames_pooled: mel frames averaged before the net. One at full size; more spares time in a small world.
        learning_rate: in place of the towers'; a net of batch norms takes a higher one.
    """

    stem: int = 64
    widths: tuple[int, ...] = (256, 512, 1024, 2048)
    depths: tuple[int, ...] = (3, 4, 6, 3)
    head_width: int = 128
    temperature: float = 0.1
    frames_pooled: int = 1
    learning_rate: float = 1e-4


@dataclass(frozen=True)
class EncodersConfig:
    """Encoders that are used as they come.

    `clap_pt` is a hub name or folder of a `ClapModel`, where LARP_CLAP_PT names none.
    """

    clap_pt: str | None = None
