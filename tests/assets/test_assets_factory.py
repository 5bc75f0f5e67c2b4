"""A step as an asset: real `materialize` on real files, the steps' work replaced by a line in a log."""

import sys
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from assets import checks, launch
from assets.factory import asset_of, assets_in_one_process
from larp_core.cli.main import parser
from larp_core.config.environment import make_settings
from larp_core.config.settings import VARIABLES, Settings
from larp_core.data.split.leaks import LeakReport
from larp_core.graph.job import Call, Job, Step
from larp_core.runtime.errors import UserError
from larp_core.runtime.report import Report
from pipeline.resources import resources_of

NOTHING = Call("none:none", lambda job: {})


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return make_settings(data_dir=str(tmp_path), recipe="smoke")


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the steps whose work was done, in order; the work writes the outputs."""
    done: list[str] = []

    def work(job: Job) -> Report:
        done.append("/".join(job.key))
        for path in job.outputs:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"{job.key} of {job.recipe.name}")
        return Report(7, facts={"num_playlists": 3})

    monkeypatch.setattr(Job, "work", work)
    return done


@pytest.fixture
def jobs(settings: Settings) -> list[Job]:
    """`mpd/first -> mpd/second`, the whole graph for this test."""
    first = Step("first", "The first.", NOTHING, outputs=lambda job: [job.paths.root / "first.txt"])
    second = Step(
        "second",
        "The second.",
        NOTHING,
        upstream=lambda _: ["first"],
        outputs=lambda job: [job.paths.root / "second.txt"],
    )
    steps = {step.name: step for step in (first, second)}
    return [Job(step, settings, "mpd", steps) for step in steps.values()]


def materialize(settings: Settings, definitions: list[Any], **options: Any) -> dg.ExecuteInProcessResult:
    return dg.materialize(definitions, resources=resources_of(settings), raise_on_error=False, **options)


def assets_of(jobs: list[Job]) -> list[dg.AssetsDefinition]:
    return [asset_of(job, group="mpd_ingest") for job in jobs]


def metadata(result: dg.ExecuteInProcessResult, name: str) -> dict[str, Any]:
    (event,) = result.asset_materializations_for_node(f"mpd__{name}")
    return {key: value.value for key, value in event.metadata.items()}


def test_a_step_that_has_nothing_to_write_says_so(
    settings: Settings, log: list[str], capfd: pytest.CaptureFixture[str]
) -> None:
    """As the transfer from one dataset to the other does where there is one alone."""
    step = Step("nothing", "x", NOTHING, outputs=lambda job: [], shared=True)
    assert materialize(settings, assets_of([Job(step, settings)])).success and log == ["nothing"]
    assert "7 rows, done in" in capfd.readouterr().err


def test_a_second_run_reuses_and_says_so(settings: Settings, jobs: list[Job], log: list[str]) -> None:
    first = materialize(settings, assets_of(jobs))
    assert first.success and log == ["mpd/first", "mpd/second"]
    assert metadata(first, "second")["dagster/row_count"] == 7
    assert metadata(first, "second")["num_playlists"] == 3
    assert metadata(first, "second")["reused"] is False

    second = materialize(settings, assets_of(jobs))
    assert second.success and log == ["mpd/first", "mpd/second"]
    assert metadata(second, "second")["reused"] is True
    versions = [
        run.asset_materializations_for_node("mpd__second")[0].tags["dagster/data_version"] for run in (first, second)
    ]
    assert versions[0] == versions[1]


def test_a_lost_output_is_made_again_and_what_follows_is_reused(
    settings: Settings, jobs: list[Job], log: list[str]
) -> None:
    materialize(settings, assets_of(jobs))
    jobs[0].outputs[0].unlink()
    assert materialize(settings, assets_of(jobs)).success
    assert log == ["mpd/first", "mpd/second", "mpd/first"]


def test_a_users_mistake_is_one_line_and_stops_what_follows(
    settings: Settings, jobs: list[Job], monkeypatch: pytest.MonkeyPatch
) -> None:
    def work(job: Job) -> Report:
        raise UserError("LARP_MPD_DIR: the folder x is empty; put slices there")

    monkeypatch.setattr(Job, "work", work)
    result = materialize(settings, assets_of(jobs))
    (failure,) = [event for event in result.all_events if event.is_step_failure]
    assert failure.step_key == "mpd__first"
    assert failure.step_failure_data.user_failure_data.description == (
        "LARP_MPD_DIR: the folder x is empty; put slices there"
    )
    assert failure.step_failure_data.error.cause is None
    assert not jobs[0].stamp.exists()


def test_a_missing_upstream_is_a_line_too(settings: Settings, jobs: list[Job], log: list[str]) -> None:
    result = materialize(settings, assets_of(jobs), selection=[dg.AssetKey(["mpd", "second"])])
    (failure,) = [event for event in result.all_events if event.is_step_failure]
    assert "materialize mpd/first first" in failure.step_failure_data.user_failure_data.description
    assert log == []


def test_the_check_blocks_what_follows_when_it_fails(
    settings: Settings, log: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    split = Step("cold_start_split", "A split.", NOTHING, outputs=lambda job: [job.paths.split_tracks])
    after = Step("after", "Reads it.", NOTHING, upstream=lambda _: ["cold_start_split"])
    leaks = LeakReport(2, 0, 0, ("track 5 stands in train and test",), 0, ())
    monkeypatch.setattr("larp_core.data.split.leaks.check_leaks", lambda paths, twins: leaks)
    jobs = [Job(split, settings, "mpd"), Job(after, settings, "mpd", {"cold_start_split": split})]
    graph = [*assets_of(jobs), checks.no_leaks("mpd")]

    failed = materialize(settings, graph)
    assert not failed.success and log == ["mpd/cold_start_split"]
    (evaluation,) = failed.get_asset_check_evaluations()
    assert not evaluation.passed and evaluation.metadata["num_shared_tracks"].value == 2
    assert evaluation.description == "track 5 stands in train and test"

    monkeypatch.setattr("larp_core.data.split.leaks.check_leaks", lambda paths, twins: LeakReport(0, 0, 0, (), 0, ()))
    assert materialize(settings, graph).success
    assert log == ["mpd/cold_start_split", "mpd/after"]


def test_the_log_says_where_the_pages_lie(
    settings: Settings, log: list[str], capfd: pytest.CaptureFixture[str]
) -> None:
    page = Step("page", "x", NOTHING, outputs=lambda job: [job.settings.shared.listening_page(job.dataset)])
    table = Step("table", "x", NOTHING, outputs=lambda job: [job.paths.root / "table.parquet"])
    assert materialize(settings, assets_of([Job(page, settings, "mpd"), Job(table, settings, "mpd")])).success
    printed = capfd.readouterr().err
    assert str(settings.data_dir / "reports" / "listen_mpd.html") in printed
    assert "table.parquet" not in printed


CHILD = """
import os, signal, sys
from dagster_pipes import open_dagster_pipes
from larp_core.graph import memo
from larp_core.graph.job import Call, Job, Step
from larp_core.runtime.report import Report
from larp_core.config.environment import make_settings
behaviour, data_dir = sys.argv[1:]
with open_dagster_pipes() as pipes:
    print("a line of the child", flush=True)
    if behaviour == "killed" and pipes.retry_number == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    if behaviour == "user_error":
        pipes.report_custom_message({"user_error": "track 3: bad; remove it"})
        sys.exit(0)
    pipes.log.info("epoch 1: loss 0.5")
    def work(job):
        job.outputs[0].parent.mkdir(parents=True, exist_ok=True)
        job.outputs[0].write_text("weights")
        return Report(1)
    Job.work = work
    step = Step(
        "alone", "A torch step.", Call("none:none", dict), outputs=lambda job: [job.paths.root / "w.txt"], torch=True
    )
    memo.run(Job(step, make_settings(data_dir=data_dir, recipe="smoke"), "mpd"))
"""


@pytest.fixture
def torch_job(settings: Settings) -> Job:
    step = Step("alone", "A torch step.", NOTHING, outputs=lambda job: [job.paths.root / "w.txt"], torch=True)
    return Job(step, settings, "mpd")


def child(monkeypatch: pytest.MonkeyPatch, behaviour: str) -> None:
    def command(jobs: list[Job]) -> list[str]:
        return [sys.executable, "-c", CHILD, behaviour, str(jobs[0].settings.data_dir)]

    monkeypatch.setattr(launch, "command_of", command)


def test_a_torch_step_runs_in_a_child_and_is_reused(
    settings: Settings, torch_job: Job, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    child(monkeypatch, "good")
    first = materialize(settings, assets_of([torch_job]))
    assert first.success and metadata(first, "alone")["reused"] is False
    printed = capfd.readouterr()
    assert "a line of the child" in printed.out
    assert "epoch 1: loss 0.5" in printed.err
    again = materialize(settings, assets_of([torch_job]))
    assert metadata(again, "alone")["reused"] is True
    assert "a line of the child" not in capfd.readouterr().out


def test_a_killed_child_is_retried_once_in_the_same_run(
    settings: Settings, torch_job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    child(monkeypatch, "killed")
    result = materialize(settings, assets_of([torch_job]))
    assert result.success
    assert [event.event_type_value for event in result.all_events].count("STEP_UP_FOR_RETRY") == 1
    assert torch_job.outputs[0].read_text() == "weights"


def test_a_childs_user_error_is_a_failure_that_is_not_retried(
    settings: Settings, torch_job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    child(monkeypatch, "user_error")
    result = materialize(settings, assets_of([torch_job]))
    (failure,) = [event for event in result.all_events if event.is_step_failure]
    assert failure.step_failure_data.user_failure_data.description == "track 3: bad; remove it"
    assert not any(event.event_type_value == "STEP_UP_FOR_RETRY" for event in result.all_events)


def test_the_command_names_every_setting(tmp_path: Path) -> None:
    settings = make_settings(data_dir=str(tmp_path), recipe="smoke", mpd_dir="/m", audio_dir="/a")
    step = Step("larp_wtc", "x", NOTHING, torch=True)
    words = launch.command_of([Job(step, settings, "mpd")])[1:]
    assert words[:4] == ["-m", "larp_core", "run", "larp_wtc"]
    options = dict(zip(words[4::2], words[5::2], strict=True))
    expected = {"--dataset": "mpd", "--data-dir": str(tmp_path), "--recipe": "smoke", "--datasets": "mpd"}
    assert options == expected | {"--mpd-dir": "/m", "--audio-dir": "/a"}


def test_every_setting_comes_back_from_the_command(tmp_path: Path) -> None:
    folders = {name: f"/{name}" for name in VARIABLES.values() if name.endswith("_dir") and name != "data_dir"}
    audio = {"audio_urls": "/u.csv", "audio_sources": "urls,youtube", "audio_retry": "final", "cookies_file": "/c"}
    settings = make_settings(data_dir=str(tmp_path), recipe="smoke", **folders, **audio)
    words = launch.command_of([Job(Step("larp_wtc", "x", NOTHING), settings, "own")])[4:]
    options = vars(parser().parse_args(["run", *words[words.index("larp_wtc") :]]))
    assert make_settings(**{name: options[name] for name in VARIABLES.values()}) == settings


TOGETHER = """
import sys
from larp_core.graph import memo
from larp_core.config.environment import make_settings
from larp_core.graph.job import Call, Job, Step
from larp_core.runtime.report import Report
def work(job):
    job.outputs[0].parent.mkdir(parents=True, exist_ok=True)
    job.outputs[0].write_text("vectors")
    return Report(5)
Job.work = work
data_dir, *names = sys.argv[1:]
print("one process for", *names)
for name in names:
    outputs = lambda job: [job.paths.root / f"{job.encoder}.txt"]
    step = Step(name, "x", Call("none:none", dict), outputs=outputs, torch=True)
    memo.run(Job(step, make_settings(data_dir=data_dir, recipe="smoke"), "mpd"))
"""


def test_steps_together_share_a_child_and_are_reused_one_by_one(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    steps = [
        Step(name, "x", NOTHING, outputs=lambda job: [job.paths.root / f"{job.encoder}.txt"], torch=True)
        for name in ("embeddings/a", "embeddings/b")
    ]
    jobs = [Job(step, settings, "mpd") for step in steps]

    def command(jobs: list[Job]) -> list[str]:
        return [sys.executable, "-c", TOGETHER, str(settings.data_dir), *(job.step.name for job in jobs)]

    monkeypatch.setattr(launch, "command_of", command)
    definitions = [assets_in_one_process(jobs, name="embeddings", group="g")]
    assert materialize(settings, definitions).success
    assert "one process for embeddings/a embeddings/b" in capfd.readouterr().out

    jobs[1].outputs[0].unlink()
    result = materialize(settings, definitions)
    assert "one process for embeddings/b\n" in capfd.readouterr().out
    reused = {
        event.asset_key.path[-1]: event.materialization.metadata["reused"].value
        for event in result.get_asset_materialization_events()
    }
    assert reused == {"a": True, "b": False}

    alone = materialize(settings, definitions, selection=[dg.AssetKey(["mpd", "embeddings", "a"])])
    assert [event.asset_key.path[-1] for event in alone.get_asset_materialization_events()] == ["a"]
