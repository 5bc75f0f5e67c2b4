"""The encoders: one entry each, from which steps, assets, tables and the footer of the embeddings' files follow.

To add one, write a function `(request, track_ids) -> Embedded`, see `larp_core.encoders.embedded`, and its entry here;
an encoder that is trained on the dataset needs a stage (`larp_core.config.stages`) and its epochs in the recipes too.
Facts alone, nothing heavy: the DAG's process reads them.
"""

from __future__ import annotations

from dataclasses import dataclass

from larp_core.config.evaluation import EvaluationConfig
from larp_core.config.settings import VARIABLES, Settings
from larp_core.config.stages import STAGES, Stage

OUR_RATE_HZ = 48_000
TOWERS = "larp_core.encoders.towers"
OURS = "this dataset's training, beside the licences of its data and of what it starts from"


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
        stage: of training, that gives it weights; None for an encoder that is used as it comes.
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
    stage: Stage | None = None
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


def _larp(name: str, title: str) -> Encoder:
    return Encoder(
        name=name,
        title=title,
        summary=f"{title}: a track's clip and caption in one space.",
        extractor=f"{TOWERS}:embed_two_towers",
        hears=True,
        reads=True,
        licence=OURS,
        source="trained here",
        stage=STAGES[name],
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
    _larp("larp_wtc", "LARP-WTC"),
    _larp("larp_ttc", "LARP-TTC"),
    _larp("larp_ttc_continued", "TTC continued"),
    _larp("larp_tpc", "LARP-TPC"),
    _larp("larp_tpc_fusion", "LARP-TPC-fusion"),
    _larp("clap_ft", "CLAP-FT"),
    Encoder(
        "co_playlist",
        "CO-Playlist",
        "A ResNet over mels, trained on tracks that share playlists (Alonso-Jimenez et al. 2023).",
        "larp_core.encoders.co_playlist:embed_co_playlist",
        hears=True,
        reads=False,
        licence=OURS,
        source="trained here",
        stage=STAGES["co_playlist"],
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
UNTRAINED = tuple(name for name in ENCODERS if name not in STAGES)

SCORE_FILES = ("metadata", *ENCODERS, "hybrid")
"""`scores/<name>.parquet`: rows without a model, every encoder, the metadata combined with vectors."""

FUSED = tuple(stage.name for stage in STAGES.values() if stage.fusion == "attention")
"""Encoders that have learned how a playlist's tracks become one vector."""

FIGURE_3_ENCODERS = ("bert", "htsat", "larp_wtc", "larp_ttc", "larp_tpc", "larp_tpc_fusion")
"""The panels of the paper's figure 3, which are the rows of its table 3."""

SENSITIVE_ENCODER = "larp_tpc_fusion"
NEIGHBOUR_COUNTS = (1, 5, 10, 30)
"""Figure 4: the |J| that the encoder is trained with."""

TRANSFER_ENCODER = "larp_tpc_fusion"
TRANSFER_FROM, TRANSFER_TO = "mpd", "lfm"
"""Table 4: what is trained on the one dataset and run on the other."""


def fuses_playlists(encoder: str, config: EvaluationConfig) -> bool:
    """Whether an encoder is asked for vectors of playlists, beside those of tracks."""
    return encoder in FUSED and config.playlist_vector == "fusion"


def has_transfer(settings: Settings) -> bool:
    """Whether the run has both of table 4's datasets."""
    return TRANSFER_FROM in settings.datasets and TRANSFER_TO in settings.datasets
