"""How encoders are trained."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from larp_core.config.model import NUM_MELS, Depth
from larp_core.config.section import (
    Count,
    CountOrZero,
    Name,
    Section,
    Seed,
    Share,
    ShareBelowAll,
    Temperature,
    Weight,
    Width,
    Within,
)
from larp_core.config.stages import STAGES

WEIGHED_LOSSES = ("wtc", "ttc", "tpc", "clap")
"""Names of `larp_core.losses.weighted.LOSSES`."""

LEAST_WEIGHT = 1e-6
"""Of a stage's losses together, whose sum single precision divides by."""

NUM_FRAMES = 1_001


@dataclass(frozen=True)
class TrainingConfig(Section, section="training"):
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

    batch_size: Count = 50
    epochs: tuple[tuple[str, CountOrZero], ...] = (
        ("larp_wtc", 45),
        ("larp_ttc", 45),
        ("larp_ttc_continued", 45),
        ("larp_tpc", 45),
        ("larp_tpc_fusion", 45),
        ("clap_ft", 45),
        ("co_playlist", 45),
    )
    patience: Count | None = 5
    learning_rate: Weight = 1e-4
    adam_betas: tuple[ShareBelowAll, ShareBelowAll] = (0.9, 0.99)
    weight_decay: Weight = 0.0
    warmup_steps: CountOrZero = 3_000
    num_neighbours: Annotated[int, Within(1, 100_000)] = 10
    targets: Literal["graph", "diagonal"] = "graph"
    soft_label_weight: Share = 0.0
    soft_label_warmup_epochs: CountOrZero = 2
    label_smoothing: Share = 0.0
    token_dropout: Share = 0.0
    queue_positives: Literal["negative", "masked"] = "negative"
    false_negatives: Literal["kept", "masked"] = "kept"
    pair_pruning: ShareBelowAll = 0.0
    loss_weights: tuple[tuple[str, Weight], ...] = ()
    text_hardness: Annotated[float, Within(0, 1_000)] = 0.0
    text_twins: Annotated[float, Within(-1, 1)] | None = None
    batch_keys: Literal["online", "momentum"] = "online"
    precision: Literal["fp32", "bf16", "fp16"] = "fp32"
    caption_groups: Count = 1
    fused_adam: bool = False
    gradient_accumulation: Count = 1
    gradient_checkpointing: bool = False
    deterministic: bool = False
    device: Literal["auto", "cpu", "cuda"] = "auto"
    save_every_steps: Count | None = None
    save_every_minutes: Annotated[float, Within(0, 1_000_000)] = 10.0
    num_threads: Annotated[int, Within(1, 1_024)] | None = None
    seed: Seed = 42

    def epochs_of(self, stage: str) -> int:
        return dict(self.epochs)[stage]

    def check(self) -> None:
        """Raises UserError for names that there are not, a stage without a loss, and switches that exclude others."""
        self.check_names("epochs", STAGES, "stage")
        self.check_names("loss_weights", WEIGHED_LOSSES, "loss")
        weights = dict(self.loss_weights)
        for stage in STAGES.values():
            if sum(weights.get(loss, 1.0) for loss in stage.losses) < LEAST_WEIGHT:
                self.refuse(f"it leaves nothing of {stage.name}: give one of its losses a weight", "loss_weights")
        if self.targets == "diagonal":
            self._refuse_switches_of_the_graph()

    def _refuse_switches_of_the_graph(self) -> None:
        """With diagonal targets nothing is asked of the graph, as in the published code."""
        asked = {
            "false_negatives": self.false_negatives == "masked",
            "pair_pruning": self.pair_pruning > 0,
            "text_hardness": self.text_hardness != 0,
            "text_twins": self.text_twins is not None,
        }
        if names := [name for name, is_on in asked.items() if is_on]:
            self.refuse("only with targets 'graph', not with the published code's 'diagonal'", *names, "targets")


@dataclass(frozen=True)
class CoPlaylistConfig(Section, section="co_playlist"):
    """The CO-Playlist baseline: a ResNet50 at full size, 2048-d, by its bottleneck blocks.

    Attributes:
        stem, widths, depths: channels before the first stage, after each, and blocks of each.
        head_width: of the projection that the contrast is made on.
        temperature: of NT-Xent; LARP's paper doesn't tell it.
        frames_pooled: mel frames averaged before the net. One at full size; more spares time in a small world.
        learning_rate: in place of the towers'; a net of batch norms takes a higher one.
    """

    stem: Width = 64
    widths: tuple[Annotated[int, Within(4, 65_536)], ...] = (256, 512, 1024, 2048)
    depths: tuple[Depth, ...] = (3, 4, 6, 3)
    head_width: Width = 128
    temperature: Temperature = 0.1
    frames_pooled: Annotated[int, Within(1, NUM_FRAMES)] = 1
    learning_rate: Weight = 1e-4

    def check(self) -> None:
        """Raises UserError where stages have no width or depth, or leave nothing of a clip to norm."""
        if not self.widths or len(self.widths) != len(self.depths):
            self.refuse("give each stage, one at least, a width and a depth", "widths", "depths")
        halvings = len(self.widths) + 1  # the stem's two, and one before each further stage
        sides = [-(-side // 2**halvings) for side in (NUM_FRAMES // self.frames_pooled, NUM_MELS)]
        if sides == [1, 1]:
            why = "a single number would be left of a clip, and a batch norm needs two: fewer stages, or less pooling"
            self.refuse(why, "widths", "frames_pooled", "depths")


@dataclass(frozen=True)
class EncodersConfig(Section, section="encoders"):
    """Encoders that are used as they come.

    `clap_pt` is a hub name or folder of a `ClapModel`, where LARP_CLAP_PT names none.
    """

    clap_pt: Name | None = None
