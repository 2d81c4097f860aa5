"""How far is the service from the floor? Bare Starlette and Huitou, same JSON, same machine, one run. Writes result.json."""

import asyncio
import importlib
import json
import os
import platform
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import Any

import numpy as np

from outreach.ledger import Ledger
from serving.settings import Place, ServingSettings

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
sys.path.insert(0, str(ROOT / "tests/serving"))
small_brand = importlib.import_module("small_brand")
AS_OF, NOW = small_brand.AS_OF, small_brand.NOW


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def request_bytes(method: str, path: str, token: str, body: bytes = b"") -> bytes:
    head = f"{method} {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n"
    head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


async def one_answer(reader: asyncio.StreamReader) -> int:
    head = await reader.readuntil(b"\r\n\r\n")
    length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
    await reader.readexactly(length)
    return int(head[9:12])


async def load(port: int, message: bytes, clients: int, seconds: float, warm: int) -> dict[str, float]:
    """Keep `clients` connections busy; p50 and p99 in ms, requests a second, and answers that were not 200."""
    taken: list[float] = []
    wrong = 0

    async def client() -> None:
        nonlocal wrong
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for _ in range(warm // clients + 1):
            writer.write(message)
            await one_answer(reader)
        end = time.perf_counter() + seconds
        while (start := time.perf_counter()) < end:
            writer.write(message)
            wrong += await one_answer(reader) != 200
            taken.append(time.perf_counter() - start)
        writer.close()

    started = time.perf_counter()
    await asyncio.gather(*(client() for _ in range(clients)))
    passed = time.perf_counter() - started
    ms = np.array(taken) * 1000
    return {
        "p50_ms": round(float(np.median(ms)), 3),
        "p99_ms": round(float(np.quantile(ms, 0.99)), 3),
        "requests_per_second": round(len(ms) / passed, 1),
        "wrong": wrong,
    }


def ready(process: "subprocess.Popen[bytes]", address: str) -> float:
    started = time.perf_counter()
    while time.perf_counter() - started < 120:
        assert process.poll() is None, "the server ended"
        try:
            urllib.request.urlopen(address, timeout=2).read()
            return time.perf_counter() - started
        except OSError:
            time.sleep(0.05)
    raise RuntimeError(f"{address} does not answer")


def tree_memory_mb(pid: int) -> float:
    """Proportional memory of a process and its children."""
    pids, total = [pid], 0.0
    for one in pids:
        children = Path(f"/proc/{one}/task/{one}/children")
        pids += [int(child) for child in children.read_text().split()] if children.exists() else []
        for line in Path(f"/proc/{one}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                total += int(line.split()[1]) / 1024
    return round(total, 1)


def fetch(port: int, method: str, path: str, token: str, body: Any = None) -> Any:
    data = None if body is None else json.dumps(body).encode()
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", data, headers, method=method)
    return json.loads(urllib.request.urlopen(request).read())


def main() -> None:
    config = json.loads((HERE / "config.json").read_text())
    home = Path(tempfile.mkdtemp(prefix="http-speed-"))
    small_brand.write_small_release(home / "releases")
    url = f"sqlite:///{home / 'ledger.db'}"
    ledger = Ledger(url)
    ledger.save_lists(AS_OF, small_brand.small_lists(), run_id="r1", at=NOW)
    token = ledger.create_token("admin", at=NOW)
    guide = ledger.create_token("guide", subject="g1", store_id="s1", at=NOW)
    ledger.close()
    settings = ServingSettings(requests_per_minute=10**9)
    environment = {**os.environ, **Place(home, url, "brand", settings).as_environment(), "HUITOU_TODAY": str(AS_OF)}
    port, floor = free_port(), free_port()
    log = (home / "log").open("wb")
    bento = [sys.executable, "-m", "bentoml", "serve", "serving.service:Huitou", "--host", "127.0.0.1"]
    service = subprocess.Popen([*bento, "--port", str(port)], env=environment, stdout=log, stderr=log)
    result: dict[str, Any] = {
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "load_before": os.getloadavg()[0],
    }
    bare = None
    try:
        result["service_ready_s"] = round(ready(service, f"http://127.0.0.1:{port}/readyz"), 2)
        ids = [f"m0{1 + place % 8}" for place in range(1000)]
        asked: dict[str, tuple[str, str, str, Any]] = {
            "list": ("GET", "/v1/guides/g1/contact-list", guide, None),
            "recommendations": ("GET", "/v1/members/m01/recommendations", guide, None),
        }
        asked |= {f"churn_{n}": ("POST", "/churn", token, {"member_ids": ids[:n]}) for n in config["bulk"]}
        answers = {name: fetch(port, *question[:3], question[3]) for name, question in asked.items()}
        (home / "answers.json").write_text(json.dumps(answers), encoding="utf-8")
        bare_environment = {**os.environ, "HUITOU_BARE_ANSWERS": str(home / "answers.json")}
        uvicorn = [sys.executable, "-m", "uvicorn", "bare:app", "--app-dir", str(HERE), "--port", str(floor)]
        bare = subprocess.Popen([*uvicorn, "--no-access-log", "--log-level", "warning"], env=bare_environment)
        ready(bare, f"http://127.0.0.1:{floor}/list")
        for name, (method, path, who, body) in asked.items():
            data = b"" if body is None else json.dumps(body).encode()
            for clients in config["clients"]:
                if name.startswith("churn") and clients > 1:
                    continue
                ours = asyncio.run(
                    load(port, request_bytes(method, path, who, data), clients, config["seconds"], config["warm"])
                )
                theirs = asyncio.run(
                    load(
                        floor,
                        request_bytes(method, f"/{name}", who, data),
                        clients,
                        config["seconds"],
                        config["warm"],
                    )
                )
                result[f"{name}_{clients}"] = {
                    "huitou": ours,
                    "bare": theirs,
                    "p50_ratio": round(ours["p50_ms"] / theirs["p50_ms"], 2),
                    "throughput_ratio": round(ours["requests_per_second"] / theirs["requests_per_second"], 3),
                    "p99_over_own_p50": round(ours["p99_ms"] / ours["p50_ms"], 2),
                }
        before = tree_memory_mb(service.pid)
        message = request_bytes("GET", "/v1/members/m01/recommendations", guide)
        done = 0
        while done < config["memory_requests"]:
            passed = asyncio.run(load(port, message, 4, 2.0, 0))
            done += int(passed["requests_per_second"] * 2)
        result["memory"] = {"requests": done, "before_mb": before, "after_mb": tree_memory_mb(service.pid)}
    finally:
        for process in (service, bare):
            if process is not None:
                process.terminate()
                process.wait(timeout=30)
    result["load_after"] = os.getloadavg()[0]
    (HERE / "result.json").write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
