"""What is exported is read back by each format's own rules, as its library's reader states them."""

import csv
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from larp_core.__main__ import main
from larp_core.config.paths import DatasetPaths
from larp_core.export.formats import export
from larp_core.runtime.errors import UserError
from larp_core.runtime.files import write_parquet

TYPES = {"token", "token_seq", "float", "float_seq"}
NAMES = ['He said "hi"', "tab\there", "new\nline", "plain", "", "'t is", "ünïcode 愛", "a  b"]
NUM_TRACKS, WITHOUT_VECTOR = 30, 7


@pytest.fixture
def paths(tmp_path: Path) -> DatasetPaths:
    """Tracks 0-9 train, 10-19 valid, 20-29 test; one playlist each of even and of odd tracks; names full of traps."""
    paths = DatasetPaths(tmp_path / "data", "mpd")
    splits = ["train", "valid", "test"]
    ids = pl.Series(range(NUM_TRACKS), dtype=pl.Int32)
    split = pl.Series([splits[t // 10] for t in range(NUM_TRACKS)], dtype=pl.Enum(splits))
    write_parquet(pl.DataFrame({"track_id": ids, "split": split}), paths.split_tracks)
    playlists = pl.DataFrame({"playlist_id": range(6), "split": [splits[p // 2] for p in range(6)]})
    write_parquet(playlists.cast({"playlist_id": pl.Int32, "split": pl.Enum(splits)}), paths.split_playlists)
    pairs = [(p, t) for p in range(6) for t in range(10 * (p // 2), 10 * (p // 2) + 10) if t % 2 == p % 2]
    schema = {"playlist_id": pl.Int32, "track_id": pl.Int32}
    write_parquet(pl.DataFrame(pairs, schema, orient="row"), paths.interactions)
    held_out = [(p, t, "seed" if t % 10 < 4 else "target") for p, t in pairs if p > 1]
    write_parquet(pl.DataFrame(held_out, {**schema, "role": pl.String}, orient="row"), paths.holdouts)
    names = {
        "track_id": ids,
        "track_uri": [f"u{t}" for t in range(NUM_TRACKS)],
        "track_name": [NAMES[t % len(NAMES)] for t in range(NUM_TRACKS)],
        "artist_name": [None if t % 5 == 0 else f"Artist {t % 3}" for t in range(NUM_TRACKS)],
    }
    write_parquet(pl.DataFrame(names), paths.metadata)
    vectors = np.random.default_rng(0).normal(size=(NUM_TRACKS, 3)).astype(np.float32)
    columns = {name: list(vectors * sign) for name, sign in (("vector", 1), ("audio_vector", 2), ("text_vector", 3))}
    frame = pl.DataFrame({"track_id": ids, **columns}).filter(pl.col("track_id") != WITHOUT_VECTOR)
    write_parquet(frame, paths.embeddings("larp_ttc"))
    write_parquet(frame.select("track_id", "vector"), paths.embeddings("bert"))
    write_parquet(frame.clear(), paths.embeddings("mule"), metadata={"missing": "weights not found: set LARP_MULE"})
    return paths


def vectors_of(paths: DatasetPaths) -> dict[int, np.ndarray]:
    return {
        t: np.array(v) for t, v in pl.read_parquet(paths.embeddings("larp_ttc")).select("track_id", "vector").rows()
    }


def numbers(folder: Path, name: str, number: str, key: str) -> dict[int, int]:
    frame = pl.read_csv(folder / name)
    assert frame[number].to_list() == list(range(frame.height))
    return dict(frame.select(number, key).iter_rows())


def read_atomic(path: Path) -> list[dict[str, list[str] | str]]:
    """RecBole's reader: a header of `name:type`, tabs, CSV's quotation marks, spaces within sequences."""
    with path.open(encoding="utf-8", newline="") as handle:
        header, *lines = list(csv.reader(handle, delimiter="\t", quotechar='"'))
    fields = [cell.split(":") for cell in header]
    assert all(kind in TYPES for _, kind in fields)
    assert all(len(line) == len(fields) for line in lines)
    return [
        {name: cell.split() if kind.endswith("seq") else cell for (name, kind), cell in zip(fields, line, strict=True)}
        for line in lines
    ]


def test_recbole(paths: DatasetPaths, tmp_path: Path) -> None:
    report = export(paths, "recbole", tmp_path / "to", "larp_ttc")
    folder = tmp_path / "to" / "larp_mpd"
    assert all((folder / name).is_file() for name in report.files)
    playlists = numbers(folder, "playlists.csv", "user", "playlist_id")
    tracks = numbers(folder, "tracks.csv", "item", "track_id")
    read = {}
    for part in ("train", "valid", "test", "valid_seeds", "test_seeds"):
        rows = read_atomic(folder / f"larp_mpd.{part}.inter")
        read[part] = {(playlists[int(row["user_id"])], tracks[int(row["item_id"])]) for row in rows}  # type: ignore[arg-type]
        assert len(read[part]) == len(rows)
    holdouts = pl.read_parquet(paths.holdouts)
    for split, first in {"valid": 2, "test": 4}.items():
        for part, role in {split: "target", f"{split}_seeds": "seed"}.items():
            own = holdouts.filter(pl.col("role") == role, pl.col("playlist_id").is_between(first, first + 1))
            assert read[part] == set(own.select("playlist_id", "track_id").iter_rows())
    assert read["train"] == {(p, t) for p in (0, 1) for t in range(10) if t % 2 == p}
    items = read_atomic(folder / "larp_mpd.item")
    assert len(items) == NUM_TRACKS
    known = vectors_of(paths)
    for row in items:
        track = tracks[int(row["item_id"])]  # type: ignore[arg-type]
        vector = [float(number) for number in row["vector"]]
        assert vector == pytest.approx(known.get(track, np.zeros(3)))
        assert row["track_name"] == NAMES[track % len(NAMES)].replace('"', "").split()
    assert any("1 tracks have no vector" in line for line in report.lines())


def test_coldrec(paths: DatasetPaths, tmp_path: Path) -> None:
    """`data/split.py` reads `user,item` as int64 and counts by the greatest; `main.py` loads the content by item."""
    export(paths, "coldrec", tmp_path / "to", "larp_ttc")
    folder = tmp_path / "to" / "larp_mpd"
    lines = (folder / "larp_mpd.csv").read_text().splitlines()
    assert lines[0] == "user,item"
    pairs = [tuple(map(int, line.split(","))) for line in lines[1:]]
    assert len(set(pairs)) == len(pairs) == 30
    content = np.load(folder / "larp_mpd_item_content.npy")
    assert content.shape == (max(item for _, item in pairs) + 1, 3) and content.dtype == np.float32
    tracks, known = numbers(folder, "tracks.csv", "item", "track_id"), vectors_of(paths)
    for item, vector in enumerate(content):
        assert vector == pytest.approx(known.get(tracks[item], np.zeros(3)))
    split = pl.read_csv(folder / "split.csv")
    assert set(split.select("user", "item").iter_rows()) == set(pairs)
    cold = split.filter(pl.col("split") == "test")["item"].unique()
    assert not set(cold) & set(split.filter(pl.col("split") == "train")["item"])


@pytest.mark.parametrize(("encoder", "features"), [("larp_ttc", {"audio": 2, "text": 3}), ("bert", {"text": 1})])
def test_mmrec(paths: DatasetPaths, tmp_path: Path, encoder: str, features: dict[str, int]) -> None:
    """`dataset.py` takes three columns by name and tabs, and the greatest number plus one for the number of items."""
    export(paths, "mmrec", tmp_path / "to", encoder)
    folder = tmp_path / "to" / "larp_mpd"
    frame = pl.read_csv(folder / "larp_mpd.inter", separator="\t")
    assert frame.columns == ["userID", "itemID", "x_label"] and set(frame["x_label"]) == {0, 1, 2}
    tracks = numbers(folder, "tracks.csv", "item", "track_id")
    for label, first in enumerate((0, 10, 20)):
        own = {tracks[item] for item in frame.filter(x_label=label)["itemID"]}
        assert own <= set(range(first, first + 10))
        assert label == 0 or all(track % 10 >= 4 for track in own)  # targets; seeds stand apart
    assert set(pl.read_csv(folder / "seeds.inter", separator="\t")["x_label"]) == {1, 2}
    known = vectors_of(paths)
    for name, factor in features.items():
        table = np.load(folder / f"{name}_feat.npy", allow_pickle=True)
        assert table.shape[0] == frame["itemID"].max() + 1
        for item, vector in enumerate(table):
            assert vector == pytest.approx(factor * known.get(tracks[item], np.zeros(3)))
    assert (folder / "audio_feat.npy").exists() == ("audio" in features)
    settings = dict(line.split(": ", 1) for line in (folder / "larp_mpd.yaml").read_text().splitlines())
    assert settings["inter_file_name"] == "'larp_mpd.inter'" and settings["field_separator"] == '"\\t"'


def test_what_is_not_there_is_said(paths: DatasetPaths, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="holds no vectors: weights not found"):
        export(paths, "mmrec", tmp_path, "mule")
    with pytest.raises(UserError, match=r"jukebox\.parquet is not there"):
        export(paths, "mmrec", tmp_path, "jukebox")


def test_the_command_says_what_it_wrote(
    paths: DatasetPaths, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [
        "export",
        "--dataset",
        "mpd",
        "--format",
        "coldrec",
        "--encoder",
        "larp_ttc",
        "--to",
        str(tmp_path / "out"),
    ]
    assert main([*words, "--data-dir", str(paths.data_dir), "--recipe", "smoke"]) == 0
    out = capsys.readouterr().out
    assert str(tmp_path / "out" / "larp_mpd" / "larp_mpd.csv") in out and "6 playlists (users), 30 tracks" in out
