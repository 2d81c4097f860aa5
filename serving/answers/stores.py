"""A store and a day in, its guides out: who works, who is on leave, and how far each list is."""

import datetime as dt
from collections import Counter
from typing import Any

from serving.errors import not_found
from serving.runtime import Runtime


def store_guides(runtime: Runtime, store_id: str, date: dt.date | None = None) -> dict[str, Any]:
    """The answer of GET /v1/stores/{id}/guides; the newest day with lists by default."""
    ledger, served = runtime.ledger, runtime.served
    date = date or ledger.newest_date(None, runtime.now().date())
    heads = {head["guide_id"]: head for head in ledger.heads_of_store(store_id, date)} if date else {}
    tasks = ledger.tasks_of_store(store_id, date) if date else []
    known = {guide: row for guide, row in served.guides.items() if str(row.get("store_id")) == store_id}
    if not known and not heads and store_id not in served.stores:
        raise not_found("store", store_id)
    total = Counter(task["guide_id"] for task in tasks)
    done = Counter(task["guide_id"] for task in tasks if task["state"] != "pending")
    away = set(ledger.on_leave(runtime.now().date()))
    guides = []
    for guide_id in sorted({*known, *heads, *total}):
        row = known.get(guide_id, {})
        if row.get("status") == "left" and not total[guide_id]:
            continue
        guides.append(
            {
                "guide_id": guide_id,
                "name": row.get("name") or row.get("display_name"),
                "role": row.get("role"),
                "status": row.get("status"),
                "on_leave": guide_id in away or row.get("status") == "leave",
                "capacity": heads[guide_id]["capacity"] if guide_id in heads else row.get("daily_capacity"),
                "tasks": total[guide_id],
                "done": done[guide_id],
            }
        )
    name = served.stores.get(store_id, {}).get("name")
    return {"store_id": store_id, "name": name, "date": date, "guides": guides}
