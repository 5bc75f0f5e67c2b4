"""`python -m larp_core run <step> ... --dataset mpd`: steps by hand, with no Dagster.

`--shard 3/16` does one of sixteen shares of a step that can be divided, which a run without it then takes up.
`python -m larp_core steps` lists them; `doctor` says what a run would miss; `convert` turns a published checkpoint into
a folder. Inside Dagster the same command reports its progress and result through Pipes.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
import threading
import time
import warnings
from pathlib import Path
from typing import Any

from dagster_pipes import (
    DAGSTER_PIPES_CONTEXT_ENV_VAR,
    DAGSTER_PIPES_MESSAGES_ENV_VAR,
    DagsterPipesWarning,
    PipesContext,
    open_dagster_pipes,
)

from larp_core.config.settings import DATASETS, VARIABLES, Settings, settings_from
from larp_core.graph import memo
from larp_core.graph.job import Job, step_named
from larp_core.graph.registry import STEPS
from larp_core.runtime.errors import UserError

PARENT_CHECK_SECONDS = 1.0

NUM_PROCESSES = int(os.environ.get("WORLD_SIZE", "1"))
PROCESS = int(os.environ.get("RANK", "0"))
"""As `torchrun` and `accelerate launch` tell each process that they start."""


def main(arguments: list[str] | None = None) -> int:
    options = vars(_parser().parse_args(arguments))
    if options["command"] != "run":
        commands = {"steps": _steps, "convert": _convert, "doctor": _doctor, "cell": _cell, "export": _export}
        return commands[options["command"]](options)
    with _open_pipes() as pipes:
        _show_progress(pipes)
        try:
            settings = _settings(options, inside_dagster=isinstance(pipes, PipesContext))
            for name in options["steps"]:
                line = _run(name, settings, options["dataset"], options["shard"], one_of=len(options["steps"]))
                if line is not None and not isinstance(pipes, PipesContext):  # Dagster's console says it
                    print(line, flush=True)
            if NUM_PROCESSES > 1:
                from larp_core.training.processes import leave

                leave()
        except UserError as error:
            print(f"larp{_who()}: {error}", file=sys.stderr)
            if not isinstance(pipes, PipesContext):
                return 2
            # Dagster shows this line; an exit status would only tell it that something failed.
            pipes.report_custom_message({"user_error": str(error)})
    return 0


def _steps(options: dict[str, Any]) -> int:
    for step in STEPS.values():
        print(f"{step.name:32} {step.summary}")
    return 0


def _convert(options: dict[str, Any]) -> int:
    from larp_core.model.published import convert_checkpoint

    folder = options["folder"]
    try:
        report = convert_checkpoint(options["checkpoint"], folder, options["kind"], options["tokenizer"])
    except UserError as error:
        print(f"larp: {error}", file=sys.stderr)
        return 2
    print(*report.lines(), f"next: {report.next_step(str(folder))}", sep="\n")
    return 0


def _cell(options: dict[str, Any]) -> int:
    """Exit status 1 where the derived figure is not that of the files."""
    from larp_core.report.cell import derive_cell

    try:
        settings = _settings(options, inside_dagster=False)
        dataset = _dataset(options["dataset"], settings)
        wanted = (options["encoder"], options["recommender"], options["metric"], options["k"])
        cell = derive_cell(settings.paths(dataset), settings.recipe, *wanted)
    except UserError as error:
        print(f"larp: {error}", file=sys.stderr)
        return 2
    print(*cell.lines(), sep="\n")
    return 0 if cell.is_same else 1


def _export(options: dict[str, Any]) -> int:
    from larp_core.export.formats import export

    try:
        settings = _settings(options, inside_dagster=False)
        dataset = _dataset(options["dataset"], settings)
        report = export(settings.paths(dataset), options["format"], options["to"], options["encoder"])
    except UserError as error:
        print(f"larp: {error}", file=sys.stderr)
        return 2
    print(*report.lines(), sep="\n")
    return 0


def _dataset(name: str | None, settings: Settings) -> str:
    """The named dataset, or the first one. Raises UserError where it is not configured."""
    dataset = name or settings.datasets[0]
    if dataset not in settings.datasets:
        raise UserError(f"--dataset {dataset} is not among the configured ones: {', '.join(settings.datasets)}")
    return dataset


def _doctor(options: dict[str, Any]) -> int:
    from larp_core.doctor import examine

    try:
        findings = examine(_settings(options, inside_dagster=False))
    except UserError as error:
        print(f"larp: {error}", file=sys.stderr)
        return 2
    print(*findings, sep="\n")
    num_todo = sum(not finding.is_fine for finding in findings)
    print(f"next: see to the {num_todo} above" if num_todo else "next: dagster job execute -j ingest")
    return 1 if num_todo else 0


def _settings(options: dict[str, Any], *, inside_dagster: bool) -> Settings:
    """Options win over the environment. Dagster hands every setting over as an option, and the rest is not set."""
    given = {name: value for name in VARIABLES.values() if (value := options[name]) is not None}
    return settings_from({} if inside_dagster else os.environ, **given)


def _run(name: str, settings: Settings, dataset: str | None, shard: str | None, one_of: int = 1) -> str | None:
    """Runs or reuses a step, or runs a shard of it; returns one line on how it went, on the main process of several.

    `one_of` so many steps that this process runs.
    """
    step = step_named(name)
    dataset = "" if step.shared else dataset or settings.datasets[0]
    if dataset and dataset not in settings.datasets:
        raise UserError(f"--dataset {dataset} is not among the configured ones: {', '.join(settings.datasets)}")
    job = Job(step, settings, dataset)
    _name_lines(job, one_of)
    if shard is not None:
        return _run_shard(job, shard)
    _keep_to_threads(job)
    if NUM_PROCESSES == 1:
        done = memo.run(job)
    else:
        from larp_core.training.processes import run_step

        if (several := run_step(job)) is None:
            return None
        done = several
    verb = "unchanged, reused" if done.reused else f"done in {done.seconds:.1f} s"
    return f"{'/'.join(job.key)}: {done.report.num_rows} rows, {verb}"


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
    return f"{'/'.join(job.key)}: {report.num_rows} rows ({facts})"


def _show_progress(pipes: PipesContext) -> None:
    """What the steps log goes to the terminal or, inside Dagster, to the run's log, whose lines its console prints."""
    logger = logging.getLogger("larp_core")
    logger.setLevel(logging.INFO if PROCESS == 0 else logging.ERROR)
    logger.addHandler(_ToPipes(pipes) if isinstance(pipes, PipesContext) else logging.StreamHandler())
    if not sys.stderr.isatty():
        os.environ.setdefault("TQDM_DISABLE", "1")  # bars of other libraries, which would fill a file


def _name_lines(job: Job, one_of: int) -> None:
    """`14:57:36 mpd/mp3: 120 of 1,486 tracks`, as Dagster's console has it; to that, which of several steps it is."""
    by_hand = f"%(asctime)s {'/'.join(job.key)}: %(message)s"
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


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m larp_core", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("steps", help="list the steps")
    run = commands.add_parser("run", help="run steps one after the other, or reuse their finished runs")
    run.add_argument("steps", nargs="+", metavar="step")
    run.add_argument("--dataset", help=f"{', '.join(DATASETS)}; the first configured one by default")
    run.add_argument("--shard", metavar="I/N", help="only the I-th of N shares of the work (clips)")
    doctor = commands.add_parser("doctor", help="what a run would miss: programs, disk, cookies, audio sources")
    cell = commands.add_parser("cell", help="one figure of a table, derived again from the files on disk")
    cell.add_argument("--dataset", help=f"{', '.join(DATASETS)}; the first configured one by default")
    cell.add_argument(
        "--encoder",
        default="metadata",
        help="as in embeddings/; `metadata` or `hybrid` for rows named by the recommender",
    )
    cell.add_argument("--recommender", default="ItemKNN", help="as in the tables, or the name of a row without a model")
    cell.add_argument("--metric", choices=("recall", "ndcg"), default="recall")
    cell.add_argument("--k", type=int, default=10)
    export = commands.add_parser("export", help="a dataset with an encoder's vectors in another library's format")
    export.add_argument("--dataset", help=f"{', '.join(DATASETS)}; the first configured one by default")
    export.add_argument("--format", choices=("recbole", "coldrec", "mmrec"), required=True)
    export.add_argument("--to", type=Path, required=True, metavar="DIR")
    export.add_argument("--encoder", required=True, help="whose vectors are the content features, as in embeddings/")
    for variable, name in VARIABLES.items():
        for command in (run, doctor, cell, export):
            command.add_argument(f"--{name.replace('_', '-')}", help=f"the environment's {variable} by default")
    convert = commands.add_parser("convert", help="a published HTS-AT, LAION-CLAP or LARP checkpoint as a folder")
    convert.add_argument("checkpoint", type=Path)
    convert.add_argument("folder", type=Path)
    convert.add_argument("--kind", choices=("htsat", "laion_clap", "larp"), help="told from the weights by default")
    convert.add_argument("--tokenizer", default="bert-base-uncased", help="of a LARP checkpoint: hub name or folder")
    return parser


if __name__ == "__main__":
    sys.exit(main())
