"""A member in; out: everything that is held about them, in the release and in the ledger."""

from typing import Any

import numpy as np

from serving.access import Caller
from serving.answers.members import find_member, member_answer
from serving.releases import Served
from serving.runtime import Runtime
from training.release_rows import said_number


def export_answer(runtime: Runtime, caller: Caller, member_id: str) -> dict[str, Any]:
    """The answer of GET /v1/members/{id}/export: the card, what models read and said, item lists, every ledger row.

    Rows that were written under an old card's number are the member's as well.
    """
    served, row, _ = find_member(runtime, caller, member_id)
    card = member_answer(runtime, caller, member_id)
    ledger: dict[str, list[dict[str, Any]]] = {}
    member = served.canonical(member_id)
    for name in (member, *sorted(old for old, new in served.release.aliases.items() if new == member)):
        for table, rows in runtime.ledger.export(name).items():
            ledger.setdefault(table, []).extend(rows)
    return {"member": card, **_in_release(served, row), "ledger": ledger}


def _in_release(served: Served, row: int) -> dict[str, Any]:
    release = served.release
    items = release.items
    return {
        "profile": dict(zip(served.columns, _plain(release.vectors[row]), strict=True)),
        "predictions": {
            name: None if value is None else said_number(name, value)
            for name in release.predictions
            for value in [release.prediction(name, row)]
        },
        "labels": {name: release.label(name, row) for name in release.codes},
        "curve": dict(zip(map(str, release.grid_days.tolist()), _plain(release.curves[row]), strict=True)),
        "item_lists": {
            name: [_item(served, code) for code in codes[row] if code >= 0] for name, codes in items.slates.items()
        },
        "bought_items": [_item(served, code) for code in items.owned(row)],
    }


def _item(served: Served, code: int) -> dict[str, Any]:
    said = served.items_said[int(code)]
    return {"item_id": said["item_id"], "title": said["title"]}


def _plain(values: Any) -> list[float | None]:
    return [float(value) if np.isfinite(value) else None for value in values]
