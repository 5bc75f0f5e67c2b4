"""A step that takes a while and dislikes company; run as a program it runs the step once, by `memo.run`.

`slow_step.py <data folder> <seconds>` prints whether the run was reused.
"""

from __future__ import annotations

import logging
import sys
import time
from pathlib import Path

from larp_core.config.recipes import SMOKE
from larp_core.config.settings import Settings
from larp_core.graph import memo
from larp_core.graph.job import Call, Job, Step
from larp_core.runtime.files import write_text
from larp_core.runtime.report import Report


def work_alone(folder: Path, seconds: float) -> Report:
    """Fails where another process does the same at the same time."""
    busy = folder / "busy"
    busy.touch(exist_ok=False)
    (folder / "begun").touch()
    time.sleep(seconds)
    busy.unlink()
    with (folder / "log").open("a") as log:
        log.write("worked\n")
    write_text("done", folder / "slow.txt")
    return Report(1)


def slow_job(data_dir: Path, seconds: float) -> Job:
    call = Call("slow_step:work_alone", lambda job: {"folder": job.paths.root, "seconds": seconds})
    step = Step("slow", "Takes a while.", call, outputs=lambda job: [job.paths.root / "slow.txt"])
    job = Job(step, Settings(data_dir, SMOKE, ("mpd",)), "mpd")
    job.paths.root.mkdir(parents=True, exist_ok=True)
    return job


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    print("reused" if memo.run(slow_job(Path(sys.argv[1]), float(sys.argv[2]))).reused else "worked")
