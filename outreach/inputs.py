"""The frames that a day's lists are made from in, one `Desk` of aligned columns per member out.

The frames come from the contract tables, a release and the ledger; this room reads no database itself.
"""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from features.errors import InputError
from outreach.arms import hash_ids
from outreach.score import CHANNEL_FATIGUE, Standing, buys_anyway_from_churn
from outreach.settings import ContactSettings

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Ints = NDArray[np.int64]

NEVER = 1_000_000.0  # days since something that never happened
ONE_TO_ONE = ("wecom_1v1", "call_human", "call_ai", "store_visit")
# How strongly the shrunk basket and cycle trust the brand's middle: worth two visits.
PRIOR_VISITS = 2.0


def _empty(*columns: str) -> pd.DataFrame:
    return pd.DataFrame({name: pd.Series(dtype=object) for name in columns})


@dataclass(frozen=True)
class ListInputs:
    """What the lists of a day are made from.  Row order never matters.  Columns marked ? may be absent.

    members: member_id, registered_at, birthday? (MM-DD), birth_year?, level?, is_staff?, is_wholesale?, status?,
        home_store_id?
    assignments: member_id, guide_id, start_at, end_at?, store_id?, is_friend?, friend_lost_at?
    guides: guide_id, store_id, status (active, leave, left), daily_capacity?, role?
    predictions: member_id, churn_probability, recency_days, visits, gap_shrunk_days, spend_mean_yuan,
        tier? (A, B, C), return_probability? (within the longest horizon), engagement? (standard score), signal_*? (more of them, for learning), buys_anyway_probability? (within the window); buyers only
    consents: member_id, purpose, state (granted, refused, withdrawn), at
    contacts: member_id, sent_at (null = not sent), channel, outcome?, outcome_at?, content_type?, kind? (task type)
    opt_outs: member_id, kind? (contact or personalisation; contact where absent), at?
    holdout: member_id of members held out by hand, beside those held out by hash
    open_cases: member_id with a complaint or a return open
    suggestions: member_id, rank, item_id, title, why?, replenishable? - best first, at most three are shown
    urged: member_id, kind? (task type), sorted first and not drawn
    coupons: member_id, valid_to, status? (issued) - only the day it runs out is read, never an amount
    """

    brand_id: str
    members: pd.DataFrame
    assignments: pd.DataFrame
    guides: pd.DataFrame
    predictions: pd.DataFrame
    consents: pd.DataFrame = field(default_factory=lambda: _empty("member_id", "purpose", "state", "at"))
    contacts: pd.DataFrame = field(default_factory=lambda: _empty("member_id", "sent_at", "channel", "outcome"))
    opt_outs: pd.DataFrame = field(default_factory=lambda: _empty("member_id"))
    holdout: pd.DataFrame = field(default_factory=lambda: _empty("member_id"))
    open_cases: pd.DataFrame = field(default_factory=lambda: _empty("member_id"))
    suggestions: pd.DataFrame = field(default_factory=lambda: _empty("member_id", "rank", "item_id", "title"))
    urged: pd.DataFrame = field(default_factory=lambda: _empty("member_id", "kind"))
    coupons: pd.DataFrame = field(default_factory=lambda: _empty("member_id", "valid_to"))
    policy_version: str = "cold"

    def __post_init__(self) -> None:
        wanted = {
            "members": ("member_id", "registered_at"),
            "assignments": ("member_id", "guide_id", "start_at"),
            "guides": ("guide_id", "store_id", "status"),
            "predictions": (
                "member_id",
                "churn_probability",
                "recency_days",
                "visits",
                "gap_shrunk_days",
                "spend_mean_yuan",
            ),
            "consents": ("member_id", "purpose", "state", "at"),
            "contacts": ("member_id", "sent_at", "channel"),
            "opt_outs": ("member_id",),
            "holdout": ("member_id",),
            "open_cases": ("member_id",),
            "suggestions": ("member_id", "rank", "item_id", "title"),
            "urged": ("member_id",),
            "coupons": ("member_id", "valid_to"),
        }
        for table, columns in wanted.items():
            frame: pd.DataFrame = getattr(self, table)
            missing = [c for c in columns if c not in frame.columns]
            if missing:
                raise InputError(
                    f"{table}: missing columns {missing} in {len(frame)} rows; found {list(frame.columns)}; "
                    "see docs/contact-policy.md for what each frame holds"
                )
        for table, key in (("members", "member_id"), ("guides", "guide_id"), ("predictions", "member_id")):
            ids = getattr(self, table)[key]
            twice = int(ids.duplicated().sum())
            if twice:
                raise InputError(
                    f"{table}.{key}: expected one row each, found {twice} repeated of {len(ids)}; "
                    f"keep the latest row of each {key}"
                )


@dataclass(frozen=True)
class Desk:
    """Every member once, sorted by id: the arrays that exclusions, score and reasons read.  Days are whole."""

    member_ids: NDArray[np.object_]
    hashes: NDArray[np.uint64]
    standing: Standing
    signal_names: tuple[str, ...]  # columns of standing.signals
    buyer: Bools
    top_tier: Bools
    days_since_joined: Floats
    days_to_birthday: Floats
    days_to_coupon_end: Floats
    guide: Ints  # position in guide_ids, −1 without one
    own_guide: Bools  # False where a store pool or a stand-in serves the member
    friend: Bools
    channels: NDArray[np.uint8]  # bit 0 wecom_1v1, bit 1 call_human
    person: dict[str, Bools]  # what the person is: staff, wholesale, deregistered, minor
    refused_wecom: Bools
    opted_out: Bools
    do_not_contact: Bools
    held_by_hand: Bools
    open_case: Bools
    days_since_contact: Floats  # one to one
    contacts_30d: Ints
    touches_30d: Ints
    cool_off: Bools
    last_kind: NDArray[np.object_]
    urged: Bools
    guide_ids: NDArray[np.object_]
    store_ids: NDArray[np.object_]
    capacity: Ints

    def __len__(self) -> int:
        return len(self.member_ids)


def _days_before(date: dt.date, stamps: pd.Series) -> Floats:
    """Whole days from each stamp's day to `date`; NaN where the stamp is null."""
    days = pd.to_datetime(stamps, errors="coerce", utc=False)
    if getattr(days.dt, "tz", None) is not None:
        days = days.dt.tz_localize(None)
    age = ((pd.Timestamp(date) - days.dt.normalize()).dt.total_seconds() / 86400.0).to_numpy(np.float64)
    return np.asarray(age, dtype=np.float64)


def _flag(frame: pd.DataFrame, column: str) -> Bools:
    if column not in frame.columns:
        return np.zeros(len(frame), dtype=bool)
    return pd.to_numeric(frame[column], errors="coerce").fillna(0).to_numpy(np.float64) > 0


def _numbers(frame: pd.DataFrame, column: str, rows: Ints, absent: float) -> Floats:
    """A numeric column for given rows (−1 = no row), `absent` where missing."""
    out = np.full(len(rows), absent)
    if column in frame.columns and len(frame):
        values = pd.to_numeric(frame[column], errors="coerce").to_numpy(np.float64)
        there = rows >= 0
        out[there] = values[rows[there]]
    return np.where(np.isnan(out), absent, out)


def _has(index: pd.Index, ids: Sequence[str] | pd.Series) -> Bools:
    out = np.zeros(len(index), dtype=bool)
    at = index.get_indexer(pd.Index(ids))
    out[at[at >= 0]] = True
    return out


def _owners(inputs: ListInputs, index: pd.Index, hashes: NDArray[np.uint64], date: dt.date) -> dict[str, np.ndarray]:
    """Each member's guide today: the latest open assignment; a guide on leave hands over to the store."""
    guides = inputs.guides.sort_values("guide_id", kind="stable").reset_index(drop=True)
    active = (guides["status"] == "active").to_numpy(bool)
    if "role" in guides.columns:
        active &= ~guides["role"].isin(["hq", "service"]).to_numpy(bool)
    guide_ids = guides["guide_id"].to_numpy(object)
    guide_index = pd.Index(guide_ids)
    a = inputs.assignments
    since = _days_before(date, a["start_at"])
    until = _days_before(date, a["end_at"]) if "end_at" in a.columns else np.full(len(a), np.nan)
    lost = _days_before(date, a["friend_lost_at"]) if "friend_lost_at" in a.columns else np.full(len(a), np.nan)
    is_open = (since >= 0) & ~(until >= 0)
    rows = np.flatnonzero(is_open)
    member = index.get_indexer(pd.Index(a["member_id"].to_numpy(object)[rows]))
    serving = guide_index.get_indexer(pd.Index(a["guide_id"].to_numpy(object)[rows]))
    known = (member >= 0) & (serving >= 0)
    rows, member, serving = rows[known], member[known], serving[known]
    order = np.lexsort((serving, -since[rows], member))  # the latest start last; ties to the larger guide id
    last = np.r_[member[order][1:] != member[order][:-1], True] if len(order) else np.zeros(0, bool)
    pick = order[last]
    guide = np.full(len(index), -1, dtype=np.int64)
    guide[member[pick]] = serving[pick]
    friend = np.zeros(len(index), dtype=bool)
    friend[member[pick]] = (_flag(a, "is_friend") & ~(lost >= 0))[rows[pick]]
    # Whose guide is away, or who has none: the store's active guides, dealt by hash.
    stores, store_of = np.unique(guides["store_id"].astype(str).to_numpy(object), return_inverse=True)
    home = np.full(len(index), -1, dtype=np.int64)
    if "home_store_id" in inputs.members.columns:
        m = inputs.members
        at = index.get_indexer(pd.Index(m["member_id"]))
        home[at] = pd.Index(stores).get_indexer(pd.Index(m["home_store_id"].astype(str)))
    home = np.where(guide >= 0, store_of[np.maximum(guide, 0)], home)
    own = (guide >= 0) & active[np.maximum(guide, 0)]
    working = np.flatnonzero(active)
    working = working[np.argsort(store_of[working], kind="stable")]
    first = np.searchsorted(store_of[working], np.arange(len(stores)))
    count = np.searchsorted(store_of[working], np.arange(len(stores)), side="right") - first
    pool = ~own & (home >= 0)
    pool[pool] = count[home[pool]] > 0
    turn = (hashes[pool] % count[home[pool]].astype(np.uint64)).astype(np.int64)
    guide = np.where(own, guide, -1)
    guide[pool] = working[first[home[pool]] + turn]
    capacity = np.zeros(len(guides))
    if "daily_capacity" in guides.columns:
        capacity = pd.to_numeric(guides["daily_capacity"], errors="coerce").to_numpy(np.float64)
    else:
        capacity = np.full(len(guides), np.nan)
    return {
        "guide": guide,
        "own": own,
        "friend": friend,
        "guide_ids": guide_ids,
        "store_ids": guides["store_id"].astype(str).to_numpy(object),
        "active": active,
        "capacity": capacity,
    }


def _latest_consent(inputs: ListInputs, index: pd.Index, date: dt.date, purpose: str) -> tuple[Bools, Bools]:
    """(granted, refused or withdrawn) of each member for a purpose, by the latest row before `date`."""
    c = inputs.consents
    rows = np.flatnonzero((c["purpose"] == purpose).to_numpy(bool))
    stamps = pd.to_datetime(c["at"].iloc[rows], errors="coerce")
    known = (stamps < pd.Timestamp(date)).to_numpy(bool)
    rows, stamps = rows[known], stamps[known]
    granted = (c["state"].iloc[rows] == "granted").to_numpy(bool)
    member = index.get_indexer(pd.Index(c["member_id"].iloc[rows]))
    # At the same instant a refusal wins.
    order = np.lexsort((~granted, stamps.to_numpy("datetime64[ns]").astype(np.int64), member))
    yes, no = np.zeros(len(index), bool), np.zeros(len(index), bool)
    keep = order[member[order] >= 0]
    last = np.r_[member[keep][1:] != member[keep][:-1], True] if len(keep) else np.zeros(0, bool)
    pick = keep[last]
    yes[member[pick]] = granted[pick]
    no[member[pick]] = ~granted[pick]
    return yes, no


def _touches(inputs: ListInputs, index: pd.Index, date: dt.date, settings: ContactSettings) -> dict[str, np.ndarray]:
    """What the contact history says of each member on the morning of `date`."""
    c, n = inputs.contacts, len(index)
    age = _days_before(date, c["sent_at"])
    member = index.get_indexer(pd.Index(c["member_id"]))
    sent = (age >= 1) & (member >= 0)
    channel = c["channel"].to_numpy(object)
    weight = pd.Series(channel).map(CHANNEL_FATIGUE).fillna(0.5).to_numpy(np.float64)
    personal = sent & pd.Series(channel).isin(ONE_TO_ONE).to_numpy(bool)
    service = np.zeros(len(c), bool)
    if "content_type" in c.columns:
        service = (c["content_type"] == "service").to_numpy(bool)
    fatigue = np.zeros(n)
    decay = weight * 0.5 ** (np.where(sent, age, 0.0) / settings.fatigue_half_life_days)
    # Sums in one fixed order, so that shuffled rows give the same bits.
    order = np.lexsort((decay, member))
    order = order[sent[order]]
    np.add.at(fatigue, member[order], decay[order])
    since = np.full(n, NEVER)
    np.minimum.at(since, member[personal], age[personal])
    recent = personal & (age <= 30)
    marketing = sent & ~service & (age <= 30)
    last_kind = np.full(n, "", dtype=object)
    if "kind" in c.columns:
        rows = np.flatnonzero(personal)
        rows = rows[np.lexsort((c["kind"].fillna("").astype(str).to_numpy(object)[rows], -age[rows], member[rows]))]
        last = np.r_[member[rows][1:] != member[rows][:-1], True] if len(rows) else np.zeros(0, bool)
        last_kind[member[rows[last]]] = c["kind"].fillna("").astype(str).to_numpy(object)[rows[last]]
    outcome = c["outcome"] if "outcome" in c.columns else pd.Series("", index=c.index)
    told = age
    if "outcome_at" in c.columns:
        told = np.where(np.isnan(_days_before(date, c["outcome_at"])), age, _days_before(date, c["outcome_at"]))
    heard = (member >= 0) & (told >= 1)

    def within(words: tuple[str, ...], days: float) -> Bools:
        hit = heard & outcome.isin(words).to_numpy(bool) & (told <= days)
        out = np.zeros(n, bool)
        out[member[hit]] = True
        return out

    return {
        "fatigue": fatigue,
        "since": since,
        "contacts_30d": np.bincount(member[recent], minlength=n).astype(np.int64),
        "touches_30d": np.bincount(member[marketing], minlength=n).astype(np.int64),
        "last_kind": last_kind,
        "never_again": within(("do_not_contact", "wrong_person"), NEVER),
        "unfriended": within(("unfriended",), NEVER),
        "cool_off": within(("refused", "complaint", "not_suitable"), settings.refused_days)
        | within(("snoozed",), settings.snoozed_days),
    }


def _days_to_birthday(birthdays: pd.Series, date: dt.date) -> Floats:
    """Days to the next birthday (MM-DD); 29 February is kept on 1 March in other years; NaN where unknown."""
    # There are few different birthdays, however many members there are.
    code, different = pd.factorize(birthdays)
    text = pd.Series(different, dtype="string")
    month = pd.to_numeric(text.str.slice(0, 2), errors="coerce")
    day = pd.to_numeric(text.str.slice(3, 5), errors="coerce")
    out = np.full(len(text), np.nan)
    for year in (date.year + 1, date.year):  # this year's date wins where it is still to come
        stamp = pd.to_datetime(
            pd.DataFrame({"year": year, "month": month.fillna(0), "day": day.fillna(0)}), errors="coerce"
        )
        leap = (month == 2) & (day == 29) & stamp.isna()
        stamp = stamp.where(~leap, pd.Timestamp(year, 3, 1))
        ahead = ((stamp - pd.Timestamp(date)).dt.days).to_numpy(np.float64)
        out = np.where(ahead >= 0, ahead, out)
    return np.where(code >= 0, out[np.maximum(code, 0)], np.nan) if len(out) else np.full(len(code), np.nan)


def open_desk(inputs: ListInputs, date: dt.date, settings: ContactSettings) -> Desk:
    """Align every frame on the members, sorted by id, as known before `date` 00:00."""
    member_ids = np.sort(inputs.members["member_id"].to_numpy(object))
    index = pd.Index(member_ids)
    hashes = hash_ids(member_ids)
    m = inputs.members.iloc[index.get_indexer(pd.Index(inputs.members["member_id"])).argsort(kind="stable")]
    n = len(index)
    owners = _owners(inputs, index, hashes, date)
    touches = _touches(inputs, index, date, settings)
    rows = pd.Index(inputs.predictions["member_id"]).get_indexer(index)
    p = inputs.predictions
    buyer = rows >= 0
    visits = _numbers(p, "visits", rows, 0.0)
    mean = _numbers(p, "spend_mean_yuan", rows, np.nan)
    usual_basket = float(np.nanmedian(mean)) if buyer.any() else 0.0
    cycle = _numbers(p, "gap_shrunk_days", rows, np.nan)
    usual_cycle = float(np.nanmedian(cycle)) if np.isfinite(cycle).any() else 60.0
    churn = np.clip(_numbers(p, "churn_probability", rows, 1.0), 0.0, 1.0)
    # Lapsed is who is not expected back at all; silent for H days may only mean a long cycle.
    lapsed = 1.0 - np.clip(_numbers(p, "return_probability", rows, np.nan), 0.0, 1.0)
    lapsed = np.where(np.isnan(lapsed), churn, lapsed)
    anyway = _numbers(p, "buys_anyway_probability", rows, np.nan)
    signals = sorted(c for c in p.columns if c.startswith("signal_"))
    standing = Standing(
        days_since=_numbers(p, "recency_days", rows, NEVER),
        cycle_days=np.where(np.isnan(cycle), usual_cycle, np.maximum(cycle, 1.0)),
        visits=visits,
        basket_yuan=(np.where(np.isnan(mean), 0.0, mean) * visits + PRIOR_VISITS * usual_basket)
        / (visits + PRIOR_VISITS),
        churn=np.where(buyer, lapsed, 0.0),
        stake_visits=np.where(buyer, lapsed, 0.0)
        * np.minimum(
            settings.retention_days / np.where(np.isnan(cycle), usual_cycle, np.maximum(cycle, 1.0)),
            settings.retention_visits_max,
        ),
        buys_anyway=np.where(
            buyer,
            np.where(
                np.isnan(anyway), buys_anyway_from_churn(churn, settings.horizon_days, settings.window_days), anyway
            ),
            0.0,
        ),
        engagement=_numbers(p, "engagement", rows, 0.0),
        fatigue=touches["fatigue"],
        signals=np.column_stack([_numbers(p, c, rows, 0.0) for c in signals]) if signals else np.zeros((n, 0)),
    )
    tier = np.full(n, "", dtype=object)
    if "tier" in p.columns:
        tier[buyer] = p["tier"].to_numpy(object)[rows[buyer]]
    status = m["status"].to_numpy(object) if "status" in m.columns else np.full(n, "active", dtype=object)
    birth_year = (
        pd.to_numeric(m["birth_year"], errors="coerce").to_numpy(np.float64)
        if "birth_year" in m.columns
        else np.full(n, np.nan)
    )
    joined = _days_before(date, m["registered_at"])
    refused_wecom = _latest_consent(inputs, index, date, "marketing_wecom")[1]
    call_granted = _latest_consent(inputs, index, date, "marketing_call")[0]
    impersonal = _latest_consent(inputs, index, date, "personalised_recommendation")[1]
    out = inputs.opt_outs
    if "at" in out.columns:
        out = out[~(_days_before(date, out["at"]) < 0)]
    of_models = (
        (out["kind"] == "personalisation").to_numpy(bool) if "kind" in out.columns else np.zeros(len(out), bool)
    )
    friend = owners["friend"] & ~touches["unfriended"]
    wecom = friend & ~refused_wecom
    coupon = np.full(n, np.nan)
    c = inputs.coupons
    if len(c):
        ahead = -_days_before(date, c["valid_to"])
        live = ahead >= 0
        if "status" in c.columns:
            live &= (c["status"] == "issued").to_numpy(bool)
        at = index.get_indexer(pd.Index(c["member_id"]))
        live &= at >= 0
        coupon[:] = np.inf
        np.minimum.at(coupon, at[live], ahead[live])
        coupon[np.isinf(coupon)] = np.nan
    capacity = np.where(np.isnan(owners["capacity"]), settings.default_capacity, owners["capacity"])
    return Desk(
        member_ids=member_ids,
        hashes=hashes,
        standing=standing,
        signal_names=tuple(signals),
        buyer=buyer,
        top_tier=np.asarray(tier == "A", dtype=bool),
        days_since_joined=joined,
        days_to_birthday=_days_to_birthday(m["birthday"], date) if "birthday" in m.columns else np.full(n, np.nan),
        days_to_coupon_end=coupon,
        guide=owners["guide"],
        own_guide=owners["own"],
        friend=friend,
        channels=(wecom.astype(np.uint8) | (call_granted.astype(np.uint8) << np.uint8(1))).astype(np.uint8),
        person={
            "staff": _flag(m, "is_staff"),
            "wholesale": _flag(m, "is_wholesale"),
            "deregistered": np.isin(status.astype(str), ["deregistered", "frozen"]),
            "minor": date.year - birth_year < 18,
        },
        refused_wecom=refused_wecom,
        opted_out=impersonal | _has(index, out["member_id"][of_models]),
        do_not_contact=touches["never_again"] | _has(index, out["member_id"][~of_models]),
        held_by_hand=_has(index, inputs.holdout["member_id"]),
        open_case=_has(index, inputs.open_cases["member_id"]),
        days_since_contact=touches["since"],
        contacts_30d=touches["contacts_30d"],
        touches_30d=touches["touches_30d"],
        cool_off=touches["cool_off"],
        last_kind=touches["last_kind"],
        urged=_has(index, inputs.urged["member_id"]),
        guide_ids=owners["guide_ids"],
        store_ids=owners["store_ids"],
        capacity=np.where(owners["active"], np.maximum(capacity, 0), 0).astype(np.int64),
    )
