"""The figures in docs/simulator.md are those that the experiment wrote."""

import json
from pathlib import Path

from simulator.preset import preset_names

ROOT = Path(__file__).parents[2]


def test_every_figure_of_the_experiment_stands_in_the_page() -> None:
    page = (ROOT / "docs" / "simulator.md").read_text("utf-8")
    found = json.loads((ROOT / "experiments" / "preset-calibration" / "result.json").read_text("utf-8"))
    for preset, figures in found.items():
        for name in ("friends_lost_in_180_days", "baskets_above_100_yuan", "churn_90_days", "one_time_buyers"):
            assert f"{100 * figures[name]:.1f} %" in page, f"{preset}: {name}"
        assert f"{figures['mean_basket_yuan']:.0f} yuan" in page


def test_every_preset_is_named_on_the_page() -> None:
    page = (ROOT / "docs" / "simulator.md").read_text("utf-8")
    for name in preset_names():
        assert f"`{name}`" in page
