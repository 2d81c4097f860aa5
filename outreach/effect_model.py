"""A randomised log and a prior response in, the response that the log supports out; knows nothing of contacts.

Two steps, each of use alone.  The doubly robust score of each row

    ψ = μ₁ − μ₀ + c·[ T (Y − μ₁)/e − (1 − T)(Y − μ₀)/(1 − e) ]

with T whether the row was treated, e its known chance, c the weight of a row that nothing else has disturbed, and
μ the chance of Y with and without treatment.  Then a linear correction of a prior response h,

    ψ ≈ h·(a + z·β),    a ~ N(1, 1),  β ~ N(0, s²) with an s for each group of columns,

each row by its precision.  The grid of s weighs by the evidence (marginal likelihood; Bishop 2006, §3.5), so a log
without a pattern leaves β at nought.
"""

import itertools

import numpy as np
from numpy.typing import NDArray
from sklearn.preprocessing import StandardScaler

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Ints = NDArray[np.int64]

FOLDS = 3
# Ridge of the purchase models, in rows, and the most of Newton's steps.
NUISANCE_PENALTY = 20.0
NEWTON_STEPS = 8
# A purchase model is never surer than this, and no outcome scatters less than that: or a few rows of members who look
# as if they never came again would carry all the weight.
LEAST_CHANCE, LEAST_SPREAD = 0.01, 0.06
# Prior standard deviations: of the scale a, and the grid of s of each group of columns.
SCALE_SD = 1.0
PATTERN_SDS = (1e-4, 0.1, 0.3, 0.8)


def logistic(x: Floats) -> Floats:
    """1 / (1 + e^−x)."""
    return np.asarray(1.0 / (1.0 + np.exp(-np.clip(x, -30.0, 30.0))))


def doubly_robust(
    x: Floats, y: Floats, listed: Bools, e: Floats, member: Ints, seed: int, weight: Floats
) -> tuple[Floats, Floats]:
    """(ψ, its variance) of each row, with logistic purchase models cross-fitted over folds of members.

    ψ stays unbiased whatever the models are, since e is known; the better they are, the less it scatters.  Its variance,
    μ₁(1 − μ₁)/e + μ₀(1 − μ₀)/(1 − e), comes from the models alone and never from the row's own outcome.

    Args:
        x: columns of the purchase models; y: bought (0 or 1); listed and its chance e; member: position, for folds;
        weight: c.
    """
    fold = (np.random.default_rng(seed).permutation(int(member.max()) + 1) % FOLDS)[member]
    base = StandardScaler().fit_transform(x)
    base = np.column_stack([base, StandardScaler().fit_transform(np.clip(base, -3.0, 3.0) ** 2), np.ones(len(y))])
    extra = base[:, np.r_[: x.shape[1], base.shape[1] - 1]]
    t = listed.astype(float)
    both, on, off = (
        np.column_stack([base, extra * part[:, None]]) for part in (t, np.ones(len(y)), np.zeros(len(y)))
    )
    mu1, mu0 = np.zeros(len(y)), np.zeros(len(y))
    for k in range(FOLDS):
        train, test = fold != k, fold == k
        beta = fit_logit(both[train], y[train], weight[train], base.shape[1] - 1)
        mu1[test], mu0[test] = logistic(on[test] @ beta), logistic(off[test] @ beta)
    psi = mu1 - mu0 + weight * (t * (y - mu1) / e - (1 - t) * (y - mu0) / (1 - e))
    one, none = (np.clip(mu, LEAST_CHANCE, 1.0 - LEAST_CHANCE) for mu in (mu1, mu0))
    return psi, (one * (1 - one) + LEAST_SPREAD) / e + (none * (1 - none) + LEAST_SPREAD) / (1 - e)


def fit_logit(x: Floats, y: Floats, weight: Floats, free: int) -> Floats:
    """Weights of a ridge logistic regression by Newton's steps; column `free` is not shrunk."""
    penalty = np.full(x.shape[1], NUISANCE_PENALTY)
    penalty[free] = 1e-6
    beta = np.zeros(x.shape[1])
    mean = np.clip(np.average(y, weights=weight), 1e-6, 1 - 1e-6)
    beta[free] = np.log(mean / (1 - mean))
    for _ in range(NEWTON_STEPS):
        p = logistic(x @ beta)
        h = weight * np.maximum(p * (1 - p), 1e-6)
        step = np.linalg.solve((x * h[:, None]).T @ x + np.diag(penalty), x.T @ (weight * (y - p)) - penalty * beta)
        beta = beta + np.clip(step, -2.0, 2.0)
        if np.abs(step).max() < 1e-4:
            break
    return beta


def corrected(prior: Floats, z: Floats, psi: Floats, weight: Floats, group: Ints) -> tuple[Floats, float]:
    """Posterior mean of (a, β…) in ψ ≈ prior·(a + z·β), and the mean s; `group` (0 …) of each column of z."""
    design = np.column_stack([prior, prior[:, None] * z])
    mean = np.zeros(design.shape[1])
    mean[0] = 1.0
    residual = psi - design @ mean
    noise = float(np.average(residual**2, weights=weight))
    root = np.sqrt(weight / weight.mean() / noise)
    a = design * root[:, None]
    gram, moment = a.T @ a, a.T @ (residual * root)
    found: list[tuple[float, Floats]] = []
    tried = list(itertools.product(PATTERN_SDS, repeat=int(group.max(initial=0)) + 1))
    for sds in tried:
        variance = np.r_[SCALE_SD, np.asarray(sds)[group]] ** 2
        post = gram + np.diag(1.0 / variance)
        delta = np.linalg.solve(post, moment)
        evidence = 0.5 * (moment @ delta - np.linalg.slogdet(post)[1] - np.log(variance).sum())
        found.append((float(evidence), mean + delta))
    top = max(evidence for evidence, _ in found)
    share = np.array([np.exp(evidence - top) for evidence, _ in found])
    share /= share.sum()
    return np.asarray(share @ np.array([one for _, one in found])), float(share @ np.array(tried).mean(axis=1))
