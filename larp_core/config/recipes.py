"""Recipes: named, complete, frozen configurations. A run is one of these, never a pile of flags.

To change a setting for good, write a new recipe with `dataclasses.replace` and add it to `RECIPES`. What each value
rests on: LARP (KDD 2024) section 4.1 and appendix B for `paper`, the authors' published scripts for `released_code`.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from larp_core.config import (
    AcquireConfig,
    AudioTowerConfig,
    CaptionConfig,
    ClipConfig,
    CoPlaylistConfig,
    EncodersConfig,
    EvaluationConfig,
    IngestConfig,
    ModelConfig,
    ReportConfig,
    SplitConfig,
    SpotifyConfig,
    TextTowerConfig,
    TrainingConfig,
    WorldConfig,
)
from larp_core.config.data import split_policies
from larp_core.config.recommenders import (
    ClcrecConfig,
    DropoutNetConfig,
    FittingConfig,
    RecommendersConfig,
    WmfConfig,
)
from larp_core.config.section import Name, Section
from larp_core.config.stages import STAGES
from larp_core.runtime.errors import UserError


@dataclass(frozen=True)
class Recipe(Section):
    """All sections. Raises UserError for fields that can't work, see `larp_core.config.section`."""

    name: Name
    summary: str
    world: WorldConfig = field(default_factory=WorldConfig)
    ingest: IngestConfig = field(default_factory=IngestConfig)
    split: SplitConfig = field(default_factory=SplitConfig)
    caption: CaptionConfig = field(default_factory=CaptionConfig)
    spotify: SpotifyConfig = field(default_factory=SpotifyConfig)
    acquire: AcquireConfig = field(default_factory=AcquireConfig)
    clip: ClipConfig = field(default_factory=ClipConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)
    recommenders: RecommendersConfig = field(default_factory=RecommendersConfig)
    co_playlist: CoPlaylistConfig = field(default_factory=CoPlaylistConfig)
    encoders: EncodersConfig = field(default_factory=EncodersConfig)
    evaluation: EvaluationConfig = field(default_factory=EvaluationConfig)
    report: ReportConfig = field(default_factory=ReportConfig)

    def check(self) -> None:
        """Raises UserError where a stage has no epochs."""
        if missing := [name for name in STAGES if name not in dict(self.training.epochs)]:
            self.refuse(f"each stage needs a number, 0 where it isn't trained: {', '.join(missing)}", "training.epochs")


def _epochs(wtc: int, ttc: int, stage_3: int, clap_ft: int, co_playlist: int) -> tuple[tuple[str, int], ...]:
    """Stage 3 and "TTC continued" always get the same number: stage 3 contains the TTC loss."""
    return (
        ("larp_wtc", wtc),
        ("larp_ttc", ttc),
        ("larp_ttc_continued", stage_3),
        ("larp_tpc", stage_3),
        ("larp_tpc_fusion", stage_3),
        ("clap_ft", clap_ft),
        ("co_playlist", co_playlist),
    )


PAPER = Recipe(
    name="paper",
    summary="The paper's settings: full-size towers from pretrained weights, its splits, templates and schedule.",
    # As in the published scripts. All the listening of years before is some ten times as much, and more than a machine
    # of 16 GB holds; a smaller share of the users is the other way.
    ingest=IngestConfig(lfm_since="2020-01-01"),
    split=SplitConfig(
        policy=split_policies("paper"),
        playlist_fractions=(0.9, 0.05, 0.05),
        min_tracks=31,
        max_tracks=100,
    ),
    model=ModelConfig(
        audio=AudioTowerConfig(pretrained="laion/clap-htsat-unfused"),
        text=TextTowerConfig(pretrained="bert-base-uncased"),
    ),
    encoders=EncodersConfig(clap_pt="laion/clap-htsat-unfused"),
    training=TrainingConfig(caption_groups=4, fused_adam=True),
)

RELEASED_CODE = replace(
    PAPER,
    name="released_code",
    summary="What the published scripts compute where they differ from the paper: captions, offsets, diagonal targets.",
    caption=CaptionConfig(template="{track} is a song by the artist {artist} on the album {album}"),
    clip=ClipConfig(offsets="released_code", margin_seconds=0.0, clips_per_track=9),
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

SMALL_RECOMMENDERS = RecommendersConfig(
    wmf=WmfConfig(solver="als", width=32, epochs=15),
    fitting=FittingConfig(epochs=60, patience=8, batch_size=256, num_negatives=128),
    dropoutnet=DropoutNetConfig(
        width=64, hidden=64, optimiser="adam", learning_rate=2e-3, l2=1e-3, feature_dropout=0.8
    ),
    clcrec=ClcrecConfig(hidden=64, learning_rate=3e-3, l2=0.03, temperature=0.5),
)
"""Chosen by Recall@10 on the demo world's validation playlists, alike for all encoders. Appendix B's values learn more
slowly from its 3,000 pairs: on LARP-TTC's vectors CLCRec came to .196 with them and to .209 with these, DropoutNet to
.130 and .205, where WMF by ALS in place of SGD made most of the difference (.171 to .200)."""

DEMO = Recipe(
    name="demo",
    summary="The synthetic world with small towers trained from scratch on a CPU: minutes from nothing to tables.",
    model=SMALL_MODEL,
    co_playlist=CoPlaylistConfig(
        stem=16, widths=(32, 64, 128, 256), depths=(1, 1, 1, 1), head_width=64, frames_pooled=8, learning_rate=1e-3
    ),
    recommenders=SMALL_RECOMMENDERS,
    training=TrainingConfig(
        batch_size=32,
        epochs=_epochs(wtc=12, ttc=8, stage_3=5, clap_ft=12, co_playlist=12),
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
    recommenders=replace(
        SMALL_RECOMMENDERS,
        wmf=replace(SMALL_RECOMMENDERS.wmf, width=8, epochs=2),
        fitting=replace(SMALL_RECOMMENDERS.fitting, epochs=2),
    ),
    training=replace(DEMO.training, batch_size=8, epochs=_epochs(wtc=2, ttc=1, stage_3=1, clap_ft=1, co_playlist=1)),
    evaluation=replace(DEMO.evaluation, bootstrap_samples=200),
)

SMALL_REAL = replace(
    DEMO,
    name="small_real",
    summary="Real playlists on a machine without a GPU: small towers from scratch, caption-only tracks welcome.",
    # The seed was chosen so that the ten listeners of a small LFM-2b sample fall into all three splits (4, 3 and 3).
    split=SplitConfig(
        policy=split_policies(lfm="train_first"),
        seed=6,
        playlist_fractions=(0.5, 0.2, 0.3),
        track_fractions=(0.5, 0.2, 0.3),
        min_tracks=5,
    ),
    # Of some hundred playlists contrast alone learns less than the names know, see benchmarks/real_playlists.py.
    model=replace(
        SMALL_MODEL,
        text=replace(SMALL_MODEL.text, vocab_size=8_000, lexical=True),
        projection=512,
        queue_size=256,
    ),
    training=replace(DEMO.training, batch_size=64),
)

SMALL_OWN = replace(
    DEMO,
    name="small_own",
    summary="A personal library: some 30 playlists or more of some 300 files or more. Small towers from scratch.",
    # A held-out playlist keeps three tenths of its tracks, so that one of 15 still has 4: 2 seeds and 2 targets.
    split=replace(DEMO.split, playlist_fractions=(0.4, 0.3, 0.3), track_fractions=(0.4, 0.3, 0.3), min_tracks=4),
)

RECIPES = {recipe.name: recipe for recipe in (DEMO, PAPER, RELEASED_CODE, SMALL_OWN, SMALL_REAL, SMOKE)}


def recipe_named(name: str) -> Recipe:
    """Raises UserError where there is no such recipe."""
    if name not in RECIPES:
        raise UserError(f"LARP_RECIPE: unknown recipe '{name}'; choose from {', '.join(sorted(RECIPES))}")
    return RECIPES[name]
