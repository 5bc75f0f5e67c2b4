"""First plays in one compiled pass against the patient way, and against plain Python: the same plays and rejects."""

from __future__ import annotations

import datetime
import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_data_lfm_events import EPOCH, LINES, QUIET, naive, write_events

from larp_core.config import IngestConfig
from larp_core.data.readers import lfm_events, lfm_plays, lfm_quick, tsv
from larp_core.data.readers.lfm_plays import FirstPlays, Sieve
from larp_core.data.readers.lfm_quick import QuickPlays
from larp_core.data.readers.rejects import Rejects

SLOTS = st.sampled_from([2, 4, 64])


def plays_and_rejects(path: Path, config: IngestConfig, slots: int = lfm_quick.SLOTS) -> list[tuple[dict, dict]]:
    """By the compiled pass and by the patient way, in the form of `naive`; both in blocks of a few lines."""
    found = []
    for from_bytes in (0, 2**62):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(lfm_events, "CHUNK_BYTES", 70)
            patch.setattr(lfm_events, "SHORTCUT_FROM_BYTES", from_bytes)
            patch.setattr(lfm_plays, "GROUP_ROWS", 2)
            patch.setattr(lfm_plays, "MERGE_ROWS", 3)
            patch.setattr(lfm_quick, "SLOTS", slots)
            reading = lfm_events.read_plays(path, config)
        plays, rejects = reading.frames["plays"], reading.frames["rejects"]
        assert reading.num_rows == reading.num_kept + rejects["num_rows"].sum() and plays["row"].is_sorted()
        assert plays.schema == lfm_plays.PLAYS_SCHEMA
        found.append(
            (plays.rows_by_key(["user_id", "track_id"], unique=True), rejects.rows_by_key("reason", unique=True))
        )
    return found


def seconds_and_row(plays: dict) -> dict:
    return {pair: (int((played_at - EPOCH).total_seconds()), row) for pair, (_, played_at, row) in plays.items()}


@given(LINES, st.sampled_from([1.0, 0.4]), st.booleans(), st.sampled_from(["\n", "\r\n"]), st.booleans(), SLOTS)
@QUIET
def test_mangled_files_give_what_the_patient_way_and_plain_python_give(
    tmp_path_factory, lines, share, recent, end, packed, slots
):
    folder = tmp_path_factory.mktemp("lfm")
    sound = [f"{user}\t{track}\t-1\t2020-01-01 00:00:{track:02d}" for user in range(3) for track in range(4)]
    lines = [*sound, *lines, *sound]
    path = write_events(folder / f"listening-events.tsv{'.bz2' if packed else ''}", lines, end)
    config = IngestConfig(lfm_user_fraction=share, lfm_since="2020-01-01" if recent else None)
    quick, patient = plays_and_rejects(path, config, slots)
    assert quick == patient
    plays, rejects = naive(lines, share, 1_577_836_800 if recent else -(10**12))
    assert seconds_and_row(quick[0]) == plays
    assert {reason: (num, place) for reason, (_, num, place) in quick[1].items()} == rejects


@given(st.lists(st.tuples(*(st.integers(0, top) for top in (3, 5, 2, 9))), max_size=60), SLOTS, st.booleans())
@QUIET
def test_repeats_in_any_order_of_time_keep_the_first_play_and_its_album(tmp_path_factory, events, slots, recent):
    lines = [f"{user}\t{track}\t{album - 1}\t2020-01-01 00:00:0{second}" for user, track, album, second in events]
    path = write_events(tmp_path_factory.mktemp("lfm") / "listening-events.tsv", lines)
    quick, patient = plays_and_rejects(path, IngestConfig(lfm_since="2020-01-01" if recent else None), slots)
    assert quick == patient
    assert seconds_and_row(quick[0]) == naive(lines, 1.0, 0)[0]
    assert all(album == (events[row][2] - 1 if events[row][2] else None) for album, _, row in quick[0].values())


def test_more_plays_than_the_table_holds(tmp_path):
    numbers = random.Random(3)
    lines = [
        f"{numbers.randrange(40)}\t{numbers.randrange(10**9)}\t7\t2020-01-0{numbers.randint(1, 9)} 00:00:00"
        for _ in range(3_000)
    ]
    lines += numbers.sample(lines, 1_000)
    path = write_events(tmp_path / "listening-events.tsv", lines)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lfm_events, "SHORTCUT_FROM_BYTES", 0)
        patch.setattr(lfm_quick, "SLOTS", 256)
        reading = lfm_events.read_plays(path, IngestConfig(lfm_user_fraction=0.5))
    plays, rejects = naive(lines, 0.5, 0)
    found = reading.frames["plays"].rows_by_key(["user_id", "track_id"], unique=True)
    assert seconds_and_row(found) == plays and 256 < len(plays) < 3_000
    assert {reason: (num, place) for _, reason, num, place in reading.frames["rejects"].rows()} == rejects


def test_lines_up_to_the_first_odd_one_are_dealt_with():
    plays = FirstPlays()
    quick = QuickPlays(plays, Sieve("events", Rejects()), lambda user: True, None)
    sound = b"1\t2\t3\t2020-01-01 00:00:00\n"
    assert quick.read(memoryview(sound * 3 + b"1\t2\t3\tsoon\n" + sound), 10) == (3, 3 * len(sound))
    assert quick.read(memoryview(sound + sound[:-1]), 13) == (0, 0)
    assert quick.num_rows == 3 and plays.num_repeated == 2 and plays.first_repeated_row == 11
    assert plays.frame().is_empty()
    quick.close()
    assert plays.frame().rows() == [(1, 2, 3, datetime.datetime(2020, 1, 1), 10)]


def test_another_header_is_read_the_patient_way(tmp_path, monkeypatch):
    monkeypatch.setattr(lfm_events, "SHORTCUT_FROM_BYTES", 0)
    path = tmp_path / "listening-events.tsv"
    path.write_text("track_id\tuser_id\talbum_id\ttimestamp\n1\t2\t3\t2020-01-01 00:00:00\n")
    assert lfm_events.read_plays(path, IngestConfig()).frames["plays"].row(0)[:3] == (2, 1, 3)


def test_the_distributions_header_takes_the_quick_way(tmp_path, monkeypatch):
    monkeypatch.setattr(lfm_events, "SHORTCUT_FROM_BYTES", 0)
    monkeypatch.setattr(tsv, "_parse", None)
    path = write_events(tmp_path / "listening-events.tsv.bz2", ["1\t2\t3\t2020-01-01 00:00:00"], "\r\n")
    assert lfm_events.read_plays(path, IngestConfig()).frames["plays"].row(0)[:3] == (1, 2, 3)
