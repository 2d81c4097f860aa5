"""The lists of a day: exact size, honest propensities, every exclusion counted, the same under shuffled rows."""

import dataclasses
import datetime as dt
import re
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from features.errors import InputError
from outreach.inputs import ListInputs, open_desk
from outreach.lists import make_lists, plan_lists
from outreach.score import Score, Standing, cold_score
from outreach.settings import ContactSettings

SETTINGS = ContactSettings()
FRAMES = ("members", "assignments", "guides", "predictions", "consents", "contacts", "suggestions", "coupons")


def shuffled(shop: ListInputs, seed: int) -> ListInputs:
    frames = {name: getattr(shop, name).sample(frac=1, random_state=seed) for name in FRAMES}
    return dataclasses.replace(shop, **frames)


def test_shuffled_rows_give_the_same_digest(shop: ListInputs, day: dt.date) -> None:
    first = [one.digest for one in make_lists(shop, day, SETTINGS, seed=1)]
    assert len(first) == 5  # one of the six guides is on leave
    for seed in (1, 2, 3):
        assert [one.digest for one in make_lists(shuffled(shop, seed), day, SETTINGS, seed=1)] == first


def test_another_seed_draws_other_members_with_the_same_propensities(shop: ListInputs, day: dt.date) -> None:
    settings = ContactSettings(epsilon=0.3, tau=0.05)
    a, b = plan_lists(shop, day, settings, seed=1), plan_lists(shop, day, settings, seed=2)
    assert {t.member_id for one in a.lists for t in one.tasks} != {t.member_id for one in b.lists for t in one.tasks}
    pd.testing.assert_series_equal(a.propensities["propensity"], b.propensities["propensity"])


def test_exclusions_and_eligible_add_up_to_the_members(shop: ListInputs, day: dt.date) -> None:
    plan = plan_lists(shop, day, SETTINGS, seed=1)
    assert plan.eligible + sum(plan.excluded.values()) == plan.members == len(shop.members)
    served = sum(one.eligible + sum(one.excluded.values()) for one in plan.lists)
    assert served == plan.members - sum(plan.excluded.get(k, 0) for k in ("no_guide",)) - hidden_without_guide(
        shop, day
    )
    assert {"holdout", "not_friend", "gap", "open_case", "do_not_contact", "no_guide"} <= set(plan.excluded)


def hidden_without_guide(shop: ListInputs, day: dt.date) -> int:
    """Members without a guide whom an earlier rule (staff, deregistered, minor) had already left out."""
    desk = open_desk(shop, day, SETTINGS)
    person = np.logical_or.reduce(list(desk.person.values()))
    return int(((desk.guide < 0) & person).sum())


def test_a_list_is_full_and_nobody_is_on_two(shop: ListInputs, day: dt.date) -> None:
    lists = make_lists(shop, day, SETTINGS, seed=1)
    listed = [task.member_id for one in lists for task in one.tasks]
    assert len(listed) == len(set(listed))
    for one in lists:
        assert len(one.tasks) == min(one.capacity, one.eligible)
        assert [task.rank for task in one.tasks] == list(range(1, len(one.tasks) + 1))


def test_propensities_of_a_guide_add_up_to_what_was_drawn(shop: ListInputs, day: dt.date) -> None:
    plan = plan_lists(shop, day, SETTINGS, seed=1)
    for guide, rows in plan.propensities.groupby("guide_id"):
        assert rows["propensity"].sum() == pytest.approx(rows["listed"].sum(), abs=1e-6), guide


def test_urged_tasks_come_first_and_forced_ones_are_certain(shop: ListInputs, day: dt.date) -> None:
    for one in make_lists(shop, day, SETTINGS, seed=1):
        urged = [task.reason_code == "URGED" for task in one.tasks]
        assert urged == sorted(urged, reverse=True)
        for task in one.tasks:
            assert task.forced == (task.reason_code in ("URGED", "BIRTHDAY", "CARE", "TOUCH"))
            assert 0 < task.propensity <= 1 and (not task.forced or task.propensity == 1)
        care = sum(task.reason_code in ("BIRTHDAY", "CARE", "TOUCH") for task in one.tasks)
        assert care <= SETTINGS.forced_share * one.capacity


def test_no_member_gets_the_same_kind_twice_running_where_another_is_true(shop: ListInputs, day: dt.date) -> None:
    desk = open_desk(shop, day, SETTINGS)
    last = dict(zip(desk.member_ids, desk.last_kind, strict=True))
    for one in make_lists(shop, day, SETTINGS, seed=1):
        for task in one.tasks:
            if task.kind == last[task.member_id] and task.reason_code != "URGED":
                assert task.kind == "relationship"  # the last reason that is always true


def numbers(text: str) -> list[str]:
    return re.findall(r"\d+", re.sub(r"[「\"].*?[」\"]", "", text))


def test_every_number_of_a_text_is_the_members_own_in_both_languages(shop: ListInputs, day: dt.date) -> None:
    rows = shop.predictions.set_index("member_id")
    members = shop.members.set_index("member_id")
    seen = set()
    for one in make_lists(shop, day, SETTINGS, seed=1):
        for task in one.tasks:
            assert sorted(numbers(task.text_zh)) == sorted(numbers(task.text_en))
            assert set(numbers(task.text_zh)) <= {str(v) for v in task.evidence.values()}
            seen.add(task.reason_code)
            if task.reason_code == "BIRTHDAY":
                month, dayno = map(int, members.at[task.member_id, "birthday"].split("-"))
                assert day + dt.timedelta(days=task.evidence["birthday"]) == dt.date(day.year, month, dayno)
            if task.member_id in rows.index:
                assert task.evidence["days"] == int(rows.at[task.member_id, "recency_days"])
                assert task.evidence["visits"] == int(rows.at[task.member_id, "visits"])
                assert task.evidence["cycle"] == round(rows.at[task.member_id, "gap_shrunk_days"])
    assert len(seen) >= 6


def test_score_is_the_sum_of_its_parts_and_the_order_shown(shop: ListInputs, day: dt.date) -> None:
    for one in make_lists(shop, day, SETTINGS, seed=1):
        for task in one.tasks:
            part = task.components
            assert task.score_yuan == pytest.approx(
                part["gain"] + part["keep"] - part["unfollow"] - part["cost"], abs=0.01
            )
        drawn = [t.score_yuan for t in one.tasks if t.reason_code != "URGED"]
        assert drawn == sorted(drawn, reverse=True)


def test_a_guide_on_leave_hands_over_to_the_store_the_next_morning(shop: ListInputs, day: dt.date) -> None:
    guides = shop.guides.copy()
    guides.loc[guides["guide_id"] == "g000", "status"] = "leave"
    before = {one.guide_id: one for one in make_lists(shop, day, SETTINGS, seed=1)}
    after = {one.guide_id: one for one in make_lists(dataclasses.replace(shop, guides=guides), day, SETTINGS, seed=1)}
    moved = sum(before["g000"].excluded.values()) + before["g000"].eligible
    taken = sum(after["g003"].excluded.values()) + after["g003"].eligible
    had = sum(before["g003"].excluded.values()) + before["g003"].eligible
    assert "g000" not in after and taken - had == moved


def test_a_quiet_day_has_no_tasks(shop: ListInputs, day: dt.date) -> None:
    plan = plan_lists(shop, day, ContactSettings(quiet_days=(day,)), seed=1)
    assert plan.eligible == 0 and not any(one.tasks for one in plan.lists) and plan.excluded["quiet_day"] > 0


def test_the_future_of_the_contact_log_changes_nothing(shop: ListInputs, day: dt.date) -> None:
    past = shop.contacts[shop.contacts["sent_at"] < pd.Timestamp(day)]
    assert len(past) < len(shop.contacts)
    a = make_lists(shop, day, SETTINGS, seed=1)
    assert make_lists(dataclasses.replace(shop, contacts=past), day, SETTINGS, seed=1) == a


def test_missing_columns_are_named_with_the_next_step(shop: ListInputs) -> None:
    with pytest.raises(InputError, match=r"predictions: missing columns \['visits'\] in \d+ rows"):
        dataclasses.replace(shop, predictions=shop.predictions.drop(columns="visits"))
    with pytest.raises(InputError, match=r"members.member_id: expected one row each, found 600 repeated of 1200"):
        dataclasses.replace(shop, members=pd.concat([shop.members, shop.members]))


@pytest.mark.parametrize("bad", [{"objective": "profit"}, {"epsilon": 2.0}, {"tau": 0.0}, {"gap_max_days": 1.0},
                                 {"holdout_share": 0.2}])  # fmt: skip
def test_a_setting_out_of_range_is_refused_by_name(bad: dict[str, object]) -> None:
    with pytest.raises(InputError, match=r"contact\."):
        ContactSettings(**bad)  # type: ignore[arg-type]


def test_every_setting_has_its_comment() -> None:
    assert all(f.metadata["doc"] for f in dataclasses.fields(ContactSettings))


def test_no_rule_is_broken_in_some_random_shops(shop_of: Callable[..., ListInputs], day: dt.date) -> None:
    # experiments/contact-rules does the same with a thousand.
    for seed in range(12):
        inputs = shop_of(members=250, guides=4, seed=seed)
        settings = ContactSettings(default_capacity=5 + seed, epsilon=0.1 * (seed % 4))
        broken(inputs, day, settings, seed)


def broken(inputs: ListInputs, day: dt.date, settings: ContactSettings, seed: int) -> None:
    """Assert the rules on the finished lists from the raw frames, by other means than the code under test."""
    plan = plan_lists(inputs, day, settings, seed)
    assert plan.eligible + sum(plan.excluded.values()) == plan.members
    today = pd.Timestamp(day)
    past = inputs.contacts[inputs.contacts["sent_at"] < today]
    friends = set(inputs.assignments.loc[inputs.assignments["is_friend"], "member_id"])
    owner = dict(zip(inputs.assignments["member_id"], inputs.assignments["guide_id"], strict=True))
    away = set(inputs.guides.loc[inputs.guides["status"] != "active", "guide_id"])
    calls = inputs.consents[(inputs.consents["purpose"] == "marketing_call") & (inputs.consents["at"] < today)]
    stopped = set(inputs.opt_outs.loc[inputs.opt_outs["kind"] == "contact", "member_id"])
    for one in plan.lists:
        for task in one.tasks:
            mine = past[past["member_id"] == task.member_id]
            personal = mine[mine["channel"].isin(["wecom_1v1", "call_human"])]
            age = (today - personal["sent_at"].dt.normalize()).dt.days
            assert not (age < one.gap_days).any() and (age <= 30).sum() < 3
            assert ((today - mine["sent_at"].dt.normalize()).dt.days <= 30).sum() < 4
            assert task.member_id in friends or task.member_id in set(calls["member_id"])
            assert task.member_id not in stopped
            assert not mine["outcome"].isin(["do_not_contact"]).any()
            assert owner.get(task.member_id) == one.guide_id or owner.get(task.member_id) in away | {None}
            assert one.guide_id not in away


def test_a_long_cycle_is_not_taken_for_lapsed_where_the_release_knows_better(shop: ListInputs, day: dt.date) -> None:
    known = shop.predictions.assign(return_probability=0.95, churn_probability=0.9)
    desk = open_desk(dataclasses.replace(shop, predictions=known), day, SETTINGS)
    assert desk.standing.churn[desk.buyer] == pytest.approx(0.05)
    plain = open_desk(
        dataclasses.replace(shop, predictions=shop.predictions.assign(churn_probability=0.9)), day, SETTINGS
    )
    assert plain.standing.churn[plain.buyer] == pytest.approx(0.9)


def test_a_learned_effect_below_the_floor_leaves_the_list_short(shop: ListInputs, day: dt.date) -> None:
    class Dead:
        def score(self, standing: Standing, settings: ContactSettings) -> Score:
            cold = cold_score(standing, settings)
            return Score(0.05 * cold.gain, 0.05 * cold.keep, cold.unfollow, cold.cost)

        def dominates(self, standing: Standing, settings: ContactSettings) -> np.ndarray:
            return np.zeros(len(standing), dtype=bool)

    plan = plan_lists(shop, day, SETTINGS, seed=1, effect=Dead())
    cold = plan_lists(shop, day, SETTINGS, seed=1)
    drawn = [task for one in plan.lists for task in one.tasks if not task.forced]
    assert plan.excluded["below_floor"] > 100 and plan.eligible + sum(plan.excluded.values()) == plan.members
    assert len(drawn) < sum(not task.forced for one in cold.lists for task in one.tasks)
    assert all(one.fallback == "none" for one in plan.lists) and all(one.fallback == "cold" for one in cold.lists)


@pytest.mark.parametrize("objective", ["friends", "visits", "first_orders"])
def test_the_north_star_changes_the_order(shop: ListInputs, day: dt.date, objective: str) -> None:
    other = ContactSettings(objective=objective)  # type: ignore[arg-type]
    desk = open_desk(shop, day, SETTINGS)
    assert not np.array_equal(
        np.argsort(cold_score(desk.standing, SETTINGS).total), np.argsort(cold_score(desk.standing, other).total)
    )
    if objective == "first_orders":
        assert (cold_score(desk.standing, other).gain[desk.standing.visits > 0] == 0).all()


def test_a_single_purchase_long_ago_is_greeted_and_not_asked_how_it_was(shop: ListInputs, day: dt.date) -> None:
    predictions = shop.predictions.assign(visits=1.0, gap_shrunk_days=60.0, tier="B")
    asleep, recent = predictions.assign(recency_days=300.0), predictions.assign(recency_days=50.0)
    for told, kind, other in ((asleep, "ASLEEP", "SECOND"), (recent, "SECOND", "ASLEEP")):
        plan = plan_lists(dataclasses.replace(shop, predictions=told), day, SETTINGS, seed=1)
        codes = {task.reason_code for one in plan.lists for task in one.tasks}
        assert kind in codes and other not in codes
