"""An item in, the items beside it out: similar ones, or those bought on the same visit, under the shop's rules and stock."""

from dataclasses import replace
from typing import Any

from outreach.ledger.live import Live
from serving.answers.members import versions
from serving.answers.slates import TOO_FEW_KNOWN, WHY_SHORT, codes_of, item_said
from serving.errors import not_found
from serving.runtime import Runtime
from training.recommend.rules import Rung, apply_rules


def related(
    runtime: Runtime, live: Live, item_id: str, which: str, n: int, store_id: str | None = None
) -> dict[str, Any]:
    """Items `similar` to an item or bought `together` with it, the same for everybody.

    Filters, boosts, caps, shelf and the store's stock hold; pins belong to members' lists and stand in none of these.
    Where fewer than n are left, `short` counts the places and `why_short` says whether rules took them or nothing is known.
    """
    served = runtime.served
    arrays = served.release.items
    code = arrays.code_of.get(item_id)
    if code is None:
        raise not_found("item", item_id)
    rules = replace(runtime.shop_rules.compiled(runtime.ledger, live, served, runtime.now().date()), pins=())
    hidden = {code} | (codes_of(served, live.sold_out(store_id)) if store_id else set())
    rung = Rung.of(which, getattr(arrays, which)[code])
    shown = apply_rules([rung], n, rules, hidden=hidden)
    why = None
    if shown.short:
        why = WHY_SHORT if len(rung.codes) >= n else TOO_FEW_KNOWN
    return {
        "item_id": item_id,
        "store_id": store_id,
        "items": [item_said(served, one, rank) | {"rung": which} for rank, one in enumerate(shown.codes.tolist(), 1)],
        "short": shown.short,
        "why_short": why,
        **versions(served, "items"),
    }
