"""m3u and CSV as text: what players write, and what nobody should."""

from __future__ import annotations

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from larp_core.data.readers.playlist_files import PlaylistEntry, parse_csv, parse_m3u
from larp_core.runtime.errors import UserError


def test_extended_m3u():
    content = (
        "#EXTM3U\r\n#PLAYLIST: Sundays \r\n\r\n#EXTINF:123,Nina Simone - Sinnerman\r\na.mp3\r\n"
        '# a remark\r\n  b.mp3  \r\n#EXTINF:-1 tvg-id="x",Only a title\r\nc.mp3\r\n#EXTINF:7\r\nd.mp3'
    )
    written = parse_m3u(content.encode())
    assert written.name == "Sundays"
    assert written.entries == [
        PlaylistEntry("a.mp3", 5, "Sinnerman", "Nina Simone", 123_000),
        PlaylistEntry("b.mp3", 7),
        PlaylistEntry("c.mp3", 9, "Only a title"),
        PlaylistEntry("d.mp3", 11, duration_ms=7_000),
    ]


def test_a_title_keeps_its_own_dashes_and_commas():
    (entry,) = parse_m3u(b"#EXTINF:9,A - B - C, D\nx.mp3\n").entries
    assert (entry.artist, entry.title) == ("A", "B - C, D")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252", "latin-1"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_encodings_and_line_ends(encoding, end):
    lines = ["#EXTM3U", "Café/Señor Ü.mp3", "Don't.mp3"]
    assert [entry.text for entry in parse_m3u(end.join(lines).encode(encoding)).entries] == lines[1:]


def test_windows_quotation_marks():
    assert parse_m3u("Don’t – é.mp3".encode("cp1252")).entries == [PlaylistEntry("Don’t – é.mp3", 1)]


@given(st.lists(st.text(st.characters(exclude_characters="\r\n", exclude_categories=["Cs"]), min_size=1)))
def test_every_line_that_is_no_comment_is_an_entry(lines):
    entries = parse_m3u("\n".join(lines).encode()).entries
    first = [lines[0].removeprefix("\ufeff"), *lines[1:]] if lines else []
    assert [entry.text for entry in entries] == [s for line in first if (s := line.strip()) and not s.startswith("#")]


@given(st.binary(max_size=400))
def test_no_bytes_are_a_traceback(content):
    parse_m3u(content)
    parse_m3u(b"#EXTM3U\n#EXTINF:" + content + b"\nx.mp3")
    table = parse_csv(b"playlist,track\n" + content, "playlists.csv")
    assert all(written.entries for written in table.playlists.values())


def test_csv():
    content = (
        '\ufeffTrack ,note,Playlist\r\n"a, b.mp3",x,One\r\n\r\nc.mp3,,Two\r\n"say ""d"".mp3",,One\r\n,,One\r\ne.mp3\r\n'
    )
    table = parse_csv(content.encode(), "playlists.csv")
    texts = {name: [(entry.text, entry.line) for entry in written.entries] for name, written in table.playlists.items()}
    assert texts == {"One": [("a, b.mp3", 2), ('say "d".mp3', 5)], "Two": [("c.mp3", 4)]}
    assert table.incomplete_lines == [6, 7] and table.problem == ""


@pytest.mark.parametrize("content", [b"", b"\n\n", b"playlist;track\nx;y\n", b"list,track\n", b"playlist,song\n"])
def test_a_csv_without_its_header_is_refused_with_the_remedy(content):
    with pytest.raises(UserError, match=r"my/playlists.csv, line 1: no column '(playlist|track)'.*'playlist,track'$"):
        parse_csv(content, "my/playlists.csv")


def test_what_is_no_csv_any_more_ends_the_reading():
    table = parse_csv(b"playlist,track\nA,a.mp3\nA," + b"x" * 200_000, "playlists.csv")
    assert [entry.text for entry in table.playlists["A"].entries] == ["a.mp3"]
    assert "field larger than field limit" in table.problem and "line 3" in table.problem


NAMES = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1).filter(str.strip)


@given(st.lists(st.tuples(NAMES, NAMES), max_size=20))
def test_csv_is_what_the_standard_library_writes(rows):
    text = io.StringIO()
    csv.writer(text).writerows([("playlist", "track"), *rows])
    table = parse_csv(text.getvalue().encode(), "playlists.csv")
    read = [(name, entry.text) for name, written in table.playlists.items() for entry in written.entries]
    assert sorted(read) == sorted((name.strip(), track.strip()) for name, track in rows)


@pytest.mark.parametrize("header", [b'"play\nlist",track', b'playlist,"tr\r\nack', b"\x0cplay\x85list"])
def test_a_mangled_header_is_refused_in_one_line(header):
    with pytest.raises(UserError, match=r"^music, line 1: no column '(playlist|track)' in the header") as caught:
        parse_csv(header + b"\na,b\n", "music")
    assert len(str(caught.value).splitlines()) == 1
