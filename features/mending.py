"""Kept rows with a flaw that has one sensible reading come in; out come the SQL that mends them, and tables that count them.

What is mended: a default birthday is emptied, a full date of birth is cut to month and day, a name is masked, an order
of an unknown member is made anonymous, an item that was sold but not given gets a row (off the shelf), and an
assignment ends where the member's next one begins. Every mend is a finding of the validators.
"""

from dataclasses import dataclass

import duckdb

from features.casts import literal
from features.validators.people import DEFAULT_BIRTHDAY

# With fewer values than this, one value in three is no sign of a default.
_ENOUGH_BIRTHDAYS = 50


@dataclass(frozen=True)
class Mend:
    """SQL for columns to replace, and SQL of rows to add (all columns of the table, in order), where there are any."""

    columns: dict[str, str]
    added: str | None = None


def mend_members(con: duckdb.DuckDBPyConnection, brand_id: str) -> Mend:
    """Default birthdays go to the table `mass_defaults` (name, value, rows, given)."""
    day = r"CASE WHEN regexp_matches(birthday, '^\d{4}-\d{2}-\d{2}') THEN substr(birthday, 6, 5)"
    day += r" WHEN regexp_matches(birthday, '^(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])$') THEN birthday END"
    parts = [
        f"""
        SELECT {literal(name)} AS name, CAST({value} AS VARCHAR) AS value, count(*) AS rows, max(given) AS given
        FROM (SELECT {value} AS {name}, count({value}) OVER () AS given FROM staged_members WHERE _problem IS NULL)
        WHERE {name} IS NOT NULL GROUP BY ALL
        HAVING count(*) > {DEFAULT_BIRTHDAY} * max(given) AND max(given) >= {_ENOUGH_BIRTHDAYS}
        """
        for name, value in (("birthday", day), ("birth_year", "birth_year"))
    ]
    con.execute(f"CREATE OR REPLACE TEMP TABLE mass_defaults AS {' UNION ALL '.join(parts)}")
    defaults = dict(con.execute("SELECT name, value FROM mass_defaults ORDER BY name, value").fetchall())
    columns = {
        "brand_id": f"coalesce(brand_id, {literal(brand_id)})",
        "display_name": "CASE WHEN contains(display_name, '*') THEN display_name ELSE left(display_name, 1) || '*' END",
        "birthday": day,
    }
    if "birthday" in defaults:
        columns["birthday"] = f"NULLIF({day}, {literal(defaults['birthday'])})"
    if "birth_year" in defaults:
        columns["birth_year"] = f"NULLIF(birth_year, {int(defaults['birth_year'])})"
    return Mend(columns)


def mend_orders(con: duckdb.DuckDBPyConnection, identities: bool) -> Mend:
    """Buyers who are not in members go to the table `unknown_members` (member_id, orders).

    A number that `identities` knows as another card of a member is no unknown buyer.
    """
    known = "SELECT member_id FROM members"
    if identities:
        known += " UNION ALL SELECT id_value FROM identities WHERE id_type IN ('card', 'ezr_code')"
    con.execute(
        f"""
        CREATE OR REPLACE TEMP TABLE unknown_members AS
        SELECT member_id, count(*) AS orders FROM orders ANTI JOIN ({known}) USING (member_id)
        WHERE member_id IS NOT NULL GROUP BY member_id
        """
    )
    if not con.execute("SELECT count(*) FROM unknown_members").fetchall()[0][0]:
        return Mend({})
    return Mend({"member_id": f"CASE WHEN member_id IN ({known}) THEN member_id END"})


def mend_items(con: duckdb.DuckDBPyConnection) -> Mend:
    """Sold items that were not given go to the table `unknown_items` (item_id, lines)."""
    con.execute(
        """
        CREATE OR REPLACE TEMP TABLE unknown_items AS
        SELECT item_id, count(*) AS lines FROM order_lines ANTI JOIN items USING (item_id) GROUP BY item_id
        """
    )
    if not con.execute("SELECT count(*) FROM unknown_items").fetchall()[0][0]:
        return Mend({})
    added = """
        SELECT item_id, item_id AS spu_id, item_id AS title, '未知' AS category_l1, 'off' AS status,
            false AS is_gift_or_sample, 'product' AS item_type FROM unknown_items ORDER BY item_id
    """
    return Mend({}, added)


def mend_assignments(con: duckdb.DuckDBPyConnection) -> Mend:
    """Assignments that outlast the next one go to the table `closed_assignments` (its key, next_start)."""
    con.execute(
        """
        CREATE OR REPLACE TEMP TABLE closed_assignments AS SELECT member_id, guide_id, start_at, next_start FROM (
            SELECT *, lead(start_at) OVER (PARTITION BY member_id ORDER BY start_at, guide_id) AS next_start
            FROM assignments
        ) WHERE next_start < coalesce(end_at, TIMESTAMP '9999-12-31')
        """
    )
    if not con.execute("SELECT count(*) FROM closed_assignments").fetchall()[0][0]:
        return Mend({})
    next_start = """(SELECT next_start FROM closed_assignments c WHERE c.member_id = t.member_id
        AND c.guide_id = t.guide_id AND c.start_at = t.start_at)"""
    return Mend({"end_at": f"coalesce({next_start}, end_at)"})
