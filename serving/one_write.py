"""uvicorn's HTTP protocol, sending the head and the body of a response in one piece while several requests are under way.

uvicorn writes a head as soon as it is made and asyncio hands every write to the system at once: two calls, and two wake-ups
of the client, for an answer that fits one packet. For a client that is alone the early head is worth its call: it wakes the
client while the body is on its way.
"""

import asyncio
from collections.abc import Sized
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol


class JoinedWrites:
    """A transport that keeps what is written until the loop comes round, and then sends it joined.

    under_way: the requests being answered; while there is only one, everything is sent as it comes.
    """

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop, under_way: Sized) -> None:
        self._transport, self._loop, self._under_way = transport, loop, under_way
        self._waiting: list[bytes] = []

    def write(self, data: bytes) -> None:
        """Send some bytes after all that were written before."""
        if not self._waiting and len(self._under_way) <= 1:
            self._transport.write(data)
            return
        if not self._waiting:
            self._loop.call_soon(self._send)
        self._waiting.append(data)

    def close(self) -> None:
        """Close once everything written has been sent."""
        self._send()
        self._transport.close()

    def _send(self) -> None:
        waiting, self._waiting = self._waiting, []
        if waiting:
            self._transport.write(b"".join(waiting))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


class OneWriteProtocol(H11Protocol):
    """For `uvicorn.Config(http=…)`."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # uvicorn's own narrowing
        """Begin a connection."""
        super().connection_made(JoinedWrites(transport, self.loop, self.tasks))  # type: ignore[arg-type]  # all it uses
