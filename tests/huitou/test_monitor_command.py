"""`huitou monitor` says what moved, and exits with 3, where a brand's base rate has; and keeps a challenger in shadow."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
from click.testing import CliRunner

from features.tables import write_tables
from huitou.cli import main
from simulator.brand import simulate_with_truth
from training.curve_model import CurveModel
from training.kept_predictions import read_kept, write_kept
from training.release import SCORED, open_release
from training.shadow import keep_shadow, shadow_folder

HORIZON = 90


def test_a_base_rate_that_moved_ends_with_three_and_the_cause(tmp_path: Path) -> None:
    world = simulate_with_truth("footwear", members=1_500, days=540, seed=5, drift=0.15)
    day = pd.Timestamp(world.truth["drift"]["from_day"].iloc[0]).date()
    # what was true until that day, by recency: who had come before D−H, and stayed away from then until D
    orders = world.tables["orders"]
    orders = orders.assign(day=pd.to_datetime(orders["order_time"]).dt.normalize())
    then = pd.Timestamp(day) - pd.Timedelta(days=HORIZON)
    last = orders[orders["day"] < then].groupby("member_id")["day"].max()
    came = set(orders.loc[(orders["day"] >= then) & (orders["day"] < pd.Timestamp(day)), "member_id"])
    edges = np.quantile((then - last).dt.days, np.linspace(0, 1, 9)[1:-1])
    rate = (
        pd.Series([m not in came for m in last.index]).groupby(np.searchsorted(edges, (then - last).dt.days)).mean()
    )
    now = (pd.Timestamp(day) - orders[orders["day"] < pd.Timestamp(day)].groupby("member_id")["day"].max()).dt.days
    said = pd.DataFrame(
        {"member_id": now.index, "churn_probability": rate.loc[np.searchsorted(edges, now)].to_numpy(float)}
    )
    write_tables({k: world.tables[k] for k in ("members", "orders", "order_lines", "items")}, tmp_path / "data")
    home = tmp_path / "home"
    write_kept(home / "monitor", day, said, horizon_days=HORIZON, max_days=8 * HORIZON, release_id="r")
    (tmp_path / "huitou.toml").write_text(f'[brand]\ninput = "{tmp_path / "data"}"\nhome = "{home}"\n', "utf-8")
    out = tmp_path / "report.json"
    ran = CliRunner().invoke(main, ["monitor", "--config", str(tmp_path / "huitou.toml"), "--out", str(out)])
    assert ran.exit_code == 3, ran.output
    told = json.loads(out.read_text("utf-8"))
    assert told["matured"][0]["bias"]["value"] < -0.05 and told["retrain"]
    assert any("bias" in line for line in told["breaches"])
    # these predictions came without a window, and the command says so
    assert told["matured"][0]["coverage_80"] is None
    assert "no window within horizon kept" in " ".join(ran.output.split())
    cause = next(line for line in told["breaches"] if line.startswith("inputs: "))
    family = {row["column"]: row["family"] for row in told["inputs"]}
    assert family[cause.split()[1]] in {"rhythm", "trend", "spend"} and told["moved"][0] in ran.output


def test_the_shadow_of_a_release_speaks_of_the_same_members(finished_demo: Path, tmp_path: Path) -> None:
    release = open_release(finished_demo / "releases/current")
    model = CurveModel.load(release.path / "models/curve")
    written = keep_shadow(tmp_path, release, model, "huitou-curve/9")
    assert written is not None and written.parent == shadow_folder(tmp_path)
    kept = read_kept(shadow_folder(tmp_path), pd.Timestamp(release.manifest["as_of"]).date())
    served = np.asarray(release.predictions["churn_probability"])[np.asarray(release.kind) == SCORED]
    assert kept.model == "huitou-curve/9"
    # the same model in shadow says what it says when it serves
    np.testing.assert_allclose(np.sort(kept.frame["churn_probability"]), np.sort(served), atol=1e-5)
