"""Ids that point at a row that isn't there."""

from features.report import Finding
from features.validators import ORPHANS_REFUSED, Findings, Scene, graded, share

# (table, column, other table, its column): told as warnings, whatever the share; nothing is lost by them.
_LOOSE = (
    ("orders", "store_id", "stores", "store_id"),
    ("orders", "guide_id", "guides", "guide_id"),
    ("guides", "store_id", "stores", "store_id"),
    ("identities", "member_id", "members", "member_id"),
    ("assignments", "member_id", "members", "member_id"),
    ("assignments", "guide_id", "guides", "guide_id"),
    ("contacts", "member_id", "members", "member_id"),
    ("contacts", "campaign_id", "campaigns", "campaign_id"),
    ("campaign_members", "campaign_id", "campaigns", "campaign_id"),
    ("coupons", "member_id", "members", "member_id"),
    ("consents", "member_id", "members", "member_id"),
    ("behaviours", "item_id", "items", "item_id"),
    ("stock", "item_id", "items", "item_id"),
)


def orphan_lines(scene: Scene) -> Findings:
    """Order lines whose order was never given. They are quarantined."""
    if not scene.has("orders", "order_lines"):
        return
    rows, of = scene.row("SELECT (SELECT count(*) FROM orphan_lines), (SELECT count(*) FROM staged_order_lines)")
    if rows:
        yield Finding(
            graded(rows, of, ORPHANS_REFUSED),
            "orphan_line",
            "order_lines",
            "order_id",
            rows,
            "an order of the same order_id in orders",
            share(rows, of) + " without",
            "export orders and order_lines over the same days; the lines are quarantined",
            scene.examples("SELECT order_id FROM orphan_lines"),
        )


def orphan_items(scene: Scene) -> Findings:
    """Sold items that are not in items. They get a row of their own, off the shelf, so that the visit isn't lost."""
    if not scene.has("items", "order_lines"):
        return
    rows, of = scene.row(
        "SELECT (SELECT coalesce(sum(lines), 0) FROM unknown_items), (SELECT count(*) FROM order_lines)"
    )
    if rows:
        yield Finding(
            graded(int(rows), of, ORPHANS_REFUSED),
            "orphan_item",
            "order_lines",
            "item_id",
            int(rows),
            "an item of the same item_id in items",
            share(int(rows), of) + " without",
            "export items that have left the shelf too; until then these are kept as items that are off and never shown",
            scene.examples("SELECT item_id FROM unknown_items"),
        )


def orphan_members(scene: Scene) -> Findings:
    """Orders of members who are not in members. They are kept as anonymous sales."""
    if not scene.has("members", "orders"):
        return
    rows, of, zeros = scene.row(
        """
        SELECT (SELECT coalesce(sum(orders), 0) FROM unknown_members), (SELECT count(*) FROM orders),
            (SELECT coalesce(sum(orders), 0) FROM unknown_members u SEMI JOIN members m
                ON ltrim(u.member_id, '0') = ltrim(m.member_id, '0'))
        """
    )
    if rows:
        step = "export every member with an order; until then these orders count as anonymous"
        if zeros:
            step = f"write member_id as text: {int(zeros):,} of these would match but for leading zeros"
        yield Finding(
            graded(int(rows), of, ORPHANS_REFUSED),
            "orphan_member",
            "orders",
            "member_id",
            int(rows),
            "a member of the same member_id in members",
            share(int(rows), of) + " without",
            step,
            scene.examples("SELECT member_id FROM unknown_members"),
        )


def loose_references(scene: Scene) -> Findings:
    """Other ids that lead nowhere, counted."""
    for table, column, other, key in _LOOSE:
        if not scene.has(table, other):
            continue
        missing = f'SELECT {column} FROM "{table}" t ANTI JOIN "{other}" o ON t.{column} = o.{key} WHERE {column} IS NOT NULL'
        rows, of = scene.row(f'SELECT (SELECT count(*) FROM ({missing})), (SELECT count({column}) FROM "{table}")')
        if rows:
            yield Finding(
                "warning",
                "unknown_id",
                table,
                column,
                rows,
                f"a row in {other}",
                share(rows, of) + " without",
                f"export {other} whole",
                scene.examples(missing),
            )


def orders_without_lines(scene: Scene) -> Findings:
    """Orders nothing is known to have been bought in: they make no visit."""
    if not scene.has("orders", "order_lines"):
        return
    missing = "SELECT order_id FROM orders o ANTI JOIN line_sums l USING (order_id)"
    rows, of = scene.row(f"SELECT (SELECT count(*) FROM ({missing})), (SELECT count(*) FROM orders)")
    if rows:
        yield Finding(
            "warning",
            "order_without_lines",
            "orders",
            "order_id",
            rows,
            "at least one line",
            share(rows, of) + " without",
            "export the lines as well; such an order counts as no purchase",
            scene.examples(missing),
        )


def stores_missing(scene: Scene) -> Findings:
    """Store sales that don't say in which store."""
    if not scene.has("orders"):
        return
    rows, of = scene.row(
        "SELECT count(*) FILTER (WHERE store_id IS NULL), count(*) FROM orders WHERE channel = 'store'"
    )
    if rows:
        yield Finding(
            "warning",
            "store_missing",
            "orders",
            "store_id",
            rows,
            "a store where channel is store",
            share(rows, of) + " empty",
            "fill store_id; such orders are in no store's figures",
        )


VALIDATORS = (orphan_lines, orphan_items, orphan_members, loose_references, orders_without_lines, stores_missing)
