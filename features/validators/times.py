"""Times that can't be, days with too few orders, and days without hours."""

from features.casts import quoted
from features.contract import SCHEMA
from features.report import Finding
from features.validators import Findings, Scene, share

# Above this share at 00:00:00 the hour means nothing.
DATE_ONLY = 0.05
# A day below this share of its weekday's median is a gap. With few orders a day chance makes such days too: an empty
# day counts from 10 usual orders on (chance: 1 in 20,000), a thin one from 25 on.
GAP_SHARE, GAP_EMPTY, GAP_THIN = 0.2, 10, 25
_PLANS = {("coupons", "valid_to"), ("coupons", "valid_from"), ("campaigns", "end_at"), ("campaigns", "start_at")}
_PLANS |= {("contacts", "planned_at"), ("identities", "valid_to"), ("assignments", "end_at"), ("orders", "loaded_at")}


def future_times(scene: Scene) -> Findings:
    """Events after the day the data were made. Orders among them are quarantined."""
    if scene.last_day is None:
        return
    for table in sorted(scene.tables):
        columns = [c.name for c in SCHEMA[table].columns if c.kind == "timestamp" and (table, c.name) not in _PLANS]
        if not columns:
            continue
        late = f">= DATE '{scene.last_day}' + 1"
        asked = ", ".join(f"count(*) FILTER (WHERE {quoted(c)} {late}), count({quoted(c)})" for c in columns)
        counts = scene.row(f"SELECT {asked} FROM {quoted('staged_' + table)}")
        for i, column in enumerate(columns):
            rows, of = counts[2 * i : 2 * i + 2]
            if rows:
                yield Finding(
                    "warning",
                    "future_time",
                    table,
                    column,
                    rows,
                    f"a time up to {scene.last_day}",
                    share(rows, of) + " later",
                    "set the clocks of these tills; orders of the future are quarantined",
                )


def far_times(scene: Scene) -> Findings:
    """Orders years away from all others: a clock that was reset. They are quarantined."""
    rows = (
        scene.row("SELECT count(*) FROM out_orders WHERE prefix(reason, 'order_time: far')")[0]
        if scene.has("orders")
        else 0
    )
    if rows:
        yield Finding(
            "warning",
            "far_time",
            "orders",
            "order_time",
            rows,
            "a day among the others",
            f"{rows:,} orders months away from all others",
            "set the clocks of these tills; until then these orders are quarantined",
        )


def before_registration(scene: Scene) -> Findings:
    """Orders before the buyer joined: allowed (cards bound later), and counted."""
    if not scene.has("orders", "members"):
        return
    rows, of = scene.row(
        """
        SELECT count(*) FILTER (WHERE o.order_time < m.registered_at), count(*)
        FROM orders o JOIN members m USING (member_id)
        """
    )
    if rows:
        yield Finding(
            "note",
            "order_before_registration",
            "orders",
            "order_time",
            rows,
            "orders after registered_at",
            share(rows, of) + " before",
            "nothing, if cards are bound to earlier purchases",
        )


def date_only(scene: Scene) -> Findings:
    """Many orders at midnight: only days were exported."""
    if not scene.has("orders"):
        return
    rows, of = scene.row(
        "SELECT count(*) FILTER (WHERE order_time = date_trunc('day', order_time)), count(*) FROM orders"
    )
    if of and rows > DATE_ONLY * of:
        yield Finding(
            "warning",
            "date_only",
            "orders",
            "order_time",
            rows,
            f"at most {DATE_ONLY:.0%} of orders at 00:00:00",
            share(rows, of) + " at 00:00:00",
            "export the time as well; without it hours of the day say nothing",
        )


def coverage_gaps(scene: Scene) -> Findings:
    """Days on which a store, or the whole brand, has under a fifth of its weekday's median orders."""
    if not scene.has("orders"):
        return
    for level, key in (("the whole brand", "''"), ("one store", "store_id")):
        gaps = f"""
            WITH days AS (
                SELECT {key} AS place, order_time::DATE AS day, count(*) AS n FROM orders
                WHERE {key} IS NOT NULL GROUP BY ALL
            ), spans AS (
                SELECT place, unnest(generate_series(min(day), max(day), INTERVAL 1 DAY))::DATE AS day
                FROM days GROUP BY place
            ), filled AS (
                SELECT place, day, coalesce(n, 0) AS n, isodow(day) AS weekday FROM spans LEFT JOIN days USING (place, day)
            ), usual AS (
                SELECT place, weekday, median(n) AS usual FROM filled GROUP BY ALL
            )
            SELECT place, day FROM filled JOIN usual USING (place, weekday)
            WHERE n < {GAP_SHARE} * usual AND usual >= CASE WHEN n = 0 THEN {GAP_EMPTY} ELSE {GAP_THIN} END
        """
        scene.con.execute(f"CREATE OR REPLACE TEMP TABLE gaps AS {gaps}")
        rows, places = scene.row("SELECT count(*), count(DISTINCT place) FROM gaps")
        if rows:
            where = "days" if level == "the whole brand" else f"store-days in {places:,} stores"
            yield Finding(
                "warning",
                "coverage_gap" if level == "one store" else "coverage_gap_brand",
                "orders",
                "order_time",
                rows,
                f"orders of {level} each day, at least a fifth of the weekday's median",
                f"{rows:,} {where} with fewer",
                "see whether the upload of these days is missing, and export them again",
                scene.examples("SELECT concat_ws(' ', NULLIF(place, ''), day) FROM gaps"),
            )


def late_uploads(scene: Scene) -> Findings:
    """Orders that became known more than three days after they happened."""
    if not scene.has("orders"):
        return
    rows, of = scene.row(
        "SELECT count(*) FILTER (WHERE loaded_at > order_time + INTERVAL 3 DAY), count(*) FROM orders"
    )
    if rows:
        yield Finding(
            "note",
            "late_upload",
            "orders",
            "loaded_at",
            rows,
            "known within three days",
            share(rows, of) + " later",
            "nothing: what was not known on a day is not used for that day",
        )


VALIDATORS = (future_times, far_times, before_registration, date_only, coverage_gaps, late_uploads)
