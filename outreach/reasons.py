"""Every sentence a guide or a member reads, Chinese first and English beside; evidence in, words out.

Each number in a sentence is a value of the evidence, and the evidence is the member's own row: nothing else is said.
No sentence names a price, a discount or a probability.
"""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Reason:
    """One reason code: the task kind it makes, what the guide reads and a draft the guide may send."""

    code: str
    kind: str
    zh: str
    en: str
    draft_zh: str
    draft_en: str


# {days} since the last purchase, {cycle} the member's usual days between purchases, {visits} purchases so far,
# {joined} days since registration, {birthday} days to the birthday, {expires} days to a coupon's end, {silent} days
# since the last contact, {item} the first suggestion.
_ALL = (
    Reason(
        "URGED",
        "hq_campaign",
        "总部加急任务。上次购买{days}天前，共来过{visits}次，请先看活动说明再联系。",
        "Urgent task from headquarters. Last purchase {days} days ago, {visits} so far: read the note first.",
        "您好，有一件门店的事想跟您说一声，方便的时候回我就好。",
        "Hello, there is something from the store I would like to tell you; reply whenever it suits you.",
    ),
    Reason(
        "BIRTHDAY",
        "birthday",
        "{birthday}天后生日，先送祝福，不急着推荐商品。",
        "Birthday in {birthday} days: send your wishes first, no need to suggest anything.",
        "您的生日快到了，提前祝您生日快乐！",
        "Your birthday is coming up: my best wishes in advance!",
    ),
    Reason(
        "NEW",
        "lead_first_order",
        "{joined}天前新入会，还没首单。自我介绍，了解需求{suggest}。",
        "Joined {joined} days ago, no first order yet: introduce yourself and ask what they need{suggest}.",
        "您好，我是您的专属导购，想了解您平时喜欢什么，有需要随时找我。",
        "Hello, I am your guide at the store. Tell me what you like, and ask me anything.",
    ),
    Reason(
        "CARE",
        "post_sale_care",
        "{days}天前刚购买，回访是否合适、怎么使用和保养。本次不推销。",
        "Bought {days} days ago: ask whether all is well and how to use and care for it. No selling this time.",
        "您好，前几天买的用着还合适吗？有任何问题随时告诉我。",
        "Hello, is what you bought the other day all right? Tell me if anything is not.",
    ),
    Reason(
        "TOUCH",
        "care_A_tier",
        "重要会员，{silent_zh}没有联系过。简单问候，听听近况，不推销。",
        "Valued member, {silent_en}: a short greeting, no selling.",
        "您好，好久没问候您了，最近都好吗？",
        "Hello, it has been a while since I last said hello. How are you?",
    ),
    Reason(
        "COUPON",
        "coupon_expiring",
        "有一张券{expires}天后到期，提醒一下即可{suggest}。",
        "A coupon runs out in {expires} days: a reminder will do{suggest}.",
        "您好，提醒您有一张券快到期了，别忘了用。",
        "Hello, just a reminder that one of your coupons is about to run out.",
    ),
    Reason(
        "LAPSED_VIP",
        "sleeping_wakeup",
        "重要会员{days}天没来了，平时约{cycle}天来一次。以问候为主，不急着推销{new}。",
        "Valued member, silent for {days} days against a usual {cycle}: greet, do not push{new}.",
        "您好，好久没见到您了，最近都好吗？有空来坐坐。",
        "Hello, we have not seen you for a while. How are you? Drop in when you have time.",
    ),
    Reason(
        "RISK",
        "churn_risk",
        "购买间隔变长：{days}天没来，平时约{cycle}天来一次。先了解是否有不满意{suggest}。",
        "The gap is growing: {days} days against a usual {cycle}. Ask whether something went wrong{suggest}.",
        "您好，好久没见，之前买的还满意吗？有什么意见欢迎告诉我。",
        "Hello, it has been a while. Were you happy with what you bought? Tell me if not.",
    ),
    Reason(
        "ASLEEP",
        "sleeping_wakeup",
        "{days}天前买过一次，之后没再来。以问候为主，不急着推销{new}。",
        "One purchase, {days} days ago, and silent since: greet, do not push{new}.",
        "您好，好久没见到您了，最近都好吗？有需要随时找我。",
        "Hello, we have not seen you for a while. How are you? Ask me anything you need.",
    ),
    Reason(
        "SECOND",
        "second_purchase",
        "{days}天前第一次购买，还没有第二次。问问使用感受{suggest}。",
        "First purchase {days} days ago and none since: ask how it was{suggest}.",
        "您好，第一次买的用得还好吗？想听听您的感受。",
        "Hello, how do you like what you first bought? I would love to hear.",
    ),
    Reason(
        "DUE",
        "due_repurchase",
        "上次购买{days}天前，平时约{cycle}天买一次，正是回购的时候。先问使用感受{suggest}。",
        "Bought {days} days ago, usually every {cycle}: about time again. Ask how it works out{suggest}.",
        "您好，上次买的用得怎么样？快用完了可以告诉我，我帮您留意。",
        "Hello, how is what you bought last time? Tell me when it runs low and I will look after it.",
    ),
    Reason(
        "KEEP",
        "relationship",
        "{days}天前来过，共来过{visits}次，平时约{cycle}天一次。保持联系，轻松问候{suggest}。",
        "Came {days} days ago, {visits} times so far, usually every {cycle}: stay in touch{suggest}.",
        "您好，最近天气变化大，注意身体，有需要随时找我。",
        "Hello, take care in this changing weather, and ask me anything you need.",
    ),
    Reason(
        "UPLIFT",
        "relationship",
        "近期联系后常有回应的类型，上次购买{days}天前。正常问候{suggest}。",
        "Members like this one answer well to a word; last purchase {days} days ago. Greet{suggest}.",
        "您好，最近店里上了一些新东西，有空可以看看。",
        "Hello, some new things came in at the store; have a look when you like.",
    ),
    Reason(
        "EXPLORE",
        "greeting",
        "随机问候名额，上次购买{days}天前。正常问候即可{suggest}。",
        "A greeting drawn at random; last purchase {days} days ago. A normal hello will do{suggest}.",
        "您好，好久没联系了，祝您一切都好。",
        "Hello, it has been a while, all the best to you.",
    ),
)
REASON_TEXTS: dict[str, Reason] = {reason.code: reason for reason in _ALL}
TASK_KINDS: tuple[str, ...] = tuple(dict.fromkeys(reason.kind for reason in _ALL))

EXCLUSION_WORDS: dict[str, tuple[str, str]] = {
    "staff": ("本店员工", "staff"),
    "wholesale": ("批发客户", "wholesale buyer"),
    "deregistered": ("已注销或冻结", "deregistered or frozen"),
    "minor": ("未成年人", "under 18"),
    "no_guide": ("没有在岗导购", "no guide at work"),
    "holdout": ("长期对照组，用来衡量效果", "held out to measure the effect"),
    "not_friend": ("不是好友", "not a friend"),
    "no_consent": ("未同意营销联系", "no consent to marketing"),
    "opted_out": ("关闭了个性化推荐", "opted out of personalisation"),
    "do_not_contact": ("要求不再联系", "asked not to be contacted"),
    "open_case": ("有投诉或退货在处理", "a complaint or return is open"),
    "quiet_day": ("今天不打扰", "a quiet day"),
    "just_bought": ("刚刚购买", "has just bought"),
    "gap": ("距上次联系太近", "contacted too recently"),
    "contacts_30d": ("30天内联系次数已满", "enough contacts in 30 days"),
    "touches_30d": ("30天内触达次数已满", "enough touches in 30 days"),
    "cool_off": ("近期拒绝过", "refused lately"),
    "no_purchase": ("还没有购买", "has not bought yet"),
    "below_floor": ("预计收益低于联系成本", "expected gain is below the cost of a contact"),
}


def sentences(code: str, evidence: Mapping[str, int], item: str | None) -> tuple[str, str]:
    """(Chinese, English) of a reason, from the member's own numbers and the title of the first suggestion."""
    reason = REASON_TEXTS[code]
    quiet_zh = f"{evidence['silent']}天" if "silent" in evidence else "一直"
    quiet_en = f"no contact for {evidence['silent']} days" if "silent" in evidence else "never contacted so far"
    zh = reason.zh.format(
        **evidence,
        suggest=f"，再推荐「{item}」" if item else "",
        new=f"，可告知「{item}」" if item else "",
        silent_zh=quiet_zh,
    )
    en = reason.en.format(
        **evidence,
        suggest=f', then suggest "{item}"' if item else "",
        new=f'; you may mention "{item}"' if item else "",
        silent_en=quiet_en,
    )
    return zh, en
