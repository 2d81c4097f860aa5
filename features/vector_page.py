"""The columns of a member vector in; out: the page docs/member-vectors.md, so that the page is what the code says."""

from features.vectors import COLUMNS, ZERO_WHEN_COLD

_HEAD = """# Member vectors

Printed from the code by `python -m features.vector_page > docs/member-vectors.md`; a test holds it current.

A member vector is one row per (member_id, as_of): {n} columns in {f} families. It knows what was known before as_of 00:00,
brand-local time, and nothing later:

- A **visit** is a day on which the member has a kept purchase. A purchase is an order, paid or completed, with a sale line;
  it is kept unless it had come back whole before as_of, whatever it cost.
- A **return** counts from `returned_at`. It is matched to its sale by `orig_order_id` (else its own order) and by
  `orig_line_no` (else the item); a return that names no sale counts in the returns family and undoes nothing.
- An order of status `cancelled` or `closed` counts until `status_at`; without `status_at` it never did.
- A row with `loaded_at` is not known before it; an order with `paid_at` is not known before it.
- Level, points and the like have no history: they are null unless the member's `updated_at` lies before as_of.
- Staff, wholesale and deregistered members, and members known to be under 18 on as_of, have no vector.

A column is null where the thing does not exist: no gap before the second visit, no touches where no contacts were given.
Registered members who never bought have rows only where asked for (`cold=True`); these columns are then 0, other columns
of visits null: {zero}.

No column holds a price level, a coupon's face value or threshold, or how a member reacts to discounts. Spend columns are
what was paid, before refunds; refunds are in the returns family. The calendar family can hurt a model that has seen fewer
than two years.
"""


def vector_page() -> str:
    """The page as Markdown."""
    families = list(dict.fromkeys(c.family for c in COLUMNS))
    zero = ", ".join(f"`{name}`" for name in ZERO_WHEN_COLD)
    parts = [_HEAD.format(n=len(COLUMNS), f=len(families), zero=zero)]
    for family in families:
        rows = [c for c in COLUMNS if c.family == family]
        table = [f"| `{c.name}` | {c.unit} | {c.meaning} | {c.meaning_zh} |" for c in rows]
        parts.append("\n".join([f"## {family}\n", "| column | unit | meaning | 含义 |", "|---|---|---|---|", *table]))
    return "\n".join(f"{p.rstrip()}\n" for p in parts)


if __name__ == "__main__":
    print(vector_page(), end="")
