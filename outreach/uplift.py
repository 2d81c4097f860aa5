"""The randomised log in, what listing a member brings out: the cold score as prior, corrected as far as the log allows.

Treatment is *listed*, not "contacted": guides pick whom they really contact, and only the draw is random.

Purchases within a few days carry the signal, yuan only the weight: spend is too noisy to learn from.  The doubly
robust score ψ of each logged row (`effect_model`) is modelled with the cold score as its starting point:

    ψ ≈ a·Δp + Δp·(φ·β)               S = m·B·(a·Δp + Δp·(φ·β)) + κ(a)·r·m·K − U − c

with Δp the cold response.  The longer value enters through K.  A log of some weeks cannot tell K's own scale: members
who look lapsed answer less at once and are worth more later, and a fit of both mistakes the one for the other
(docs/contact-policy.md has what was tried).  So K stands in full while members answer at least a fifth as readily as
the prior says, and fades with a below that: κ(a) = min(1, 5a).  But *who* is readily kept shows in the same
signals as who readily answers: r = 1 + (φ·β of the signals alone)/a, between 0 and 2.

A listed member is not always written to: guides leave undone what looks hard.  From the tasks done and left the log
knows P(done | x) far better than any effect, so Δp, K, U and c above are those of a contact times P(done).

Without rows the posterior *is* the cold score; with many it is what the log says.  There is no switch date.  φ has
three groups of columns (lateness; rhythm and worth; signals), each with an s of its own, since a brand may have a due
window and plain signals, or the reverse.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from outreach.effect_model import corrected, doubly_robust, logistic
from outreach.score import Score, Standing, assemble, cold_response, unfollow_probability, value_kept
from outreach.settings import ContactSettings

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Ints = NDArray[np.int64]

# Columns of φ: so many on lateness, then so many on rhythm and worth; the rest are signals.
LATENESS_COLUMNS, WORTH_COLUMNS = 4, 5
# At most so many times K for those who answer most readily.
KEEP_MOST = 2.0
# K stands in full where members answer at least a fifth as readily as the prior says.
KEEP_GAIN = 5.0
# Below so many listed and so many not-listed rows the log only adds noise.
LEAST_ROWS = 2000
ROWS_AT_A_TIME = 100_000
# Below the first share of listed tasks done, outcomes are not being told; above the second all are done.
DONE_TOLD, DONE_ALL = 0.05, 0.98
DONE_RIDGE = 0.1
# Friend deletions: prior sd of each signal's weight on the log rate.
FRIEND_SD = 0.4


class LearnedEffect(Protocol):
    """A fitted correction of the cold score."""

    def score(self, standing: Standing, settings: ContactSettings) -> Score:
        """The worth of a contact, parts in yuan."""
        ...

    def dominates(self, standing: Standing, settings: ContactSettings) -> Bools:
        """Whether the learned part rather than the prior makes most of the gain."""
        ...


@dataclass(frozen=True)
class LogRows:
    """Member-days of the log that could have been listed, forced tasks left out; aligned arrays.

    listed: whether the draw took the member; propensity: logged P(listed); kept_share: share of the day's not-listed rows that
    the sample kept (listed ones are all kept); bought: purchase within the window; done: listed and really contacted; unfriended: friend lost within three days; alone: not
    listed again within the window, chance_alone: with which chance;
    member: position or code, for folds.
    """

    member: Ints
    standing: Standing
    listed: Bools
    propensity: Floats
    kept_share: Floats
    bought: Bools
    done: Bools
    unfriended: Bools
    alone: Bools
    chance_alone: Floats

    def __len__(self) -> int:
        return len(self.member)


def pattern(standing: Standing) -> Floats:
    """φ: how the answer may differ from the prior - lateness, cycle, basket, visits, fatigue, churn and signals.

    Each signal comes a second time from one standard score up: those who stand out may answer the wrong way round.
    """
    late = np.log(0.05 + standing.lateness)
    return np.column_stack(
        [
            late,
            np.maximum(late - np.log(0.6), 0),
            np.maximum(late - np.log(1.5), 0),
            np.maximum(late - np.log(3.5), 0),
            np.log(np.maximum(standing.cycle_days, 1.0)),
            np.log1p(standing.basket_yuan),
            np.log1p(standing.visits),
            standing.fatigue,
            standing.churn,
            standing.signals,
            np.maximum(standing.signals - 1.0, 0.0),
        ]
    )


def groups(columns: int) -> Ints:
    """The group of each column of φ: 0 lateness, 1 rhythm and worth, 2 signals."""
    signals = columns - LATENESS_COLUMNS - WORTH_COLUMNS
    return np.repeat([0, 1, 2], [LATENESS_COLUMNS, WORTH_COLUMNS, signals])


@dataclass(frozen=True)
class MixedEffect:
    """The fitted model.  `weights` = (a, β…); `card` tells what it was fitted on."""

    weights: Floats
    centre: Floats
    spread: Floats
    friend_weights: Floats
    friend_centre: Floats
    friend_spread: Floats
    card: dict[str, float]
    reach_weights: Floats  # of P(done), the intercept first; empty where tasks are done, or nobody says so
    signals: tuple[str, ...] = ()  # names of the standing's signals, in the order they were learned in

    def as_dict(self) -> dict[str, Any]:
        """Plain lists and numbers, for JSON."""
        return {
            f.name: value.tolist() if isinstance(value := getattr(self, f.name), np.ndarray) else value
            for f in fields(self)
        }

    @classmethod
    def from_dict(cls, body: Mapping[str, Any]) -> "MixedEffect":
        """The model that `as_dict` wrote."""

        def numbers(name: str) -> Floats:
            return np.asarray(body[name], dtype=np.float64)

        return cls(
            weights=numbers("weights"),
            centre=numbers("centre"),
            spread=numbers("spread"),
            friend_weights=numbers("friend_weights"),
            friend_centre=numbers("friend_centre"),
            friend_spread=numbers("friend_spread"),
            card=dict(body["card"]),
            reach_weights=numbers("reach_weights"),
            signals=tuple(body.get("signals", ())),
        )

    def correction(self, standing: Standing, group: int | None = None) -> Floats:
        """The factor on Δp beside a: φ·β, of all columns or of one group."""
        beta = self.weights[1:] if group is None else self.weights[1:] * (groups(len(self.centre)) == group)
        return self._along(standing, beta)

    def _along(self, standing: Standing, beta: Floats) -> Floats:
        """φ·β, some rows at a time: a million members times φ would not fit beside the rest."""
        parts = [
            np.arange(start, min(start + ROWS_AT_A_TIME, len(standing)))
            for start in range(0, len(standing), ROWS_AT_A_TIME)
        ]
        found = [standardised(pattern(standing.at(rows)), self.centre, self.spread) @ beta for rows in parts]
        return np.concatenate(found) if found else np.zeros(0)

    def readily_kept(self, standing: Standing) -> Floats:
        """r: how readily a member is kept, as far as the signals' part of the answer tells; 1 for the prior."""
        return np.clip(1.0 + self.correction(standing, 2) / max(self.weights[0], 0.3), 0.0, KEEP_MOST)

    def score(self, standing: Standing, settings: ContactSettings) -> Score:
        """The worth of a contact with the log's correction; a response may be negative."""
        done = self.done(standing)
        response = done * cold_response(standing, settings) * (self.weights[0] + self.correction(standing))
        keep = done * value_kept(standing, settings) * keep_scale(self.weights[0]) * self.readily_kept(standing)
        score = assemble(standing, response, keep, self.lost_friends(standing, settings), settings)
        return replace(score, cost=done * score.cost)

    def done(self, standing: Standing) -> Floats:
        """P(the guide does the task | listed)."""
        if not len(self.reach_weights):
            return np.ones(len(standing))
        return logistic(self.reach_weights[0] + self._along(standing, self.reach_weights[1:]))

    def dominates(self, standing: Standing, settings: ContactSettings) -> Bools:
        """Whether φ·β makes more of the response than the prior scaled by a."""
        return np.asarray(self.correction(standing) > max(self.weights[0], 0.0))

    def lost_friends(self, standing: Standing, settings: ContactSettings) -> Floats:
        """P(friend lost to the contact), learned as a factor on the prior."""
        z = standardised(_friend_pattern(standing), self.friend_centre, self.friend_spread)
        factor = np.exp(np.clip(self.friend_weights[0] + z @ self.friend_weights[1:], -4.0, 4.0))
        return np.minimum(0.5, self.done(standing) * unfollow_probability(standing, settings) * factor)


def standardised(phi: Floats, centre: Floats, spread: Floats) -> Floats:
    """Standard scores, cut at ±2.5: a straight line must not be drawn on beyond what the log has seen."""
    return np.clip((phi - centre) / spread, -2.5, 2.5)


def fit_mixed(rows: LogRows, settings: ContactSettings, seed: int = 0) -> MixedEffect | None:
    """Fit the correction; None where the log is too short, and the cold score stands."""
    treated = rows.listed
    if treated.sum() < LEAST_ROWS or (~treated).sum() < LEAST_ROWS:
        return None
    # P(listed | in the sample): listed rows are all kept, the others with kept_share.
    e = rows.propensity / (rows.propensity + (1 - rows.propensity) * rows.kept_share)
    e = np.clip(e, 0.01, 0.99)
    phi = pattern(rows.standing)
    anyway = np.clip(rows.standing.buys_anyway, 1e-4, 1 - 1e-4)
    x = np.column_stack([phi, np.log(anyway / (1 - anyway))])
    psi, variance = doubly_robust(x, rows.bought.astype(float), treated, e, rows.member, seed, censoring(rows))
    # Rows that were hardly left alone say little, and so do members who buy every other day anyway.
    w = np.clip(rows.chance_alone, 0.05, 1.0) / variance
    centre = np.average(phi, axis=0, weights=w)
    spread = np.sqrt(np.average((phi - centre) ** 2, axis=0, weights=w)) + 1e-9
    z = standardised(phi, centre, spread)
    reach = _fit_reach(z[treated], rows.done[treated])
    done = logistic(reach[0] + z @ reach[1:]) if len(reach) else np.ones(len(rows))
    gain = done * cold_response(rows.standing, settings)
    weights, chosen = corrected(gain, z, psi, w, groups(z.shape[1]))
    friend = _fit_friends(rows, done, settings)
    return MixedEffect(
        weights=weights,
        centre=centre,
        spread=spread,
        friend_weights=friend[0],
        friend_centre=friend[1],
        friend_spread=friend[2],
        card={
            "listed_rows": float(treated.sum()),
            "other_rows": float((~treated).sum()),
            "gain_scale": float(weights[0]),
            "keep_scale": keep_scale(weights[0]),
            "pattern_sd": chosen,
            "friends_lost": float(rows.unfriended[treated].sum()),
            "done_share": float(rows.done[treated].mean()),
        },
        reach_weights=reach,
    )


def censoring(rows: LogRows) -> Floats:
    """Weight of each outcome: 0 where the member was listed again within the window, else 1 / P(left alone).

    Without it a member passed over today, but listed next week, would count as one nobody spoke to, and every effect
    would look smaller than it is.
    """
    return np.where(rows.alone, 1.0 / np.clip(rows.chance_alone, 0.05, 1.0), 0.0)


def keep_scale(scale: float) -> float:
    """κ(a): the retention term in full while members answer a fifth as readily as the prior says, less below that."""
    return float(np.clip(KEEP_GAIN * scale, 0.0, 1.0))


def _friend_pattern(standing: Standing) -> Floats:
    return np.column_stack([standing.fatigue, standing.signals])


def _fit_reach(z: Floats, done: Bools) -> Floats:
    """Weights of P(done | listed) by logistic regression; empty where nearly all are done, or hardly any is told."""
    if not DONE_TOLD <= done.mean() <= DONE_ALL:
        return np.zeros(0)
    model = LogisticRegression(C=DONE_RIDGE).fit(z, done)
    return np.r_[model.intercept_, model.coef_[0]]


def _fit_friends(rows: LogRows, done: Floats, settings: ContactSettings) -> tuple[Floats, Floats, Floats]:
    """Friends lost within the window of listed rows: Poisson with the prior and the unlisted rows' rate as offset."""
    phi = _friend_pattern(rows.standing)
    centre, spread = phi.mean(axis=0), phi.std(axis=0) + 1e-9
    on = rows.listed
    # What would have been lost anyway, from the rows that were not listed.
    anyway = float(np.average(rows.unfriended[~on], weights=1.0 / rows.kept_share[~on]))
    x = np.column_stack([np.ones(on.sum()), standardised(phi[on], centre, spread)])
    prior, y = (done * unfollow_probability(rows.standing, settings))[on], rows.unfriended[on].astype(float)
    weights = np.zeros(x.shape[1])
    penalty = np.full(x.shape[1], 1 / FRIEND_SD**2)
    penalty[0] = 1.0  # the common factor: e^±1
    for _ in range(12):
        added = prior * np.exp(np.clip(x @ weights, -4, 4))
        rate = added + anyway
        # Fisher scoring of Σ y·log(rate) − rate with rate = prior·e^(xw) + anyway.
        gradient = x.T @ ((y / rate - 1.0) * added) - penalty * weights
        fisher = (x * (added**2 / rate)[:, None]).T @ x + np.diag(penalty)
        weights = weights + np.linalg.solve(fisher, gradient)
    return weights, centre, spread
