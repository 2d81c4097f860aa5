"""Item lists beside their peers: `python -m experiments.item_lists.run QUESTION …` writes result.json beside this file.

Questions: tafeng, online_retail_ii, cold, staples, presets, speed. Data are found through HUITOU_DATA.
"""

import json
import os
import resource
import sys
import tempfile
import time
import tomllib
from collections.abc import Callable
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from experiments.contract_folders.run import make
from features.history import build_history
from features.tables import open_tables
from simulator.brand import DEFAULT_END, simulate_with_truth
from simulator.export import write_brand
from training.item_judge import judge_items
from training.item_model import RUNGS, fit_items
from training.recommend.candidates import Signals
from training.recommend.conditions import Catalogue
from training.recommend.judge import list_values
from training.recommend.rank_features import RankFeatures
from training.recommend.ranker import Ranker, calibrate, fit_ranker, label_keys, rank_rows
from training.recommend.rules import Rules, Rung, apply_rules, compile_rules, fold_in
from training.recommend.simple import TifuSettings, top_dense
from training.recommend.snapshots import choose_snapshots
from training.recommend.source import ItemSource, day_number, source_from_frames, source_from_history
from training.recommend.state import state_on
from training.recommend.texts import text_scores, title_matrix
from training.recommend.visits import first_baskets, visits_before

HERE = Path(__file__).parent
MARK = "<!-- figures -->"


def history_of(name: str) -> Any:
    """The history of a public data set, through a contract folder as any brand's."""
    folder = Path(tempfile.mkdtemp()) / name
    make(name, folder, Path(os.environ["HUITOU_DATA"]))
    return build_history(open_tables(folder))


def judged(
    name: str, config: dict[str, Any], seed: int, groups: dict[str, list[str]] | None = None
) -> dict[str, Any]:
    """judge_items with the clock beside it."""
    history = history_of(name)
    days = [date.fromisoformat(day) for day in config.get("as_of", [])] or [history.coverage_end]
    start = time.perf_counter()
    out = judge_items(history, days, config["horizon_days"], seed=seed, groups=groups)
    return {
        "seconds": round(time.perf_counter() - start, 1),
        "peak_gb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6, 2),
        "as_of": [str(d) for d in days],
        "lists": out,
    }


def tafeng(config: dict[str, Any], seed: int) -> dict[str, Any]:
    """The last basket of every member; the test members of published splits beside them."""
    sets = pd.read_parquet(Path(os.environ["HUITOU_DATA"]) / "tafeng" / "keysets.parquet")
    tested = sets[sets["part"] == "test"]
    groups = {
        f"keyset {number}": tested.loc[tested["keyset"].astype(int) == number, "member_id"].astype(str).tolist()
        for number in config["keysets"]
    }
    return judged("tafeng", config, seed, groups)


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


def preset_history(preset: str, members: int, days: int, seed: int) -> tuple[Any, Any]:
    """The history of a simulated brand, and the hidden truth behind it."""
    brand = simulate_with_truth(preset, members=members, days=days, seed=seed)
    folder = write_brand(brand.tables, Path(tempfile.mkdtemp()) / preset, days=days, end=DEFAULT_END)
    return build_history(open_tables(folder)), brand.truth["members"]


def presets(config: dict[str, Any], seed: int) -> dict[str, Any]:
    """Small simulated brands of every kind: does the gate pick what wins there?"""
    out: dict[str, Any] = {}
    for preset in config["names"]:
        for members in config["members"]:
            history, _ = preset_history(preset, members, config["days"], seed)
            as_of = history.coverage_end - timedelta(days=config["horizon_days"] - 1)
            found = judge_items(history, [as_of], config["horizon_days"], seed=seed)
            out[f"{preset} {members}"] = {
                slate: {
                    "method": one["per_cutoff"][str(as_of)]["method"],
                    "exceptions": one["per_cutoff"][str(as_of)]["exceptions"],
                    "rows": one["rows"],
                    **{metric: one["model"][metric]["value"] for metric in ("recall@10", "ndcg@10")},
                    "less_the_best": {metric: one["paired"]["best"][metric] for metric in ("recall@10", "ndcg@10")},
                }
                for slate, one in found.items()
            }
    return out


def staples(config: dict[str, Any], seed: int) -> dict[str, Any]:
    """Due days told of a simulated brand's staples against the day the member bought them next; who has no history."""
    history, truth = preset_history(config["preset"], config["members"], config["days"], seed)
    day = day_number(history.coverage_end) + 1 - config["held_back_days"]
    source = source_from_history(history)
    model = fit_items(source, day, seed=seed)
    lists = model.recommend(source.member_ids, 10)
    truth = truth.set_index("member_id").reindex(source.member_ids)
    kind = source.items["category_l2"].fillna("").to_numpy(dtype=str)
    later = source.purchases(day_number(history.coverage_end) + 1)
    later = later.take(later.day >= day)
    width = source.n_items
    key, first = np.unique(later.member.astype(np.int64) * width + later.item, return_index=True)
    own = model.state.own if model.state else None
    if own is None:
        raise RuntimeError("the model has no state")
    against_truth, against_next, ahead, pace, visits, quantity = [], [], [], [], [], []
    for slot in (1, 2, 3):
        cycle = truth[f"staple_{slot}_days"].to_numpy(float)
        near = np.abs(cycle - config["cycle_days"]) <= config["cycle_within"]
        row, place = np.nonzero(
            (lists.again >= 0)
            & (lists.again_due_days >= 0)
            & near[:, None]
            & (kind[np.maximum(lists.again, 0)] == truth[f"staple_{slot}"].fillna("-").to_numpy(dtype=str)[:, None])
        )
        told = lists.again_due_days[row, place]
        wanted = row * np.int64(width) + lists.again[row, place]
        mine = own.find(wanted)
        # Used up on the day that the simulated cycle and the quantity say; both are 0 once that day is over.
        used_up = cycle[row] * own.last_qty[mine] - own.last_days[mine]
        against_truth.append(told - np.maximum(used_up, 0))
        ahead.append((told > 0) | (used_up > 0))
        visits.append(own.count[mine])
        quantity.append(own.last_qty[mine])
        pace.append(own.pace_days[mine])
        at = np.minimum(np.searchsorted(key, wanted), max(len(key) - 1, 0))
        back = key[at] == wanted
        against_next.append(told[back] - (later.day[first[at[back]]] - day))
    error, later_error = np.concatenate(against_truth), np.concatenate(against_next)
    count, pieces, days = np.concatenate(visits), np.concatenate(quantity), np.concatenate(pace)
    cold_ids = [*source.member_ids[lists.rung > 0][:200], "nobody-knows-this-member"]
    cold_lists = model.recommend(cold_ids, 10)
    return {
        "staples_with_a_due_day": len(error),
        "within_7_days_of_used_up": float((np.abs(error) <= 7).mean()),
        "not_both_over": int(np.concatenate(ahead).sum()),
        "not_both_over_within_7_days": float((np.abs(error[np.concatenate(ahead)]) <= 7).mean()),
        "bought_three_times_or_more": int((count >= 3).sum()),
        "theirs_within_7_days_of_used_up": float((np.abs(error[count >= 3]) <= 7).mean()),
        "bought_again_in_time": len(later_error),
        "within_7_days_of_the_next_purchase": float((np.abs(later_error) <= 7).mean()),
        "gap_of_two_pieces_over_gap_of_one": float(np.median(days[pieces == 2]) / np.median(days[pieces == 1])),
        "quantity_power": own.quantity_power,
        "members_without_history": len(cold_ids),
        "their_rungs": {RUNGS[code]: int(n) for code, n in enumerate(np.bincount(cold_lists.rung)) if n},
        "their_lists_full": bool((cold_lists.mixed >= 0).all()),
    }


def taught_ranker(source: ItemSource, day: int, seed: int) -> Ranker:
    """A ranker of the usual size, fitted on the newest baskets before the day."""
    newest = choose_snapshots(source.purchases(day, True), day, 30)[0]
    signals = Signals(state_on(source, newest.day), TifuSettings(), seed=seed)
    rows = rank_rows(signals, newest.members[:3_000], label_keys(newest, source.n_items), others=60, seed=seed)
    return calibrate(fit_ranker([rows], "lambdarank", seed=seed, rounds=80), rows)


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
    ranker = taught_ranker(source_from_frames(frame[who < config["fitted_members"]]), 20_000, seed)
    fitted = time.perf_counter() - start
    # The ranker serves every list here whatever a gate would say: the dearest case is what is timed.
    slates = ("mixed", "again", "new")
    plain = fit_items(source, 20_000, seed=seed, only="popularity")
    learned = replace(plain.learned, methods=dict.fromkeys(slates, "ranker"), ranker=ranker)
    model = replace(plain, learned=learned)
    model.recommend(source.member_ids[:500], 20)  # what is fitted once a night is ready
    start, cpu = time.perf_counter(), time.process_time()
    lists = model.recommend(source.member_ids[: config["scored_members"]], 20)
    scored, cpu = time.perf_counter() - start, time.process_time() - cpu
    # The bare model call: the booster alone on as many rows as the members have candidates.
    signals = Signals(state_on(source, 20_000), model.learned.tifu)
    rows = RankFeatures(signals).matrix(signals.of(np.arange(256)))
    bare = time.process_time()
    ranker.score(rows)
    bare = (time.process_time() - bare) * len(lists.member_ids) / 256
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
        "scored_members": len(lists.member_ids),
        "items": source.n_items,
        "rows": lines,
        "candidates_a_member": round(len(rows) / 256),
        "trees": ranker.rounds,
        "fit_seconds": round(fitted, 1),
        "fitted_members": config["fitted_members"],
        "score_seconds": round(scored, 1),
        "score_cpu_seconds": round(cpu, 1),
        "bare_booster_cpu_seconds": round(bare, 1),
        "times_the_bare_booster": round(cpu / bare, 2),
        "request_ms": {str(q): round(1000 * float(np.quantile(taken, q)), 3) for q in (0.5, 0.99)},
        "peak_gb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6, 2),
        "load_average": os.getloadavg()[0],
    }


QUESTIONS: dict[str, Callable[[dict[str, Any], int], dict[str, Any]]] = {
    "tafeng": tafeng,
    "online_retail_ii": online_retail_ii,
    "cold": cold,
    "staples": staples,
    "presets": presets,
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
            out += [f"| *Huitou less the best of the others* | {' | '.join(_gains(judged))} | |", ""]
            apart = {**judged["slices"], **judged.get("groups", {})}
            out += [
                "| visits before | members | recall@10 | less the best | ndcg@10 less the best |",
                "|---|---|---|---|---|",
            ]
            for part, one in apart.items():
                if one and one["rows"] and part != "0":
                    gains = _gains(one)
                    out.append(
                        f"| {part} | {one['rows']:,} | {one['model']['recall@10']['value']:.4f} | {gains[0]} | {gains[1]} |"
                    )
            out.append("")
            for day, one in judged["per_cutoff"].items():
                served = one["method"] + "".join(f", {m} at {s} visits" for s, m in one.get("exceptions", {}).items())
                bins = one.get("reliability") or []
                shown = "; ".join(f"{b['told']:.3f} → {b['bought']:.3f}" for b in bins)
                out += [
                    f"{day}: served by {served}."
                    + (f" Told → bought, tenths of the places: {shown}." if bins else ""),
                    "",
                ]
    return "\n".join(out)


def _gains(judged: dict[str, Any]) -> list[str]:
    """Huitou less the best of the others, with its interval and the other's name."""
    best = judged["paired"]["best"]
    return [
        f"{best[m]['value']:+.4f} [{best[m]['low']:+.4f}, {best[m]['high']:+.4f}] {best[m]['baseline']}"
        for m in ("recall@10", "ndcg@10", "phr@10")
    ]


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
        start = time.perf_counter()
        result[name] = QUESTIONS[name](config[name], config["seed"])
        path.write_text(json.dumps(result, ensure_ascii=False, indent=1, default=float) + "\n", encoding="utf-8")
        print(f"{name}: written to {path.name}, {time.perf_counter() - start:.0f} s")
    readme = HERE / "README.md"
    above = readme.read_text(encoding="utf-8").split(MARK)[0]
    readme.write_text(above + MARK + "\n\n" + figures(result), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
