"""How long the list job takes and how much memory it holds: one million members, 5,000 guides, ten tasks each.

Writes result.json beside itself.  Run with OMP_NUM_THREADS=1 on a quiet machine.
"""

import datetime as dt
import json
import resource
import sqlite3
import time
from pathlib import Path

import numpy as np
import pandas as pd

from outreach.inputs import ListInputs
from outreach.lists import plan_lists
from outreach.settings import ContactSettings

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


def main() -> None:
    inputs = brand(CONFIG["members"], CONFIG["guides"], CONFIG["capacity"], CONFIG["seed"])
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    marks: list[tuple[str, float]] = []
    wall, cpu = time.perf_counter(), time.process_time()
    plan = plan_lists(
        inputs,
        dt.date.fromisoformat(CONFIG["date"]),
        ContactSettings(),
        CONFIG["seed"],
        progress=lambda message, _: marks.append((message, round(time.process_time() - cpu, 2))),
    )
    made = time.process_time() - cpu
    store = sqlite3.connect(":memory:")
    store.execute(
        "create table task (guide_id, member_id, rank, propensity, zh, en, primary key (guide_id, member_id))"
    )
    store.executemany(
        "insert into task values (?,?,?,?,?,?)",
        (
            (one.guide_id, t.member_id, t.rank, t.propensity, t.text_zh, t.text_en)
            for one in plan.lists
            for t in one.tasks
        ),
    )
    store.commit()
    result = {
        "members": CONFIG["members"],
        "guides": CONFIG["guides"],
        "tasks": sum(len(one.tasks) for one in plan.lists),
        "eligible": plan.eligible,
        "excluded": plan.excluded,
        "cpu_seconds": round(time.process_time() - cpu, 2),
        "wall_seconds": round(time.perf_counter() - wall, 2),
        "cpu_seconds_without_store": round(made, 2),
        "peak_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
        "input_frames_peak_mb": round(before),
        "marks": marks,
    }
    (HERE / "result.json").write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n")
    print(json.dumps(result, ensure_ascii=False))


if __name__ == "__main__":
    main()
