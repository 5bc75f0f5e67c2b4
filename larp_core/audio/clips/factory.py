"""The clips of every track: 10 s at 48 kHz, mono, 16-bit FLAC, exactly 480,000 samples each.

`clips.parquet` has the columns of `SCHEMA`, for each `ok` row of the ledger a row a clip, or one that says why there is
none: `path` is relative to the dataset's folder, `status` is one of the ledger's `STATUSES`, and `detail` of an `ok`
clip says what to be wary of. A track's clips are numbered from 0 by `clip_index`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import polars as pl

from larp_core.audio.acquire.ledger import OK, Entry, entries_of, read_rows
from larp_core.audio.clips.cutting import CUTTER_VERSION, Clip, Cut, make_cutter, without_file
from larp_core.audio.clips.offsets import NoClip, starts_of_clips
from larp_core.audio.clips.report import report_of
from larp_core.audio.clips.shards import FORMAT_KEY, SCHEMA, ClipShards, Shard, frame_of, shards_of
from larp_core.audio.decode import Measured
from larp_core.audio.names import clip_file
from larp_core.config import ClipConfig
from larp_core.config.paths import DatasetPaths
from larp_core.data.split.paper_lists import load_paper_lists
from larp_core.runtime.errors import UserError
from larp_core.runtime.files import hash_of, write_parquet
from larp_core.runtime.progress import Progress
from larp_core.runtime.report import Report
from larp_core.runtime.workers import Crashed, map_in_processes

__all__ = ["SCHEMA", "build_clips", "build_shard", "has_clips_to_cut"]

ShardPlan = tuple[Shard, list[Clip | Cut]]
"""What is to be done for a shard: cuts, and rows that say why there is nothing to cut."""


@dataclass
class Outcomes:
    """What a shard under way has come to, by the path of the clip's file, and how many cuts are still to come."""

    shard: Shard
    clips: dict[str, Clip]
    num_waiting: int


def build_clips(paths: DatasetPaths, config: ClipConfig, lists_dir: Path | None = None) -> Report:
    """Cuts the clips of every track whose audio was got, and keeps those that would come out the same.

    A clip that can't be cut is a row with its status and reason; the others go on. What shards have come to is taken as
    it is, failures too: the next run tries those again, or their shard's own run.

    Args:
        lists_dir: the authors' published lists, for the offsets that come from them.

    Raises:
        UserError: the recipe's offsets are those of the published lists, and there are none.
    """
    listed = _listed_starts(paths.dataset, config, lists_dir)
    ledger = read_rows(paths.ledger)
    shards = ClipShards(paths, _format_of(config))
    plans = (_plan(shard, rows, paths, config, listed) for shard, rows in _by_shard(ledger))
    frame, num_cut = _carry_out(
        plans, shards.finished_clips() | shards.outcomes(), shards, config, _num_clips(ledger, config)
    )
    write_parquet(frame, paths.clips, metadata={FORMAT_KEY: shards.clip_format})
    shards.remove()
    facts: dict[str, Any] = {"num_cut_now": num_cut}
    if config.offsets == "paper_lists":
        uris = ledger.filter(pl.col("status") == OK)["track_uri"]
        facts["num_not_in_paper_lists"] = sum(uri not in listed for uri in uris)
    return report_of(frame, ledger, paths, facts)


def build_shard(
    paths: DatasetPaths, config: ClipConfig, lists_dir: Path | None = None, *, number: int, count: int
) -> Report:
    """Cuts the clips of one of `count` shards, its earlier failures too, and leaves the outcome to the step.

    Raises:
        UserError: as `build_clips`; there is no shard of that number.
    """
    shard, listed = Shard(number, count), _listed_starts(paths.dataset, config, lists_dir)
    shards = ClipShards(paths, _format_of(config))
    of_all = _by_shard(read_rows(paths.ledger), count)
    own = [rows for its_shard, rows in of_all if its_shard == shard]
    plans = (_plan(shard, rows, paths, config, listed) for rows in own)
    good = {target: clip for target, clip in shards.outcomes().items() if clip.status == OK}
    frame, num_cut = _carry_out(
        plans, shards.finished_clips() | good, shards, config, sum(_num_clips(rows, config) for rows in own)
    )
    counts = Counter(frame["status"])
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
    return hash_of([config.clip_seconds, config.sample_rate_hz, CUTTER_VERSION])


def _listed_starts(dataset: str, config: ClipConfig, lists_dir: Path | None) -> dict[str, float]:
    """Seconds by track uri from the authors' published lists, where the recipe asks for them."""
    if config.offsets != "paper_lists":
        return {}
    if lists_dir is None:
        raise UserError(
            "LARP_PAPER_LISTS_DIR is not set, and the recipe takes clip.offsets from the paper's lists; set it "
            "to their folder"
        )
    return dict(load_paper_lists(lists_dir, dataset).select("track_uri", "start_seconds").iter_rows())


def _by_shard(ledger: pl.DataFrame, count: int | None = None) -> Iterator[tuple[Shard, pl.DataFrame]]:
    """Each shard's rows of the ledger, a shard at a time: all the plans for a million tracks would be two gigabytes."""
    of_track = shards_of(ledger["track_uri"].to_list(), count)
    shards = {shard.number: shard for shard in of_track}
    numbered = ledger.with_columns(shard=pl.Series([shard.number for shard in of_track], dtype=pl.Int64))
    for (number,), rows in numbered.sort("shard", maintain_order=True).group_by("shard", maintain_order=True):
        yield shards[number], rows.drop("shard")


def _plan(
    shard: Shard, rows: pl.DataFrame, paths: DatasetPaths, config: ClipConfig, listed: dict[str, float]
) -> ShardPlan:
    plans = (_plan_track(entry, paths, config, listed.get(entry.track_uri)) for entry in entries_of(rows))
    return shard, [item for plan in plans for item in plan]


def _plan_track(
    entry: Entry, paths: DatasetPaths, config: ClipConfig, listed_start: float | None
) -> Iterable[Clip | Cut]:
    """What is to be done for a row of the ledger: cuts, a row that says why there is none, or nothing."""
    if entry.status != OK or entry.path is None or entry.duration_seconds is None or entry.decoder is None:
        return
    starts = starts_of_clips(entry.track_uri, entry.duration_seconds, config, listed_start)
    if isinstance(starts, NoClip):
        yield Clip(entry.track_id, "too_short", detail=starts.reason, source_sha256=entry.sha256)
        return
    source, measured = paths.data_dir / entry.path, Measured(entry.duration_seconds, entry.decoder)
    for index, start in enumerate(starts):
        target = clip_file(paths.clips_dir, entry.track_uri, index)
        path = str(target.relative_to(paths.root))
        yield Cut(Clip(entry.track_id, OK, index, start, path, source_sha256=entry.sha256), source, measured, target)


def _num_clips(ledger: pl.DataFrame, config: ClipConfig) -> int:
    """How many there are at most, for the bar of progress."""
    return int((ledger["status"] == OK).sum()) * config.clips_per_track


def _carry_out(
    plans: Iterable[ShardPlan], old: dict[str, Clip], shards: ClipShards, config: ClipConfig, num_clips: int
) -> tuple[pl.DataFrame, int]:
    """The table's rows for all plans, in its order, and how many clips were cut for it.

    Shards that have something to cut leave their outcomes, one after the other; no more are under way than keep the
    processes busy.
    """
    frames = [frame_of([])]
    in_work: dict[str, Outcomes] = {}
    num_cut = 0

    def cuts() -> Iterator[Cut]:
        for shard, planned in plans:
            to_cut = {_name(item): item for item in planned if isinstance(item, Cut)}
            kept = {name: clip for name, cut in to_cut.items() if (clip := _kept(old.get(name), cut))}
            to_cut = {name: cut for name, cut in to_cut.items() if name not in kept}
            frames.append(frame_of(item for item in planned if isinstance(item, Clip)))
            if to_cut:
                in_work.update(dict.fromkeys(to_cut, Outcomes(shard, kept, len(to_cut))))
            else:
                frames.append(frame_of(kept.values()))
            progress.found(len(planned) - len(to_cut))
            yield from to_cut.values()

    done = map_in_processes(make_cutter, (config,), cuts(), isolated=True)
    # A thread of its own writes, so that the processes need not wait for the disk.
    with Progress(num_clips, "clip", f"{shards.paths.dataset}/clips") as progress, ThreadPoolExecutor(1) as writer:
        writes = []
        for cut, result in done:
            outcomes, died = in_work.pop(_name(cut)), isinstance(result, Crashed)
            outcomes.clips[_name(cut)] = without_file(cut.clip, "corrupt", str(result)) if died else result
            outcomes.num_waiting -= 1
            num_cut += 1
            progress.add()
            if not outcomes.num_waiting:
                frames.append(frame_of(outcomes.clips.values()))
                writes.append(writer.submit(shards.write, outcomes.shard, outcomes.clips))
        for write in writes:
            write.result()
    return pl.concat(frames).sort("track_id", "clip_index").rechunk(), num_cut


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
