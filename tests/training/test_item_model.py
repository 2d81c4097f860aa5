"""Item lists: who gets them, what stands in them, and that a later day never changes an earlier answer."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from features.errors import InputError
from training.item_judge import judge_source
from training.item_model import RUNGS, ItemLists, ItemModel, fit_items
from training.recommend.simple import SIMPLE
from training.recommend.source import ItemSource, day_number, source_from_frames

DAY = day_number("2026-03-01")


def shop(members: int = 60, items: int = 40, visits: int = 6, seed: int = 3) -> pd.DataFrame:
    """Members who buy mostly from their own few items, a week apart, in two stores; the last visit is on DAY."""
    rng = np.random.default_rng(seed)
    weight = 1.0 / np.arange(1, items + 1)
    rows = []
    for member in range(members):
        own = rng.choice(items, 5, replace=False, p=weight / weight.sum())
        for visit in range(visits):
            basket = {int(i) for i in rng.choice(own, 2)} | {int(rng.choice(items, p=weight / weight.sum()))}
            for item in sorted(basket):
                rows.append((f"m{member:03d}", DAY - 7 * (visits - 1 - visit), f"i{item:03d}", f"s{member % 2}"))
    frame = pd.DataFrame(rows, columns=["member_id", "day", "item_id", "store_id"])
    return frame.assign(day=frame["day"].to_numpy().astype("datetime64[D]"), qty=1.0, spend_yuan=10.0)


@pytest.fixture(scope="module")
def source() -> ItemSource:
    return source_from_frames(
        shop(), members=pd.DataFrame({"member_id": ["cold"], "store_id": ["s1"], "level": ["gold"]})
    )


def same(one: ItemLists, two: ItemLists) -> None:
    for name in ItemLists.__dataclass_fields__:
        if name not in ("popular", "facts"):
            np.testing.assert_array_equal(getattr(one, name), getattr(two, name), err_msg=name)
    for name in one.facts.__dataclass_fields__:
        np.testing.assert_array_equal(getattr(one.facts, name), getattr(two.facts, name), err_msg=name)


def assert_lists_are_well_formed(lists: ItemLists, n: int) -> None:
    for slate in ("mixed", "again", "new"):
        codes = getattr(lists, slate)
        assert codes.shape == (len(lists.member_ids), n)
        assert codes.max(initial=-1) < len(lists.item_ids)
        for row in codes:
            shown = row[row >= 0]
            assert len(set(shown.tolist())) == len(shown)
            assert (row[len(shown) :] == -1).all()


def test_again_holds_own_items_only_and_new_none_of_them(source: ItemSource) -> None:
    model = fit_items(source, DAY)
    lists = model.recommend(source.member_ids, 10)
    assert_lists_are_well_formed(lists, 10)
    bought = source.purchases(DAY)
    own = set(zip(bought.member.tolist(), bought.item.tolist(), strict=True))
    for row in range(len(lists.member_ids)):
        assert all((row, code) in own for code in lists.again[row] if code >= 0)
        assert not any((row, code) in own for code in lists.new[row] if code >= 0)


def test_members_without_history_and_unknown_ids_get_the_ladder_never_an_empty_list(source: ItemSource) -> None:
    lists = fit_items(source, DAY).recommend(["cold", "m000", "nobody"], 8)
    assert [RUNGS[r] for r in lists.rung] == ["store", "own", "brand"]
    assert (lists.new[[0, 2]] >= 0).all()
    assert (lists.mixed[[0, 2]] >= 0).all()
    assert (lists.again[[0, 2]] == -1).all()


def test_one_member_at_a_time_gives_what_all_together_give(source: ItemSource) -> None:
    model = fit_items(source, DAY)
    together = model.recommend(source.member_ids[:7], 5)
    for row in range(7):
        alone = model.recommend(source.member_ids[row : row + 1], 5)
        np.testing.assert_array_equal(alone.mixed[0], together.mixed[row])
        np.testing.assert_array_equal(alone.new[0], together.new[row])


def test_the_order_of_rows_changes_nothing() -> None:
    frame = shop()
    one = fit_items(source_from_frames(frame), DAY, seed=1)
    two = fit_items(source_from_frames(frame.sample(frac=1.0, random_state=5)), DAY, seed=1)
    same(
        one.recommend(source_from_frames(frame).member_ids, 6), two.recommend(source_from_frames(frame).member_ids, 6)
    )


def test_the_future_never_changes_a_list(source: ItemSource) -> None:
    frame = shop()
    future = frame[frame["day"] == np.datetime64(DAY, "D")].assign(item_id="i000")
    rewritten = pd.concat([frame[frame["day"] < np.datetime64(DAY, "D")], future], ignore_index=True)
    one = fit_items(source_from_frames(frame), DAY).recommend(["m000", "m007"], 6)
    two = fit_items(source_from_frames(rewritten), DAY).recommend(["m000", "m007"], 6)
    titles = [(a.item_ids[a.mixed].tolist(), a.item_ids[a.new].tolist()) for a in (one, two)]
    assert titles[0] == titles[1]


def test_a_saved_model_answers_the_same_and_holds_no_member(source: ItemSource, tmp_path: Path) -> None:
    model = fit_items(source, DAY, seed=2)
    model.save(tmp_path)
    text = b"".join(path.read_bytes() for path in sorted(tmp_path.rglob("*")) if path.is_file())
    assert b"m000" not in text
    loaded = ItemModel.load(tmp_path)
    with pytest.raises(InputError, match=r"call \.at\(history, as_of\) first"):
        loaded.recommend(["m000"])
    same(loaded.on(source, DAY).recommend(source.member_ids, 6), model.recommend(source.member_ids, 6))


@pytest.mark.parametrize("name", SIMPLE)
def test_each_plain_recommender_can_be_installed_and_says_so(source: ItemSource, name: str) -> None:
    model = fit_items(source, DAY, only=name)
    assert model.card["source"] == "fallback"
    assert model.card["rung"] == name
    assert_lists_are_well_formed(model.recommend(source.member_ids, 10), 10)


def test_an_unknown_recommender_is_refused_with_the_known_ones(source: ItemSource) -> None:
    with pytest.raises(InputError, match="popularity, own_counts"):
        fit_items(source, DAY, only="magic")


@pytest.mark.parametrize(
    "frame",
    [
        pd.DataFrame({"member_id": ["a"], "day": [np.datetime64(DAY - 3, "D")], "item_id": ["x"]}),
        pd.DataFrame(
            {
                "member_id": [f"m{k}" for k in range(10)],
                "day": np.array([DAY - 1 - k for k in range(10)]).astype("datetime64[D]"),
                "item_id": [f"i{k % 3}" for k in range(10)],
            }
        ),
    ],
    ids=["one purchase", "ten members, three items, one basket each"],
)
def test_the_smallest_brands_get_lists(frame: pd.DataFrame) -> None:
    source = source_from_frames(frame)
    lists = fit_items(source, DAY).recommend(source.member_ids, 10)
    assert_lists_are_well_formed(lists, 10)
    assert (lists.mixed[:, 0] >= 0).all()


def test_a_brand_without_any_purchase_before_the_day_answers_with_empty_lists() -> None:
    source = source_from_frames(shop(members=4))
    lists = fit_items(source, DAY - 1000).recommend(["m000"], 5)
    assert_lists_are_well_formed(lists, 5)


def test_the_judge_reports_every_plain_recommender_on_the_same_members(source: ItemSource) -> None:
    out = judge_source(source, [DAY, DAY - 7], 1, known_at=DAY + 1, draws=20)
    assert set(out) == {"mixed", "again", "new"}
    for slate in out.values():
        assert set(slate["baselines"]) == set(SIMPLE)
        assert set(slate["slices"]) == {"0", "1-2", "3-4", "5-9", "10+"}
        assert set(slate["model"]) == {"recall@10", "ndcg@10", "phr@10", "coverage_items"}
    assert out["mixed"]["rows"] == 120


def test_judging_fewer_members_does_not_change_what_was_learned(source: ItemSource) -> None:
    few = [str(m) for m in source.member_ids[1:9]]
    all_of_them = judge_source(source, [DAY], 1, known_at=DAY + 1, draws=10)
    some = judge_source(source, [DAY], 1, known_at=DAY + 1, members=few, draws=10)
    assert some["mixed"]["rows"] <= 8
    assert (
        some["mixed"]["per_cutoff"]["2026-03-01"]["card"] == all_of_them["mixed"]["per_cutoff"]["2026-03-01"]["card"]
    )
