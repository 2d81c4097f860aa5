"""The holdout report: it finds what was planted, stays quiet where nothing was, and says when it cannot know."""

import numpy as np
import pytest

from features.errors import InputError
from outreach.holdout import cuped, plot_svg, report


def experiment(seed: int, lift: float, members: int = 6000, share: float = 0.1) -> tuple[np.ndarray, ...]:
    """Skewed spend that depends on a foreseen figure; `lift` multiplies what the listable spend."""
    r = np.random.default_rng(seed)
    foreseen = r.lognormal(3, 1, members)
    buys = r.random(members) < 0.4
    spend = np.where(buys, foreseen * r.lognormal(0, 0.7, members), 0.0)
    held = r.random(members) < share
    return np.where(held, spend, spend * (1 + lift)), held, r.random(members) < 0.1, foreseen, spend


def test_the_interval_covers_the_planted_effect_and_an_aa_test_stays_quiet() -> None:
    covered = alarms = 0
    for seed in range(200):
        spend, held, lost, foreseen, without = experiment(seed, 0.2)
        found = report(spend, held, lost, foreseen)
        truth = 0.2 * float(np.exp(3 + 0.5 + 0.245) * 0.4)
        assert found.incremental_yuan is not None
        covered += found.incremental_yuan.low <= truth <= found.incremental_yuan.high
        nothing = report(without, held, lost, foreseen).incremental_yuan
        assert nothing is not None
        alarms += not nothing.low <= 0 <= nothing.high
    assert covered >= 184 and alarms <= 16


def test_what_was_foreseen_narrows_the_interval() -> None:
    spend, held, lost, foreseen, _ = experiment(1, 0.2)
    with_, without = report(spend, held, lost, foreseen), report(spend, held, lost)
    assert with_.incremental_yuan and without.incremental_yuan
    assert with_.variance_taken_off > 0.2 and without.variance_taken_off == 0
    wide = without.incremental_yuan.high - without.incremental_yuan.low
    assert with_.incremental_yuan.high - with_.incremental_yuan.low < 0.95 * wide
    assert with_.incremental_plain_yuan == without.incremental_yuan


def test_cuped_never_takes_the_effect_itself_away() -> None:
    x = np.arange(1000.0)
    held = np.arange(1000) % 10 == 0
    y = 2 * x + np.where(held, 0.0, 5.0)
    adjusted, share = cuped(y, x, held)
    assert adjusted[~held].mean() - adjusted[held].mean() == pytest.approx(5.0) and share == pytest.approx(1.0)


def test_too_few_members_is_not_enough_yet_with_the_number_needed() -> None:
    spend, held, lost, foreseen, _ = experiment(2, 0.2, members=900)
    found = report(spend, held, lost, foreseen)
    assert not found.enough and found.incremental_yuan is None and plot_svg(found) == ""
    assert found.members_needed is not None and found.members_needed >= 200 and "needed" in str(found.why_not)
    large = report(*experiment(2, 0.0, members=6000)[:3], worthwhile_lift=0.01)
    assert not large.enough and large.members_needed is not None and large.members_needed > large.held_out_members


def test_friends_lost_stand_beside_revenue() -> None:
    spend, held, _, foreseen, _ = experiment(3, 0.2)
    lost = np.where(held, np.arange(6000) % 10 == 0, np.arange(6000) % 2 == 0)
    found = report(spend, held, lost, foreseen)
    assert found.friends_lost_pp is not None and found.friends_lost_pp.low > 30
    svg = plot_svg(found)
    assert (svg.startswith("<?xml") and "Friends lost" in svg) or "path" in svg


def test_wrong_columns_are_refused_by_name() -> None:
    spend, held, lost, foreseen, _ = experiment(4, 0.0)
    with pytest.raises(InputError, match="friend_lost: expected 6000 rows as in spend_yuan, found 5"):
        report(spend, held, lost[:5], foreseen)
    with pytest.raises(InputError, match="spend_yuan: 1 of 6000 rows are no number"):
        report(np.r_[np.nan, spend[1:]], held, lost, foreseen)
