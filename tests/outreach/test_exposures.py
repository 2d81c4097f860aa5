"""Click-through and acceptance by hand, the log of exploration against its own chances, and a refusal of thin evidence."""

import datetime as dt
from typing import Any

import numpy as np
import pandas as pd
import pytest

from outreach.exposures import exposure_report, followed, places_of

START = dt.datetime(2026, 3, 2, 10)
# A day by which everything below is long over.
LATER = dt.datetime(2030, 1, 1)


def shown_row(number: int, member: str, items: list[str], **more: Any) -> dict[str, Any]:
    return {
        "request_id": f"q{number}",
        "at": START + dt.timedelta(hours=number),
        "member_id": member,
        "slate": "mixed",
        "personalised": True,
        "role": "app",
        "model": "items/1",
        "items": items,
        "rungs": ["own"] * len(items),
        "propensities": [1.0] * len(items),
        "explore_share": 0.0,
    } | more


def event(kind: str, member: str, item: str, hours: float) -> dict[str, Any]:
    return {"member_id": member, "item_id": item, "kind": kind, "at": START + dt.timedelta(hours=hours)}


def test_a_click_and_an_order_count_once_for_the_newest_time_the_item_was_shown() -> None:
    shown = pd.DataFrame(
        [
            shown_row(0, "m1", ["a", "b"]),
            shown_row(2, "m1", ["b", "a"]),
            shown_row(3, "m2", ["a"], rungs=["store"]),
            shown_row(4, "", ["a"]),
            shown_row(5, "m1", ["c"], role="guide"),
        ]
    )
    events = pd.DataFrame(
        [
            event("view", "m1", "a", 1),  # the first list
            event("view", "m1", "a", 2.5),  # the second
            event("view", "m1", "a", 2.6),  # again: the same place
            event("view", "m1", "b", -1),  # before it was shown
            event("view", "m2", "a", 3 + 25),  # too late
            event("order", "m2", "a", 3 + 24 * 6),
            event("order", "m1", "b", 2 + 24 * 8),  # too late
            event("order", "m1", "c", 6),  # the guide saw that list, not the member
        ]
    )
    places = places_of(shown)
    assert places["place"].tolist() == [1, 2, 1, 2, 1, 1, 1]
    views = events[events["kind"] == "view"]
    assert followed(places, views, dt.timedelta(days=1)).tolist() == [True, False, False, True, False, False, False]
    report = exposure_report(shown, events, known_until=LATER)
    own = report["seen_by_members"]
    assert (own["lists"], own["places"], own["anonymous_places"]) == (4, 6, 1)
    assert (own["clicked"], own["accepted"]) == (2, 1)
    assert own["click_rate"] == pytest.approx(2 / 5) and own["acceptance_rate"] == pytest.approx(1 / 5)
    assert {row["rung"]: row["accepted"] for row in report["rungs"]} == {"own": 0, "store": 1}
    told = {row["role"]: (row["places"], row["accepted"], row["click_rate"]) for row in report["lists"]}
    assert told == {"app": (6, 1, 0.4), "guide": (1, None, None)}, (
        "of a guide's list no member's order is an acceptance"
    )


def test_a_guide_who_looks_after_the_member_takes_no_click_and_no_order_away() -> None:
    shown = pd.DataFrame([shown_row(0, "m1", ["a"]), shown_row(1, "m1", ["a"], role="guide", slate="again")])
    events = pd.DataFrame([event("view", "m1", "a", 2), event("order", "m1", "a", 3)])
    own = exposure_report(shown, events, known_until=LATER)["seen_by_members"]
    assert (own["lists"], own["clicked"], own["accepted"]) == (1, 1, 1)


def test_only_lists_whose_day_or_week_is_over_are_counted_and_how_many_is_said() -> None:
    explored = {"rungs": ["own", "explore"], "propensities": [1.0, 0.1], "explore_share": 0.1}
    shown = pd.DataFrame(
        [
            shown_row(0, "m1", ["a", "b"], **explored),
            shown_row(24 * 8, "m2", ["a", "b"], **explored),
            shown_row(24 * 9 + 12, "m3", ["a", "b"], **explored),
        ]
    )
    events = pd.DataFrame(
        [
            event("order", "m1", "a", 1),
            event("order", "m2", "a", 24 * 8 + 1),
            event("view", "m2", "b", 24 * 8 + 1),
            event("view", "m3", "b", 24 * 9 + 13),
        ]
    )
    report = exposure_report(shown, events, known_until=START + dt.timedelta(days=10))
    own = report["seen_by_members"]
    assert (own["lists"], own["places"]) == (3, 6)
    assert (own["acceptance_lists"], own["acceptance_places"], own["accepted"]) == (1, 2, 1)
    assert (own["click_lists"], own["click_places"], own["clicked"]) == (2, 4, 1)
    assert own["acceptance_rate"] == 0.5 and own["click_rate"] == 0.25
    tried = report["exploration"]
    assert tried["lists"] == 3 and {row["reward"] for row in tried["off_policy"]} == {"clicked", "accepted"}
    early = exposure_report(shown, events, known_until=START)["seen_by_members"]
    assert (early["acceptance_lists"], early["accepted"], early["acceptance_rate"]) == (0, 0, None)


def test_lists_shown_without_any_item_are_counted() -> None:
    shown = pd.DataFrame(
        [
            shown_row(0, "m1", ["a"]),
            shown_row(1, "m1", []),
            shown_row(2, "m1", [], slate="again"),
            shown_row(3, "", []),
        ]
    )
    report = exposure_report(shown, pd.DataFrame([event("view", "m1", "z", 1)]), known_until=LATER)
    own = report["seen_by_members"]
    assert (own["lists"], own["empty_lists"], own["places"]) == (4, 3, 1)
    assert {row["slate"]: (row["lists"], row["empty_lists"]) for row in report["lists"]} == {
        "again": (1, 1),
        "mixed": (3, 2),
    }


def test_what_nobody_told_is_null_and_not_zero() -> None:
    shown = pd.DataFrame([shown_row(0, "m1", ["a"])])
    viewed = pd.DataFrame([event("view", "m1", "z", 1)])
    own = exposure_report(shown, viewed, known_until=LATER)["seen_by_members"]
    assert own["click_rate"] == 0 and own["acceptance_rate"] is None and own["accepted"] is None
    nothing = pd.DataFrame(columns=["member_id", "item_id", "kind", "at"])
    empty = exposure_report(shown.head(0), nothing, known_until=LATER)
    assert empty["seen_by_members"]["lists"] == 0 and empty["exploration"]["off_policy"] == []


def explored_log(share: float, n: int, seed: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Lists whose last place is drawn; the explored item is clicked half of the time, the usual one a tenth."""
    r = np.random.default_rng(seed)
    rows, events = [], []
    for number in range(n):
        explored = bool(r.random() < share)
        item = f"cold{r.integers(4)}" if explored else "usual"
        chance = share / 4 if explored else 1 - share
        rungs, chances = ["own", "explore" if explored else "own"], [1.0, chance]
        more = {"rungs": rungs, "propensities": chances, "explore_share": share}
        member = f"m{number % 500}"
        rows.append(shown_row(number * 30, member, ["a", item], **more))
        if r.random() < (0.5 if explored else 0.1):
            events.append(event("view", member, item, number * 30 + 1))
    return pd.DataFrame(rows), pd.DataFrame(events)


def test_the_log_says_what_exploring_more_or_less_would_bring() -> None:
    truths = {"never": 0.1, "twice_as_often": 0.26, "always": 0.5}
    inside = dict.fromkeys(truths, 0)
    for seed in range(20):
        shown, events = explored_log(0.2, 600, seed)
        found = exposure_report(shown, events, known_until=LATER, seed=seed)["exploration"]
        assert found["lists"] == 600 and found["explored"] == pytest.approx(found["expected"], rel=0.3)
        assert {row["reward"] for row in found["off_policy"]} == {"clicked"}, "no order was ever told"
        for row in found["off_policy"]:
            inside[row["explore"]] += row["estimate"]["low"] <= truths[row["explore"]] <= row["estimate"]["high"]
    assert all(count >= 17 for count in inside.values()), inside


def test_a_question_too_far_from_the_log_is_refused_with_the_next_step() -> None:
    shown, events = explored_log(0.01, 1_500, 1)
    found = exposure_report(shown, events, known_until=LATER)["exploration"]
    rows = {row["explore"]: row for row in found["off_policy"]}
    assert rows["always"]["estimate"] is None and "under 5%" in rows["always"]["refused"]
    assert rows["never"]["estimate"]["value"] == pytest.approx(0.1, abs=0.03)
