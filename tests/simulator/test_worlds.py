"""Worlds of known truth: the files are checked, the dice are common, and too many contacts are punished."""

from dataclasses import fields
from pathlib import Path
from typing import get_type_hints

import numpy as np
import pytest

from features.errors import InputError
from simulator.world import World
from simulator.world_file import SIGNALS, Loadings, WorldParameters, parse_world, read_world, shipped_worlds

DOCS = Path(__file__).parents[2] / "docs" / "worlds.md"
SMALL = {"world.members": 800, "world.guides": 4, "world.burn_in_days": 120}
NOBODY = np.zeros(0, dtype=np.int64)


def small(name: str = "footwear-due", **changes: object) -> WorldParameters:
    return read_world(name, SMALL | {key.replace("__", "."): value for key, value in changes.items()})


def test_the_five_worlds_ship_with_the_package() -> None:
    assert shipped_worlds() == ["barely-works", "beauty", "footwear-due", "footwear-lapsed", "grocery"]
    assert all(read_world(name).world.name == name for name in shipped_worlds())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"purchases.cycle": 3}, r"purchases: unknown keys \['cycle'\]; known are \['basket_median_yuan'"),
        ({"weather.rain": 1}, r"unknown keys \['weather'\]; known are \['affinity'"),
        ({"affinity.loadings.mood": 1.0}, r"affinity.loadings: unknown keys \['mood'\]"),
        ({"response.p_max": 1.5}, r"response.p_max: expected a share between 0 and 1, found 1.5"),
        ({"world.members": 0}, r"world.members: expected a number above 0, found 0"),
        ({"world.members": "many"}, r"world.members: expected a int, found 'many'"),
        ({"response.shape": [[1, 0.5], [0, 1]]}, r"response.shape: expected knots"),
    ],
)
def test_a_wrong_key_or_value_is_refused_by_name(change: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_world("footwear-due", change)


def test_missing_keys_and_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"missing keys \['purchases', 'response'\]"):
        parse_world({"world": {"name": "x"}})
    with pytest.raises(InputError, match="not found; the shipped worlds are"):
        read_world(tmp_path / "none.toml")
    (tmp_path / "bad.toml").write_text("[world\n")
    with pytest.raises(InputError, match="not valid TOML"):
        read_world(tmp_path / "bad.toml")


def test_every_key_and_its_unit_stands_in_the_docs() -> None:
    text = DOCS.read_text(encoding="utf-8")
    for table, kind in get_type_hints(WorldParameters).items():
        assert f"### `[{table}]`" in text
        for one in fields(kind):
            assert f"| `{one.name}` |" in text and one.metadata["doc"] in text
    assert all(f"| `{name}` |" in text for name in SIGNALS) and len(fields(Loadings)) == len(SIGNALS)


def test_the_same_seed_lives_the_same_days_and_a_contact_touches_nobody_else() -> None:
    p = small(unfollow__base=0.0, response__retention=0.0)
    one, two, other = World(p, 1), World(p, 1), World(p, 2)
    assert not np.array_equal(one.past[2], other.past[2])
    listed = np.arange(0, 800, 4)
    rest = np.setdiff1d(np.arange(800), listed)
    for _ in range(15):
        a, b = one.step(NOBODY), two.step(listed)
        np.testing.assert_array_equal(np.intersect1d(a.buyers, rest), np.intersect1d(b.buyers, rest))
    assert two.contacts > 0 and one.contacts == 0


def test_a_copy_lives_on_by_itself() -> None:
    world = World(small(), 0)
    twin = world.copy()
    for _ in range(10):
        twin.step(np.arange(100))
    assert world.fatigue.sum() == 0 and world.day == 0 and world.contacts == 0


def test_contacts_bring_the_stated_purchases() -> None:
    p = small(
        world__members=20_000,
        world__burn_in_days=30,
        dogs__threshold=99.0,
        response__retention=0.0,
        response__reactivation=0.0,
    )
    with_, without = World(p, 3), World(p, 3)
    everyone = np.arange(20_000)
    anyway = 1 - np.exp(-without.hazard() * p.response.effect_days)
    promised = float((with_.added_probability() * (1 - anyway)).mean())
    bought, would = np.zeros(20_000, bool), np.zeros(20_000, bool)
    for day in range(p.response.effect_days):
        bought[with_.step(everyone if day == 0 else NOBODY).buyers] = True
        would[without.step(NOBODY).buyers] = True
    assert float(bought.mean() - would.mean()) == pytest.approx(promised, rel=0.1)


def test_a_message_every_third_day_costs_thirty_points_of_friends() -> None:
    p = small(world__members=3000)
    blast, none = World(p, 0), World(p, 0)
    for day in range(141):
        friends = np.flatnonzero(blast.friend)
        blast.step(friends[friends % 3 == day % 3] if day < 120 else NOBODY, all_done=True)
        none.step(NOBODY)
    assert none.friend.mean() - blast.friend.mean() >= 0.30


def test_guides_skip_and_cherry_pick_as_stated() -> None:
    idle = World(small(guides__skip=0.25), 0)
    assert len(idle.step(np.arange(800)).contacted) / 800 == pytest.approx(0.75, abs=0.06)
    picky = World(small(guides__cherry_pick=0.8), 0)
    contacted = picky.step(np.arange(800)).contacted
    shunned = np.setdiff1d(np.arange(800), contacted)
    activity = picky.members.signals[:, 0]
    assert activity[contacted].mean() > activity[shunned].mean() + 0.3
