"""States of a run that a killed training goes on from: `models/<encoder>.state/`.

A state is `epoch-<e>-batch-<b>.safetensors` with its tensors and a `.json` with everything else: which run it belongs
to, the place in it (the next batch), and the hashes of both files. The JSON is written last, so a state without one
was never finished.
"""

from __future__ import annotations

import json
import logging
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors.torch import load_file, save_file
from torch import Tensor

from larp_core.runtime.errors import UserError
from larp_core.runtime.files import atomic_path, hash_file, hash_of, read_json, write_json

logger = logging.getLogger(__name__)

STATES_KEPT = 2
FORMAT = 1


@dataclass(frozen=True)
class State:
    """One point of a run: `tensors` by name, and `values` that JSON can hold."""

    tensors: dict[str, Tensor]
    values: dict[str, Any]


@dataclass(frozen=True)
class StateFolder:
    """The states of one run.

    Attributes:
        path: the folder, the run's alone.
        fingerprint: of all that the weights depend on; states of any other are of no use and are removed.
        num_processes: a run goes on with as many as it began with, since they make up its batch.
    """

    path: Path
    fingerprint: str
    num_processes: int = 1

    def save(self, epoch: int, batch: int, state: State) -> None:
        """Writes the state before `batch` of `epoch` beside earlier ones, then removes all but the last two."""
        name = f"epoch-{epoch:05d}-batch-{batch:08d}"
        with atomic_path(self.path / f"{name}.safetensors") as partial:
            save_file({key: tensor.detach().cpu().contiguous() for key, tensor in state.tensors.items()}, partial)
            digest = hash_file(partial)
        content = {
            "format": FORMAT,
            "fingerprint": self.fingerprint,
            "num_processes": self.num_processes,
            "tensors_sha256": digest,
            "values": state.values,
        }
        write_json({"content": content, "sha256": hash_of(content)}, self.path / f"{name}.json")
        for old in self._names()[:-STATES_KEPT]:
            self._remove(old)

    def latest(self) -> str | None:
        """Name of the newest state that is whole; what is broken, unfinished or another run's is removed and said.

        Raises:
            UserError: the run was begun with another number of processes.
        """
        for name in reversed(self._names()):
            content = self._content(name)
            if content is None:
                logger.warning("%s is corrupt: going back to the state before it", self.path / name)
                self._remove(name)
            elif (content["format"], content["fingerprint"]) != (FORMAT, self.fingerprint):
                logger.info("%s is of another recipe or other data: training from the beginning", self.path)
                self.remove()
                return None
            elif content["num_processes"] != self.num_processes:
                raise UserError(
                    f"{self.path} holds a run of {content['num_processes']} processes, not {self.num_processes}: "
                    f"start as many again, or delete the folder to train from the beginning"
                )
            else:
                return name
        return None

    def load(self, name: str) -> State:
        """A state by its name.

        Raises:
            UserError: it isn't here, though the main process has found it.
        """
        content = self._content(name)
        if content is None:
            raise UserError(
                f"{self.path / name} can't be read by every process: put LARP_DATA where all machines see it"
            )
        return State(load_file(self.path / f"{name}.safetensors"), content["values"])

    def remove(self) -> None:
        shutil.rmtree(self.path, ignore_errors=True)

    def _names(self) -> list[str]:
        """Names of the states, oldest first; files that belong to none are left-overs of a killed process."""
        if not self.path.is_dir():
            return []
        names = sorted(path.stem for path in self.path.glob("epoch-*.json"))
        for path in self.path.iterdir():
            if path.stem not in names:
                path.unlink()
        return names

    def _content(self, name: str) -> dict[str, Any] | None:
        """The checked content of a state's JSON; None where either file isn't what was written."""
        tensors, described = self.path / f"{name}.safetensors", self.path / f"{name}.json"
        try:
            record = read_json(described)
        except (FileNotFoundError, json.JSONDecodeError, UnicodeDecodeError):
            return None
        if not isinstance(record, dict) or hash_of(record.get("content")) != record.get("sha256"):
            return None
        content = record["content"]
        if not tensors.exists() or hash_file(tensors) != content["tensors_sha256"]:
            return None
        return content

    def _remove(self, name: str) -> None:
        (self.path / f"{name}.json").unlink(missing_ok=True)
        (self.path / f"{name}.safetensors").unlink(missing_ok=True)
