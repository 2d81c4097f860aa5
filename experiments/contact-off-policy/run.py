"""Does the off-policy interval hold the truth?  Logs drawn in worlds of known truth; writes result.json beside itself.

On a morning of each world every member is listed with the exploring policy's chances; who buys within the window is
drawn from the world's own probabilities with and without a contact.  Another policy's value is then known exactly.
"""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np

from features.errors import NotEnoughData
from huitou.judge import open_book, rhythm_of
from outreach.off_policy import Logged, evaluate
from outreach.policy import Morning, churn_risk, draw
from outreach.score import cold_score
from outreach.settings import ContactSettings
from simulator.world import World
from simulator.world_file import read_world

HERE = Path(__file__).parent
CONFIG = json.loads((HERE / "config.json").read_text())


def main() -> None:
    result: dict[str, dict[str, float]] = {}
    for name in CONFIG["worlds"]:
        p = read_world(name)
        inside = {"snips": 0, "doubly_robust": 0}
        runs = refused = 0
        widths = []
        for seed in range(CONFIG["seeds"]):
            world = World(p, seed)
            book = open_book(world)
            settings = replace(ContactSettings(), margin=p.world.margin)
            morning = Morning(book, rhythm_of(book), settings, seed)
            pool = np.flatnonzero(morning.eligible())
            log = replace(settings, epsilon=0.5, tau=0.1)
            done = draw(cold_score(morning.standing, settings).total, pool, morning, log, None)
            other = draw(churn_risk(morning), pool, morning, replace(log, epsilon=0.5), None)
            assert done.pool is not None and done.propensity is not None
            assert other.pool is not None and other.propensity is not None
            who, target = done.pool, other.propensity
            anyway = 1 - np.exp(-7 * world.hazard())[who]
            listed_p = np.clip(anyway + world.added_probability()[who] * (1 - anyway), 0, 1)
            truth = float(np.mean(target * listed_p + (1 - target) * anyway))
            model = morning.standing.buys_anyway[who]
            r = np.random.default_rng([seed, 91])
            for draws in range(CONFIG["draws"]):
                listed = r.random(len(who)) < done.propensity
                bought = (r.random(len(who)) < np.where(listed, listed_p, anyway)).astype(float)
                try:
                    found = evaluate(Logged(who, listed, done.propensity, bought, model, model), target, draws)
                except NotEnoughData:
                    refused += 1
                    continue
                runs += 1
                for method in inside:
                    one = getattr(found, method)
                    inside[method] += one.low <= truth <= one.high
                widths.append((found.doubly_robust.high - found.doubly_robust.low) / 2 / truth)
        result[name] = {"runs": runs, "refused": refused, "half_width_of_truth": round(float(np.mean(widths)), 3)} | {
            f"inside_{method}": count for method, count in inside.items()
        }
        print(name, result[name], flush=True)
        (HERE / "result.json").write_text(json.dumps(result, indent=1, sort_keys=True) + "\n")


if __name__ == "__main__":
    main()
