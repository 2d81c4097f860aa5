"""What was shown and what members did next in; click-through, acceptance and what other shares of exploration bring, out.

Every figure is recomputed from the exposure log and the events: nothing is counted while serving. A click is a view of
the item within a day of being shown, an acceptance an order of it within a week; each counts for the newest time that the
item was shown to the member before.
"""

from dataclasses import asdict
from datetime import timedelta
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from features.errors import NotEnoughData
from outreach.off_policy import Logged, evaluate

CLICK_WITHIN = timedelta(days=1)
ORDER_WITHIN = timedelta(days=7)
# Whose exposures are the members' own: what a guide or head office looks at is no exposure of a member.
SEEN_BY_MEMBERS = ("app",)
EXPLORED = "explore"
# The other policies that the log is asked about: the share of lists with an item that nobody has bought yet.
ASKED: dict[str, float | None] = {"never": 0.0, "twice_as_often": None, "always": 1.0}

Bools = NDArray[np.bool_]


def exposure_report(shown: pd.DataFrame, events: pd.DataFrame, *, seed: int = 0) -> dict[str, Any]:
    """The summary of a time, as plain data for JSON.

    shown: request_id, at, member_id, slate, personalised, role, model, items, rungs, propensities (lists of one length),
    explore_share (P(an explored item), 0 where none could be drawn). events: member_id, item_id, kind (view, order), at.
    Rates are null where no event of that kind is known at all: nothing was told, which is not the same as nothing happened.
    """
    places = places_of(shown)
    for name, kind, within in (("clicked", "view", CLICK_WITHIN), ("accepted", "order", ORDER_WITHIN)):
        places[name] = followed(places, events[events["kind"] == kind], within)
    told = {name: bool((events["kind"] == kind).any()) for name, kind in (("clicked", "view"), ("accepted", "order"))}
    own = places[places["role"].isin(SEEN_BY_MEMBERS)]
    return {
        "click_within_days": CLICK_WITHIN.days,
        "order_within_days": ORDER_WITHIN.days,
        "seen_by_members": _counts(own, told),
        "lists": [
            {"slate": str(slate), "role": str(role), "personalised": bool(own_list), "model": str(model)}
            | _counts(rows, told)
            for (slate, role, own_list, model), rows in places.groupby(_LIST)
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
    `outreach.off_policy`, per shown list, refused below an effective sample of 5 %.
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
    for reward in ("clicked", "accepted"):
        if not told[reward]:
            continue
        log = Logged(member, listed, share, drawn[reward].to_numpy(np.float64))
        for name, fixed in ASKED.items():
            target = np.minimum(2 * share, 1.0) if fixed is None else np.full(len(share), fixed)
            row: dict[str, Any] = {"reward": reward, "explore": name}
            try:
                found = evaluate(log, target, seed)
                row |= {"estimate": asdict(found.snips), "effective_rows": round(found.effective_rows, 1)}
            except NotEnoughData as error:
                row |= {"estimate": None, "refused": str(error)}
            answer["off_policy"].append(row)
    return answer


def _counts(rows: pd.DataFrame, told: dict[str, bool]) -> dict[str, Any]:
    """Lists, places, clicks and orders with their rates per place; anonymous places can be followed by nothing known."""
    named = rows[rows["member_id"] != ""]
    answer: dict[str, Any] = {
        "lists": int(rows["request"].nunique()),
        "places": len(rows),
        "anonymous_places": len(rows) - len(named),
    }
    for name, rate in (("clicked", "click_rate"), ("accepted", "acceptance_rate")):
        n = int(named[name].sum())
        answer[name] = n if told[name] else None
        answer[rate] = round(n / len(named), 6) if told[name] and len(named) else None
    return answer
