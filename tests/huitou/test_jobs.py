"""`huitou jobs`: what was asked for over HTTP is done once, survives a crash, and honours the rules of the moment."""

import time
from collections import Counter
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from huitou.brand import ledger_of
from huitou.commands.jobs import command
from huitou.config import Config, load_config
from huitou.jobs import REGENERATE, run_one
from outreach.ledger import Ledger
from training.release import open_release


@pytest.fixture
def config(own_home: Path) -> Config:
    return load_config(None, home=str(own_home), input=str(own_home / "demo-data"))


@pytest.fixture
def day(config: Config) -> date:
    return date.fromisoformat(open_release(config.home.current).manifest["as_of"])


def ask(ledger: Ledger, day: date, key: str, **wanted: Any) -> str:
    request = {"date": day.isoformat(), "guides": None, "store": None, "reason": "test", "seed": None} | wanted
    now = datetime.combine(day, datetime.min.time())
    job, agrees = ledger.ask_job(REGENERATE, request, idempotency_key=key, actor="boss", at=now)
    assert agrees
    return str(job["job_id"])


def run(config: Config, ledger: Ledger, day: date, *, hours: int = 9) -> dict[str, Any] | None:
    return run_one(config, ledger, now=lambda: datetime.combine(day, datetime.min.time()) + timedelta(hours=hours))


def pending(ledger: Ledger, day: date) -> list[dict[str, Any]]:
    return [task for task in ledger.tasks_of_store(None, day) if task["state"] == "pending"]


def test_the_verb_does_what_waits_once_and_says_what_became_of_it(config: Config, day: date) -> None:
    ledger = ledger_of(config)
    before = pending(ledger, day)
    guide = before[0]["guide_id"]
    job = ask(ledger, day, "k1", guides=[guide], seed=77)
    file = config.home.path / "huitou.toml"
    file.write_text(f'[brand]\ninput = "{config.brand.input}"\nhome = "{config.brand.home}"\n')
    done = CliRunner().invoke(command, ["--once", "--config", str(file)])
    assert done.exit_code == 0 and f"{job}: done" in done.output, done.output
    kept = ledger.job(job)
    assert kept is not None and kept["state"] == "done" and kept["result"]["lists"] == 1
    after = pending(ledger, day)
    others = {t["task_id"] for t in before if t["guide_id"] != guide}
    assert others == {t["task_id"] for t in after if t["guide_id"] != guide}, "only that guide's list is new"
    again = CliRunner().invoke(command, ["--once", "--config", str(file)])
    assert again.exit_code == 0 and again.output == "", "nothing waits any more"
    ledger.close()


def test_a_job_whose_worker_died_is_taken_up_again(config: Config, day: date) -> None:
    ledger = ledger_of(config)
    job = ask(ledger, day, "k2")
    claimed = ledger.claim_job(REGENERATE, at=datetime.combine(day, datetime.min.time()))
    assert claimed is not None and claimed["job_id"] == job
    assert run(config, ledger, day, hours=0) is None, "somebody else may still be at it"
    done = run(config, ledger, day + timedelta(days=1))
    assert done is not None and done["job_id"] == job and done["state"] == "done" and done["attempts"] == 2
    ledger.close()


def test_a_worker_that_is_still_at_a_job_keeps_it(config: Config, day: date, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another worker that looks while the work goes on, however long it takes, gets nothing."""
    ledger, other = ledger_of(config), ledger_of(config)
    ask(ledger, day, "k8")
    clock = [datetime.combine(day, datetime.min.time())]
    monkeypatch.setattr("huitou.jobs.HEARTBEAT", timedelta(milliseconds=20))
    looked = []

    def slow(*_: Any, **__: Any) -> dict[str, Any]:
        for _ in range(5):
            clock[0] += timedelta(minutes=1)
            time.sleep(0.3)
            looked.append(other.claim_job(REGENERATE, at=clock[0]))
        return {"lists": 0}

    monkeypatch.setattr("huitou.jobs.regenerate_lists", slow)
    done = run_one(config, ledger, now=lambda: clock[0])
    assert done is not None and done["state"] == "done" and done["attempts"] == 1
    assert looked == [None] * 5
    ledger.close()
    other.close()


def test_a_fault_of_ours_fails_the_job_and_not_the_worker(
    config: Config, day: date, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    ledger = ledger_of(config)
    ask(ledger, day, "k9")

    def broken(*_: Any, **__: Any) -> dict[str, Any]:
        raise KeyError("13800138000")

    monkeypatch.setattr("huitou.jobs.regenerate_lists", broken)
    done = run(config, ledger, day)
    assert done is not None and done["state"] == "failed" and "13800138000" not in str(done["result"])
    assert "a job failed" in caplog.text
    assert run(config, ledger, day) is None, "and it is not tried for ever"
    ledger.close()


def test_a_job_that_cannot_be_done_says_why(config: Config, day: date) -> None:
    ledger = ledger_of(config)
    ask(ledger, date(2020, 1, 1), "k3")
    done = run(config, ledger, day)
    assert done is not None and done["state"] == "failed" and "later day" in done["result"]["error"]
    ledger.close()


def test_new_lists_honour_the_rules_of_the_moment(config: Config, day: date) -> None:
    ledger = ledger_of(config)
    now = datetime.combine(day, datetime.min.time())
    before = pending(ledger, day)
    lasting = max(before, key=lambda task: (task["rank"], task["task_id"]))
    ledger.put_rules({"urged": [lasting["member_id"]], "quiet_hours": [18, 9]}, actor="boss", at=now)
    ask(ledger, day, "k4")
    done = run(config, ledger, day)
    assert done is not None and done["state"] == "done", done
    first = [task for task in pending(ledger, day) if task["member_id"] == lasting["member_id"]]
    assert [(task["rank"], task["reason_code"], task["propensity"]) for task in first] == [(1, "URGED", 1.0)]
    assert {task["payload"]["expires_at"][11:13] for task in pending(ledger, day)} == {"18"}
    ledger.put_rules({"quiet_days": [day.isoformat()]}, actor="boss", at=now)
    ask(ledger, day, "k5")
    run(config, ledger, day)
    assert pending(ledger, day) == [], "a day of mourning has no lists"
    ledger.put_rules({"quiet_days": None, "urged": None, "quiet_hours": None}, actor="boss", at=now)
    ask(ledger, day, "k6")
    run(config, ledger, day)
    assert {task["member_id"] for task in pending(ledger, day)} == {task["member_id"] for task in before}
    ledger.close()


def test_guides_suggest_nothing_that_is_filtered_or_that_their_store_has_none_of(config: Config, day: date) -> None:
    ledger = ledger_of(config)
    now = datetime.combine(day, datetime.min.time())

    def suggested(store: str | None = None) -> Counter[str]:
        tasks = [task for task in pending(ledger, day) if store in (None, task["store_id"])]
        return Counter(item["item_id"] for task in tasks for item in task["payload"].get("suggestions") or [])

    before = suggested()
    (store, sold_out), (filtered, _) = (
        max(
            ((s, item) for s in {t["store_id"] for t in pending(ledger, day)} for item in suggested(s)),
            key=lambda pair: (suggested(pair[0])[pair[1]], pair),
        ),
        before.most_common(2)[1],
    )
    event = {"event_id": "s", "kind": "stock", "at": now, "store_id": store, "item_id": sold_out, "qty": 0.0}
    ledger.note_events([event], received_at=now)
    rules = {"only": {"not": {"is": ["item_id", filtered]}}}
    ledger.put_rules({"recommendations": rules}, actor="boss", at=now)
    ask(ledger, day, "k7")
    done = run(config, ledger, day)
    assert done is not None and done["state"] == "done", done
    after = suggested()
    assert filtered not in after and sold_out not in suggested(store)
    assert sum(after.values()) == sum(before.values()), "the next places fill what was taken away"
    ledger.close()
