"""Running a step at most once: a finished step leaves a stamp, and the same step with the same inputs is not run again.

The stamp is written last, so a step killed at any moment leaves none and is redone by the next run. Paths in it are
relative to the data folder, which can be moved or copied as a whole.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from larp_core.graph.job import Job, external_signature
from larp_core.runtime.errors import UserError
from larp_core.runtime.files import hash_file, hash_of, read_json, stat_signature, write_json
from larp_core.runtime.locks import held
from larp_core.runtime.report import Report

FILES_OF_A_REPORT = ("pictures", "notebooks")


@dataclass(frozen=True)
class Finished:
    """A step's result: its report, whether an earlier run was `reused`, the work's seconds, a digest of the outputs."""

    report: Report
    reused: bool
    seconds: float
    digest: str


def finished(job: Job) -> Finished | None:
    """The recorded run of `job`, if its inputs, settings and outputs are still the same; else None."""
    stamp = _read_stamp(job.stamp)
    if stamp is None or stamp["fingerprint"] != fingerprint(job) or job.is_due_again():
        return None
    outputs = {_relative(job, path): path for path in job.outputs}
    if not all(_unchanged(path, stamp["outputs"].get(name)) for name, path in outputs.items()):
        return None
    if any(stat_signature(path) != stamp["outputs"][name]["signature"] for name, path in outputs.items()):
        for name, path in outputs.items():  # copied: the same content under other times, which are remembered
            stamp["outputs"][name]["signature"] = stat_signature(path)
        write_json(stamp, job.stamp)
    return Finished(_report(job, stamp), reused=True, seconds=stamp["seconds"], digest=stamp["digest"])


def run(job: Job) -> Finished:
    """Runs `job`, or reuses its recorded run. While another process runs it, this one waits, and reuses what that did.

    Raises:
        UserError: an upstream step has not been run, or the step's own input is bad.
    """
    if (done := finished(job)) is not None:
        return done
    with alone(job):
        return finished(job) or make(job)


@contextlib.contextmanager
def alone(job: Job) -> Iterator[None]:
    """Within, no other process runs the step or a shard of it; those that do are waited for."""
    with held(job.lock, job.name):
        for shard in sorted(job.stamp.parent.glob(f"{job.stamp.stem}.*-of-*.lock")):
            with held(shard, f"{job.name}, shard {shard.stem.split('.')[-1]}"):
                shard.unlink(missing_ok=True)
        yield


def make(job: Job) -> Finished:
    """Runs `job`, whatever has been recorded, for a caller that is `alone` with it."""
    key = fingerprint(job)
    job.stamp.unlink(missing_ok=True)
    started = time.monotonic()
    report = job.work()
    seconds = round(time.monotonic() - started, 2)
    outputs = {
        _relative(job, path): {"signature": stat_signature(path), "sha256": hash_file(path)} for path in job.outputs
    }
    digest = hash_of([record["sha256"] for record in outputs.values()]) if job.step.repeatable else key
    files = {
        kind: {title: _relative(job, Path(path)) for title, path in getattr(report, kind).items()}
        for kind in FILES_OF_A_REPORT
    }
    stamp = {
        "fingerprint": key,
        "report": report.as_dict() | files,
        "seconds": seconds,
        "digest": digest,
        "outputs": outputs,
    }
    write_json(stamp, job.stamp)
    return Finished(report, reused=False, seconds=seconds, digest=digest)


def fingerprint(job: Job) -> str:
    """A hash of all that the outputs depend on: code version, settings, the user's files, upstream contents."""
    config = job.step.config(job)
    return hash_of(
        [job.step.name, job.step.version, job.dataset, config, external_signature(job), upstream_digests(job)]
    )


def upstream_digests(job: Job) -> dict[str, str]:
    """What each upstream step has written, by asset key. Raises UserError where one has not been run."""
    digests = {}
    for parent in job.upstream():
        name, stamp = parent.name, _read_stamp(parent.stamp)
        if stamp is None:
            raise UserError(f"{job.name} needs {name}, which has not been made yet; materialize {name} first")
        digests[name] = stamp["digest"]
    return digests


def _read_stamp(path: Path) -> dict[str, Any] | None:
    return read_json(path) if path.exists() else None


def _report(job: Job, stamp: dict[str, Any]) -> Report:
    files = {
        kind: {title: str(job.settings.data_dir / path) for title, path in stamp["report"].get(kind, {}).items()}
        for kind in FILES_OF_A_REPORT
    }
    return Report(**stamp["report"] | files)


def _relative(job: Job, path: Path) -> str:
    return path.relative_to(job.settings.data_dir).as_posix()


def _unchanged(path: Path, record: dict[str, Any] | None) -> bool:
    if record is None or not path.exists():
        return False
    return stat_signature(path) == record["signature"] or hash_file(path) == record["sha256"]
