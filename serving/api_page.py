"""The table of routes in, `docs/http-api.md` out: run `python -m serving.api_page > docs/http-api.md`."""

from outreach.ledger.outcomes import BLOCKS, OUTCOMES
from outreach.list_rules import LIST_RULES
from serving.access import ROUTES
from serving.answers.shop_rules import ATTRIBUTES
from serving.routes.operation import NEEDED, RULES

_HEAD = """# The HTTP interface

One service, two doors on one port: the REST app for guides, managers, the mini-program and operators, and BentoML's typed
bulk calls. `huitou serve` starts both; `/docs` and `/openapi.json` describe every field, from our own files.

- **Who calls.** `Authorization: Bearer ht_…`, made by `huitou token create ROLE` and shown once; only its hash is kept.
  Pages exchange the token for an HttpOnly cookie. A revoked or expired token fails on the next call.
- **Who may see whom.** A guide sees own members and those on the own list, a manager the own store. A member of somebody
  else answers 404, exactly as one that does not exist; an action that a role may not do answers 403.
- **Numbers.** Probabilities, scores and propensities go to analyst, operator and admin; a guide gets bands and sentences.
- **Errors** have one shape: `{"error": {"code", "message", "detail"}}`. A request that does not fit is 400, a body beyond
  the limit 413, too many requests 429 with `Retry-After`.
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

_BULK = """
## Bulk calls

`POST /churn`, `/next_purchase`, `/value`, `/recommend` take up to 1,000 member ids and answer one row each in the order
asked, with an `error` per id where there is none to give (not_found, no_purchase, not_scored). With BentoML's client:

    import bentoml
    client = bentoml.SyncHTTPClient("http://127.0.0.1:3000", token="ht_…")
    client.churn(member_ids=["m01", "m02"], horizon_days=60)

Answers are read from the release. `churn` with `"computed": true` asks the release's curve model again, from the members'
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
may be left out; a factor above 1 boosts, below 1 buries. Off the shelf, sold out in the store or just bought is never
shown, not even when pinned. Places that nothing allowed fills are counted in `short`. A rule that names a price, an
unknown attribute or an unknown item is refused with 400. Suggestions on contact lists were chosen in the night and do not
follow these rules.
"""


def api_page() -> str:
    """The page as Markdown."""
    lines = [_HEAD]
    for route in ROUTES:
        roles = "anyone" if route.roles is None else ", ".join(sorted(route.roles))
        lines.append(f"| {route.method} | `{route.template}` | {roles} |\n")
    lines.append(_BULK)
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
