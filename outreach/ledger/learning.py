"""The book of learning: what a morning's draw leaves for the effect to be learned from, kept for a limited time."""

import datetime as dt
from typing import TYPE_CHECKING

import orjson
import sqlalchemy as sa

from outreach.ledger import tables
from outreach.ledger.core import LedgerCore
from outreach.ledger.outcomes import TOUCHES

if TYPE_CHECKING:
    import pandas as pd

ROW = ("member_id", "listed", "propensity", "kept_share")


class LearningBook(LedgerCore):
    """Chances and standings of the members of the learning panel, by morning."""

    def save_morning(self, date: dt.date, chances: "pd.DataFrame", rows: "pd.DataFrame", *, keep_days: int) -> None:
        """Keep a morning in one transaction; saving it again replaces it, and what is older than `keep_days` goes.

        Args:
            date: the morning.
            chances: member_id, guide_id, propensity of everyone of the panel who was drawn from.
            rows: member_id, listed, propensity, kept_share and one column per part of the standing.
            keep_days: days after which a morning is deleted.
        """
        standing = [name for name in rows.columns if name not in ROW]
        values = rows[standing].to_numpy(float).round(6).tolist()
        kept = [
            {
                "brand_id": self.brand_id,
                "date": date,
                "member_id": member,
                "listed": bool(listed),
                "propensity": float(propensity),
                "kept_share": float(share),
                "standing_json": orjson.dumps(dict(zip(standing, of, strict=True))).decode(),
            }
            for member, listed, propensity, share, of in zip(*(rows[name] for name in ROW), values, strict=True)
        ]
        columns = [chances[name].tolist() for name in ("member_id", "guide_id", "propensity")]
        drawn = [
            {"brand_id": self.brand_id, "date": date, "member_id": m, "guide_id": g, "propensity": float(p)}
            for m, g, p in zip(*columns, strict=True)
        ]
        with self.writing() as connection:
            for table, new in ((tables.chance, drawn), (tables.learning_row, kept)):
                c = table.c
                old = sa.or_(c.date == date, c.date < date - dt.timedelta(days=keep_days))
                connection.execute(table.delete().where(c.brand_id == self.brand_id, old))
                if new:
                    connection.execute(table.insert(), new)

    def learning_rows(self, before: dt.date) -> "pd.DataFrame":
        """Rows of mornings before a day: date, member_id, listed, propensity, kept_share, one column per standing part."""
        import pandas as pd

        c = tables.learning_row.c
        frame = self.frame(
            sa.select(c.date, c.member_id, c.listed, c.propensity, c.kept_share, c.standing_json)
            .where(c.brand_id == self.brand_id, c.date < before)
            .order_by(c.date, c.member_id)
        )

        standing = pd.DataFrame([orjson.loads(text) for text in frame.pop("standing_json")], index=frame.index)
        return pd.concat([frame, standing], axis=1)

    def count_learning_rows(self) -> dict[str, int]:
        """How many rows are kept to learn from, listed ones and others, over how many mornings."""
        c = tables.learning_row.c
        listed = sa.func.sum(sa.case((c.listed, 1), else_=0))
        wanted = sa.select(sa.func.count(), listed, sa.func.count(sa.distinct(c.date)))
        with self.reading() as connection:
            every, taken, days = connection.execute(wanted.where(c.brand_id == self.brand_id)).one()
        return {"listed": int(taken or 0), "others": int(every) - int(taken or 0), "days": int(days)}

    def drawn(self, since: dt.date, before: dt.date) -> "pd.DataFrame":
        """Members listed by the draw: tasks that were neither forced nor replaced.

        Columns: date, member_id, done (the guide reached the member, or at least wrote).
        """
        c = tables.contact_task.c
        done = c.state.in_((*TOUCHES, "unfriended")).label("done")
        frame = self.frame(
            sa.select(c.date, c.member_id, done).where(
                c.brand_id == self.brand_id,
                c.date >= since,
                c.date < before,
                c.state != "replaced",
                c.forced.is_(False),
            )
        )
        return frame.assign(done=frame["done"].astype(bool))

    def unfriended(self, before: dt.date) -> "pd.DataFrame":
        """Who was told to be no friend any more, and when: member_id, at."""
        c = tables.outcome.c
        return self.frame(
            sa.select(c.member_id, c.at).where(
                c.brand_id == self.brand_id,
                c.outcome == "unfriended",
                c.undone_at.is_(None),
                c.at < dt.datetime.combine(before, dt.time()),
            )
        )
