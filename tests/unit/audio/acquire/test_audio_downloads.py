"""Downloads against a real server that throttles, breaks off, lies, redirects and refuses."""

from __future__ import annotations

import socket
import time
from dataclasses import replace
from pathlib import Path

import pytest
from hostile_server import HostileServer, LoopbackSearch

from larp_core.audio.acquire import downloads
from larp_core.audio.acquire.downloads import DownloadOptions, Search, UrlList, YtDlp
from larp_core.audio.acquire.guarded import Guard, Refused
from larp_core.audio.acquire.sources import Outcome, Track
from larp_core.config import AcquireConfig
from larp_core.runtime.errors import UserError

CONFIG = AcquireConfig(download_seconds=1.0, socket_timeout_seconds=2.0, sleep_between_requests_seconds=0.0)
LOOPBACK = DownloadOptions(CONFIG, allow_private=True)
ODD_NAMES = [
    "../../etc/passwd",
    "-rf",
    "--exec=touch pwned",
    "a\0b",
    "x" * 4_000,
    "CON",
    "nul.mp3",
    "a/b\\c:d*e?f",
    "$(touch pwned)",
    "`touch pwned`",
    "%(title)s",
    "{track_uri}",
    "تراك",
    "\ud800",
    "\n",
]


def ask(server: HostileServer, path: str, folder: Path, options: DownloadOptions = LOOPBACK) -> Outcome:
    table = folder / "urls.csv"
    table.write_text(f'track_uri,url\nx,"{server.url + path if path.startswith("/") else path}"\n')
    incoming = folder / "incoming"
    incoming.mkdir(exist_ok=True)
    return UrlList(table, options).fetch(Track(1, "x"), incoming)


def test_a_listed_url_comes_byte_by_byte(server: HostileServer, tmp_path: Path) -> None:
    outcome = ask(server, "/ok/song%20one.mp3?token=secret", tmp_path)
    assert outcome.status == "ok" and outcome.path is not None
    assert outcome.path.read_bytes() == server.body
    assert outcome.path.parent == tmp_path / "incoming"
    assert UrlList(tmp_path / "urls.csv", LOOPBACK).fetch(Track(2, "y"), tmp_path).status == "not_found"


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (403, "error"),
        (404, "not_found"),
        (410, "removed"),
        (429, "rate_limited"),
        (451, "geo_blocked"),
        (500, "error"),
        (503, "error"),
    ],
)
def test_refusals_are_typed_and_leave_nothing(
    server: HostileServer, tmp_path: Path, status: int, expected: str
) -> None:
    server.headers = {"Retry-After": "77"} if status == 429 else {}
    outcome = ask(server, f"/{status}/x.mp3", tmp_path)
    assert (outcome.status, outcome.path) == (expected, None)
    assert outcome.retry_after_seconds == (77.0 if status == 429 else None)
    assert str(status) in outcome.detail
    assert not list((tmp_path / "incoming").iterdir())


def test_a_download_that_breaks_off_is_an_error_to_try_again(server: HostileServer, tmp_path: Path) -> None:
    outcome = ask(server, "/broken/x.mp3", tmp_path)
    assert (outcome.status, outcome.path) == ("error", None)
    assert server.requested["/broken/x.mp3"] >= 2


def test_a_length_that_is_too_small_ends_the_file_there(server: HostileServer, tmp_path: Path) -> None:
    outcome = ask(server, "/shorter/x.mp3", tmp_path)
    assert outcome.path is not None
    assert outcome.path.read_bytes() == server.body[: len(server.body) // 2]


def test_an_endless_answer_is_cut_off(server: HostileServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(downloads, "MAX_DOWNLOAD_BYTES", 2 << 20)
    outcome = ask(server, "/endless/x.mp3", tmp_path, replace(LOOPBACK, acquire=replace(CONFIG, download_seconds=60)))
    assert (outcome.status, outcome.path) == ("not_found", None)
    assert "larger than 2 MiB" in outcome.detail


def test_a_file_that_says_it_is_too_large_is_not_taken(
    server: HostileServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(downloads, "MAX_DOWNLOAD_BYTES", 2_000)
    outcome = ask(server, "/ok/large.mp3", tmp_path)
    assert outcome.status in ("error", "not_found") and outcome.path is None


def test_a_trickle_is_cut_off_in_time(server: HostileServer, tmp_path: Path) -> None:
    started = time.monotonic()
    outcome = ask(server, "/throttled/x.mp3", tmp_path)
    assert (outcome.status, outcome.path) == ("error", None)
    assert "took longer than 1 s" in outcome.detail
    assert time.monotonic() - started < 15


def test_a_packed_page_is_not_unpacked_without_end(server: HostileServer, tmp_path: Path) -> None:
    patient = replace(CONFIG, download_seconds=60.0, socket_timeout_seconds=60.0)  # a busy server packs it for seconds
    outcome = ask(server, "/bomb/page", tmp_path, replace(LOOPBACK, acquire=patient))
    assert (outcome.status, outcome.path) == ("not_found", None)


@pytest.mark.parametrize("url", ["http://127.0.0.1:99999/x.mp3", "http://%zz/x", "http://a..b/x", "http://\u2100.x/"])
def test_an_impossible_url_costs_its_track_alone(server: HostileServer, tmp_path: Path, url: str) -> None:
    try:
        outcome = ask(server, url, tmp_path)
    except UserError as error:
        assert "line 2" in str(error)
    else:
        assert outcome.path is None and outcome.detail


def test_a_mistake_of_an_extractor_costs_its_track_alone(
    server: HostileServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from yt_dlp import YoutubeDL

    monkeypatch.setattr(YoutubeDL, "extract_info", lambda *_, **__: {}["https://me:hunter2@host/?key"])
    outcome = ask(server, "/ok/x.mp3", tmp_path)
    assert (outcome.status, outcome.detail) == ("error", "'https://host/'")


def test_a_page_is_no_audio(server: HostileServer, tmp_path: Path) -> None:
    assert ask(server, "/page/x", tmp_path).status == "not_found"


def test_redirects_lead_on_only_where_they_may(server: HostileServer, tmp_path: Path) -> None:
    assert ask(server, f"/redirect/x?to={server.url}/ok/y.mp3", tmp_path).status == "ok"
    for target in ("file:///etc/passwd", "ftp://127.0.0.1/x.mp3", "gopher://127.0.0.1/x"):
        assert ask(server, f"/redirect/x?to={target}", tmp_path).path is None


def test_a_redirect_to_this_machine_is_refused(
    server: HostileServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first request passes, as one to a public server would; the one that it leads to is checked as ever."""
    check, checked = Guard.check_address, []

    def check_all_but_the_first(guard: Guard, address: str) -> None:
        checked.append(address)
        if len(checked) > 2:  # the host as written, then the address connected to
            check(guard, address)

    monkeypatch.setattr(Guard, "check_address", check_all_but_the_first)
    before = server.requested["/ok/y.mp3"]
    outcome = ask(server, f"/redirect/x?to={server.url}/ok/y.mp3", tmp_path, DownloadOptions(CONFIG))
    assert (outcome.status, outcome.path) == ("not_found", None)
    assert "private network" in outcome.detail
    assert (server.requested["/ok/y.mp3"], len(checked)) == (before, 3)


def test_this_machine_is_refused_and_not_asked(server: HostileServer, tmp_path: Path) -> None:
    port = server.server_port
    before = server.requested.total()
    for host in ("127.0.0.1", "localhost", "0.0.0.0", "[::1]", "2130706433", "0x7f.1", "[::ffff:127.0.0.1]"):
        outcome = ask(server, f"http://{host}:{port}/ok/x.mp3", tmp_path, DownloadOptions(CONFIG))
        assert outcome.path is None, host
    assert server.requested.total() == before


@pytest.mark.parametrize(
    "address",
    [
        *("10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0", "127.9.9.9"),
        *("224.0.0.1", "::1", "fe80::1%eth0", "fc00::1", "::ffff:10.0.0.1", "255.255.255.255", "192.0.0.1"),
        *("fec0::1", "::7f00:1", "64:ff9b::a00:1", "64:ff9b:1::a00:1", "2002:7f00:1::", "ff0e::1", "2001:db8::1"),
    ],
)
def test_private_addresses_are_refused_where_a_connection_would_open(address: str) -> None:
    with pytest.raises(Refused):
        Guard(1, 1.0).check_address(address)
    Guard(1, 1.0, allow_private=True).check_address(address)


def test_public_addresses_pass() -> None:
    for address in ("93.184.216.34", "2606:2800:220:1:248:1893:25c8:1946", "64:ff9b::5db8:d822", "2002:5db8:d822::1"):
        Guard(1, 1.0).check_address(address)


@pytest.mark.parametrize("address", ["127.0.0.1", "10.0.0.7", "::1", "fd00::7", "::ffff:127.0.0.1", "64:ff9b::7f00:1"])
def test_a_name_that_leads_inside_is_refused(
    server: HostileServer, tmp_path: Path, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a name server says counts, at the moment of connecting."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    asked = []

    def resolve(host: str, port: int, *_: object, **__: object) -> list[tuple]:
        asked.append(host)
        return [(family, socket.SOCK_STREAM, 6, "", (address, port, *([0, 0] if ":" in address else [])))]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    before = server.requested.total()
    outcome = ask(server, f"http://music.example:{server.server_port}/ok/x.mp3", tmp_path, DownloadOptions(CONFIG))
    assert (outcome.status, outcome.path) == ("not_found", None) and "private network" in outcome.detail
    assert "music.example" in asked and server.requested.total() == before


@pytest.mark.parametrize("act", ["dash", "hls"])
def test_lists_of_pieces_are_not_followed(server: HostileServer, tmp_path: Path, act: str) -> None:
    server.requested.clear()
    outcome = ask(server, f"/{act}/x.{'mpd' if act == 'dash' else 'm3u8'}", tmp_path)
    assert (outcome.status, outcome.path) == ("not_found", None)
    assert {path.split("/")[1] for path in server.requested} == {act}


def test_no_secret_of_a_url_is_shown(server: HostileServer, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    port = server.server_port
    for path in ("404/x.mp3", "page/x", "ok/x.mp3"):
        outcome = ask(server, f"http://me:hunter2@127.0.0.1:{port}/{path}?key=hunter2", tmp_path)
        assert "hunter2" not in outcome.detail
    assert "hunter2" not in caplog.text


@pytest.mark.parametrize("name", ODD_NAMES)
def test_odd_names_reach_no_path_and_no_shell(
    server: HostileServer, tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    incoming = tmp_path / "incoming"
    incoming.mkdir()
    source = YtDlp(server.url + "/ok/{file_name}.mp3", options=LOOPBACK)
    outcome = source.fetch(Track(1, name, name, name), incoming)
    assert outcome.status == "ok" and outcome.path is not None
    assert outcome.path.parent == incoming
    server.results = []
    searched = LoopbackSearch(server.url, CONFIG).fetch(Track(1, name, name, name), incoming)
    assert searched.status == "not_found"
    assert [path.name for path in tmp_path.iterdir()] == ["incoming"]


def test_yt_dlp_takes_nothing_from_configuration_files_and_plugins(tmp_path: Path) -> None:
    from yt_dlp.globals import plugin_dirs

    options = Search(options=DownloadOptions(CONFIG))
    downloader = options._downloader(tmp_path)
    assert plugin_dirs.value == []
    assert not downloader._pps["post_process"] and not downloader._pps["before_dl"]
    assert downloader.params["js_runtimes"]["deno"]["path"]
    assert downloader.params["ffmpeg_location"]
    assert [handler.RH_NAME for handler in downloader._request_director.handlers.values()] == ["guarded"]
