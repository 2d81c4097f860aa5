"""The ledger on both databases: SQLite always, PostgreSQL where HUITOU_TEST_DATABASE_URL names one."""

import os
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from outreach.ledger import Ledger


@pytest.fixture(scope="session")
def migrated_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("ledger") / "template.db"
    Ledger(f"sqlite:///{path}").close()
    return path


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def ledger_url(request: pytest.FixtureRequest, migrated_file: Path, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{shutil.copy(migrated_file, tmp_path / 'ledger.db')}"
    url = os.environ.get("HUITOU_TEST_DATABASE_URL")
    if not url:
        pytest.skip("HUITOU_TEST_DATABASE_URL names no PostgreSQL")
    return url


@pytest.fixture
def ledger(ledger_url: str) -> Iterator[Ledger]:
    opened = Ledger(ledger_url, brand_id=f"brand-{uuid.uuid4().hex}")
    yield opened
    opened.close()
