"""What our contact policies earn in worlds of known truth; writes result.json and the README's tables after every world.

python experiments/contact-worlds/run.py [RUN …] [--seeds K]      RUN: cold, after_log, cherry_picking
"""

import argparse
import json
import tomllib
from pathlib import Path

from tables import tables

from experiments.readme_block import write_block
from huitou.judge import judge
from simulator.world_file import read_world

HERE = Path(__file__).parent
CONFIG = tomllib.loads((HERE / "config.toml").read_text())
RESULT = HERE / "result.json"
# Guides of the third run leave the least attractive member of a list undone 8 times in 10, the most attractive never.
CHERRY_PICKING = {"guides.cherry_pick": 0.8}


def main() -> None:
    arguments = argparse.ArgumentParser()
    arguments.add_argument("runs", nargs="*", default=list(CONFIG["runs"]))
    arguments.add_argument("--seeds", type=int, default=CONFIG["seeds"])
    arguments.add_argument("--worlds", nargs="*")
    chosen = arguments.parse_args()
    for run in chosen.runs:
        for world in chosen.worlds or CONFIG["worlds"][run]:
            judged = judge(
                read_world(world, CHERRY_PICKING if run == "cherry_picking" else None),
                CONFIG["runs"][run],
                days=CONFIG["days"],
                seeds=chosen.seeds,
                log_days=0 if run == "cold" else CONFIG["log_days"],
            )
            result = json.loads(RESULT.read_text()) if RESULT.exists() else {}
            result.setdefault(run, {})[world] = judged
            RESULT.write_text(json.dumps(result, indent=1, sort_keys=True) + "\n")
            write_block(HERE / "README.md", tables(result))
            shares = {name: row["share_of_oracle"] for name, row in judged["policies"].items()}
            print(
                run,
                world,
                {n: [None if x is None else round(x, 3) for x in s.values()] for n, s in shares.items()},
                flush=True,
            )


if __name__ == "__main__":
    main()
