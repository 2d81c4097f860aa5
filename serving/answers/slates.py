"""A member, a basket and a store in, items to show out: the release's lists with what happened since, under the shop's rules."""

from collections.abc import Iterable, Iterator, Sequence, Set
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from outreach.ledger.live import Live
from serving.access import Caller
from serving.answers.exploring import EXPLORE, Explored, explore, unexplored
from serving.answers.happened import NOTHING, Since, reason_today, since_release
from serving.answers.lists import store_of_caller
from serving.answers.members import find_member, versions
from serving.errors import ApiError
from serving.item_methods import popular
from serving.releases import Served
from serving.runtime import Runtime
from training.recommend.rules import Compiled, Rung, Shown, apply_rules, fold_in
from training.release import NEVER_SCORED

SLATES = ("again", "new", "mixed")
MOST = 50
# What is said where nothing allowed is left for some of the n places, and where the release has fewer than n to offer.
WHY_SHORT = "rules_and_stock_leave_too_few"
TOO_FEW_KNOWN = "too_few_known"
PINNED = {"code": "PINNED", "zh": "本店推荐", "en": "picked by the shop"}
POPULAR = {"code": "POPULAR", "zh": "本店热销", "en": "popular here"}
BRAND_POPULAR = {"code": "POPULAR", "zh": "本品牌热卖", "en": "popular in the brand"}
ON_SALE = {"code": "on_sale", "zh": "本品牌在售", "en": "on sale in the brand"}
EXPLORING = {"code": "explore", "zh": "换个新鲜的试试", "en": "Something new to try"}
TOGETHER = {"code": "together", "zh": "常与{item}一起买", "en": "Often bought together with {item}"}
SIMILAR = {"code": "similar", "zh": "与{item}相近", "en": "Close to {item}"}
# Lists of whoever may not be given anything chosen for them: equal for all, whatever else is known.
IMPERSONAL = frozenset({"not_personalised", "opted_out", "not_scored"})
# The rung of items that a basket, an item looked at or an event since the release brought in.
CONTEXT = "context"


def recommendations(
    runtime: Runtime,
    live: Live,
    caller: Caller,
    member_id: str | None,
    *,
    slate: str = "mixed",
    n: int = 10,
    store_id: str | None = None,
    personalised: bool = True,
    basket: Sequence[str] = (),
    item_id: str | None = None,
    request_id: str = "",
) -> dict[str, Any]:
    """The answer of GET /v1/members/{id}/recommendations and of POST /v1/recommendations; logs what it shows.

    Not personalised (asked for, opted out, a minor) means: the store's popular list, equal for all. A member nobody knows,
    or none at all, gets what goes with the basket and the item looked at, then the popular list. Without store_id the
    caller's store counts, else the member's own, which is never looked up for a list that is equal for all.
    """
    served, at = runtime.served, runtime.now()
    row, reason = None, "no_member" if personalised else "not_personalised"
    store_id = store_id or store_of_caller(runtime, caller)
    since = NOTHING
    if member_id is not None:
        member_id = served.canonical(member_id)
        row = served.release.index(member_id)
        if caller.role in ("guide", "manager"):
            served, row, _ = find_member(runtime, caller, member_id, live)
        now = live.member(member_id)
        reason = ""
        if row is None or now.forgotten:
            row, reason = None, "unknown_member"
        if not personalised:
            reason = reason or "not_personalised"
        elif not now.standing(at).personalised:
            # A member whom no release knows yet may have refused already.
            reason = "opted_out"
        elif row is not None and served.release.kind[row] == NEVER_SCORED:
            reason = "not_scored"
        else:
            since = since_release(served, now.happened, at)
    impersonal = not personalised or reason in IMPERSONAL
    carried = [] if impersonal else [one for one in (item_id, *basket) if one is not None]
    if not store_id and row is not None and not impersonal:
        store_id = served.release.card(row).get("store_id")
    code_of = served.release.items.code_of
    context = list(dict.fromkeys(code_of[one] for one in carried if one in code_of))
    sold_out = codes_of(served, live.sold_out(store_id)) if store_id else set()
    made = _Making(
        served,
        runtime.shop_rules.compiled(runtime.ledger, live, served, at.date()),
        slate,
        n,
        store_id or "",
        NOTHING if impersonal else since,
        context,
        sold_out | set(context) | (set() if impersonal else since.hidden),
    )
    found = None
    if row is not None and not reason:
        found = made.own(row)
        if not any(rung != "pin" for rung in found.shown.rungs):
            known = bool((served.release.items.slates[slate][row] >= 0).any())
            found, reason = None, "nothing_allowed" if known else "no_history"
        elif caller.role == "app" and slate != "again":
            settings = runtime.settings
            drawn = explore(
                found.shown,
                served.cold_allowed(made.rules),
                made.rules,
                made.hidden,
                settings.explore_share,
                settings.explore_seed,
                request_id,
            )
            found = _Found(drawn, found.places, found.rung_name)
    if found is None:
        found = made.popular(impersonal)
    made_by = popular(reason) if reason or row is None else served.item_methods.of_member(slate, row)
    items = made.items(found, row if not reason else None, caller.sees_scores and made_by.chances)
    answer = {
        "request_id": request_id,
        "member_id": member_id,
        "slate": slate,
        "personalised": not reason,
        "store_id": store_id,
        "items": items,
        "short": found.shown.short,
        "why_short": made.why_short(None if reason else row) if found.shown.short else None,
        "context": [served.release.items.item_ids[code] for code in context],
        "unknown_items": sorted({one for one in carried if one not in code_of}),
        **versions(served, "items"),
        **made_by.said,
    }
    runtime.metrics.answered("items", answer["source"])
    runtime.journal.exposure(
        {
            "request_id": request_id,
            "at": at,
            "member_id": member_id or "",
            "store_id": store_id or "",
            "slate": slate,
            "personalised": not reason,
            "release_id": served.release.release_id,
            "role": caller.role,
            "model": made_by.model,
            "items": [item["item_id"] for item in items],
            "rungs": [item["rung"] for item in items],
            "propensities": found.explored.propensities,
            "explore_share": found.explored.share,
        }
    )
    return answer


@dataclass(frozen=True, slots=True)
class _Found:
    """A list with its chances; places: code -> place in the release's list; rung_name: what that list is called."""

    explored: Explored
    places: dict[int, int]
    rung_name: str

    @property
    def shown(self) -> Any:
        return self.explored.shown


@dataclass(frozen=True, slots=True)
class _Making:
    """What a list is made from. context: codes of the basket and the item looked at; hidden: codes not to be shown."""

    served: Served
    rules: Compiled
    slate: str
    n: int
    store_id: str
    since: Since
    context: list[int]
    hidden: set[int] | frozenset[int]

    @property
    def recent(self) -> list[int]:
        """What to fold in, newest first: the basket of this moment before the events of the last days."""
        return list(dict.fromkeys([*self.context, *self.since.recent]))

    def own(self, row: int) -> _Found:
        """The member's own list with what happened since, then what fills any list.

        The list to buy again is not filled up: what was never bought does not belong there.
        """
        arrays = self.served.release.items
        codes = arrays.slates[self.slate][row]
        places = {code: place for place, code in enumerate(codes.tolist()) if code >= 0}

        def ladder() -> Iterator[Rung]:
            own = self.folded(codes)
            if self.slate == "again":
                own = _only(own, np.isin(own.codes, codes))
            elif self.slate == "new" and self.recent:
                own = _only(own, ~np.isin(own.codes, self.bought(row)))
            yield own
            if not len(own.codes):
                return  # nothing of the member's own: not a list of theirs, whatever would fill it
            if self.slate == "mixed":
                yield from self.filling()
            elif self.slate == "new":
                bought = self.bought(row)
                for rung in self.filling():
                    yield _only(rung, ~np.isin(rung.codes, bought))

        hidden = self.hidden | self.since.bought if self.slate == "new" else self.hidden
        if not self.recent and self.served.rules_only_filter(self.rules):
            shown = first_allowed(codes, self.n, self.rules, hidden)
            if not shown.short:
                return _Found(unexplored(shown), places, self.served.item_rung(row))
        shown = apply_rules(ladder(), self.n, self.rules, hidden=hidden)
        return _Found(unexplored(shown), places, self.served.item_rung(row))

    def bought(self, row: int) -> np.ndarray:
        """Codes of what the member ever bought, as far as the release says."""
        arrays = self.served.release.items
        owned = arrays.owned(row)
        if not owned.size:
            owned = arrays.slates["again"][row]
        return owned

    def filling(self) -> Iterator[Rung]:
        """What sells in the store and in the brand, then everything on sale: the same for all members of a store."""
        yield from self.served.popular_rungs(self.store_id)
        if self.rules.catalogue is not None:
            yield self.rules.catalogue

    def why_short(self, row: int | None) -> str:
        """Why places stay empty on a member's own list, or (None) on the popular one."""
        arrays = self.served.release.items
        known = len(arrays.item_ids)
        if row is not None and self.slate == "again":
            known = int((arrays.slates["again"][row] >= 0).sum())
        elif row is not None and self.slate == "new":
            known -= len({code for code in self.bought(row).tolist() if code >= 0})
        return WHY_SHORT if known >= self.n else TOO_FEW_KNOWN

    def popular(self, impersonal: bool) -> _Found:
        """What fills any list; before that what goes with the basket, for whom that is allowed."""
        rungs = [] if impersonal or not self.recent else [self.folded(())]
        shown = apply_rules([*rungs, *self.filling()], self.n, self.rules, hidden=self.hidden)
        return _Found(unexplored(shown), {}, "own")

    def folded(self, codes: Any) -> Rung:
        """A list of the release with what is like, or bought with, the recent items moved up or joined."""
        recent = self.recent
        if not recent:
            return Rung.of("own", codes)
        arrays = self.served.release.items
        return fold_in(codes, None, recent, arrays.similar, arrays.together, stay=self.since.recent)

    def items(self, found: _Found, row: int | None, scores: bool) -> list[dict[str, Any]]:
        """The list as the interface shows it: a rung and a reason each, and chances where `scores`."""
        served, slate = self.served, self.slate
        arrays = served.release.items
        items: list[dict[str, Any]] = []
        if row is not None:
            parts = (arrays.due_days, arrays.because[slate], arrays.reasons[slate], arrays.scores[slate])
            dues, becauses, reasons, points = (part[row].tolist() for part in parts)
        for code, rung in zip(found.shown.codes.tolist(), found.shown.rungs, strict=True):
            item = item_said(served, code, len(items) + 1)
            place = found.places.get(code) if row is not None and rung not in ("pin", EXPLORE) else None
            if place is not None and row is not None:
                due = self.since.due_days(code, dues[place]) if slate == "again" else -1
                item["rung"] = found.rung_name
                item["due_days"] = None if due == -1 else due
                told = reason_today(served, reasons[place], item["due_days"])
                item["reason"] = served.item_reason(told, becauses[place], item["due_days"])
                if scores:
                    item["score"] = points[place]
            elif rung == "own":
                item["rung"], item["reason"] = CONTEXT, self.context_reason(code)
            else:
                item["rung"], item["reason"] = rung, _WHY[rung]
            items.append(item)
        return items

    def context_reason(self, code: int) -> dict[str, str]:
        """Which of the recent items brought this one in: bought with it, else close to it; the newest first."""
        arrays = self.served.release.items
        for table, words in ((arrays.together, TOGETHER), (arrays.similar, SIMILAR)):
            for source in self.recent:
                if code in table[source]:
                    title = self.served.items_said[source]["title"] or arrays.item_ids[source]
                    return {"code": words["code"], **{name: words[name].format(item=title) for name in ("zh", "en")}}
        return POPULAR


def first_allowed(codes: NDArray[np.int32], n: int, rules: Compiled, hidden: Set[int]) -> Shown:
    """What `apply_rules` makes of one list where no rule does more than filter, in a fifth of its time: most requests."""
    able = rules.by_code[0]
    kept: dict[int, int] = {}
    for place, code in enumerate(codes.tolist()):
        if code >= 0 and able[code] and code not in hidden:
            kept.setdefault(code, place)
    shown = list(kept)[:n]
    scores = np.array([1.0 / (kept[code] + 2) for code in shown], np.float32)
    return Shown(np.array(shown, np.int32), scores, ("own",) * len(shown), n - len(shown))


_WHY = {"pin": PINNED, EXPLORE: EXPLORING, "store": POPULAR, "brand": BRAND_POPULAR, "catalogue": ON_SALE}


def _only(rung: Rung, kept: Any) -> Rung:
    return replace(rung, codes=rung.codes[kept], scores=rung.scores[kept])


def codes_of(served: Served, item_ids: Iterable[str]) -> set[int]:
    """Codes of those of the items that the release knows."""
    code_of = served.release.items.code_of
    return {code_of[item_id] for item_id in item_ids if item_id in code_of}


def item_said(served: Served, code: int, rank: int) -> dict[str, Any]:
    """An item as every item list shows it. No price: one item has one price, and it is not ours to say."""
    return {**served.items_said[code], "rank": rank}


def count_of(said: str | None, default: int = 10) -> int:
    """`n` of a query: 1 to 50."""
    if said is None:
        return default
    if not said.isascii() or not said.isdigit() or not 1 <= int(said[:6]) <= MOST:
        raise ApiError(400, "invalid_request", f"n must be a whole number from 1 to {MOST}", {"n": said[:40]})
    return int(said)


def flag_of(name: str, said: str | None, default: bool) -> bool:
    """A yes or no of a query."""
    if said is None:
        return default
    if said.lower() not in ("true", "false", "1", "0"):
        raise ApiError(400, "invalid_request", f"{name} must be true or false", {name: said[:40]})
    return said.lower() in ("true", "1")
