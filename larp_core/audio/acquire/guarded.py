"""yt-dlp behind a guard: http and https alone, public addresses alone, and each answer within bytes and seconds.

Addresses are checked at the moment of connecting, so that no redirect and no name server leads to this machine or its
network. All requests go through Python's own HTTP client: yt-dlp's others have no such place. Plugins are off; its
configuration files and post-processors belong to its command line, which is not used. Imported in functions only.
"""

from __future__ import annotations

import functools
import http.client
import io
import ipaddress
import socket
import time
import urllib.request
import zlib
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import yt_dlp
from yt_dlp.globals import plugin_dirs
from yt_dlp.networking import _urllib
from yt_dlp.networking._helper import _socket_connect, create_connection
from yt_dlp.networking.exceptions import RequestError, TransportError

plugin_dirs.value = []


class Refused(RequestError):
    """A request that the guard does not let through, or an answer that it cuts off. It is not tried again."""


@dataclass(frozen=True)
class Guard:
    """`max_bytes` and `max_seconds` are of one answer; `allow_private` is for the demo world's loopback server.

    What is too large stays so, and is refused; what was too slow may be tried again.
    """

    max_bytes: int
    max_seconds: float
    allow_private: bool = False

    def check_host(self, host: str | None) -> None:
        """Raises Refused where the host is written as a private address: behind a proxy nothing else can be seen."""
        try:
            address = ipaddress.ip_address(host or "")
        except ValueError:
            if host == "localhost":
                self.check_address("127.0.0.1")
            return
        self.check_address(str(address))

    def check_address(self, text: str) -> None:
        if not self.allow_private and not is_public(ipaddress.ip_address(text.split("%")[0])):
            raise Refused("the address leads to this machine or its private network, which is refused")

    def connect(self, address: Any, timeout: float, source_address: Any) -> socket.socket:
        """Opens a socket to one result of `getaddrinfo`."""
        self.check_address(address[4][0])
        return _socket_connect(address, timeout, source_address)


PUBLIC_IPV6 = ipaddress.ip_network("2000::/3")
TRANSLATED_IPV4 = ipaddress.ip_network("64:ff9b::/96")
"""Where a network without IPv4 shows public IPv4 addresses (RFC 6052), and could show private ones."""


def is_public(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    """Whether an address, or the IPv4 address that is written into it, is one of the public internet."""
    if isinstance(address, ipaddress.IPv4Address):
        return address.is_global and not address.is_multicast
    inner = address.ipv4_mapped or address.sixtofour
    if address in TRANSLATED_IPV4:
        inner = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return is_public(inner) if inner else address in PUBLIC_IPV6 and address.is_global


class GuardedYoutubeDL(yt_dlp.YoutubeDL):
    """yt-dlp whose every request passes a guard."""

    def __init__(self, options: dict[str, Any], guard: Guard) -> None:
        self._guard = guard
        super().__init__(options)

    def build_request_director(self, handlers: Any, preferences: Any = None) -> Any:
        return super().build_request_director([functools.partial(GuardedRH, guard=self._guard)], preferences)


class GuardedRH(_urllib.UrllibRH):
    """The only request handler of `GuardedYoutubeDL`; yt-dlp wants the name of one to end in RH."""

    _SUPPORTED_URL_SCHEMES = ("http", "https")
    RH_NAME = "guarded"

    def __init__(self, *, guard: Guard, **options: Any) -> None:
        super().__init__(**options)
        self._guard = guard

    def _create_instance(self, proxies: Any, cookiejar: Any, legacy_ssl_support: Any = None) -> Any:
        opener = urllib.request.OpenerDirector()
        context = self._make_sslcontext(legacy_ssl_support=legacy_ssl_support)
        proxy_hosts = {urlsplit(proxy).hostname for proxy in proxies.values() if proxy}
        for handler in (
            _urllib.ProxyHandler(proxies),
            _Handler(self._guard, proxy_hosts, context=context, source_address=self.source_address),
            urllib.request.HTTPCookieProcessor(cookiejar),
            urllib.request.UnknownHandler(),
            urllib.request.HTTPDefaultErrorHandler(),
            urllib.request.HTTPErrorProcessor(),
            _urllib.RedirectHandler(),
        ):
            opener.add_handler(handler)
        opener.addheaders = []
        return opener

    def _prepare_headers(self, request: Any, headers: Any) -> None:
        headers.setdefault("Accept-Encoding", "gzip, deflate")


class _Handler(_urllib.HTTPHandler):
    def __init__(self, guard: Guard, proxy_hosts: set[str | None], **options: Any) -> None:
        super().__init__(**options)
        self._guard = guard
        self._proxy_hosts = proxy_hosts

    def http_open(self, req: Any) -> Any:
        return self._open(http.client.HTTPConnection, req)

    def https_open(self, req: Any) -> Any:
        return self._open(http.client.HTTPSConnection, req, context=self._context)

    def _open(self, kind: Any, req: Any, **options: Any) -> Any:
        self._guard.check_host(urlsplit(req.full_url).hostname)
        return self.do_open(functools.partial(self._connection, self._make_conn_class(kind, req)), req, **options)

    def _connection(self, kind: Any, *args: Any, **options: Any) -> Any:
        connection = kind(*args, **options)
        connect = _socket_connect if connection.host in self._proxy_hosts else self._guard.connect
        connection._create_connection = functools.partial(create_connection, _create_socket_func=connect)
        connection.response_class = functools.partial(_LimitedResponse, guard=self._guard)
        if self._source_address is not None:
            connection.source_address = (self._source_address, 0)
        return connection

    @staticmethod
    def gz(data: bytes) -> bytes:
        return _inflated(data, zlib.MAX_WBITS | 16)

    @staticmethod
    def deflate(data: bytes) -> bytes:
        try:
            return _inflated(data, -zlib.MAX_WBITS)
        except zlib.error:
            return _inflated(data, zlib.MAX_WBITS)

    @staticmethod
    def brotli(data: bytes) -> bytes:
        raise Refused("the answer is packed in a way that was not asked for")


MAX_INFLATED_BYTES = 64 * 1024 * 1024
"""Pages of video sites, the only answers that come packed, hold a few MiB."""


def _inflated(data: bytes, wbits: int) -> bytes:
    if not data:
        return data
    stream = zlib.decompressobj(wbits)
    inflated = stream.decompress(data, MAX_INFLATED_BYTES)
    if stream.unconsumed_tail:
        raise Refused(f"the answer holds more than {MAX_INFLATED_BYTES >> 20} MiB when unpacked")
    return inflated


class _LimitedResponse(http.client.HTTPResponse):
    """An answer read through `_LimitedStream`, its status line and headers too."""

    def __init__(self, *args: Any, guard: Guard, **options: Any) -> None:
        super().__init__(*args, **options)
        self.fp = io.BufferedReader(_LimitedStream(self.fp.detach(), guard))


class _LimitedStream(io.RawIOBase):
    def __init__(self, raw: Any, guard: Guard) -> None:
        self._raw = raw
        self._bytes_left = guard.max_bytes
        self._guard = guard
        self._deadline = time.monotonic() + guard.max_seconds

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        if time.monotonic() > self._deadline:
            raise TransportError(f"the answer took longer than {self._guard.max_seconds:g} s and was cut off")
        count = self._raw.readinto(buffer)
        self._bytes_left -= count or 0
        if self._bytes_left < 0:
            raise Refused(f"the answer is larger than {self._guard.max_bytes >> 20} MiB and was cut off")
        return count

    def close(self) -> None:
        self._raw.close()
        super().close()
