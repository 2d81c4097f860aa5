"""A shop of made-up members, guides and contacts, large enough for every rule to bite."""

import datetime as dt
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from outreach.inputs import ListInputs

DAY = dt.date(2026, 3, 2)


def make_shop(members: int = 600, guides: int = 6, seed: int = 0) -> ListInputs:
    """A shop whose frames hold every optional column and some members of every kind."""
    r = np.random.default_rng(seed)
    ids = np.array([f"m{i:06d}" for i in range(members)], dtype=object)
    today = pd.Timestamp(DAY)
    guide_ids = np.array([f"g{i:03d}" for i in range(guides)], dtype=object)
    of = r.integers(0, guides, members)
    buyer = r.random(members) < 0.93
    visits = r.integers(1, 9, members)
    sent = members * 2
    kinds = np.array(["churn_risk", "due_repurchase", "relationship", "birthday", "post_sale_care"], dtype=object)
    words = np.array(
        ["none", "replied", "refused", "complaint", "do_not_contact", "unfriended", "snoozed"], dtype=object
    )
    rows = np.flatnonzero(buyer)
    return ListInputs(
        brand_id="testbrand",
        members=pd.DataFrame(
            {
                "member_id": ids,
                "registered_at": today - pd.to_timedelta(np.where(buyer, r.integers(20, 900, members), 5), unit="D"),
                "birthday": [f"{m:02d}-{d:02d}" for m, d in r.integers(1, [13, 29], (members, 2))],
                "birth_year": np.where(r.random(members) < 0.01, 2012, 1990),
                "is_staff": r.random(members) < 0.01,
                "status": np.where(r.random(members) < 0.01, "deregistered", "active"),
                "home_store_id": [f"s{g % 3}" if r.random() < 0.5 else None for g in of],
            }
        ),
        assignments=pd.DataFrame(
            {
                "member_id": ids,
                "guide_id": guide_ids[of],
                "start_at": today - pd.to_timedelta(300, unit="D"),
                "end_at": pd.NaT,
                "is_friend": r.random(members) < 0.95,
            }
        )[r.random(members) < 0.98],
        guides=pd.DataFrame(
            {
                "guide_id": guide_ids,
                "store_id": [f"s{g % 3}" for g in range(guides)],
                "status": ["leave" if g == 1 else "active" for g in range(guides)],
                "daily_capacity": [10] * guides,
            }
        ),
        predictions=pd.DataFrame(
            {
                "member_id": ids[rows],
                "churn_probability": r.beta(2, 2, len(rows)),
                "recency_days": r.integers(1, 300, len(rows)).astype(float),
                "visits": visits[rows].astype(float),
                "gap_shrunk_days": r.uniform(15, 120, len(rows)),
                "spend_mean_yuan": r.lognormal(5, 0.6, len(rows)),
                "tier": r.choice(["A", "B", "C"], len(rows)),
                "engagement": r.standard_normal(len(rows)),
            }
        ),
        consents=pd.DataFrame(
            {
                "member_id": r.choice(ids, 40),
                "purpose": r.choice(["marketing_wecom", "personalised_recommendation", "marketing_call"], 40),
                "state": r.choice(["granted", "refused", "withdrawn"], 40),
                "at": today - pd.to_timedelta(r.integers(-3, 90, 40), unit="D"),
            }
        ),
        contacts=pd.DataFrame(
            {
                "member_id": r.choice(ids, sent),
                "sent_at": today - pd.to_timedelta(r.integers(-2, 120, sent), unit="D") + pd.Timedelta(hours=10),
                "channel": r.choice(["wecom_1v1", "wecom_mass", "sms", "call_human"], sent),
                "outcome": r.choice(words, sent, p=[0.8, 0.15, 0.01, 0.01, 0.01, 0.01, 0.01]),
                "kind": r.choice(kinds, sent),
            }
        ),
        opt_outs=pd.DataFrame({"member_id": ids[:4], "kind": ["contact"] * 2 + ["personalisation"] * 2}),
        open_cases=pd.DataFrame({"member_id": ids[4:7]}),
        suggestions=pd.DataFrame(
            {
                "member_id": np.repeat(ids, 2),
                "rank": np.tile([1, 2], members),
                "item_id": r.choice(["i1", "i2", "i3"], members * 2),
                "title": r.choice(["轻柔护手霜", "草本洗发水", "棉柔巾"], members * 2),
            }
        ),
        urged=pd.DataFrame({"member_id": ids[20:24], "kind": "hq_campaign"}),
        coupons=pd.DataFrame(
            {
                "member_id": r.choice(ids, 30),
                "valid_to": today + pd.to_timedelta(r.integers(-5, 20, 30), unit="D"),
                "status": "issued",
            }
        ),
    )  # fmt: skip


@pytest.fixture
def shop() -> ListInputs:
    return make_shop()


@pytest.fixture
def shop_of() -> Callable[..., ListInputs]:
    return make_shop


@pytest.fixture
def day() -> dt.date:
    return DAY
