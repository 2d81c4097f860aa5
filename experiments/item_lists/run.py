"""Item lists beside their peers: `python -m experiments.item_lists.run QUESTION …` writes result.json beside this file.

Questions: tafeng, online_retail_ii, cold, speed. Data are found through HUITOU_DATA.
"""

import json
import os
import resource
import sys
import tempfile
import time
import tomllib
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from experiments.contract_folders.run import make
from features.history import build_history
from features.tables import open_tables
from training.item_judge import judge_items
from training.item_model import fit_items
from training.recommend.judge import list_values
from training.recommend.rules import Catalogue, Rules, Rung, apply_rules, compile_rules, fold_in
from training.recommend.simple import top_dense
from training.recommend.source import day_number, source_from_frames, source_from_history
from training.recommend.texts import text_scores, title_matrix
from training.recommend.visits import first_baskets, visits_before

HERE = Path(__file__).parent
MARK = "<!-- figures -->"


def history_of(name: str) -> Any:
    """The history of a public data set, through a contract folder as any brand's."""
    folder = Path(tempfile.mkdtemp()) / name
    make(name, folder, Path(os.environ["HUITOU_DATA"]))
    return build_history(open_tables(folder))


def judged(name: str, config: dict[str, Any], seed: int) -> dict[str, Any]:
    """judge_items with the clock beside it."""
    history = history_of(name)
    days = [date.fromisoformat(day) for day in config.get("as_of", [])] or [history.coverage_end]
    start = time.perf_counter()
    out = judge_items(history, days, config["horizon_days"], seed=seed)
    return {"seconds": round(time.perf_counter() - start, 1), "as_of": [str(d) for d in days], "lists": out}


def tafeng(config: dict[str, Any], seed: int) -> dict[str, Any]:
    """The last basket of every member."""
    return judged("tafeng", config, seed)


def online_retail_ii(config: dict[str, Any], seed: int) -> dict[str, Any]:
    """The first basket within 90 days of two cut-offs."""
    return judged("online_retail_ii", config, seed)


def cold(config: dict[str, Any], seed: int) -> dict[str, Any]:
    """Items whose whole history is hidden, ranked among themselves by titles."""
    source = source_from_history(history_of("online_retail_ii"))
    day = day_number(config["as_of"])
    rng = np.random.default_rng(seed)
    sold = np.unique(source.purchases(day + config["horizon_days"]).item)
    hidden = np.sort(rng.choice(sold, round(len(sold) * config["hidden_share"]), replace=False))
    bought = source.purchases(day)
    seen = visits_before(bought.take(~np.isin(bought.item, hidden)), day, source.n_members, source.n_items)
    member, item = first_baskets(
        source.purchases(day + config["horizon_days"], True), day, day + config["horizon_days"]
    )
    keep = np.isin(item, hidden) & (seen.n_visits[member] > 0)
    rows = np.unique(member[keep])
    pairs = (np.searchsorted(rows, member[keep]), np.searchsorted(hidden, item[keep]))
    profile = seen.matrix(0.95**seen.age)[rows]
    scores = text_scores(profile, title_matrix(source.items), hidden)
    out: dict[str, Any] = {"hidden_items": len(hidden), "members": len(rows)}
    for name, table in (("titles", scores.astype(float)), ("random", rng.random(scores.shape))):
        recall = list_values(top_dense(table, 10)[0], pairs, len(hidden))["recall@10"]
        draws = rng.choice(recall, (1000, len(recall))).mean(axis=1)
        out[name] = {"recall@10": recall.mean(), "low": np.quantile(draws, 0.025), "high": np.quantile(draws, 0.975)}
    out["times_random"] = out["titles"]["recall@10"] / out["random"]["recall@10"]
    return out


def speed(config: dict[str, Any], seed: int) -> dict[str, Any]:
    """All lists of many members, and the request path, beside the bare model calls inside them."""
    rng = np.random.default_rng(seed)
    members, items = config["members"], config["items"]
    lines = members * config["baskets_a_member"] * config["items_a_basket"]
    popular = 1.0 / np.arange(10, items + 10)
    taste = rng.integers(0, items, members)
    who = rng.integers(0, members, lines)
    near = (taste[who] + rng.geometric(0.02, lines)) % items
    what = np.where(rng.random(lines) < 0.6, near, rng.choice(items, lines, p=popular / popular.sum()))
    day = 20_000 - rng.integers(1, 360, lines)
    frame = pd.DataFrame(
        {
            "member_id": np.char.mod("m%07d", who),
            "day": day.astype("datetime64[D]"),
            "item_id": np.char.mod("i%05d", what),
        }
    )
    source = source_from_frames(frame)
    start = time.perf_counter()
    model = fit_items(source, 20_000, seed=seed)
    fitted = time.perf_counter() - start
    model.recommend(source.member_ids[:500], 20)  # what is fitted once a night is ready
    start = time.perf_counter()
    lists = model.recommend(source.member_ids, 20)
    scored = time.perf_counter() - start
    catalogue = Catalogue.of([str(i) for i in source.item_ids], {"kind": ["x"] * source.n_items})
    rules = compile_rules(Rules(), catalogue, date(2026, 1, 1))
    stock = rng.random(source.n_items) < 0.9
    taken = []
    for row in rng.integers(0, len(lists.member_ids), config["requests"]):
        recent = rng.integers(0, source.n_items, 5)
        begin = time.perf_counter()
        own = fold_in(lists.mixed[row], lists.mixed_score[row], recent, lists.similar, lists.together)
        apply_rules([own, Rung.of("brand", lists.popular[""])], 10, rules, in_stock=stock, hidden=recent)
        taken.append(time.perf_counter() - begin)
    return {
        "members": len(source.member_ids),
        "items": source.n_items,
        "rows": lines,
        "methods": dict(model.learned.methods),
        "fit_seconds": round(fitted, 1),
        "score_seconds": round(scored, 1),
        "request_ms": {str(q): round(1000 * float(np.quantile(taken, q)), 3) for q in (0.5, 0.99)},
        "peak_gb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6, 2),
        "load_average": os.getloadavg()[0],
    }


QUESTIONS: dict[str, Callable[[dict[str, Any], int], dict[str, Any]]] = {
    "tafeng": tafeng,
    "online_retail_ii": online_retail_ii,
    "cold": cold,
    "speed": speed,
}


def figures(result: dict[str, Any]) -> str:
    """The tables of the README, from result.json."""
    out = []
    for name, found in result.items():
        if "lists" not in found:
            rows = [f"{key}: {json.dumps(value, default=float)}" for key, value in found.items()]
            out += [f"### {name}", "", *[f"- {row}" for row in rows], ""]
            continue
        for slate, judged in found["lists"].items():
            out += [f"### {name}: {slate}, {judged['rows']:,} members and cut-offs", ""]
            out += ["| | recall@10 | ndcg@10 | phr@10 | items shown |", "|---|---|---|---|---|"]
            for method, values in {"**Huitou**": judged["model"], **judged["baselines"]}.items():
                shown = [f"{values[m]['value']:.4f}" for m in ("recall@10", "ndcg@10", "phr@10")]
                out.append(f"| {method} | {' | '.join(shown)} | {values['coverage_items']['value']:,} |")
            best = judged["paired"]["best"]
            gains = [
                f"{best[m]['value']:+.4f} [{best[m]['low']:+.4f}, {best[m]['high']:+.4f}] {best[m]['baseline']}"
                for m in ("recall@10", "ndcg@10", "phr@10")
            ]
            out += [f"| *Huitou less the best of the others* | {' | '.join(gains)} | |", ""]
    return "\n".join(out)


def main(names: list[str]) -> int:
    """Answer the questions named and keep the other answers in result.json."""
    unknown = [name for name in names if name not in QUESTIONS]
    if unknown or not names or not Path(os.environ.get("HUITOU_DATA", "")).is_dir():
        print(f"usage: HUITOU_DATA=… python -m experiments.item_lists.run {'|'.join(QUESTIONS)} …", file=sys.stderr)
        return 2
    config = tomllib.loads((HERE / "config.toml").read_text(encoding="utf-8"))
    path = HERE / "result.json"
    result = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    for name in names:
        result[name] = QUESTIONS[name](config[name], config["seed"])
        path.write_text(json.dumps(result, ensure_ascii=False, indent=1, default=float) + "\n", encoding="utf-8")
        print(f"{name}: written to {path.name}")
    readme = HERE / "README.md"
    above = readme.read_text(encoding="utf-8").split(MARK)[0]
    readme.write_text(above + MARK + "\n\n" + figures(result), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
