"""Are the rules, the chances and the sentences of the lists what they say?  Writes result.json beside itself.

python experiments/contact-rules/run.py [PART …]      PART: shops, redraws, shuffle, texts
"""

import dataclasses
import datetime as dt
import importlib.util
import json
import re
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd

from outreach.arms import hash_ids, salt_word, uniform
from outreach.inputs import ONE_TO_ONE, ListInputs
from outreach.lists import plan_lists
from outreach.propensities import inclusion_probabilities
from outreach.reasons import REASON_TEXTS
from outreach.selection import madow
from outreach.settings import ContactSettings

HERE = Path(__file__).parent
CONFIG = json.loads((HERE / "config.json").read_text())
DAY = dt.date.fromisoformat(CONFIG["date"])


def beside(name: str, path: Path) -> ModuleType:
    """A module by its file: the shop and the checks of the tests, the brand of the list job."""
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


ROOT = HERE.parents[1]
TESTS = ROOT / "tests" / "outreach" / "contact"


def shops() -> dict[str, int]:
    """Random shops, every rule asserted from the raw frames by other means than the code under test."""
    made, checks = beside("shop", TESTS / "conftest.py"), beside("checks", TESTS / "test_lists.py")
    broken = 0
    for seed in range(CONFIG["random_shops"]):
        settings = ContactSettings(default_capacity=5, epsilon=0.1 * (seed % 4))
        try:
            checks.broken(made.make_shop(members=120, guides=3, seed=100 + seed), DAY, settings, seed)
        except AssertionError as error:
            broken += 1
            print("shop", 100 + seed, error)
    return {"random_shops": CONFIG["random_shops"], "shops_with_a_broken_rule": broken}


def redraws() -> dict[str, Any]:
    """One guide's list drawn again and again with the dice of other seeds."""
    n, k = 140, 10
    r = np.random.default_rng(CONFIG["seed"])
    starts = np.zeros(1, dtype=np.int64)
    pi = inclusion_probabilities(r.standard_normal(n), starts, np.array([k]), epsilon=0.1, tau=0.02)
    ids, guide = hash_ids([f"m{i}" for i in range(n)]), hash_ids(["g1"])
    count, sizes = np.zeros(n), set()
    for seed in range(CONFIG["redraws"]):
        dice = uniform(ids, salt_word("order", seed, DAY.isoformat()))
        drawn = madow(pi, starts, dice, uniform(guide, salt_word("start", seed, DAY.isoformat())))
        count += drawn
        sizes.add(int(drawn.sum()))
    error = np.abs(count / CONFIG["redraws"] - pi)
    return {"redraws": CONFIG["redraws"], "largest_error": round(float(error.max()), 4), "list_sizes": sorted(sizes)}


def brand() -> ListInputs:
    """The brand of the list job, its members numbered so that every member has own numbers."""
    job = beside("job", HERE.parent / "contact-list-job" / "run.py")
    made: ListInputs = job.brand(CONFIG["members"], CONFIG["guides"], CONFIG["capacity"], CONFIG["seed"])
    return made


def shuffle() -> dict[str, Any]:
    """Rows of every frame in another order."""
    made = beside("shop", TESTS / "conftest.py")
    shop = made.make_shop(members=5000, guides=40, seed=3)
    first = [one.digest for one in plan_lists(shop, DAY, ContactSettings(), 1).lists]
    same = 0
    for seed in range(20):
        frames = {
            f.name: value.sample(frac=1, random_state=seed)
            for f in dataclasses.fields(shop)
            if isinstance(value := getattr(shop, f.name), pd.DataFrame)
        }
        again = plan_lists(dataclasses.replace(shop, **frames), DAY, ContactSettings(), 1).lists
        same += [one.digest for one in again] == first
    return {"shuffles": 20, "same_digests": same, "lists": len(first)}


def pattern(text: str) -> re.Pattern[str]:
    """A reason's sentence as a pattern that finds the number in each gap; suggestions and silence are words."""
    parts = re.split(r"\{(\w+)\}", text)
    words = {"suggest": ".*", "new": ".*", "silent_zh": r"(?:(?P<silent>\d+)天|一直)",
             "silent_en": r"(?:no contact for (?P<silent>\d+) days|never contacted so far)"}  # fmt: skip
    built = "".join(
        words.get(part, rf"(?P<{part}>\d+)") if i % 2 else re.escape(part) for i, part in enumerate(parts)
    )
    return re.compile(built)


def texts() -> dict[str, Any]:
    """Every number of every sentence worked out again from the member's own rows, in both languages."""
    inputs = brand()
    plan = plan_lists(inputs, DAY, ContactSettings(), CONFIG["seed"])
    today = pd.Timestamp(DAY)
    members, rows = inputs.members.set_index("member_id"), inputs.predictions.set_index("member_id")
    personal = inputs.contacts[inputs.contacts["channel"].isin(ONE_TO_ONE)]
    past = personal[personal["sent_at"] < today]
    last = past.groupby("member_id")["sent_at"].max()
    facts = {
        "days": rows["recency_days"].astype(int).to_dict(),
        "cycle": rows["gap_shrunk_days"].clip(lower=1).round().astype(int).to_dict(),
        "visits": rows["visits"].astype(int).to_dict(),
        "joined": (today - members["registered_at"].dt.normalize()).dt.days.to_dict(),
        "silent": (today - last.dt.normalize()).dt.days.to_dict(),
        "birthday": {m: _to_birthday(text) for m, text in members["birthday"].items()},
    }
    known = {code: (pattern(r.zh), pattern(r.en)) for code, r in REASON_TEXTS.items()}
    seen = wrong = apart = numbers = 0
    codes: dict[str, int] = {}
    for one in plan.lists:
        for task in one.tasks:
            seen += 1
            codes[task.reason_code] = codes.get(task.reason_code, 0) + 1
            zh, en = (
                p.fullmatch(t) for p, t in zip(known[task.reason_code], (task.text_zh, task.text_en), strict=True)
            )
            if zh is None or en is None:
                wrong += 1
                continue
            said = {name: int(v) for name, v in zh.groupdict().items() if v is not None}
            apart += said != {name: int(v) for name, v in en.groupdict().items() if v is not None}
            numbers += len(said)
            wrong += any(facts[name].get(task.member_id) != value for name, value in said.items())
    return {"texts": seen, "numbers": numbers, "texts_with_a_wrong_number": wrong, "languages_apart": apart,
            "reasons": dict(sorted(codes.items()))}  # fmt: skip


def _to_birthday(text: str) -> int:
    month, day = map(int, text.split("-"))
    date = dt.date(DAY.year, month, day)
    return ((date if date >= DAY else dt.date(DAY.year + 1, month, day)) - DAY).days


def main() -> None:
    parts = {"shops": shops, "redraws": redraws, "shuffle": shuffle, "texts": texts}
    path = HERE / "result.json"
    result = json.loads(path.read_text()) if path.exists() else {}
    for name in sys.argv[1:] or parts:
        result[name] = parts[name]()
        print(name, result[name], flush=True)
        path.write_text(json.dumps(result, indent=1, sort_keys=True, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
