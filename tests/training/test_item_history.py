"""From a contract folder to item lists: stores, levels, returns and excluded members come through the history."""

import datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from features.errors import InputError
from features.history import History, build_history
from features.tables import open_tables
from training.item_judge import judge_items
from training.item_model import RUNGS, fit_item_model
from training.recommend.source import day_number, source_from_history

AS_OF = datetime.date(2026, 5, 1)


@pytest.fixture(scope="module")
def history(brand_folder: Path) -> History:
    return build_history(open_tables(brand_folder))


def test_members_without_history_get_what_sells_in_their_store(
    history: History, brand_frames: dict[str, pd.DataFrame]
) -> None:
    model = fit_item_model(history, AS_OF, only="own_counts")
    state = model.state
    assert state is not None
    never = np.flatnonzero((state.visits.n_visits == 0) & (state.facts.store >= 0))
    assert len(never) > 0
    ids = state.member_ids[never[:20]]
    lists = model.recommend(ids, 5)
    assert {RUNGS[r] for r in lists.rung} == {"store"}
    store = state.sales.stores[state.facts.store[never[0]]]
    np.testing.assert_array_equal(lists.new[0], lists.popular[store][:5])


def test_what_was_wholly_returned_before_the_day_is_not_bought_again(history: History) -> None:
    source = source_from_history(history)
    day = day_number(AS_OF)
    kept, everything = source.purchases(day), source.purchases(day, True)
    assert len(kept.member) < len(everything.member)
    assert kept.day.max() < day


def test_stores_know_nothing_of_the_future(history: History) -> None:
    source = source_from_history(history)
    day = day_number(AS_OF)
    assert source.sales(day).day.max() < day
    assert source.sales(day).count.sum() < source.sales(day + 30).count.sum()


def test_a_window_that_passes_the_data_is_refused_with_a_day_to_choose(history: History) -> None:
    with pytest.raises(InputError, match="choose an earlier day or a shorter horizon"):
        judge_items(history, [AS_OF], 3650)


def test_a_model_looks_at_tonight_with_what_it_learned_earlier(history: History) -> None:
    learned = fit_item_model(history, AS_OF, only="own_counts")
    tonight = learned.at(history, AS_OF + datetime.timedelta(days=30))
    assert tonight.learned is learned.learned
    assert tonight.state is not None
    assert learned.state is not None
    assert len(tonight.state.bought.member) > len(learned.state.bought.member)
