"""How well is expected net spend ordered and summed? `HUITOU_DATA=… python experiments/value-spend/run.py [develop|judge]`."""

import json
import os
import sys
import tomllib
from datetime import date
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parents[1]))

from experiments.contract_folders.run import SETS  # noqa: E402
from features.history import build_history  # noqa: E402
from features.tables import tables_from_frames  # noqa: E402
from training.backtest import backtest  # noqa: E402


def main(part: str) -> None:
    """Judge one part of the configuration and add its figures to result.json."""
    config = tomllib.loads((HERE / "config.toml").read_text("utf-8"))
    data = Path(os.environ["HUITOU_DATA"])
    path = HERE / "result.json"
    results: dict[str, Any] = json.loads(path.read_text("utf-8")) if path.is_file() else {}
    for entry in config[part]:
        frames, _ = SETS[entry["data"]].frames(data)
        history = build_history(tables_from_frames(frames))
        found = backtest(
            history,
            [date.fromisoformat(day) for day in entry["as_of"]],
            entry["horizon_days"],
            tasks=("value",),
            seed=config["seed"],
            draws=config["draws"],
        )
        name = f"{entry['data']} H{entry['horizon_days']} {' '.join(entry['as_of'])}"
        value = found["tasks"]["value"]
        results.setdefault(part, {})[name] = {
            key: value[key] for key in ("model", "baselines", "paired", "slices") if key in value
        }
        path.write_text(json.dumps(results, indent=1, ensure_ascii=False) + "\n", "utf-8")
        print(name, json.dumps(value["model"])[:3000], "\npaired", json.dumps(value["paired"])[:2500], flush=True)


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "judge")
