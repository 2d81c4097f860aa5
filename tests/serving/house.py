"""A running test service in process: the small brand, a ledger, a token of every role."""

import asyncio
import datetime as dt
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from small_brand import NOW, small_lists

from outreach.ledger import Ledger
from serving.app import rest_app
from serving.gate import Gate, Pace
from serving.routes.hot import HotRoutes
from serving.runtime import Runtime
from serving.settings import Place, ServingSettings

WHO = {
    "guide": {"subject": "g1", "store_id": "s1"},
    "other_guide": {"subject": "g3", "store_id": "s2"},
    "manager": {"subject": "boss", "store_id": "s1"},
    "operator": {"subject": "hq"},
    "app": {"subject": "mini-program"},
    "analyst": {"subject": "ana"},
    "admin": {"subject": "root"},
}


class MovableClock:
    """A clock that tests move by hand."""

    def __init__(self, now: dt.datetime) -> None:
        self.now = now

    def __call__(self) -> dt.datetime:
        return self.now


class InProcess:
    """A synchronous client over an ASGI app, without sockets."""

    def __init__(self, app: Any) -> None:
        self.app = app

    def request(self, method: str, path: str, **options: Any) -> httpx.Response:
        async def ask() -> httpx.Response:
            transport = httpx.ASGITransport(app=self.app, raise_app_exceptions=False)
            async with httpx.AsyncClient(transport=transport, base_url="http://shop") as client:
                return await client.request(method, path, **options)

        return asyncio.run(ask())


@dataclass
class House:
    """Everything of a running test service."""

    runtime: Runtime
    client: InProcess
    tokens: dict[str, str]
    clock: MovableClock
    home: Path

    @property
    def ledger(self) -> Ledger:
        return self.runtime.ledger

    def ask(self, role: str | None, method: str, path: str, **options: Any) -> Any:
        headers = dict(options.pop("headers", {}))
        if role is not None:
            headers["Authorization"] = f"Bearer {self.tokens[role]}"
        return self.client.request(method, path, headers=headers, **options)

    def trail(self) -> list[dict[str, Any]]:
        self.runtime.journal.flush()
        return self.ledger.audit_trail()


class Shared:
    """One app for all tests, because building it takes longer than a test; it answers for the runtime of the moment."""

    runtime: Runtime
    gate: Gate | None = None

    def app_for(self, runtime: Runtime) -> Gate:
        self.runtime = runtime
        if self.gate is None:
            hot = HotRoutes()
            app = rest_app(lambda: self.runtime, hot)
            self.gate = Gate(app, lambda: self.runtime, lambda: app, hot.by_template())
        self.gate.pace = Pace()
        return self.gate


SHARED = Shared()


def open_house(home: Path, url: str, brand_id: str, settings: ServingSettings | None = None) -> House:
    """A house over a home folder that has releases; the ledger gets tokens and today's lists."""
    clock = MovableClock(NOW)
    runtime = Runtime(Place(home, url, brand_id, settings or ServingSettings()), clock)
    runtime.ledger.save_lists(NOW.date(), small_lists(), run_id="r1", at=NOW)
    tokens = {
        name: runtime.ledger.create_token(name.removeprefix("other_"), at=NOW, **who) for name, who in WHO.items()
    }
    return House(runtime, InProcess(SHARED.app_for(runtime)), tokens, clock, home)
