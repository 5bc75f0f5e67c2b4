"""What readers call the encoders and the rows of the tables."""

from __future__ import annotations

from larp_core.settings import Settings

DISPLAY_NAMES = {
    "mel_statistics": "mel statistics",
    "bert": "BERT",
    "htsat": "HTS-AT",
    "clap_ft": "CLAP-FT",
    "larp_wtc": "LARP-WTC",
    "larp_ttc": "LARP-TTC",
    "larp_ttc_continued": "TTC continued",
    "larp_tpc": "LARP-TPC",
    "larp_tpc_fusion": "LARP-TPC-fusion",
}
"""Encoder's folder name: its name in tables and figures."""

BACKBONES = ("bert", "htsat")
"""Encoders that are learned only where pretrained weights were given."""

RANDOM = "random"
ORACLE = "oracle"
SAME_ARTIST = "same artist"
ARTIST_AND_ALBUM = "artist + album"
ARTIST_CO_OCCURRENCE = "artist co-occurrence"
CAPTION_TFIDF = "caption TF-IDF"
METADATA_ROWS = (RANDOM, ORACLE, SAME_ARTIST, ARTIST_AND_ALBUM, ARTIST_CO_OCCURRENCE, CAPTION_TFIDF)

ITEMKNN = "ItemKNN"

DATASET_TITLES = {"mpd": "Million Playlist Dataset", "lfm": "LFM-2b", "own": "Own music"}


def row_name(encoder: str, *, pretrained: bool) -> str:
    """Display name; a backbone without pretrained weights is called untrained."""
    name = DISPLAY_NAMES[encoder]
    return name if pretrained or encoder not in BACKBONES else f"{name} (untrained)"


def dataset_title(settings: Settings, dataset: str) -> str:
    """What the figures were measured on: the demo world is never passed off as the dataset whose format it borrows."""
    title = DATASET_TITLES[dataset]
    return f"Demo world in the {title}'s format ({dataset})" if settings.is_demo else f"{title} ({dataset})"
