"""The numbers that LARP (KDD 2024, doi 10.1145/3637528.3671772) prints, on its own data and splits.

They are shown beside ours where the dataset is the real one, and marked as the paper's. Its models were selected on the
test split; ours never are.
"""

from __future__ import annotations

from larp_core.evaluation.names import CLCREC, DROPOUTNET, ITEMKNN

PAPER_TABLE_1: dict[tuple[str, str], dict[str, float]] = {
    ("mpd", "train"): {"num_tracks": 98_552},
    ("mpd", "test"): {
        "num_tracks": 6_978,
        "num_playlists": 100,
        "tracks_per_playlist": 98.12,
        "playlists_per_track": 1.41,
        "homogeneity": 0.60,
    },
    ("lfm", "train"): {"num_tracks": 87_558},
    ("lfm", "test"): {
        "num_tracks": 17_439,
        "num_playlists": 1_000,
        "tracks_per_playlist": 91.04,
        "playlists_per_track": 4.63,
        "homogeneity": 0.56,
    },
}
"""What it does not print is absent here."""

_COLUMNS = tuple((metric, k) for k in (10, 20, 40) for metric in ("recall", "ndcg"))
_DATASETS = ("mpd", "lfm")

_Figures = tuple[tuple[float, ...], ...]
"""One tuple a dataset, in the order of the columns."""

_TABLE_2: dict[str, dict[str, _Figures]] = {
    ITEMKNN: {
        "jukebox": (
            (0.0012, 0.0045, 0.0025, 0.0051, 0.0055, 0.0059),
            (0.0005, 0.0017, 0.0008, 0.0015, 0.0021, 0.0019),
        ),
        "mule": (
            (0.0156, 0.0798, 0.0286, 0.0738, 0.0457, 0.0609),
            (0.0036, 0.0140, 0.0066, 0.0131, 0.0121, 0.0133),
        ),
        "co_playlist": (
            (0.0012, 0.0058, 0.0022, 0.0056, 0.0067, 0.0076),
            (0.0008, 0.0036, 0.0016, 0.0036, 0.0024, 0.0029),
        ),
        "clap_pt": (
            (0.0020, 0.0099, 0.0041, 0.0099, 0.0065, 0.0084),
            (0.0013, 0.0061, 0.0024, 0.0054, 0.0038, 0.0047),
        ),
        "clap_ft": (
            (0.0217, 0.1047, 0.0386, 0.0967, 0.0682, 0.0877),
            (0.0033, 0.0125, 0.0067, 0.0131, 0.0132, 0.0137),
        ),
        "larp_tpc_fusion": (
            (0.0406, 0.1964, 0.0753, 0.1868, 0.1306, 0.1669),
            (0.0137, 0.0536, 0.0233, 0.0479, 0.0389, 0.0446),
        ),
    },
    DROPOUTNET: {
        "jukebox": (
            (0.0022, 0.0106, 0.0034, 0.0090, 0.0063, 0.0082),
            (0.0008, 0.0040, 0.0014, 0.0035, 0.0023, 0.0030),
        ),
        "mule": (
            (0.0286, 0.1464, 0.0534, 0.1377, 0.0861, 0.1166),
            (0.0066, 0.0261, 0.0131, 0.0259, 0.0236, 0.0257),
        ),
        "co_playlist": (
            (0.0016, 0.0087, 0.0034, 0.0088, 0.0065, 0.0083),
            (0.0011, 0.0053, 0.0017, 0.0043, 0.0030, 0.0038),
        ),
        "clap_pt": (
            (0.0022, 0.0114, 0.0047, 0.0117, 0.0081, 0.0105),
            (0.0006, 0.0031, 0.0016, 0.0034, 0.0031, 0.0034),
        ),
        "clap_ft": (
            (0.0283, 0.1396, 0.0531, 0.1325, 0.0888, 0.1158),
            (0.0070, 0.0259, 0.0128, 0.0247, 0.0210, 0.0232),
        ),
        "larp_tpc_fusion": (
            (0.0418, 0.2171, 0.0784, 0.2028, 0.1375, 0.1815),
            (0.0146, 0.0558, 0.0245, 0.0495, 0.0417, 0.0471),
        ),
    },
    CLCREC: {
        "jukebox": (
            (0.0014, 0.0078, 0.0038, 0.0092, 0.0071, 0.0088),
            (0.0010, 0.0036, 0.0013, 0.0029, 0.0021, 0.0025),
        ),
        "mule": (
            (0.0294, 0.1546, 0.0521, 0.1391, 0.0878, 0.1201),
            (0.0087, 0.0324, 0.0168, 0.0321, 0.0310, 0.0326),
        ),
        "co_playlist": (
            (0.0026, 0.0121, 0.0041, 0.0103, 0.0069, 0.0091),
            (0.0009, 0.0060, 0.0015, 0.0048, 0.0023, 0.0036),
        ),
        "clap_pt": (
            (0.0024, 0.0111, 0.0042, 0.0103, 0.0071, 0.0091),
            (0.0012, 0.0053, 0.0017, 0.0042, 0.0030, 0.0038),
        ),
        "clap_ft": (
            (0.0240, 0.1137, 0.0446, 0.1088, 0.0814, 0.1020),
            (0.0076, 0.0289, 0.0141, 0.0275, 0.0241, 0.0264),
        ),
        "larp_tpc_fusion": (
            (0.0416, 0.2069, 0.0779, 0.1962, 0.1330, 0.1737),
            (0.0151, 0.0581, 0.0259, 0.0527, 0.0423, 0.0487),
        ),
    },
}
_TABLE_3: dict[str, dict[str, _Figures]] = {
    ITEMKNN: {
        "bert": (
            (0.0075, 0.0415, 0.0122, 0.0351, 0.0191, 0.0285),
            (0.0032, 0.0128, 0.0052, 0.0109, 0.0089, 0.0104),
        ),
        "htsat": (
            (0.0012, 0.0072, 0.0031, 0.0079, 0.0071, 0.0086),
            (0.0006, 0.0025, 0.0011, 0.0024, 0.0023, 0.0025),
        ),
        "larp_wtc": (
            (0.0256, 0.1278, 0.0444, 0.1168, 0.0779, 0.1039),
            (0.0057, 0.0232, 0.0104, 0.0218, 0.0201, 0.0218),
        ),
        "larp_ttc": (
            (0.0373, 0.1968, 0.0724, 0.1833, 0.1243, 0.1631),
            (0.0141, 0.0587, 0.0256, 0.0539, 0.0425, 0.0496),
        ),
        "larp_tpc": (
            (0.0357, 0.1865, 0.0641, 0.1699, 0.1132, 0.1517),
            (0.0094, 0.0354, 0.0171, 0.0333, 0.0286, 0.0320),
        ),
        "larp_tpc_fusion": (
            (0.0406, 0.1964, 0.0753, 0.1868, 0.1306, 0.1669),
            (0.0137, 0.0536, 0.0233, 0.0479, 0.0389, 0.0446),
        ),
    }
}

Published = dict[tuple[str, str, str, str, int], float]
"""(dataset, recommender, encoder, metric, K): the paper's figure."""


def _flat(table: dict[str, dict[str, _Figures]]) -> Published:
    return {
        (dataset, recommender, encoder, *column): figure
        for recommender, encoders in table.items()
        for encoder, figures in encoders.items()
        for dataset, own in zip(_DATASETS, figures, strict=True)
        for column, figure in zip(_COLUMNS, own, strict=True)
    }


PAPER_TABLE_2 = _flat(_TABLE_2)
PAPER_TABLE_3 = _flat(_TABLE_3)

PAPER_TABLE_4 = {
    "MULE": (0.0036, 0.0140, 0.0066, 0.0131, 0.0121, 0.0133),
    "CLAP-FT, trained on LFM-2b": (0.0033, 0.0125, 0.0067, 0.0131, 0.0132, 0.0137),
    "LARP-TPC-fusion, trained on MPD": (0.0102, 0.1311, 0.0165, 0.1178, 0.0276, 0.1079),
}
"""All on LFM-2b, in the order of the columns. The last row's NDCG does not fit its recall: rows with a Recall@10 near
.01 have an NDCG@10 near .04."""
