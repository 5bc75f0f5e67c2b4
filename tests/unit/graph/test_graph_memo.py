"""A step runs once: what makes it run again, what doesn't, and what an interrupted run leaves behind."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

import pytest

from larp_core.config.environment import make_settings
from larp_core.config.recipes import RECIPES, SMOKE, recipe_named
from larp_core.config.settings import Settings
from larp_core.graph import memo
from larp_core.graph.job import Call, Job, Step
from larp_core.graph.registry import STEPS, job_named, jobs_of, step_named
from larp_core.runtime.errors import UserError
from larp_core.runtime.files import atomic_path
from larp_core.runtime.report import Report


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(tmp_path / "data", SMOKE, ("mpd",))


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the steps whose work was done; `first` writes the seed of the world, `second` a constant."""
    done: list[str] = []

    def work(job: Job) -> Report:
        done.append(job.step.name)
        text = str(job.recipe.world.seed) if job.step.name == "first" else "constant"
        job.outputs[0].parent.mkdir(parents=True, exist_ok=True)
        job.outputs[0].write_text(text)
        return Report(len(text))

    monkeypatch.setattr(Job, "work", work)
    chain = {
        name: Step(
            name,
            name,
            Call("none:none", lambda job: {}),
            upstream=lambda _, parent=parent: parent,
            outputs=lambda job: [job.paths.root / f"{job.step.name}.txt"],
            config=lambda job: job.recipe.world.seed if job.step.name == "first" else None,
        )
        for name, parent in {"first": [], "second": ["first"], "third": ["second"]}.items()
    }
    monkeypatch.setattr("larp_core.graph.registry.STEPS", chain)
    return done


def run_chain(settings: Settings) -> None:
    for name in ("first", "second", "third"):
        memo.run(job_named(name, settings, "mpd"))


def with_seed(settings: Settings, seed: int) -> Settings:
    return dataclasses.replace(
        settings, recipe=dataclasses.replace(SMOKE, world=dataclasses.replace(SMOKE.world, seed=seed))
    )


def test_nothing_is_done_twice(settings: Settings, runs: list[str]) -> None:
    run_chain(settings)
    run_chain(settings)
    assert runs == ["first", "second", "third"]


def test_a_change_stops_where_the_content_is_the_same_again(settings: Settings, runs: list[str]) -> None:
    run_chain(settings)
    run_chain(with_seed(settings, 99))
    assert runs == ["first", "second", "third", "first", "second"]


def test_a_lost_or_altered_output_is_made_again(settings: Settings, runs: list[str]) -> None:
    run_chain(settings)
    (settings.paths("mpd").root / "second.txt").unlink()
    run_chain(settings)
    assert runs[3:] == ["second"]
    (settings.paths("mpd").root / "third.txt").write_text("edited by hand")
    run_chain(settings)
    assert runs[4:] == ["third"]


def test_a_data_folder_may_be_moved_or_copied(
    settings: Settings, runs: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    run_chain(settings)
    moved = dataclasses.replace(settings, data_dir=settings.data_dir.with_name("moved"))
    settings.data_dir.rename(moved.data_dir)
    run_chain(moved)
    copied = dataclasses.replace(settings, data_dir=settings.data_dir.with_name("copied"))
    shutil.copytree(moved.data_dir, copied.data_dir, copy_function=shutil.copyfile)  # with new times
    run_chain(copied)
    assert len(runs) == 3
    with monkeypatch.context() as patch:  # the new times are known now: nothing is hashed again
        patch.setattr(memo, "hash_file", lambda path: pytest.fail("hashed again"))
        run_chain(copied)


def test_pictures_are_found_after_a_move(settings: Settings, runs: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def draw(job: Job) -> Report:
        job.paths.root.mkdir(parents=True, exist_ok=True)
        job.outputs[0].write_text("drawn")
        return Report(1, pictures={"curve": str(job.paths.pictures / "curve.png")})

    monkeypatch.setattr(Job, "work", draw)
    memo.run(job_named("first", settings, "mpd"))
    moved = dataclasses.replace(settings, data_dir=settings.data_dir.with_name("moved"))
    settings.data_dir.rename(moved.data_dir)
    done = memo.finished(job_named("first", moved, "mpd"))
    assert done is not None and done.report.pictures == {"curve": str(moved.paths("mpd").pictures / "curve.png")}


def test_a_step_killed_before_its_stamp_is_done_again(
    settings: Settings, runs: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    job = job_named("first", settings, "mpd")

    def killed(job: Job) -> Report:
        job.outputs[0].parent.mkdir(parents=True, exist_ok=True)
        job.outputs[0].write_text("ha")
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Job, "work", killed)
        memo.run(job)
    assert memo.finished(job) is None
    memo.run(job)
    assert runs == ["first"] and job.outputs[0].read_text() == str(SMOKE.world.seed)


def test_unrepeatable_outputs_go_by_their_inputs(settings: Settings, runs: list[str]) -> None:
    step = dataclasses.replace(step_named("first"), repeatable=False)
    first = memo.run(Job(step, settings, "mpd"))
    Job(step, settings, "mpd").outputs[0].unlink()
    assert memo.run(Job(step, settings, "mpd")).digest == first.digest
    assert memo.run(Job(step, with_seed(settings, 99), "mpd")).digest != first.digest


def test_a_step_before_its_upstream_names_what_is_missing(settings: Settings, runs: list[str]) -> None:
    with pytest.raises(UserError, match="mpd/second needs mpd/first"):
        memo.run(job_named("second", settings, "mpd"))


@pytest.mark.parametrize(
    ("stage", "untouched"),
    [("larp_ttc", {"larp_wtc", "clap_ft"}), ("larp_tpc", {"larp_wtc", "clap_ft", "larp_ttc", "larp_tpc_fusion"})],
)
def test_other_epochs_of_a_stage_touch_that_stage_alone(stage: str, untouched: set[str]) -> None:
    epochs = {**dict(SMOKE.training.epochs), stage: 17}
    training = dataclasses.replace(SMOKE.training, epochs=tuple(epochs.items()))
    changed = dataclasses.replace(SMOKE, training=training)

    def configs(recipe: object) -> dict[str, object]:
        settings = Settings(Path("data"), recipe, ("mpd",))  # type: ignore[arg-type]
        return {job.step.name: job.step.config(job) for job in jobs_of(settings)}

    before, after = configs(SMOKE), configs(changed)
    different = {name for name in before if before[name] != after[name]}
    assert stage in different and not different & untouched
    assert not different & {"demo_world", "cold_start_split", "clips", "mels"}


def test_every_step_comes_after_what_it_reads() -> None:
    seen: set[tuple[str, ...]] = set()
    for job in jobs_of(make_settings()):
        assert {parent.key for parent in job.upstream()} <= seen, job.key
        seen.add(job.key)
    assert len(seen) == len(STEPS) * 2 - sum(step.shared for step in STEPS.values())


def test_atomic_files_are_old_or_new_never_half(tmp_path: Path) -> None:
    path = tmp_path / "table.md"
    path.write_text("old")
    with pytest.raises(RuntimeError), atomic_path(path) as partial:
        partial.write_text("ha")
        raise RuntimeError
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]
    with atomic_path(path) as partial:
        partial.write_text("new")
        assert partial.suffix == ".md" and path.read_text() == "old"
    assert path.read_text() == "new" and list(tmp_path.iterdir()) == [path]


def test_recipes_are_complete_and_unknown_ones_are_refused() -> None:
    assert {"demo", "paper", "released_code", "smoke", "small_real", "small_own"} == set(RECIPES)
    paper = RECIPES["paper"]
    assert (paper.training.batch_size, paper.model.queue_size, paper.model.temperature) == (50, 57_600, 0.07)
    assert paper.training.adam_betas == (0.9, 0.99) and RECIPES["released_code"].training.adam_betas == (0.9, 0.999)
    for recipe in RECIPES.values():
        epochs = dict(recipe.training.epochs)
        assert epochs["larp_ttc_continued"] == epochs["larp_tpc"] == epochs["larp_tpc_fusion"]
    with pytest.raises(UserError, match="demo, paper"):
        recipe_named("papre")
