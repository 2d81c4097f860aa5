"""Ids that a spreadsheet has spoiled."""

from features.casts import quoted
from features.contract import SCHEMA
from features.reading import SCIENTIFIC
from features.report import Finding
from features.validators import Findings, Scene, share

# From this share of spoiled ids on, the file is refused.
SPOILED_REFUSED = 0.01


def spoiled_ids(scene: Scene) -> Findings:
    """Ids such as 1.38E+10 (digits are lost; the rows are quarantined) and ids that end in .0 (numbers once)."""
    for table in sorted(scene.tables):
        columns = [c.name for c in SCHEMA[table].columns if c.is_id]
        asked = ", ".join(
            f"count(*) FILTER (WHERE regexp_matches({quoted(c)}, '{SCIENTIFIC}')),"
            f" count(*) FILTER (WHERE suffix({quoted(c)}, '.0')), count({quoted(c)})"
            for c in columns
        )
        if not asked:
            continue
        counts = scene.row(f"SELECT {asked} FROM {quoted('staged_' + table)}")
        for i, column in enumerate(columns):
            scientific, point_zero, of = counts[3 * i : 3 * i + 3]
            if scientific:
                yield Finding(
                    "refused" if scientific >= SPOILED_REFUSED * of else "warning",
                    "id_scientific",
                    table,
                    column,
                    scientific,
                    "the id digit for digit",
                    share(scientific, of) + " in scientific notation: a spreadsheet has cut the digits",
                    "export again as text, without opening the file in a spreadsheet",
                    scene.examples(
                        f"SELECT {quoted(column)} FROM {quoted('staged_' + table)}"
                        f" WHERE regexp_matches({quoted(column)}, '{SCIENTIFIC}')"
                    ),
                )
            if point_zero:
                needed = SCHEMA[table].by_name[column].required
                yield Finding(
                    "refused" if needed and point_zero > SPOILED_REFUSED * of else "warning",
                    "id_point_zero",
                    table,
                    column,
                    point_zero,
                    "the id as text",
                    share(point_zero, of) + " end in .0: they were numbers on the way",
                    "export ids as text; empty cells beside numbers often cause this",
                )


def lost_zeros(scene: Scene) -> Findings:
    """Card numbers of one width, apart from a few shorter ones: their leading zeros may be gone."""
    if not scene.has("members"):
        return
    rows, of, width = scene.row(
        """
        WITH lengths AS (SELECT length(member_id) AS n FROM members WHERE regexp_matches(member_id, '^[0-9]+$'))
        SELECT count(*) FILTER (WHERE n < (SELECT mode(n) FROM lengths)), count(*), (SELECT mode(n) FROM lengths)
        FROM lengths WHERE n <= (SELECT mode(n) FROM lengths)
        """
    )
    zeros = scene.row("SELECT count(*) FROM members WHERE prefix(member_id, '0')")[0]
    if of >= 100 and 0 < rows < 0.2 * of and width >= 8 and not zeros:
        yield Finding(
            "warning",
            "leading_zeros_lost",
            "members",
            "member_id",
            rows,
            f"card numbers of {width} digits",
            share(rows, of) + " shorter, and none that begins with 0",
            "compare with the cards; export member_id as text",
        )


VALIDATORS = (spoiled_ids, lost_zeros)
