"""How far is the service from the floor, and from `mlflow models serve`? What does a release of a million members cost?

    python experiments/http-speed/run.py [routes] [mlflow] [million] [swaps] [--home DEMO] [--work DIR] [--only NAME]

Each part named (all by default) writes its figures into result.json and its table into README.md; the others' stay as they
are. A finished demo given by --home saves the minutes that making one takes.
"""

import argparse
import datetime as dt
import json
import os
import platform
import shutil
import statistics
import sys
import tempfile
import time
import tomllib
import urllib.error
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from brand import demo_home, enlarged
from load import Figures, fetch, free_port, load, memory_mb, processor_seconds, request_bytes, running, serving
from tables import write as write_tables

from outreach.ledger import Ledger
from training.release import SCORED, Release, open_release
from training.release_writer import point_current_at

HERE = Path(__file__).parent
CONFIG = tomllib.loads((HERE / "config.toml").read_text(encoding="utf-8"))
LIST = "/v1/guides/{}/contact-list"
ITEMS = "/v1/members/{}/recommendations"


class Bench:
    """A demo's home, tokens for it, and the folder that the parts write to."""

    def __init__(self, home: Path, work: Path, only: str = "") -> None:
        self.only = only
        self.home, self.work = demo_home(home, CONFIG["demo_members"]), work
        work.mkdir(parents=True, exist_ok=True)
        self.release = open_release(home / "releases/current")
        self.today = str(self.release.manifest["as_of"])
        ledger = Ledger(f"sqlite:///{home / 'ledger.db'}")
        at = dt.datetime.fromisoformat(self.today)
        self.guide = self._busiest(ledger, at.date())
        self.tokens = {
            "guide": ledger.create_token("guide", subject=self.guide, store_id="", at=at),
            "app": ledger.create_token("app", at=at),
            "admin": ledger.create_token("admin", at=at),
        }
        ledger.close()

    def _busiest(self, ledger: Ledger, day: dt.date) -> str:
        guides = [str(row["guide_id"]) for row in self.release.guides]
        return max(guides, key=lambda guide: len(ledger.tasks_of_guide(guide, day)))

    def members(self, release: Release, n: int) -> list[str]:
        """Scored members, each once as far as there are enough, in an order that jumps about."""
        scored = np.flatnonzero(np.asarray(release.kind) == SCORED)
        chosen = np.random.default_rng(1).permutation(scored)
        return [release.ids[row].decode() for row in chosen[np.arange(n) % len(chosen)]]

    def own_members(self) -> list[str]:
        """The members of the busiest guide."""
        release = self.release
        rows = np.flatnonzero(np.asarray(release.kind) == SCORED).tolist()
        return [release.ids[row].decode() for row in rows if release.card(row).get("guide_id") == self.guide]


def routes(bench: Bench) -> Figures:
    """Huitou and the bare app in turns, route by route; then many requests and what they leave in memory."""
    ids = bench.members(bench.release, 4000)
    app, guide, admin = (bench.tokens[role] for role in ("app", "guide", "admin"))
    asked: dict[str, list[tuple[str, str, str, Any]]] = {
        "list": [("GET", LIST.format(bench.guide), guide, None)],
        "recommendations": [("GET", ITEMS.format(member), app, None) for member in ids],
        "recommendations_of_a_guide": [("GET", ITEMS.format(m), guide, None) for m in bench.own_members()],
    }
    for call in ("churn", "next_purchase", "value"):
        for n in CONFIG["bulk"]:
            bodies = [{"member_ids": ids[start : start + n]} for start in range(0, 3000, 300)]
            asked[f"{call}_{n}"] = [("POST", f"/{call}", admin, body) for body in bodies]
    asked = {name: questions for name, questions in asked.items() if bench.only in name}
    found: Figures = {}
    with serving(bench.home, bench.today, bench.work / "service.log") as (port, pid, seconds):
        found["service_ready_s"] = round(seconds, 2)
        answers = {name: fetch(port, *questions[0]) for name, questions in asked.items()}
        path = bench.work / "answers.json"
        path.write_text(json.dumps(answers), encoding="utf-8")
        floor = free_port()
        uvicorn = [sys.executable, "-m", "uvicorn", "bare:app", "--app-dir", str(HERE), "--port", str(floor)]
        bare = [*uvicorn, "--no-access-log", "--log-level", "warning"]
        environment = {"HUITOU_BARE_ANSWERS": str(path)}
        ready_at = f"http://127.0.0.1:{floor}/{next(iter(asked))}"
        with running(bare, environment, ready_at, bench.work / "bare.log") as (bare_pid, _):
            for name, questions in asked.items():
                ours = [request_bytes(*question) for question in questions]
                theirs = [request_bytes(question[0], f"/{name}", "", question[3]) for question in questions]
                for clients in CONFIG["clients"] if questions[0][0] == "GET" else (1,):
                    sides = ((port, ours, pid), (floor, theirs, bare_pid))
                    found[f"{name}, {clients}"] = compared(sides, clients)
        if not bench.only:
            found["memory"] = growth(port, pid, [request_bytes(*question) for question in asked["recommendations"]])
    return found


def compared(sides: tuple[tuple[int, list[bytes], int], ...], clients: int) -> Figures:
    """Both sides (port, messages, process) in turns, `rounds` times; medians of the rounds' figures."""
    rounds = [
        [load(port, messages, clients, CONFIG["seconds"], pid=pid) for port, messages, pid in sides]
        for _ in range(CONFIG["rounds"])
    ]
    huitou, bare = (median([one[side] for one in rounds]) for side in (0, 1))
    assert huitou["wrong"] == 0 and bare["wrong"] == 0, (huitou, bare)
    return {
        "huitou": huitou,
        "bare": bare,
        "p50_ratio": round(huitou["p50_ms"] / bare["p50_ms"], 2),
        "processor_ratio": round(huitou["processor_ms"] / bare["processor_ms"], 2),
        "throughput_ratio": round(huitou["requests_per_second"] / bare["requests_per_second"], 3),
        "p99_over_own_p50": round(huitou["p99_ms"] / huitou["p50_ms"], 2),
    }


def median(figures: list[Figures]) -> Figures:
    return {name: round(statistics.median(one[name] for one in figures), 3) for name in figures[0]}


def growth(port: int, pid: int, messages: list[bytes]) -> Figures:
    """What many requests leave behind, after the service's timers have let go of the last of them."""
    load(port, messages, 4, 2.0)
    time.sleep(7)
    before, done = memory_mb(pid), 0
    while done < CONFIG["memory_requests"]:
        done += int(load(port, messages, 4, 2.0, 0)["requests"])
    time.sleep(7)
    after = memory_mb(pid)
    return {"requests": done, "before": before, "after": after, "growth_mb": round(after["uss"] - before["uss"], 1)}


def mlflow(bench: Bench) -> Figures:
    """Churn of many members: computed by `mlflow models serve`, computed by Huitou, and looked up by Huitou."""
    import mlflow as library

    columns = [str(name) for name in bench.release.manifest["columns"]]
    ids = bench.members(bench.release, 4000)
    example = pd.DataFrame(np.asarray(bench.release.vectors[:50], np.float64), columns=columns)
    # MLflow asks for a signature and warns without one; the model without it is shown beside.
    signed = library.models.infer_signature(example, np.zeros(len(example), np.float32))
    found: Figures = {}
    with (
        serving(bench.home, bench.today, bench.work / "service.log") as (ours, _, _),
        mlflow_serving(bench, "signed", signed) as port,
        mlflow_serving(bench, "unsigned", None) as unsigned,
    ):
        warm_up(ours, bench.tokens["admin"], ids[0])
        for n in CONFIG["mlflow_members"]:
            chosen = [ids[start : start + n] for start in range(0, 3000, 300)]
            vectors = [bench.release.vectors[[bench.release.index(m) for m in some]] for some in chosen]
            bodies = [
                {
                    "dataframe_split": {
                        "columns": columns,
                        "data": np.where(np.isnan(v), None, v.astype(object)).tolist(),
                    }
                }
                for v in vectors
            ]
            same = fetch(port, "POST", "/invocations", "", bodies[0])["predictions"]
            admin = bench.tokens["admin"]
            mine = fetch(ours, "POST", "/churn", admin, {"member_ids": chosen[0], "computed": True})["results"]
            worst = max(abs(a - row["churn_probability"]) for a, row in zip(same, mine, strict=True))
            assert worst < 1e-5, worst
            messages = {
                "mlflow": (port, [request_bytes("POST", "/invocations", "", body) for body in bodies]),
                "mlflow_unsigned": (unsigned, [request_bytes("POST", "/invocations", "", body) for body in bodies]),
                "computed": (
                    ours,
                    [request_bytes("POST", "/churn", admin, {"member_ids": m, "computed": True}) for m in chosen],
                ),
                "looked_up": (ours, [request_bytes("POST", "/churn", admin, {"member_ids": m}) for m in chosen]),
            }
            rounds = [
                {name: load(to, what, 1, CONFIG["seconds"], 5) for name, (to, what) in messages.items()}
                for _ in range(CONFIG["rounds"])
            ]
            row: Figures = {name: median([one[name] for one in rounds]) for name in messages}
            assert all(one["wrong"] == 0 for one in row.values()), row
            for name in ("computed", "looked_up"):
                row[f"{name}_ratio"] = round(row["mlflow"]["p50_ms"] / row[name]["p50_ms"], 1)
            found[str(n)] = row
    return found


@contextmanager
def mlflow_serving(bench: Bench, name: str, signature: Any) -> Iterator[int]:
    """`mlflow models serve` with one worker over the release's curve, with or without a signature: its port."""
    import mlflow as library

    model = bench.work / f"mlflow-{name}"
    shutil.rmtree(model, ignore_errors=True)
    library.pyfunc.save_model(
        str(model),
        python_model=str(HERE / "mlflow_model.py"),
        artifacts={"curve": str(bench.release.path / "models/curve")},
        pip_requirements=["mlflow"],
        signature=signature,
    )
    port = free_port()
    command = [sys.executable, "-m", "mlflow", "models", "serve", "-m", str(model), "--env-manager", "local"]
    command += ["-h", "127.0.0.1", "-p", str(port), "--workers", "1"]
    # MLflow finds uvicorn by the path.
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    quiet = {"MLFLOW_DISABLE_TELEMETRY": "true", "OMP_NUM_THREADS": "1", "PATH": path}
    with running(command, quiet, f"http://127.0.0.1:{port}/ping", bench.work / f"mlflow-{name}.log"):
        yield port


def warm_up(port: int, token: str, member: str) -> None:
    """Have the worker load its model: on a busy machine that may take longer than a request is given."""
    for _ in range(10):
        try:
            fetch(port, "POST", "/churn", token, {"member_ids": [member], "computed": True})
            return
        except urllib.error.HTTPError:
            time.sleep(2)


def million(bench: Bench) -> Figures:
    """A worker over a million members beside one over a few: ready when, how much memory, how long for one look-up."""
    found: Figures = {}
    for name, members in (("tiny", 1_000), ("large", CONFIG["large_members"])):
        home = bench.work / name
        if not (home / "releases/current").exists():
            enlarged(bench.release, home / "releases", members)
        ledger = Ledger(f"sqlite:///{home / 'ledger.db'}")
        token = ledger.create_token("app", at=dt.datetime.fromisoformat(bench.today))
        ledger.close()
        release = open_release(home / "releases/current")
        ids = bench.members(release, CONFIG["lookups"])
        messages = [request_bytes("GET", ITEMS.format(member), token) for member in ids]
        starts, worked = [], []
        for _ in range(CONFIG["starts"]):
            with serving(home, bench.today, bench.work / "service.log") as (port, pid, seconds):
                starts.append(round(seconds, 2))
                worked.append(round(processor_seconds(pid), 2))
                ready = memory_mb(pid)
                asked = load(port, messages, 1, CONFIG["seconds"] * 2, 0)
                time.sleep(7)
                after = memory_mb(pid)
        # Processor time of this thread alone: the look-up waits for nothing but memory.
        at = time.thread_time()
        for member in ids:
            release.index(member)
        once = (time.thread_time() - at) / len(ids) * 1e6
        at = time.thread_time()
        for member in ids:
            row = release.index(member)
            assert row is not None and release.predictions["churn_probability"][row] >= 0
        whole = (time.thread_time() - at) / len(ids) * 1e6
        size = sum(path.stat().st_size for path in release.path.rglob("*")) / 2**20
        found[name] = {
            "members": members,
            "release_mb": round(size, 1),
            "ready_s": sorted(starts),
            "processor_s_until_ready": sorted(worked),
            "memory_when_ready": ready,
            "memory_after_requests": after,
            "recommendations": {key: round(value, 3) for key, value in asked.items()},
            "index_us": round(once, 2),
            "look_up_us": round(whole, 2),
        }
    for when in ("memory_when_ready", "memory_after_requests"):
        found[f"{when}_above_tiny_mb"] = {
            kind: round(found["large"][when][kind] - found["tiny"][when][kind], 1) for kind in found["tiny"][when]
        }
    return found


def swaps(bench: Bench) -> Figures:
    """Memory and failures while releases are swapped under load."""
    home = bench.work / "swapping"
    if not (home / "releases/current").exists():
        for members in (200_000, 200_001):
            enlarged(bench.release, home / "releases", members)
    ledger = Ledger(f"sqlite:///{home / 'ledger.db'}")
    token = ledger.create_token("app", at=dt.datetime.fromisoformat(bench.today))
    ledger.close()
    names = sorted(path.name for path in (home / "releases").iterdir() if path.is_dir() and not path.is_symlink())
    ids = bench.members(open_release(home / "releases" / names[0]), 4000)
    messages = [request_bytes("GET", ITEMS.format(member), token) for member in ids]
    seen, wrong, done = [], 0, 0
    with serving(home, bench.today, bench.work / "service.log") as (port, pid, _):
        for turn in range(CONFIG["swaps"] + 1):
            passed = load(port, messages, 4, CONFIG["seconds"])
            wrong, done = wrong + passed["wrong"], done + passed["requests"]
            time.sleep(6)
            seen.append(memory_mb(pid))
            point_current_at(home / "releases", names[(turn + 1) % len(names)])
            passed = load(port, messages, 4, CONFIG["seconds"])
            wrong, done = wrong + passed["wrong"], done + passed["requests"]
    return {
        "swaps": CONFIG["swaps"],
        "requests": done,
        "failed": wrong,
        "memory": seen,
        "private_dirty_growth_mb": round(seen[-1]["private_dirty"] - seen[1]["private_dirty"], 1),
    }


PARTS = {"routes": routes, "mlflow": mlflow, "million": million, "swaps": swaps}


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("parts", nargs="*", choices=[*PARTS, []], default=[])
    asked.add_argument("--home", type=Path, help="home of a finished demo; made anew by default")
    asked.add_argument("--only", default="", help="routes: those with this in their name; the others' figures stay")
    asked.add_argument("--work", type=Path, help="where large releases are kept between runs")
    options = asked.parse_args()
    work = options.work or Path(tempfile.mkdtemp(prefix="http-speed-"))
    bench = Bench((options.home or work / "home").resolve(), work.resolve(), options.only)
    path = HERE / "result.json"
    result = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    for part in options.parts or PARTS:
        before = os.getloadavg()[0]
        figures = PARTS[part](bench)
        figures["machine"] = f"{platform.machine()}, {os.cpu_count()} cores"
        figures["load"] = [round(before, 2), round(os.getloadavg()[0], 2)]
        result[part] = (result.get(part, {}) if options.only else {}) | figures
        path.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
        write_tables(result)
        print(part, json.dumps(figures, indent=1), flush=True)


if __name__ == "__main__":
    main()
