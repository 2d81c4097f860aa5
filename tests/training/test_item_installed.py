"""A plain recommender that is installed by name is the one that was judged, and a model says whom it serves by what."""

import dataclasses
from typing import Any

import numpy as np
import pandas as pd
import pytest

from training.item_model import fit_items
from training.recommend import installed as module
from training.recommend.choose import tune_tifu
from training.recommend.simple import SIMPLE, TifuSettings
from training.recommend.snapshots import choose_snapshots
from training.recommend.source import ItemSource, day_number, source_from_frames
from training.recommend.state import state_on
from training.release_methods import list_methods
from training.train import INSTALLABLE, fallback_name

DAY = day_number("2026-03-01")


def shop(members: int) -> ItemSource:
    """Member k came k % 6 + 1 times, a week apart, buying one of six items that moves on by one each visit."""
    rows = [
        (f"m{k:03d}", DAY - 1 - 7 * visit, f"i{(k + visit) % 6}")
        for k in range(members)
        for visit in range(k % 6 + 1)
    ]
    frame = pd.DataFrame(rows, columns=["member_id", "day", "item_id"])
    cold = pd.DataFrame({"member_id": ["zcold"]})
    return source_from_frames(frame.assign(day=frame["day"].to_numpy().astype("datetime64[D]")), members=cold)


def test_tifu_knn_by_name_is_tuned_on_the_newest_earlier_baskets() -> None:
    source = shop(80)
    newest = choose_snapshots(source.purchases(DAY, True), DAY, 14)[0]
    wanted = tune_tifu(state_on(source, newest.day), newest.members, newest)
    model = fit_items(source, DAY, horizon_days=14, only="tifu_knn")
    assert wanted != TifuSettings(), "a shop on which the defaults are best shows nothing"
    assert model.learned.tifu == wanted and model.card["tifu"] == wanted.as_dict()
    assert model.card["rung"] == "tifu_knn"


def test_where_there_is_no_earlier_basket_the_defaults_serve_and_others_are_not_tuned(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert fit_items(shop(12), DAY, only="tifu_knn").learned.tifu == TifuSettings()
    assert fit_items(shop(12), DAY - 1000, only="tifu_knn").learned.tifu == TifuSettings()

    def never(*_: Any, **__: Any) -> TifuSettings:
        raise AssertionError("tuned")

    monkeypatch.setattr(module, "tuned", never)
    fit_items(shop(80), DAY, horizon_days=14, only="own_counts")


def test_every_plain_recommender_that_is_judged_can_be_installed() -> None:
    assert sorted(INSTALLABLE["items"]) == sorted(SIMPLE)
    cells = {name: {"recall@10": {"value": 0.1}} for name in SIMPLE}
    for best in ("als", "bm25"):
        block = {"mixed": {"baselines": cells | {best: {"recall@10": {"value": 0.2}}}}}
        assert fallback_name("items", {"tasks": {"items": block}}) == best


def test_a_model_says_which_method_serves_whom_in_the_order_asked() -> None:
    source = shop(24)
    model = fit_items(source, DAY, only="own_counts")
    exceptions = {"again": {"5-9": "popularity", "1-2": "cosine"}}
    model = dataclasses.replace(model, learned=dataclasses.replace(model.learned, exceptions=exceptions))
    asked = ["m005", "nobody", "m000", "m003", "zcold"]
    served = model.served_by(asked)
    assert served["again"][[0, 2, 3]].tolist() == ["popularity", "cosine", "own_counts"]
    assert set(served["mixed"].tolist()) == set(served["new"].tolist()) == {"own_counts"}
    card = {"methods": model.card["methods"], "exceptions": exceptions, "calibrated": {"again": np.bool_(False)}}
    kept = list_methods(card, served)
    for column, slate in enumerate(kept.said["slates"]):
        assert np.array(kept.said["names"])[kept.codes[:, column]].tolist() == served[slate].tolist()
    assert kept.said["methods"] == model.card["methods"] and kept.said["exceptions"] == exceptions
    assert list_methods(card, model.served_by([])).codes.shape == (0, 3)
