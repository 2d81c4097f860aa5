"""The curve model as a whole: on the shared brand, and on brands that have almost nothing to learn from."""

import json
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from features.errors import InputError
from features.history import History, build_history
from features.tables import open_tables, tables_from_frames
from features.vectors import MemberVectors, build_vectors
from simulator.brand import simulate_brand
from training.curve_model import CurveModel, fit_curve_model, propose_horizon
from training.curves import logit
from training.reasons import CODES, top_groups
from training.snapshots import SnapshotSettings

AS_OF = date(2026, 3, 1)
HORIZON = 60
# Few past days keep the tests quick; what they claim holds for any number.
FEW = SnapshotSettings(days=8, far_days=1)
FEWER = SnapshotSettings(days=4, far_days=1)


@pytest.fixture(scope="module")
def history(brand_folder: Path) -> History:
    return build_history(open_tables(brand_folder))


@pytest.fixture(scope="module")
def model(history: History) -> CurveModel:
    return fit_curve_model(history, AS_OF, HORIZON, max_days=HORIZON, snapshots=FEW)


@pytest.fixture(scope="module")
def vectors(history: History) -> MemberVectors:
    return build_vectors(history, [AS_OF])


def brand(visits: list[tuple[str, int]], start: date = date(2026, 1, 1), end: date | None = None) -> History:
    """A brand of nothing but visits: (member, day number since start)."""
    rows = pd.DataFrame(sorted(set(visits)), columns=["member_id", "n"])
    when = [pd.Timestamp(start) + pd.Timedelta(days=int(n), hours=12) for n in rows["n"]]
    order_id = [f"o{k}" for k in range(len(rows))]
    core = {"member_id": rows["member_id"], "order_id": order_id, "order_time": when}
    orders = pd.DataFrame({**core, "channel": "store", "status": "completed", "paid_yuan": 10.0})
    lines = pd.DataFrame({"order_id": order_id, "line_no": 1, "line_type": "sale", "item_id": "i1"})
    lines = lines.assign(qty=1.0, paid_yuan=10.0)
    first = orders.groupby("member_id")["order_time"].min()
    members = pd.DataFrame({"member_id": first.index, "registered_at": first.to_numpy(), "status": "active"})
    items = pd.DataFrame([{"item_id": "i1", "spu_id": "i1", "title": "thing", "category_l1": "all", "status": "on"}])
    frames = {"members": members, "orders": orders, "order_lines": lines, "items": items}
    return build_history(tables_from_frames(frames, coverage_end=end))


def random_visits(members: int, days: int, mean_gap: float, seed: int = 0) -> list[tuple[str, int]]:
    rng = np.random.default_rng(seed)
    found = []
    for m in range(members):
        day = int(rng.integers(0, days))
        while day < days:
            found.append((f"m{m:04d}", day))
            day += 1 + int(rng.exponential(mean_gap))
    return found


ODD: dict[str, Callable[[], tuple[list[tuple[str, int]], int, int]]] = {
    # name → visits, as_of day number, horizon
    "ten members": lambda: (random_visits(10, 200, 30), 150, 30),
    "one member, one visit": lambda: ([("m1", 0)], 40, 30),
    "nobody comes twice": lambda: ([(f"m{k}", k % 90) for k in range(300)], 100, 30),
    "one purchase day": lambda: ([(f"m{k}", 5) for k in range(300)], 60, 30),
    "all churned": lambda: ([(f"m{k}", d) for k in range(300) for d in (k % 20, k % 20 + 9)], 400, 30),
    "eighty days": lambda: (random_visits(400, 80, 15), 60, 20),
    "horizon longer than history": lambda: (random_visits(400, 60, 15), 50, 180),
    "horizon of one day": lambda: (random_visits(400, 60, 5), 50, 1),
    "second day of the log": lambda: (random_visits(400, 60, 5), 1, 30),
    "everybody every day": lambda: ([(f"m{k}", d) for k in range(120) for d in range(40)], 40, 7),
}


@pytest.mark.parametrize("name", list(ODD))
def test_odd_brands_get_a_labelled_answer(name: str) -> None:
    visits, day, horizon = ODD[name]()
    odd = brand(visits)
    as_of = odd.coverage_start + timedelta(days=day)
    model = fit_curve_model(odd, as_of, horizon, snapshots=FEWER)
    found = model.predict(build_vectors(odd, [as_of]))
    assert len(found) > 0
    assert np.isfinite(found.survival).all()
    assert (found.survival[:, 0] == 1).all() and (np.diff(found.survival, axis=1) <= 1e-6).all()
    assert ((found.at(horizon) >= 0) & (found.at(horizon) <= 1)).all()
    assert set(found.rung) == {model.card["rung"]}
    assert model.card["reason"] or model.card["rung"] == "weighted_blend"
    if len(found) < 100:
        assert model.card["rung"] == "recency_bands" and model.card["source"] == "fallback"
    if model.card["rung"] == "recency_bands":  # the bands answer alone
        assert model.card["weights"] == model.weights == {}


def test_the_curve_beats_recency_bands_out_of_time(
    history: History, model: CurveModel, vectors: MemberVectors
) -> None:
    from training.labels import label_outcomes

    churned = label_outcomes(history, vectors, [AS_OF], HORIZON).churned
    plain = fit_curve_model(history, AS_OF, HORIZON, max_days=HORIZON, only="recency", snapshots=FEWER)

    def loss(m: CurveModel) -> float:
        p = np.clip(m.predict(vectors).at(HORIZON), 1e-4, 1 - 1e-4)
        return float(-np.mean(np.where(churned, np.log(p), np.log(1 - p))))

    assert loss(model) < loss(plain)


def test_nothing_from_the_cut_off_on_is_learned(history: History, model: CurveModel) -> None:
    for snapshot in model.card["snapshots"]:
        assert date.fromisoformat(snapshot["label_end"]) < AS_OF


def test_what_a_members_row_says_today_is_no_lesson_of_the_past() -> None:
    # level and points move with every purchase: on a past day they are missing for whoever has bought since
    frames = simulate_brand("beauty", members=500, days=400, seed=4)
    last = frames["orders"].groupby("member_id")["order_time"].max()
    known = frames["members"].set_index("member_id").loc[last.index, "updated_at"]
    assert (known.dt.normalize() >= last.dt.normalize()).all()
    told = []
    for members in (frames["members"], frames["members"].assign(updated_at=pd.NaT)):
        past = build_history(tables_from_frames(frames | {"members": members}))
        learned = fit_curve_model(past, AS_OF, HORIZON, max_days=HORIZON, snapshots=FEWER)
        told.append(learned.predict(build_vectors(past, [AS_OF])).survival)
    np.testing.assert_array_equal(told[0], told[1])


def test_fitting_twice_and_saving_change_no_curve(
    history: History, model: CurveModel, vectors: MemberVectors, tmp_path: Path
) -> None:
    said = model.predict(vectors).survival
    model.save(tmp_path)
    loaded = CurveModel.load(tmp_path)
    assert np.array_equal(loaded.predict(vectors).survival, said)
    assert loaded.card == json.loads(json.dumps(model.card))
    again = fit_curve_model(history, AS_OF, HORIZON, max_days=HORIZON, snapshots=FEW)
    assert np.array_equal(again.predict(vectors).survival, said)


def test_one_member_alone_gets_the_same_curve_as_in_the_crowd(model: CurveModel, vectors: MemberVectors) -> None:
    alone = MemberVectors(vectors.frame.iloc[[7]].reset_index(drop=True), vectors.columns)
    assert np.array_equal(model.predict(alone).survival[0], model.predict(vectors).survival[7])


@pytest.mark.parametrize("only", ["recency", "bg_nbd", "mbg_nbd"])
def test_a_plain_baseline_comes_behind_the_same_class_and_says_so(
    history: History, vectors: MemberVectors, only: str, tmp_path: Path
) -> None:
    plain = fit_curve_model(history, AS_OF, HORIZON, only=only, snapshots=FEWER)
    assert plain.card["source"] == "fallback" and plain.card["rung"] == only
    assert all(family.k == 1 for family in plain.families.values())  # as it was judged, without the brand's rhythm
    plain.save(tmp_path)
    assert np.array_equal(CurveModel.load(tmp_path).predict(vectors).survival, plain.predict(vectors).survival)


def test_the_curve_knows_the_brands_rhythm(model: CurveModel, tmp_path: Path) -> None:
    assert model.families["mbg_nbd"].k > 1 and model.families["bg_nbd"].k == 1
    model.save(tmp_path)
    assert CurveModel.load(tmp_path).families == model.families


def test_an_unknown_baseline_is_refused_by_name(history: History) -> None:
    with pytest.raises(InputError, match="unknown baseline 'cox'"):
        fit_curve_model(history, AS_OF, HORIZON, only="cox")


def test_vectors_of_two_days_are_refused(history: History, model: CurveModel) -> None:
    with pytest.raises(InputError, match="one as_of day"):
        model.predict(build_vectors(history, [AS_OF, AS_OF - timedelta(days=1)]))


def test_a_file_of_another_format_is_refused(model: CurveModel, tmp_path: Path) -> None:
    model.save(tmp_path)
    parameters = json.loads((tmp_path / "curve.json").read_text(encoding="utf-8"))
    (tmp_path / "curve.json").write_text(json.dumps(parameters | {"format": 99}), encoding="utf-8")
    with pytest.raises(InputError, match="format"):
        CurveModel.load(tmp_path)


def test_reasons_add_up_to_the_score(model: CurveModel, vectors: MemberVectors) -> None:
    told = model.explain(vectors)
    total = told["base"] + told[list(CODES)].sum(axis=1)
    assert np.allclose(total, told["score"], atol=1e-6)
    assert np.allclose(told["score"], logit(model.predict(vectors).at(HORIZON)), atol=1e-4)
    assert told["base"].nunique() == 1
    top = top_groups(told)
    assert (top["part"] > 0).all() and set(top["code"]) <= set(CODES) - {"other"}


def test_reasons_of_one_member_do_not_depend_on_the_others(model: CurveModel, vectors: MemberVectors) -> None:
    alone = MemberVectors(vectors.frame.iloc[[3]].reset_index(drop=True), vectors.columns)
    one, all_ = model.explain(alone), model.explain(vectors)
    assert np.allclose(one[list(CODES)].to_numpy()[0], all_[list(CODES)].to_numpy()[3], atol=1e-5)


def test_the_horizon_follows_the_brands_own_rhythm() -> None:
    often, rare = brand(random_visits(200, 700, 10)), brand(random_visits(200, 700, 80))
    short = propose_horizon(often, date(2027, 11, 1))
    long = propose_horizon(rare, date(2027, 11, 1))
    assert short.days < long.days
    assert str(round(short.gap_p50_days or 0)) in short.why
    nobody = propose_horizon(brand([(f"m{k}", k) for k in range(30)]), date(2026, 2, 1))
    assert nobody.days >= 1 and "nobody" in nobody.why
