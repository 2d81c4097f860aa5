"""The protocol that joins a response's head and body: what goes over the wire, in what order, and in how many pieces."""

import asyncio
import socket

import uvicorn

from serving.one_write import JoinedWrites, OneWriteProtocol


class Wire:
    """What a transport was given."""

    def __init__(self) -> None:
        self.sent: list[bytes] = []
        self.closed = False

    def write(self, data: bytes) -> None:
        assert not self.closed
        self.sent.append(data)

    def close(self) -> None:
        self.closed = True


def test_one_request_sends_its_head_at_once_and_several_send_one_piece_each() -> None:
    async def story() -> tuple[list[bytes], list[bytes], list[bytes]]:
        alone, crowd, wire = {"a"}, {"a", "b"}, Wire()
        under_way = set(alone)
        joined = JoinedWrites(wire, asyncio.get_running_loop(), under_way)
        joined.write(b"head")
        at_once = list(wire.sent)
        under_way |= crowd
        joined.write(b"body")
        joined.write(b"head 2")
        under_way.discard("b")
        # Alone again, but something still waits: it must not be overtaken.
        joined.write(b"body 2")
        held = list(wire.sent)
        await asyncio.sleep(0)
        return at_once, held, wire.sent

    at_once, held, sent = asyncio.run(story())
    assert at_once == held == [b"head"]
    assert sent == [b"head", b"bodyhead 2body 2"]


def test_closing_sends_what_waits_first_and_only_once() -> None:
    async def story() -> Wire:
        wire = Wire()
        joined = JoinedWrites(wire, asyncio.get_running_loop(), {"a", "b"})
        joined.write(b"head")
        joined.write(b"body")
        joined.close()
        await asyncio.sleep(0)
        return wire

    wire = asyncio.run(story())
    assert wire.sent == [b"headbody"] and wire.closed


def test_many_clients_at_once_each_get_their_own_whole_answer() -> None:
    """Long bodies in parts, kept and closed connections, pipelined requests; nothing lost, doubled or swapped."""

    async def app(scope, receive, send) -> None:
        if scope["type"] != "http":
            return
        number = int(scope["path"][1:])
        await asyncio.sleep(0)
        await send(
            {"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % (9 * 40_000))]}
        )
        for part in range(3):
            await send({"type": "http.response.body", "body": b"%03d" % number * 40_000, "more_body": part < 2})
            await asyncio.sleep(0)

    async def client(port: int, numbers: range) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        last = numbers[-1]
        writer.write(
            b"".join(
                b"GET /%d HTTP/1.1\r\nHost: x\r\n%s\r\n"
                % (number, b"Connection: close\r\n" if number == last else b"")
                for number in numbers
            )
        )
        for number in numbers:
            head = await reader.readuntil(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200")
            assert await reader.readexactly(9 * 40_000) == b"%03d" % number * 120_000
        assert await reader.read() == b""
        writer.close()

    async def story() -> None:
        with socket.socket() as listening:
            listening.bind(("127.0.0.1", 0))
            config = uvicorn.Config(app, http=OneWriteProtocol, lifespan="off", log_config=None)
            server = uvicorn.Server(config)
            serving = asyncio.create_task(server.serve(sockets=[listening]))
            port = listening.getsockname()[1]
            await asyncio.gather(*(client(port, range(start, start + 5)) for start in range(0, 100, 5)))
            server.should_exit = True
            await serving

    asyncio.run(asyncio.wait_for(story(), 60))
