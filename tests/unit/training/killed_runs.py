"""Run as a program by `test_training_resume.py`: `killed_runs.py <folder> <moment>`.

Trains larp_tpc_fusion of a tiny world to its end, with a process that is killed at `moment` and then another that goes
on, and prints one JSON line. The processes are forks of this one, which has loaded torch and
polars and uses neither, as their threads don't fork.
"""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path

from training_world import TINY, only, write_world

import larp_core.training.loop as loop_module
import larp_core.training.stages as stages_module
import larp_core.training.state as state_module
from larp_core.config.recipes import Recipe
from larp_core.config.settings import Settings
from larp_core.graph import memo
from larp_core.graph.job import Job
from larp_core.graph.registry import job_named
from larp_core.training import curves
from larp_core.training.sampler import Sampler

STAGE = "larp_tpc_fusion"
RESUMABLE: Recipe = dataclasses.replace(
    TINY,
    model=dataclasses.replace(TINY.model, learned_temperature=True),
    training=dataclasses.replace(
        TINY.training,
        batch_size=5,
        epochs=only(larp_wtc=1, larp_ttc=1, larp_tpc_fusion=2),
        precision="bf16",
        deterministic=True,
        save_every_steps=2,
        pair_pruning=0.2,
    ),
)


def job_of(settings: Settings, stage: str) -> Job:
    return job_named(stage, settings, "mpd")


def at_call(number: int, module: object, name: str, how: int = signal.SIGKILL) -> None:
    """From now on the `number`-th call of a function of a module or class is the moment of a signal."""
    original: Callable[..., object] = getattr(module, name)
    calls = 0

    def counted(*args: object, **options: object) -> object:
        nonlocal calls
        calls += 1
        if calls == number:
            os.kill(os.getpid(), how)
        return original(*args, **options)

    setattr(module, name, counted)


MOMENTS: dict[str, Callable[[], None]] = {
    "never": lambda: None,
    "within epoch 1": lambda: at_call(4, loop_module._Trainer, "_step"),
    "within epoch 2": lambda: at_call(8, loop_module._Trainer, "_step"),
    "while a state is written": lambda: at_call(2, state_module, "write_json"),
    "while an epoch is validated": lambda: at_call(3, stages_module, "evaluate_itemknn"),
    "before the model is written": lambda: at_call(1, stages_module, "save_model"),
    "SIGTERM": lambda: at_call(3, loop_module._Trainer, "_step", signal.SIGTERM),
}


def in_a_fork(work: Callable[[], object]) -> int:
    """Runs `work`; returns what ended it: an exit status, or minus the signal."""
    if (child := os.fork()) == 0:
        status = 1
        try:
            work()
            status = 0
        except SystemExit as stopped:
            status = int(stopped.code or 0)
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def make_parents(settings: Settings) -> None:
    write_world(settings.data_dir, RESUMABLE)
    for stage in ("larp_wtc", "larp_ttc"):
        memo.run(job_of(settings, stage))


def main(folder: Path, moments: list[str]) -> None:
    prepared = folder / "prepared"
    assert in_a_fork(lambda: make_parents(Settings(prepared, RESUMABLE, ("mpd",)))) == 0
    results = {}
    for number, moment in enumerate(moments):
        settings = Settings(folder / str(number), RESUMABLE, ("mpd",))
        shutil.copytree(prepared, settings.data_dir)
        job, draws = job_of(settings, STAGE), folder / f"{number}.draws"

        def train(moment: str = moment, job: Job = job, draws: Path = draws) -> None:
            original = Sampler.epoch

            def logged(self: Sampler, epoch: int, start: int = 0) -> object:
                with draws.open("a") as handle:
                    handle.write(f"{epoch}:{start} ")
                return original(self, epoch, start)

            Sampler.epoch = logged  # type: ignore[assignment, method-assign]
            MOMENTS[moment]()
            memo.run(job)

        ended = in_a_fork(train)
        left = sorted(path.name for path in job.paths.training_state(STAGE).glob("*"))
        if ended:
            assert in_a_fork(lambda train=train: train("never")) == 0  # type: ignore[misc]
        model = job.paths.model(STAGE)
        results[moment] = {
            "ended": ended,
            "left": left,
            "epochs_begun": draws.read_text().split(),
            "sha256": state_module.hash_file(model),
            "state_is_gone": not job.paths.training_state(STAGE).exists(),
        }
    print(json.dumps(results))


if __name__ == "__main__":
    import torch

    torch.set_num_threads(1)
    curves.draw_curves = lambda path, stage, record: path  # half a second each
    main(Path(sys.argv[1]), sys.argv[2:])
