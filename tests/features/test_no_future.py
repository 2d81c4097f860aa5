"""Laws of member vectors: nothing from as_of on, and no order of rows, changes a byte."""

from collections.abc import Callable
from datetime import date

import numpy as np
import pandas as pd
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from features.baskets import build_baskets
from features.history import build_history, population
from features.tables import Tables
from features.vectors import MemberVectors, build_vectors

Frames = dict[str, pd.DataFrame]
World = Callable[[int], Frames]
TablesOf = Callable[..., Tables]
laws = settings(max_examples=2, deadline=None, derandomize=True, phases=[Phase.generate])
seeds = st.integers(0, 10_000)


def dropped(frames: Frames, as_of: date) -> Frames:
    """What head office had in hand at as_of: every row and every cell of a later moment is gone."""
    now = pd.Timestamp(as_of)
    f = {name: frame.copy() for name, frame in frames.items()}
    o = f["orders"]
    o = o[(o.order_time < now) & ~(o.loaded_at >= now) & ~(o.paid_at >= now)].copy()
    # A paid order without paid_at was paid when it got that status.
    o = o[~((o.status == "paid") & o.paid_at.isna() & (o.status_at >= now))].copy()
    ended_later = o.status.isin(["cancelled", "closed"]) & (o.status_at >= now)
    o.loc[ended_later, "status"] = "completed"
    o.loc[o.status_at >= now, "status_at"] = pd.NaT
    f["orders"] = o
    lines = f["order_lines"]
    f["order_lines"] = lines[lines.order_id.isin(o.order_id) & ~(lines.returned_at >= now)]
    m = f["members"]
    f["members"] = m[(m.registered_at < now) | m.member_id.isin(o.member_id)]
    f["behaviours"] = f["behaviours"][f["behaviours"].event_time < now]
    c = f["contacts"][f["contacts"].sent_at < now].copy()
    c.loc[c.outcome_at >= now, ["outcome", "outcome_at"]] = [None, pd.NaT]
    f["contacts"] = c
    k = f["coupons"][f["coupons"].issued_at < now].copy()
    k.loc[k.used_at >= now, "used_at"] = pd.NaT
    f["coupons"] = k
    a = f["assignments"][f["assignments"].start_at < now].copy()
    for column in ("end_at", "friend_since", "friend_lost_at"):
        a.loc[a[column] >= now, column] = pd.NaT
    f["assignments"] = a
    return f


def rewritten(frames: Frames, as_of: date, seed: int) -> Frames:
    """The same past with another future: later orders go to others, later cells say something else."""
    rng = np.random.default_rng(seed)
    now = pd.Timestamp(as_of)
    f = {name: frame.copy() for name, frame in frames.items()}
    o, lines, m = f["orders"], f["order_lines"], f["members"]
    later = o.order_time >= now
    o.loc[later, "member_id"] = rng.choice(m.member_id, later.sum())
    lines.loc[lines.order_id.isin(o.order_id[later]), "paid_yuan"] = 777.0
    lines.loc[lines.returned_at >= now, "returned_at"] += pd.Timedelta(days=5)
    changed = m.updated_at >= now
    m.loc[changed, ["level_order", "points_balance"]] = [9, 9_999]
    f["contacts"].loc[f["contacts"].outcome_at >= now, "outcome"] = "complaint"
    f["behaviours"].loc[f["behaviours"].event_time >= now, "event_type"] = "search"
    return f


def shuffled(frames: Frames, seed: int) -> Frames:
    return {name: frame.sample(frac=1.0, random_state=seed) for name, frame in frames.items()}


def same_bytes(one: MemberVectors, other: MemberVectors) -> bool:
    if list(one.members) != list(other.members):
        return False
    names = [c.name for c in one.columns]
    return one.frame[names].to_numpy().tobytes() == other.frame[names].to_numpy().tobytes()


@laws
@given(seed=seeds)
def test_the_future_never_changes_a_vector(seed: int, world: World, tables_of: TablesOf, as_of: date) -> None:
    frames = world(seed)
    whole = build_vectors(build_history(tables_of(frames)), [as_of], cold=True)
    assert len(whole.frame) > 10
    for other in (dropped(frames, as_of), shuffled(rewritten(frames, as_of, seed), seed)):
        history = build_history(tables_of(other))
        again = build_vectors(history, [as_of], cold=True)
        pd.testing.assert_frame_equal(again.frame, whole.frame, check_exact=True)
        assert same_bytes(again, whole)


@laws
@given(seed=seeds)
def test_row_order_changes_nothing(seed: int, world: World, tables_of: TablesOf, as_of: date) -> None:
    frames = world(seed)
    one = build_history(tables_of(frames))
    other = build_history(tables_of(shuffled(frames, seed)))
    assert same_bytes(build_vectors(one, [as_of]), build_vectors(other, [as_of]))
    pd.testing.assert_frame_equal(one.visit_frame(), other.visit_frame(), check_exact=True)
    pd.testing.assert_frame_equal(build_baskets(one, as_of).rows, build_baskets(other, as_of).rows, check_exact=True)


def test_a_day_answers_the_same_alone_and_among_others(world: World, tables_of: TablesOf, as_of: date) -> None:
    history = build_history(tables_of(world(1)))
    together = build_vectors(history, [as_of, date(2024, 6, 1), date(2025, 1, 5)])
    assert same_bytes(together.at(as_of), build_vectors(history, [as_of]))
    assert list(together.at(as_of).members) == list(population(history, as_of))


def test_the_law_would_notice_a_vector_that_knows_the_future(world: World, tables_of: TablesOf, as_of: date) -> None:
    frames = world(1)
    later = build_vectors(build_history(tables_of(frames)), [date(2024, 11, 20)])
    assert not same_bytes(later, build_vectors(build_history(tables_of(frames)), [as_of]))


@pytest.mark.parametrize("column", ["level_order", "points_balance", "age_years"])
def test_attributes_are_null_unless_last_changed_before_as_of(
    column: str, world: World, tables_of: TablesOf, as_of: date
) -> None:
    frames = world(2)
    vectors = build_vectors(build_history(tables_of(frames)), [as_of], cold=True).frame.set_index("member_id")
    stale = frames["members"].set_index("member_id").updated_at.reindex(vectors.index) >= pd.Timestamp(as_of)
    assert stale.any() and vectors.loc[stale, column].isna().all()
