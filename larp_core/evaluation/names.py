"""What readers call the encoders and the rows of the tables."""

from __future__ import annotations

from larp_core.config.datasets import DATASETS
from larp_core.config.encoders import CATALOGUE
from larp_core.config.settings import Settings

DISPLAY_NAMES = {name: encoder.title for name, encoder in CATALOGUE.items()}
"""Encoder's folder name: its name in tables and figures."""

BACKBONES = tuple(name for name, encoder in CATALOGUE.items() if encoder.is_backbone)
"""Encoders that are learned only where pretrained weights were given."""

RANDOM = "random"
ORACLE = "oracle"
SAME_ARTIST = "same artist"
ARTIST_AND_ALBUM = "artist + album"
ARTIST_CO_OCCURRENCE = "artist co-occurrence"
CAPTION_TFIDF = "caption TF-IDF"
METADATA_ROWS = (RANDOM, ORACLE, SAME_ARTIST, ARTIST_AND_ALBUM, ARTIST_CO_OCCURRENCE, CAPTION_TFIDF)

ITEMKNN = "ItemKNN"
DROPOUTNET = "DropoutNet"
CLCREC = "CLCRec"
RECOMMENDERS = (ITEMKNN, DROPOUTNET, CLCREC)

HYBRID_ENCODERS = ("larp_ttc", "larp_tpc", "larp_tpc_fusion")
"""Encoders whose vectors are combined with the metadata."""
HYBRID_ALONE = "hybrid: metadata alone"


def row_name(encoder: str, *, pretrained: bool) -> str:
    """Display name; a backbone without pretrained weights is called untrained."""
    name = DISPLAY_NAMES[encoder]
    return name if pretrained or encoder not in BACKBONES else f"{name} (untrained)"


def hybrid_row(encoder: str) -> str:
    return f"hybrid: metadata + {DISPLAY_NAMES[encoder]}"


def dataset_title(settings: Settings, dataset: str) -> str:
    """What the figures were measured on: the demo world is never passed off as the dataset whose format it borrows."""
    title = DATASETS[dataset].title
    return f"Demo world in the {title}'s format ({dataset})" if settings.is_demo else f"{title} ({dataset})"
