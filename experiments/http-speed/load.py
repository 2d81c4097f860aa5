"""Servers started, asked by a client of our own, and their memory read: what the parts of the experiment share."""

import asyncio
import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

Figures = dict[str, Any]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def running(
    command: Sequence[str], environment: dict[str, str], ready_at: str, log: Path
) -> Iterator[tuple[int, float]]:
    """A server process and the seconds until it answered at `ready_at`; ended afterwards."""
    with log.open("wb") as out:
        started = time.perf_counter()
        process = subprocess.Popen(command, env={**os.environ, **environment}, stdout=out, stderr=out)
        try:
            while True:
                try:
                    urllib.request.urlopen(ready_at, timeout=2).read()
                    break
                except OSError:
                    passed = time.perf_counter() - started
                    assert process.poll() is None and passed < 120, log.read_text(errors="replace")[-4000:]
                    time.sleep(0.01)
            yield process.pid, time.perf_counter() - started
        finally:
            process.terminate()
            process.wait(timeout=30)


@contextmanager
def serving(home: Path, today: str, log: Path) -> Iterator[tuple[int, int, float]]:
    """`huitou serve` with one worker over a home folder: port, process id, seconds until ready."""
    port = free_port()
    settings = log.with_suffix(".toml")
    settings.write_text(f"[serving]\nport = {port}\nrequests_per_minute = {10**9}\n", encoding="utf-8")
    command = [sys.executable, "-m", "huitou", "serve", "--no-jobs", "--config", str(settings), "--home", str(home)]
    with running(command, {"HUITOU_TODAY": today}, f"http://127.0.0.1:{port}/readyz", log) as (pid, seconds):
        yield port, pid, seconds


def request_bytes(method: str, path: str, token: str = "", body: Any = None) -> bytes:
    """A request as it goes over the wire, on a connection that is kept."""
    data = b"" if body is None else json.dumps(body).encode()
    head = f"{method} {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n"
    head += f"Content-Type: application/json\r\nContent-Length: {len(data)}\r\n\r\n"
    return head.encode() + data


async def _answer(reader: asyncio.StreamReader) -> int:
    head = await reader.readuntil(b"\r\n\r\n")
    length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
    await reader.readexactly(length)
    return int(head[9:12])


async def _load(port: int, messages: Sequence[bytes], clients: int, seconds: float, warm: int) -> Figures:
    taken: list[float] = []
    wrong = 0

    async def client(number: int) -> None:
        nonlocal wrong
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=2**22)
        at = number * 997
        for _ in range(warm // clients + 1):
            writer.write(messages[at % len(messages)])
            at += 1
            await _answer(reader)
        end = time.perf_counter() + seconds
        while (start := time.perf_counter()) < end:
            writer.write(messages[at % len(messages)])
            at += 1
            wrong += await _answer(reader) != 200
            taken.append(time.perf_counter() - start)
        writer.close()

    started = time.perf_counter()
    await asyncio.gather(*(client(number) for number in range(clients)))
    ms = np.array(taken) * 1000
    return {
        "p50_ms": float(np.median(ms)),
        "p99_ms": float(np.quantile(ms, 0.99)),
        "requests_per_second": len(ms) / (time.perf_counter() - started),
        "requests": len(ms),
        "wrong": wrong,
    }


def load(
    port: int, messages: Sequence[bytes], clients: int, seconds: float, warm: int = 100, pid: int | None = None
) -> Figures:
    """Keep `clients` connections busy with the messages in turn: p50 and p99 in ms, requests a second, answers not 200.

    pid: the server's, for the processor time it took per request (warming up included), which other work on the machine
    stretches less than the time by the clock.
    """
    before = processor_seconds(pid) if pid else 0.0
    figures = asyncio.run(_load(port, messages, clients, seconds, warm))
    if pid:
        asked = figures["requests"] + (warm // clients + 1) * clients
        figures["processor_ms"] = (processor_seconds(pid) - before) / asked * 1000
    return figures


def fetch(port: int, method: str, path: str, token: str, body: Any = None) -> Any:
    data = None if body is None else json.dumps(body).encode()
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", data, headers, method=method)
    return json.loads(urllib.request.urlopen(request).read())


def family(pid: int) -> list[int]:
    """A process and all that it started."""
    pids = [pid]
    for one in pids:
        for task in Path(f"/proc/{one}/task").iterdir():
            pids += [int(child) for child in (task / "children").read_text().split() if int(child) not in pids]
    return pids


def processor_seconds(pid: int) -> float:
    """Processor time of a process and its children so far."""
    ticks = 0
    for one in family(pid):
        said = Path(f"/proc/{one}/stat").read_text().rsplit(")", 1)[1].split()
        ticks += int(said[11]) + int(said[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def memory_mb(pid: int) -> dict[str, float]:
    """Memory of a process and its children in MB.

    private_dirty: what only they hold and only they can give back. mapped_clean: pages of the release that they have
    touched and nobody else maps; the system takes them back when it needs room. uss is the sum of both.
    """
    found = {"Private_Dirty": 0, "Private_Clean": 0}
    for one in family(pid):
        for line in Path(f"/proc/{one}/smaps_rollup").read_text().splitlines():
            name = line.split(":")[0]
            if name in found:
                found[name] += int(line.split()[1])
    dirty, clean = (found[name] / 1024 for name in ("Private_Dirty", "Private_Clean"))
    return {"private_dirty": round(dirty, 1), "mapped_clean": round(clean, 1), "uss": round(dirty + clean, 1)}
