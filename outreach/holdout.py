"""Spend of the members we may list and of those held out in, what the lists brought in out - or "not enough yet".

The two groups were divided by a hash before anything was done, so the difference is the effect.  CUPED (Deng et al.
2013) takes off what could be foreseen: spend before the period, or the value model's expectation from before it.
Friends lost stand beside revenue always: a mass message can win the one and lose the other.
"""

from dataclasses import asdict, dataclass
from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from features.errors import InputError

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

# Below so many members or buyers in the smaller group a normal interval of skewed spend cannot be trusted.
LEAST_MEMBERS, LEAST_BUYERS = 200, 30
POWER_Z = 1.959964 + 0.841621  # 95 % two-sided, 80 % power


@dataclass(frozen=True)
class Difference:
    """Listed minus held out, per member, with its 95 % interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class HoldoutReport:
    """What the lists brought in over a period.  Money in yuan per member; friends lost in percentage points."""

    enough: bool
    why_not: str | None
    members_needed: int | None  # in the holdout, to see the smallest effect worth seeing; null where enough
    listed_members: int
    held_out_members: int
    revenue_listed_yuan: float
    revenue_held_out_yuan: float
    incremental_yuan: Difference | None
    incremental_plain_yuan: Difference | None
    lift: Difference | None
    incremental_total_yuan: float | None
    friends_lost_pp: Difference | None
    friends_lost_listed: float
    friends_lost_held_out: float
    variance_taken_off: float  # by CUPED, share
    smallest_visible_lift: float | None  # 80 % power

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def report(
    spend_yuan: Floats,
    held_out: Bools,
    friend_lost: Bools,
    foreseen_yuan: Floats | None = None,
    *,
    worthwhile_lift: float = 0.05,
) -> HoldoutReport:
    """Compare the listable with the held out over a period; one row per member of both groups.

    spend_yuan: net spend in the period; friend_lost: friend on the first day and not on the last; foreseen_yuan: any
    figure known before the period; worthwhile_lift: the smallest lift worth finding, for "how many more".
    """
    n = len(spend_yuan)
    for name, column in (("held_out", held_out), ("friend_lost", friend_lost), ("foreseen_yuan", foreseen_yuan)):
        if column is not None and len(column) != n:
            raise InputError(f"{name}: expected {n} rows as in spend_yuan, found {len(column)}; align them by member")
    if not np.isfinite(spend_yuan).all():
        raise InputError(
            f"spend_yuan: {int((~np.isfinite(spend_yuan)).sum())} of {n} rows are no number; write 0 for none"
        )
    a, b = ~held_out, held_out
    n1, n0 = int(a.sum()), int(b.sum())
    y, taken_off = (spend_yuan, 0.0) if foreseen_yuan is None else cuped(spend_yuan, foreseen_yuan, held_out)
    mean1, mean0 = (float(spend_yuan[g].mean()) if g.any() else 0.0 for g in (a, b))
    lost1, lost0 = (float(friend_lost[g].mean()) if g.any() else 0.0 for g in (a, b))
    buyers = min(int((spend_yuan[a] > 0).sum()), int((spend_yuan[b] > 0).sum()))
    why, needed = None, None
    if min(n1, n0) < LEAST_MEMBERS or buyers < LEAST_BUYERS:
        rate = max(float((spend_yuan > 0).mean()), 1e-3)
        needed = max(LEAST_MEMBERS, int(np.ceil(LEAST_BUYERS / rate)), _needed(y, mean0, n1, n0, worthwhile_lift))
        why = (
            f"{min(n1, n0)} members and {buyers} buyers in the smaller group; at least {LEAST_MEMBERS} and "
            f"{LEAST_BUYERS} are needed for an interval"
        )
        return HoldoutReport(
            False, why, needed, n1, n0, mean1, mean0, None, None, None, None, None, lost1, lost0, taken_off, None
        )
    gain, plain = _welch(y[a], y[b]), _welch(spend_yuan[a], spend_yuan[b])
    lift = None
    if mean0 > 0:
        lift = Difference(gain.value / mean0, gain.low / mean0, gain.high / mean0)
    half = (gain.high - gain.low) / 2 / 1.959964
    enough = bool(gain.low > 0 or gain.high < 0 or (mean0 > 0 and POWER_Z * half / mean0 <= worthwhile_lift))
    if not enough:
        needed = _needed(y, mean0, n1, n0, worthwhile_lift)
        why = f"an effect of {worthwhile_lift:.0%} could not be told from none with {n0} held-out members"
    return HoldoutReport(
        enough,
        why,
        needed,
        n1,
        n0,
        mean1,
        mean0,
        gain,
        plain,
        lift,
        gain.value * n1,
        _shares(friend_lost[a], friend_lost[b]),
        lost1,
        lost0,
        taken_off,
        POWER_Z * half / mean0 if mean0 > 0 else None,
    )


def cuped(y: Floats, foreseen: Floats, held_out: Bools) -> tuple[Floats, float]:
    """y − θ(x − x̄) with θ = cov(x, y)/var(x) within the groups; and the share of variance that it takes off."""
    x = np.where(np.isfinite(foreseen), foreseen, 0.0)
    within_x, within_y = x.astype(float).copy(), y.astype(float).copy()
    for group in (held_out, ~held_out):
        if group.any():
            within_x[group] -= within_x[group].mean()
            within_y[group] -= within_y[group].mean()
    spread = float(within_x @ within_x)
    if spread <= 0:
        return y, 0.0
    theta = float(within_x @ within_y) / spread
    adjusted = y - theta * (x - x.mean())
    before = float(within_y @ within_y)
    after = float(((within_y - theta * within_x) ** 2).sum())
    return adjusted, 1 - after / before if before > 0 else 0.0


def _welch(a: Floats, b: Floats) -> Difference:
    """Difference of means with Welch's interval."""
    va, vb = a.var(ddof=1) / len(a), b.var(ddof=1) / len(b)
    free = (va + vb) ** 2 / max(va**2 / (len(a) - 1) + vb**2 / (len(b) - 1), 1e-300)
    half = float(stats.t.ppf(0.975, max(free, 1.0)) * np.sqrt(va + vb))
    value = float(a.mean() - b.mean())
    return Difference(value, value - half, value + half)


def _shares(a: Bools, b: Bools) -> Difference:
    """Difference of two shares in points, Agresti–Caffo interval (adds one success and one failure to each)."""
    p, q = (a.sum() + 1) / (len(a) + 2), (b.sum() + 1) / (len(b) + 2)
    half = 1.959964 * np.sqrt(p * (1 - p) / (len(a) + 2) + q * (1 - q) / (len(b) + 2))
    return Difference(100 * float(a.mean() - b.mean()), 100 * float(p - q - half), 100 * float(p - q + half))


def _needed(y: Floats, mean: float, n1: int, n0: int, lift: float) -> int:
    """Held-out members needed to see `lift` with 80 % power, the listed growing in the same proportion."""
    if mean <= 0 or len(y) < 2:
        return LEAST_MEMBERS
    ratio = max(n1, 1) / max(n0, 1)
    return int(np.ceil((POWER_Z / (lift * mean)) ** 2 * float(y.var(ddof=1)) * (1 + 1 / ratio)))


def plot_svg(found: HoldoutReport) -> str:
    """The effect with its interval beside friends lost, as SVG text; empty where there is no interval yet."""
    if found.lift is None or found.friends_lost_pp is None:
        return ""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 2.2), layout="constrained")
    rows = ((found.lift, "Revenue lift, %", 100.0), (found.friends_lost_pp, "Friends lost, points", 1.0))
    for i, (one, title, unit) in enumerate(rows):
        axes = figure.add_subplot(1, 2, i + 1)
        axes.axvline(0, color="#999999", linewidth=1)
        axes.plot([one.low * unit, one.high * unit], [0, 0], color="#07c160", linewidth=3)
        axes.plot([one.value * unit], [0], "o", color="#07c160")
        axes.set_yticks([])
        axes.set_title(title, fontsize=10)
        for side in ("top", "left", "right"):
            axes.spines[side].set_visible(False)
    out = BytesIO()
    figure.savefig(out, format="svg", metadata={"Date": None})
    return out.getvalue().decode("utf-8")
