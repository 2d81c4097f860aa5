"""What a single file shows: columns nobody knows, cells that can't be read, rows that can't be kept, mobile numbers."""

from difflib import get_close_matches

from features.casts import quoted
from features.contract import SCHEMA
from features.reading import Staged, expected
from features.report import Finding, TableCount
from features.validators import Findings, Scene, share

# From this share of quarantined rows on, a table says something else than it should.
QUARANTINE_REFUSED = 0.2
# The same key with other values: from this share on the key is no key.
KEYS_REFUSED = 0.02
# Reasons that a validator of their own tells better.
TOLD_ELSEWHERE = (
    "order_id: not in orders",
    "order_time: in the future",
    "order_time: far from all other orders",
)


def clear_mobiles(scene: Scene, staged: Staged) -> Findings:
    """Clear mobile numbers, whatever the column: the file is refused, and nothing of it is written anywhere."""
    table = staged.spec.name
    rows = scene.con.execute(
        f"SELECT unnest(string_split(_mobile, '; ')) AS c, count(*) FROM {quoted('staged_' + table)}"
        " WHERE _mobile IS NOT NULL GROUP BY c ORDER BY c"
    ).fetchall()
    for column, count in rows:
        yield Finding(
            "refused",
            "clear_mobile",
            table,
            column,
            count,
            "no clear mobile number anywhere",
            f"{count:,} cells that are or hold one (11 digits from 13 to 19)",
            f"run `huitou hash-mobile {staged.sources[0].path.name} --column {column}`, or give such ids a prefix",
        )


def extra_columns(staged: Staged) -> Findings:
    """Columns the contract doesn't know: not read, and a near miss is said."""
    missing = [c for c in staged.spec.column_names if c not in staged.given]
    for name in staged.extra:
        near = get_close_matches(name.lower(), missing, n=1, cutoff=0.75)
        yield Finding(
            "warning" if near else "note",
            "extra_column",
            staged.spec.name,
            name,
            0,
            "columns of the contract",
            "a column it doesn't know, which is not read",
            f"rename it to {near[0]} if that is what it is" if near else "nothing; leave it out to save space",
        )


def unread_cells(staged: Staged, count: TableCount) -> Findings:
    """Optional cells that could not be read."""
    for column, rows in count.emptied.items():
        yield Finding(
            "warning",
            "emptied",
            staged.spec.name,
            column,
            rows,
            expected(SCHEMA[staged.spec.name].by_name[column]),
            share(rows, count.read) + " that can't be read as such",
            "write them in that form; until then these cells count as empty",
        )


def quarantined_rows(staged: Staged, count: TableCount) -> Findings:
    """Rows left out, by reason."""
    total = sum(count.quarantined.values())
    for reason, rows in count.quarantined.items():
        if reason in TOLD_ELSEWHERE or reason.endswith("digits are lost"):
            continue
        column, _, told = reason.partition(": ")
        code = {"the same row again": "duplicate_row", "the same key again with other values": "duplicate_key"}
        is_key = code.get(reason) == "duplicate_key"
        bad = rows >= KEYS_REFUSED * count.read if is_key else total >= QUARANTINE_REFUSED * count.read
        known = column in staged.spec.by_name
        wanted = f"each {', '.join(staged.spec.key)} once" if reason in code else "rows that can be used"
        if told.startswith("expected "):
            wanted, told = told.removeprefix("expected "), "something else"
        step = "mend them at export; they are quarantined"
        if is_key:
            step = "number the rows so that the key is unique; the newest, else the greatest, row is kept"
        yield Finding(
            "refused" if bad and reason != "the same row again" else "warning",
            code.get(reason, "quarantined"),
            staged.spec.name,
            column if known else None,
            rows,
            wanted,
            f"{told if known else reason} in {share(rows, count.read)}",
            step,
        )
