"""Forgetting a member over HTTP: the same work as `huitou forget`, and the worker moves to the rewritten release."""

from typing import Any

from features.errors import InputError
from outreach.forgetting import forget_everywhere
from serving.carried import places_of
from serving.errors import not_found
from serving.runtime import Runtime


def forget_member(runtime: Runtime, member_id: str) -> dict[str, Any]:
    """Forget a member everywhere and return the receipt. Raises 404 where nothing is held of the id."""
    runtime.journal.flush()
    try:
        receipt = forget_everywhere(runtime.ledger, places_of(runtime.place), member_id, at=runtime.now())
    except InputError as error:
        raise not_found("member", member_id) from error
    runtime.look()
    return receipt
