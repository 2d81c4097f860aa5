"""Yesterday's saved history and today's tables in; out: today's history, made anew only for the members who were touched.

    save_history(build_history(tables), folder)                     # once, or after every day
    history = extend_history(folder, tables, touched_members(changed, tables))

`tables` are the whole tables of today, `changed` the rows of the day's incremental export. Vectors of the extended history
are the same bytes as those of a history built from nothing: untouched members keep what was made of them, touched ones are
read again from their first day, and whatever depends on the whole brand is computed when vectors are.
"""

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path

import ibis
import numpy as np
import pandas as pd
from ibis.expr.types import Table

from features.errors import InputError
from features.history import History, walked_visits
from features.progress import Progress, quiet
from features.purchases import Purchases, read_members, read_purchases
from features.sides import read_sides
from features.stored import stored
from features.tables import Tables

_VERSION = 1
_PARTS = ("members", "items", "orders", "lines", "item_gone", "returns", "steady", "changing")
# Keys that mean nothing outside one history, and must not meet those of another. Stores and categories are compared
# only within a member, who has all rows from one of the two.
_KEYS = ("member", "purchase", "item")


def save_history(history: History, folder: Path) -> Path:
    """Write what extend_history needs as Parquet files into a new or empty folder; gives the folder back.

    It holds rows of members: keep it where the vectors are kept, and forget members in it too.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for name, table in _parts(history).items():
        table.to_parquet(folder / f"{name}.parquet")
    told = {
        "version": _VERSION,
        "coverage_start": str(history.coverage_start),
        "fingerprint": history.tables.fingerprint,
    }
    (folder / "history.json").write_text(json.dumps(told, indent=2) + "\n", "utf-8")
    return folder


def _parts(history: History) -> dict[str, Table]:
    p = history.purchases
    return {
        "members": p.members.select("member", "member_id"),
        "items": p.items,
        "orders": p.orders,
        "lines": p.lines,
        "item_gone": p.item_gone,
        "returns": p.returns,
        "steady": history.steady,
        "changing": history.changing,
    }


def touched_members(changed: Tables, tables: Tables) -> np.ndarray:
    """Ids, sorted, of the members whose orders or lines are among the changed rows.

    A member who lost an order to another (a merge of cards) is not among today's rows: add such ids yourself.
    """
    ids: set[str] = set()
    orders: set[str] = set()
    if "orders" in changed:
        frame = changed["orders"].select("order_id", "member_id").to_pandas()
        ids |= set(frame["member_id"].dropna())
        orders |= set(frame["order_id"])
    if "order_lines" in changed:
        frame = changed["order_lines"].select("order_id", "orig_order_id").to_pandas()
        orders |= set(frame["order_id"]) | set(frame["orig_order_id"].dropna())
    named = ibis.memtable(pd.DataFrame({"order_id": sorted(orders)}, dtype=object), schema={"order_id": "string"})
    mine = tables["orders"].semi_join(named, "order_id").select("member_id").distinct().to_pandas()["member_id"]
    return np.array(sorted(ids | set(mine.dropna())), dtype=str)


def extend_history(
    folder: Path, tables: Tables, touched: Sequence[str] | np.ndarray, *, progress: Progress = quiet
) -> History:
    """The history of `tables`, reading again only the touched members and those not in the saved history.

    Raises InputError where the folder holds no saved history, or one that starts on another day.
    """
    old = _saved(Path(folder), tables)
    progress("finding touched members", 0.0)
    inside, excluded = read_members(tables)
    named = ibis.memtable(pd.DataFrame({"member_id": sorted({str(t) for t in touched})}, dtype=object), schema=_ID)
    unknown = inside.anti_join(old["members"], "member_id").select("member_id")
    again = stored(named.union(unknown).distinct(), "again")
    # A saved member stays only if nothing touched them and today's tables still let them in.
    kept = old["members"].anti_join(again, "member_id").semi_join(inside, "member_id")
    kept = stored(kept, "kept")
    fresh = _shifted(read_purchases(_narrowed(tables, again)), old)
    progress("walking the visits of touched members", 0.5)
    steady, changing = walked_visits(fresh)

    def merged(name: str, new: Table) -> Table:
        stay = old[name].semi_join(kept, "member").select(*new.columns).cast(new.schema())
        return stored(stay.union(new), name)

    orders = merged("orders", fresh.orders)
    keys = kept.union(fresh.members.select("member", "member_id").cast(kept.schema()))
    members = stored(inside.drop("member").join(keys, "member_id"), "members")
    stay = old["item_gone"].semi_join(orders, "purchase").select(*fresh.item_gone.columns)
    purchases = replace(
        fresh,
        members=members.select("member", *[c for c in inside.columns if c != "member"]),
        items=stored(
            old["items"].select(*fresh.items.columns).cast(fresh.items.schema()).union(fresh.items), "items"
        ),
        orders=orders,
        lines=merged("lines", fresh.lines),
        item_gone=stored(stay.cast(fresh.item_gone.schema()).union(fresh.item_gone), "item_gone"),
        returns=merged("returns", fresh.returns),
        excluded=excluded,
    )
    progress("reading what else is known", 0.9)
    return History(
        tables=tables,
        purchases=purchases,
        sides=read_sides(tables, members),
        steady=merged("steady", steady),
        changing=merged("changing", changing),
        excluded=excluded,
        coverage_start=tables.coverage_start,
        coverage_end=tables.coverage_end,
    )


_ID = {"member_id": "string"}


def _saved(folder: Path, tables: Tables) -> dict[str, Table]:
    path = folder / "history.json"
    if not path.is_file():
        raise InputError(f"{folder}: no saved history here; expected history.json; make one with save_history")
    told = json.loads(path.read_text("utf-8"))
    if told["version"] != _VERSION or date.fromisoformat(told["coverage_start"]) != tables.coverage_start:
        raise InputError(
            f"{folder}: saved as version {told['version']} of data from {told['coverage_start']}; expected version"
            f" {_VERSION} from {tables.coverage_start}; build the history anew"
        )
    return {name: stored(tables.backend.read_parquet(str(folder / f"{name}.parquet")), name) for name in _PARTS}


def _narrowed(tables: Tables, again: Table) -> Tables:
    """The tables of some members only."""
    orders = tables["orders"].semi_join(again, "member_id")
    lines = tables["order_lines"].semi_join(orders, "order_id")
    members = tables["members"].semi_join(again, "member_id")
    return replace(tables, frames={**tables.frames, "orders": orders, "order_lines": lines, "members": members})


def _shifted(fresh: Purchases, old: dict[str, Table]) -> Purchases:
    """Fresh purchases whose keys lie above every saved one; on Spark keys are ids and may stay."""
    if fresh.members.get_backend().name != "duckdb":
        return fresh
    highest = {
        "member": old["members"].member.max(),
        "purchase": old["orders"].purchase.max(),
        "item": old["items"].item.max(),
    }
    above = {k: 1 + (v.to_pyarrow().as_py() or 0) for k, v in highest.items()}

    def shift(table: Table, name: str) -> Table:
        moved = {k: (table[k] + above[k]).cast("int32") for k in _KEYS if k in table.columns}
        return stored(table.mutate(**moved), name)

    names = ("members", "items", "orders", "lines", "item_gone", "returns")
    return replace(fresh, **{name: shift(getattr(fresh, name), name) for name in names})
