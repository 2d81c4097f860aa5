"""Whoever is forgotten is in no store, log, release, artifact or Bento; a scan of every file's inside looks for the id."""

import dataclasses
import datetime as dt
import io
import json
import os
import sqlite3
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from bentoml._internal.configuration.containers import BentoMLContainer
from bentoml._internal.models import ModelStore
from house import House
from small_brand import AS_OF, NOW, write_small_release

from outreach.forgetting import forget_late
from serving.carried import carried_releases, own_release, places_of
from serving.logs import JsonLines
from serving.releases import ReleaseStore
from serving.service import keep_release_as_model
from training.kept_predictions import digests, keep_release, kept_days, read_kept
from training.release import mapped, open_release, sign
from training.release_index import write_index
from training.release_rows import write_rows
from training.release_writer import point_current_at
from training.shadow import shadow_folder

GONE, OLD_CARD, STAYS = "m01", "old-card", "m02"


def texts(path: Path) -> Iterator[bytes]:
    """The bytes of a file, and what compression would hide from a search."""
    content = path.read_bytes()
    yield content
    if path.suffix == ".parquet":
        yield pd.read_parquet(io.BytesIO(content)).to_csv().encode()
    elif zipfile.is_zipfile(io.BytesIO(content)):
        with zipfile.ZipFile(io.BytesIO(content)) as packed:
            yield from (packed.read(name) for name in packed.namelist())
    elif content.startswith(b"SQLite format 3"):
        with sqlite3.connect(path) as db:
            yield "\n".join(db.iterdump()).encode()


def holding(root: Path, *names: str) -> set[str]:
    """Files under `root` that hold one of the names, as a word of its own."""
    found = set()
    for path in root.rglob("*"):
        if path.is_file() and not path.is_symlink():
            for text in texts(path):
                if any(name.encode() in text for name in names):
                    found.add(path.relative_to(root).as_posix())
    return found


@pytest.fixture
def full(house: House, monkeypatch: pytest.MonkeyPatch) -> Iterator[House]:
    """The house with BentoML's stores of its own."""
    home = house.home / "bentoml"
    (home / "models").mkdir(parents=True)
    monkeypatch.setenv("BENTOML_HOME", str(home))
    BentoMLContainer.model_store.set(ModelStore(home / "models"))
    yield house
    BentoMLContainer.model_store.reset()


def long(member: str) -> str:
    return f"member-{member}-20260302"


def released(house: House, name: str) -> Path:
    """A release whose members have ids that cannot stand in a file by chance."""
    folder = write_small_release(house.home / "releases", name, current=False)
    ids = np.load(folder / "members/ids.npy")
    np.save(folder / "members/ids.npy", np.array([long(one.decode()).encode() for one in ids]))
    (folder / "aliases.json").write_text(json.dumps({long(OLD_CARD): long(GONE)}))
    signed = json.loads((folder / "manifest.json").read_text())
    manifest = {key: value for key, value in signed.items() if key not in ("files", "schema")}
    made = mapped(folder, manifest)
    write_index(folder, made.ids)
    write_rows(made)
    sign(folder, manifest)
    return folder


def test_a_forgotten_member_is_found_nowhere(full: House, caplog: pytest.LogCaptureFixture) -> None:
    house, gone, stays = full, long(GONE), long(STAYS)
    names = (gone, long(OLD_CARD))
    # Plant the id everywhere.
    for name in ("20260301-a", "20260302-b"):
        released(house, name)
    point_current_at(house.home / "releases", "20260302-b")
    assert house.runtime.look()
    release = house.runtime.served.release
    tag = keep_release_as_model(release.path)
    exported = house.home / "bentoml/bentos/huitou/v1/models" / tag.replace(":", "/")
    exported.parent.mkdir(parents=True)
    os.system(f"cp -r {house.home / 'bentoml/models' / tag.replace(':', '/')} {exported}")
    monitor = places_of(house.runtime.place).kept
    keep_release(monitor, release)
    keep_release(shadow_folder(monitor), release)
    (house.home / "releases/20260303-c.tmp").mkdir()
    (house.home / "releases/20260303-c.tmp/half.json").write_text(json.dumps([gone]))
    for member in (gone, stays):
        consent = {"purpose": "marketing_sms", "state": "granted"}
        order = {"kind": "order", "at": NOW.isoformat(), "member_id": member, "item_id": "i1", "event_id": member}
        for role, method, path, body in (
            ("app", "GET", f"/v1/members/{member}/recommendations", None),
            ("operator", "GET", f"/v1/members/{member}", None),
            ("app", "PUT", f"/v1/members/{member}/consents", {"consents": [consent]}),
            ("app", "POST", "/v1/events", {"events": [order]}),
        ):
            answer = house.ask(role, method, path, **({"json": body} if body else {}))
            assert answer.status_code == 200, answer.text
        house.ledger.block(member, "snoozed", "s", NOW, NOW + dt.timedelta(days=3))
    house.runtime.journal.flush()
    held = holding(house.home, *names)
    parts = (
        "releases/20260301-a/",
        "releases/20260302-b/",
        "releases/20260303-c.tmp/",
        "bentoml/models/",
        exported.name,
    )
    assert all(any(part in name for name in held) for part in parts), held
    on_file = house.runtime.place.ledger_url.startswith("sqlite")
    assert "ledger.db" in held or not on_file
    days = [(root, read_kept(root, day)) for root in (monitor, shadow_folder(monitor)) for day in kept_days(root)]
    assert len(days) == 2 and all(digests([gone], k.release_id)[0] in set(k.frame["digest"]) for _, k in days)

    receipt = house.ask("operator", "DELETE", f"/v1/members/{gone}")
    assert receipt.status_code == 200, receipt.text
    assert len(receipt.json()["releases"]) == 2 and receipt.json()["bentos"] == 2
    assert receipt.json()["kept_predictions"] == [AS_OF.isoformat()]

    house.ask("operator", "GET", f"/v1/members/{gone}")
    house.ask("app", "GET", f"/v1/members/{gone}/recommendations")
    house.runtime.journal.flush()
    lines = "\n".join(JsonLines().format(record) for record in caplog.records)
    (house.home / "service.log").write_text(lines)
    assert holding(house.home, *names) == set()
    assert gone not in receipt.text and not any(house.ledger.export(gone).values())
    assert gone not in json.dumps(house.ledger.audit_trail(), default=str)
    for root, kept in days:
        left = set(read_kept(root, kept.as_of).frame["digest"])
        assert left == set(kept.frame["digest"]) - {digests([gone], kept.release_id)[0]}
    # The others stay, everywhere.
    assert house.ask("operator", "GET", f"/v1/members/{stays}").status_code == 200
    assert house.ask("operator", "GET", f"/v1/members/{gone}").status_code == 404
    for folder in [*carried_releases(), *(house.home / "releases").glob("2026*")]:
        copy = open_release(folder)
        copy.verify()
        assert copy.index(stays) is not None and copy.index(gone) is None
        assert copy.by_hash is not None and copy.ready_rows, "the rewritten release holds its ready rows"
        keys = np.array([stays.encode(), gone.encode()])
        assert copy.rows_of(keys.astype(copy.ids.dtype)).tolist() == [copy.index(stays), -1]
        assert all(stays.encode() in rows[copy.index(stays)] for rows in copy.ready_rows.values())
    # And the brand's next export cannot bring the member back, under either card.
    marks = house.ledger.forgotten_marks()
    assert {house.ledger.member_mark(name) for name in names} <= marks
    assert house.ask("operator", "DELETE", f"/v1/members/{gone}").status_code == 404


def test_a_member_forgotten_while_a_release_is_made_is_not_in_it(full: House) -> None:
    full.ledger.forget(long(GONE), at=NOW)
    release = open_release(released(full, "20260302-late"))
    assert release.index(long(GONE)) is not None
    without = forget_late(full.ledger, places_of(full.runtime.place), release)
    assert without.index(long(GONE)) is None and without.index(long(STAYS)) is not None


def test_a_worker_without_a_home_serves_the_release_of_its_bento(full: House, tmp_path: Path) -> None:
    tag = keep_release_as_model(released(full, "20260302-bento"))
    bento = tmp_path / "bento"
    bento.mkdir()
    (bento / "bento.yaml").write_text(f"name: huitou\nmodels:\n- tag: {tag}\n")
    carried = own_release(bento, full.home / "bentoml")
    assert carried is not None and own_release(tmp_path) is None
    store = ReleaseStore(tmp_path / "nothing", carried)
    assert store.look() and store.served.release.index(long(STAYS)) is not None
    places = dataclasses.replace(places_of(full.runtime.place), copies=carried_releases(full.home / "bentoml"))
    from outreach.forgetting import forget_everywhere

    assert forget_everywhere(full.ledger, places, long(STAYS), at=NOW)["bentos"] == 1
    assert store.look(), "the rewritten copy is noticed"
    assert store.served.release.index(long(STAYS)) is None
    own = ReleaseStore(full.home / "releases", carried)
    assert own.look() and own.served.release.release_id == "r1", "a release of the home folder goes first"
