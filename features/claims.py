"""Tables come in; out come the claims on identifiers that bear on who is who, and the members who make them."""

from datetime import date, datetime, time, timedelta

import pandas as pd

from features.tables import Tables

# Trust, highest first. `card` stands for a merge that the brand declares: the value is another card's number.
TRUST = (
    "card",
    "unionid",
    "mobile_hmac",
    "external_userid",
    "openid",
    "alipay",
    "jd",
    "tmall_ouid",
    "douyin_openid",
)
# Ids that answer for a member wherever a member_id is expected.
CARD_TYPES = ("card", "ezr_code")


def claims_in_play(tables: Tables, as_of: date | None, decided: list[str]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Claims that hold (seen before as_of, not expired) of the members who share something, and these members' rows."""
    names = ["member_id", "id_type", "id_scope", "id_value", "verified", "first_seen", "last_seen", "valid_to"]
    members = tables["members"].select("member_id", "registered_at", "status")
    if "identities" not in tables:
        return pd.DataFrame(columns=names, dtype=object), members.filter(members.member_id.isin(decided)).to_pandas()
    claims = tables["identities"].select(*names)
    if as_of is not None:
        moment = datetime.combine(as_of, time.min)
        claims = claims.filter(
            claims.first_seen.isnull() | (claims.first_seen < moment),
            claims.valid_to.isnull() | (claims.valid_to >= moment),
        )
    else:
        end = datetime.combine(tables.coverage_end + timedelta(days=1), time.min)
        claims = claims.filter(claims.valid_to.isnull() | (claims.valid_to >= end))
    # Every member may have an online card number; only those that orders were booked on need to answer.
    online = claims.id_type == "ezr_code"
    if "orders" in tables:
        booked = tables["orders"].select(id_value="member_id").distinct()
        claims = claims.filter(~online).union(claims.filter(online).semi_join(booked, "id_value"))
    else:
        claims = claims.filter(~online)
    key = ["id_type", "id_scope", "id_value"]
    shared = claims.group_by(key).agg(n=claims.member_id.nunique())
    shared = shared.filter(shared.n > 1).drop("n")
    cards = claims.filter(claims.id_type.isin(CARD_TYPES), claims.id_value != claims.member_id)
    in_play = claims.semi_join(shared, key).select("member_id").union(cards.select("member_id"))
    named = cards.select(member_id=cards.id_value)
    people = in_play.union(named).distinct()
    involved = members.semi_join(people, "member_id")
    if decided:
        involved = involved.union(members.filter(members.member_id.isin(decided))).distinct()
    return claims.semi_join(people, "member_id").to_pandas(), involved.to_pandas()
