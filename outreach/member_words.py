"""A member's own numbers in, the sentences of the member's card out: Chinese first, English beside, never a probability."""

import datetime as dt
from collections.abc import Mapping, Sequence

# Less than this in logit(churn) is not worth a sentence: a tenth moves .50 to .525.
LEAST_TOLD = 0.1
# A member's reasons are read at a glance: never more than these.
MOST_REASONS = 3
# A group of training.reasons -> the facts of the member's rhythm that it is told with. Money is not among them: not
# every role that sees reasons may see what a member spends.
FACTS_OF: Mapping[str, tuple[str, ...]] = {"last_visit": ("RECENCY", "RHYTHM"), "frequency": ("FREQUENCY",)}
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
    "high": ("近期不太会回来", "not expected back soon"),
}
# Said of the medium band where the member is not late by the own rhythm.
OPEN = ("近期会不会来还说不准", "may or may not be back soon")
# Said of the high band only where the member is silent beyond the own rhythm: the band itself knows the horizon alone.
SILENT_FOR_LONG = ("很久没来，需要关心", "silent for long, needs care")
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
    "not_enough_data": ("数据还少，不估计日期", "too little data so far, no date is given"),
    "window_passed": (
        "预计的日期已经过去，暂无新的估计",
        "the expected dates have passed, no new ones are known yet",
    ),
}


def stage_words(code: str | None) -> dict[str, str] | None:
    """A lifecycle stage in words."""
    return None if code is None else _pair(STAGES.get(code, (code, code)))


def churn_words(
    band: str | None,
    days: float | None,
    own_gap: float | None,
    usual_gap: float | None,
    visits: float | None,
    *,
    horizon_days: int | None = None,
) -> dict[str, str]:
    """How the member stands against their own rhythm.

    days: since the last purchase; own_gap: the member's own mean days between purchases, None before the second one;
    usual_gap: those of members like this; visits: purchases so far; horizon_days: what the band looks ahead. All as of
    the release.
    """
    if band is None or days is None:
        return {"zh": "还没有购买记录", "en": "no purchase so far"}
    zh, en = _band_words(band, days, own_gap, horizon_days)
    if visits is not None and visits < 2:
        return {"zh": f"{zh}：只买过1次，{days:.0f}天前", "en": f"{en}: one purchase, {days:.0f} days ago"}
    rhythm = _rhythm_words(own_gap, usual_gap)
    if rhythm is None:
        return {"zh": f"{zh}：上次购买{days:.0f}天前", "en": f"{en}: last purchase {days:.0f} days ago"}
    late = _is_late(days, own_gap)
    return {
        "zh": f"{zh}：一般每{own_gap:.0f}天来一次，这次已经{days:.0f}天没来"
        if late
        else f"{zh}：{rhythm[0]}，上次购买{days:.0f}天前",
        "en": f"{en}: {rhythm[1]}, now {days:.0f} days since the last",
    }


def window_words(
    low: dt.date | None,
    median: dt.date | None,
    high: dt.date | None,
    null_reason: str | None,
    longest_days: int | None = None,
) -> dict[str, str]:
    """When the member would come, if they come. longest_days: how far ahead a return was looked for."""
    if low is None or median is None or high is None:
        if null_reason == "return_unlikely" and longest_days is not None:
            return {
                "zh": f"{longest_days}天内回来的可能较小，不估计日期",
                "en": f"a return within {longest_days} days is unlikely, no date is given",
            }
        return _pair(_NO_WINDOW.get(null_reason or "", ("暂时无法估计日期", "no date can be given yet")))
    return {
        "zh": f"如果再来，多半在{_zh(low)}到{_zh(high)}之间，最可能在{_zh(median)}前后",
        "en": f"if they come back, most likely {low:%d %b} to {high:%d %b}, around {median:%d %b}",
    }


def rhythm_reasons(
    days: float | None, own_gap: float | None, usual_gap: float | None, visits: float | None
) -> list[dict[str, str]]:
    """Plain facts of the member's rhythm, each from the member's own numbers as `churn_words` takes them."""
    reasons = []
    if days is not None:
        reasons.append(
            {"code": "RECENCY", "zh": f"上次购买{days:.0f}天前", "en": f"last purchase {days:.0f} days ago"}
        )
    if visits is not None and visits > 0:
        reasons.append({"code": "FREQUENCY", "zh": f"共来过{visits:.0f}次", "en": f"{visits:.0f} visits so far"})
    rhythm = _rhythm_words(own_gap, usual_gap)
    if rhythm is not None and visits is not None and visits > 0:
        reasons.append({"code": "RHYTHM", "zh": rhythm[0], "en": rhythm[1]})
    return reasons


def model_reasons(
    weighed: Sequence[tuple[Mapping[str, str], float]],
    facts: Sequence[Mapping[str, str]] = (),
    most: int = MOST_REASONS,
) -> list[dict[str, str]]:
    """The weightiest groups of a member's numbers and the way they point; what hardly moves the score is not said.

    weighed: (code, zh, en) of a group and what it adds to logit(churn); facts: `rhythm_reasons`, told with the group
    that they belong to.
    """
    told = []
    for group, part in list(weighed)[:most]:
        if abs(part) < LEAST_TOLD:
            continue
        own = [fact for fact in facts if fact["code"] in FACTS_OF.get(group["code"], ())]
        zh, en = ("，".join(fact["zh"] for fact in own), ", ".join(fact["en"] for fact in own))
        told.append(
            {
                "code": group["code"],
                "zh": f"{group['zh']}{f'（{zh}）' if zh else ''}：{'可能不再来' if part > 0 else '可能会再来'}",
                "en": f"{group['en']}{f' ({en})' if en else ''}: "
                f"{'speaks for staying away' if part > 0 else 'speaks for coming back'}",
            }
        )
    return told


def telling_reasons(
    weighed: Sequence[tuple[Mapping[str, str], float]], facts: Sequence[dict[str, str]], most: int = MOST_REASONS
) -> list[dict[str, str]]:
    """At most `most` reasons: the model's, the weightiest first, then facts that none of them has told yet."""
    told = model_reasons(weighed, facts, most)
    spent = {code for reason in told for code in FACTS_OF.get(reason["code"], ())}
    return [*told, *(fact for fact in facts if fact["code"] not in spent)][:most]


def _is_late(days: float, own_gap: float | None) -> bool:
    """Whether the last purchase is longer ago than the member's own mean gap, both as they are told."""
    return own_gap is not None and round(days) > round(own_gap)


def _band_words(band: str, days: float, own_gap: float | None, horizon_days: int | None) -> tuple[str, str]:
    late = _is_late(days, own_gap)
    if band == "medium" and not late:
        return OPEN
    if band == "high":
        if late:
            return SILENT_FOR_LONG
        if horizon_days is not None:
            return f"近{horizon_days}天内不太会回来", f"not expected back within {horizon_days} days"
    return BANDS.get(band, (band, band))


def _rhythm_words(own_gap: float | None, usual_gap: float | None) -> tuple[str, str] | None:
    """How often the member comes, or members like this where the member has no rhythm yet."""
    if own_gap is not None:
        return f"平时约{own_gap:.0f}天来一次", f"usually every {own_gap:.0f} days"
    if usual_gap is not None:
        return f"同类会员一般每{usual_gap:.0f}天来一次", f"members like this usually every {usual_gap:.0f} days"
    return None


def _pair(words: tuple[str, str]) -> dict[str, str]:
    return {"zh": words[0], "en": words[1]}


def _zh(day: dt.date) -> str:
    return f"{day.month}月{day.day}日"
