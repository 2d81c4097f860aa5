"""The backtest as its readers meet it: the keys of its JSON, figures checked from outside, and what it refuses."""

import json
from datetime import date
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import lifelines.utils
import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from sklearn import metrics as sk

import training.backtest
from features.errors import InputError
from features.history import History, build_history
from features.tables import tables_from_frames, write_tables
from features.vectors import build_vectors
from huitou.cli import main
from training.backtest import backtest
from training.cutoffs import LeakFound
from training.labels import label_outcomes
from training.peers.curves import fit_curve_peers
from training.report import html_report

CUT, HORIZON = date(2025, 10, 1), 60
CHURN = ("auc", "log_loss", "brier", "ece", "bias", "top10_revenue_share")
TIMING = ("c_index", "ibs", "median_abs_error_days", "coverage_80", "width_80_days")
CURVE_BASELINES = ("recency", "rfm", "logistic_rfm", "bg_nbd", "mbg_nbd", "lightgbm_one_cutoff")
ITEM_BASELINES = ("popularity", "own_counts", "decayed_counts", "cosine", "als", "bm25", "tifu_knn")


def frames(members: int = 260, seed: int = 3, *, other_future: date | None = None) -> dict[str, pd.DataFrame]:
    """A small brand; `other_future` makes everything from that day on go otherwise."""
    rng = np.random.default_rng(seed)
    start, rows, lines = pd.Timestamp("2025-01-01"), [], []
    tastes = rng.dirichlet(np.ones(25) * 0.15, members)
    for k in range(members):
        rate, quits, habit = rng.gamma(1.2, 1 / 25), rng.exponential(300), rng.gamma(3, 30)
        day = float(rng.integers(0, 180))
        leaves = day + quits
        while day < min(365, leaves):
            when = start + pd.Timedelta(days=int(day), hours=int(rng.integers(9, 21)))
            bought = np.unique(rng.choice(25, 3, p=tastes[k]))
            day += 1 + rng.exponential(1 / max(rate, 1e-4))
            if other_future is not None and when >= pd.Timestamp(other_future):
                if k % 3 == 0:
                    continue
                when, bought = when + pd.Timedelta(hours=1), bought[::-1][:1]
            order = f"o{k:04d}-{len(rows):05d}"
            rows.append((order, f"m{k:04d}", when, round(habit * len(bought), 2)))
            lines += [(order, n + 1, f"i{item:02d}", round(habit, 2)) for n, item in enumerate(bought)]
    orders = pd.DataFrame(rows, columns=["order_id", "member_id", "order_time", "paid_yuan"])
    people = pd.DataFrame({"member_id": [f"m{k:04d}" for k in range(members)], "status": "active"})
    people["registered_at"] = people["updated_at"] = start
    items = [f"i{k:02d}" for k in range(25)]
    return {
        "members": people.assign(is_staff=[k == 0 for k in range(members)]),
        "orders": orders.assign(channel="other", status="completed"),
        "order_lines": pd.DataFrame(lines, columns=["order_id", "line_no", "item_id", "paid_yuan"]).assign(
            line_type="sale", qty=1
        ),
        "items": pd.DataFrame(
            {"item_id": items, "spu_id": items, "title": items, "category_l1": "tea", "status": "on"}
        ),
    }


def world(**changes: Any) -> History:
    coverage = {"coverage_start": date(2025, 1, 1), "coverage_end": date(2025, 12, 31)}
    return build_history(tables_from_frames(frames(**changes), **coverage))


@pytest.fixture(scope="module")
def history() -> History:
    return world()


@pytest.fixture(scope="module")
def report(history: History) -> dict[str, Any]:
    return backtest(history, [CUT], HORIZON, draws=100, seed=1)  # the one whole run; the others are parts of it


def figure(one: Any) -> bool:
    return one is None or (set(one) >= {"value", "low", "high"} and np.isfinite(one["value"]))


def test_the_json_has_the_keys_its_readers_rely_on(report: dict[str, Any]) -> None:
    assert report["cutoffs"] == ["2025-10-01"] and report["horizon_days"] == 60
    assert report["excluded"]["staff"] == 1
    assert list(report["tasks"]) == ["churn", "timing", "items", "value"]
    for task, wanted in (("churn", CHURN), ("timing", TIMING)):
        block = report["tasks"][task]
        assert set(block["baselines"]) == set(CURVE_BASELINES)
        assert set(block["paired"]) == {*CURVE_BASELINES, "best"}
        assert list(block["slices"]) == ["n=1", "n=2-4", "n>=5"] and list(block["per_cutoff"]) == report["cutoffs"]
        for figures in (block["model"], *block["baselines"].values(), *block["paired"].values()):
            assert set(figures) == set(wanted) and all(figure(one) for one in figures.values())
        for metric in wanted:
            one = block["model"][metric]
            assert one["low"] < one["high"]
    assert set(report["tasks"]["value"]["baselines"]) == {"last_year", "gamma_gamma_bg_nbd"}
    assert {"spearman", "mae", "decile_sums"} <= set(report["tasks"]["value"]["model"])
    assert len(report["tasks"]["value"]["model"]["decile_sums"]) == 10
    items = report["tasks"]["items"]
    assert list(items) == ["mixed", "again", "new"]
    for block in items.values():
        assert set(block) >= {"model", "baselines", "paired", "slices"}
        assert set(block["baselines"]) == set(ITEM_BASELINES)
        assert {"recall@10", "ndcg@10", "phr@10", "coverage_items"} <= set(block["model"])
        assert list(block["slices"]) == ["0", "1-2", "3-4", "5-9", "10+"]
    assert 0 <= report["tasks"]["timing"]["null_dates"]["share"] <= 1
    assert report["audit"]["members_compared"] > 0 and report["audit"]["suspicious_columns"] == []
    assert json.loads(json.dumps(report, allow_nan=False)) == report
    page = html_report(report)  # every task has its table
    assert all(words in page for words in ("谁会流失", "何时回来", "会花多少", "再次购买", "新品推荐"))


def test_figures_of_a_peer_equal_scikit_learn_and_lifelines(history: History, report: dict[str, Any]) -> None:
    vectors = build_vectors(history, [CUT])
    outcomes = label_outcomes(history, vectors, [CUT], HORIZON).frame
    peer = fit_curve_peers(history, vectors, CUT, HORIZON, seed=1)[0]["bg_nbd"]
    assert peer is not None
    curves = peer.predict(vectors).curves(slice(None))
    y, t = ~outcomes.observed.to_numpy(), outcomes.days_to_next.fillna(HORIZON)
    p, late = curves[:, -1], curves[:, 1:].sum(axis=1)
    told = {name: one["value"] for name, one in report["tasks"]["churn"]["baselines"]["bg_nbd"].items()}
    assert told["auc"] == pytest.approx(sk.roc_auc_score(y, p), abs=1e-9)
    assert told["log_loss"] == pytest.approx(sk.log_loss(y, p), abs=1e-9)
    assert told["brier"] == pytest.approx(sk.brier_score_loss(y, p), abs=1e-9)
    assert told["bias"] == pytest.approx(p.mean() - y.mean(), abs=1e-9)
    timing = report["tasks"]["timing"]["baselines"]["bg_nbd"]
    assert timing["c_index"]["value"] == pytest.approx(lifelines.utils.concordance_index(t, late, ~y), abs=1e-9)
    assert report["rows"] == {str(CUT): len(y)}


@pytest.mark.slow
def test_what_is_said_changes_neither_with_the_order_of_rows_nor_with_the_future(report: dict[str, Any]) -> None:
    shuffled = {name: one.sample(frac=1, random_state=5) for name, one in frames(other_future=CUT).items()}
    coverage = {"coverage_start": date(2025, 1, 1), "coverage_end": date(2025, 12, 31)}
    other = build_history(tables_from_frames(shuffled, **coverage))
    found = backtest(other, [CUT], HORIZON, tasks=["churn", "timing"], draws=100, seed=1)["tasks"]
    said, before = found["timing"]["mean_curves"], report["tasks"]["timing"]["mean_curves"]
    assert {name: said[name] for name in ("model", *CURVE_BASELINES)} == {
        name: before[name] for name in ("model", *CURVE_BASELINES)
    }
    assert said["observed"] != before["observed"]  # the future really went otherwise
    predicted = [
        [row["predicted"] for row in task["churn"]["reliability"]["model"]] for task in (found, report["tasks"])
    ]
    assert predicted[0] == predicted[1]


@pytest.mark.slow
def test_a_members_file_restricts_judging_and_never_training(history: History, report: dict[str, Any]) -> None:
    asked = [*(f"m{k:04d}" for k in range(130)), "nobody"]
    some = backtest(history, [CUT], HORIZON, members=asked, tasks=["churn"], draws=100, seed=1)
    assert some["members"] <= 130 and some["restricted_to"] == {"asked": 131, "found": some["members"]}
    day = CUT.isoformat()
    assert some["tasks"]["churn"]["model_card"][day] == report["tasks"]["churn"]["model_card"][day]
    assert some["tasks"]["churn"]["rows"] < report["rows"][day]


def test_mistakes_are_refused_with_the_next_step(history: History, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training.backtest, "audit_vectors", lambda *_, **__: 0)
    with pytest.raises(InputError, match=r"after the data's coverage_end 2025-12-31; take 2025-11-02 or earlier"):
        backtest(history, [date(2025, 12, 1)], HORIZON)
    with pytest.raises(InputError, match=r"--tasks: unknown \['gender'\]; expected some of churn, timing"):
        backtest(history, [CUT], HORIZON, tasks=["churn", "gender"])
    with pytest.raises(InputError, match="--members: none of the 2 ids has a kept purchase"):
        backtest(history, [CUT], HORIZON, members=["x", "y"])


def test_a_model_that_learned_from_labels_past_the_cut_off_is_caught(
    history: History, monkeypatch: pytest.MonkeyPatch
) -> None:
    peeking = SimpleNamespace(card={"snapshots": [{"as_of": "2025-09-01", "label_end": "2025-10-01"}]})
    monkeypatch.setattr(training.backtest, "audit_vectors", lambda *_, **__: 0)
    monkeypatch.setattr(training.backtest, "fit_curve_model", lambda *_, **__: peeking)
    with pytest.raises(LeakFound, match="labels to 2025-10-01; labels must end before the cut-off"):
        backtest(history, [CUT], HORIZON, tasks=["churn"])


@pytest.mark.slow
def test_a_brand_too_small_for_peers_is_judged_all_the_same() -> None:
    found = backtest(world(members=12), [CUT], HORIZON, tasks=["churn"], draws=100)
    assert found["tasks"]["churn"]["baselines"]["lightgbm_one_cutoff"] is None
    assert found["tasks"]["churn"]["paired"]["lightgbm_one_cutoff"] is None
    assert "a labelled peer needs" in found["tasks"]["churn"]["per_cutoff"]["2025-10-01"]["missing"]["rfm"]
    assert "Backtest" in html_report(found)


@pytest.mark.slow
def test_the_command_writes_figures_and_a_page_and_shows_where(tmp_path: Path) -> None:
    folder = write_tables(frames(80), tmp_path / "brand", manifest={"brand_id": "茶坊"})
    (tmp_path / "ids.txt").write_text("member_id\n" + "\n".join(f"m{k:04d}" for k in range(50)) + "\n", "utf-8")
    out = tmp_path / "found.json"
    days = ["--as-of", "2025-10-01", "--as-of", "2025-08-01"]
    arguments = [*days, "--horizon", "60", "--tasks", "timing,churn", "--draws", "100"]
    ran = CliRunner().invoke(
        main, ["backtest", str(folder), *arguments, "--members", str(tmp_path / "ids.txt"), "--out", str(out)]
    )
    assert ran.exit_code == 0, ran.output
    assert f"wrote {out} and {tmp_path / 'found.html'}" in ran.output
    found = json.loads(out.read_text("utf-8"))
    assert list(found["tasks"]) == ["churn", "timing"] and found["members"] <= 50
    churn = found["tasks"]["churn"]
    assert found["cutoffs"] == list(churn["per_cutoff"]) == ["2025-08-01", "2025-10-01"]
    assert churn["rows"] == sum(one["rows"] for one in churn["per_cutoff"].values()) > churn["members"]
    page = (tmp_path / "found.html").read_text("utf-8")
    assert "茶坊" in page and page.count("<svg") == 3 and "<script" not in page and "http" not in page


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--as-of", "1 Oct", "--horizon", "60"], "--as-of '1 Oct': expected a day such as"),
        (["--as-of", "2025-10-01", "--horizon", "0"], "--horizon: expected 1 or more days"),
        (["--as-of", "2026-10-01", "--horizon", "60"], "coverage_end"),
        (["--as-of", "2025-10-01", "--horizon", "60", "--tasks", "magic"], "unknown ['magic']"),
        (["--as-of", "2025-10-01", "--horizon", "60", "--members", "no-such-file"], "no such file"),
    ],
)
def test_a_wrong_call_ends_with_code_2_and_one_line(tmp_path: Path, arguments: list[str], told: str) -> None:
    folder = write_tables(frames(20), tmp_path / "brand")
    ran = CliRunner().invoke(main, ["backtest", str(folder), *arguments, "--out", str(tmp_path / "x.json")])
    assert ran.exit_code == 2 and told in ran.output and "Traceback" not in ran.output
