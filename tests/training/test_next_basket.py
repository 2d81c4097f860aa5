"""The regression on next baskets finds what follows what, and learns nothing from what a member had already."""

import numpy as np
import pandas as pd

from training.recommend.next_basket import NextBasket, lessons
from training.recommend.source import day_number, source_from_frames
from training.recommend.state import state_on
from training.recommend.visits import Visits

DAY = day_number("2026-06-30")


def visits_of(rows: list[tuple[str, int, str]]) -> Visits:
    """Visits before DAY of (member, days before, item)."""
    frame = pd.DataFrame(rows, columns=["member_id", "day", "item_id"])
    frame["day"] = (DAY - frame["day"].to_numpy()).astype("datetime64[D]")
    return state_on(source_from_frames(frame), DAY).visits


def followers(seed: int = 3) -> Visits:
    """Whoever buys "a" buys "b" next, whoever buys "c" buys "d"; forty items are bought by anybody at any time."""
    rng = np.random.default_rng(seed)
    rows = []
    for member in range(120):
        kind = member % 2
        rows += [(f"m{member:03d}", 60, "ac"[kind]), (f"m{member:03d}", 30, f"x{int(rng.integers(40)):02d}")]
        if member >= 40:  # the first forty have not come back yet
            rows += [(f"m{member:03d}", 20, "bd"[kind])]
    return visits_of(rows)


def test_what_follows_is_expected_of_those_who_have_not_bought_it_yet() -> None:
    visits = followers()
    model = NextBasket(visits)
    scores = model.scores(np.arange(40))
    b, d = (int(np.flatnonzero(model.items == code)[0]) for code in (1, 3))
    assert (scores[0::2, b] > scores[0::2, d]).mean() > 0.95
    assert (scores[1::2, d] > scores[1::2, b]).mean() > 0.95


def test_lessons_hold_no_item_that_the_member_had_before_and_only_earlier_visits() -> None:
    visits = visits_of([("m", 30, "a"), ("m", 20, "a"), ("m", 20, "b"), ("m", 10, "b"), ("m", 10, "c")])
    past, fresh = lessons(visits, 0)
    np.testing.assert_allclose(past.toarray(), [[1.0, 0.0, 0.0], [1.8, 1.0, 0.0]], rtol=1e-6)
    np.testing.assert_allclose(fresh.toarray(), [[0.0, 1.0, 0.0], [0.0, 0.0, 1.0]], rtol=1e-6)


def test_a_brand_of_single_visits_has_nothing_to_teach_and_scores_nothing() -> None:
    visits = visits_of([(f"m{member}", 10, f"i{member % 4}") for member in range(40)])
    model = NextBasket(visits)
    assert (model.scores(np.arange(40)) == 0).all()
