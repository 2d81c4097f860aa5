"""The stock table and the stock events say together what a store has none of: the newest word holds."""

from datetime import date, datetime
from pathlib import Path

import pandas as pd
import pytest

from features.tables import Tables, tables_from_frames
from huitou.stock import take_stock
from outreach.ledger import Ledger

DAY = date(2026, 3, 2)


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(f"sqlite:///{tmp_path / 'ledger.db'}", brand_id="brand")


def tables_of(*rows: tuple[str, str, str, int]) -> Tables:
    frame = pd.DataFrame(rows, columns=["store_id", "item_id", "as_of", "qty"])
    frame["as_of"] = pd.to_datetime(frame["as_of"]).dt.date
    return tables_from_frames({"stock": frame})


def test_the_newest_count_of_each_store_holds_and_the_future_is_not_read(ledger: Ledger) -> None:
    tables = tables_of(
        ("s1", "i1", "2026-02-28", 4),
        ("s1", "i1", "2026-03-01", 0),
        ("s1", "i2", "2026-02-28", 0),
        ("s1", "i2", "2026-03-01", 2),
        ("s2", "i1", "2026-03-01", 9),
        ("s1", "i3", "2026-03-02", 0),
    )
    assert take_stock(tables, ledger, DAY) == 1
    assert ledger.sold_out("s1") == {"i1"} and ledger.sold_out("s2") == set()
    before = ledger.revisions()
    assert take_stock(tables, ledger, DAY) == 0 and ledger.revisions() == before, "nothing new costs nothing"
    assert take_stock(tables, ledger, date(2026, 3, 3)) == 1 and ledger.sold_out("s1") == {"i1", "i3"}
    assert take_stock(tables_of(("s1", "i1", "2026-03-03", 5)), ledger, date(2026, 3, 4)) == 1
    assert ledger.sold_out("s1") == {"i3"}, "there is some again"
    ledger.close()


def test_an_event_of_the_day_wins_over_a_count_of_the_day(ledger: Ledger) -> None:
    event = {"event_id": "e", "kind": "stock", "at": datetime(2026, 3, 1, 15), "store_id": "s1", "item_id": "i1"}
    ledger.note_events([event | {"qty": 3.0}], received_at=datetime(2026, 3, 1, 15))
    take_stock(tables_of(("s1", "i1", "2026-03-01", 0)), ledger, DAY)
    assert ledger.sold_out("s1") == set()
    take_stock(tables_of(("s1", "i1", "2026-03-02", 0)), ledger, date(2026, 3, 3))
    assert ledger.sold_out("s1") == {"i1"}
    ledger.close()


def test_a_brand_without_a_stock_table_has_everything(ledger: Ledger) -> None:
    members = pd.DataFrame({"member_id": ["a"], "registered_at": pd.to_datetime(["2024-01-01"]), "status": "active"})
    assert take_stock(tables_from_frames({"members": members}), ledger, DAY) == 0
    ledger.close()
