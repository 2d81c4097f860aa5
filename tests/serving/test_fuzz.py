"""Requests made up from the OpenAPI file, as every role: no fault of ours, no answer outside its schema, none to a stranger.

HUITOU_FUZZ_CASES sets how many are tried.
"""

import asyncio
import gc
import itertools
import logging
import os
import random
import shutil
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import schemathesis
from house import WHO, House, open_house
from hypothesis import HealthCheck, Phase, given, seed, settings
from schemathesis.specs.openapi.checks import response_schema_conformance
from small_brand import MEMBERS

from serving import service
from serving.access import Doors
from serving.runtime import Runtime
from serving.settings import ServingSettings

CASES = int(os.environ.get("HUITOU_FUZZ_CASES", "5200"))
# Real ids stand in for made-up ones half of the time, or nearly every path would end in 404.
REAL: dict[str, list[str]] = {
    "guide_id": ["g1", "g2", "g3"],
    "member_id": sorted(MEMBERS),
    "task_id": ["T-g1-m01", "T-g2-m05", "T-g3-m07"],
    "store_id": ["s1", "s2"],
    "item_id": ["i0", "i9"],
    "name": ["app.css"],
}
EVERYBODY = (None, *WHO)
STRANGERS = {"other_guide": ("m01", "m05", "T-g1-m01", "T-g2-m05"), "manager": ("m07", "m08", "T-g3-m07")}


class WholeService:
    """The service as `huitou serve` runs it, gate, BentoML and REST, in one event loop beside the test."""

    def __init__(self, runtime: Runtime) -> None:
        # The worker's state is the test's; everything else is what the module makes.
        vars(service.runtime)["runtime"] = runtime
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._app: Any = service.application()
        self._lifespan = self._app._behind.router.lifespan_context(self._app._behind)
        self._run(self._lifespan.__aenter__())
        transport = httpx.ASGITransport(app=self._app, raise_app_exceptions=False)
        self._client = httpx.AsyncClient(transport=transport, base_url="http://shop")

    def _run(self, work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(timeout=60)

    def request(self, method: str, path: str, **options: Any) -> httpx.Response:
        self._client.cookies.clear()
        answer: httpx.Response = self._run(self._client.request(method, path, **options))
        return answer

    def close(self) -> None:
        self._run(self._client.aclose())
        self._run(self._lifespan.__aexit__(None, None, None))
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(timeout=10)
        del vars(service.runtime)["runtime"]


@pytest.fixture(scope="module")
def fuzzed(tmp_path_factory: pytest.TempPathFactory, small_releases: Path, migrated_file: Path) -> Iterator[House]:
    home = tmp_path_factory.mktemp("fuzz")
    shutil.copytree(small_releases, home / "releases", symlinks=True)
    shutil.copy(migrated_file, home / "ledger.db")
    house = open_house(home, f"sqlite:///{home / 'ledger.db'}", "brand", ServingSettings(requests_per_minute=10**9))
    loggers = [logging.getLogger(name) for name in ("huitou", "bentoml", "uvicorn.error", "asyncio")]
    before = [(one, one.handlers, one.level, one.propagate) for one in loggers], gc.get_threshold()
    whole = WholeService(house.runtime)
    house.client = whole  # type: ignore[assignment]
    yield house
    whole.close()
    for one, handlers, level, propagate in before[0]:
        one.handlers, one.propagate = handlers, propagate
        one.setLevel(level)
    gc.set_threshold(*before[1])
    gc.unfreeze()


@pytest.mark.slow
def test_made_up_requests_find_no_fault_no_odd_answer_and_no_strangers_member(fuzzed: House) -> None:
    schema = schemathesis.openapi.from_dict(fuzzed.ask(None, "GET", "/openapi.json").json())
    operations = [found.ok() for found in schema.get_all_operations()]
    # A deletion would leave nothing to ask about; it has tests of its own.
    operations = [one for one in operations if not (one.method == "delete" and one.path.startswith("/v1/members"))]
    doors, rng = Doors(), random.Random(11)
    statuses: Counter[int] = Counter()
    asked: Counter[tuple[str, str | None]] = Counter()
    turn = itertools.cycle(EVERYBODY)

    def ask(case: Any, role: str | None) -> httpx.Response | None:
        sent = case.as_transport_kwargs(base_url="http://shop", headers=_headers(fuzzed, role))
        kept = {name: sent[name] for name in ("headers", "params", "json", "data") if name in sent}
        try:
            return fuzzed.client.request(sent["method"], sent["url"], **kept)
        except (httpx.InvalidURL, UnicodeError):
            return None

    def judge(case: Any, role: str | None, named: set[str], answer: httpx.Response) -> None:
        where = f"{case.method} {case.formatted_path} as {role}: {answer.status_code} {answer.text[:300]}"
        # The small brand's release carries no model to compute with.
        assert answer.status_code < 500 or answer.json()["error"]["code"] == "no_model", where
        if answer.status_code >= 400:
            assert set(answer.json()["error"]) == {"code", "message", "detail"}, where
        else:
            case.validate_response(answer, checks=[response_schema_conformance])
        route, values = doors.find(case.method.upper(), answer.request.url.path)
        if route is None or route.roles is None:
            return
        if role is None:
            assert answer.status_code == 401, where
        elif role.removeprefix("other_") not in route.roles:
            assert answer.status_code == 403, where
        elif (set(values.values()) | named) & set(STRANGERS.get(role, ())):
            assert answer.status_code >= 400, where

    def questions(operation: Any, number: int, cases: int) -> None:
        @seed(number)
        @settings(
            max_examples=cases,
            deadline=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
            database=None,
        )
        @given(case=operation.as_strategy())
        def one(case: Any) -> None:
            for name in case.path_parameters or {}:
                if name in REAL and rng.random() < 0.5:
                    case.path_parameters[name] = rng.choice(REAL[name])
            named = _with_real_ids(case, rng)
            name = f"{case.method} {case.path}"
            # The first question of an operation is asked by everybody, the others by each in turn.
            for role in [role for role in EVERYBODY if not asked[name, role]] or [next(turn)]:
                asked[name, role] += 1
                answer = ask(case, role)
                if answer is None:
                    return  # no client could send it
                statuses[answer.status_code] += 1
                judge(case, role, named, answer)

        one()

    # Where an operation has few questions, others make up the number.
    for number in range(7, 27):
        left = CASES - sum(statuses.values())
        if left <= 0:
            break
        for operation in operations:
            questions(operation, number, max(left // len(operations), 3))
    assert sum(statuses.values()) >= CASES
    assert statuses[200] > 0 and statuses[403] > 0 and statuses[404] > 0
    assert all(asked[f"{one.method.upper()} {one.path}", role] for one in operations for role in EVERYBODY)
    print(f"{sum(statuses.values())} requests, {len(operations)} operations: {dict(sorted(statuses.items()))}")


def _with_real_ids(case: Any, rng: random.Random) -> set[str]:
    """Put real ids into a question's query and body half of the time; returns the member that a body then names."""
    for name in ("guide_id", "store_id"):
        if name in (case.query or {}) and rng.random() < 0.5:
            case.query[name] = rng.choice(REAL[name])
    if not case.path.endswith("/v1/recommendations") or not isinstance(case.body, dict) or rng.random() < 0.3:
        return set()
    case.body["member_id"] = rng.choice(REAL["member_id"])
    case.body["basket"] = rng.sample(["i0", "i1", "i9", "none"], rng.randint(0, 3))
    return {case.body["member_id"]}


def _headers(house: House, role: str | None) -> dict[str, str]:
    return {} if role is None else {"Authorization": f"Bearer {house.tokens[role]}"}
