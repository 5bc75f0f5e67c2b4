"""The stages of training, LARP's and its baselines': what each contrasts, hears and starts from.

Facts alone, nothing heavy: the DAG's process reads them. `larp_core.training.stages` makes a run of one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Stage:
    """One training, which writes `models/<name>/`.

    Attributes:
        name: of the encoder that it trains.
        summary: one sentence for a person.
        job: the Dagster job that runs it; a baseline stands beside the stage that it is compared with.
        losses: among wtc, ttc, tpc (paper, equations 7 to 9), clap, nt_xent; their mean is descended.
        parent: the stage whose weights it starts from; None for new ones.
        reads: whether captions take part. Sound always does, where a track has a clip.
        fusion: how playlists become one vector in tpc.
        sections: of the recipe, that its weights depend on.
    """

    name: str
    summary: str
    job: str
    losses: tuple[str, ...]
    parent: str | None = None
    reads: bool = True
    fusion: Literal["mean", "attention"] = "mean"
    sections: tuple[str, ...] = ("model", "training")

    @property
    def pairs(self) -> bool:
        """Whether it draws pairs of tracks that share a playlist, and not single tracks."""
        return bool({"ttc", "nt_xent"} & set(self.losses))


STAGES = {
    stage.name: stage
    for stage in (
        Stage(
            "larp_wtc",
            "Stage 1: within-track contrast (WTC), audio against caption of the same track.",
            job="train_wtc",
            losses=("wtc",),
        ),
        Stage(
            "larp_ttc",
            "Stage 2: adds track-track contrast (TTC) over tracks that share a playlist.",
            job="train_ttc",
            losses=("wtc", "ttc"),
            parent="larp_wtc",
        ),
        Stage(
            "larp_ttc_continued",
            "Stage 2 trained for as many further epochs as stage 3: the fair rival of stage 3.",
            job="train_tpc",
            losses=("wtc", "ttc"),
            parent="larp_ttc",
        ),
        Stage(
            "larp_tpc",
            "Stage 3: adds track-playlist contrast (TPC), playlists as the mean of their tracks.",
            job="train_tpc",
            losses=("wtc", "ttc", "tpc"),
            parent="larp_ttc",
        ),
        Stage(
            "larp_tpc_fusion",
            "Stage 3 with playlists as a self-attention over their tracks.",
            job="train_tpc",
            losses=("wtc", "ttc", "tpc"),
            parent="larp_ttc",
            fusion="attention",
        ),
        Stage(
            "clap_ft",
            "CLAP-FT baseline: the same towers under a symmetric InfoNCE on clip and caption, no playlists.",
            job="train_wtc",
            losses=("clap",),
        ),
        Stage(
            "co_playlist",
            "CO-Playlist baseline: a ResNet under NT-Xent on the clips of tracks that share a playlist.",
            job="train_ttc",
            losses=("nt_xent",),
            reads=False,
            sections=("co_playlist", "training"),
        ),
    )
}
"""By name, in the order of the graph."""
