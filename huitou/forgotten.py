"""Tables in, the same tables out without the members whom the brand was asked to forget."""

import dataclasses

from features.tables import Tables
from outreach.ledger import Ledger


def without_forgotten(tables: Tables, ledger: Ledger) -> Tables:
    """Leave out every row that names a forgotten member, though the brand's export still holds it.

    The ledger keeps keyed marks instead of ids, so each incoming id is marked and compared.
    """
    marks = ledger.forgotten_marks()
    if not marks:
        return tables
    ids = tables["members"].select("member_id").to_pandas()["member_id"]
    gone = sorted(str(member) for member in ids if ledger.member_mark(str(member)) in marks)
    if not gone:
        return tables
    frames = {}
    for name in tables:
        table = tables[name]
        if "member_id" in table.columns:
            table = table.filter(table.member_id.isnull() | table.member_id.notin(gone))
        frames[name] = table
    if "order_lines" in frames:
        kept = frames["orders"].select("order_id")
        frames["order_lines"] = frames["order_lines"].semi_join(kept, "order_id")
    return dataclasses.replace(tables, frames=frames)
