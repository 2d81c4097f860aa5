"""How long the list job takes and how much memory it holds: one million members, 5,000 guides, ten tasks each.

The lists follow a learned effect and are written to the ledger with what learning keeps of the morning.
Writes result.json beside itself.  Run with OMP_NUM_THREADS=1 on a quiet machine.
"""

import datetime as dt
import json
import resource
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pandas as pd

from outreach.inputs import ListInputs
from outreach.learning_log import log_rows
from outreach.ledger import Ledger
from outreach.lists import ListPlan, plan_lists
from outreach.settings import ContactSettings
from outreach.uplift import MixedEffect, fit_mixed

HERE = Path(__file__).parent
CONFIG = json.loads((HERE / "config.json").read_text())


def brand(members: int, guides: int, capacity: int, seed: int) -> ListInputs:
    """Frames of a made-up brand with a contact a month per member and three suggestions for each tenth member."""
    r = np.random.default_rng(seed)
    day = pd.Timestamp(CONFIG["date"])
    ids = np.char.add("m", np.char.zfill(np.arange(members).astype(str), 7)).astype(object)
    guide_ids = np.char.add("g", np.char.zfill(np.arange(guides).astype(str), 5)).astype(object)
    of = r.integers(0, guides, members)
    touched = r.integers(0, members, members)
    return ListInputs(
        brand_id="scale",
        members=pd.DataFrame(
            {
                "member_id": ids,
                "registered_at": day - pd.to_timedelta(r.integers(1, 1500, members), unit="D"),
                "birthday": r.choice([f"{m:02d}-{d:02d}" for m in range(1, 13) for d in range(1, 29)], members),
            }
        ),
        assignments=pd.DataFrame(
            {
                "member_id": ids,
                "guide_id": guide_ids[of],
                "start_at": day - pd.Timedelta(days=900),
                "is_friend": r.random(members) < 0.92,
            }
        ),
        guides=pd.DataFrame(
            {
                "guide_id": guide_ids,
                "store_id": [f"s{g % 1000}" for g in range(guides)],
                "status": "active",
                "daily_capacity": capacity,
            }
        ),
        predictions=pd.DataFrame(
            {
                "member_id": ids,
                "churn_probability": r.random(members),
                "recency_days": r.gamma(1.2, 100, members).round(),
                "visits": 1.0 + r.poisson(3, members),
                "gap_shrunk_days": r.lognormal(4.7, 0.6, members),
                "spend_mean_yuan": r.lognormal(5.5, 0.5, members),
                "tier": pd.Categorical(r.choice(["A", "B", "C"], members, p=[0.1, 0.3, 0.6])).astype(object),
                "engagement": r.standard_normal(members),
            }
        ),
        contacts=pd.DataFrame(
            {
                "member_id": ids[touched],
                "sent_at": day - pd.to_timedelta(r.integers(1, 90, members), unit="D"),
                "channel": r.choice(np.array(["wecom_1v1", "wecom_mass", "call_human"], dtype=object), members),
                "outcome": r.choice(
                    np.array(["none", "replied", "refused"], dtype=object), members, p=[0.8, 0.19, 0.01]
                ),
            }
        ),
        suggestions=pd.DataFrame(
            {
                "member_id": np.repeat(ids, 1),
                "rank": 1,
                "item_id": r.choice(np.array(["i1", "i2", "i3"], dtype=object), members),
                "title": r.choice(np.array(["轻柔护手霜", "草本洗发水", "棉柔巾"], dtype=object), members),
            }
        ),
    )


def learned(members: int) -> tuple[MixedEffect, float, int]:
    """An effect of a made-up log of sixty mornings as large as the panel makes it, its seconds of CPU and its rows."""
    small = brand(members, members // 200, CONFIG["capacity"], CONFIG["seed"] + 1)
    day = dt.date.fromisoformat(CONFIG["date"])
    plans: list[ListPlan] = [plan_lists(small, day, ContactSettings(epsilon=0.5), seed) for seed in range(5)]
    one = pd.concat([plan.learning for plan in plans], ignore_index=True)
    kept = pd.concat(
        [one.assign(date=day - dt.timedelta(10 + i), member_id=one["member_id"] + f"-{i}") for i in range(12)]
    )
    kept = kept.drop_duplicates(["member_id", "date"])
    r = np.random.default_rng(0)
    bought = kept[r.random(len(kept)) < 0.06 + 0.05 * kept["listed"]]
    cpu = time.process_time()
    rows = log_rows(
        kept,
        kept[kept["listed"]].assign(done=True),
        kept[["date", "member_id", "propensity"]],
        bought.assign(day=bought["date"])[["member_id", "day"]],
        pd.DataFrame({"member_id": [], "at": []}),
        (),
        day,
        7,
    )
    assert rows is not None
    effect = fit_mixed(rows, ContactSettings(), 0)
    assert effect is not None
    return effect, time.process_time() - cpu, len(rows)


def main() -> None:
    # The fit is another night's work: a process of its own, whose memory is not the list job's.
    with ProcessPoolExecutor(1, get_context("spawn")) as apart:
        effect, fit_seconds, fit_rows = apart.submit(learned, CONFIG["panel"]).result()
    inputs = brand(CONFIG["members"], CONFIG["guides"], CONFIG["capacity"], CONFIG["seed"])
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    day = dt.date.fromisoformat(CONFIG["date"])
    marks: list[tuple[str, float]] = []
    with tempfile.TemporaryDirectory() as folder:
        ledger = Ledger(f"sqlite:///{folder}/ledger.db", brand_id="scale")
        wall, cpu = time.perf_counter(), time.process_time()
        plan = plan_lists(
            inputs,
            day,
            ContactSettings(),
            CONFIG["seed"],
            effect=effect,
            progress=lambda message, _: marks.append((message, round(time.process_time() - cpu, 2))),
        )
        made = time.process_time() - cpu
        now = dt.datetime.combine(day, dt.time(3))
        counts = ledger.save_lists(day, plan.lists, run_id="scale", at=now)
        ledger.save_morning(day, plan.chances, plan.learning, keep_days=180)
        seconds, wall = time.process_time() - cpu, time.perf_counter() - wall
        stored = Path(folder, "ledger.db").stat().st_size / 1e6
        ledger.close()
    result = {
        "members": CONFIG["members"],
        "guides": CONFIG["guides"],
        "tasks": sum(len(one.tasks) for one in plan.lists),
        "eligible": plan.eligible,
        "excluded": plan.excluded,
        "cpu_seconds": round(seconds, 2),
        "wall_seconds": round(wall, 2),
        "cpu_seconds_without_store": round(made, 2),
        "peak_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
        "input_frames_peak_mb": round(before),
        "saved": counts,
        "ledger_mb": round(stored),
        "rows_kept_to_learn_from": len(plan.learning),
        "chances_kept": len(plan.chances),
        "fit_cpu_seconds": round(fit_seconds, 2),
        "fit_rows": fit_rows,
        "marks": marks,
    }
    (HERE / "result.json").write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n")
    print(json.dumps(result, ensure_ascii=False))


if __name__ == "__main__":
    main()
