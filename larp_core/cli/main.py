"""The commands, their options and what `larp` alone says."""

from __future__ import annotations

import argparse
import difflib
import importlib.metadata
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

from larp_core.cli.options import add_dataset, add_settings, dataset_of, settings_of
from larp_core.runtime.errors import UserError

OVERVIEW = """\
larp: playlist continuation learned from sound, captions and playlists

  dagster job execute -j train_all   run everything, from raw files to tables
  dagster dev                        look at it in the web UI, http://localhost:3000
  larp doctor                        see what a run would miss, before it starts
  larp run STEP ...                  run single steps, or reuse their finished runs
  larp steps                         list the steps
  larp cell, larp export             check a figure of the tables, take vectors elsewhere

`larp COMMAND --help` shows the options of a command; `larp --help` lists all commands."""


def main(arguments: list[str] | None = None) -> int:
    """Exit status 0 where all is well, 1 where a check failed, 2 for a mistake that the printed line explains."""
    words = sys.argv[1:] if arguments is None else arguments
    options = vars(parser().parse_args(words)) if words else {"function": _overview}
    try:
        status: int = options["function"](options)
        sys.stdout.flush()
        return status
    except KeyboardInterrupt:
        return 130
    except UserError as error:
        print(f"larp: {error}", file=sys.stderr)
        return 2
    except BrokenPipeError:  # `larp steps | head`: whoever reads has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def _overview(options: dict[str, Any]) -> int:
    print(OVERVIEW)
    return 0


def _run(options: dict[str, Any]) -> int:
    from larp_core.cli.run import run

    return run(options)


def _steps(options: dict[str, Any]) -> int:
    from larp_core.graph.registry import STEPS

    for step in STEPS.values():
        print(f"{step.name:32} {step.summary}")
    return 0


def _recipes(options: dict[str, Any]) -> int:
    from larp_core.config.recipes import RECIPES

    for recipe in RECIPES.values():
        print(f"{recipe.name:16} {recipe.summary}")
    print("next: LARP_RECIPE=<name> in the environment, or --recipe <name>")
    return 0


def _convert(options: dict[str, Any]) -> int:
    from larp_core.model.published import convert_checkpoint

    folder = options["folder"]
    report = convert_checkpoint(options["checkpoint"], folder, options["kind"], options["tokenizer"])
    print(*report.lines(), f"next: {report.next_step(str(folder))}", sep="\n")
    return 0


def _cell(options: dict[str, Any]) -> int:
    """Exit status 1 where the derived figure is not that of the files."""
    from larp_core.report.cell import derive_cell

    settings = settings_of(options)
    dataset = dataset_of(options["dataset"], settings)
    wanted = (options["encoder"], options["recommender"], options["metric"], options["k"])
    cell = derive_cell(settings.paths(dataset), settings.recipe, *wanted)
    print(*cell.lines(), sep="\n")
    return 0 if cell.is_same else 1


def _export(options: dict[str, Any]) -> int:
    from larp_core.export.formats import export

    settings = settings_of(options)
    dataset = dataset_of(options["dataset"], settings)
    report = export(settings.paths(dataset), options["format"], options["to"], options["encoder"])
    print(*report.lines(), sep="\n")
    return 0


def _doctor(options: dict[str, Any]) -> int:
    from larp_core.doctor import examine

    findings = examine(settings_of(options))
    print(*findings, sep="\n")
    num_todo = sum(not finding.is_fine for finding in findings)
    print(f"next: see to the {num_todo} above" if num_todo else "next: dagster job execute -j ingest")
    return 1 if num_todo else 0


class _Parser(argparse.ArgumentParser):
    """Suggests the nearest command for one that there isn't, or `run` for a step."""

    def error(self, message: str) -> NoReturn:
        wrong = re.match(r"argument COMMAND: invalid choice: '([^']*)'", message)
        if wrong is None:
            super().error(message)
        self.exit(2, f"larp: there is no command '{wrong[1]}'; {self._advice(wrong[1])}\n")

    def _advice(self, word: str) -> str:
        from larp_core.graph.registry import STEPS

        if word in STEPS:
            return f"a step is run by 'larp run {word}'"
        actions = [action for action in self._actions if isinstance(action, argparse._SubParsersAction)]
        commands = [name for action in actions for name in action.choices]
        near = difflib.get_close_matches(word.lower(), commands, n=1)
        return f"did you mean '{near[0]}'?" if near else f"choose from {', '.join(commands)}"


def parser() -> argparse.ArgumentParser:
    """The commands; each names its function, which takes the parsed options and returns the exit status."""
    top = _Parser(prog="larp", description=OVERVIEW.splitlines()[0])
    top.add_argument("--version", action="version", version=importlib.metadata.version("larp-pipeline"))
    commands = top.add_subparsers(required=True, metavar="COMMAND")

    def command(name: str, function: Callable[[dict[str, Any]], int], says: str) -> argparse.ArgumentParser:
        added: argparse.ArgumentParser = commands.add_parser(name, help=says, description=says)
        added.set_defaults(function=function)
        return added

    run = command("run", _run, "run steps one after the other, or reuse their finished runs")
    run.add_argument("steps", nargs="+", metavar="STEP")
    run.add_argument("--shard", metavar="I/N", help="only the I-th of N shares of the work (clips)")
    add_dataset(run)
    add_settings(run)
    command("steps", _steps, "list the steps")
    command("recipes", _recipes, "list the recipes")
    add_settings(command("doctor", _doctor, "say what a run would miss: programs, disk, cookies, audio sources"))
    _add_cell(command("cell", _cell, "derive one figure of a table again from the files on disk"))
    _add_export(command("export", _export, "write a dataset with an encoder's vectors in another library's format"))
    convert = command("convert", _convert, "make a folder of a published HTS-AT, LAION-CLAP or LARP checkpoint")
    convert.add_argument("checkpoint", type=Path)
    convert.add_argument("folder", type=Path)
    convert.add_argument("--kind", choices=("htsat", "laion_clap", "larp"), help="told from the weights by default")
    convert.add_argument("--tokenizer", default="bert-base-uncased", help="of a LARP checkpoint: hub name or folder")
    return top


def _add_cell(cell: argparse.ArgumentParser) -> None:
    says = "as in embeddings/; `metadata` or `hybrid` for rows named by the recommender"
    cell.add_argument("--encoder", default="metadata", help=says)
    cell.add_argument("--recommender", default="ItemKNN", help="as in the tables, or the name of a row without a model")
    cell.add_argument("--metric", choices=("recall", "ndcg"), default="recall")
    cell.add_argument("--k", type=int, default=10)
    add_dataset(cell)
    add_settings(cell)


def _add_export(export: argparse.ArgumentParser) -> None:
    export.add_argument("--format", choices=("recbole", "coldrec", "mmrec"), required=True)
    export.add_argument("--to", type=Path, required=True, metavar="DIR")
    export.add_argument("--encoder", required=True, help="whose vectors are the content features, as in embeddings/")
    add_dataset(export)
    add_settings(export)
