"""`huitou exposures`: figures recomputed from the log, orders from events and from the brand's own tables, kept for the service."""

import json
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from click.testing import CliRunner

from features.tables import tables_from_frames
from huitou.commands.exposures import command
from huitou.exposures import order_events, report_exposures
from outreach.ledger import Ledger

DAY = date(2026, 3, 2)
AT = datetime(2026, 3, 2, 10)


def shown(ledger: Ledger, number: int, member: str, items: list[str], at: datetime = AT, **more: Any) -> None:
    row = {"request_id": f"q{number}", "at": at, "member_id": member, "store_id": "", "slate": "mixed"}
    row |= {"personalised": True, "release_id": "r", "role": "app", "model": "items:1", "items": items}
    row |= {"rungs": ["own"] * len(items), "propensities": [1.0] * len(items), "explore_share": 0.0}
    ledger.note_exposures([row | more])


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(f"sqlite:///{tmp_path / 'ledger.db'}", brand_id="brand")


def test_orders_of_the_tables_count_where_nobody_posts_events(ledger: Ledger) -> None:
    shown(ledger, 1, "a", ["i1", "i2"])
    shown(ledger, 2, "b", ["i1"])
    shown(ledger, 3, "b", ["i1"], AT - timedelta(days=40))
    times = pd.to_datetime([AT + timedelta(hours=1), AT + timedelta(hours=2), AT, AT - timedelta(days=90)])
    orders = pd.DataFrame(
        {
            "order_id": ["o1", "o2", "o3", "o4"],
            "member_id": ["a", "b", None, "a"],
            "order_time": times,
            "status": ["paid", "cancelled", "paid", "completed"],
            "channel": "wechat_mp",
            "paid_yuan": 10.0,
        }
    )
    lines = pd.DataFrame(
        {
            "order_id": ["o1", "o1", "o2", "o3", "o4"],
            "line_type": ["sale", "gift", "sale", "sale", "sale"],
            "item_id": ["i2", "i1", "i1", "i1", "i1"],
            "line_no": [1, 2, 1, 1, 1],
            "qty": 1,
            "paid_yuan": 10.0,
        }
    )
    tables = tables_from_frames({"orders": orders, "order_lines": lines})
    found = order_events(tables, DAY - timedelta(days=28), DAY + timedelta(days=8))
    assert found[["member_id", "item_id", "kind"]].to_numpy().tolist() == [["a", "i2", "order"]]
    week_over = DAY + timedelta(days=9)
    report = report_exposures(ledger, tables, DAY + timedelta(days=1), today=week_over)
    own = report["seen_by_members"]
    assert (own["lists"], own["places"], own["accepted"], own["clicked"]) == (2, 3, 1, None)
    assert ledger.newest_report("recommendations") == (DAY + timedelta(days=1), report)
    early = report_exposures(ledger, tables, DAY + timedelta(days=1))["seen_by_members"]
    assert (early["acceptance_lists"], early["acceptance_rate"]) == (0, None), "the week of both lists goes on"
    bare = report_exposures(ledger, None, DAY + timedelta(days=1), today=week_over)["seen_by_members"]
    assert bare["accepted"] is None, "nobody told of an order: not the same as none"
    ledger.close()


def test_the_verb_prints_the_figures_and_keeps_them(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    ledger = Ledger(f"sqlite:///{home / 'ledger.db'}", brand_id="brand")
    for number in range(40):
        tried = number % 10 == 0
        more = {"rungs": ["own", "explore" if tried else "own"], "propensities": [1.0, 0.1 if tried else 0.9]}
        shown(ledger, number, f"m{number}", ["i1", "cold" if tried else "i2"], explore_share=0.1, **more)
    events = [
        {"event_id": f"e{n}", "kind": "view", "at": AT + timedelta(minutes=1), "member_id": f"m{n}", "item_id": "i2"}
        for n in range(1, 10)
    ]
    ledger.note_events(events, received_at=AT)
    ledger.close()
    wanted = tmp_path / "report.json"
    run = CliRunner().invoke(command, ["--before", "2026-03-03", "--home", str(home), "--json", str(wanted)])
    assert run.exit_code == 0, run.output
    report = json.loads(wanted.read_text())
    assert report["seen_by_members"]["click_rate"] == pytest.approx(9 / 80)
    assert (report["exploration"]["explored"], report["exploration"]["lists"]) == (4, 40)
    assert "click: over 40 lists to known members shown more than 1 day ago" in run.output
    assert "not told" in run.output and "exploring never" in run.output and "4 of 40" in run.output
    wrong = CliRunner().invoke(command, ["--before", "tomorrow", "--home", str(home)])
    assert wrong.exit_code != 0 and "YYYY-MM-DD" in str(wrong.exception)
