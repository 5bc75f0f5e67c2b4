"""The split and an encoder's vectors in the formats of RecBole, ColdRec and MMRec, for their recommenders to run on.

Formats: RecBole's atomic files (docs, "Atomic Files"; `recbole/data/dataset/dataset.py`), ColdRec's `data/split.py` and
`main.py`, MMRec's `src/utils/dataset.py` and `src/common/abstract_recommender.py`. None of them knows of playlists that
are new as well as the tracks: a held-out playlist's seeds stand in a file of their own, to be taken as training pairs,
or shown to the model, by whoever runs it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from larp_core.config.paths import DatasetPaths
from larp_core.export.rows import SEED, TARGET, TRAIN, Rows, load_rows
from larp_core.runtime.files import atomic_path, make_folder, write_text

SPLITS = ("train", "valid", "test")


@dataclass(frozen=True)
class Exported:
    """Files written below `folder`, and what a reader should know."""

    folder: Path
    files: list[str]
    remarks: list[str]

    def lines(self) -> list[str]:
        return [*(f"{self.folder / name}" for name in self.files), *self.remarks]


def export(paths: DatasetPaths, form: str, to: Path, encoder: str) -> Exported:
    """Writes one of `FORMATS` below `to / larp_<dataset>`, the dataset's name there.

    Raises:
        UserError: see `load_rows`; a folder that can't be written.
    """
    rows, name = load_rows(paths, encoder), f"larp_{paths.dataset}"
    folder = make_folder(to.expanduser().resolve() / name)
    files = FORMATS[form](rows, folder, name)
    _write_csv(rows.users, folder / "playlists.csv")
    _write_csv(rows.items, folder / "tracks.csv")
    remarks = [
        f"{rows.users.height:,} playlists (users), {rows.items.height:,} tracks (items), {rows.pairs.height:,} pairs; "
        "playlists.csv and tracks.csv say whose number is whose",
    ]
    if rows.num_without_vector:
        remarks.append(f"{rows.num_without_vector:,} tracks have no vector of {encoder} and stand there as zeros")
    return Exported(folder, [*files, "playlists.csv", "tracks.csv"], remarks)


def write_recbole(rows: Rows, folder: Path, name: str) -> list[str]:
    """`<name>.{train,valid,test}.inter` for `benchmark_filename`, `<name>.{valid,test}_seeds.inter`, `<name>.item`.

    Tabs between fields, spaces within sequences; headers `name:type`. Names are single words joined by spaces, in which
    quotation marks are left out, since RecBole's reader takes them for CSV's.
    """
    files = {f"{name}.train.inter": rows.of("train", TRAIN)}
    for split in SPLITS[1:]:
        files[f"{name}.{split}.inter"] = rows.of(split, TARGET)
        files[f"{name}.{split}_seeds.inter"] = rows.of(split, SEED)
    for file, pairs in files.items():
        _write_tsv(pairs.rename({"user": "user_id:token", "item": "item_id:token"}), folder / file)
    vectors = [" ".join(f"{number:.8g}" for number in vector) for vector in rows.vectors["vector"].tolist()]
    items = rows.items.select(
        pl.col("item").alias("item_id:token"),
        _words("track_name").alias("track_name:token_seq"),
        _words("artist_name").alias("artist_name:token_seq"),
        pl.Series("vector:float_seq", vectors, dtype=pl.String),
    )
    _write_tsv(items, folder / f"{name}.item")
    return [*files, f"{name}.item"]


def write_coldrec(rows: Rows, folder: Path, name: str) -> list[str]:
    """`<name>.csv` (`user,item`), which ColdRec's own scripts split, `<name>_item_content.npy` float32 [items, D], and
    `split.csv` (`user,item,split,role`) with this pipeline's split for those who want it kept."""
    _write_csv(rows.pairs.select("user", "item"), folder / f"{name}.csv")
    _write_csv(rows.pairs, folder / "split.csv")
    _write_npy(rows.vectors["vector"], folder / f"{name}_item_content.npy")
    return [f"{name}.csv", "split.csv", f"{name}_item_content.npy"]


def write_mmrec(rows: Rows, folder: Path, name: str) -> list[str]:
    """`<name>.inter` (tab; `userID, itemID, x_label`: 0 train, 1 valid, 2 test targets), `seeds.inter`,
    `audio_feat.npy` and `text_feat.npy` float32 [items, D], and `<name>.yaml` for MMRec's `configs/dataset/`.

    An encoder that gives no modalities apart has its one vector as `text_feat.npy` and no other.
    """
    labels = {split: label for label, split in enumerate(SPLITS)}
    label = pl.col("split").cast(pl.String).replace_strict(labels, return_dtype=pl.Int64).alias("x_label")
    renamed = rows.pairs.rename({"user": "userID", "item": "itemID"})
    columns = ["userID", "itemID", label]
    _write_tsv(renamed.filter(pl.col("role") != SEED).select(columns), folder / f"{name}.inter")
    _write_tsv(renamed.filter(pl.col("role") == SEED).select(columns), folder / "seeds.inter")
    modalities = {"audio_feat.npy": "audio_vector", "text_feat.npy": "text_vector"}
    features = {file: rows.vectors[column] for file, column in modalities.items() if column in rows.vectors}
    for file, table in (features or {"text_feat.npy": rows.vectors["vector"]}).items():
        _write_npy(table, folder / file)
    yaml = (
        "USER_ID_FIELD: userID\nITEM_ID_FIELD: itemID\nfilter_out_cod_start_users: False\n"
        f"inter_file_name: '{name}.inter'\nvision_feature_file: 'audio_feat.npy'\n"
        "text_feature_file: 'text_feat.npy'\nuser_graph_dict_file: 'user_graph_dict.npy'\nfield_separator: \"\\t\"\n"
    )
    write_text(yaml, folder / f"{name}.yaml")
    return [f"{name}.inter", "seeds.inter", *(features or ["text_feat.npy"]), f"{name}.yaml"]


FORMATS: dict[str, Callable[[Rows, Path, str], list[str]]] = {
    "recbole": write_recbole,
    "coldrec": write_coldrec,
    "mmrec": write_mmrec,
}


def _words(column: str) -> pl.Expr:
    """A name as words with one space between them."""
    return pl.col(column).fill_null("").str.replace_all('"', "").str.replace_all(r"\s+", " ").str.strip_chars()


def _write_tsv(frame: pl.DataFrame, path: Path) -> None:
    with atomic_path(path) as partial:
        frame.write_csv(partial, separator="\t", quote_style="never")


def _write_csv(frame: pl.DataFrame, path: Path) -> None:
    with atomic_path(path) as partial:
        frame.write_csv(partial)


def _write_npy(table: np.ndarray, path: Path) -> None:
    with atomic_path(path) as partial:
        np.save(partial, table)
