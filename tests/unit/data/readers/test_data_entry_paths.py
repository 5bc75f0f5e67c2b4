"""Which file an entry of a playlist means."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from larp_core.data.readers.entry_paths import MISSING, NOT_AUDIO, OUTSIDE, SEVERAL, WEB, find_file
from larp_core.data.readers.own_folder import OwnFolder

FILES = ("Abba/Gold/01.mp3", "Café/100% Ü.mp3", "flat.mp3", "Lists/near.mp3", "Queen/News/We Will.mp3", "Queen/We.mp3")
OTHERS = ("A/same.mp3", "B/same.mp3")
FOLDER = Path("/home/me/Music")
OWN = OwnFolder(FOLDER, {path: FOLDER / path for path in (*FILES, *OTHERS)}, {}, [], {})
WE_WILL = "Queen/News/We Will.mp3"

FOUND = {
    "relative to the playlist": ("near.mp3", "Lists/near.mp3"),
    "up and down": ("../Queen/./News//We Will.mp3", WE_WILL),
    "beside the folder and back": ("../../Music/Queen/We.mp3", "Queen/We.mp3"),
    "relative to the folder": (WE_WILL, WE_WILL),
    "Windows": ("..\\Queen\\News\\We Will.mp3", WE_WILL),
    "another case": ("../queen/NEWS/we will.MP3", WE_WILL),
    "absolute": ("/home/me/Music/Queen/We.mp3", "Queen/We.mp3"),
    "absolute, elsewhere": ("/Volumes/Disk/iTunes/Queen/News/We Will.mp3", WE_WILL),
    "a Windows drive": ("C:\\Users\\me\\Music\\Queen\\News\\We Will.mp3", WE_WILL),
    "a drive's flat folder": ("D:/songs/flat.mp3", "flat.mp3"),
    "a network share": ("\\\\nas\\music\\Queen\\We.mp3", "Queen/We.mp3"),
    "URL": ("file:///home/me/Music/Queen/News/We%20Will.mp3", WE_WILL),
    "URL with a host": ("file://localhost/home/me/Music/Queen/We.mp3", "Queen/We.mp3"),
    "URL of another machine": ("FILE://nas/music/Queen/We.mp3", "Queen/We.mp3"),
    "URL of a drive": ("file:///C:/Music/Queen/News/We%20Will.mp3", WE_WILL),
    "short URL": ("file:/home/me/Music/Queen/We.mp3", "Queen/We.mp3"),
    "URL in UTF-8": ("file:///home/me/Music/Caf%C3%A9/100%25%20%C3%9C.mp3", "Café/100% Ü.mp3"),
    "URL in Latin-1": ("file:///home/me/Music/Caf%E9/100%25%20%DC.mp3", "Café/100% Ü.mp3"),
    "percent sign": ("../Café/100% Ü.mp3", "Café/100% Ü.mp3"),
    "escapes without URL": ("../Queen/News/We%20Will.mp3", WE_WILL),
    "decomposed": (unicodedata.normalize("NFD", "../Café/100% Ü.mp3"), "Café/100% Ü.mp3"),
}

NOT_FOUND = {
    "web": ("http://radio.example/live.mp3", WEB),
    "secure web": ("HTTPS://radio.example/a/Queen/We.mp3", WEB),
    "stream": ("rtsp://radio.example/live", WEB),
    "absent": ("../Queen/Nothing.mp3", MISSING),
    "absent by its absolute path": ("/home/me/Music/gone/flat.mp3", MISSING),
    "outside": ("../../../you/Music/secret.mp3", OUTSIDE),
    "outside, with a name from here": ("../../flat.mp3", OUTSIDE),
    "absolute, outside": ("/srv/music/other.mp3", OUTSIDE),
    "another artist's album": ("/old/Other/Gold/01.mp3", OUTSIDE),
    "system file": ("/etc/passwd", NOT_AUDIO),
    "picture": ("../cover.jpg", NOT_AUDIO),
    "folder": ("../Queen", NOT_AUDIO),
    "nothing": ("..", NOT_AUDIO),
    "NUL": ("a\0b", NOT_AUDIO),
    "bad URL": ("file://[/x.mp3", OUTSIDE),
}


@pytest.mark.parametrize("name", FOUND)
def test_found(name):
    text, path = FOUND[name]
    assert find_file(OWN, text, ("Lists",)) == (path, "")


@pytest.mark.parametrize("name", NOT_FOUND)
def test_not_found_and_why(name):
    text, problem = NOT_FOUND[name]
    assert find_file(OWN, text, ("Lists",)) == ("", problem)


def test_a_bare_name_counts_where_it_may():
    assert find_file(OWN, "we will.mp3", (), by_name=True) == (WE_WILL, "")
    assert find_file(OWN, "we will.mp3", ()) == ("", MISSING)
    assert find_file(OWN, "same.mp3", (), by_name=True) == ("", SEVERAL)
    assert find_file(OWN, "A/same.mp3", (), by_name=True) == ("A/same.mp3", "")


def test_files_that_differ_in_case_alone_are_told_apart_or_not_chosen():
    own = OwnFolder(FOLDER, {path: FOLDER / path for path in ("Song.mp3", "song.mp3")}, {}, [], {})
    assert find_file(own, "song.mp3", ()) == ("song.mp3", "")
    assert find_file(own, "SONG.mp3", ()) == ("", SEVERAL)


@given(st.text(), st.sampled_from([(), ("Lists",), ("a", "b")]), st.booleans())
def test_any_text_is_found_within_the_folder_or_has_a_reason(text, base, by_name):
    path, problem = find_file(OWN, text, base, by_name=by_name)
    assert (path in OWN.audio) != bool(problem)


@given(st.sampled_from(FILES), st.sampled_from(["/mnt/x", "C:", "//nas/share", "file:///srv", "/home/me/Music"]))
def test_a_moved_library_is_found(path, root):
    assert find_file(OWN, f"{root}/{path}", ("Lists",)) == (path, "")
