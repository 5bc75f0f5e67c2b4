"""The sections of a recipe: every setting of the pipeline, its type and its meaning."""

from larp_core.config.audio import AcquireConfig, ClipConfig
from larp_core.config.data import SOUND_FIELDS, CaptionConfig, IngestConfig, SplitConfig, SpotifyConfig
from larp_core.config.evaluation import SIMILARITIES, EvaluationConfig, ReportConfig, Similarity
from larp_core.config.model import AudioTowerConfig, ModelConfig, TextTowerConfig
from larp_core.config.training import CoPlaylistConfig, EncodersConfig, TrainingConfig
from larp_core.config.world import WorldConfig

__all__ = [
    "SIMILARITIES",
    "SOUND_FIELDS",
    "AcquireConfig",
    "AudioTowerConfig",
    "CaptionConfig",
    "ClipConfig",
    "CoPlaylistConfig",
    "EncodersConfig",
    "EvaluationConfig",
    "IngestConfig",
    "ModelConfig",
    "ReportConfig",
    "Similarity",
    "SplitConfig",
    "SpotifyConfig",
    "TextTowerConfig",
    "TrainingConfig",
    "WorldConfig",
]
