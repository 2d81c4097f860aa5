"""Cards used by many, default birthdays, and guides who look after members on paper only."""

from features.report import Finding
from features.validators import Findings, Scene, share

# The contract's thresholds for a card that the till uses for walk-ins.
ORDERS_A_DAY, STORES_A_DAY = 20, 5
DEFAULT_BIRTHDAY = 0.3


def default_birthdays(scene: Scene) -> Findings:
    """One birthday or birth year for more than 30 % of those given: a default, and so no birthday. It is emptied."""
    if not scene.has("members"):
        return
    for column in ("birthday", "birth_year"):
        row = scene.row(f"SELECT max(value), max(rows), max(given) FROM mass_defaults WHERE name = '{column}'")
        if row[0] is not None:
            yield Finding(
                "warning",
                "default_birthday",
                "members",
                column,
                row[1],
                f"no {column} that more than {DEFAULT_BIRTHDAY:.0%} share",
                f"{share(row[1], row[2])} are {row[0]}: a default",
                "leave unknown ones empty at export; this one is read as empty",
            )


def shared_cards(scene: Scene) -> Findings:
    """Members with more than 20 orders or more than 5 stores in a day."""
    if not scene.has("orders"):
        return
    shared = f"""
        SELECT member_id FROM orders WHERE member_id IS NOT NULL GROUP BY member_id, order_time::DATE
        HAVING count(*) > {ORDERS_A_DAY} OR count(DISTINCT store_id) > {STORES_A_DAY}
    """
    members = scene.row(f"SELECT count(DISTINCT member_id) FROM ({shared})")[0]
    if members:
        rows = scene.row(f"SELECT count(*) FROM orders SEMI JOIN ({shared}) USING (member_id)")[0]
        yield Finding(
            "warning",
            "suspected_shared_card",
            "orders",
            "member_id",
            rows,
            f"at most {ORDERS_A_DAY} orders and {STORES_A_DAY} stores a day for one card",
            f"{members:,} cards with more: a cashier's or reseller's card",
            "mark them is_staff or is_wholesale in members, so that they are left out",
            scene.examples(shared),
        )


def overlapping_assignments(scene: Scene) -> Findings:
    """A member with two guides at a time. The later one counts: the earlier ends where the later begins."""
    if not scene.has("assignments"):
        return
    rows, of = scene.row(
        "SELECT (SELECT count(*) FROM closed_assignments), (SELECT count(*) FROM staged_assignments)"
    )
    if rows:
        yield Finding(
            "warning",
            "overlapping_assignments",
            "assignments",
            "end_at",
            rows,
            "one guide a member at a time",
            share(rows, of) + " still open when the next began",
            "end an assignment when its member moves; until then the later one counts",
            scene.examples("SELECT member_id FROM closed_assignments"),
        )


def left_guides(scene: Scene) -> Findings:
    """Members whose guide has left, or whose store is closed."""
    if not scene.has("assignments", "guides"):
        return
    open_ones = "SELECT a.member_id FROM assignments a JOIN guides g USING (guide_id) WHERE a.end_at IS NULL"
    left = f"{open_ones} AND g.status = 'left'"
    rows, of = scene.row(f"SELECT (SELECT count(*) FROM ({left})), (SELECT count(*) FROM ({open_ones}))")
    if rows:
        yield Finding(
            "warning",
            "guide_left",
            "assignments",
            "guide_id",
            rows,
            "guides who work here",
            share(rows, of) + " members assigned to guides who left",
            "assign them anew; nobody is on their list",
            scene.examples(left),
        )
    if scene.has("stores"):
        closed = """
            SELECT member_id FROM assignments a JOIN guides g USING (guide_id)
            JOIN stores s ON s.store_id = coalesce(a.store_id, g.store_id)
            WHERE a.end_at IS NULL AND s.close_date <= (SELECT max(order_time)::DATE FROM orders)
        """
        rows = scene.row(f"SELECT count(*) FROM ({closed})")[0] if scene.has("orders") else 0
        if rows:
            yield Finding(
                "warning",
                "store_closed",
                "assignments",
                "store_id",
                rows,
                "stores that are open",
                f"{rows:,} members assigned to closed stores",
                "assign them to another store",
                scene.examples(closed),
            )


def unmasked_names(scene: Scene) -> Findings:
    """Display names without a mask. They are masked here."""
    if not scene.has("members"):
        return
    rows, of = scene.row(
        "SELECT count(*) FILTER (WHERE NOT contains(display_name, '*')), count(display_name) FROM staged_members"
    )
    if rows:
        yield Finding(
            "warning",
            "unmasked_name",
            "members",
            "display_name",
            rows,
            "a masked name such as 王*",
            share(rows, of) + " without a mask",
            "mask names at export; they are cut to the first character here",
        )


def test_stores(scene: Scene) -> Findings:
    """Stores that look like tests by their name."""
    if not scene.has("stores"):
        return
    tests = "SELECT store_id FROM stores WHERE regexp_matches(lower(name), '测试|^test|[^a-z]test')"
    rows = scene.row(f"SELECT count(*) FROM ({tests})")[0]
    if rows:
        yield Finding(
            "warning",
            "test_store",
            "stores",
            "name",
            rows,
            "real stores",
            f"{rows:,} that are called test",
            "leave test stores and their orders out of the export",
            scene.examples(tests),
        )


VALIDATORS = (default_birthdays, shared_cards, overlapping_assignments, left_guides, unmasked_names, test_stores)
