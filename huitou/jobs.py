"""A job of the ledger in, done and noted: so far one kind, making the contact lists of a day anew."""

import contextlib
import dataclasses
import json
import logging
import threading
from collections.abc import Callable, Iterator, Mapping
from datetime import date, datetime
from typing import Any

from features.errors import HuitouError
from huitou.brand import read_people
from huitou.config import Config
from huitou.daily import write_lists
from outreach.ledger import Ledger
from outreach.ledger.jobs import HEARTBEAT
from training.release import open_release

log = logging.getLogger("huitou.jobs")

REGENERATE = "regenerate_lists"


def run_one(config: Config, ledger: Ledger, *, now: Callable[[], datetime]) -> dict[str, Any] | None:
    """Claim and run the oldest waiting job; None where there is none. A failure is noted, a known one with its message."""
    job = ledger.claim_job(REGENERATE, at=now().replace(tzinfo=None))
    if job is None:
        return None
    result, failed = {}, True
    try:
        with _kept(ledger, job["job_id"], now):
            result, failed = regenerate_lists(config, ledger, job["request"], now=now()), False
    except HuitouError as error:
        result = {"error": str(error)}
    except Exception:
        # Whatever it was, the next job must not wait for it for ever; the message may hold somebody's data.
        log.exception("a job failed", extra={"job_id": job["job_id"]})
        result = {"error": "something failed on our side; the log of `huitou jobs` has more"}
    ledger.finish_job(job["job_id"], at=now().replace(tzinfo=None), result=result, failed=failed)
    return ledger.job(job["job_id"])


@contextlib.contextmanager
def _kept(ledger: Ledger, job_id: str, now: Callable[[], datetime]) -> Iterator[None]:
    """Say in the background that the job is being worked at."""
    done = threading.Event()

    def beat() -> None:
        while not done.wait(HEARTBEAT.total_seconds()):
            try:
                ledger.keep_job(job_id, at=now().replace(tzinfo=None))
            except Exception:
                log.exception("a job's heartbeat could not be noted", extra={"job_id": job_id})

    thread = threading.Thread(target=beat, name="huitou-heartbeat", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join(timeout=10)


def regenerate_lists(config: Config, ledger: Ledger, request: Mapping[str, Any], *, now: datetime) -> dict[str, Any]:
    """Make the lists of a day anew for the guides asked for; tasks that were started stay."""
    if request.get("seed") is not None:
        config = dataclasses.replace(config, training=dataclasses.replace(config.training, seed=int(request["seed"])))
    release = open_release(config.home.current)
    tables = read_people(config)[0]
    guides = set(request["guides"]) if request.get("guides") else None
    if guides is None and request.get("store"):
        rows = json.loads((release.path / "guides.json").read_text(encoding="utf-8"))
        guides = {str(row["guide_id"]) for row in rows if str(row.get("store_id")) == request["store"]}
    written = write_lists(
        config, tables, release, ledger, date.fromisoformat(request["date"]), now=now, only_guides=guides
    )
    return {"date": request["date"], **written.counts}
