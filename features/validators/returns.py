"""Returns of what was never sold, or of more than was sold."""

from features.report import Finding
from features.validators import Findings, Scene, share

# Pieces that came back against the sale they name; where a return names no sale, any earlier sale of the item to the
# same member will do.
_NAMED = """
    SELECT orig_order_id AS order_id, item_id, any_value(order_id) AS by_order, sum(qty) AS back, count(*) AS rows
    FROM order_lines WHERE line_type = 'return' AND orig_order_id IS NOT NULL GROUP BY ALL
"""
_SOLD = """
    SELECT order_id, item_id, sum(qty) AS sold FROM order_lines
    WHERE line_type <> 'return' AND order_id IN (SELECT orig_order_id FROM order_lines WHERE line_type = 'return')
    GROUP BY ALL
"""
_UNNAMED = """
    SELECT r.order_id, r.item_id, o.member_id, o.order_time FROM order_lines r JOIN orders o USING (order_id)
    WHERE r.line_type = 'return' AND r.orig_order_id IS NULL AND o.member_id IS NOT NULL
"""
_EARLIER = """
    SELECT o.member_id, s.item_id, min(o.order_time) AS first_sold FROM order_lines s JOIN orders o USING (order_id)
    WHERE s.line_type <> 'return' AND s.item_id IN (SELECT item_id FROM order_lines WHERE line_type = 'return')
    AND o.member_id IN (SELECT member_id FROM unnamed) GROUP BY ALL
"""


def returns(scene: Scene) -> Findings:
    """Return lines without their sale, and with more pieces than the sale."""
    if not scene.has("orders", "order_lines"):
        return
    of = scene.row("SELECT count(*) FROM order_lines WHERE line_type = 'return'")[0]
    if not of:
        return
    scene.con.execute(f"CREATE OR REPLACE TEMP TABLE unnamed AS {_UNNAMED}")
    scene.con.execute(
        f"CREATE OR REPLACE TEMP TABLE named AS SELECT * FROM ({_NAMED}) LEFT JOIN ({_SOLD}) USING (order_id, item_id)"
    )
    lost = f"""
        SELECT by_order AS order_id, rows FROM named WHERE sold IS NULL
        UNION ALL SELECT u.order_id, 1 FROM unnamed u LEFT JOIN ({_EARLIER}) e USING (member_id, item_id)
        WHERE e.first_sold IS NULL OR e.first_sold > u.order_time
    """
    rows = scene.row(f"SELECT coalesce(sum(rows), 0) FROM ({lost})")[0]
    if rows:
        yield Finding(
            "warning",
            "return_without_sale",
            "order_lines",
            "orig_order_id",
            int(rows),
            "the sale that a return takes back",
            share(int(rows), of) + " returns without one",
            "export orders from before the first day too, and fill orig_order_id and orig_line_no",
            scene.examples(f"SELECT order_id FROM ({lost})"),
        )
    over = "SELECT order_id, rows FROM named WHERE back > sold"
    rows = scene.row(f"SELECT coalesce(sum(rows), 0) FROM ({over})")[0]
    if rows:
        yield Finding(
            "warning",
            "return_over_sale",
            "order_lines",
            "qty",
            int(rows),
            "at most the pieces that were sold",
            share(int(rows), of) + " returns of more",
            "see whether a return was exported twice",
            scene.examples(f"SELECT order_id FROM ({over})"),
        )


VALIDATORS = (returns,)
