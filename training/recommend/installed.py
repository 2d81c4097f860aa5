"""The name of a plain recommender in; out: the choice that has it serve every list, tuned where it has settings."""

import numpy as np

from training.recommend.choose import LEAST_TO_CHOOSE, SLATES, TUNED_MEMBERS, Choice, drawn, tune_tifu
from training.recommend.simple import TifuSettings
from training.recommend.snapshots import choose_snapshots
from training.recommend.source import ItemSource
from training.recommend.state import state_on

TIFU = "tifu_knn"


def installed(name: str, source: ItemSource, day: int, horizon_days: int, *, seed: int = 0) -> Choice:
    """`name` serves all lists. TIFU-KNN is tuned on the newest baskets before `day`, as it was where it was judged."""
    tifu = tuned(source, day, horizon_days, seed=seed) if name == TIFU else TifuSettings()
    return Choice(dict.fromkeys(SLATES, name), tifu, None, 0, {"why": "asked for"})


def tuned(source: ItemSource, day: int, horizon_days: int, *, seed: int = 0) -> TifuSettings:
    """TIFU-KNN's best settings on the newest snapshot before `day`; the defaults where its members are too few."""
    snapshots = choose_snapshots(source.purchases(day, True), day, horizon_days)
    members = snapshots[0].members if snapshots else np.zeros(0, np.int32)
    if len(members) < LEAST_TO_CHOOSE:
        return TifuSettings()
    some = drawn(members, TUNED_MEMBERS, np.random.default_rng(seed))
    return tune_tifu(state_on(source, snapshots[0].day), some, snapshots[0])
