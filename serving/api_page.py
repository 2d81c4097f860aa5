"""The table of routes in, `docs/http-api.md` out: run `python -m serving.api_page > docs/http-api.md`."""

from outreach.ledger.outcomes import BLOCKS, OUTCOMES
from outreach.list_rules import LIST_RULES
from serving.access import ROUTES
from serving.answers.exploring import WITHIN_PLACES
from serving.answers.happened import DUE_WITHIN_DAYS, LEAST_REST, LONGEST_DAYS, REST_DAYS
from serving.answers.shop_rules import ATTRIBUTES
from serving.answers.telling import REST_DAYS as REST_DAYS_BETWEEN
from serving.routes.operation import NEEDED, RULES
from training.recommend.rules import RETURN_REST_DAYS

_HEAD = """# The HTTP interface

One service, two doors on one port: the REST app for guides, managers, the mini-program and operators, and BentoML's typed
bulk calls. `huitou serve` starts both; `/docs` and `/openapi.json` describe every field, from our own files.

- **Who calls.** `Authorization: Bearer ht_…`, made by `huitou token create ROLE` and shown once; only its hash is kept.
  Pages exchange the token for an HttpOnly cookie. A revoked or expired token fails on the next call.
- **Who may see whom.** A guide sees own members and those on the own list, a manager the own store. A member of somebody
  else answers 404, exactly as one that does not exist; an action that a role may not do answers 403.
- **Numbers.** Probabilities, scores and propensities go to analyst, operator and admin; a guide gets bands and sentences.
- **Errors** have one shape: `{"error": {"code", "message", "detail"}}`. A request that does not fit is 400, a body beyond
  the limit 413, too many requests 429 with `Retry-After`; while no release is loaded or the ledger cannot be reached 503.
- **Versions.** Every answer from a model says `model_version`, `as_of`, `source` (model or fallback) and the fallback's reason.
- **Times** are the brand's own clock. Inputs may carry an offset; answers carry none.
- **Opt-outs and consents** hold from the next call on. Without personalisation a member gets the store's popular list,
  equal for all. No answer holds a price.
- **Lists** carry an ETag. What happens after a list was made only removes tasks from it, so that the logged propensities
  stay true. Every view is in the audit trail; it is written within a fifth of a second.
- **Rate limits** count per token and worker process (`[serving]` in `huitou.toml`).

## Routes and roles

| method | path | roles |
|---|---|---|
"""

RUNGS = (
    "own (the release's list), context (what the basket, the item or the latest events brought in), store, level, "
    "brand, catalogue (anything else on sale), explore, pin"
)

_ITEMS = f"""
## Items for a member, a basket, or beside an item

`POST /v1/recommendations` takes a context; every field is optional:

    {{"member_id": "m01", "basket": ["i4", "i7"], "item_id": "i9", "list": "mixed", "n": 10, "store_id": "s1",
     "personalised": true}}

Items like, or bought with, the basket (newest first) and the item being looked at move up or join; they themselves are
not shown. What the service was told since the night is folded in the same way, on `GET …/recommendations` too: views,
orders, returns. An item just bought vanishes on the next call and comes back {DUE_WITHIN_DAYS:.0f} days before it is used up
(never in the first {LEAST_REST:.0%} of that time); an order event's `qty` pieces last as many cycles, for {LONGEST_DAYS:.0f} days at
most. Without a known cycle it rests {REST_DAYS} days and until the release knows of the purchase. An item brought back rests
{RETURN_REST_DAYS} days. `due_days`, and the days that a reason speaks of, count from today; 0 is due or overdue. Without a member, or for one that nobody knows, the basket and
the item speak, then the popular list. Each place names its `rung`: {RUNGS}.
A list that is not to buy again is filled up with the store's popular items, the brand's, then everything else on sale, by
baskets ever. `short` counts places that nothing allowed could fill; `why_short` says whether rules, shelf, stock and
purchases took them (`rules_and_stock_leave_too_few`) or the release has fewer than n items for the list (`too_few_known`).
`unknown_items` names what the release does not know.

Without `store_id` the stock of the caller's store holds, else that of the member's own; the answer's `store_id` names it.

`source` is `model` only where the ranker made this list for this member, else `fallback` with its reason. `method` names what
made it: `ranker`, a plain recommender (`own_counts`, `popularity`, `cosine`, …), or `popular` where it is what sells in the
store, at the level or in the brand. It may differ between lists, and between members of few and of many purchases. An item's
`score`, for analyst, operator and admin, is a calibrated probability of purchase in the next basket within the horizon; it
is null where the list was made by a plain recommender or is `popular`.

`personalised=false`, an opt-out or a minor gets the store's popular list, then the brand's, then the rest on sale, equal
for all: no context is read, nor the member's own store. Bulk `recommend` takes `personalised` as well.

Lists `similar` and `bought-together` obey filters, boosts, caps, shelf and the stock of `store_id` or the
caller's store; pins stay out of them.

`GET /v1/items/{{id}}/members` names members to tell about an item: for a guide the own ones, for a manager the store's;
head office names `guide_id` or `store_id`. First who may buy it again, those for whom it is due before the others; then those
to whose list of new items it belongs; then owners of something close; last those whose list is only what sells in their
store, level or brand. Within each, by probability where every list was made by the calibrated ranker, else by the item's
place on the member's list. Left out, and counted by reason: held out, blocked, opted out of personalisation, just bought,
contacted within `gap_days` ({REST_DAYS_BETWEEN:.0f} days without that rule), no open channel. Just bought means: bought or returned since
the night; or before it, where it lasts for more than {DUE_WITHIN_DAYS:.0f} days still, is in the first {LEAST_REST:.0%} of that time, or has no known
cycle and was bought within {REST_DAYS} days. The last two are read from the last 3 visits on the member's card: of an earlier
purchase, or of a return before the night, the release does not tell the day.

## What was shown, and exploring

Every list shown is logged: request id, items in their final order, the rung and the exact chance of each place, the model
(the list's method with its version, or `popular`), the release, the caller's role. A list in the mini-program (role app, `new` or `mixed`, personalised) tries, with chance
`explore_share` of `[serving]` in `huitou.toml`, one item that nobody has bought yet: evenly drawn among those that every
rule allows, at the last unpinned one of the first {WITHIN_PLACES} places, by a hash of `explore_seed` and the request id.
Chances are logged and never answered. `huitou exposures`, and every night, recompute from the log click-through (a view
within a day), acceptance (an order within a week) and an off-policy estimate of exploring never, twice as often, and
always, refused below an effective sample of 5 %; `GET /v1/experiments/recommendations/summary` shows the newest. What
followed is counted for the newest time that the member saw the item in the app, over lists whose day, or week, is over:
`click_lists` and `acceptance_lists` say how many (of known members), `click_places` and `acceptance_places` what the rates
are per; on lists of other roles these are null. `lists` counts every list shown, `empty_lists` those without an item. Of
another order of the usual items the log can say nothing: they are not drawn.
"""

_BULK = """
## Bulk calls

`POST /churn`, `/next_purchase`, `/value`, `/recommend` take up to 1,000 member ids and answer one row each in the order
asked, with an `error` per id where there is none to give (not_found, no_purchase, not_scored). With BentoML's client:

    import bentoml
    client = bentoml.SyncHTTPClient("http://127.0.0.1:3000", token="ht_…")
    client.churn(member_ids=["m01", "m02"], horizon_days=60)

The OpenAPI file describes these calls as well. Answers are read from the release; yuan are told to the cent, everything else
to six decimals. `churn` with `"computed": true` asks the release's curve model again, from the members'
vectors: the same figures to rounding, for whoever wants to check a release.

## Outcomes

`POST /v1/contact-outcomes` takes one outcome or `{"outcomes": […]}` with up to 500. The client makes `event_id`; sending the
same body again answers 200, another body under the same id 409. `DELETE /v1/contact-outcomes/{event_id}` takes one back.

| outcome | keeps the member off lists |
|---|---|
"""

_ITEM_RULES = f"""
`recommendations` holds for recommendations from the next call on, in every worker; putting it again replaces it whole:

    {{"only": {{"not": {{"is": ["category_l1", "样品"]}}}},
     "pins": [{{"item_id": "i7", "place": 0, "starts": "2026-03-01", "ends": "2026-03-08", "author": "…"}}],
     "weights": [{{"condition": {{"is": ["product_brand", "自有"]}}, "factor": 1.5}}],
     "caps": [{{"attribute": "category_l1", "most": 3}}]}}

Conditions are `is`, `all`, `any`, `not` over {", ".join(f"`{name}`" for name in ATTRIBUTES)}; periods include both days and
may be left out; a factor above 1 boosts, below 1 buries. Of several pins of one place the first that may be shown
stands there, the others at the next free places. A cap does not hold for items without a value of its attribute. Off the
shelf (status, `off_shelf_date`), not launched yet, a gift or sample, sold out in the store or just bought is never shown, not
even when pinned. Places that nothing allowed fills are counted in `short`. A rule that names a price, an
unknown attribute or an unknown item is refused with 400. Suggestions on contact lists follow filters, shelf and the stock of
the member's store as they stand when a list is made; pins, boosts and caps are for lists of items. Stock comes from events,
and from the contract's table `stock` whenever lists are made: the newest word of the two holds.
"""


def api_page() -> str:
    """The page as Markdown."""
    lines = [_HEAD]
    for route in ROUTES:
        roles = "anyone" if route.roles is None else ", ".join(sorted(route.roles))
        lines.append(f"| {route.method} | `{route.template}` | {roles} |\n")
    lines += [_ITEMS, _BULK]
    for outcome in OUTCOMES:
        days = BLOCKS.get(outcome, 0)
        lines.append(f"| {outcome} | {'until lifted' if days is None else f'{days} days' if days else 'no'} |\n")
    lines.append("\n## Events\n\n`POST /v1/events` takes one event or up to 500; each kind needs:\n\n")
    lines += [f"- `{kind}`: {', '.join(names)}\n" for kind, names in NEEDED.items()]
    lines.append(
        "\n## Rules\n\n`PUT /v1/rules` sets, with history: " + ", ".join(f"`{name}`" for name in sorted(RULES))
    )
    lines.append(
        ".\n\nRules of the contact lists win over `huitou.toml` when lists are next made: in the night, or by\n"
        "`POST /v1/contact-lists:regenerate`. Null takes one back.\n\n"
    )
    lines += [f"- `{name}`: {takes}\n" for name, takes in LIST_RULES.items()]
    lines.append(f"\n{_ITEM_RULES}")
    return "".join(lines)


if __name__ == "__main__":
    print(api_page(), end="")
