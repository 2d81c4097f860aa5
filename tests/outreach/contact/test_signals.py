"""Signals of readiness: standard scores of what was known before the day, nought where nothing is known."""

import datetime as dt

import numpy as np
import pandas as pd

from features.tables import Tables, tables_from_frames
from outreach.signals import member_signals

DAY = dt.date(2026, 3, 2)
NAMES = [f"signal_{name}" for name in ("activity", "breadth", "replies")]


def shop(events: pd.DataFrame | None = None) -> Tables:
    members = [f"m{i}" for i in range(6)]
    orders = pd.DataFrame(
        {
            "order_id": [f"o{i}" for i in range(6)],
            "member_id": members,
            "order_time": pd.Timestamp("2026-02-01 12:00"),
            "channel": "store",
            "status": "completed",
            "paid_yuan": 100.0,
        }
    )
    lines = pd.DataFrame(
        {
            "order_id": ["o0", "o0", *(f"o{i}" for i in range(1, 6))],
            "line_no": [1, 2, *[1] * 5],
            "line_type": "sale",
            "item_id": ["i1", "i2", *["i1"] * 5],
            "qty": 1,
            "paid_yuan": 50.0,
        }
    )
    items = [
        {"item_id": f"i{i}", "spu_id": f"p{i}", "title": "鞋", "status": "on", "category_l1": kind}
        for i, kind in ((1, "鞋"), (2, "包"))
    ]
    frames = {
        "members": pd.DataFrame(
            {"member_id": members, "registered_at": pd.Timestamp("2025-01-01"), "status": "active"}
        ),
        "orders": orders,
        "order_lines": lines,
        "items": pd.DataFrame(items),
    }
    if events is not None:
        frames["behaviours"] = events
    return tables_from_frames(frames)


def events(member: str, days: list[str]) -> pd.DataFrame:
    return pd.DataFrame({"member_id": member, "event_time": pd.to_datetime(days), "event_type": "view"})


def contacts(rows: list[tuple[str, str, str]]) -> pd.DataFrame:
    frame = pd.DataFrame(rows, columns=["member_id", "sent_at", "outcome"])
    return frame.assign(sent_at=pd.to_datetime(frame["sent_at"]), channel="wecom_1v1", outcome_at=pd.NaT)


def test_who_is_active_who_answers_and_who_buys_widely_stands_out() -> None:
    sent = contacts([("m1", "2026-02-20", "replied"), ("m2", "2026-02-20", "none"), ("m3", "2026-02-20", "none")])
    tables = shop(events("m4", ["2026-02-27", "2026-02-28"]))
    found = member_signals(tables, sent, pd.Series([f"m{i}" for i in range(6)]), DAY).set_index("member_id")
    assert found["signal_activity"].idxmax() == "m4" and found["signal_replies"].idxmax() == "m1"
    assert found["signal_breadth"].idxmax() == "m0" and found.loc["m0", "signal_replies"] == 0
    np.testing.assert_allclose(found["engagement"], found["signal_activity"] + 0.8 * found["signal_replies"])


def test_what_comes_later_changes_nothing() -> None:
    members = pd.Series([f"m{i}" for i in range(6)])
    past = contacts([("m1", "2026-02-20", "replied"), ("m2", "2026-02-20", "none")])
    later = pd.concat([past, contacts([("m2", "2026-03-02", "replied")])], ignore_index=True)
    early, late = events("m4", ["2026-02-27"]), events("m5", ["2026-03-02", "2026-03-05"])
    a = member_signals(shop(early), past, members, DAY)
    b = member_signals(shop(pd.concat([early, late])), later, members, DAY)
    pd.testing.assert_frame_equal(a, b)


def test_nothing_known_is_nought_for_everyone() -> None:
    found = member_signals(shop(), contacts([]), pd.Series([f"m{i}" for i in range(6)]), DAY)
    assert (found[["signal_activity", "signal_replies"]] == 0).all().all()
    assert list(found.columns) == ["member_id", "engagement", *NAMES]
