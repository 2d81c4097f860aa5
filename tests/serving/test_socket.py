"""Over a real socket with two workers: hot swaps under load, a broken release, BentoML's client, metrics of all workers."""

import concurrent.futures
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import bentoml
import httpx
import pytest
from small_brand import AS_OF, NOW, point_at, small_lists, write_small_release

from outreach.ledger import Ledger
from serving.settings import Place, ServingSettings

pytestmark = pytest.mark.slow


@dataclass
class Served:
    address: str
    home: Path
    tokens: dict[str, str]
    process: "subprocess.Popen[bytes]"

    def headers(self, role: str) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.tokens[role]}"}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    home = tmp_path_factory.mktemp("home")
    write_small_release(home / "releases")
    url = f"sqlite:///{home / 'ledger.db'}"
    ledger = Ledger(url)
    ledger.save_lists(AS_OF, small_lists(), run_id="r1", at=NOW)
    tokens = {
        "guide": ledger.create_token("guide", subject="g1", store_id="s1", at=NOW),
        "analyst": ledger.create_token("analyst", at=NOW),
        "app": ledger.create_token("app", at=NOW),
    }
    ledger.close()
    metrics = home / "metrics"
    metrics.mkdir()
    port = free_port()
    place = Place(home, url, "brand", ServingSettings(port=port, workers=2, poll_seconds=0.1))
    environment = {
        **os.environ,
        **place.as_environment(),
        "HUITOU_TODAY": AS_OF.isoformat(),
        "PROMETHEUS_MULTIPROC_DIR": str(metrics),
    }
    log = (home / "serve.log").open("wb")
    process = subprocess.Popen(
        [sys.executable, "-m", "serving.server"], env=environment, stdout=log, stderr=log, start_new_session=True
    )
    address = f"http://127.0.0.1:{port}"
    for _ in range(300):
        try:
            if httpx.get(f"{address}/readyz").status_code == 200:
                break
        except httpx.TransportError:
            time.sleep(0.2)
    else:
        raise AssertionError((home / "serve.log").read_text())
    yield Served(address, home, tokens, process)
    process.terminate()
    assert process.wait(timeout=30) == 0, "an ordered end"


def test_ten_thousand_requests_over_three_swaps_and_a_broken_release_never_fail(served: Served) -> None:
    root = served.home / "releases"
    for name in ("r2", "r3", "r4", "broken"):
        write_small_release(root, name, current=False)
    (root / "broken/members/ids.npy").write_bytes(b"cut short")
    stop = False
    wrong: list[str] = []
    versions: set[str] = set()

    def ask(number: int) -> int:
        count = 0
        with httpx.Client(base_url=served.address, headers=served.headers("app")) as client:
            while not stop or count < 2_500:
                answer = client.get("/v1/members/m01/recommendations")
                count += 1
                if answer.status_code != 200:
                    wrong.append(answer.text)
                else:
                    versions.add(answer.json()["model_version"].split("@")[1])
        return count

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        running = [pool.submit(ask, number) for number in range(4)]
        for name in ("r2", "r3", "broken", "r4"):
            time.sleep(1.0)
            point_at(root, name)
        time.sleep(1.5)
        stop = True
        total = sum(one.result() for one in running)
    assert wrong == [] and total >= 10_000
    assert versions == {"r1", "r2", "r3", "r4"}
    assert "broken" in (served.home / "serve.log").read_text(), "the refused release is named in the log"


def test_bulk_calls_answer_bentomls_own_client_with_an_error_per_id(served: Served) -> None:
    client = bentoml.SyncHTTPClient(served.address, token=served.tokens["analyst"])
    with client:
        churn = client.churn(member_ids=["m01", "zz", "minor"])
        windows = client.next_purchase(member_ids=["m02"])
        value = client.value(member_ids=["m05"] * 1000)
        items = client.recommend(member_ids=["m01", "m02"], n=3)
    assert [row["error"] and row["error"]["code"] for row in churn["results"]] == [None, "not_found", "not_scored"]
    assert churn["answered"] == 1 and 0 < churn["results"][0]["churn_probability"] < 1
    assert windows["results"][0]["median"] == "2026-03-21"
    assert value["answered"] == 1000 and value["results"][0]["tier"] == "A"
    assert [len(row["items"]) for row in items["results"]] == [3, 3]


def test_what_one_worker_is_told_holds_on_the_next_call_of_every_worker(served: Served) -> None:
    """Each call opens a connection of its own, so that both workers are asked."""

    def ask(role: str, method: str, path: str, **body: Any) -> dict[str, Any]:
        answer = httpx.request(method, f"{served.address}{path}", headers=served.headers(role), **body)
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    def shown(**question: Any) -> list[str]:
        items = ask("app", "POST", "/v1/recommendations", json={"member_id": "m03", "n": 10} | question)["items"]
        return [item["item_id"] for item in items]

    assert "i4" in shown() and "i4" not in shown(basket=["i4"])
    order = {"event_id": "s1", "kind": "order", "at": NOW.isoformat(), "member_id": "m03", "item_id": "i4"}
    ask("app", "POST", "/v1/events", json=order)
    assert all("i4" not in shown(list=slate) for slate in ("again", "new", "mixed") for _ in range(4))
    for _ in range(6):
        told = ask("guide", "GET", "/v1/items/i4/members")
        assert told["left_out"] == {"just_bought": 1} and "m03" not in [m["member_id"] for m in told["members"]]
        assert ask("app", "GET", "/v1/items/i0/similar?store_id=s1&n=2")["short"] == 0
    refusal = {"consents": [{"purpose": "personalised_recommendation", "state": "refused"}]}
    ask("app", "PUT", "/v1/members/m03/consents", json=refusal)
    popular = shown(personalised=False, store_id="s1")
    assert all(shown(store_id="s1", basket=["i1"]) == popular for _ in range(8))
    summary = ask("analyst", "GET", "/v1/experiments/recommendations/summary")
    assert summary["status"] == "not_enough_data" and summary["have"]["lists_shown"] > 0


def test_bulk_calls_refuse_in_the_one_shape_and_by_role(served: Served) -> None:
    for body in ({}, {"member_ids": []}, {"member_ids": ["m"] * 1001}, {"member_ids": "m01"}):
        answer = httpx.post(f"{served.address}/churn", json=body, headers=served.headers("analyst"))
        assert answer.status_code == 400 and answer.json()["error"]["code"] == "invalid_request"
    for role, status in (("guide", 403), ("app", 403), ("analyst", 200)):
        answer = httpx.post(f"{served.address}/churn", json={"member_ids": ["m01"]}, headers=served.headers(role))
        assert answer.status_code == status
    assert httpx.post(f"{served.address}/churn", json={"member_ids": ["m01"]}).status_code == 401


@pytest.mark.parametrize("call", ["churn", "next_purchase", "value", "recommend"])
def test_the_short_way_to_a_typed_call_answers_as_bentomls_own(served: Served, call: str) -> None:
    for body in (
        {"member_ids": ["m01", "zz", "minor", 'q"'] * 3},
        {"member_ids": ["m02"]},
        {"member_ids": []},
        {},
        7,
    ):
        answers = [
            httpx.post(
                f"{served.address}/{call}",
                content=json.dumps(body).encode(),
                headers={**served.headers("analyst"), "Content-Type": kind},
            )
            for kind in ("application/json", "application/json; charset=utf-8")
        ]
        assert answers[0].status_code == answers[1].status_code
        assert "server" not in answers[0].headers, "the short way"
        assert ("server" in answers[1].headers) == (answers[1].status_code == 200), "BentoML's own"
        assert answers[0].json() == answers[1].json()


def test_a_bulk_call_that_cannot_be_computed_says_so_in_the_one_shape(served: Served) -> None:
    body = {"member_ids": ["m01"], "computed": True}
    answer = httpx.post(f"{served.address}/churn", json=body, headers=served.headers("analyst"))
    assert answer.status_code == 503 and answer.json()["error"]["code"] == "no_model", answer.text


def test_bentomls_own_pages_and_descriptions_are_not_there(served: Served) -> None:
    assert httpx.get(f"{served.address}/").headers["location"] == "/guide"
    for path in ("/docs.json", "/healthz", "/static_content/index.css", "/assets/x.js"):
        assert httpx.get(f"{served.address}{path}").status_code == 404, path


def test_metrics_add_up_over_the_workers(served: Served) -> None:
    before = _count(served)
    for _ in range(40):
        httpx.get(f"{served.address}/v1/model", headers=served.headers("guide"))
    assert _count(served) == before + 40


def test_an_answer_is_not_held_back_until_the_client_confirms_its_head(served: Served) -> None:
    """On a kept connection that waiting takes 40 ms each time; the best of some answers shows whether it is there."""
    with httpx.Client(base_url=served.address, headers=served.headers("app")) as client:
        taken = [client.get("/v1/members/m02/recommendations").elapsed.total_seconds() for _ in range(60)]
    assert min(taken[10:]) < 0.03


def test_a_worker_that_dies_is_replaced_and_the_others_answer_meanwhile(served: Served) -> None:
    workers = _children(served.process.pid)
    assert len(workers) == 2
    os.kill(workers[0], signal.SIGKILL)
    for _ in range(100):
        assert httpx.get(f"{served.address}/livez").status_code == 200
        now = _children(served.process.pid)
        if len(now) == 2 and workers[0] not in now:
            break
        time.sleep(0.1)
    else:
        raise AssertionError("nobody took the dead worker's place")
    assert workers[1] in now
    time.sleep(1.0)
    assert httpx.get(f"{served.address}/readyz").status_code == 200


def test_logs_of_a_refused_call_hold_no_member_id(served: Served) -> None:
    body = {"member_ids": ["secret-member-77"] * 1001}
    assert httpx.post(f"{served.address}/churn", json=body, headers=served.headers("analyst")).status_code == 400
    httpx.get(f"{served.address}/v1/members/secret-member-77", headers=served.headers("guide"))
    lines = (served.home / "serve.log").read_text()
    assert "secret-member-77" not in lines
    assert any(
        json.loads(line)["logger"].startswith("bentoml") for line in lines.splitlines() if line.startswith("{")
    )


def _children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def _count(served: Served) -> float:
    text = httpx.get(f"{served.address}/metrics").text
    wanted = 'huitou_requests_total{method="GET",route="/v1/model",status="200"}'
    return sum(float(line.split()[-1]) for line in text.splitlines() if line.startswith(wanted))
