"""The encoders: one entry each, from which steps, assets, tables and the footer of the embeddings' files follow.

To add one, write a function `(job, track_ids) -> Embedded` and its entry here; an encoder that is trained on the
dataset needs its step's work and its epochs in the recipes too. Facts alone, nothing heavy: the DAG's process reads it.
"""

from __future__ import annotations

from dataclasses import dataclass

from larp_core.config.settings import VARIABLES

OUR_RATE_HZ = 48_000
TOWERS = "larp_core.encoders.towers"
OURS = "this dataset's training, beside the licences of its data and of what it starts from"


@dataclass(frozen=True)
class Training:
    """How an encoder comes by weights of its own, `models/<encoder>/`.

    Attributes:
        summary: one sentence for a person.
        job: the Dagster job that trains it; a baseline stands beside the stage that it is compared with.
        parent: the stage whose weights it starts from.
        sections: of the recipe, that its weights depend on.
    """

    summary: str
    job: str
    parent: str | None = None
    sections: tuple[str, ...] = ("model", "training")


@dataclass(frozen=True)
class Encoder:
    """What an encoder is.

    Attributes:
        name: folder, step and file name. title: its name in tables and figures.
        summary: one sentence for a person.
        extractor: `module:function`, which gives an `Embedded`.
        hears, reads: whether it takes a track's sound, its caption.
        licence: of code and weights.
        source: where its weights come from.
        dimensions: widths that its vectors may have; empty where the recipe decides.
        sample_rate_hz: of the audio that it must be given; None where it hears nothing.
        training: None for an encoder that is used as it comes.
        weights: the setting that names weights to be found; empty where none are.
        command: the setting that names a command of an environment of its own; empty where it runs in ours.
        is_backbone: it counts as learned only where pretrained weights were given.
        torch: whether the extractor needs torch, and so a process of its own.
        version: raised when the meaning of its vectors changes.
    """

    name: str
    title: str
    summary: str
    extractor: str
    hears: bool
    reads: bool
    licence: str
    source: str
    dimensions: tuple[int, ...] = ()
    sample_rate_hz: int | None = OUR_RATE_HZ
    training: Training | None = None
    weights: str = ""
    command: str = ""
    is_backbone: bool = False
    torch: bool = True
    version: int = 1

    @property
    def variables(self) -> tuple[str, ...]:
        """Environment variables, any one of which brings its weights."""
        wanted = (self.weights, self.command)
        return tuple(variable for variable, setting in VARIABLES.items() if setting in wanted)

    @property
    def missing(self) -> str:
        """What a table says where no weights were found."""
        return f"weights not found: set {' or '.join(self.variables)}"


def _larp(name: str, title: str, job: str, parent: str | None, summary: str) -> Encoder:
    return Encoder(
        name=name,
        title=title,
        summary=f"{title}: a track's clip and caption in one space.",
        extractor=f"{TOWERS}:embed_two_towers",
        hears=True,
        reads=True,
        licence=OURS,
        source="trained here",
        training=Training(summary, job, parent),
    )


_ENCODERS = (
    Encoder(
        "mel_statistics",
        "mel statistics",
        "Mean and deviation of each mel bin: what the clip says without any model.",
        "larp_core.encoders.mel_statistics:embed_mel_statistics",
        hears=True,
        reads=False,
        licence="no weights",
        source="no weights",
        dimensions=(128,),
        torch=False,
    ),
    Encoder(
        "bert",
        "BERT",
        "The text tower alone, as it was before training on this dataset.",
        f"{TOWERS}:embed_text_tower",
        hears=False,
        reads=True,
        licence="Apache-2.0 (bert-base-uncased)",
        source="the recipe's model.text.pretrained; random without",
        sample_rate_hz=None,
        is_backbone=True,
    ),
    Encoder(
        "htsat",
        "HTS-AT",
        "The audio tower alone, as it was before training on this dataset.",
        f"{TOWERS}:embed_audio_tower",
        hears=True,
        reads=False,
        licence="MIT (HTS-AT), Apache-2.0 (CLAP's weights)",
        source="the recipe's model.audio.pretrained; random without",
        is_backbone=True,
    ),
    _larp(
        "larp_wtc",
        "LARP-WTC",
        "train_wtc",
        None,
        "Stage 1: within-track contrast (WTC), audio against caption of the same track.",
    ),
    _larp(
        "larp_ttc",
        "LARP-TTC",
        "train_ttc",
        "larp_wtc",
        "Stage 2: adds track-track contrast (TTC) over tracks that share a playlist.",
    ),
    _larp(
        "larp_ttc_continued",
        "TTC continued",
        "train_tpc",
        "larp_ttc",
        "Stage 2 trained for as many further epochs as stage 3: the fair rival of stage 3.",
    ),
    _larp(
        "larp_tpc",
        "LARP-TPC",
        "train_tpc",
        "larp_ttc",
        "Stage 3: adds track-playlist contrast (TPC), playlists as the mean of their tracks.",
    ),
    _larp(
        "larp_tpc_fusion",
        "LARP-TPC-fusion",
        "train_tpc",
        "larp_ttc",
        "Stage 3 with playlists as a self-attention over their tracks.",
    ),
    _larp(
        "clap_ft",
        "CLAP-FT",
        "train_wtc",
        None,
        "CLAP-FT baseline: the same towers under a symmetric InfoNCE on clip and caption, no playlists.",
    ),
    Encoder(
        "co_playlist",
        "CO-Playlist",
        "A ResNet over mels, trained on tracks that share playlists (Alonso-Jimenez et al. 2023).",
        "larp_core.encoders.co_playlist:embed_co_playlist",
        hears=True,
        reads=False,
        licence=OURS,
        source="trained here",
        training=Training(
            "CO-Playlist baseline: a ResNet under NT-Xent on the clips of tracks that share a playlist.",
            "train_ttc",
            sections=("co_playlist", "training"),
        ),
    ),
    Encoder(
        "clap_pt",
        "CLAP-PT",
        "LAION-CLAP as it was published: the mean of a clip's and a caption's vector, as CLAP-FT's and LARP's.",
        "larp_core.encoders.clap_pt:embed_clap",
        hears=True,
        reads=True,
        licence="Apache-2.0 (laion/clap-htsat-unfused)",
        source="LARP_CLAP_PT, else the recipe's encoders.clap_pt",
        weights="clap_pt",
    ),
    Encoder(
        "mule",
        "MULE",
        "SF-NFNet-F0, trained on 1.8 M tracks (McCallum et al. 2022): 1728 numbers a slice of 3 s, or five of them.",
        "larp_core.encoders.command:embed_elsewhere",
        hears=True,
        reads=False,
        licence="GPL-3.0 (sxmp-mule), CC-BY-NC-4.0 (weights)",
        source="vectors made in an environment of its own",
        dimensions=(1728, 5 * 1728),
        sample_rate_hz=16_000,
        weights="mule",
        command="mule_command",
        torch=False,
    ),
    Encoder(
        "jukebox",
        "Jukebox",
        "Layer 36 of OpenAI's 5B prior, averaged over time (Dhariwal et al. 2020).",
        "larp_core.encoders.command:embed_elsewhere",
        hears=True,
        reads=False,
        licence="non-commercial (OpenAI's Jukebox, code and weights)",
        source="vectors made in an environment of its own",
        dimensions=(4800,),
        sample_rate_hz=44_100,
        weights="jukebox",
        command="jukebox_command",
        torch=False,
    ),
)

CATALOGUE = {encoder.name: encoder for encoder in _ENCODERS}
"""Encoder's name: its facts, in the order of the graph."""

ENCODERS = tuple(CATALOGUE)
TRAINED = {name: encoder.training for name, encoder in CATALOGUE.items() if encoder.training}
"""Encoder: how it is trained."""
UNTRAINED = tuple(name for name in ENCODERS if name not in TRAINED)
