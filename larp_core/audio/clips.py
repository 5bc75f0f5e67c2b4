"""The clips of every track: 10 s at 48 kHz, mono, 16-bit FLAC, exactly 480,000 samples each.

`clips.parquet` has the columns of `SCHEMA`, for each `ok` row of the ledger a row a clip, or one that says why there is
none: `path` is relative to the dataset's folder, `status` is one of the ledger's `STATUSES`, and `detail` of an `ok`
clip says what to be wary of. A track's clips are numbered from 0 by `clip_index`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
from tqdm import tqdm

from larp_core.audio.clip_shards import FORMAT_KEY, SCHEMA, ClipShards, Shard, frame_of, shards_of
from larp_core.audio.clips_report import report_of
from larp_core.audio.cutting import CUTTER_VERSION, Clip, Cut, make_cutter, without_file
from larp_core.audio.decode import Measured
from larp_core.audio.ledger import OK, Entry, read_entries
from larp_core.audio.names import clip_file
from larp_core.audio.offsets import NoClip, starts_of_clips
from larp_core.audio.workers import Crashed, map_in_processes
from larp_core.config import ClipConfig
from larp_core.data.paper_lists import load_paper_lists
from larp_core.errors import UserError
from larp_core.files import hash_of, write_parquet
from larp_core.paths import DatasetPaths
from larp_core.steps import Job, Report

__all__ = ["SCHEMA", "build_clips", "build_shard", "has_clips_to_cut"]

Plan = list[tuple[Shard, Clip | Cut]]
"""What is to be done: cuts, and rows that say why there is nothing to cut."""


def build_clips(job: Job) -> Report:
    """Cuts the clips of every track whose audio was got, and keeps those that would come out the same.

    A clip that can't be cut is a row with its status and reason; the others go on. What shards have come to is taken as
    it is, failures too: the next run tries those again, or their shard's own run.

    Raises:
        UserError: the recipe's offsets are those of the published lists, and there are none; no clip a track.
    """
    paths, listed = job.paths, _listed_starts(job)
    entries = list(read_entries(paths.ledger).values())
    shards = ClipShards(paths, _format_of(job.recipe.clip))
    plan: Plan = []
    for entry, shard in zip(entries, shards_of([entry.track_uri for entry in entries]), strict=True):
        plan += [(shard, planned) for planned in _plan(entry, job, listed.get(entry.track_uri))]
    clips, num_cut = _carry_out(plan, shards.finished_clips() | shards.outcomes(), shards, job)
    frame = frame_of(sorted(clips, key=lambda clip: (clip.track_id, clip.clip_index)))
    write_parquet(frame, paths.clips, metadata={FORMAT_KEY: shards.clip_format})
    shards.remove()
    facts: dict[str, Any] = {"num_cut_now": num_cut}
    if job.recipe.clip.offsets == "paper_lists":
        facts["num_not_in_paper_lists"] = sum(entry.status == OK and entry.track_uri not in listed for entry in entries)
    return report_of(frame, entries, paths, facts)


def build_shard(job: Job, number: int, count: int) -> Report:
    """Cuts the clips of one of `count` shards, its earlier failures too, and leaves the outcome to the step.

    Raises:
        UserError: as `build_clips`; there is no shard of that number.
    """
    shard, listed = Shard(number, count), _listed_starts(job)
    entries = list(read_entries(job.paths.ledger).values())
    shards = ClipShards(job.paths, _format_of(job.recipe.clip))
    of_each = zip(entries, shards_of([entry.track_uri for entry in entries], count), strict=True)
    plan: Plan = []
    for entry in (entry for entry, its_shard in of_each if its_shard == shard):
        plan += [(shard, planned) for planned in _plan(entry, job, listed.get(entry.track_uri))]
    good = {target: clip for target, clip in shards.outcomes().items() if clip.status == OK}
    clips, num_cut = _carry_out(plan, shards.finished_clips() | good, shards, job)
    counts = Counter(clip.status for clip in clips)
    facts = {"shard": str(shard), "num_cut_now": num_cut, **{f"num_{status}": counts[status] for status in counts}}
    return Report(counts[OK], facts=facts)


def has_clips_to_cut(paths: DatasetPaths) -> bool:
    """Whether another run could cut more, or a clip has gone since the last; False where there are no clips yet."""
    if not paths.clips.exists():
        return False
    rows = pl.read_parquet(paths.clips, columns=["status", "path"]).iter_rows()
    return any(status == "error" or (path is not None and not (paths.root / path).exists()) for status, path in rows)


def _format_of(config: ClipConfig) -> str:
    """Names all that a clip depends on besides its source and start."""
    if config.clips_per_track < 1:
        raise UserError(f"clip.clips_per_track is {config.clips_per_track}; set it to 1 or more")
    return hash_of([config.clip_seconds, config.sample_rate_hz, CUTTER_VERSION])


def _listed_starts(job: Job) -> dict[str, float]:
    """Seconds by track uri from the authors' published lists, where the recipe asks for them."""
    if job.recipe.clip.offsets != "paper_lists":
        return {}
    folder = job.settings.paper_lists_dir
    if folder is None:
        raise UserError(
            f"LARP_PAPER_LISTS_DIR is not set, and the recipe {job.recipe.name} takes clip.offsets from the paper's "
            "lists; set it to their folder"
        )
    return dict(load_paper_lists(folder, job.dataset).select("track_uri", "start_seconds").iter_rows())


def _plan(entry: Entry, job: Job, listed_start: float | None) -> Iterable[Clip | Cut]:
    """What is to be done for a row of the ledger: cuts, a row that says why there is none, or nothing."""
    if entry.status != OK or entry.path is None or entry.duration_seconds is None or entry.decoder is None:
        return
    starts = starts_of_clips(entry.track_uri, entry.duration_seconds, job.recipe.clip, listed_start)
    if isinstance(starts, NoClip):
        yield Clip(entry.track_id, "too_short", detail=starts.reason, source_sha256=entry.sha256)
        return
    source, measured = job.settings.data_dir / entry.path, Measured(entry.duration_seconds, entry.decoder)
    for index, start in enumerate(starts):
        target = clip_file(job.paths.clips_dir, entry.track_uri, index)
        path = str(target.relative_to(job.paths.root))
        yield Cut(Clip(entry.track_id, OK, index, start, path, source_sha256=entry.sha256), source, measured, target)


def _carry_out(plan: Plan, old: dict[str, Clip], shards: ClipShards, job: Job) -> tuple[list[Clip], int]:
    """A row for each item of the plan, in no fixed order, and how many clips were cut for it.

    Shards that have something to cut leave their outcomes, one after the other.
    """
    rows: list[Clip] = []
    outcomes: dict[Shard, dict[str, Clip]] = {}
    cuts: list[Cut] = []
    shard_of: dict[Path, Shard] = {}
    for shard, planned in sorted(plan, key=lambda item: item[0].number):
        if isinstance(planned, Clip):
            rows.append(planned)
        elif kept := _kept(old.get(_name(planned)), planned):
            outcomes.setdefault(shard, {})[_name(planned)] = kept
        else:
            cuts.append(planned)
            shard_of[planned.target] = shard
    waiting = Counter(shard_of.values())
    done = map_in_processes(make_cutter, (job.recipe.clip,), cuts, isolated=True)
    with ThreadPoolExecutor(1) as writer:  # so that the processes need not wait for the disk
        writes = []
        for cut, result in tqdm(done, f"{job.dataset}/clips", len(cuts), unit="clip"):
            shard, died = shard_of[cut.target], isinstance(result, Crashed)
            clip = without_file(cut.clip, "corrupt", str(result)) if died else result
            outcomes.setdefault(shard, {})[_name(cut)] = clip
            waiting[shard] -= 1
            if not waiting[shard]:
                writes.append(writer.submit(shards.write, shard, outcomes[shard]))
        for write in writes:
            write.result()
    return [*rows, *(clip for of_shard in outcomes.values() for clip in of_shard.values())], len(cuts)


def _name(cut: Cut) -> str:
    """What the clip's row calls its file."""
    assert cut.clip.path is not None
    return cut.clip.path


def _kept(old: Clip | None, planned: Cut) -> Clip | None:
    """The old outcome where it has the same source, start and place, and the file is still there if there was one."""
    if old is None or old.status == "error" or (old.path is not None and not planned.target.exists()):
        return None
    kept = replace(old, track_id=planned.clip.track_id)
    is_same = replace(kept, sha256=None, detail="", status=OK, path=planned.clip.path) == planned.clip
    return kept if is_same else None
