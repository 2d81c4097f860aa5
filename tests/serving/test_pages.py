"""What the pages show, without a browser: words in both languages, and nothing that contradicts itself."""

import datetime as dt
import re

import pytest

from outreach.reasons import REASON_TEXTS
from serving.pages import words
from serving.pages.render import NO_SELLING, OTHERS, render

DAY = dt.date(2026, 3, 2)
TASK = {
    "task_id": "T1",
    "member_id": "m01",
    "display_name": "王*",
    "state": "pending",
    "outcome_event_id": None,
    "tier": "A",
    "stage": "活跃",
    "reason": {"zh": "回访。", "en": "A visit."},
    "reason_code": "CARE",
    "draft": {"zh": "您好", "en": "Hello"},
    "suggestions": [{"item_id": "i1", "title": "面霜", "why": {"zh": "到期复购", "en": "Due again"}}],
    "channels": ["wecom_1v1", "call_human"],
    "last_purchase": "2026-02-27",
    "last_contact": None,
}


@pytest.mark.parametrize("language", words.LANGUAGES)
def test_items_wait_for_a_question_where_the_reason_says_not_to_sell(language: str) -> None:
    asked = words.LABELS["if_asked"][words.LANGUAGES.index(language)]
    for code in ("CARE", "RISK"):
        html = render("task.html", language, DAY, task=TASK | {"reason_code": code})
        assert "面霜" in html and (asked in html) == (code in NO_SELLING)


def test_every_reason_that_says_not_to_sell_is_known_to_the_page() -> None:
    quiet = {code for code, reason in REASON_TEXTS.items() if re.search("不推销|不急着推荐", reason.zh)}
    assert quiet == set(NO_SELLING)


def test_every_outcome_has_a_button_and_a_word() -> None:
    shown = re.findall(r'data-outcome="(\w+)"', render("task.html", "zh", DAY, task=TASK))
    assert sorted(shown) == sorted({"sent", "no_answer", "snoozed", *OTHERS}) == sorted(words.OUTCOMES)
