"""What was shown and what members did next in; click-through, acceptance and what other shares of exploration bring, out.

Every figure is recomputed from the exposure log and the events: nothing is counted while serving. A click is a view of
the item within a day of being shown, an acceptance an order of it within a week; each counts for the newest time that the
item was shown to the member before, whatever others looked at since. Only lists whose day, or week, is over are counted.
"""

from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from features.errors import NotEnoughData
from outreach.off_policy import Logged, evaluate

CLICK_WITHIN = timedelta(days=1)
ORDER_WITHIN = timedelta(days=7)
# What may follow: its column, the kind of event, how its other figures are called, and how long it is waited for.
FOLLOWING = (("clicked", "view", "click", CLICK_WITHIN), ("accepted", "order", "acceptance", ORDER_WITHIN))
# Whose exposures are the members' own: what a guide or head office looks at is no exposure of a member.
SEEN_BY_MEMBERS = ("app",)
EXPLORED = "explore"
# The other policies that the log is asked about: the share of lists with an item that nobody has bought yet.
ASKED: dict[str, float | None] = {"never": 0.0, "twice_as_often": None, "always": 1.0}

Bools = NDArray[np.bool_]


def exposure_report(
    shown: pd.DataFrame, events: pd.DataFrame, *, known_until: datetime, seed: int = 0
) -> dict[str, Any]:
    """The summary of a time, as plain data for JSON.

    shown: request_id, at, member_id, slate, personalised, role, model, items, rungs, propensities (lists of one length),
    explore_share (P(an explored item), 0 where none could be drawn). events: member_id, item_id, kind (view, order), at;
    whatever happened before known_until is among them. What followed is counted over the lists whose time for it ended
    before known_until. Figures are null where no event of that kind is known at all (nothing was told, which is not the
    same as nothing happened), and on lists that no member saw.
    """
    shown = shown.reset_index(drop=True)
    places = places_of(shown)
    own = places[places["role"].isin(SEEN_BY_MEMBERS)].reset_index(drop=True)
    told = {name: bool((events["kind"] == kind).any()) for name, kind, *_ in FOLLOWING}
    for name, kind, figure, within in FOLLOWING:
        own[name] = followed(own, events[events["kind"] == kind], within)
        own[f"{figure}_over"] = own["at"] + pd.Timedelta(within) < pd.Timestamp(known_until)
    return {
        "click_within_days": CLICK_WITHIN.days,
        "order_within_days": ORDER_WITHIN.days,
        "seen_by_members": _counts(own, told, shown[shown["role"].isin(SEEN_BY_MEMBERS)]),
        "lists": [
            {"slate": str(slate), "role": str(role), "personalised": bool(own_list), "model": str(model)}
            | (
                _counts(_of(own, lists), told, lists)
                if role in SEEN_BY_MEMBERS
                else _counts(_of(places, lists), {}, lists)
            )
            for (slate, role, own_list, model), lists in shown.groupby(_LIST)
        ],
        "rungs": [{"rung": str(rung), **_counts(rows, told)} for rung, rows in own.groupby("rung")],
        "exploration": exploration(own, told, seed=seed),
    }


_LIST = ["slate", "role", "personalised", "model"]


def places_of(shown: pd.DataFrame) -> pd.DataFrame:
    """One row per place shown, in the order of the log: the request's columns, place (1 = first), item_id, rung, propensity."""
    size = shown["items"].map(len).to_numpy(np.int64)
    request = np.repeat(np.arange(len(shown)), size)
    rows = shown.iloc[request].reset_index(drop=True)
    starts = np.cumsum(size) - size

    def flat(name: str) -> list[Any]:
        return [value for values in shown[name] for value in values]

    return pd.DataFrame(
        {
            "request": request,
            "at": pd.to_datetime(rows["at"]).astype("datetime64[ns]"),
            **{name: rows[name] for name in ("member_id", "explore_share", *_LIST)},
            "place": np.arange(len(rows)) - np.repeat(starts, size) + 1,
            "item_id": np.array(flat("items"), dtype=object),
            "rung": np.array(flat("rungs"), dtype=object),
            "propensity": np.array(flat("propensities"), dtype=np.float64),
        }
    )


def followed(places: pd.DataFrame, events: pd.DataFrame, within: timedelta) -> Bools:
    """Which places were followed by an event of the same member and item; each event counts for the newest place only."""
    hit = np.zeros(len(places), bool)
    if not len(places) or not len(events):
        return hit
    key = ["member_id", "item_id"]
    left = pd.DataFrame({name: events[name].to_numpy(object) for name in key})
    left["at"] = pd.to_datetime(events["at"]).to_numpy("datetime64[ns]")
    right = places[[*key, "at"]].assign(row=np.arange(len(places)))
    right = right[right["member_id"] != ""]
    found = pd.merge_asof(
        left.sort_values("at", kind="stable"),
        right.sort_values("at", kind="stable"),
        on="at",
        by=key,
        tolerance=pd.Timedelta(within),
    )
    hit[found["row"].dropna().to_numpy(np.int64)] = True
    return hit


def exploration(places: pd.DataFrame, told: dict[str, bool], *, seed: int = 0) -> dict[str, Any]:
    """How often exploring was possible and happened, and what exploring more or less would bring at that place.

    A list that could explore has one place that was drawn: with its logged chance an item that nobody has bought yet,
    evenly among those that the rules allow, else the usual one. The estimate is the self-normalised one of
    `outreach.off_policy`, per shown list whose time for what is asked about is over, refused below an effective sample of 5 %.
    """
    drawn = places[(places["explore_share"] > 0) & (places["propensity"] < 1) & (places["member_id"] != "")]
    listed = (drawn["rung"] == EXPLORED).to_numpy(bool)
    share = drawn["explore_share"].to_numpy(np.float64)
    answer: dict[str, Any] = {
        "lists": len(drawn),
        "explored": int(listed.sum()),
        "expected": round(float(share.sum()), 2),
        "off_policy": [],
    }
    if not len(drawn):
        return answer
    member = np.unique(drawn["member_id"].to_numpy(str), return_inverse=True)[1].astype(np.int64)
    for reward, _, figure, _ in FOLLOWING:
        over = drawn[f"{figure}_over"].to_numpy(bool)
        if not told[reward] or not over.any():
            continue
        log = Logged(member[over], listed[over], share[over], drawn[reward].to_numpy(np.float64)[over])
        for name, fixed in ASKED.items():
            target = np.minimum(2 * share[over], 1.0) if fixed is None else np.full(int(over.sum()), fixed)
            row: dict[str, Any] = {"reward": reward, "explore": name}
            try:
                found = evaluate(log, target, seed)
                row |= {"estimate": asdict(found.snips), "effective_rows": round(found.effective_rows, 1)}
            except NotEnoughData as error:
                row |= {"estimate": None, "refused": str(error)}
            answer["off_policy"].append(row)
    return answer


def _of(places: pd.DataFrame, lists: pd.DataFrame) -> pd.DataFrame:
    """The places of some of the lists shown."""
    return places[places["request"].isin(lists.index)]


def _counts(rows: pd.DataFrame, told: dict[str, bool], lists: pd.DataFrame | None = None) -> dict[str, Any]:
    """Lists, places, and what followed in the lists whose time for it is over, with rates per place of a known member.

    lists: the lists shown, where those without any item are counted as well. `click_lists` and `click_places` (and
    those of acceptance) are what the count and the rate are over; anonymous places can be followed by nothing known.
    """
    named = rows[rows["member_id"] != ""]
    answer: dict[str, Any] = {
        "lists": int(rows["request"].nunique()) if lists is None else len(lists),
        "empty_lists": 0 if lists is None else int((lists["items"].map(len) == 0).sum()),
        "places": len(rows),
        "anonymous_places": len(rows) - len(named),
    }
    for name, _, figure, _ in FOLLOWING:
        keys = (f"{figure}_lists", f"{figure}_places", name, f"{figure}_rate")
        values: tuple[float | None, ...] = (None, None, None, None)
        if told.get(name):
            over = named[named[f"{figure}_over"]]
            n = int(over[name].sum())
            values = int(over["request"].nunique()), len(over), n, round(n / len(over), 6) if len(over) else None
        answer |= dict(zip(keys, values, strict=True))
    return answer
