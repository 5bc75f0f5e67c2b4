"""LARP as a `transformers` model. Importing this registers it with AutoConfig, AutoModel and AutoProcessor."""

from larp_core.model.co_playlist import CoPlaylistModel, CoPlaylistModelConfig
from larp_core.model.configuration_larp import LarpConfig
from larp_core.model.modeling_larp import LarpModel, LarpOutput
from larp_core.model.processing_larp import LarpFeatureExtractor, LarpProcessor

__all__ = [
    "CoPlaylistModel",
    "CoPlaylistModelConfig",
    "LarpConfig",
    "LarpFeatureExtractor",
    "LarpModel",
    "LarpOutput",
    "LarpProcessor",
]
