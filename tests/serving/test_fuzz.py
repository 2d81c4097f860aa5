"""Requests made up from the OpenAPI file, as every role: no fault of ours, no answer outside its schema, none to a stranger.

HUITOU_FUZZ_CASES sets how many are tried (the default keeps the suite short; 5,000 and more are for a release).
"""

import os
import random
import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import schemathesis
from house import SHARED, WHO, House, open_house
from hypothesis import HealthCheck, Phase, given, seed, settings
from schemathesis.specs.openapi.checks import response_schema_conformance
from small_brand import MEMBERS

from serving.access import Doors
from serving.gate import Pace
from serving.settings import ServingSettings

CASES = int(os.environ.get("HUITOU_FUZZ_CASES", "300"))
# Real ids stand in for made-up ones half of the time, or nearly every path would end in 404.
REAL: dict[str, list[str]] = {
    "guide_id": ["g1", "g2", "g3"],
    "member_id": sorted(MEMBERS),
    "task_id": ["T-g1-m01", "T-g2-m05", "T-g3-m07"],
    "store_id": ["s1", "s2"],
    "item_id": ["i0", "i9"],
    "name": ["app.css"],
}
STRANGERS = {"other_guide": ("m01", "m05", "T-g1-m01", "T-g2-m05"), "manager": ("m07", "m08", "T-g3-m07")}


@pytest.fixture(scope="module")
def fuzzed(tmp_path_factory: pytest.TempPathFactory, small_releases: Path, migrated_file: Path) -> Iterator[House]:
    home = tmp_path_factory.mktemp("fuzz")
    shutil.copytree(small_releases, home / "releases", symlinks=True)
    shutil.copy(migrated_file, home / "ledger.db")
    house = open_house(home, f"sqlite:///{home / 'ledger.db'}", "brand", ServingSettings(requests_per_minute=10**9))
    yield house
    house.runtime.journal.close()
    house.ledger.close()


def test_made_up_requests_find_no_fault_no_odd_answer_and_no_strangers_member(fuzzed: House) -> None:
    app = SHARED.app_for(fuzzed.runtime)
    app.pace = Pace(clock=lambda: 0.0)
    schema = schemathesis.openapi.from_dict(fuzzed.ask(None, "GET", "/openapi.json").json())
    operations = [found.ok() for found in schema.get_all_operations()]
    # A deletion would leave nothing to ask about; it has tests of its own.
    operations = [one for one in operations if not (one.method == "delete" and one.path.startswith("/v1/members"))]
    each = max(CASES // len(operations), 3)
    doors, rng = Doors(), random.Random(11)
    statuses: Counter[int] = Counter()

    for operation in operations:

        @seed(7)
        @settings(
            max_examples=each,
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
            role = rng.choice([None, *WHO])
            sent = case.as_transport_kwargs(base_url="http://shop", headers=_headers(fuzzed, role))
            sent.pop("cookies", None)
            sent = {
                name: value
                for name, value in sent.items()
                if name in ("method", "url", "headers", "params", "json", "data")
            }
            try:
                answer = fuzzed.client.request(sent.pop("method"), sent.pop("url"), **sent)
            except (httpx.InvalidURL, UnicodeError):
                return  # no client could send it
            statuses[answer.status_code] += 1
            where = f"{case.method} {case.formatted_path} as {role}: {answer.status_code} {answer.text[:300]}"
            assert answer.status_code < 500, where
            if answer.status_code >= 400:
                assert set(answer.json()["error"]) == {"code", "message", "detail"}, where
            else:
                case.validate_response(answer, checks=[response_schema_conformance])
            route, values = doors.find(case.method.upper(), answer.request.url.path)
            if route is not None and route.roles is not None:
                if role is None:
                    assert answer.status_code == 401, where
                elif role.removeprefix("other_") not in route.roles:
                    assert answer.status_code == 403, where
                elif (set(values.values()) | named) & set(STRANGERS.get(role, ())):
                    assert answer.status_code >= 400, where

        one()
    assert sum(statuses.values()) >= min(CASES, 3 * len(operations)) * 0.8
    assert statuses[200] > 0 and statuses[403] > 0 and statuses[404] > 0
    print(f"{sum(statuses.values())} requests: {dict(sorted(statuses.items()))}")


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
