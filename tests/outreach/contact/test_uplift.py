"""The learned effect: nothing to learn leaves the cold score, a pattern is found, no effect empties the list."""

import json
from dataclasses import replace

import numpy as np
import pytest

from outreach.score import Standing, cold_response, cold_score
from outreach.settings import ContactSettings
from outreach.uplift import LogRows, MixedEffect, fit_mixed

SETTINGS = ContactSettings()


def rows(n: int, seed: int, scale: float, slope: float = 0.0) -> LogRows:
    """A log whose true effect is the prior's response × (scale + slope × the first signal)."""
    r = np.random.default_rng(seed)
    standing = Standing(
        days_since=r.gamma(2, 40, n),
        cycle_days=r.lognormal(4, 0.4, n),
        visits=1.0 + r.poisson(3, n),
        basket_yuan=r.lognormal(5, 0.4, n),
        churn=r.random(n) * 0.3,
        stake_visits=r.random(n) * 0.6,
        buys_anyway=np.full(n, 0.05),
        engagement=r.standard_normal(n) + 1.5,
        fatigue=r.random(n),
        signals=r.standard_normal((n, 2)),
    )
    chance = np.full(n, 1 / 3)
    listed = r.random(n) < chance
    effect = cold_response(standing, SETTINGS) * (scale + slope * standing.signals[:, 0])
    bought = r.random(n) < np.clip(0.05 + np.where(listed, effect, 0.0), 0, 1)
    return LogRows(
        member=np.arange(n),
        standing=standing,
        listed=listed,
        propensity=chance,
        kept_share=np.ones(n),
        bought=bought,
        done=listed,
        unfriended=r.random(n) < np.where(listed, 0.006, 0.002),
        alone=np.ones(n, dtype=bool),
        chance_alone=np.ones(n),
    )


def test_a_short_log_leaves_the_cold_score() -> None:
    assert fit_mixed(rows(1500, 0, 1.0), SETTINGS) is None


def test_no_effect_makes_the_list_empty_and_a_true_one_keeps_it() -> None:
    dead = fit_mixed(rows(60_000, 1, 0.0), SETTINGS)
    alive = fit_mixed(rows(60_000, 1, 1.0), SETTINGS)
    assert dead is not None and alive is not None
    standing = rows(4000, 9, 1.0).standing
    assert (cold_score(standing, SETTINGS).total > 0).mean() > 0.7
    assert (dead.score(standing, SETTINGS).total > 0).mean() < 0.15
    assert (alive.score(standing, SETTINGS).total > 0).mean() > 0.7
    assert alive.weights[0] == pytest.approx(1.0, abs=0.35)


def test_a_pattern_of_the_log_is_found_and_none_is_invented() -> None:
    steep = fit_mixed(rows(120_000, 2, 1.0, slope=0.8), SETTINGS)
    flat = fit_mixed(rows(120_000, 2, 1.0), SETTINGS)
    assert steep is not None and flat is not None

    def slope(effect: MixedEffect, signal: int) -> float:
        """Change of the factor on the response from one standard score below to one above."""
        low, high = (rows(500, 5, 1.0).standing for _ in range(2))
        low.signals[:, signal], high.signals[:, signal] = -1.0, 1.0
        return float((effect.correction(high) - effect.correction(low)).mean() / 2)

    assert slope(steep, 0) == pytest.approx(0.8, abs=0.35) and abs(slope(steep, 1)) < 0.25
    assert abs(slope(flat, 0)) < 0.25 and abs(slope(flat, 1)) < 0.25


def test_who_answers_the_wrong_way_round_is_not_thought_easy_to_keep() -> None:
    steep = fit_mixed(rows(120_000, 2, 1.0, slope=0.8), SETTINGS)
    assert steep is not None
    standing = rows(500, 5, 1.0).standing
    standing.signals[:] = 0.0
    standing.signals[:250, 0], standing.signals[250:, 0] = -1.0, 1.0
    kept = steep.readily_kept(standing)
    assert kept[:250].mean() < 0.6 < 1.3 < kept[250:].mean() <= 2.0


def test_friends_lost_are_learned_as_a_factor() -> None:
    base = rows(60_000, 3, 1.0)
    many = replace(base, unfriended=np.random.default_rng(0).random(60_000) < np.where(base.listed, 0.03, 0.002))
    few, high = fit_mixed(base, SETTINGS), fit_mixed(many, SETTINGS)
    assert few is not None and high is not None
    standing = base.standing
    assert high.lost_friends(standing, SETTINGS).mean() > 3 * few.lost_friends(standing, SETTINGS).mean()
    assert high.lost_friends(standing, SETTINGS).mean() == pytest.approx(0.028, rel=0.25)


def test_a_saved_effect_scores_the_same() -> None:
    effect = fit_mixed(rows(8000, 4, 1.0), SETTINGS)
    assert effect is not None
    again = MixedEffect.from_dict(json.loads(json.dumps(effect.as_dict())))
    standing = rows(500, 5, 1.0).standing
    np.testing.assert_array_equal(again.score(standing, SETTINGS).total, effect.score(standing, SETTINGS).total)
    assert again.card == effect.card


def test_what_guides_leave_undone_is_worth_less_to_list() -> None:
    base = rows(20_000, 6, 1.0)
    shunned = base.standing.signals[:, 0] < 0
    some = replace(base, done=base.listed & (~shunned | (np.random.default_rng(1).random(20_000) < 0.3)))
    effect, all_done = fit_mixed(some, SETTINGS), fit_mixed(base, SETTINGS)
    assert effect is not None and all_done is not None
    assert (all_done.done(base.standing) == 1).all()
    done = effect.done(base.standing)
    assert done[shunned].mean() == pytest.approx(0.40, abs=0.08) and done[~shunned].mean() > 0.85
    score = effect.score(base.standing, SETTINGS)
    assert score.cost[shunned].mean() < 0.5 * score.cost[~shunned].mean()


def test_outcomes_that_nobody_tells_count_as_done() -> None:
    base = rows(20_000, 6, 1.0)
    effect = fit_mixed(replace(base, done=np.zeros(20_000, dtype=bool)), SETTINGS)
    assert effect is not None and (effect.done(base.standing) == 1).all()
