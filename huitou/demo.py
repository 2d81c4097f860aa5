"""The whole line on a simulated brand: simulate, check, train, promote, release, lists."""

import dataclasses
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

from features.checks import check_folder
from features.progress import Progress
from features.tables import write_tables
from huitou.brand import ledger_of, read_brand
from huitou.config import Config
from huitou.daily import ListsWritten, write_lists
from huitou.pipeline import make_release, promote_brand, train_brand
from simulator.brand import simulate_brand
from training.promote import Promotion
from training.release import Release
from training.train import Training

PRESET, DAYS, SEED = "beauty", 540, 7
# A demo is judged on one cut-off and fewer members, so that it is over in minutes on a laptop.
DEMO_TRAINING = {"horizon_days": 60, "cutoffs": 1, "judged_members": 3_000}


@dataclass(frozen=True)
class Demo:
    """What a demo made, and a token for the guide whose list it shows."""

    training: Training
    promotions: list[Promotion]
    release: Release
    lists: ListsWritten
    guide_id: str
    token: str
    seconds: dict[str, float]


def run_demo(
    config: Config,
    members: int,
    *,
    today: date,
    now: datetime,
    stage: Callable[[str, Callable[[Progress], Any]], Any],
) -> Demo:
    """Run the line under `config.home`; `stage(title, work)` shows a bar while `work(progress)` runs."""
    folder = Path(config.brand.input)
    seconds: dict[str, float] = {}

    def timed(title: str, work: Callable[[Progress], Any]) -> Any:
        start = time.perf_counter()
        result = stage(title, work)
        seconds[title] = time.perf_counter() - start
        return result

    config = dataclasses.replace(config, training=dataclasses.replace(config.training, **DEMO_TRAINING))
    end = today - timedelta(days=1)
    frames = timed(
        "simulate a brand",
        lambda tell: simulate_brand(PRESET, members=members, days=DAYS, seed=SEED, end=end, progress=tell),
    )
    write_tables(frames, folder, format="parquet")
    timed("check its tables", lambda tell: check_folder(folder, progress=tell))
    brand = timed("read them", lambda tell: read_brand(config, tell))
    training = timed("train", lambda tell: train_brand(config, brand.history, tell))
    promotions = timed("promote", lambda tell: promote_brand(config))
    release = timed("release", lambda tell: make_release(config, brand, now=now, progress=tell))
    ledger = ledger_of(config)
    lists = timed(
        "write today's lists",
        lambda tell: write_lists(config, brand.history.tables, release, ledger, today, now=now, progress=tell),
    )
    longest = max(lists.plan.lists, key=lambda one: (len(one.tasks), one.guide_id))
    token = ledger.create_token("guide", subject=longest.guide_id, store_id=longest.store_id, label="demo", at=now)
    return Demo(training, promotions, release, lists, longest.guide_id, token, seconds)
