"""The ranker learns from earlier baskets only, wins where there is something to learn, and is dropped where there is not."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from training.item_model import RANKER, ItemModel, fit_items
from training.recommend.candidates import Signals
from training.recommend.choose import choose, exceptions_of, gain, proven
from training.recommend.judge import list_values, reliability
from training.recommend.rank_features import NAMES, RankFeatures
from training.recommend.ranker import FIRST_TREES, RankRows, fit_ranker, label_keys
from training.recommend.simple import OwnCounts, top_lists, top_of_pairs
from training.recommend.snapshots import choose_snapshots, fresh_snapshots
from training.recommend.source import ItemSource, day_number, source_from_frames
from training.recommend.visits import first_baskets, visits_before

DAY = day_number("2026-03-01")


def rhythm_shop(members: int = 260, seed: int = 4) -> pd.DataFrame:
    """Weekly visits; every member has four staples, each bought every second, third or fourth visit in turn.

    Counts cannot tell which staple is due; the time since the last purchase over its own gap can.
    """
    rng = np.random.default_rng(seed)
    rows = []
    for member in range(members):
        staples = rng.choice(60, 12, replace=False)
        gaps = rng.integers(4, 7, 12)
        start = rng.integers(0, 6, 12)
        for visit in range(20):
            basket = [int(s) for s, g, o in zip(staples, gaps, start, strict=True) if (visit + o) % g == 0]
            basket.append(int(rng.integers(60, 90)))
            rows += [(f"m{member:03d}", DAY - 7 * (19 - visit), f"i{item:03d}") for item in sorted(set(basket))]
    frame = pd.DataFrame(rows, columns=["member_id", "day", "item_id"])
    return frame.assign(day=frame["day"].to_numpy().astype("datetime64[D]"))


@pytest.fixture(scope="module")
def source() -> ItemSource:
    return source_from_frames(rhythm_shop())


@pytest.fixture(scope="module")
def model(source: ItemSource) -> ItemModel:
    return fit_items(source, DAY, horizon_days=1, seed=1)


def test_snapshots_end_by_the_cut_off_and_none_overlaps_the_judging_one(source: ItemSource) -> None:
    newest, *teachers = choose_snapshots(source.purchases(DAY + 1), DAY, 1)
    assert newest.day == DAY - 7
    assert [s.day for s in teachers] == [DAY - 7 * k for k in range(2, 7)]
    assert newest.end <= DAY
    assert all(s.end <= newest.day for s in teachers)


def test_teaching_windows_start_a_third_of_a_window_apart_so_that_a_small_brand_teaches_more(
    source: ItemSource,
) -> None:
    newest, *teachers = choose_snapshots(source.purchases(DAY + 1), DAY, 21)
    assert newest.day == DAY - 21
    assert [s.day for s in teachers][:3] == [DAY - 42, DAY - 49, DAY - 56]
    assert len(choose_snapshots(source.purchases(DAY + 1), DAY, 21, enough_members=1)) == 3


def test_fresh_snapshots_lie_between_the_newest_one_and_the_cut_off(source: ItemSource) -> None:
    bought = source.purchases(DAY + 1)
    newest = choose_snapshots(bought, DAY, 21)[0]
    fresh = fresh_snapshots(bought, newest, DAY)
    assert [(s.day, s.end) for s in fresh] == [(DAY - 14, DAY), (DAY - 7, DAY)]
    for snapshot in fresh:
        known = bought.before(snapshot.day)
        assert len(snapshot.members)
        assert np.isin(snapshot.members, known.member).all()
        held = set(zip(*(x.tolist() for x in first_baskets(bought, snapshot.day, DAY)), strict=True))
        assert set(zip(snapshot.member.tolist(), snapshot.item.tolist(), strict=True)) <= held
    assert fresh_snapshots(bought, choose_snapshots(bought, DAY, 1)[0], DAY) == []


def test_label_rows_are_disjoint_from_the_judged_baskets(source: ItemSource) -> None:
    bought = source.purchases(DAY + 1)
    judged = set(zip(*(x.tolist() for x in first_baskets(bought, DAY, DAY + 1)), strict=True))
    assert judged
    for snapshot in choose_snapshots(bought, DAY, 1):
        rows = (bought.day >= snapshot.day) & (bought.day < snapshot.end)
        assert rows.any()
        assert (bought.day[rows] < DAY).all()
        assert len(label_keys(snapshot, source.n_items)) == len(snapshot.member)


def test_the_ranker_beats_own_counts_where_rhythm_decides(source: ItemSource, model: ItemModel) -> None:
    assert model.card["source"] == "model"
    assert model.learned.methods["mixed"] == RANKER
    assert model.card["choice"]["gate"]["mixed"]["low"] > 0
    bought = first_baskets(source.purchases(DAY + 1), DAY, DAY + 1)
    rows = np.unique(bought[0])
    visits = visits_before(source.purchases(DAY), DAY, source.n_members, source.n_items)
    place = (np.searchsorted(rows, bought[0]), bought[1])
    ours = list_values(model.recommend(source.member_ids[rows], 10).mixed, place, source.n_items)["recall@10"]
    counts = list_values(top_lists(OwnCounts(visits), visits, rows, 10).mixed, place, source.n_items)["recall@10"]
    assert np.nanmean(ours) > np.nanmean(counts) + 0.05


def test_no_ranker_serves_where_every_basket_is_drawn_at_random() -> None:
    rng = np.random.default_rng(0)
    rows = [
        (f"m{m:03d}", np.datetime64(DAY - 7 * v, "D"), f"i{int(i):02d}")
        for m in range(220)
        for v in range(6)
        for i in rng.choice(25, 2, replace=False)
    ]
    source = source_from_frames(pd.DataFrame(rows, columns=["member_id", "day", "item_id"]))
    model = fit_items(source, DAY, horizon_days=1, seed=1)
    assert model.card["source"] == "fallback"
    assert RANKER not in model.learned.methods.values()
    assert "did not beat" in model.card["reason"]


def test_probabilities_of_the_ranker_are_between_0_and_1_and_in_order(source: ItemSource, model: ItemModel) -> None:
    lists = model.recommend(source.member_ids[:40], 8)
    score = np.where(lists.again >= 0, lists.again_score, 0)
    assert score.min() >= 0
    assert score.max() <= 1
    assert (np.diff(score, axis=1) <= 1e-7).all()


def test_a_saved_ranker_answers_the_same_and_names_no_member(
    source: ItemSource, model: ItemModel, tmp_path: Path
) -> None:
    model.save(tmp_path)
    assert b"m000" not in b"".join(path.read_bytes() for path in sorted(tmp_path.iterdir()))
    loaded = ItemModel.load(tmp_path).on(source, DAY)
    one, two = (m.recommend(source.member_ids[:50], 6) for m in (model, loaded))
    np.testing.assert_array_equal(one.mixed, two.mixed)
    np.testing.assert_allclose(one.mixed_score, two.mixed_score, rtol=1e-5)
    np.testing.assert_array_equal(one.again_due_days, two.again_due_days)


def test_the_ranker_sees_nothing_from_the_cut_off_on(source: ItemSource, model: ItemModel) -> None:
    frame = rhythm_shop()
    late = frame["day"] >= np.datetime64(DAY, "D")
    frame.loc[late, "item_id"] = "i000"
    rewritten = fit_items(source_from_frames(frame), DAY, horizon_days=1, seed=1)
    one, two = (m.recommend(source.member_ids[:50], 6) for m in (model, rewritten))
    np.testing.assert_array_equal(one.item_ids[one.mixed], two.item_ids[two.mixed])
    assert model.card == rewritten.card


def test_the_order_of_rows_does_not_change_what_the_ranker_learns(source: ItemSource, model: ItemModel) -> None:
    shuffled = source_from_frames(rhythm_shop().sample(frac=1.0, random_state=9))
    again = choose(shuffled, DAY, 1, seed=1)
    assert again.ranker is not None
    assert model.learned.ranker is not None
    assert again.ranker.booster.model_to_string() == model.learned.ranker.booster.model_to_string()


def test_only_promising_candidates_meet_all_trees_and_the_lists_are_the_same(
    source: ItemSource, model: ItemModel
) -> None:
    ranker, state = model.learned.ranker, model.state
    assert ranker is not None
    assert state is not None
    signals = Signals(state, model.learned.tifu, seed=model.learned.seed)
    chunk = signals.of(np.arange(60))
    values = RankFeatures(signals).matrix(chunk)
    keep = ranker.promising(values, chunk.row, 15)
    owned = chunk.owned_at >= 0
    for kind in (owned, ~owned):
        size = np.bincount(chunk.row[kind], minlength=60)
        kept = np.bincount(chunk.row[kind & keep], minlength=60)
        np.testing.assert_array_equal(kept, np.minimum(size, 15))
    score = ranker.score(values)
    some = top_of_pairs(chunk.row[keep], chunk.item[keep], score[keep], 60, 5)[0]
    everything = top_of_pairs(chunk.row, chunk.item, score, 60, 5)[0]
    assert (some == everything).mean() > 0.99


def test_the_ranker_lists_nothing_that_a_member_brought_back(source: ItemSource, model: ItemModel) -> None:
    ranked = replace(model, learned=replace(model.learned, methods=dict.fromkeys(("mixed", "again", "new"), RANKER)))
    before = ranked.recommend(["m000", "m001"], 5)
    member, code = int(source.codes_of_members(["m000"])[0]), int(before.new[0, 0])
    assert ranked.state is not None
    back = replace(ranked.state, returned=np.array([member * source.n_items + code]))
    lists = replace(ranked, state=back, _kept={}).recommend(["m000", "m001"], 5)
    assert code in before.new[0]
    assert code not in lists.new[0]
    assert code not in lists.mixed[0]
    np.testing.assert_array_equal(lists.new[1], before.new[1])


def test_threads_that_share_a_ranker_get_the_scores_that_one_alone_gets() -> None:
    # LightGBM keeps the number of trees to use in the booster, not in the call.
    rng = np.random.default_rng(0)
    values = rng.normal(size=(4_000, len(NAMES))).astype(np.float32)
    values[:, 0] = rng.random(len(values)) < 0.5
    row = np.repeat(np.arange(40), 100)
    bought = rng.random(len(values)) < 1 / (1 + np.exp(2 - values[:, 1] * values[:, 2]))
    rows = RankRows(values, row, np.tile(np.arange(100), 40), bought, {})
    ranker = fit_ranker([rows], "binary", seed=0, rounds=5 * FIRST_TREES)

    def answered(_: int) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
        return ranker.promising(values, row, 20), ranker.score(values)

    kept, score = answered(0)
    first = ranker.booster.predict(values, raw_score=True, num_iteration=FIRST_TREES)
    assert np.abs(score - first).max() > 0.1
    with ThreadPoolExecutor(4) as pool:
        for also_kept, also_score in pool.map(answered, range(200)):
            np.testing.assert_array_equal(also_kept, kept)
            np.testing.assert_array_equal(also_score, score)


def test_a_gain_of_nothing_has_an_interval_around_zero() -> None:
    rng = np.random.default_rng(1)
    values = rng.random(300)
    found = gain(values, values + rng.normal(0, 0.1, 300), np.arange(300), 0)
    assert found["low"] < 0 < found["high"]
    assert gain(values + 0.2, values, np.arange(300), 0)["low"] > 0


def test_a_plain_recommender_replaces_the_plainest_only_where_it_is_ahead_beyond_its_noise() -> None:
    rng = np.random.default_rng(4)
    plainest = rng.random(200)
    plainest[:20] = np.nan  # members without a target in this list
    lucky, better = plainest + rng.normal(0.005, 0.1, 200), plainest + rng.normal(0.05, 0.1, 200)
    values = {"own_counts": plainest, "bm25": lucky, "tifu_knn": better}
    assert np.nanmean(lucky) > np.nanmean(plainest)
    assert proven(values, "bm25", "own_counts", np.arange(200), 0) == "own_counts"
    assert proven(values, "tifu_knn", "own_counts", np.arange(200), 0) == "tifu_knn"
    assert proven(values, "own_counts", "own_counts", np.arange(200), 0) == "own_counts"
    nobody = {name: np.full(200, np.nan) for name in values}
    assert proven(nobody, "tifu_knn", "own_counts", np.arange(200), 0) == "own_counts"


def test_members_whose_history_length_a_plain_recommender_serves_better_get_its_list(
    source: ItemSource, model: ItemModel
) -> None:
    rng = np.random.default_rng(2)
    visits = np.repeat([1, 4], 200)
    ours = np.where(visits == 1, 0.1, 0.4) + rng.normal(0, 0.05, 400)
    plain = {"own_counts": np.full(400, 0.3), "bm25": np.full(400, 0.2)}
    assert exceptions_of(ours, plain, visits, np.arange(400), 0) == {"1-2": "own_counts"}
    assert exceptions_of(ours[:50], {"bm25": plain["bm25"][:50]}, visits[:50], np.arange(50), 0) == {}

    learned = replace(model.learned, exceptions={"mixed": {"10+": "own_counts"}})
    rows = np.arange(30)
    state = model.state
    assert state is not None
    wanted = top_lists(OwnCounts(state.visits), state.visits, rows, 6, state.sellable).mixed
    served = replace(model, learned=learned, _kept={}).recommend(source.member_ids[rows], 6)
    np.testing.assert_array_equal(served.mixed, wanted)
    np.testing.assert_array_equal(served.again, model.recommend(source.member_ids[rows], 6).again)


def test_reliability_puts_what_was_told_beside_what_was_bought() -> None:
    rng = np.random.default_rng(0)
    told = rng.random((400, 10)).astype(np.float32)
    table = reliability(told, rng.random(told.shape) < told)
    assert sum(one["places"] for one in table) == told.size
    assert all(abs(one["told"] - one["bought"]) < 0.08 for one in table)
