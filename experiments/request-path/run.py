"""What does an answer cost in process: a list with a basket and events folded in, and the members for an item? Writes result.json."""

import asyncio
import datetime as dt
import gc
import json
import os
import platform
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from outreach.ledger import tables
from serving.access import Caller
from serving.answers.slates import recommendations
from serving.answers.telling import interested, members_for_item
from serving.app import rest_app
from serving.gate import Gate
from serving.releases import Served
from serving.routes.hot import HotRoutes
from serving.runtime import Runtime
from serving.settings import Place, ServingSettings
from training.recommend.reasons import REASONS
from training.recommend.rules import Rung, apply_rules, fold_in
from training.release import ItemArrays, Release
from training.release_people import People

HERE = Path(__file__).parent
AS_OF = dt.date(2026, 3, 2)
NOW = dt.datetime(2026, 3, 2, 12)


def mapped(folder: Path, name: str, values: np.ndarray) -> Any:
    """An array as a release holds it: on disk, mapped into memory."""
    np.save(folder / f"{name}.npy", values)
    return np.load(folder / f"{name}.npy", mmap_mode="r").view(np.ndarray)


def release_of(folder: Path, c: dict[str, int]) -> Served:
    """A release of random lists: every member owns `own` items, has three lists, and belongs to a guide and a store."""
    r = np.random.default_rng(c["seed"])
    members, items, width = c["members"], c["items"], c["list"]
    popularity = r.permutation(items)

    def codes(rows: int, columns: int) -> np.ndarray:
        # Few items are bought by many: the square of a uniform number leans to the front of the popular order.
        return popularity[(r.random((rows, columns)) ** 2 * items).astype(np.int64)].astype(np.int32)

    own = codes(members, c["own"])
    slates = {"again": own[:, :width], "new": codes(members, width), "mixed": codes(members, width)}
    # A list names an item once.
    for name, values in slates.items():
        order = np.sort(values, axis=1)
        twice = np.zeros_like(order, bool)
        twice[:, 1:] = order[:, 1:] == order[:, :-1]
        order[twice] = -1
        slates[name] = np.take_along_axis(order, np.argsort(r.random(order.shape), axis=1), 1)
    catalogue = tuple(
        {
            "item_id": f"i{k}",
            "title": f"货{k}",
            "category_l1": f"c{k % 40}",
            "product_brand": f"b{k % 200}",
            "status": "on",
        }
        for k in range(items)
    )
    arrays = ItemArrays(
        item_ids=tuple(row["item_id"] for row in catalogue),
        catalogue=catalogue,
        slates={name: mapped(folder, name, values) for name, values in slates.items()},
        scores={
            name: mapped(folder, f"{name}_score", r.random((members, width)).astype(np.float32)) for name in slates
        },
        reasons={name: mapped(folder, f"{name}_reason", np.full((members, width), 3, np.uint8)) for name in slates},
        because={name: mapped(folder, f"{name}_because", codes(members, width)) for name in slates},
        rung=mapped(folder, "rung", np.zeros(members, np.uint8)),
        due_days=mapped(folder, "due_days", r.integers(-1, 40, (members, width)).astype(np.int16)),
        similar=mapped(folder, "similar", codes(items, c["neighbours"])),
        together=mapped(folder, "together", codes(items, c["neighbours"])),
        popular={"": tuple(popularity[:200].tolist()), "s0": tuple(popularity[50:250].tolist())},
        sold=mapped(folder, "sold", np.where(np.arange(items) % 50 == 0, 0, 9).astype(np.int32)),
        sellable=mapped(folder, "sellable", np.ones(items, np.uint8)),
        cycle_days=mapped(folder, "cycle", np.where(r.random(items) < 0.3, 20, np.nan).astype(np.float32)),
        own_at=mapped(folder, "own_at", np.arange(members + 1, dtype=np.int64) * c["own"]),
        own=mapped(folder, "own", own.ravel()),
    )
    ids = np.array(sorted(f"m{k:07d}" for k in range(members)), "S")
    card = json.dumps(
        {"display_name": "王*", "guide_id": "g0", "store_id": "s0", "last_visits": [{"day": "2026-02-01"}]}
    )
    cards = mapped(folder, "cards", np.frombuffer(card.encode() * members, np.uint8))
    manifest = {
        "release_id": "r1",
        "as_of": AS_OF.isoformat(),
        "models": {"items": {"name": "ranker", "version": "1", "source": "model", "reason": None}},
        "item_reasons": [dict(one) for one in REASONS],
        "item_rungs": ["own", "store", "level", "brand"],
        "labels": {},
    }
    some, all_ = (
        np.sort(r.choice(members, c["guide_members"], False)),
        np.sort(r.choice(members, c["store_members"], False)),
    )
    people = People(
        mapped(folder, "people", np.concatenate([some, all_]).astype(np.int32)),
        {"guide": {"g0": [0, len(some)]}, "store": {"s0": [len(some), len(some) + len(all_)]}},
    )
    none = np.zeros(0)
    release = Release(
        folder,
        manifest,
        mapped(folder, "ids", ids),
        mapped(folder, "kind", np.zeros(members, np.uint8)),
        {},
        {},
        none,
        none,
        none,
        np.arange(members + 1, dtype=np.int64) * len(card.encode()),
        cards,
        arrays,
        people,
        mapped(folder, "friend", np.ones(members, np.uint8)),
        mapped(folder, "held_out", (r.random(members) < 0.05).astype(np.uint8)),
    )
    (folder / "aliases.json").write_text("{}")
    return Served(release, {"s0": {"store_id": "s0"}}, {"g0": {"guide_id": "g0", "store_id": "s0"}})


def spread(wall: list[float], cpu: list[float]) -> dict[str, float]:
    """p50, p99 and the longest by the clock, and p99 of the thread's own processor time: what other programs cannot add to."""
    ms, own = np.array(wall) * 1000, np.array(cpu) * 1000
    found = {
        name: round(float(np.quantile(ms, q)), 4) for name, q in (("p50_ms", 0.5), ("p99_ms", 0.99), ("max_ms", 1.0))
    }
    return found | {
        "cpu_p50_ms": round(float(np.median(own)), 4),
        "cpu_p99_ms": round(float(np.quantile(own, 0.99)), 4),
    }


def timed(call: Callable[[int], Any], times: int, warm: int) -> dict[str, float]:
    for number in range(warm):
        call(number)
    wall, cpu = [], []
    for number in range(times):
        start, own = time.perf_counter(), time.thread_time()
        call(number)
        wall.append(time.perf_counter() - start)
        cpu.append(time.thread_time() - own)
    return spread(wall, cpu)


def main() -> None:
    c = json.loads((HERE / "config.json").read_text())
    home = Path(tempfile.mkdtemp(prefix="request-path-"))
    try:
        result = measured(c, home)
    finally:
        shutil.rmtree(home)
    (HERE / "result.json").write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result, indent=1))


def measured(c: dict[str, int], home: Path) -> dict[str, Any]:
    r = np.random.default_rng([c["seed"], 1])
    folder = home / "release"
    folder.mkdir()
    served = release_of(folder, c)
    settings = ServingSettings(requests_per_minute=10**9)
    runtime = Runtime(Place(home, f"sqlite:///{home / 'ledger.db'}", "brand", settings), lambda: NOW, migrate=True)
    runtime.releases._served = served
    rules = {
        "only": {"not": {"is": ["category_l1", "c3"]}},
        "weights": [{"condition": {"is": ["product_brand", "b7"]}, "factor": 1.5}],
        "caps": [{"attribute": "category_l1", "most": 3}],
    }
    runtime.ledger.put_rules({"recommendations": rules}, actor="t", at=NOW)
    total = c["asked"] + c["warm"]
    rows = r.choice(c["members"], total, replace=False)
    members = served.release.ids[rows].astype(str).tolist()
    things = r.integers(0, c["items"], (total, c["events"]))
    events = [
        {
            "brand_id": "brand",
            "event_id": f"e{at}-{k}",
            "kind": ("view", "order", "view", "view", "return")[k % 5],
            "at": NOW - dt.timedelta(hours=k + 1),
            "member_id": member,
            "item_id": f"i{things[at, k]}",
            "store_id": "",
            "body_digest": "",
            "received_at": NOW,
        }
        for at, member in enumerate(members)
        for k in range(c["events"])
    ]
    with runtime.ledger.writing("events") as connection:
        connection.execute(tables.event.insert(), events)
    baskets = r.integers(0, c["items"], (total, c["basket"]))
    arrays = served.release.items
    compiled = runtime.shop_rules.compiled(runtime.ledger, runtime.live.look(), served, NOW.date())
    app = Caller("t", "app", "mini", "")
    guide, chief = Caller("t", "guide", "g0", "s0"), Caller("t", "operator", "hq", "")
    # A worker of the service runs with these; the journal is emptied so that its growth is not what is measured.
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 50, 1_000)

    def model_calls(number: int) -> None:
        recent = [*baskets[number].tolist(), *things[number].tolist()]
        own = fold_in(arrays.slates["mixed"][rows[number]], None, recent, arrays.similar, arrays.together)
        apply_rules([own, Rung.of("brand", arrays.popular[""])], c["n"], compiled, hidden=recent)

    def answer(number: int) -> None:
        recommendations(
            runtime,
            runtime.live.look(),
            app,
            members[number],
            n=c["n"],
            basket=[f"i{code}" for code in baskets[number].tolist()],
            store_id="s0",
            request_id=f"q{number}",
        )
        runtime.journal._exposures.clear()

    def plain(number: int) -> None:
        recommendations(runtime, runtime.live.look(), app, f"m{number:07d}", n=c["n"], request_id=f"p{number}")
        runtime.journal._exposures.clear()

    codes = r.integers(0, 400, total)  # codes of any popularity

    def tell(caller: Caller, **whose: str) -> Callable[[int], None]:
        def call(number: int) -> None:
            members_for_item(runtime, runtime.live.look(), caller, f"i{codes[number]}", n=20, **whose)

        return call

    people = served.release.people
    assert people is not None
    found: dict[str, dict[str, float]] = {
        "model_calls": timed(model_calls, c["asked"], c["warm"]),
        "fold_in_answer": timed(answer, c["asked"], c["warm"]),
        "answer_without_events": timed(plain, c["asked"], c["warm"]),
        "fold_in_over_http_in_process": asyncio.run(over_http(runtime, members, baskets, c)),
        "guide_interest": timed(lambda k: interested(served, people.of("guide", "g0"), int(codes[k])), 500, 20),
        "guide_answer": timed(tell(guide), 500, 20),
        "store_interest": timed(lambda k: interested(served, people.of("store", "s0"), int(codes[k])), 200, 10),
        "store_answer": timed(tell(chief, store_id="s0"), 200, 10),
    }

    def ratio(name: str, over: str) -> dict[str, float]:
        return {
            q: round(found[name][q] / found[over][q], 2) for q in ("p50_ms", "p99_ms", "cpu_p50_ms", "cpu_p99_ms")
        }

    runtime.ledger.close()
    return {
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}",
        **found,
        "ratios": {
            "fold_in_answer over model_calls": ratio("fold_in_answer", "model_calls"),
            "fold_in_over_http_in_process over model_calls": ratio("fold_in_over_http_in_process", "model_calls"),
            "guide_answer over guide_interest": ratio("guide_answer", "guide_interest"),
            "store_answer over store_interest": ratio("store_answer", "store_interest"),
        },
        "bar": {
            "fold_in_answer p99_ms at most": 10,
            "held by the clock": found["fold_in_answer"]["p99_ms"] <= 10,
            "held by processor time": found["fold_in_answer"]["cpu_p99_ms"] <= 10,
        },
    }


async def over_http(runtime: Runtime, members: list[str], baskets: np.ndarray, c: dict[str, int]) -> dict[str, float]:
    """POST /v1/recommendations through the gate and the REST app, without a socket."""
    hot = HotRoutes()
    rest = rest_app(lambda: runtime, hot)
    gate = Gate(rest, lambda: runtime, lambda: rest, hot.by_template())
    token = runtime.ledger.create_token("app", at=NOW).encode()
    head = [(b"authorization", b"Bearer " + token), (b"content-type", b"application/json")]
    wall, cpu = [], []
    for number in range(-c["warm"], c["asked"]):
        at = number % len(members)
        body = orjson.dumps({"member_id": members[at], "basket": [f"i{code}" for code in baskets[at].tolist()]})
        scope = {
            "type": "http",
            "method": "POST",
            "path": "/v1/recommendations",
            "query_string": b"",
            "headers": head,
        }
        status = 0

        async def receive(body: bytes = body) -> dict[str, Any]:
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: Any) -> None:
            nonlocal status
            status = message.get("status", status)

        start, own = time.perf_counter(), time.thread_time()
        await gate({**scope, "client": ("127.0.0.1", 1), "scheme": "http", "root_path": ""}, receive, send)
        if number >= 0:
            wall.append(time.perf_counter() - start)
            cpu.append(time.thread_time() - own)
        assert status == 200, status
        runtime.journal._exposures.clear()
        runtime.journal._audit.clear()
    return spread(wall, cpu)


if __name__ == "__main__":
    main()
