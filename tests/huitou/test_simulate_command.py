"""`huitou simulate` writes a folder that can be read back, and says so."""

from pathlib import Path

import pandas as pd
from click.testing import CliRunner

from huitou.cli import main
from simulator.brand import simulate_brand


def test_both_formats_hold_the_same_orders(tmp_path: Path) -> None:
    size = ["--members", "150", "--days", "120", "--seed", "3"]
    for form in ("parquet", "csv"):
        done = CliRunner().invoke(main, ["simulate", str(tmp_path / form), *size, "--format", form])
        assert done.exit_code == 0, done.output
        assert str(tmp_path / form)[-20:] in done.output.replace("\n", "")
    orders = simulate_brand("beauty", members=150, days=120, seed=3)["orders"]
    parquet = pd.read_parquet(tmp_path / "parquet" / "orders.parquet")
    csv = pd.read_csv(tmp_path / "csv" / "orders.csv", dtype=str)
    assert parquet["order_id"].tolist() == csv["order_id"].tolist() == orders["order_id"].tolist()


def test_an_unknown_preset_is_the_users_mistake(tmp_path: Path) -> None:
    done = CliRunner().invoke(main, ["simulate", str(tmp_path), "--preset", "jewels"])
    assert done.exit_code == 2
    assert "known presets: beauty, footwear, grocery, memoryless" in done.output
