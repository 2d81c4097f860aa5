"""The frames of a day in, every guide's contact list out: a pure function, the same for the same date and seed.

Rows may come in any order; the members are sorted and every die is a hash of ids.
"""

import datetime as dt
import hashlib
import json
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from features.progress import Progress, quiet
from outreach.arms import arm_weights, hash_ids, salt_word, uniform
from outreach.constraints import CODE, ELIGIBLE, REASONS, Exclusions, exclude
from outreach.inputs import NEVER, Desk, ListInputs, open_desk
from outreach.kinds import drawn_reasons, evidence_of, forced_reasons, forced_worth, possible_reasons
from outreach.learning_log import in_panel, morning_rows
from outreach.propensities import inclusion_probabilities, rank_within, segment_starts
from outreach.reasons import REASON_TEXTS, sentences
from outreach.score import BIRTHDAY_RESPONSE, NEW_MEMBER_RESPONSE, Score, cold_score
from outreach.selection import madow
from outreach.settings import ContactSettings
from outreach.uplift import LearnedEffect

Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class ContactTask:
    """One member a guide may contact today, why, and what the log must know.  Money in yuan."""

    task_id: str
    rank: int
    member_id: str
    kind: str
    score_yuan: float
    components: dict[str, float]  # gain, keep, unfollow, cost
    propensity: float  # P(listed today); 1.0 where forced
    forced: bool  # urged, birthday, care, minimum touch: outside the draw and outside learning
    reason_code: str
    evidence: dict[str, int]
    text_zh: str
    text_en: str
    suggestions: tuple[dict[str, str], ...]
    last_contact: str | None  # day of the last one-to-one contact
    contacts_30d: int
    expires_at: dt.datetime  # brand-local
    allowed_channels: tuple[str, ...]
    draft_zh: str
    draft_en: str


@dataclass(frozen=True)
class ContactList:
    """One guide's list: eligible + Σ excluded = the guide's members, whether served as own or for the store."""

    list_id: str
    guide_id: str
    store_id: str
    date: dt.date
    seed: int
    policy_version: str
    capacity: int
    eligible: int
    excluded: dict[str, int]
    fallback: str  # none, cold (no learned effect yet)
    starved: bool  # fewer eligible members than the capacity
    gap_days: int
    tasks: tuple[ContactTask, ...]
    digest: str


@dataclass(frozen=True)
class ListPlan:
    """All lists of a day and the sum over all members: eligible + Σ excluded = members."""

    date: dt.date
    members: int
    eligible: int
    excluded: dict[str, int]
    lists: tuple[ContactList, ...]
    # P(listed) of everyone who could have been: member_id, guide_id, propensity, listed.
    propensities: pd.DataFrame
    # What the ledger keeps to learn from: chances of the learning panel, and rows with their standing.
    chances: pd.DataFrame
    learning: pd.DataFrame

    @property
    def starved_guides(self) -> tuple[str, ...]:
        return tuple(one.guide_id for one in self.lists if one.starved)


@dataclass(frozen=True)
class _Draw:
    """Aligned on the desk: whether listed, with which propensity and forced reason."""

    listed: Bools
    propensity: Floats
    forced: NDArray[np.object_]
    explored: Bools


def make_lists(
    inputs: ListInputs,
    date: dt.date,
    settings: ContactSettings,
    seed: int,
    *,
    effect: LearnedEffect | None = None,
    progress: Progress = quiet,
) -> tuple[ContactList, ...]:
    """Every active guide's list of `date`, sorted by guide id.  See `plan_lists` for the counts over all members."""
    return plan_lists(inputs, date, settings, seed, effect=effect, progress=progress).lists


def plan_lists(
    inputs: ListInputs,
    date: dt.date,
    settings: ContactSettings,
    seed: int,
    *,
    effect: LearnedEffect | None = None,
    progress: Progress = quiet,
) -> ListPlan:
    """Lists of `date`, every exclusion counted and the propensity of everyone who could have been listed."""
    progress("aligning members", 0.0)
    desk = open_desk(inputs, date, settings)
    progress("applying rules", 0.35)
    out = exclude(desk, date, settings)
    score = score_desk(desk, settings, effect)
    if effect is not None and settings.floor_yuan is not None:
        low = out.eligible & (score.total < settings.floor_yuan)
        code = out.code.copy()
        code[low] = CODE["below_floor"]
        out = Exclusions(code, out.care, out.gap_days)
    progress("drawing lists", 0.5)
    draw = _draw(desk, out, score, date, settings, seed)
    progress("writing reasons", 0.6)
    lists = _write(inputs, desk, out, score, draw, date, settings, seed, effect)
    could = np.flatnonzero(draw.propensity > 0)
    drawn_from = (draw.propensity > 0) & (draw.forced == "")
    panel = np.flatnonzero(drawn_from & in_panel(desk.hashes, settings))
    progress("lists made", 1.0)
    return ListPlan(
        date=date,
        members=len(desk),
        eligible=int(out.eligible.sum()),
        excluded=_counts(out.code),
        lists=lists,
        propensities=pd.DataFrame(
            {
                "member_id": desk.member_ids[could],
                "guide_id": desk.guide_ids[desk.guide[could]],
                "propensity": draw.propensity[could],
                "listed": draw.listed[could],
            }
        ),
        chances=pd.DataFrame(
            {
                "member_id": desk.member_ids[panel],
                "guide_id": desk.guide_ids[desk.guide[panel]],
                "propensity": draw.propensity[panel],
            }
        ),
        learning=morning_rows(
            desk.member_ids,
            desk.hashes,
            desk.standing,
            desk.signal_names,
            draw.listed,
            draw.propensity,
            drawn_from,
            (seed, date.isoformat()),
            settings,
        ),
    )


def score_desk(desk: Desk, settings: ContactSettings, effect: LearnedEffect | None) -> Score:
    """The score of everyone at the desk, with the least worth of a birthday and of a new member's first days."""
    score = cold_score(desk.standing, settings) if effect is None else effect.score(desk.standing, settings)
    basket = settings.margin * desk.standing.basket_yuan
    new = ~desk.buyer & (desk.days_since_joined <= settings.new_member_days)
    least = np.where(desk.days_to_birthday <= settings.birthday_days, BIRTHDAY_RESPONSE * basket, -np.inf)
    least = np.maximum(least, np.where(new, NEW_MEMBER_RESPONSE * basket, -np.inf))
    return Score(np.maximum(score.gain, least), score.keep, score.unfollow, score.cost)


def _counts(code: NDArray[np.int8]) -> dict[str, int]:
    """Members per reason, in the order of the rules, without the zeros."""
    n = np.bincount(code[code != ELIGIBLE], minlength=len(REASONS))
    return {name: int(n[i]) for i, name in enumerate(REASONS) if n[i]}


def _draw(desk: Desk, out: Exclusions, score: Score, date: dt.date, settings: ContactSettings, seed: int) -> _Draw:
    n, guides = len(desk), len(desk.guide_ids)
    possible = possible_reasons(desk, settings)
    forced = forced_reasons(desk, possible, out.care & (desk.guide >= 0))
    # Forced tasks first: urged up to the capacity, the rest up to their share of it.
    rows = np.flatnonzero(forced != "")
    worth = forced_worth(desk, score, forced)
    urged = forced == "URGED"
    order = rows[np.lexsort((rows, -worth[rows], ~urged[rows], desk.guide[rows]))]
    starts = segment_starts(desk.guide[order])
    place = np.arange(len(order)) - np.repeat(starts, np.diff(np.r_[starts, len(order)]))
    urged_of = np.bincount(desk.guide[rows[urged[rows]]], minlength=guides)
    care_cap = np.floor(settings.forced_share * desk.capacity).astype(np.int64)
    taken_urged = np.minimum(urged_of, desk.capacity)
    room = taken_urged + np.minimum(care_cap, desk.capacity - taken_urged)
    allowed = np.where(urged[order], place < desk.capacity[desk.guide[order]], place < room[desk.guide[order]])
    kept = order[allowed]
    listed = np.zeros(n, dtype=bool)
    listed[kept] = True
    propensity = np.where(listed, 1.0, 0.0)
    forced = np.where(listed, forced, "")
    left = desk.capacity - np.bincount(desk.guide[kept], minlength=guides)
    # Then the draw over everyone else who is eligible.
    pool = np.flatnonzero(out.eligible & ~listed)
    pool = pool[np.lexsort((pool, desk.guide[pool]))]
    explored = np.zeros(n, dtype=bool)
    if len(pool):
        of = desk.guide[pool]
        starts = segment_starts(of)
        size = left[of[starts]]
        total = score.total[pool]
        weight = arm_weights(desk.hashes[pool], date, settings)
        pi = inclusion_probabilities(
            total,
            starts,
            size,
            epsilon=settings.epsilon_on(date),
            tau=settings.tau,
            weight=None if np.all(weight == 1.0) else weight,
            tie=-np.arange(len(pool), dtype=np.float64),
        )
        words = (seed, date.isoformat())
        start = uniform(hash_ids(desk.guide_ids), salt_word("start", *words))[of[starts]]
        drawn = madow(pi, starts, uniform(desk.hashes[pool], salt_word("order", *words)), start)
        propensity[pool] = pi
        listed[pool[drawn]] = True
        counts = np.diff(np.r_[starts, len(pool)])
        rank = rank_within(total, starts, -np.arange(len(pool), dtype=np.float64))
        outside = (1.0 - rank) * np.repeat(counts, counts) + 0.5 > np.repeat(size, counts)
        explored[pool] = outside
    return _Draw(listed, propensity, forced, explored)


def _suggested(inputs: ListInputs, desk: Desk, rows: NDArray[np.int64]) -> list[tuple[dict[str, str], ...]]:
    """At most three suggestions of each row, best first."""
    frame = inputs.suggestions
    found: dict[str, list[dict[str, str]]] = {}
    frame = frame[frame["member_id"].isin(desk.member_ids[rows])].sort_values(
        ["member_id", "rank", "item_id"], kind="stable"
    )
    why = frame["why"] if "why" in frame.columns else pd.Series("", index=frame.index)
    for member, item, title, reason in zip(frame["member_id"], frame["item_id"], frame["title"], why, strict=True):
        held = found.setdefault(member, [])
        if len(held) < 3:
            held.append({"item_id": str(item), "title": str(title), "why": str(reason)})
    return [tuple(found.get(member, ())) for member in desk.member_ids[rows]]


def _channels(bits: int) -> tuple[str, ...]:
    return tuple(name for i, name in enumerate(("wecom_1v1", "call_human")) if bits >> i & 1)


def task_id(brand_id: str, date: dt.date, guide_id: str, member_id: str, kind: str) -> str:
    """The same task has the same id however often the lists are made."""
    text = "\x1f".join((brand_id, date.isoformat(), guide_id, member_id, kind))
    return hashlib.blake2b(text.encode(), digest_size=12).hexdigest()


def _write(
    inputs: ListInputs,
    desk: Desk,
    out: Exclusions,
    score: Score,
    draw: _Draw,
    date: dt.date,
    settings: ContactSettings,
    seed: int,
    effect: LearnedEffect | None,
) -> tuple[ContactList, ...]:
    total = score.total
    rows = np.flatnonzero(draw.listed)
    urged = draw.forced[rows] == "URGED"
    rows = rows[np.lexsort((rows, -total[rows], ~urged, desk.guide[rows]))]
    by_log = np.zeros(len(rows), dtype=bool) if effect is None else effect.dominates(desk.standing, settings)[rows]
    drawn = drawn_reasons(desk, possible_reasons(desk, settings), rows, draw.explored[rows], by_log)
    items = _suggested(inputs, desk, rows)
    override = (
        dict(zip(inputs.urged["member_id"], inputs.urged["kind"], strict=True)) if "kind" in inputs.urged else {}
    )
    expires = dt.datetime.combine(date, dt.time(settings.list_hours[1]))
    by_guide: dict[int, list[ContactTask]] = {}
    for row, by_draw, suggestions in zip(rows.tolist(), drawn, items, strict=True):
        code = str(draw.forced[row]) or by_draw
        reason, member = REASON_TEXTS[code], str(desk.member_ids[row])
        guide = int(desk.guide[row])
        kind = str(override.get(member) or reason.kind) if code == "URGED" else reason.kind
        evidence = evidence_of(desk, row, code)
        zh, en = sentences(code, evidence, suggestions[0]["title"] if suggestions else None)
        held = by_guide.setdefault(guide, [])
        since = desk.days_since_contact[row]
        held.append(
            ContactTask(
                task_id=task_id(inputs.brand_id, date, str(desk.guide_ids[guide]), member, kind),
                rank=len(held) + 1,
                member_id=member,
                kind=kind,
                score_yuan=round(float(total[row]), 2),
                components={
                    "gain": round(float(score.gain[row]), 4),
                    "keep": round(float(score.keep[row]), 4),
                    "unfollow": round(float(score.unfollow[row]), 4),
                    "cost": round(float(score.cost[row]), 4),
                },
                propensity=float(draw.propensity[row]),
                forced=bool(draw.forced[row]),
                reason_code=code,
                evidence=evidence,
                text_zh=zh,
                text_en=en,
                suggestions=suggestions,
                last_contact=(date - dt.timedelta(days=int(since))).isoformat() if since < NEVER else None,
                contacts_30d=int(desk.contacts_30d[row]),
                expires_at=expires,
                allowed_channels=_channels(int(desk.channels[row])),
                draft_zh=reason.draft_zh,
                draft_en=reason.draft_en,
            )
        )
    table = np.zeros((len(desk.guide_ids), len(REASONS) + 1), dtype=np.int64)
    served = desk.guide >= 0
    np.add.at(table, (desk.guide[served], out.code[served].astype(np.int64)), 1)  # −1 lands in the last column
    lists = []
    for guide, guide_id in enumerate(desk.guide_ids):
        if desk.capacity[guide] <= 0 and not table[guide].any():
            continue
        tasks = tuple(by_guide.get(guide, ()))
        eligible = int(table[guide, -1])
        digest = _digest(date, str(guide_id), seed, tasks)
        lists.append(
            ContactList(
                list_id=hashlib.blake2b(
                    f"{inputs.brand_id}\x1f{date}\x1f{guide_id}\x1f{digest}".encode(), digest_size=12
                ).hexdigest(),
                guide_id=str(guide_id),
                store_id=str(desk.store_ids[guide]),
                date=date,
                seed=seed,
                policy_version=inputs.policy_version,
                capacity=int(desk.capacity[guide]),
                eligible=eligible,
                excluded={name: int(n) for name, n in zip(REASONS, table[guide], strict=False) if n},
                fallback="none" if effect is not None else "cold",
                starved=eligible < desk.capacity[guide],
                gap_days=int(out.gap_days[guide]),
                tasks=tasks,
                digest=digest,
            )
        )
    return tuple(lists)


def _digest(date: dt.date, guide_id: str, seed: int, tasks: tuple[ContactTask, ...]) -> str:
    """A fingerprint of everything a guide sees and the log keeps."""

    def plain(value: Any) -> str:
        return str(value.isoformat())

    body = [date.isoformat(), guide_id, seed, [asdict(task) for task in tasks]]
    text = json.dumps(body, ensure_ascii=False, sort_keys=True, default=plain)
    return hashlib.sha256(text.encode()).hexdigest()
