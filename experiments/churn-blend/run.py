"""How does the blended curve do beside its plain peers? One public set, cut-off and horizon in; one line of figures out.

python experiments/churn-blend/run.py FOLDER/cdnow 1997-07-05 90 2026-11-22

FOLDER is what experiments/contract_folders/run.py wrote; the last word is the day of the run, for the log.
"""

import json
import sys
import time
from datetime import date
from pathlib import Path

from features.history import build_history
from features.tables import open_tables
from training.backtest import backtest

HERE = Path(__file__).parent
# Anything else is a test cut-off: its figures are logged and nothing is tuned on them.
DEVELOPMENT = {("online_retail_ii", "2010-06-01", 90), ("cdnow", "1997-07-05", 90)}


def main(folder: Path, as_of: str, horizon: int, run_on: str) -> None:
    """Judge one cut-off and append what was seen to runs.jsonl."""
    began = time.process_time()
    history = build_history(open_tables(folder, threads=1))
    report = backtest(history, [date.fromisoformat(as_of)], horizon, tasks=["churn", "timing"], draws=200)
    line = {
        "run_on": run_on,
        "set": folder.name,
        "as_of": as_of,
        "horizon_days": horizon,
        "kind": "development" if (folder.name, as_of, horizon) in DEVELOPMENT else "test",
        "members": report["members"],
        "calibration": {day: card["calibration"] for day, card in report["tasks"]["churn"]["model_card"].items()},
        "cpu_seconds": round(time.process_time() - began),
        "tasks": {
            task: {
                "model": said["model"],
                "baselines": said["baselines"],
                "paired": said["paired"],
                "slices": {name: part["model"] for name, part in said["slices"].items()},
            }
            for task, said in report["tasks"].items()
        },
    }
    with (HERE / "runs.jsonl").open("a", encoding="utf-8") as out:
        out.write(json.dumps(line) + "\n")
    write_result()
    print(json.dumps(line["tasks"], indent=1))


def write_result() -> None:
    """result.json: the newest line of each set, cut-off and horizon."""
    lines = [json.loads(text) for text in (HERE / "runs.jsonl").read_text(encoding="utf-8").splitlines()]
    newest = {f"{line['set']} {line['as_of']} H{line['horizon_days']}": line for line in lines}
    (HERE / "result.json").write_text(json.dumps(newest, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), sys.argv[4])
