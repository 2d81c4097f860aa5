"""Templates and static files, loaded once; a page's data in, HTML out."""

import datetime as dt
import gzip
import hashlib
from functools import cache
from importlib.resources import files
from typing import Any
from urllib.parse import quote

import orjson
from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup

from serving.pages import words

TYPES = {
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
}
# Outcomes beside the three large buttons, in the order in which a day goes; the last ones end the contact for good.
OTHERS = (
    *("replied", "appointment", "visited", "ordered", "not_suitable", "skipped"),
    *("refused", "do_not_contact", "wrong_person", "unfriended", "complaint"),
)
STOPPING = ("refused", "do_not_contact", "wrong_person", "unfriended", "complaint")
# Reasons that ask the guide not to sell: items are there for when the member asks.
NO_SELLING = ("BIRTHDAY", "CARE", "TOUCH")
SCRIPT_KEYS = (
    *("noted", "undo", "undone", "copied", "copy_failed", "queued", "sent_all", "refused_by_server", "done_of"),
    *("failed", "turned_off", "handed_over", "choose_tasks", "refresh_asked", "refresh_sure"),
)


@cache
def static_file(name: str) -> tuple[bytes, bytes, str, str] | None:
    """A static file: bytes, gzipped bytes, media type, digest; None where there is none of that name."""
    folder = files("serving.pages").joinpath("static")
    known = {entry.name for entry in folder.iterdir()}
    if name not in known:
        return None
    content = folder.joinpath(name).read_bytes()
    packed = gzip.compress(content, 9, mtime=0)
    return content, packed, TYPES[name.rsplit(".", 1)[1]], hashlib.sha256(content).hexdigest()[:12]


def asset(name: str) -> str:
    """The address of a static file, which changes when the file does."""
    found = static_file(name)
    assert found is not None, f"no static file {name}"
    return f"/static/{name}?v={found[3]}"


@cache
def _environment() -> Environment:
    folder = files("serving.pages").joinpath("templates")

    def load(name: str) -> str:
        return folder.joinpath(name).read_text(encoding="utf-8")

    environment = Environment(
        loader=FunctionLoader(load), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["channel"] = _channel
    environment.filters["urlencode"] = lambda text: quote(str(text), safe="")
    environment.globals["asset"] = asset
    return environment


def render(template: str, language: str, today: dt.date, *, who: str = "", keep: str = "", **data: Any) -> str:
    """A page in a language.

    Args:
        today: what "3 days ago" counts from.
        who: whose page it is; what waits to be sent is kept apart by it.
        keep: what the language switch keeps of the query.
    """
    t = words.labels(language)
    environment = _environment()

    def name(task: dict[str, Any]) -> str:
        return str(task.get("display_name") or f"{t('member')} {str(task['member_id'])[-6:]}")

    def ago(day: str | None) -> str:
        if not day:
            return t("never")
        try:
            days = (today - dt.date.fromisoformat(str(day)[:10])).days
        except ValueError:
            return str(day)
        return t("today_word") if days <= 0 else t("days_ago", n=days)

    def said(text: Any) -> str:
        return str(text.get(language) or text.get("zh") or "") if isinstance(text, dict) else str(text)

    common = {
        "t": t,
        "lang": language,
        "other": words.LANGUAGES[1 - words.LANGUAGES.index(language)],
        "keep": keep,
        "name": name,
        "ago": ago,
        "said": said,
        "stage": lambda code: words.stage_word(code, language),
        "outcome": lambda code: words.outcome_word(code, language),
        "left_out": lambda code: words.left_out_word(code, language),
        "others": OTHERS,
        "stopping": STOPPING,
        "no_selling": NO_SELLING,
        "script_words": _script_words(language, today, who),
    }

    def task_card(task: dict[str, Any]) -> Markup:
        return Markup(environment.get_template("task.html").render(**common, task=task))

    return environment.get_template(template).render(**common, task_card=task_card, **data)


def strip(
    visits: list[str], as_of: dt.date, low: dt.date | None, median: dt.date | None, high: dt.date | None
) -> str:
    """Past visits as dots and the window ahead as a band, on one line of time, as SVG."""
    days = [dt.date.fromisoformat(day) for day in visits if day]
    if not days:
        return ""
    start, end = min(days), max(high or as_of, as_of)
    span = max((end - start).days, 1)

    def x(day: dt.date) -> float:
        return round(12 + 296 * min(max((day - start).days / span, 0.0), 1.0), 1)

    parts = ['<line class="axis" x1="12" x2="308" y1="22" y2="22"/>']
    if low and median and high:
        parts.append(
            f'<rect class="band" x="{x(low)}" y="12" width="{max(x(high) - x(low), 3):.1f}" height="20" rx="4"/>'
        )
        parts.append(f'<line class="mid" x1="{x(median)}" x2="{x(median)}" y1="10" y2="34"/>')
    parts.append(f'<line class="now" x1="{x(as_of)}" x2="{x(as_of)}" y1="8" y2="36"/>')
    parts += [f'<circle class="visit" cx="{x(day)}" cy="22" r="5"/>' for day in sorted(set(days))]
    parts.append(
        f'<text x="12" y="52">{start:%y-%m-%d}</text><text x="308" y="52" text-anchor="end">{end:%y-%m-%d}</text>'
    )
    return f'<svg class="strip" viewBox="0 0 320 56" role="img" aria-hidden="true">{"".join(parts)}</svg>'


@cache
def _script_words(language: str, today: dt.date, who: str) -> Markup:
    from outreach.member_words import OUTCOMES

    place = words.LANGUAGES.index(language)
    said: dict[str, Any] = {key: words.LABELS[key][place] for key in SCRIPT_KEYS}
    said |= {
        "outcomes": {code: pair[place] for code, pair in OUTCOMES.items()},
        "today": today.isoformat(),
        "who": who,
    }
    # Inside a script element only `<` could end the element; everything here is our own words and an id.
    return Markup(orjson.dumps(said).decode().replace("<", "\\u003c"))


def _channel(name: str, language: str) -> str:
    pair = words.LABELS.get(name)
    return pair[words.LANGUAGES.index(language)] if pair else name
