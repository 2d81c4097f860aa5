"""The judge: figures with pairs and intervals, the same again for the same seeds, refusals by name."""

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from features.errors import InputError
from huitou.cli import main
from huitou.judge import interval, judge, open_book
from outreach.policy import Drawn
from simulator.world import World
from simulator.world_file import WorldParameters, read_world


@pytest.fixture(scope="module")
def world() -> WorldParameters:
    changes = {"world.members": 1200, "world.guides": 4, "world.capacity": 6, "world.burn_in_days": 200}
    return read_world("footwear-due", changes)


def test_figures_pairs_and_shares_fit_together(world: WorldParameters) -> None:
    result = judge(world, ["cold", "random", "blast"], days=40, seeds=2)
    assert set(result["policies"]) == {"none", "cold", "random", "blast", "oracle"}
    for row in result["policies"].values():
        for figure in ("net_yuan", "share_of_oracle", "revenue_lift", "friends_lost_pp", "contacts"):
            assert row[figure]["low"] <= row[figure]["value"] <= row[figure]["high"]
    net = {name: row["net_yuan"]["value"] for name, row in result["policies"].items()}
    assert net["none"] == 0 and result["policies"]["oracle"]["share_of_oracle"]["value"] == pytest.approx(1)
    assert result["paired"]["cold"]["random"]["net_yuan"]["value"] == pytest.approx(net["cold"] - net["random"])
    assert net["oracle"] > net["random"] and net["blast"] < 0
    assert result["policies"]["blast"]["contacts"]["value"] > 3 * result["policies"]["cold"]["contacts"]["value"]


def test_the_same_seeds_give_the_same_figures_and_a_log_changes_the_start(world: WorldParameters) -> None:
    once = judge(world, ["cold"], days=20, seeds=1)
    assert judge(world, ["random", "cold"], days=20, seeds=1)["policies"]["cold"] == once["policies"]["cold"]
    assert judge(world, ["cold"], days=20, seeds=1, log_days=5)["none"] != once["none"]
    assert once["policies"]["cold"]["net_yuan"]["low"] is None


def test_a_book_never_holds_a_truth(world: WorldParameters) -> None:
    made = World(world, 0)
    book = open_book(made)
    hidden = {"affinity", "dog", "active", "cycle", "lapse", "unfollow_factor", "since"}
    assert not hidden & set(vars(book))
    assert not np.shares_memory(book.friend, made.friend)
    # A member's own mean gap is not what the book says of it: it must be worked out from orders.
    assert not np.allclose(book.days_since(), made.cycle)


def test_unknown_policies_and_bad_counts_are_refused(world: WorldParameters) -> None:
    with pytest.raises(InputError, match=r"policy: unknown \['best'\]; known are \['none', 'random'"):
        judge(world, ["best"])
    with pytest.raises(InputError, match="seeds: expected at least 1, found 0"):
        judge(world, ["cold"], seeds=0)


def test_an_interval_needs_two_seeds() -> None:
    assert interval(np.array([1.0])) == {"value": 1.0, "low": None, "high": None}
    assert interval(np.array([np.nan])) == {"value": None, "low": None, "high": None}
    low = interval(np.array([1.0, 3.0]))["low"]
    assert low is not None and low < 1


def test_the_verb_writes_the_json_and_refuses_in_one_line(tmp_path: Path) -> None:
    out = tmp_path / "judged.json"
    words = ["judge", "--world", "beauty", "--policy", "cold", "--days", "5", "--seeds", "1", "--out", str(out)]
    small = ["--set", "world.members=400", "--set", "world.guides=2", "--set", "world.burn_in_days=150"]
    done = CliRunner().invoke(main, words + small)
    assert done.exit_code == 0 and f"wrote {out}" in done.output
    assert set(json.loads(out.read_text())["policies"]) == {"none", "cold", "oracle"}
    wrong = CliRunner().invoke(main, [*words, "--set", "world.size=3"])
    assert wrong.exit_code == 2 and "unknown keys ['size']" in wrong.output
    assert CliRunner().invoke(main, [*words, "--set", "world.size"]).exit_code == 2


def test_exploring_lists_are_logged_with_honest_chances(world: WorldParameters) -> None:
    from dataclasses import replace

    from huitou.judge import live, rhythm_of
    from outreach.policy import explorer
    from outreach.settings import ContactSettings

    made = World(world, 0)
    book = open_book(made)
    settings = replace(ContactSettings(), margin=0.5)
    scout: Drawn = explorer(settings, 0)
    live(made, book, scout, rhythm_of(book), settings, 20, 0)
    assert scout.diary is not None and len(scout.diary.pages) == 20
    listed = np.concatenate([page.listed for page in scout.diary.pages])
    chance = np.concatenate([page.propensity for page in scout.diary.pages])
    share = np.concatenate([page.kept_share for page in scout.diary.pages])
    assert listed.sum() == pytest.approx(20 * 24, abs=30)
    # Horvitz–Thompson: the rows weighted back give the number listed, within what one draw allows.
    assert (chance / np.where(listed, 1.0, share)).sum() == pytest.approx(listed.sum(), rel=0.1)
