"""The user's own words, `dagster job execute -j train_all`, from nothing to tables: real MP3s over loopback HTTP, real
yt-dlp, DuckDB, Pipes and training, with the smoke recipe. And once more, when there is nothing left to do."""

import json
import os
import subprocess
import sys
from pathlib import Path

import polars as pl
from places import ROOT

LEARNED = ("CLAP-FT", "LARP-WTC", "LARP-TTC", "TTC continued", "LARP-TPC", "LARP-TPC-fusion")
UNLEARNED = ("random", "oracle", "same artist", "artist + album", "caption TF-IDF", "mel statistics")
WITHOUT_WEIGHTS = ("CLAP-PT", "MULE", "Jukebox")
UNTRAINED = ("BERT (untrained)", "HTS-AT (untrained)")


def train_all(data: Path, home: Path) -> str:
    """Runs the job as the README says; returns what it printed."""
    home.mkdir(exist_ok=True)
    (home / "dagster.yaml").write_text("telemetry:\n  enabled: false\n")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("LARP_")}
    environment |= {
        "LARP_DATA": str(data),
        "LARP_RECIPE": "smoke",
        "DAGSTER_HOME": str(home),
        "DAGSTER_CLI_JOB_EXECUTE_MODULE_NAME": "pipeline.definitions",
    }
    command = ["dagster", "job", "execute", "-j", "train_all"]
    result = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=1500)
    assert result.returncode == 0, result.stdout[-3000:] + result.stderr[-3000:]
    return result.stdout + result.stderr


def stamps(data: Path) -> dict[str, int]:
    return {str(path.relative_to(data)): path.stat().st_mtime_ns for path in data.rglob(".steps/*.json")}


def test_train_all_from_nothing_to_tables_and_again(tmp_path: Path) -> None:
    """One test, so that the run is made once however the tests are shared out."""
    data = tmp_path / "data"
    printed = train_all(data, tmp_path / "home")
    every_row_of_the_tables_is_there_for_both_datasets(data)
    the_trained_models_can_be_loaded_and_tell_their_curve(data)
    the_user_is_told_where_tables_and_pages_are(data, printed)
    a_second_run_makes_nothing_again(data)
    a_stage_that_was_killed_is_trained_again_to_the_same_bytes_and_nothing_after_it(data)


def every_row_of_the_tables_is_there_for_both_datasets(data: Path) -> None:
    reports = data / "reports"
    rows = pl.concat(
        [
            pl.read_parquet(reports / f"table_{n}.parquet").select("dataset", "row", "metric", "k", "value")
            for n in (2, 3)
        ]
    )
    named = set(rows["row"])
    assert {*LEARNED, *UNLEARNED, *UNTRAINED, *WITHOUT_WEIGHTS} <= named
    for dataset in ("mpd", "lfm"):
        scores = rows.filter((pl.col("dataset") == dataset) & (pl.col("metric") == "recall") & (pl.col("k") == 10))
        assert set(scores.filter(pl.col("value").is_null())["row"]) == set(WITHOUT_WEIGHTS)
        values = dict(scores.drop_nulls("value").select("row", "value").iter_rows())
        assert 0 < values["random"] < values["oracle"] <= 1
        assert all(0 <= value <= values["oracle"] + 1e-9 for value in values.values())
    assert (reports / "figure_5.png").stat().st_size > 10_000
    assert "weights not found: set LARP_MULE" in (reports / "table_2.md").read_text()


def the_trained_models_can_be_loaded_and_tell_their_curve(data: Path) -> None:
    for dataset in ("mpd", "lfm"):
        folder = data / dataset / "models" / "larp_tpc_fusion"
        record = json.loads((folder / "training.json").read_text())
        assert record["parent"] == "larp_ttc" and len(record["curve"]) > 1
        assert (folder / "model.safetensors").exists() and (folder / "tokenizer.json").exists()


def the_user_is_told_where_tables_and_pages_are(data: Path, printed: str) -> None:
    for name in ("table_2.md", "listen_mpd.html", "listen_lfm.html"):
        path = data / "reports" / name
        assert path.exists() and str(path) in printed


def a_second_run_makes_nothing_again(data: Path) -> None:
    before, audio = stamps(data), {p: p.stat().st_mtime_ns for p in (data / "audio").rglob("*.mp3")}
    train_all(data, data.parent / "home")
    assert stamps(data) == before and len(before) > 60
    assert {p: p.stat().st_mtime_ns for p in (data / "audio").rglob("*.mp3")} == audio and audio


def a_stage_that_was_killed_is_trained_again_to_the_same_bytes_and_nothing_after_it(data: Path) -> None:
    (data / "mpd" / ".steps" / "larp_wtc.json").unlink()  # what a kill leaves: the stamp is written last
    command = [sys.executable, "-m", "larp_core", "run", "larp_wtc", "larp_ttc", "--dataset", "mpd"]
    options = ["--data-dir", str(data), "--recipe", "smoke"]
    done = subprocess.run([*command, *options], cwd=ROOT, capture_output=True, text=True, timeout=300, check=True)
    assert [line.split(": ")[0] for line in done.stdout.splitlines()] == ["mpd/larp_wtc", "mpd/larp_ttc"]
    assert "done in" in done.stdout.splitlines()[0] and "unchanged, reused" in done.stdout.splitlines()[1]
