"""Does the holdout report find what was planted, and stay quiet where nothing was?  Writes result.json beside itself.

200 experiments of 8,000 members with skewed spend, 10 % held out: a planted lift, and the same members without one.
"""

import json
from pathlib import Path

import numpy as np

from outreach.holdout import report

HERE = Path(__file__).parent
CONFIG = json.loads((HERE / "config.json").read_text())


def main() -> None:
    n, lift = CONFIG["members"], CONFIG["lift"]
    covered = covered_plain = alarms = 0
    widths = []
    for seed in range(CONFIG["experiments"]):
        r = np.random.default_rng([CONFIG["seed"], seed])
        foreseen = r.lognormal(3, 1, n)
        answers = r.lognormal(0, 0.7, n)
        without = np.where(r.random(n) < 0.4, foreseen * answers, 0.0)
        held = r.random(n) < CONFIG["holdout"]
        spend = np.where(held, without, without * (1 + lift))
        lost = r.random(n) < np.where(held, 0.10, 0.11)
        found, quiet = report(spend, held, lost, foreseen), report(without, held, lost, foreseen)
        assert found.incremental_yuan and found.incremental_plain_yuan and quiet.incremental_yuan
        truth = lift * 0.4 * float(np.exp(3 + 0.5 + 0.7**2 / 2))
        covered += found.incremental_yuan.low <= truth <= found.incremental_yuan.high
        covered_plain += found.incremental_plain_yuan.low <= truth <= found.incremental_plain_yuan.high
        alarms += not quiet.incremental_yuan.low <= 0 <= quiet.incremental_yuan.high
        wide = found.incremental_plain_yuan.high - found.incremental_plain_yuan.low
        widths.append((found.incremental_yuan.high - found.incremental_yuan.low) / wide)
    result = {
        "experiments": CONFIG["experiments"],
        "covered": covered,
        "covered_without_cuped": covered_plain,
        "aa_alarms": alarms,
        "interval_width_with_cuped": round(float(np.mean(widths)), 3),
    }
    (HERE / "result.json").write_text(json.dumps(result, indent=1) + "\n")
    print(result)


if __name__ == "__main__":
    main()
