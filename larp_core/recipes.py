"""Recipes: named, complete, frozen configurations. A run is one of these, never a pile of flags.

To change a setting for good, write a new recipe with `dataclasses.replace` and add it to `RECIPES`. What each value
rests on: LARP (KDD 2024) section 4.1 and appendix B for `paper`, the authors' published scripts for `released_code`.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Literal

from larp_core.errors import UserError

Stage = Literal["larp_wtc", "larp_ttc", "larp_ttc_continued", "larp_tpc", "larp_tpc_fusion", "clap_ft"]


@dataclass(frozen=True)
class WorldConfig:
    """Size and difficulty of the demo world (`larp_core.demo`).

    Attributes:
        num_tracks, num_artists: the catalogue that both demo datasets draw from.
        num_playlists, num_listeners: of the MPD and of the LFM side.
        track_seconds: shortest audio; each track lasts up to 6 s more. The clip's margins need 50 s.
        playlist_length: fewest and most different tracks of a playlist, or of what a listener hears. The split by
            tracks cuts each playlist to the tracks of its own split, so a test playlist keeps some 30% of these.
        outlier_fraction: share of a playlist's tracks that are drawn from the whole catalogue.
        max_themes: a playlist mixes one to this many themes.
        caption_noise: share of the words in names that tell nothing of genre or mood.
    """

    seed: int = 7
    num_tracks: int = 1500
    num_artists: int = 75
    num_playlists: int = 400
    num_listeners: int = 400
    track_seconds: float = 52.0
    playlist_length: tuple[int, int] = (45, 80)
    outlier_fraction: float = 0.2
    max_themes: int = 2
    caption_noise: float = 0.4


@dataclass(frozen=True)
class SplitConfig:
    """Cold-start split. `policy` per dataset, see `larp_core.data.split`.

    Attributes:
        playlist_fractions, track_fractions: train, valid, test shares of the hash range.
        min_tracks: playlists with fewer tracks, after tracks of other splits are taken out, are dropped.
        max_tracks: valid and test playlists are cut to this many.
        seed_fraction: the share of a valid/test playlist's tracks shown to the recommender; the rest are targets.
    """

    policy: tuple[tuple[str, str], ...] = (("mpd", "sampled_tracks"), ("lfm", "sampled_tracks"))
    seed: int = 42
    playlist_fractions: tuple[float, float, float] = (0.3, 0.3, 0.4)
    track_fractions: tuple[float, float, float] = (0.5, 0.2, 0.3)
    min_tracks: int = 8
    max_tracks: int = 100
    seed_fraction: float = 0.5

    def policy_for(self, dataset: str) -> str:
        return dict(self.policy)[dataset]


@dataclass(frozen=True)
class CaptionConfig:
    """`template` has the named fields `track`, `artist` and `album`."""

    template: str = "The track {track} by {artist} on album {album}"


@dataclass(frozen=True)
class ClipConfig:
    """One clip a track. `offsets`: `uniform` between the margins, or as in the `released_code`, without margins."""

    clip_seconds: float = 10.0
    sample_rate_hz: int = 48_000
    margin_seconds: float = 20.0
    offsets: Literal["uniform", "released_code"] = "uniform"
    seed: int = 42


@dataclass(frozen=True)
class AudioTowerConfig:
    """HTS-AT as `transformers.ClapAudioModel`; the pooled width is `width * 2 ** (len(depths) - 1)`.

    With `train_mel_norm` off the scale and shift of the batch norm over mel bins stay one and zero: 128 numbers
    whose gradient is half of a small tower's backward pass, since it runs through the resizing of the spectrogram.
    """

    patch: int = 4
    window: int = 8
    depths: tuple[int, ...] = (2, 2, 6, 2)
    heads: tuple[int, ...] = (4, 8, 16, 32)
    width: int = 96
    dropout: float = 0.0
    train_mel_norm: bool = True
    pretrained: str | None = None


@dataclass(frozen=True)
class TextTowerConfig:
    """BERT, its CLS token. With nothing pretrained a WordPiece vocabulary is trained on the train split's captions."""

    width: int = 768
    layers: int = 12
    heads: int = 12
    max_tokens: int = 30
    vocab_size: int = 30_522
    dropout: float = 0.1
    pretrained: str | None = None


@dataclass(frozen=True)
class ModelConfig:
    """LARP's architecture. `norm="batch"` puts a batch norm (no affine) before each projection: a departure from the
    paper without which small towers do not train from scratch."""

    audio: AudioTowerConfig = field(default_factory=AudioTowerConfig)
    text: TextTowerConfig = field(default_factory=TextTowerConfig)
    projection: int = 256
    norm: Literal["none", "batch"] = "none"
    momentum: float = 0.995
    queue_size: int = 57_600
    temperature: float = 0.07


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
    """

    batch_size: int = 50
    epochs: tuple[tuple[str, int], ...] = (
        ("larp_wtc", 45),
        ("larp_ttc", 45),
        ("larp_ttc_continued", 45),
        ("larp_tpc", 45),
        ("larp_tpc_fusion", 45),
        ("clap_ft", 45),
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
    batch_keys: Literal["online", "momentum"] = "online"
    precision: Literal["fp32", "bf16"] = "fp32"
    num_threads: int | None = None
    seed: int = 42

    def epochs_of(self, stage: str) -> int:
        return dict(self.epochs)[stage]


@dataclass(frozen=True)
class EvaluationConfig:
    """Recall@K and NDCG@K with bootstrap intervals over playlists."""

    ks: tuple[int, ...] = (10, 20, 40)
    bootstrap_samples: int = 2_000
    confidence: float = 0.95
    seed: int = 42


@dataclass(frozen=True)
class Recipe:
    name: str
    summary: str
    world: WorldConfig = field(default_factory=WorldConfig)
    split: SplitConfig = field(default_factory=SplitConfig)
    caption: CaptionConfig = field(default_factory=CaptionConfig)
    clip: ClipConfig = field(default_factory=ClipConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)
    evaluation: EvaluationConfig = field(default_factory=EvaluationConfig)


def _epochs(wtc: int, ttc: int, stage_3: int, clap_ft: int) -> tuple[tuple[str, int], ...]:
    """Stage 3 and "TTC continued" always get the same number: stage 3 contains the TTC loss."""
    return (
        ("larp_wtc", wtc),
        ("larp_ttc", ttc),
        ("larp_ttc_continued", stage_3),
        ("larp_tpc", stage_3),
        ("larp_tpc_fusion", stage_3),
        ("clap_ft", clap_ft),
    )


PAPER = Recipe(
    name="paper",
    summary="The paper's settings: full-size towers from pretrained weights, its splits, templates and schedule.",
    split=SplitConfig(
        policy=(("mpd", "sampled_tracks"), ("lfm", "train_first")),
        playlist_fractions=(0.9, 0.05, 0.05),
        min_tracks=31,
        max_tracks=100,
    ),
    model=ModelConfig(
        audio=AudioTowerConfig(pretrained="laion/clap-htsat-unfused"),
        text=TextTowerConfig(pretrained="bert-base-uncased"),
    ),
)

RELEASED_CODE = replace(
    PAPER,
    name="released_code",
    summary="What the published scripts compute where they differ from the paper: captions, offsets, diagonal targets.",
    caption=CaptionConfig(template="{track} is a song by the artist {artist} on the album {album}"),
    clip=ClipConfig(offsets="released_code", margin_seconds=0.0),
    training=replace(
        PAPER.training,
        adam_betas=(0.9, 0.999),
        warmup_steps=3_200,
        patience=None,
        targets="diagonal",
        soft_label_weight=0.4,
        batch_keys="momentum",
    ),
)

SMALL_MODEL = ModelConfig(
    audio=AudioTowerConfig(patch=16, window=4, depths=(1, 1, 1), heads=(2, 4, 8), width=48, train_mel_norm=False),
    text=TextTowerConfig(width=128, layers=1, heads=4, vocab_size=2_000, dropout=0.0),
    norm="batch",
    momentum=0.7,
    queue_size=64,
)
"""An epoch has some twenty steps: a momentum of 0.995 would fill the queue with features of ten epochs ago, negatives
that are told apart by their age. A fast momentum encoder and a queue of one step keep them comparable."""

DEMO = Recipe(
    name="demo",
    summary="The synthetic world with small towers trained from scratch on a CPU: minutes from nothing to tables.",
    model=SMALL_MODEL,
    training=TrainingConfig(
        batch_size=32,
        epochs=_epochs(wtc=12, ttc=8, stage_3=5, clap_ft=12),
        patience=4,
        learning_rate=4e-4,
        warmup_steps=40,
        # Without it differences between unlike tracks are noise, which even a random second objective would mend.
        label_smoothing=0.3,
        token_dropout=0.3,
        queue_positives="masked",
        precision="bf16",
        num_threads=1,
    ),
)

SMOKE = replace(
    DEMO,
    name="smoke",
    summary="A tiny world and an epoch or two: every branch of the graph in a few minutes. Its scores mean nothing.",
    world=WorldConfig(num_tracks=90, num_artists=12, num_playlists=40, num_listeners=40),
    split=replace(DEMO.split, min_tracks=4),
    training=replace(DEMO.training, batch_size=8, epochs=_epochs(wtc=2, ttc=1, stage_3=1, clap_ft=1)),
    evaluation=replace(DEMO.evaluation, bootstrap_samples=200),
)

SMALL_REAL = replace(
    DEMO,
    name="small_real",
    summary="Real playlists on a machine without a GPU: small towers from scratch, caption-only tracks welcome.",
    # The seed was chosen so that the ten listeners of a small LFM-2b sample fall into all three splits (4, 3 and 3).
    split=SplitConfig(
        policy=(("mpd", "sampled_tracks"), ("lfm", "train_first")),
        seed=6,
        playlist_fractions=(0.5, 0.2, 0.3),
        track_fractions=(0.5, 0.2, 0.3),
        min_tracks=5,
    ),
    model=replace(SMALL_MODEL, text=replace(SMALL_MODEL.text, vocab_size=8_000), queue_size=256),
    training=replace(DEMO.training, batch_size=64),
)

RECIPES = {recipe.name: recipe for recipe in (DEMO, PAPER, RELEASED_CODE, SMALL_REAL, SMOKE)}


def recipe_named(name: str) -> Recipe:
    """Raises UserError where there is no such recipe."""
    if name not in RECIPES:
        raise UserError(f"LARP_RECIPE: unknown recipe '{name}'; choose from {', '.join(sorted(RECIPES))}")
    return RECIPES[name]
