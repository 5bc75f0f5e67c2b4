"""`larp run`: steps by hand, with no Dagster; inside Dagster the same command reports through Pipes."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import threading
import time
import warnings
from typing import Any

from dagster_pipes import (
    DAGSTER_PIPES_CONTEXT_ENV_VAR,
    DAGSTER_PIPES_MESSAGES_ENV_VAR,
    DagsterPipesWarning,
    PipesContext,
    open_dagster_pipes,
)

from larp_core.cli.options import dataset_of, settings_of
from larp_core.config.settings import Settings
from larp_core.graph import memo
from larp_core.graph.job import Job
from larp_core.graph.registry import job_named, step_named
from larp_core.runtime.errors import UserError

PARENT_CHECK_SECONDS = 1.0

NUM_PROCESSES = int(os.environ.get("WORLD_SIZE", "1"))
PROCESS = int(os.environ.get("RANK", "0"))
"""As `torchrun` and `accelerate launch` tell each process that they start."""


def run(options: dict[str, Any]) -> int:
    """Runs the named steps one after the other, or reuses their finished runs."""
    with _open_pipes() as pipes:
        inside_dagster = isinstance(pipes, PipesContext)
        _show_progress(pipes)
        try:
            settings = settings_of(options, {} if inside_dagster else os.environ)
            for name in options["steps"]:
                line = run_step(name, settings, options["dataset"], options["shard"], one_of=len(options["steps"]))
                if line is not None and not inside_dagster:  # Dagster's console says it
                    print(line, flush=True)
            if NUM_PROCESSES > 1:
                from larp_core.training.distributed import leave

                leave()
        except UserError as error:
            print(f"larp{_who()}: {error}", file=sys.stderr)
            if not inside_dagster:
                return 2
            # Dagster shows this line; an exit status would only tell it that something failed.
            pipes.report_custom_message({"user_error": str(error)})
    return 0


def run_step(name: str, settings: Settings, dataset: str | None, shard: str | None, one_of: int = 1) -> str | None:
    """Runs or reuses a step, or runs a shard of it; returns one line on how it went, on the main process of several.

    `one_of` so many steps that this process runs.

    Raises:
        UserError: an unknown step or dataset, or what the step finds wrong.
    """
    job = job_named(name, settings, "" if step_named(name).shared else dataset_of(dataset, settings))
    _name_lines(job, one_of)
    if shard is not None:
        return _run_shard(job, shard)
    _keep_to_threads(job)
    done = memo.run(job) if NUM_PROCESSES == 1 else _run_by_several(job)
    if done is None:
        return None
    verb = "unchanged, reused" if done.reused else f"done in {done.seconds:.1f} s"
    return f"{job.name}: {done.report.num_rows} rows, {verb}"


def _run_by_several(job: Job) -> memo.Finished | None:
    """`memo.run` by several processes: all of them train; any other step is the main process's, and the others wait.

    Returns:
        The finished run on the main process, None on the others.

    Raises:
        UserError: as `memo.run`; a process that raises one ends, and the launcher ends the others.
    """
    from larp_core.training import distributed

    distributed.start(job.recipe.training.device)
    done = None
    with contextlib.ExitStack() as lock:
        with distributed.together():
            if distributed.is_main():
                # Before the others are told: they would begin a training that this one, once let in, finds finished.
                lock.enter_context(memo.alone(job))
                done = memo.finished(job)
        if not distributed.broadcast(done is not None):
            if distributed.is_main():
                done = memo.make(job)
            elif job.step.together:
                job.work()
        distributed.barrier()
    return done


def _keep_to_threads(job: Job) -> None:
    """Steps of two datasets run side by side: on more threads than the recipe's they fight for the cores, and scoring
    an encoder takes five times as long."""
    if job.step.torch and (num_threads := job.recipe.training.num_threads):
        import torch
        from threadpoolctl import threadpool_limits

        torch.set_num_threads(num_threads)
        threadpool_limits(num_threads)


def _run_shard(job: Job, shard: str) -> str:
    number, slash, count = shard.partition("/")
    if not (slash and number.isdecimal() and count.isdecimal()):
        raise UserError(f"--shard {shard}: not a number and a count; write 3/16 for the third of sixteen shards")
    memo.upstream_digests(job)  # all that it reads from has to be there
    report = job.work_on_shard(int(number), int(count))
    facts = ", ".join(f"{name} {value}" for name, value in report.facts.items())
    return f"{job.name}: {report.num_rows} rows ({facts})"


def _show_progress(pipes: PipesContext) -> None:
    """What the steps log goes to the terminal or, inside Dagster, to the run's log, whose lines its console prints."""
    logger = logging.getLogger("larp_core")
    logger.setLevel(logging.INFO if PROCESS == 0 else logging.ERROR)
    logger.addHandler(_ToPipes(pipes) if isinstance(pipes, PipesContext) else logging.StreamHandler())
    if not sys.stderr.isatty():
        os.environ.setdefault("TQDM_DISABLE", "1")  # bars of other libraries, which would fill a file


def _name_lines(job: Job, one_of: int) -> None:
    """`14:57:36 mpd/mp3: 120 of 1,486 tracks`, as Dagster's console has it; to that, which of several steps it is."""
    by_hand = f"%(asctime)s {job.name}: %(message)s"
    to_pipes = f"{job.encoder}: %(message)s" if one_of > 1 else "%(message)s"
    for handler in logging.getLogger("larp_core").handlers:
        text = to_pipes if isinstance(handler, _ToPipes) else by_hand
        handler.setFormatter(logging.Formatter(text, datefmt="%H:%M:%S"))


class _ToPipes(logging.Handler):
    def __init__(self, pipes: PipesContext) -> None:
        super().__init__()
        self.pipes = pipes

    def emit(self, record: logging.LogRecord) -> None:
        self.pipes.log.log(record.levelno, self.format(record))


def _who() -> str:
    return f" (process {PROCESS})" if NUM_PROCESSES > 1 else ""


def _open_pipes() -> PipesContext:
    """The connection to Dagster; by hand, a stand-in on which every call does nothing. Of several processes only the
    main one has it."""
    if PROCESS != 0:
        for variable in (DAGSTER_PIPES_CONTEXT_ENV_VAR, DAGSTER_PIPES_MESSAGES_ENV_VAR):
            os.environ.pop(variable, None)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DagsterPipesWarning)
        pipes = open_dagster_pipes()
    if isinstance(pipes, PipesContext):
        threading.Thread(target=_end_with_parent, args=(os.getppid(),), daemon=True).start()
    return pipes


def _end_with_parent(parent_id: int) -> None:
    """A step killed with SIGKILL can't stop its child, which would go on beside the next run's child."""
    while os.getppid() == parent_id:
        time.sleep(PARENT_CHECK_SECONDS)
    os._exit(1)
