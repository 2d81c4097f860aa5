"""A service in process over the small brand, on SQLite always and on PostgreSQL where one is named."""

import os
import shutil
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

# The helpers beside this file are imported by name, once.
sys.path.insert(0, str(Path(__file__).parent))

from house import House, open_house
from small_brand import write_small_release

from outreach.ledger import Ledger


@pytest.fixture(scope="session")
def migrated_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("ledger") / "template.db"
    Ledger(f"sqlite:///{path}").close()
    return path


@pytest.fixture(scope="session")
def postgres_url() -> str:
    """The test database, its schema brought up to date; empty where none is named."""
    url = os.environ.get("HUITOU_TEST_DATABASE_URL", "")
    if url:
        Ledger(url).close()
    return url


@pytest.fixture(scope="session")
def small_releases(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("releases")
    write_small_release(root)
    return root


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def house(
    request: pytest.FixtureRequest, migrated_file: Path, postgres_url: str, small_releases: Path, tmp_path: Path
) -> Iterator[House]:
    shutil.copytree(small_releases, tmp_path / "releases", symlinks=True)
    url = postgres_url
    if request.param == "sqlite":
        url = f"sqlite:///{shutil.copy(migrated_file, tmp_path / 'ledger.db')}"
    elif not url:
        pytest.skip("HUITOU_TEST_DATABASE_URL names no PostgreSQL")
    opened = open_house(tmp_path, url, f"brand-{uuid.uuid4().hex}")
    yield opened
    opened.runtime.journal.close()
    opened.runtime.ledger.close()
