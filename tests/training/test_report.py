"""The page beside the figures: readable, complete, alone, and honest about what is missing."""

import re
from typing import Any

import pytest

from training.plots import Series, line_chart
from training.report import METHODS, html_report


def one(value: float) -> dict[str, float]:
    return {"value": value, "low": value - 0.01, "high": value + 0.01}


def report(difference: float) -> dict[str, Any]:
    names = "auc", "log_loss", "brier", "ece", "bias", "top10_revenue_share"
    figures = {
        "model": {name: one(0.5) for name in names},
        "baselines": {"bg_nbd": {name: one(0.5 - difference) for name in names}, "rfm": None},
        "paired": {"best": {name: one(difference) | {"baseline": "bg_nbd"} for name in names}},
        "rows": 40,
        "returned_share": 0.4,
    }
    bins = [{"predicted": 0.5, "observed": 0.4, "low": 0.3, "high": 0.6, "rows": 4}]
    lift = [{"share_of_members": 1.0, "share_of_returners": 1.0, "share_of_spend": 1.0}]
    empty = {"model": None, "baselines": {}, "paired": {"best": None}, "rows": 0}
    churn = figures | {
        "slices": {"n=1": figures, "n=2-4": empty, "n>=5": figures},
        "per_cutoff": {"2026-03-01": figures},
        "ece_if_calibrated": one(0.03),
        "reliability": {"model": bins, "bg_nbd": bins},
        "lift": {"model": lift, "bg_nbd": lift, "rfm": lift, "recency": lift},
    }
    return {
        "brand_id": "<b>茶 & 坊</b>",
        "cutoffs": ["2026-03-01"],
        "horizon_days": 30,
        "excluded": {"staff": 3, "minor": 0},
        "rows": {"2026-03-01": 40},
        "members": 40,
        "coverage": ["2025-01-01", "2026-05-01"],
        "tasks": {"churn": churn},
    }


def test_the_page_needs_nothing_from_elsewhere_and_escapes_what_it_is_given() -> None:
    page = html_report(report(-0.02))
    assert "&lt;b&gt;茶 &amp; 坊&lt;/b&gt;" in page and "<b>茶" not in page
    assert not re.search(r"<script|https?://|<link|@import|url\(", page)
    assert page.count("<svg") == 2 and "3 staff" in page and "Too few members to judge" in page


@pytest.mark.parametrize(
    ("difference", "said"), [(-0.02, "better than"), (0.02, "worse than"), (0.005, "no clear difference to")]
)
def test_the_page_says_better_only_where_the_interval_does(difference: float, said: str) -> None:
    assert f"{said} the best plain method" in html_report(report(difference))


def test_a_figure_without_an_interval_is_shown_without_one() -> None:
    told = report(-0.02)
    bare = {"value": 1435, "low": None, "high": None}
    lists = {"model": {"coverage_items": bare, "recall@10": one(0.2)}, "baselines": {"popularity": None}}
    told["tasks"]["items"] = {"mixed": lists | {"paired": {"best": None}, "slices": {"0": None}}, "new": None}
    page = html_report(told)
    assert '<td class="ours best">1,435</td>' in page and "nothing to compare with" in page


def test_a_window_in_which_nobody_returned_gets_its_page_without_the_lift_plot() -> None:
    told = report(-0.02)
    churn = told["tasks"]["churn"]
    nobody = {"share_of_members": 0.5, "share_of_returners": None, "share_of_spend": None}
    churn["lift"]["rfm"] = [nobody, *churn["lift"]["rfm"]]
    assert html_report(told).count("<svg") == 2
    churn["lift"] = {name: [nobody] for name in churn["lift"]}
    page = html_report(told)
    assert page.count("<svg") == 1 and "Reliability" in page and "Lift" not in page


def test_every_method_has_a_name_people_can_read() -> None:
    page = html_report(report(-0.02))
    assert METHODS["bg_nbd"] in page and "bg_nbd" not in page


def test_a_chart_keeps_every_point_inside_its_frame() -> None:
    chart = line_chart([Series("one", [(0, 0), (50, 2), (500, 0.5)])], title="t", x_label="x", y_label="y", x_max=100)
    points = re.search(r'points="([^"]+)"', chart)
    assert points is not None
    pairs = [tuple(map(float, pair.split(","))) for pair in points[1].split()]
    assert all(52 <= x <= 498 and 14 <= y <= 270 for x, y in pairs)
