"""The shape of the graph, as a committed text: a change of it is a visible diff.

To accept a change: `UPDATE_SNAPSHOT=1 pytest -n 0 tests/pipeline/test_pipeline_snapshot.py`, then look at the diff.
"""

import os
from pathlib import Path

import dagster as dg
import pytest

from larp_core.config.environment import make_settings
from larp_core.config.settings import Settings
from larp_core.graph.registry import jobs_of
from pipeline.definitions import build_definitions

SNAPSHOT = Path(__file__).parent / "dag_snapshot.txt"


def shape_of(settings: Settings) -> str:
    """One line a key: `asset [group; kinds] <- upstream`, then checks, jobs, schedules and sensors."""
    definitions = build_definitions(settings)
    repository = definitions.get_repository_def()
    assets = [
        f"{spec.key.to_user_string()} [{spec.group_name}; {', '.join(sorted(spec.kinds))}]"
        f" <- {', '.join(sorted(dep.asset_key.to_user_string() for dep in spec.deps))}"
        for spec in definitions.resolve_all_asset_specs()
    ]
    checks = [f"check {key.to_user_string()}" for key in repository.asset_graph.asset_check_keys]
    schedules = [
        f"schedule {s.name}: {s.cron_schedule}, {s.job_name}, {s.default_status.name}" for s in repository.schedule_defs
    ]
    sensors = [f"sensor {s.name}: {s.job_name}, {s.default_status.name}" for s in repository.sensor_defs]
    jobs, everything = [], [spec.key.to_user_string() for spec in definitions.resolve_all_asset_specs()]
    for job in repository.get_all_jobs():
        if not job.name.startswith("__"):
            keys = sorted(key.to_user_string() for key in job.asset_layer.executable_asset_keys)
            apart = [key for key in everything if key not in keys and ("sensitivity" in key or key == "figure_4")]
            is_all = len(keys) + len(apart) == len(everything)
            listed = [f"everything but {len(apart)} of sensitivity"] if is_all else keys
            jobs.append("\n    ".join([f"job {job.name}", *listed]))
    groups = (assets, checks, jobs, schedules, sensors)
    return "\n\n".join("\n".join(sorted(line.rstrip() for line in group)) for group in groups) + "\n"


def test_the_dag_is_the_committed_one(tmp_path: Path) -> None:
    text = shape_of(make_settings(data_dir=str(tmp_path)))
    if os.environ.get("UPDATE_SNAPSHOT"):
        SNAPSHOT.write_text(text, encoding="utf-8")
    assert text == SNAPSHOT.read_text(encoding="utf-8"), "see the top of this file for how to accept a change"


@pytest.mark.parametrize("datasets", ["mpd", "lfm", "mpd,lfm", "own", "lfm,own"])
@pytest.mark.parametrize("real", [True, False])
def test_every_step_is_one_asset_after_its_upstream(tmp_path: Path, datasets: str, real: bool) -> None:
    if not real and "own" in datasets:
        pytest.skip("the demo world has no music of your own")
    folders = {f"{name}_dir": str(tmp_path / "raw") for name in datasets.split(",")} if real else {}
    settings = make_settings(data_dir=str(tmp_path / "data"), datasets=datasets, **folders)
    graph = build_definitions(settings).resolve_asset_graph()
    expected = {dg.AssetKey(job.key): {dg.AssetKey(up.key) for up in job.upstream()} for job in jobs_of(settings)}
    assert {key: graph.get(key).parent_keys for key in graph.get_all_asset_keys()} == expected
    assert (dg.AssetKey("demo_world") in expected) is not real


def test_every_asset_says_what_it_is(tmp_path: Path) -> None:
    for spec in build_definitions(make_settings(data_dir=str(tmp_path))).resolve_all_asset_specs():
        assert spec.description and spec.kinds and spec.group_name and spec.code_version, spec.key


def test_training_shares_the_gpu_pool_and_may_be_retried(tmp_path: Path) -> None:
    repository = build_definitions(make_settings(data_dir=str(tmp_path))).get_repository_def()
    for key in ("larp_wtc", "larp_tpc_fusion", "clap_ft"):
        op = repository.assets_defs_by_key[dg.AssetKey(["mpd", key])].op
        assert (op.pool, op.retry_policy.max_retries) == ("gpu", 1)
    op = repository.assets_defs_by_key[dg.AssetKey(["mpd", "mp3"])].op
    assert (op.pool, op.retry_policy) == (None, None)
