"""Amounts in the wrong unit, and orders whose lines don't add up."""

from features.report import Finding
from features.validators import Findings, Scene, share

# The contract's window for the median order, in yuan.
LOW_MEDIAN, HIGH_MEDIAN = 1, 50_000
# 分 for 元 makes a factor of 100; discounts and mixes of goods move it, hence a wide band around it.
HUNDREDFOLD = (30, 300)
# A channel needs this many orders before its median is held against the others'.
CHANNEL_ORDERS = 20
_PAID = "paid_yuan > 0 AND status IN ('paid', 'completed')"


def unit_of_orders(scene: Scene) -> Findings:
    """A median order below 1 or above 50,000 yuan."""
    if not scene.has("orders"):
        return
    median, rows, whole, tens = scene.row(
        f"""
        SELECT median(paid_yuan), count(*), avg((paid_yuan = floor(paid_yuan))::INT), avg((paid_yuan % 10 = 0)::INT)
        FROM orders WHERE {_PAID}
        """
    )
    if median is None:
        return
    if median < LOW_MEDIAN or median > HIGH_MEDIAN:
        unit = "分 (cents)" if median > HIGH_MEDIAN else "万元 (ten thousands)"
        yield Finding(
            "warning" if scene.unit_stated else "refused",
            "unit",
            "orders",
            "paid_yuan",
            rows,
            f"yuan: a median order between {LOW_MEDIAN} and {HIGH_MEDIAN:,}",
            f"a median of {median:,.2f}, which looks like {unit}",
            "divide by 100 at export" if median > HIGH_MEDIAN else "multiply by 10,000 at export",
        )
    elif median >= 2000 and rows >= 100 and whole > 0.999 and tens > 0.9:
        yield Finding(
            "warning",
            "unit_perhaps",
            "orders",
            "paid_yuan",
            rows,
            "yuan with 角 and 分 after the point",
            f"a median of {median:,.0f} and hardly an amount that doesn't end in 0: 分 (cents) perhaps",
            "compare one receipt; divide by 100 at export if it is 分",
        )


def unit_by_channel(scene: Scene) -> Findings:
    """One channel in 分 among others in 元."""
    if not scene.has("orders"):
        return
    rows = scene.con.execute(
        f"""
        SELECT channel, count(*), median(paid_yuan), avg((paid_yuan = floor(paid_yuan))::INT) FROM orders
        WHERE {_PAID} GROUP BY channel HAVING count(*) >= {CHANNEL_ORDERS} ORDER BY median(paid_yuan), channel
        """
    ).fetchall()
    if len(rows) < 2:
        return
    middle = rows[(len(rows) - 1) // 2][2]
    for channel, orders, median, whole in rows:
        if median / middle >= HUNDREDFOLD[0] and whole > 0.99:
            # Other goods may cost more for good reasons; the same goods don't.
            same_goods = _same_goods(scene, channel)
            if same_goods is not None and not HUNDREDFOLD[0] <= same_goods <= HUNDREDFOLD[1]:
                continue
            yield Finding(
                "refused" if same_goods is not None else "warning",
                "unit_by_channel",
                "orders",
                "paid_yuan",
                orders,
                f"yuan in every channel, near the {middle:,.2f} of the middle channel",
                f"a median of {median:,.0f} in channel {channel}, all whole numbers: 分 (cents), it seems",
                f"divide the amounts of channel {channel} by 100 at export, in orders and order_lines",
            )


def _same_goods(scene: Scene, channel: str) -> float | None:
    """How many times as much a piece of the same item costs in this channel; None where no item is sold in both."""
    if not scene.has("order_lines"):
        return None
    ratio = scene.row(
        f"""
        SELECT median(here / elsewhere) FROM (
            SELECT median(l.paid_yuan / l.qty) FILTER (WHERE o.channel = '{channel}') AS here,
                median(l.paid_yuan / l.qty) FILTER (WHERE o.channel <> '{channel}') AS elsewhere
            FROM order_lines l JOIN orders o USING (order_id)
            WHERE l.line_type = 'sale' AND l.paid_yuan > 0 GROUP BY l.item_id
        ) WHERE here IS NOT NULL AND elsewhere IS NOT NULL
        """
    )[0]
    return None if ratio is None else float(ratio)


def unit_of_lines(scene: Scene) -> Findings:
    """What was paid for a piece against its list price, and lines against their order: a factor of about 100."""
    if scene.has("order_lines", "items"):
        ratio, rows = scene.row(
            """
            SELECT median(l.paid_yuan / l.qty / i.list_yuan), count(*) FROM order_lines l JOIN items i USING (item_id)
            WHERE l.line_type = 'sale' AND l.paid_yuan > 0 AND i.list_yuan > 0
            """
        )
        if ratio is not None and not 1 / HUNDREDFOLD[0] < ratio < HUNDREDFOLD[0]:
            high, low = (
                ("order_lines.paid_yuan", "items.list_yuan") if ratio > 1 else ("items.list_yuan", "paid_yuan")
            )
            yield Finding(
                "refused",
                "unit_of_lines",
                "order_lines",
                "paid_yuan",
                rows,
                "paid per piece near the list price",
                f"a median ratio of {ratio:,.3g} to items.list_yuan: {high} looks like 分 (cents) beside {low}",
                f"divide {high} by 100 at export",
            )
    if scene.has("orders", "order_lines"):
        ratio, rows = scene.row(
            """
            SELECT median(o.paid_yuan / l.sold), count(*) FROM orders o JOIN line_sums l USING (order_id)
            WHERE o.paid_yuan > 0 AND l.sold > 0
            """
        )
        if ratio is not None and not 1 / HUNDREDFOLD[0] < ratio < HUNDREDFOLD[0]:
            high = "orders.paid_yuan" if ratio > 1 else "order_lines.paid_yuan"
            yield Finding(
                "refused",
                "unit_of_lines",
                "orders",
                "paid_yuan",
                rows,
                "an order that is the sum of its lines",
                f"a median ratio of {ratio:,.3g} between the two: {high} looks like 分 (cents)",
                f"divide {high} by 100 at export",
            )


def sums(scene: Scene) -> Findings:
    """An order that differs from its lines by more than one yuan, with or without freight and points."""
    if not scene.has("orders", "order_lines"):
        return
    differs = """
        SELECT o.order_id, o.paid_yuan, l.sold FROM orders o JOIN line_sums l USING (order_id)
        WHERE least(abs(o.paid_yuan - l.sold), abs(o.paid_yuan - l.returned), abs(o.paid_yuan - abs(l.sold - l.returned)),
            abs(o.paid_yuan - l.sold - coalesce(freight_yuan, 0)), abs(o.paid_yuan + coalesce(points_yuan, 0) - l.sold),
            abs(o.paid_yuan + coalesce(points_yuan, 0) - l.sold - coalesce(freight_yuan, 0))) > 1
    """
    rows, of, over = scene.row(
        f"SELECT count(*), (SELECT count(*) FROM orders), count(*) FILTER (WHERE sold > paid_yuan) FROM ({differs})"
    )
    if rows:
        spread = over > 0.8 * rows and rows > 0.01 * of
        yield Finding(
            "warning",
            "sum_mismatch",
            "orders",
            "paid_yuan",
            rows,
            "the sum of its lines, within 1 yuan",
            share(rows, of) + (" differ, nearly all with lines above the order" if spread else " differ"),
            "spread discounts of the receipt over its lines"
            if spread
            else "see whether lines are missing in the export",
            scene.examples(f"SELECT order_id FROM ({differs})"),
        )


def free_sales(scene: Scene) -> Findings:
    """Sale lines of 0 yuan: gifts or samples booked as sales. They are kept."""
    if not scene.has("order_lines"):
        return
    rows, of = scene.row(
        "SELECT count(*) FILTER (WHERE paid_yuan = 0), count(*) FROM order_lines WHERE line_type = 'sale'"
    )
    if rows > 0.005 * of:
        yield Finding(
            "note",
            "free_sale",
            "order_lines",
            "paid_yuan",
            rows,
            "gift or sample as line_type where nothing was paid",
            share(rows, of) + " sale lines at 0 yuan",
            "set line_type at export if these are gifts; they count as purchases until then",
        )


VALIDATORS = (unit_of_orders, unit_by_channel, unit_of_lines, sums, free_sales)
