"""Every label of the pages, Chinese first and English beside."""

from collections.abc import Callable, Mapping

from outreach.member_words import BANDS, OUTCOMES, REMOVED, STAGES
from outreach.reasons import EXCLUSION_WORDS

LANGUAGES = ("zh", "en")

# What a release's models answer, as the public page names it.
TASKS: Mapping[str, tuple[str, str]] = {
    "curve": ("何时再来", "When members come back"),
    "churn": ("何时再来", "When members come back"),
    "value": ("预计消费", "Expected spend"),
    "items": ("商品推荐", "Suggested items"),
}
LABELS: Mapping[str, tuple[str, str]] = {
    "answered_by_model": ("模型，第{version}版", "a model, version {version}"),
    "answered_by_rule": ("简单规则，第{version}版", "a plain rule, version {version}"),
    "app": ("回头", "Huitou"),
    "today": ("今日联系", "Contact today"),
    "switch": ("English", "中文"),
    "done_of": ("已完成 {done} / {total}", "{done} of {total} done"),
    "all_done": ("今天的名单都联系完了，辛苦了！", "Everyone on today's list is done. Thank you!"),
    "empty": ("今天没有需要联系的会员。", "Nobody needs a contact today."),
    "no_list": (
        "还没有名单。请联系店长，或明早再看。",
        "There is no list yet. Ask your manager, or look again tomorrow.",
    ),
    "waiting": ("待联系", "To do"),
    "done": ("已完成", "Done"),
    "why_suggest": ("可以聊聊", "You may mention"),
    "if_asked": ("会员问起时可以聊", "If the member asks"),
    "draft": ("消息草稿", "Draft message"),
    "copy": ("复制", "Copy"),
    "copied": ("已复制", "Copied"),
    "copy_failed": ("复制不了，请长按选择", "Could not copy; press and hold to select"),
    "more": ("其他结果", "Other outcomes"),
    "undo": ("撤销", "Undo"),
    "undone": ("已撤销", "Taken back"),
    "noted": ("已记录：{what}", "Noted: {what}"),
    "queued": ("网络不好，{n}条记录等待发送", "No connection: {n} waiting to be sent"),
    "sent_all": ("全部记录已发送", "Everything has been sent"),
    "refused_by_server": ("这条记录没有被接受：{what}", "This was not accepted: {what}"),
    "last_purchase": ("上次购买", "Last purchase"),
    "last_contact": ("上次联系", "Last contact"),
    "never": ("还没有", "never"),
    "days_ago": ("{n}天前", "{n} days ago"),
    "today_word": ("今天", "today"),
    "channels": ("可用方式", "Channels"),
    "wecom_1v1": ("企业微信", "WeCom chat"),
    "call_human": ("电话", "Call"),
    "sms": ("短信", "SMS"),
    "store_visit": ("到店", "In store"),
    "card": ("会员卡", "Card"),
    "member": ("会员", "Member"),
    "tier": ("{tier}类会员", "Tier {tier}"),
    "left_out": ("今天没有列出的会员", "Members not listed today"),
    "left_out_note": ("这些会员今天不联系，原因和人数如下。", "These members rest today, for these reasons."),
    "people": ("{n}人", "{n}"),
    "removed_since": ("名单生成后移出", "Taken off since the list was made"),
    "left_out_at_first": ("生成名单时没有列入", "Left out when the list was made"),
    "sign_in": ("登录", "Sign in"),
    "sign_in_note": ("请输入店里发给你的访问码。", "Enter the access code your store gave you."),
    "token": ("访问码", "Access code"),
    "sign_out": ("退出", "Sign out"),
    "wrong_token": ("访问码不对或已失效。", "The code is wrong or no longer valid."),
    "back": ("返回", "Back"),
    "preference": ("偏好", "Likes"),
    "bought_times": ("{n}次", "{n} times"),
    "no_preference": ("还没有购买，看不出偏好", "no purchase yet, no preference to see"),
    "value_tier": ("价值等级", "Value tier"),
    "tier_note": ("按近期预计消费分A、B、C", "by the spend expected next"),
    "no_tier": ("还没有等级", "no tier yet"),
    "rhythm": ("购买节奏", "Rhythm"),
    "next_purchase": ("下次购买", "Next purchase"),
    "timeline": ("往来记录", "Timeline"),
    "purchase": ("购买", "purchase"),
    "contact": ("联系", "contact"),
    "no_timeline": ("还没有记录", "nothing yet"),
    "permissions": ("联系许可", "Permissions"),
    "allowed": ("可以联系", "may be contacted"),
    "not_allowed": ("暂不可联系", "may not be contacted now"),
    "personalised_on": ("个性化推荐：开启", "Personal recommendations: on"),
    "personalised_off": ("个性化推荐：已关闭", "Personal recommendations: off"),
    "turn_off": ("会员要求关闭个性化推荐", "The member wants personal recommendations off"),
    "turned_off": ("已关闭，下一次就生效", "Off, from the next answer on"),
    "suggestions": ("推荐商品", "Suggested items"),
    "again": ("该再买", "Buy again"),
    "new_items": ("没买过的", "New to the member"),
    "as_of": ("数据截至 {day} 之前", "Data before {day}"),
    "by_fallback": ("数据还少，先用简单规则", "Little data so far: a simple rule answers"),
    "level": ("会员等级", "Level"),
    "birthday": ("生日", "Birthday"),
    "friend": ("企微好友", "WeCom friend"),
    "yes": ("是", "yes"),
    "no": ("否", "no"),
    "store_today": ("本店今天", "The store today"),
    "guide": ("导购", "Guide"),
    "on_leave": ("休假中", "On leave"),
    "set_leave": ("今天休假", "On leave today"),
    "end_leave": ("恢复上班", "Back at work"),
    "waiting_n": ("待联系 {n}", "{n} to do"),
    "hand_over": ("转交给", "Hand over to"),
    "hand_over_do": ("转交", "Hand over"),
    "handed_over": ("已转交 {n} 个任务", "{n} tasks handed over"),
    "choose_tasks": ("勾选要转交的会员", "Tick the members to hand over"),
    "see_list": ("看名单", "See list"),
    "unlisted": ("今天没有名单", "no list today"),
    "failed": ("没有成功，请再试一次", "That did not work, please try again"),
    "how_title": ("推荐和名单是怎么来的", "How lists and recommendations are made"),
    "skip": ("跳到名单", "Skip to the list"),
    "refresh_lists": ("重新生成名单", "Make new lists"),
    "refresh_sure": (
        "没有开始的任务会换成新名单，确定吗？",
        "Tasks that were not started give way to new ones. Go on?",
    ),
    "refresh_asked": ("已开始重新生成，稍后刷新", "New lists are being made; refresh in a while"),
}


def labels(language: str) -> Callable[..., str]:
    """`t(key, **values)` in a language; an unknown key is an error, so that no page shows a key."""
    place = LANGUAGES.index(language)

    def t(key: str, **values: object) -> str:
        text = LABELS[key][place]
        return text.format(**values) if values else text

    return t


def word(table: Mapping[str, tuple[str, str]], code: str | None, language: str) -> str:
    """A code's word in a language; the code itself where there is none."""
    return "" if code is None else table.get(code, (code, code))[LANGUAGES.index(language)]


def outcome_word(code: str, language: str) -> str:
    """An outcome."""
    return word(OUTCOMES, code, language)


def stage_word(code: str | None, language: str) -> str:
    """A lifecycle stage."""
    return word(STAGES, code, language)


def band_word(code: str | None, language: str) -> str:
    """A churn band."""
    return word(BANDS, code, language)


def left_out_word(code: str, language: str) -> str:
    """Why a member was left out or taken off."""
    return word({**EXCLUSION_WORDS, **REMOVED}, code, language)
