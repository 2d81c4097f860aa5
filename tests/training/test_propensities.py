"""Friend loss and first purchase are learned where there are data, and refused with the reason where there are not."""

import datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from features.errors import NotEnoughData
from features.history import History, build_history
from features.tables import tables_from_frames
from features.vectors import MemberVectors, build_vectors
from simulator.brand import simulate_brand
from training.labels import label_outcomes
from training.propensities import Propensities, Propensity, fit_first_purchase, fit_friend_loss, fit_propensities

AS_OF, HORIZON = datetime.date(2026, 3, 1), 90


@pytest.fixture(scope="module")
def frames() -> dict[str, pd.DataFrame]:
    return simulate_brand("beauty", members=5_000, days=540, seed=11)


@pytest.fixture(scope="module")
def history(frames: dict[str, pd.DataFrame]) -> History:
    return build_history(tables_from_frames(frames))


@pytest.fixture(scope="module")
def everyone(history: History) -> MemberVectors:
    return build_vectors(history, [AS_OF], cold=True)


def part(vectors: MemberVectors, rows: np.ndarray) -> MemberVectors:
    return MemberVectors(vectors.frame[rows].reset_index(drop=True), vectors.columns)


def test_friends_lost_add_up_to_what_was_expected(
    history: History, everyone: MemberVectors, frames: dict[str, pd.DataFrame], tmp_path: Path
) -> None:
    model = fit_friend_loss(history, AS_OF, HORIZON)
    friends = part(everyone, everyone.frame["is_friend"].to_numpy(float) == 1)
    expected = model.predict(friends)["probability"]
    lost = frames["assignments"]
    day = lost["friend_lost_at"]
    end = pd.Timestamp(AS_OF) + pd.Timedelta(days=HORIZON)
    gone = np.isin(friends.members, lost.loc[(day >= pd.Timestamp(AS_OF)) & (day < end), "member_id"].to_numpy(str))
    assert gone.sum() > 50
    assert abs(expected.mean() - gone.mean()) < 0.03
    model.save(tmp_path / "friend.json")
    again = Propensity.load(tmp_path / "friend.json").predict(friends)["probability"]
    np.testing.assert_array_equal(again, expected)


def test_first_purchases_are_more_likely_soon_after_joining(history: History, everyone: MemberVectors) -> None:
    model = fit_first_purchase(history, AS_OF, HORIZON)
    cold = part(everyone, ~(everyone.frame["visits"].to_numpy(float) > 0))
    expected = model.predict(cold)["probability"].to_numpy()
    bought = label_outcomes(history, cold, [AS_OF], HORIZON).frame["observed"].to_numpy(bool)
    fresh = cold.frame["member_days"].to_numpy(float) < 60
    assert expected[fresh].mean() > 1.5 * expected[~fresh].mean()
    assert (
        bought[expected >= np.quantile(expected, 0.8)].mean()
        > 2 * bought[expected < np.quantile(expected, 0.5)].mean()
    )


def test_too_few_events_are_refused_with_their_number(frames: dict[str, pd.DataFrame]) -> None:
    calm = dict(frames)
    calm["assignments"] = frames["assignments"].assign(friend_lost_at=pd.NaT, lost_by=None)
    with pytest.raises(NotEnoughData, match=r"0 of .* 30 of each kind"):
        fit_friend_loss(build_history(tables_from_frames(calm)), AS_OF, HORIZON)
    without = {name: frame for name, frame in frames.items() if name != "assignments"}
    with pytest.raises(NotEnoughData, match="no assignments table"):
        fit_friend_loss(build_history(tables_from_frames(without)), AS_OF, HORIZON)


def test_first_purchase_is_judged_a_horizon_earlier_and_told_of_those_who_never_bought(
    history: History, everyone: MemberVectors, tmp_path: Path
) -> None:
    learned = fit_propensities(history, AS_OF, HORIZON)
    assert set(learned.found) == {"friend_loss", "first_purchase"} and not learned.missing
    judged = learned.judged["first_purchase"]
    assert judged["log_loss"] < judged["log_loss_of_the_rate"]
    assert learned.card["first_purchase"]["source"] == "model"
    learned.save(tmp_path)
    assert Propensities.load(tmp_path) == learned
    told = learned.predict(everyone)
    friends = everyone.frame["is_friend"].to_numpy(float) == 1
    assert np.isfinite(told["friend_loss"][friends]).all() and np.isnan(told["friend_loss"][~friends]).all()
    cold = ~(everyone.frame["visits"].to_numpy(float) > 0)
    assert np.isfinite(told["first_purchase"][cold]).all() and np.isnan(told["first_purchase"][~cold]).all()


def test_a_chance_that_did_worse_than_the_plain_rate_gives_way_to_it(
    history: History, everyone: MemberVectors
) -> None:
    # in this brand nothing that is known of friends foretells who deletes the guide
    learned = fit_propensities(history, AS_OF, HORIZON)
    told = learned.card["friend_loss"]
    assert told["source"] == "fallback" and "of the plain rate" in told["reason"]
    assert told["judged"]["log_loss"] >= told["judged"]["log_loss_of_the_rate"]
    chances = learned.predict(everyone)["friend_loss"]
    known = chances[np.isfinite(chances)]
    np.testing.assert_allclose(known, told["events"] / told["members"])


def test_without_data_both_are_null_with_the_reason(frames: dict[str, pd.DataFrame], tmp_path: Path) -> None:
    bare = {name: frame for name, frame in frames.items() if name != "assignments"}
    history = build_history(tables_from_frames(bare))
    early = history.coverage_start + datetime.timedelta(days=40)
    learned = fit_propensities(history, early, HORIZON)
    assert "no assignments table" in learned.card["friend_loss"]["reason"]
    assert "no window of 90 days" in learned.card["first_purchase"]["reason"]
    vectors = build_vectors(history, [early], cold=True)
    assert all(np.isnan(values).all() for values in learned.predict(vectors).values())
    assert "huitou train" in Propensities.load(tmp_path).missing["friend_loss"]
