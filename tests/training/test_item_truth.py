"""Odd shops get lists, what may not be shown is not, and what is told of an item is true."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from training.item_model import fit_items
from training.recommend.explain import OFTEN_BASKETS
from training.recommend.reasons import NO_REASON, POPULAR, REASONS, STORE_POPULAR, TOGETHER
from training.recommend.rules import RETURN_REST_DAYS
from training.recommend.source import ItemSource, day_number, source_from_frames
from training.recommend.state import state_on

DAY = day_number("2026-03-01")


def frame(rows: list[tuple[str, int, str, str]]) -> pd.DataFrame:
    """[member, days before DAY, item, store] as purchases."""
    found = pd.DataFrame(rows, columns=["member_id", "day", "item_id", "store_id"])
    return found.assign(day=(DAY - found["day"]).to_numpy().astype("datetime64[D]"), qty=1.0, spend_yuan=10.0)


def small_shop() -> pd.DataFrame:
    """40 members of two stores who buy i0 … i7 weekly; s1 never sells i7."""
    rng = np.random.default_rng(0)
    rows = []
    for member in range(40):
        store = f"s{member % 2}"
        for visit in range(6):
            rows += [
                (f"m{member:02d}", 7 * visit + 1, f"i{item}", store)
                for item in rng.choice(8 if store == "s0" else 7, 2, replace=False)
            ]
    return frame(rows)


def catalogue(**columns: object) -> pd.DataFrame:
    """i0 … i9; i8 and i9 were never sold."""
    return pd.DataFrame({"item_id": [f"i{k}" for k in range(10)], **columns})


def shown(source: ItemSource, member: str, n: int = 10) -> dict[str, set[str]]:
    lists = fit_items(source, DAY, horizon_days=7).recommend([member], n)
    return {
        slate: {str(lists.item_ids[code]) for code in getattr(lists, slate)[0] if code >= 0}
        for slate in ("mixed", "again", "new")
    }


def test_a_shop_in_which_no_item_has_three_buyers_gets_lists() -> None:
    rng = np.random.default_rng(1)
    items = np.repeat(np.arange(1_200), 2)
    rng.shuffle(items)
    rows = [(f"m{k % 400:03d}", 7 * (k // 400) + 1, f"i{item:04d}", "s0") for k, item in enumerate(items)]
    lists = fit_items(source_from_frames(frame(rows)), DAY, horizon_days=7).recommend(["m001"], 5)
    assert (lists.mixed >= 0).all()


def test_an_unknown_member_of_an_empty_brand_gets_empty_lists() -> None:
    source = source_from_frames(small_shop().iloc[:0], items=catalogue())
    lists = fit_items(source, DAY, horizon_days=7).recommend(["nobody"], 3)
    assert lists.mixed.shape == (1, 3)


@pytest.mark.parametrize(
    ("column", "value", "there"),
    [
        ("status", "off", False),
        ("status", "on", True),
        ("off_shelf_date", "2026-03-01", True),
        ("off_shelf_date", "2026-02-28", False),
        ("launch_date", "2026-03-02", False),
    ],
)
def test_only_what_is_on_sale_that_day_is_listed(column: str, value: str, there: bool) -> None:
    values = [None] * 10
    values[0] = value
    items = catalogue(**{column: values})
    found = shown(source_from_frames(small_shop(), items=items), "m00")
    assert ("i0" in set().union(*found.values())) == there


def test_what_a_member_brought_back_is_on_none_of_its_lists_for_half_a_year() -> None:
    bought = source_from_frames(small_shop(), items=catalogue())
    code = {str(item): at for at, item in enumerate(bought.item_ids)}["i0"]
    member = int(bought.codes_of_members(["m00"])[0])

    def known(day: int, include_returned: bool) -> object:
        rows = bought.purchases(day)
        return rows if include_returned else rows.take((rows.member != member) | (rows.item != code))

    source = replace(bought, known=known, _kept={})
    assert state_on(source, DAY, returns=True).returned.tolist() == [member * source.n_items + code]
    assert "i0" not in set().union(*shown(source, "m00").values())
    assert "i0" in set().union(*shown(source, "m02").values())
    assert len(state_on(source, DAY + RETURN_REST_DAYS + 40, returns=True).returned) == 0


def test_nothing_is_said_of_items_that_nobody_bought() -> None:
    source = source_from_frames(
        small_shop(), items=catalogue(), members=pd.DataFrame({"member_id": ["cold"], "store_id": ["s1"]})
    )
    lists = fit_items(source, DAY, horizon_days=7).recommend(["m00", "m01", "cold"], 10)
    state = state_on(source, DAY)
    sold = state.visits.popularity() > 0
    assert not sold.all()
    for slate in ("mixed", "new"):
        codes, reason = getattr(lists, slate), getattr(lists, f"{slate}_reason")
        assert (reason[(codes >= 0) & ~sold[codes]] == NO_REASON).all(), slate
        # s1 never sold i7, and m01 and the new member are s1's
        of_s1 = (codes == 7) & np.array([[False], [True], [True]])
        assert not np.isin(reason[of_s1], [STORE_POPULAR]).any(), slate
    cold = dict(zip(lists.new[2].tolist(), lists.new_reason[2].tolist(), strict=True))
    assert REASONS[cold[0]]["code"] == "store_popular"
    assert cold[7] == POPULAR


def test_one_shared_basket_is_not_often_together() -> None:
    rows = [(f"m{k:02d}", 8, "i0", "s0") for k in range(30)] + [(f"m{k:02d}", 1, "i1", "s0") for k in range(30)]
    rows += [("m00", 8, "i2", "s0"), *[(f"m{k:02d}", 8, "i3", "s0") for k in range(OFTEN_BASKETS)]]
    source = source_from_frames(frame(rows))
    state = state_on(source, DAY)
    often = state.together_often(OFTEN_BASKETS).toarray()
    assert state.together.toarray()[0, 2] > 0
    assert often[0, 2] == 0
    assert often[0, 3] > 0
    lists = fit_items(source, DAY, horizon_days=7).recommend(["m20"], 4)
    reasons = dict(zip(lists.new[0].tolist(), lists.new_reason[0].tolist(), strict=True))
    assert reasons[3] == TOGETHER
    assert reasons[2] != TOGETHER


def test_a_never_sold_item_is_near_items_whose_titles_read_alike() -> None:
    titles = [f"kind {k}" for k in range(10)]
    titles[0], titles[9] = "玫瑰保湿面霜 50ml", "玫瑰保湿面霜 100ml"
    source = source_from_frames(small_shop(), items=catalogue(title=titles))
    near = state_on(source, DAY).neighbours(5)
    assert near[9][0] == 0
    for row in near:
        found = row[row >= 0]
        assert len(set(found.tolist())) == len(found)
        assert (row[len(found) :] == -1).all()


def test_numbers_for_ids_and_members_named_twice_keep_their_facts() -> None:
    bought = small_shop().assign(item_id=lambda f: f["item_id"].str[1:].astype(int))
    items = pd.DataFrame({"item_id": range(10), "status": ["off", *["on"] * 9]})
    members = pd.DataFrame({"member_id": ["m00", "m00"], "store_id": ["s1", "s0"]})
    source = source_from_frames(bought, items=items, members=members)
    assert not state_on(source, DAY).sellable[0]
    assert state_on(source, DAY).facts.store[source.codes_of_members(["m00"])[0]] == 1
