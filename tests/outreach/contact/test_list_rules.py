"""List rules set over HTTP change the lists that are made next, win over the settings, and are refused by name."""

import datetime as dt
from typing import Any

import pytest

from features.errors import InputError
from outreach.inputs import ListInputs
from outreach.list_rules import LIST_RULES, check_list_rule, urged_frame, with_list_rules, without_member
from outreach.lists import make_lists, plan_lists
from outreach.settings import ContactSettings

SETTINGS = ContactSettings(default_capacity=8)


def test_no_rule_leaves_every_setting_as_it_is() -> None:
    assert with_list_rules(SETTINGS, {}) == SETTINGS
    assert with_list_rules(SETTINGS, dict.fromkeys(LIST_RULES)) == SETTINGS, "null takes a rule back"
    assert with_list_rules(SETTINGS, {"notice": "今天盘点", "recommendations": {}}) == SETTINGS


def test_each_rule_wins_over_its_setting() -> None:
    rules = {
        "monthly_cap": 1,
        "gap_days": 30,
        "quiet_days": ["2026-04-05"],
        "quiet_hours": ["20:00", 10],
        "default_capacity": 3,
    }
    holiday = dt.date(2026, 4, 4)
    found = with_list_rules(ContactSettings(quiet_days=(holiday,)), rules)
    assert (found.contacts_30d_max, found.gap_days, found.default_capacity) == (1, 30.0, 3)
    assert found.list_hours == (10, 20)
    assert found.quiet_days == (holiday, dt.date(2026, 4, 5)), "the settings' own quiet days stay quiet"


def test_a_cap_a_gap_and_a_capacity_bind_on_the_finished_lists(shop: ListInputs, day: dt.date) -> None:
    before = plan_lists(shop, day, SETTINGS, seed=1)
    plan = plan_lists(shop, day, with_list_rules(SETTINGS, {"monthly_cap": 1, "gap_days": 29}), seed=1)
    tasks = [task for one in plan.lists for task in one.tasks]
    assert tasks and all(task.contacts_30d < 1 for task in tasks)
    gaps = [(day - dt.date.fromisoformat(task.last_contact)).days for task in tasks if task.last_contact]
    assert all(days >= 29 for days in gaps)
    assert plan.eligible < before.eligible
    assert plan_lists(shop, day, with_list_rules(SETTINGS, {"monthly_cap": 0}), seed=1).eligible == 0


def test_a_quiet_day_has_no_list_and_quiet_hours_end_the_tasks(shop: ListInputs, day: dt.date) -> None:
    quiet = with_list_rules(SETTINGS, {"quiet_days": [day.isoformat()]})
    assert not any(one.tasks for one in make_lists(shop, day, quiet, seed=1))
    early = with_list_rules(SETTINGS, {"quiet_hours": [18, 10]})
    assert {task.expires_at.hour for one in make_lists(shop, day, early, seed=1) for task in one.tasks} == {18}


def test_urged_members_come_as_a_frame_and_leave_on_request() -> None:
    said = ["m1", {"member_id": "m2", "kind": "hq_campaign"}, "m1"]
    frame = urged_frame({"urged": said})
    assert frame["member_id"].tolist() == ["m2", "m1"] and frame["kind"].tolist() == ["hq_campaign", None]
    assert urged_frame({}).empty
    assert without_member(said, "m1") == [{"member_id": "m2", "kind": "hq_campaign"}]
    assert without_member(said, "m2") == ["m1", "m1"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("monthly_cap", -1),
        ("monthly_cap", 2.5),
        ("monthly_cap", True),
        ("gap_days", "7"),
        ("gap_days", float("nan")),
        ("gap_days", 400),
        ("quiet_days", ["tomorrow"]),
        ("quiet_days", "2026-03-01"),
        ("quiet_days", [20260301]),
        ("quiet_hours", [9, 21]),
        ("quiet_hours", [21]),
        ("quiet_hours", [24, 9]),
        ("quiet_hours", ["21:30", "09:00"]),
        ("default_capacity", 501),
        ("urged", ["m"] * 1001),
        ("urged", [{"member": "m1"}]),
        ("urged", [{"member_id": "m1", "discount": 5}]),
        ("urged", [{"member_id": "m1", "kind": "<script>"}]),
        ("urged", [7]),
    ],
)
def test_a_rule_that_does_not_fit_is_refused_by_name_with_what_is_expected(name: str, value: Any) -> None:
    with pytest.raises(InputError, match=rf"rules\.{name}: expected .*; found"):
        check_list_rule(name, value)
