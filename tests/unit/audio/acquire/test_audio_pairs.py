"""The user's tables of tracks, mapping.csv and the list of URLs: a bad row is told, and costs its own track alone."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from larp_core.audio.acquire.downloads import UrlList, read_urls
from larp_core.audio.acquire.pairs import BadRow, UserTable, read_pairs
from larp_core.audio.acquire.sources import LocalFolder, Outcome, Track, read_mapping
from larp_core.audio.names import bare_uri, safe_file_name
from larp_core.runtime.errors import UserError

SPOTIFY_ID = "0UaMYEvWZi0ZqiDOoHU3YI"
URL = "https://host/x.mp3"


def fetch(folder: Path, uri: str) -> Outcome:
    return LocalFolder(folder).fetch(Track(1, uri), folder)


def table_of(folder: Path, *lines: str) -> Path:
    table = folder / "urls.csv"
    table.write_text("\n".join(["track_uri,url", *lines]) + "\n", encoding="utf-8")
    return table


def test_a_mapping_names_files_here_and_elsewhere(tmp_path: Path) -> None:
    folder, elsewhere = tmp_path / "folder", tmp_path / "Ünïcode, song.mp3"
    folder.mkdir()
    elsewhere.write_bytes(b"x")
    (folder / "one.mp3").write_bytes(b"x")
    rows = [
        "track_uri,file,note",
        f"spotify:track:{SPOTIFY_ID},one.mp3,mine",
        f'lfm:1,"{elsewhere}",',
        "lfm:2,one.mp3,",
    ]
    (folder / "mapping.csv").write_text("\ufeff" + "\r\n".join(rows), encoding="utf-8")
    assert fetch(folder, SPOTIFY_ID).path == folder / "one.mp3"
    assert fetch(folder, "lfm:1").path == elsewhere
    assert fetch(folder, "lfm:2").path == folder / "one.mp3"
    assert fetch(folder, "lfm:3").status == "not_found"


@pytest.mark.parametrize(
    ("row", "uri", "reason"),
    [
        ("y,two.mp3", "y", "file 'two.mp3' does not exist; correct its path or remove the line"),
        ("y", "y", "track_uri or file is empty; fill in both or remove the line"),
        (",one.mp3", "", "track_uri or file is empty; fill in both or remove the line"),
        ("good,1.mp3", "good", "track_uri 'good' has another file on an earlier line; keep one"),
        ("y,.", "y", "file '.' does not exist; correct its path or remove the line"),
        ("y,~nobody-of-this-name/one.mp3", "y", "file '~nobody-of-this-name/one.mp3' does not exist; correct its"),
        ("y,a\0b", "y", "file 'a\\x00b' does not exist"),
        ('y,"one.mp3\nz,1.mp3', "", ""),
        ("x" * 200_000 + ",one.mp3", "", "track_uri or file is empty"),
        (f"y,{'z' * 5_000}", "y", f"file '{'z' * 79}…' does not exist; correct"),
    ],
)
def test_a_bad_row_of_a_mapping_names_file_line_and_remedy(tmp_path: Path, row: str, uri: str, reason: str) -> None:
    for name in ("one.mp3", "1.mp3", "y.mp3"):
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "mapping.csv").write_text(f"track_uri,file\ngood,one.mp3\n{row}\nspotify:track:last,1.mp3\n")
    folder = LocalFolder(tmp_path)
    assert [fetch(tmp_path, name).path for name in ("good", "last")] == [tmp_path / "one.mp3", tmp_path / "1.mp3"]
    if not reason:  # a quote that nobody closed costs nothing: each line is a row
        assert folder.bad_rows == []
        assert fetch(tmp_path, "y").path == tmp_path / "one.mp3" and fetch(tmp_path, "z").path == tmp_path / "1.mp3"
        return
    [bad] = folder.bad_rows
    assert (bad.where, bad.track_uri) == (f"{tmp_path / 'mapping.csv'}, line 3", uri)
    assert reason in bad.reason and "\n" not in str(bad)
    if uri == "y":  # its own file would not be the one that the user meant
        assert fetch(tmp_path, "y") == Outcome("not_found", detail=str(bad))


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", r"mapping.csv, line 1: the header lacks"),
        ("uri;file\nx;one.mp3\n", r"line 1: the header lacks track_uri or file; make it 'track_uri,file'"),
        (
            "track_uri,file\ny,two.mp3\n,\n",
            r"line 2: file 'two.mp3' does not exist; correct.*of 2 rows none can",
        ),
    ],
)
def test_a_mapping_without_one_good_row_is_refused(tmp_path: Path, text: str, complaint: str) -> None:
    (tmp_path / "one.mp3").write_bytes(b"x")
    (tmp_path / "mapping.csv").write_text(text)
    with pytest.raises(UserError, match=complaint) as raised:
        LocalFolder(tmp_path)
    assert "\n" not in str(raised.value)
    assert str(tmp_path) in str(raised.value)


def test_a_mapping_that_is_no_text_or_not_there_says_so(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"gone.csv: cannot be read \(No such file"):
        read_mapping(tmp_path / "gone.csv")
    (tmp_path / "mapping.csv").write_bytes(b"\xff\xfe\x00t\x00r")
    with pytest.raises(UserError, match="not CSV in UTF-8"):
        LocalFolder(tmp_path)


@pytest.mark.parametrize("text", ["javascript:alert(1)", "file:///etc/passwd", "http://", "song.mp3", "--help"])
def test_a_list_takes_web_urls_only(tmp_path: Path, text: str) -> None:
    table = table_of(tmp_path, f"good,{URL}", f"x,{text}", f"z,{URL}")
    source = UrlList(table)
    [bad] = source.bad_rows
    assert (bad.where, bad.track_uri) == (f"{table}, line 3", "x")
    assert bad.reason.endswith("is not an http or https URL; correct it or remove the line")
    assert source.fetch(Track(1, "x"), tmp_path) == Outcome("not_found", detail=str(bad))
    assert [source.question(Track(1, uri)) for uri in ("good", "z")] == [URL, URL]
    with pytest.raises(UserError, match=r"urls.csv, line 2: .* is not an http or https URL; correct it"):
        UrlList(table_of(tmp_path, f"x,{text}"))


def test_of_a_tracks_rows_the_first_good_one_counts(tmp_path: Path) -> None:
    read = read_urls(table_of(tmp_path, "a,nothing", f"a,{URL}", f"spotify:track:a,{URL}", "a,https://host/y.mp3"))
    assert (read.values, read.find("a")) == ({"a": URL}, URL)
    assert [row.where[-1] for row in read.bad_rows] == ["2", "5"]


def test_no_secret_of_a_bad_row_is_shown(tmp_path: Path) -> None:
    secret = "ftp://me:hunter2@host/x.mp3?key=hunter2"
    others = ["me:hunter2@http://host/x.mp3", "me:hunter2@host/x.mp3", "http:/me:hunter2@host/x.mp3", "?a=hunter2"]
    rows = [f"{number},{url}" for number, url in enumerate([secret, *others])]
    bad_rows = read_urls(table_of(tmp_path, f"good,{URL}", *rows)).bad_rows
    assert len(bad_rows) == 5 and "hunter2" not in str(bad_rows) and "ftp://host/x.mp3" in str(bad_rows[0])
    read = read_urls(table_of(tmp_path, "x,http://me:hunter2@host/1.mp3", "x,http://me:hunter3@host/2.mp3"))
    assert "hunter" not in str(read.bad_rows)
    with pytest.raises(UserError) as raised:
        read_urls(table_of(tmp_path, f"x,{secret}"))
    assert "hunter2" not in str(raised.value)


def test_rows_are_found_by_the_file_name_of_their_id_too(tmp_path: Path) -> None:
    name = safe_file_name("lfm:1")
    found = UserTable({name: URL}, [BadRow("here", name, "why"), BadRow("there", "lfm:2", "why"), BadRow("", "", "")])
    assert (found.find("lfm:1"), found.find("lfm:2"), found.find("")) == (URL, BadRow("there", "lfm:2", "why"), None)


CELLS = st.sampled_from(["a", "spotify:track:a", "b", " c ", "", URL, "http://h/2", "nothing", '"', 'a"b', "é\u2028"])
LINES = st.lists(st.one_of(st.lists(CELLS, max_size=4).map(",".join), st.text(max_size=20)), max_size=12)


@given(lines=LINES)
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_each_row_of_any_table_gives_its_pair_or_its_reason(tmp_path: Path, lines: list[str]) -> None:
    """Against a reading of each line on its own."""
    table = tmp_path / "urls.csv"
    table.write_bytes("\n".join(["track_uri,url", *lines]).encode("utf-8", "replace"))
    text = table.read_bytes().decode().replace("\r\n", "\n").replace("\r", "\n")
    rows = {number: line for number, line in enumerate(text.split("\n")[1:], 2) if line.strip()}
    bad: list[BadRow] = []
    values: dict[str, str] = {}
    try:
        read = read_pairs(table, "url", _web_url)
        bad, values = read.bad_rows, read.values
    except UserError as error:
        assert rows and f"of {len(rows)} rows none can be used" in str(error)
        return
    reasons = {int(row.where.rsplit(" ", 1)[1]): row for row in bad}
    assert len(reasons) == len(bad) and set(reasons) <= set(rows)
    used: dict[str, str] = {}
    for number, line in rows.items():
        uri, cell, *_ = [*next(csv.reader([line])), "", ""]
        uri, cell = bare_uri(uri), cell.strip()
        is_good = bool(uri) and cell.startswith("http") and used.setdefault(uri, cell) == cell
        assert is_good == (number not in reasons)
        assert is_good or (reasons[number].track_uri == uri and reasons[number].reason)
    assert used == values


def _web_url(cell: str) -> str:
    if not cell.startswith("http"):
        raise ValueError("no URL; correct it")
    return cell
