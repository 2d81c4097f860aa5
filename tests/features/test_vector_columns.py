"""The columns and festivals: documented, current, and free of what must not be there."""

from datetime import date
from pathlib import Path

import pytest

from features.errors import InputError
from features.festivals import festivals, festive_days, next_festival
from features.purchases import day_of
from features.vector_names import NAMES
from features.vector_page import vector_page
from features.vectors import COLUMNS, ZERO_WHEN_COLD

ROOT = Path(__file__).parents[2]


def test_the_page_of_member_vectors_is_what_the_code_says() -> None:
    assert (ROOT / "docs" / "member-vectors.md").read_text("utf-8") == vector_page()


def test_there_are_sixty_to_a_hundred_columns_over_every_family() -> None:
    assert 60 <= len(COLUMNS) <= 100
    wanted = {
        "rhythm",
        "spend",
        "breadth",
        "trend",
        "returns",
        "calendar",
        "tenure",
        "channels",
        "behaviours",
        "touches",
    }
    assert wanted | {"coupons"} <= {c.family for c in COLUMNS}
    assert set(ZERO_WHEN_COLD) < {c.name for c in COLUMNS}


@pytest.mark.parametrize(
    "word", ["face", "threshold", "discount", "price", "elastic", "willing", "device", "coupon_used"]
)
def test_no_column_describes_willingness_to_pay(word: str) -> None:
    assert not [c.name for c in COLUMNS if word in c.name or word in c.meaning.lower()]


def test_the_next_festival_is_on_or_after_the_day() -> None:
    spring = next_festival(date(2025, 1, 29), ("spring_festival",))
    assert spring is not None and spring.day == date(2025, 1, 29)
    after = next_festival(date(2025, 1, 30), ("spring_festival",))
    assert after is not None and after.day == date(2026, 2, 17)


def test_beyond_the_years_of_the_file_there_is_no_next_festival() -> None:
    assert next_festival(date(2099, 1, 1)) is None
    assert next_festival(date(2009, 6, 1)) is None


def test_an_unknown_festival_is_refused_with_the_known_ones() -> None:
    with pytest.raises(InputError, match=r"no such festival \['easter'\]; known are .*mid_autumn"):
        next_festival(date(2025, 1, 1), ("easter",))


def test_festive_days_are_the_festival_and_the_days_before_it() -> None:
    days = festive_days(date(2025, 12, 1), date(2025, 12, 12))
    assert days == [day_of(date(2025, 12, d)) for d in range(7, 13)]


def test_every_year_of_the_file_has_every_festival_once() -> None:
    names = {f.name for f in festivals()}
    for year in range(2019, 2032):
        assert sorted(f.name for f in festivals() if f.day.year == year) == sorted(names)


def test_the_light_list_of_names_is_that_of_the_columns() -> None:
    assert list(NAMES) == [column.name for column in COLUMNS]
