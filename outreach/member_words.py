"""A member's own numbers in, the sentences of the member's card out: Chinese first, English beside, never a probability."""

import datetime as dt
from collections.abc import Mapping, Sequence

# Less than this in logit(churn) is not worth a sentence: a tenth moves .50 to .525.
LEAST_TOLD = 0.1
# A stage as training.stages names it -> (Chinese, English). A stage that is not here is shown as it is.
STAGES: Mapping[str, tuple[str, str]] = {
    "潜客": ("潜客", "not yet a buyer"),
    "新客": ("新客", "new"),
    "活跃": ("活跃", "active"),
    "沉默": ("沉默", "quiet"),
    "睡眠": ("睡眠", "sleeping"),
    "流失": ("流失", "gone"),
    "回流": ("回流", "back again"),
}
BANDS: Mapping[str, tuple[str, str]] = {
    "low": ("购买节奏正常", "in rhythm"),
    "medium": ("节奏放慢，值得留意", "slowing down, worth a look"),
    "high": ("很久没来，需要关心", "silent for long, needs care"),
}
OUTCOMES: Mapping[str, tuple[str, str]] = {
    "sent": ("已联系", "Contacted"),
    "replied": ("有回复", "Replied"),
    "appointment": ("已约到店", "Appointment"),
    "visited": ("已到店", "Visited"),
    "ordered": ("已下单", "Ordered"),
    "no_answer": ("没接通", "No answer"),
    "snoozed": ("稍后再说", "Later"),
    "not_suitable": ("暂不合适", "Not suitable"),
    "refused": ("本次拒绝", "Refused"),
    "do_not_contact": ("不要再联系", "Do not contact"),
    "wrong_person": ("不是本人", "Wrong person"),
    "unfriended": ("已删好友", "Unfriended"),
    "complaint": ("有投诉", "Complaint"),
    "skipped": ("跳过", "Skipped"),
}
REMOVED: Mapping[str, tuple[str, str]] = {
    "do_not_contact": ("要求不再联系", "asked not to be contacted"),
    "complaint": ("有投诉在处理", "a complaint is open"),
    "wrong_person": ("不是本人", "wrong person"),
    "unfriended": ("已不是好友", "no longer a friend"),
    "service_refused": ("停止使用服务", "left the service"),
    "opted_out": ("关闭了个性化推荐", "opted out of personalisation"),
    "no_consent": ("未同意营销联系", "no consent to marketing"),
    "refused": ("近期拒绝过", "refused lately"),
    "snoozed": ("已推迟", "put off"),
    "not_suitable": ("暂不合适", "not suitable now"),
    "bought_since": ("已经来买过了", "has bought since"),
    "contacted_by_other": ("其他导购已联系", "another guide made contact"),
}
_NO_WINDOW: Mapping[str, tuple[str, str]] = {
    "no_purchase": ("还没有购买记录，暂不估计", "no purchase so far, nothing to estimate"),
    "return_unlikely": ("回来的可能较小，不估计日期", "a return is unlikely, no date is given"),
}


def stage_words(code: str | None) -> dict[str, str] | None:
    """A lifecycle stage in words."""
    return None if code is None else _pair(STAGES.get(code, (code, code)))


def churn_words(band: str | None, days: float | None, cycle: float | None, visits: float | None) -> dict[str, str]:
    """How the member stands against their own rhythm.

    days: since the last purchase; cycle: usual days between purchases; visits: purchases so far. All as of the release.
    """
    if band is None or days is None:
        return {"zh": "还没有购买记录", "en": "no purchase so far"}
    zh, en = BANDS.get(band, (band, band))
    if visits is not None and visits < 2:
        return {"zh": f"{zh}：只买过1次，{days:.0f}天前", "en": f"{en}: one purchase, {days:.0f} days ago"}
    if cycle is None:
        return {"zh": f"{zh}：上次购买{days:.0f}天前", "en": f"{en}: last purchase {days:.0f} days ago"}
    return {
        "zh": f"{zh}：一般每{cycle:.0f}天来一次，这次已经{days:.0f}天没来",
        "en": f"{en}: usually every {cycle:.0f} days, now {days:.0f} days since the last",
    }


def window_words(
    low: dt.date | None, median: dt.date | None, high: dt.date | None, null_reason: str | None
) -> dict[str, str]:
    """When the member would come, if they come."""
    if low is None or median is None or high is None:
        return _pair(_NO_WINDOW.get(null_reason or "", ("暂时无法估计日期", "no date can be given yet")))
    return {
        "zh": f"如果再来，多半在{_zh(low)}到{_zh(high)}之间，最可能在{_zh(median)}前后",
        "en": f"if they come back, most likely {low:%d %b} to {high:%d %b}, around {median:%d %b}",
    }


def rhythm_reasons(days: float | None, cycle: float | None, visits: float | None) -> list[dict[str, str]]:
    """Plain facts of the member's rhythm, each from the member's own numbers."""
    reasons = []
    if days is not None:
        reasons.append(
            {"code": "RECENCY", "zh": f"上次购买{days:.0f}天前", "en": f"last purchase {days:.0f} days ago"}
        )
    if visits is not None and visits > 0:
        reasons.append({"code": "FREQUENCY", "zh": f"共来过{visits:.0f}次", "en": f"{visits:.0f} visits so far"})
    if cycle is not None and visits is not None and visits > 1:
        reasons.append(
            {"code": "RHYTHM", "zh": f"平时约{cycle:.0f}天来一次", "en": f"usually every {cycle:.0f} days"}
        )
    return reasons


def model_reasons(weighed: Sequence[tuple[Mapping[str, str], float]], most: int = 3) -> list[dict[str, str]]:
    """The weightiest groups of a member's numbers and the way they point; what hardly moves the score is not said.

    weighed: (code, zh, en) of a group and what it adds to logit(churn).
    """
    return [
        {
            "code": group["code"],
            "zh": f"{group['zh']}：{'可能不再来' if part > 0 else '可能会再来'}",
            "en": f"{group['en']}: {'speaks for staying away' if part > 0 else 'speaks for coming back'}",
        }
        for group, part in list(weighed)[:most]
        if abs(part) >= LEAST_TOLD
    ]


def _pair(words: tuple[str, str]) -> dict[str, str]:
    return {"zh": words[0], "en": words[1]}


def _zh(day: dt.date) -> str:
    return f"{day.month}月{day.day}日"
