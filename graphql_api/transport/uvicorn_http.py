"""The bytes of an HTTP connection: uvicorn's protocol, which takes no upgrade but that to a WebSocket."""

from __future__ import annotations

from typing import Final

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from graphql_api.backlog import SlowReader

INVALID: Final = "Invalid HTTP request received."
"""As uvicorn says it."""
DROPPED: Final = frozenset({b"upgrade", b"http2-settings"})
"""Headers of an offer to upgrade."""


class HttpProtocol(HttpToolsProtocol):
    """One HTTP connection.

    A server may ignore an offer to upgrade (RFC 9110, section 7.8), and `Upgrade: h2c` comes with every request of
    `curl --http2` and of Java's HttpClient. But the parser stops behind the head of such a request, and uvicorn
    loses what follows: the body. Here such a request is read again without the offer.
    """

    slow: SlowReader | None = None

    def pause_writing(self) -> None:
        super().pause_writing()
        self.slow = self.slow or SlowReader(self.transport, "an HTTP connection")
        self.slow.pause()

    def resume_writing(self) -> None:
        if self.slow:
            self.slow.resume()
        super().resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        if self.slow:
            self.slow.resume()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self._unset_keepalive_if_required()
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            rest = data[upgrade.args[0] :]
            if self._get_upgrade() == b"websocket":
                self.handle_websocket_upgrade()
            else:
                self._read_again(rest)
        except httptools.HttpParserError:
            self.logger.warning(INVALID)
            self.send_400_response(INVALID)

    def _should_upgrade(self) -> bool:
        # Asked where the parser has stopped: nothing is begun yet. (It stops at CONNECT too, which has no offer.)
        return self.parser.get_method() != b"CONNECT"

    def _read_again(self, rest: bytes) -> None:
        """Reads the request whose head was read without its offer, and what came behind it."""
        head = [b"%s %s HTTP/%s\r\n" % (self.parser.get_method(), self.url, self.parser.get_http_version().encode())]
        for name, value in self.headers:
            if name == b"connection":
                options = (option.strip() for option in value.split(b","))
                value = b", ".join(option for option in options if option.lower() not in DROPPED)
            if name not in DROPPED and (name != b"connection" or value):
                head.append(b"%s: %s\r\n" % (name, value))
        self.parser = httptools.HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)
        self.data_received(b"".join([*head, b"\r\n", rest]))
