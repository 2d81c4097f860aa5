"""Recommendations with a context, items beside an item, and the members whom an item may interest."""

from typing import Annotated

from fastapi import Query
from starlette.responses import Response

from serving.answers.beside import related
from serving.answers.lists import store_of_caller
from serving.answers.slates import MOST, recommendations
from serving.answers.telling import members_for_item
from serving.routes.shared import Asked, State, audit, router, said
from serving.schemas import Id, ItemMembersAnswer, ItemsAnswer, RecommendationAnswer, RecommendationPost

routes = router("items")
Count = Annotated[int, Query(ge=1, le=MOST)]
Store = Annotated[Id | None, Query(description="leaves out what this store has none of; the caller's own by default")]


@routes.post("/v1/recommendations", response_model=RecommendationAnswer)
async def recommend(body: RecommendationPost, runtime: State, call: Asked) -> Response:
    """Items for a member, a basket or an item being looked at, as of this moment.

    What the member viewed, bought or brought back since the night is folded in. Every place names the rung that filled
    it, and `short` counts the places that nothing allowed could fill.
    """
    answer = recommendations(
        runtime,
        runtime.live.look(),  # the body may have taken its time
        call.who,
        body.member_id,
        slate=body.slate,
        n=body.n,
        store_id=body.store_id,
        personalised=body.personalised,
        basket=body.basket,
        item_id=body.item_id,
        request_id=call.request_id,
    )
    audit(runtime, call, "member.recommendations" if body.member_id else "recommendations", body.member_id or "")
    return said(answer)


@routes.get("/v1/items/{item_id}/similar", response_model=ItemsAnswer)
def similar(item_id: Id, runtime: State, call: Asked, n: Count = 10, store_id: Store = None) -> Response:
    """Items bought by the same members, under the shop's rules; the same for all members."""
    store_id = store_id or store_of_caller(runtime, call.who)
    return said(related(runtime, call.live, item_id, "similar", n, store_id))


@routes.get("/v1/items/{item_id}/bought-together", response_model=ItemsAnswer)
def together(item_id: Id, runtime: State, call: Asked, n: Count = 10, store_id: Store = None) -> Response:
    """Items bought on the same visit, under the shop's rules; the same for all members."""
    store_id = store_id or store_of_caller(runtime, call.who)
    return said(related(runtime, call.live, item_id, "together", n, store_id))


@routes.get("/v1/items/{item_id}/members", response_model=ItemMembersAnswer)
def members(
    item_id: Id,
    runtime: State,
    call: Asked,
    n: Count = 20,
    guide_id: Annotated[Id | None, Query(description="whose members; a guide's own by default")] = None,
    store_id: Annotated[Id | None, Query(description="which store's members; a manager's own by default")] = None,
) -> Response:
    """Whom to tell about an item: members of the guide or the store who may be contacted and have not just bought it."""
    answer = members_for_item(runtime, call.live, call.who, item_id, n=n, guide_id=guide_id, store_id=store_id)
    audit(runtime, call, "item.members", detail=f"{item_id} {len(answer['members'])}"[:500])
    for member in answer["members"]:
        audit(runtime, call, "member.listed_for_item", member["member_id"], item_id)
    return said(answer)
