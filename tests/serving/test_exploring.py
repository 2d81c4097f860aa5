"""A share of lists tries items that nobody bought yet: with chances known exactly, under every rule, never for who opted out."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from house import House
from small_brand import NOW, write_small_release

from features.errors import InputError
from serving.answers.exploring import WITHIN_PLACES, dice, explore
from serving.settings import ServingSettings
from training.recommend.rules import Compiled, Rung, apply_rules

COLD = (4, 8, 9)
SHARE = 0.3


def plain_rules(size: int = 10, caps: tuple[Any, ...] = (), pins: tuple[Any, ...] = ()) -> Compiled:
    return Compiled(np.ones(size, bool), np.ones(size), pins, caps)


def test_the_logged_chances_are_the_frequencies_of_the_lists() -> None:
    rules = plain_rules()
    shown = apply_rules([Rung.of("own", [0, 1, 2, 4, 5, 6, 7])], 7, rules)
    seen: Counter[int] = Counter()
    total: dict[int, float] = {}
    n = 6_000
    for number in range(n):
        found = explore(shown, np.array(COLD), rules, set(), SHARE, 7, f"q{number}")
        place = WITHIN_PLACES - 1
        code = int(found.shown.codes[place])
        seen[code] += 1
        total[code] = found.propensities[place]
        assert [p for i, p in enumerate(found.propensities) if i != place] == [1.0] * 6
        assert len(set(found.shown.codes.tolist())) == 7
    # 4 stands higher on the list already: only 8 and 9 can be tried, each with half of the share.
    assert total == {5: pytest.approx(0.7), 8: pytest.approx(0.15), 9: pytest.approx(0.15)}
    for code, chance in total.items():
        assert seen[code] / n == pytest.approx(chance, abs=4 * (chance * (1 - chance) / n) ** 0.5)


def test_the_same_request_and_seed_give_the_same_list_and_another_seed_others() -> None:
    assert dice(1, "q") == dice(1, "q") != dice(2, "q")
    assert all(0 <= number < 1 for key in "abcdef" for number in dice(0, key))
    rules, cold = plain_rules(), np.array(COLD)
    shown = apply_rules([Rung.of("own", [0, 1, 2])], 3, rules)
    lists = {
        seed: [explore(shown, cold, rules, set(), SHARE, seed, f"q{k}").shown.codes.tolist() for k in range(40)]
        for seed in (1, 2)
    }
    again = [explore(shown, cold, rules, set(), SHARE, 1, f"q{k}").shown.codes.tolist() for k in range(40)]
    assert lists[1] == again != lists[2]


def test_no_rule_cap_pin_or_just_bought_item_is_overruled_by_exploring() -> None:
    group = np.array([0, 0, 0, 0, 0, 0, 0, 0, 1, 1])
    capped = plain_rules(caps=((group, 3),))
    shown = apply_rules([Rung.of("own", [0, 1, 8])], 3, capped)
    for number in range(200):
        found = explore(shown, np.array([4, 9]), capped, {9}, 0.5, 0, f"q{number}")
        assert set(found.shown.codes.tolist()) <= {0, 1, 8, 4} and max(np.bincount(group[found.shown.codes])) <= 3
    pinned = plain_rules(pins=((0, 7), (1, 6)))
    shown = apply_rules([Rung.of("own", [0])], 2, pinned)
    found = explore(shown, np.array(COLD), pinned, set(), 0.5, 0, "q")
    assert found.share == 0 and found.propensities == (1.0, 1.0), "only pins: nothing may be drawn"
    shown = apply_rules([Rung.of("own", [0])], 1, plain_rules())
    assert explore(shown, np.array([8]), plain_rules(), {8}, 0.5, 0, "q").share == 0


@pytest.fixture
def exploring(house: House) -> House:
    write_small_release(house.home / "releases", "r2", cold=COLD)
    assert house.runtime.look()
    place = house.runtime.place
    settings = ServingSettings(explore_share=SHARE)
    object.__setattr__(place, "settings", settings)
    return house


def asked(house: House, role: str = "app", n: int = 120, **body: Any) -> list[dict[str, Any]]:
    body = {"member_id": "m01", "list": "new", "n": 3} | body
    answers = [house.ask(role, "POST", "/v1/recommendations", json=body).json() for _ in range(n)]
    house.runtime.journal.flush()
    return answers


def test_the_app_sees_new_items_as_often_as_the_log_says(exploring: House) -> None:
    answers = asked(exploring)
    explored = [a for a in answers if any(item["rung"] == "explore" for item in a["items"])]
    assert 15 < len(explored) < 60
    assert {item["item_id"] for a in explored for item in a["items"] if item["rung"] == "explore"} == {
        "i4",
        "i8",
        "i9",
    }
    assert all("propensit" not in json.dumps(a) for a in answers)
    log = exploring.ledger.exposures(NOW.date().replace(day=3)).set_index("request_id")
    for answer in answers:
        row = log.loc[answer["request_id"]]
        assert row["items"] == [item["item_id"] for item in answer["items"]]
        assert row["rungs"] == [item["rung"] for item in answer["items"]]
        tried = row["rungs"][2] == "explore"
        assert row["propensities"] == pytest.approx([1.0, 1.0, SHARE / 3 if tried else 1 - SHARE])
        assert (row["explore_share"], row["role"], row["model"]) == (SHARE, "app", "popularity:1")


def test_what_a_rule_filters_is_never_tried(exploring: House) -> None:
    rules = {"only": {"not": {"is": ["item_id", "i4", "i9"]}}}
    exploring.ask("operator", "PUT", "/v1/rules", json={"rules": {"recommendations": rules}})
    tried = {i["item_id"] for a in asked(exploring, n=60) for i in a["items"] if i["rung"] == "explore"}
    assert tried == {"i8"}
    exploring.ask("operator", "PUT", "/v1/rules", json={"rules": {"recommendations": {}}})
    assert {i["item_id"] for a in asked(exploring, n=60) for i in a["items"] if i["rung"] == "explore"} - {"i8"}


@pytest.mark.parametrize(
    "how",
    [{"personalised": False}, {"list": "again"}, {"member_id": "nobody"}, {"member_id": None, "basket": ["i1"]}],
)
def test_nothing_is_tried_where_the_list_is_not_the_members_own(exploring: House, how: dict[str, Any]) -> None:
    answers = asked(exploring, n=25, **how)
    assert not any(item["rung"] == "explore" for a in answers for item in a["items"])
    log = exploring.ledger.exposures(NOW.date().replace(day=3))
    assert (log["explore_share"] == 0).all() and all(p == 1 for row in log["propensities"] for p in row)


def test_a_guide_is_shown_no_experiment(exploring: House) -> None:
    assert not any(item["rung"] == "explore" for a in asked(exploring, "guide", n=25) for item in a["items"])


def test_a_share_out_of_range_is_refused() -> None:
    with pytest.raises(InputError, match=r"serving\.explore_share: expected a share between 0 and 0\.5"):
        ServingSettings(explore_share=0.9)


def test_a_release_from_before_items_were_counted_explores_nothing(house: House, tmp_path: Path) -> None:
    folder = write_small_release(tmp_path, "old", cold=COLD)
    manifest = json.loads((folder / "manifest.json").read_text())
    for name in ("sold", "sellable", "cycle_days", "own_at", "own"):
        (folder / f"items/{name}.npy").unlink()
        del manifest["files"][f"items/{name}.npy"]
    (folder / "manifest.json").write_text(json.dumps(manifest))
    from serving.releases import load_served

    served = load_served(folder)
    assert not len(served.cold_items) and served.release.items.owned(0).tolist() == []
