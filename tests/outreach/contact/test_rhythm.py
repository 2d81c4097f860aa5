"""The rhythm: P(lapsed) and the cycle are what they claim to be, however the orders are entered, and contacts count."""

import numpy as np
import pytest

from huitou.judge import open_book
from outreach.book import Book, rhythm_of
from outreach.policy import Morning
from outreach.rhythm import Outlook, Rhythm
from outreach.rhythm_filter import RhythmFilter
from outreach.settings import ContactSettings
from simulator.world import World
from simulator.world_file import read_world

RHYTHM = Rhythm(np.array([7.0, 30.0, 120.0]), np.array([0.3, 0.4, 0.3]), 2, 1 / 500)


def seen(days: list[int], today: int, contacts: tuple[int, ...] = (), begins: int = 0) -> Outlook:
    """The outlook of one member who bought on these days."""
    one = RhythmFilter(RHYTHM, begins, 1)
    events = sorted([(day, 0) for day in contacts] + [(day, 1) for day in days])
    for day, bought in events:
        if bought:
            one.buy(np.array([day]), np.array([0]))
        else:
            one.contact(day, np.array([0]), np.array([0.5]))
    return one.outlook(today, 7, stake_days=120.0, stake_max=20.0)


@pytest.fixture(scope="module")
def made() -> tuple[World, Book]:
    world = World(read_world("beauty", {"world.members": 4000}), 105)
    return world, open_book(world)


def test_the_chance_to_have_lapsed_is_calibrated_and_tells_members_apart(made: tuple[World, Book]) -> None:
    world, book = made
    standing = Morning(book, rhythm_of(book), ContactSettings(), 0).standing
    lapsed = ~world.active
    for rows in np.array_split(np.argsort(standing.churn), 5):
        assert standing.churn[rows].mean() == pytest.approx(lapsed[rows].mean(), abs=0.09)
    once = book.visits == 1
    assert standing.churn[once].mean() == pytest.approx(lapsed[once].mean(), abs=0.12)
    p = np.clip(standing.churn, 1e-4, 1 - 1e-4)
    share = lapsed.mean()
    loss = -np.mean(np.where(lapsed, np.log(p), np.log(1 - p)))
    assert loss < 0.55 * -(share * np.log(share) + (1 - share) * np.log(1 - share))
    assert np.corrcoef(np.log(standing.cycle_days), np.log(world.cycle))[0, 1] > 0.85


def test_orders_day_by_day_and_all_at_once_give_the_same_weights(made: tuple[World, Book]) -> None:
    _, book = made
    day, member, _ = book.past_orders()
    rhythm = rhythm_of(book)
    whole, daily = (RhythmFilter(rhythm, book.begins, len(book)) for _ in range(2))
    whole.history(day, member)
    for one in np.unique(day):
        daily.buy(day[day == one], member[day == one])
    np.testing.assert_allclose(whole.active, daily.active, atol=1e-12)
    np.testing.assert_allclose(whole.lapsed, daily.lapsed, atol=1e-12)
    assert np.allclose(whole.active.sum(1) + whole.lapsed.sum(1), 1.0)


def test_one_purchase_after_long_silence_does_not_make_a_weekly_buyer_a_slow_one() -> None:
    weekly = list(range(0, 70, 7))
    again = seen([*weekly, 300], 330)
    assert again.cycle_days[0] < 12 and again.active[0] < 0.2
    assert seen(weekly, 66).active[0] > 0.95 and seen(weekly, 200).active[0] < 0.02


def test_contacts_may_have_won_a_silent_member_back_for_a_while() -> None:
    weekly = list(range(0, 70, 7))
    alone, asked, long_ago = seen(weekly, 120), seen(weekly, 120, (118,)), seen(weekly, 120, (80,))
    assert alone.active[0] < long_ago.active[0] < asked.active[0] < 0.2
    # Who comes back after a contact is back, who comes back of no reason may only have dropped by.
    assert seen([*weekly, 120], 122, (117,)).active[0] > seen([*weekly, 120], 122).active[0] + 0.2


def test_who_bought_before_the_data_begin_was_a_customer_when_they_began() -> None:
    known, never = seen([-100], 20, begins=0), seen([-100], 20, begins=-100)
    assert known.active[0] > never.active[0]


def test_a_copied_book_goes_its_own_way(made: tuple[World, Book]) -> None:
    _, book = made
    rhythm = rhythm_of(book)
    book.follow(rhythm)
    twin = book.copy()
    nobody = np.zeros(0, dtype=np.int64)
    buyers = np.arange(50)
    before = book.follow(rhythm).active.copy()
    twin.write(0, buyers, np.full(50, 100.0), nobody, nobody)
    assert not np.allclose(twin.follow(rhythm).active[:50], before[:50])
    np.testing.assert_array_equal(book.follow(rhythm).active, before)
