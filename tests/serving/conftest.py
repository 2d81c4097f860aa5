"""A service in process over the small brand, on SQLite always and on PostgreSQL where one is named."""

import asyncio
import datetime as dt
import os
import shutil
import sys
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

sys.path.insert(0, str(Path(__file__).parent))

from small_brand import NOW, small_lists, write_small_release

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


@pytest.fixture(scope="session")
def migrated_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("ledger") / "template.db"
    Ledger(f"sqlite:///{path}").close()
    return path


@pytest.fixture(scope="session")
def small_releases(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("releases")
    write_small_release(root)
    return root


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


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def house(
    request: pytest.FixtureRequest, migrated_file: Path, small_releases: Path, tmp_path: Path
) -> Iterator[House]:
    shutil.copytree(small_releases, tmp_path / "releases", symlinks=True)
    url = os.environ.get("HUITOU_TEST_DATABASE_URL", "")
    if request.param == "sqlite":
        url = f"sqlite:///{shutil.copy(migrated_file, tmp_path / 'ledger.db')}"
    elif not url:
        pytest.skip("HUITOU_TEST_DATABASE_URL names no PostgreSQL")
    opened = open_house(tmp_path, url, f"brand-{uuid.uuid4().hex}")
    yield opened
    opened.runtime.journal.close()
    opened.runtime.ledger.close()
