"""The tree hazard: LightGBM on person-periods, P(purchase in this bin | none before it), from many snapshots.

Recent snapshots are used as far as they were watched: follow-up is cut at a bin's edge, so a censored member
gives true rows and no invented ones.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import lightgbm as lgb
import numpy as np
import numpy.typing as npt

from training.btyd import FAMILIES
from training.curves import SMALLEST_SURVIVAL, logit, to_hazards
from training.growing import growing
from training.periods import Bins, person_periods
from training.views import FloatArray, View, Watched


@dataclass(frozen=True)
class TreeSettings:
    """How the tree hazard is grown."""

    rows: int = field(default=480_000, metadata={"doc": "most person-periods; above, members are drawn"})
    rounds: int = field(default=30, metadata={"doc": "trees where no past day could say how many"})
    most_rounds: int = field(default=300, metadata={"doc": "most trees that a past day may ask for"})
    leaves: int = field(default=15, metadata={"doc": "leaves of a tree"})
    learning_rate: float = field(default=0.04, metadata={"doc": "step of a tree"})
    min_leaf_events: float = field(
        default=30.0, metadata={"doc": "fewest expected purchases in a leaf (its curvature)"}
    )
    lambda_l2: float = field(default=20.0, metadata={"doc": "pull of a leaf's value to zero"})
    feature_fraction: float = field(default=0.5, metadata={"doc": "share of columns a tree may use"})
    bagging_fraction: float = field(default=0.8, metadata={"doc": "share of rows a tree sees"})


@dataclass(frozen=True)
class TreeHazard:
    """What trees add to the pooled hazard's log odds. `booster` sees `names` (columns of the view), the families'
    curves and the columns of a bin; `bins` are coarse and end at the horizon."""

    booster: lgb.Booster
    names: tuple[str, ...]
    bins: Bins

    def curve(self, view: View, like: FloatArray) -> FloatArray:
        """The curve `like` [n, edges], which the trees were grown to correct, with what they add."""
        return self.curves(view, like, (self.booster.num_trees(),))[0]

    def curves(self, view: View, like: FloatArray, rounds: Sequence[int]) -> list[FloatArray]:
        """The same as it stood after each of the ascending numbers of trees.

        Trees move the log odds of a purchase within each of their bins; the risk of the days in it moves in proportion.
        Beyond the horizon it moves as in the last bin.
        """
        where = np.searchsorted(view.bins.edges, self.bins.edges)
        odds = logit(to_hazards(like[:, where]))
        known = np.log1p(np.exp(odds))  # -log(1 - hazard)
        steps = np.diff(np.log(np.maximum(like, SMALLEST_SURVIVAL)), axis=1)
        fine = within(self.bins, view.bins)
        found = []
        for added in self.corrections(view, rounds):
            ratio = np.log1p(np.exp(odds + added)) / known
            survival = np.ones_like(like)
            survival[:, 1:] = np.exp(np.cumsum(steps * ratio[:, fine], axis=1))
            found.append(survival)
        return found

    def corrections(self, view: View, rounds: Sequence[int]) -> list[FloatArray]:
        """Added log odds of a purchase in each of the trees' own bins, float64[n, bins.count], after so many trees."""
        block = _static_block(view, self.names)
        width = block.shape[1]
        # All bins in one table: a call of the library costs as much as some hundred rows.
        table = np.empty((self.bins.count, len(view), width + PERIOD_COLUMNS), dtype=np.float32)
        table[:, :, :width] = block
        table[:, :, width:] = _period_block(view, self.bins)
        rows = table.reshape(-1, width + PERIOD_COLUMNS)
        found, first, added = [], 0, np.zeros(len(rows))
        for last in rounds:
            added = added + self.booster.predict(
                rows, raw_score=True, num_threads=1, start_iteration=first, num_iteration=last - first
            )
            found.append(added.reshape(self.bins.count, len(view)).T)
            first = last
        return found


def within(coarse: Bins, fine: Bins) -> npt.NDArray[np.int64]:
    """The coarse bin that holds each fine bin; the last coarse one holds all that come after."""
    return np.minimum(np.searchsorted(coarse.edges, fine.edges[1:], side="left") - 1, coarse.count - 1)


def grow_hazard(
    watched: Sequence[Watched],
    names: Sequence[str],
    bins: Bins,
    settings: TreeSettings,
    *,
    offsets: Sequence[FloatArray],
    seed: int = 0,
) -> TreeHazard:
    """Grow the hazard on all snapshots together.

    watched: snapshots with their follow-up; names: columns of the views to use; bins: the (coarse) bins of the trees.
    offsets: per snapshot, logit hazards [n, bins.count] that the trees correct.
    """
    tables, events, starts = [], [], []
    for s, snapshot in enumerate(watched):
        rows = person_periods(snapshot.days_to_next, snapshot.follow_up_days, bins)
        if not len(rows):
            continue
        tables.append(_training_table(snapshot.view, names, bins, rows.member, rows.bin))
        events.append(rows.event)
        starts.append(offsets[s][rows.member, rows.bin])
    event = np.concatenate(events).astype(np.float64)
    data = lgb.Dataset(np.concatenate(tables), event, init_score=np.concatenate(starts), free_raw_data=True)
    parameters = {
        "objective": "binary",
        "learning_rate": settings.learning_rate,
        "num_leaves": settings.leaves,
        "min_data_in_leaf": 20,
        "min_sum_hessian_in_leaf": settings.min_leaf_events,
        "lambda_l2": settings.lambda_l2,
        "feature_fraction": settings.feature_fraction,
        "bagging_fraction": settings.bagging_fraction,
        "bagging_freq": 1,
        "max_bin": 127,
        "boost_from_average": False,
    } | growing(seed, len(event))
    booster = lgb.train(parameters, data, settings.rounds)
    return TreeHazard(booster, tuple(names), bins)


# The columns that change from bin to bin, written beside the vectors of each member:
# middle of the bin; days since the last visit by then; the same over the member's own mean, median and shrunk gap;
# the logit hazards of the two buy-till-you-die families in this bin.
PERIOD_COLUMNS = 7


def _period_block(view: View, bins: Bins) -> npt.NDArray[np.float32]:
    """The columns of every bin: float32[bins.count, n, PERIOD_COLUMNS]."""
    block = np.empty((bins.count, len(view), PERIOD_COLUMNS), dtype=np.float32)
    middle = bins.middle.astype(np.float32)[:, None]
    elapsed = view.column("recency_days").astype(np.float32) + middle
    block[:, :, 0] = middle
    block[:, :, 1] = elapsed
    for k, name in enumerate(("gap_mean_days", "gap_median_days", "gap_shrunk_days")):
        block[:, :, 2 + k] = elapsed / np.maximum(view.column(name), 0.5).astype(np.float32)
    where = np.searchsorted(view.bins.edges, bins.edges)
    for k, family in enumerate(FAMILIES):
        block[:, :, 5 + k] = logit(to_hazards(view.btyd[family][:, where])).T if family in view.btyd else np.nan
    return block


def _static_block(view: View, names: Sequence[str]) -> npt.NDArray[np.float32]:
    """The vectors' columns, then how far each family's curve falls by the horizon and by a third of it."""
    at_horizon = view.bins.at_horizon()
    third = max(1, at_horizon // 3)
    extra = [
        logit(view.btyd[family][:, k]) if family in view.btyd else np.full(len(view), np.nan)
        for family in ("bg_nbd", "mbg_nbd")
        for k in (third, at_horizon)
    ]
    return np.column_stack([view.columns(tuple(names)), np.stack(extra, 1).astype(np.float32)])


def _training_table(
    view: View,
    names: Sequence[str],
    bins: Bins,
    member: npt.NDArray[np.integer],
    bin_: npt.NDArray[np.integer],
) -> npt.NDArray[np.float32]:
    block = _static_block(view, names)
    table = np.empty((len(member), block.shape[1] + PERIOD_COLUMNS), dtype=np.float32)
    table[:, : block.shape[1]] = block[member]
    table[:, block.shape[1] :] = _period_block(view, bins)[bin_, member]
    return table


def save_booster(booster: lgb.Booster, path: Path) -> None:
    """The booster as LightGBM's own text."""
    path.write_text(booster.model_to_string(), encoding="utf-8")


def load_booster(path: Path) -> lgb.Booster:
    return lgb.Booster(model_str=path.read_text(encoding="utf-8"))
