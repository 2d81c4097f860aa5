"""What a guide reads of a member is true of that member's own numbers."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outreach.member_words import BANDS, churn_words, model_reasons, rhythm_reasons, telling_reasons

GROUPS = [
    ({"code": "spend", "zh": "消费金额", "en": "spend"}, 0.9),
    ({"code": "last_visit", "zh": "距上次到店与自身节奏", "en": "last visit against the own rhythm"}, -0.8),
    ({"code": "frequency", "zh": "到店次数", "en": "number of visits"}, -0.5),
    ({"code": "trend", "zh": "近期变化", "en": "recent trend"}, 0.4),
]


def test_days_after_a_purchase_on_a_slow_brand_nobody_is_silent_for_long() -> None:
    assert churn_words("high", 2, 218, 218, 5, horizon_days=60) == {
        "zh": "近60天内不太会回来：平时约218天来一次，上次购买2天前",
        "en": "not expected back within 60 days: usually every 218 days, now 2 days since the last",
    }
    assert churn_words("high", 300, 218, 218, 5, horizon_days=60)["en"].startswith("silent for long, needs care")
    assert churn_words("high", 32, 31.6, 40, 5, horizon_days=60)["en"].startswith("not expected"), "32 of 32 days"


@given(
    band=st.sampled_from(sorted(BANDS)),
    days=st.integers(0, 2_000),
    own=st.none() | st.floats(1, 1_000),
    usual=st.none() | st.floats(1, 1_000),
    visits=st.none() | st.integers(1, 90),
    horizon=st.none() | st.integers(7, 365),
)
def test_silent_for_long_is_said_only_beyond_the_own_rhythm(
    band: str, days: int, own: float | None, usual: float | None, visits: int | None, horizon: int | None
) -> None:
    said = churn_words(band, days, own, usual, visits, horizon_days=horizon)
    silent = band == "high" and own is not None and days > round(own)
    assert ("silent for long" in said["en"]) == ("很久没来" in said["zh"]) == silent


@pytest.mark.parametrize(
    ("own", "zh", "en"),
    [
        (116.0, "平时约116天来一次", "usually every 116 days"),
        (None, "同类会员一般每218天来一次", "members like this usually every 218 days"),
    ],
)
def test_a_gap_that_is_not_the_members_own_is_not_told_as_theirs(own: float | None, zh: str, en: str) -> None:
    told = {reason["code"]: reason for reason in rhythm_reasons(10, own, 218, 2)}
    assert told["RHYTHM"] == {"code": "RHYTHM", "zh": zh, "en": en}
    words = churn_words("low", 10, own, 218, 2)
    assert zh in words["zh"] and en in words["en"]


def test_the_models_reasons_carry_the_members_numbers_but_no_money() -> None:
    told = model_reasons(GROUPS, rhythm_reasons(61, 32, 40, 9))
    assert [reason["zh"] for reason in told] == [
        "消费金额：可能不再来",
        "距上次到店与自身节奏（上次购买61天前，平时约32天来一次）：可能会再来",
        "到店次数（共来过9次）：可能会再来",
    ]
    assert told[2]["en"] == "number of visits (9 visits so far): speaks for coming back"


def test_three_reasons_at_most_and_no_fact_twice() -> None:
    facts = rhythm_reasons(61, 32, 40, 9)
    assert [one["code"] for one in telling_reasons(GROUPS, facts)] == ["spend", "last_visit", "frequency"]
    assert [one["code"] for one in telling_reasons(GROUPS[1:2], facts)] == ["last_visit", "FREQUENCY"]
    assert [one["code"] for one in telling_reasons(GROUPS[:1], facts)] == ["spend", "RECENCY", "FREQUENCY"]
    assert telling_reasons([], facts) == facts
