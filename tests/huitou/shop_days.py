"""A world of known truth whose days pass through the real ledger: lists saved, outcomes posted, purchases in tables."""

import datetime as dt
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from features.tables import Tables, tables_from_frames
from huitou.judge import enter, open_book
from outreach.book import Book, rhythm_of
from outreach.diary import Diary
from outreach.inputs import ListInputs
from outreach.ledger import Ledger
from outreach.lists import plan_lists
from outreach.settings import ContactSettings
from simulator.world import World

START = dt.date(2026, 1, 1)


def member_ids(n: int) -> np.ndarray:
    return np.array([f"m{i:07d}" for i in range(n)], dtype=object)


@dataclass
class ShopDays:
    """A shop that lives with our lists; the same draws go into the ledger and into a simulator's diary."""

    world: World
    ledger: Ledger
    settings: ContactSettings
    seed: int = 7
    orders: list[pd.DataFrame] = field(default_factory=list)
    lost: list[pd.DataFrame] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.book: Book = open_book(self.world)
        self.rhythm = rhythm_of(self.book)
        self.diary = Diary(self.seed)
        self.ids = member_ids(len(self.book))

    def inputs(self, day: dt.date) -> ListInputs:
        """What `huitou lists` would read: predictions as the book has them, contacts as the ledger has them."""
        standing, _ = self.book.standing(self.rhythm, self.settings)
        signals = {f"signal_{i}": standing.signals[:, i] for i in range(standing.signals.shape[1])}
        return ListInputs(
            brand_id=self.ledger.brand_id,
            members=pd.DataFrame(
                {"member_id": self.ids, "registered_at": pd.Timestamp(START) - pd.Timedelta(days=500)}
            ),
            assignments=pd.DataFrame(
                {
                    "member_id": self.ids,
                    "guide_id": [f"g{g:02d}" for g in self.book.guide],
                    "start_at": pd.Timestamp(START) - pd.Timedelta(days=500),
                    "is_friend": self.book.friend,
                }
            ),
            guides=pd.DataFrame(
                {
                    "guide_id": [f"g{g:02d}" for g in range(int(self.book.guide.max()) + 1)],
                    "store_id": "s1",
                    "status": "active",
                    "daily_capacity": self.book.capacity,
                }
            ),
            predictions=pd.DataFrame(
                {
                    "member_id": self.ids,
                    "churn_probability": standing.churn,
                    "return_probability": 1.0 - standing.churn,
                    "recency_days": standing.days_since,
                    "visits": standing.visits,
                    "gap_shrunk_days": standing.cycle_days,
                    "spend_mean_yuan": standing.basket_yuan,
                    "buys_anyway_probability": standing.buys_anyway,
                    "engagement": standing.engagement,
                    **signals,
                }
            ),
            contacts=self.ledger.contacts(before=day),
            opt_outs=self.ledger.opt_outs(),
            policy_version="cold",
        )

    def live(self, days: int) -> None:
        """Morning: lists into the ledger and the diary. Day: the world. Evening: outcomes, orders, friends lost."""
        for _ in range(days):
            day = START + dt.timedelta(self.book.day)
            now = dt.datetime.combine(day, dt.time(10))
            plan = plan_lists(self.inputs(day), day, self.settings, self.seed)
            self.ledger.save_lists(day, plan.lists, run_id="test", at=now)
            self.ledger.save_morning(day, plan.chances, plan.learning, keep_days=self.settings.learning_days)
            tasks = {task.member_id: task for one in plan.lists for task in one.tasks}
            place = {member: i for i, member in enumerate(self.ids)}
            pool = np.array([place[m] for m in plan.chances["member_id"]], dtype=np.int64)
            drawn = np.array(sorted(place[m] for m, task in tasks.items() if not task.forced), dtype=np.int64)
            standing, _ = self.book.standing(self.rhythm, self.settings)
            self.diary.write(self.book, standing, pool, plan.chances["propensity"].to_numpy(float), drawn)
            today = self.world.step(np.array(sorted(place[m] for m in tasks), dtype=np.int64))
            self.note(today.contacted, today.unfriended, tasks, now)
            self.orders.append(self.bought(today.buyers, today.spend_yuan, day))
            gone = self.ids[today.unfriended]
            self.lost.append(pd.DataFrame({"member_id": gone, "friend_lost_at": pd.Timestamp(now)}))
            enter(self.book, today)

    def note(self, contacted: np.ndarray, lost: np.ndarray, tasks: dict, now: dt.datetime) -> None:
        told = set(self.ids[lost])
        words = [(m, "unfriended" if m in told else "sent") for m in self.ids[contacted]]
        bodies = [
            {"event_id": f"{tasks[m].task_id}-{word}", "task_id": tasks[m].task_id, "outcome": one, "at": now}
            for m, word in words
            for one in ({"sent", word} if word == "unfriended" else {word})
        ]
        for i, body in enumerate(bodies):
            body["event_id"] = f"{body['event_id']}-{i}"
        self.ledger.note_outcomes(bodies, received_at=now + dt.timedelta(hours=1))

    def bought(self, buyers: np.ndarray, spend: np.ndarray, day: dt.date) -> pd.DataFrame:
        return pd.DataFrame(
            {
                "order_id": [f"o{day:%Y%m%d}{b}" for b in buyers],
                "member_id": self.ids[buyers],
                "order_time": pd.Timestamp(day) + pd.Timedelta(hours=15),
                "paid_yuan": np.round(np.maximum(spend, 0.01), 2),
            }
        )

    def tables(self) -> Tables:
        """The brand's export on the morning after."""
        orders = pd.concat(self.orders, ignore_index=True)
        lost = pd.concat(self.lost, ignore_index=True)
        assignments = pd.DataFrame(
            {
                "member_id": self.ids,
                "guide_id": [f"g{g:02d}" for g in self.book.guide],
                "start_at": pd.Timestamp(START) - pd.Timedelta(days=500),
                "is_friend": self.book.friend,
            }
        ).merge(lost, on="member_id", how="left")
        return tables_from_frames(
            {
                "members": pd.DataFrame(
                    {"member_id": self.ids, "registered_at": pd.Timestamp("2024-06-01"), "status": "active"}
                ),
                "orders": orders.assign(channel="store", status="completed"),
                "order_lines": pd.DataFrame(
                    {
                        "order_id": orders["order_id"],
                        "line_no": 1,
                        "line_type": "sale",
                        "item_id": "i1",
                        "qty": 1,
                        "paid_yuan": orders["paid_yuan"],
                    }
                ),
                "items": pd.DataFrame(
                    [{"item_id": "i1", "spu_id": "p1", "title": "鞋", "status": "on", "category_l1": "鞋"}]
                ),
                "assignments": assignments,
            }
        )
