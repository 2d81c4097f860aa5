"""Leave that the ledger knows changes the lists of its days: no list for who is away, the members go to the store."""

from datetime import date, datetime, timedelta
from pathlib import Path

import pandas as pd

from features.tables import tables_from_frames
from huitou.brand import ledger_of, read_people
from huitou.config import load_config
from huitou.daily import guide_frame, write_lists
from outreach.ledger import Ledger
from training.release import open_release

DAY = date(2026, 3, 2)


def test_a_guide_on_leave_counts_as_on_leave_on_those_days_only(tmp_path: Path) -> None:
    ledger = Ledger(f"sqlite:///{tmp_path / 'ledger.db'}", brand_id="brand")
    rows = [("g1", "active"), ("g2", "active"), ("gone", "left")]
    guides = pd.DataFrame(
        [{"guide_id": g, "store_id": "s1", "role": "guide", "status": status} for g, status in rows]
    )
    tables = tables_from_frames({"guides": guides})
    for guide in ("g1", "gone"):
        ledger.set_leave(guide, DAY, DAY + timedelta(1), actor="boss")

    def status(day: date) -> dict[str, str]:
        frame = guide_frame(tables, ledger, day)
        return dict(zip(frame["guide_id"], frame["status"], strict=True))

    away = {"g1": "leave", "g2": "active", "gone": "left"}
    back = {"g1": "active", "g2": "active", "gone": "left"}
    assert [status(DAY + timedelta(days)) for days in (-1, 0, 1, 2)] == [back, away, away, back]
    ledger.close()


def test_members_of_a_guide_on_leave_are_handed_over_the_next_morning(own_home: Path) -> None:
    config = load_config(None, home=str(own_home), input=str(own_home / "demo-data"))
    release, tables, ledger = open_release(config.home.current), read_people(config)[0], ledger_of(config)
    day = date.fromisoformat(release.manifest["as_of"]) + timedelta(days=1)
    now = datetime.combine(day, datetime.min.time())
    usual = write_lists(config, tables, release, ledger, day, now=now).plan
    busiest = max(usual.lists, key=lambda one: (len(one.tasks), one.guide_id))
    ledger.set_leave(busiest.guide_id, day, day, actor="boss")
    plan = write_lists(config, tables, release, ledger, day, now=now).plan
    assert all(one.guide_id != busiest.guide_id or not one.tasks for one in plan.lists)
    handed = {task.member_id for task in busiest.tasks}
    takers = {one.guide_id for one in plan.lists if handed & {task.member_id for task in one.tasks}}
    assert takers and busiest.guide_id not in takers
    assert {one.store_id for one in plan.lists if one.guide_id in takers} == {busiest.store_id}
    ledger.close()
