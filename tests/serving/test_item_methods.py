"""Every item list says what made it, for this list and this member; scores are told only where they are probabilities."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from house import House
from small_brand import MEMBERS, NOW, point_at, write_small_release

from serving.item_methods import NO_HISTORY, PLAIN_HISTORY, PLAIN_LIST
from serving.releases import load_served
from training.release import open_release, sign
from training.release_forget import forget_in_releases
from training.release_methods import list_methods

CARD: dict[str, dict[str, Any]] = {
    "methods": {"mixed": "ranker", "again": "ranker", "new": "cosine"},
    "exceptions": {"again": {"10+": "own_counts"}},
    "calibrated": {"mixed": True, "again": False, "new": False},
}
COLD = "m04"


def write_told_release(root: Path, name: str = "r2", source: dict[str, Any] | None = None) -> Path:
    """The small brand's release by a ranker, as CARD says; COLD has the popular list of the store."""
    folder = write_small_release(root, name, current=False)
    ids = sorted(MEMBERS)
    many = np.array([MEMBERS[member][5] >= 10 for member in ids])
    served = {
        "mixed": np.full(len(ids), "ranker"),
        "again": np.where(many, "own_counts", "ranker"),
        "new": np.full(len(ids), "cosine"),
    }
    methods = list_methods(CARD, served)
    np.save(folder / "members/item_methods.npy", methods.codes)
    np.save(folder / "items/rung.npy", np.array([member == COLD for member in ids], np.uint8))
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    items = {"name": "shop-items", "version": "shop-items/3", "run_id": "z", "source": "model", "reason": None}
    manifest["models"]["items"] = items | (source or {})
    sign(folder, manifest | {"item_methods": dict(methods.said)})
    point_at(root, name)
    return folder


@pytest.fixture
def told(house: House) -> House:
    write_told_release(house.home / "releases")
    assert house.runtime.look()
    return house


def ask(house: House, role: str, member: str, slate: str) -> dict[str, Any]:
    answer = house.ask(role, "GET", f"/v1/members/{member}/recommendations?list={slate}&n=6")
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


@pytest.mark.parametrize(
    ("member", "slate", "method", "reason"),
    [
        ("m01", "mixed", "ranker", None),
        ("m01", "again", "ranker", None),
        ("m01", "new", "cosine", PLAIN_LIST),
        ("m02", "mixed", "ranker", None),
        ("m02", "again", "own_counts", PLAIN_HISTORY),
        (COLD, "mixed", "popular", NO_HISTORY),
        (COLD, "new", "popular", NO_HISTORY),
        ("minor", "mixed", "popular", "not_scored"),
        ("nobody", "mixed", "popular", "unknown_member"),
    ],
)
def test_an_answer_says_what_made_this_list_for_this_member_and_the_log_says_the_same(
    told: House, member: str, slate: str, method: str, reason: str | None
) -> None:
    answer = ask(told, "app", member, slate)
    source = "model" if method == "ranker" else "fallback"
    assert (answer["source"], answer["method"], answer["fallback_reason"]) == (source, method, reason)
    told.runtime.journal.flush()
    logged = told.ledger.exposures(NOW.date().replace(day=3)).set_index("request_id").loc[answer["request_id"]]
    assert logged["model"] == (method if method == "popular" else f"{method}:shop-items/3")


def test_bulk_rows_say_the_same_as_single_answers(told: House) -> None:
    members = ["m01", "m02", COLD, "nobody"]
    for slate in ("mixed", "again", "new"):
        answer = told.ask("analyst", "POST", "/recommend", json={"member_ids": members, "slate": slate}).json()
        usual = CARD["methods"][slate]
        assert (answer["source"], answer["method"]) == ("model" if usual == "ranker" else "fallback", usual)
        for member, row in zip(members, answer["results"], strict=True):
            alone = ask(told, "operator", member, slate)
            for name in ("source", "method", "fallback_reason"):
                assert row[name] == alone[name]


@pytest.mark.parametrize(("member", "slate"), [("m01", "again"), ("m01", "new"), ("m02", "again"), (COLD, "mixed")])
def test_no_score_is_told_where_it_is_no_probability(told: House, member: str, slate: str) -> None:
    answer = ask(told, "operator", member, slate)
    assert answer["items"] and all(item["score"] is None for item in answer["items"])
    bulk = told.ask("analyst", "POST", "/recommend", json={"member_ids": [member], "slate": slate}).json()
    assert all(item["score"] is None for item in bulk["results"][0]["items"])


def test_a_calibrated_score_is_told_to_head_office_alone(told: House) -> None:
    scores = [item["score"] for item in ask(told, "operator", "m01", "mixed")["items"]]
    assert scores == pytest.approx(np.linspace(0.9, 0.1, 6))
    for role in ("guide", "app"):
        assert all(item["score"] is None for item in ask(told, role, "m01", "mixed")["items"])


def test_a_release_that_does_not_say_what_made_its_lists_serves_and_tells_no_score(house: House) -> None:
    answer = ask(house, "operator", "m01", "mixed")
    assert (answer["source"], answer["method"]) == ("fallback", None)
    assert answer["fallback_reason"] == "not better than popularity"
    assert answer["items"] and all(item["score"] is None for item in answer["items"])


def test_where_the_release_is_a_fallback_its_own_reason_is_told(tmp_path: Path) -> None:
    folder = write_told_release(
        tmp_path, source={"source": "fallback", "name": "cosine", "reason": "too few baskets"}
    )
    made = load_served(folder).item_methods
    assert made.of_list("new").fallback_reason == "too few baskets"
    # The gate decides list by list: another list may be the ranker's still.
    assert made.of_list("again").source == "model"


def test_whoever_is_forgotten_takes_the_own_row_along(tmp_path: Path) -> None:
    release = open_release(write_told_release(tmp_path))
    assert release.item_methods is not None
    row = release.index("m01")
    assert row is not None
    (name,) = forget_in_releases(tmp_path, "m01").values()
    left = open_release(tmp_path / name)
    np.testing.assert_array_equal(left.item_methods, np.delete(np.asarray(release.item_methods), row, axis=0))
    assert load_served(tmp_path / name).item_methods.of_member("again", left.index("m02") or 0).method == "own_counts"
