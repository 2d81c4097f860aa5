"""Cards of one person become one member, doubtful cases are queued, and every merge can be taken back."""

import itertools
import shutil

import pandas as pd
import pytest

from features.errors import InputError
from features.identity import OneId, decisions_frame, resolve, unmerge
from features.rekeying import one_person_each, rekey
from features.tables import Tables, tables_from_frames

Claim = tuple[str, str, str]


def world(
    *claims: Claim, deregistered: tuple[str, ...] = (), unknown: tuple[str, ...] = (), engine: str = "duckdb"
) -> Tables:
    """Members m1 … m6 (m1 registered first), each with one order; claims are (member, type, value)."""
    ids = [f"m{i}" for i in range(1, 7)]
    given = [m for m in ids if m not in unknown]
    rows = []
    for member, kind, value in claims:
        value, _, seen = value.partition("@")
        unverified = kind.endswith("?")
        rows.append(
            {
                "member_id": member,
                "id_type": kind.rstrip("?"),
                "id_scope": "app1" if kind == "openid" else "-",
                "id_value": value,
                "verified": not unverified,
                "first_seen": "2024-01-01 00:00:00",
                "last_seen": f"{seen or '2025-01-01'} 00:00:00",
            }
        )
    frames = {
        "members": pd.DataFrame(
            {
                "member_id": given,
                "registered_at": [f"2024-01-0{m[1]} 00:00:00" for m in given],
                "status": ["deregistered" if m in deregistered else "active" for m in given],
                "is_staff": [m == "m3" for m in given],
                "referrer_member_id": "m2",
            }
        ),
        "orders": pd.DataFrame(
            {
                "order_id": [f"o{m}" for m in ids],
                "member_id": ids,
                "order_time": [f"2025-01-0{m[1]} 10:00:00" for m in ids],
                "channel": "app",
                "status": "paid",
                "paid_yuan": 10.0,
            }
        ),
        "assignments": pd.DataFrame(
            {
                "member_id": ["m1", "m2"],
                "guide_id": ["g1", "g2"],
                "start_at": ["2024-02-01 00:00:00", "2024-03-01 00:00:00"],
            }
        ),
        "behaviours": pd.DataFrame(
            {
                "member_id": [None, "m2"],
                "id_type": ["openid", None],
                "id_scope": ["app1", None],
                "id_value": ["w9", None],
                "event_time": "2025-01-01 10:00:00",
                "event_type": ["view", "view"],
            }
        ),
    }
    if rows:
        frames["identities"] = pd.DataFrame(rows)
    return tables_from_frames(frames, engine=engine)


def merged(one: OneId) -> set[tuple[str, str]]:
    return set(zip(one.merges.old_id, one.merges.member_id, strict=True))


def queued(one: OneId) -> set[tuple[str, str]]:
    return set(zip(one.conflicts.members, one.conflicts.reason, strict=True))


SAME = [
    ("unionid", (("m2", "unionid", "u1"), ("m1", "unionid", "u1"))),
    ("mobile_hmac", (("m2", "mobile_hmac", "h1"), ("m1", "mobile_hmac", "h1"))),
    ("external_userid", (("m2", "external_userid", "e1"), ("m1", "external_userid", "e1"))),
    ("openid", (("m2", "openid", "w1"), ("m1", "openid", "w1"))),
    ("douyin_openid", (("m2", "douyin_openid", "d1"), ("m1", "douyin_openid", "d1"))),
]


@pytest.mark.parametrize(("kind", "claims"), SAME, ids=[kind for kind, _ in SAME])
def test_cards_with_one_identifier_become_the_member_who_joined_first(kind: str, claims: tuple[Claim, ...]) -> None:
    one = resolve(world(*claims))
    assert merged(one) == {("m2", "m1")} and one.conflicts.empty
    assert one.merges.id_type.tolist() == [kind]
    assert one.answer("m2") == one.answer("m1") == "m1" and one.answer("m5") == "m5"
    assert one.cluster("m2") == ("m1", "m2")


APART = [
    ("one mobile with two unionids", "mobile_two_unionids", "m1 m2",
     (("m1", "mobile_hmac", "h"), ("m2", "mobile_hmac", "h"), ("m1", "unionid", "u1"), ("m2", "unionid", "u2"))),
    ("a number that changed hands", "recycled_mobile", "m1 m2",
     (("m1", "mobile_hmac", "h@2023-01-01"), ("m2", "mobile_hmac", "h"), ("m1", "unionid", "u1"), ("m2", "unionid", "u2"))),
    ("a mobile of more than three", "linked_to_many", "m1 m2 m3 m4",
     tuple((f"m{i}", "mobile_hmac", "h") for i in range(1, 5))),
    ("a mobile that a guide typed", "unverified_mobile", "m1 m2",
     (("m1", "mobile_hmac", "h"), ("m2", "mobile_hmac?", "h"))),
    ("one openid with two verified mobiles", "higher_id_differs", "m1 m2",
     (("m1", "openid", "w"), ("m2", "openid", "w"), ("m1", "mobile_hmac", "h1"), ("m2", "mobile_hmac", "h2"))),
    ("one external_userid with two unionids", "higher_id_differs", "m1 m2",
     (("m1", "external_userid", "e"), ("m2", "external_userid", "e"), ("m1", "unionid", "u1"), ("m2", "unionid", "u2"))),
    ("a card of two members", "card_of_two", "m3 m1 m2", (("m1", "card", "m3"), ("m2", "card", "m3"))),
]  # fmt: skip


@pytest.mark.parametrize(("reason", "members", "claims"), [a[1:] for a in APART], ids=[a[0] for a in APART])
def test_a_doubtful_case_is_queued_with_its_reason_and_not_merged(
    reason: str, members: str, claims: tuple[Claim, ...]
) -> None:
    one = resolve(world(*claims))
    assert one.merges.empty
    assert queued(one) == {(members, reason)}
    assert one.conflicts.told.str.len().min() > 10


def test_three_identifiers_of_a_person_merge_and_a_conflicting_mobile_is_only_reported() -> None:
    claims = [
        ("m1", "unionid", "u1"),
        ("m2", "unionid", "u1"),
        ("m2", "openid", "w1"),
        ("m3", "openid", "w1"),
        ("m1", "mobile_hmac", "h1"),
        ("m4", "mobile_hmac", "h1"),
        ("m4", "unionid", "u4"),
    ]
    one = resolve(world(*claims))
    assert merged(one) == {("m2", "m1"), ("m3", "m1")}
    assert queued(one) == {("m1 m4", "mobile_two_unionids")}


def test_a_higher_identifier_wins_over_a_lower_one_that_differs() -> None:
    one = resolve(
        world(("m1", "unionid", "u"), ("m2", "unionid", "u"), ("m1", "mobile_hmac", "a"), ("m2", "mobile_hmac", "b"))
    )
    assert merged(one) == {("m2", "m1")}


def test_scopes_are_worlds_of_their_own() -> None:
    tables = world(("m1", "alipay", "x"), ("m2", "jd", "x"))
    assert resolve(tables).merges.empty and resolve(tables).conflicts.empty


@pytest.mark.parametrize("kind", ["device", "mobile_hmac?"])
def test_devices_and_typed_numbers_never_merge(kind: str) -> None:
    assert resolve(world(("m1", kind, "x"), ("m2", kind, "x"))).merges.empty


def test_a_deregistered_member_is_merged_with_nobody() -> None:
    one = resolve(world(("m1", "unionid", "u"), ("m2", "unionid", "u"), deregistered=("m1",)))
    assert one.merges.empty and one.conflicts.empty


def test_a_card_the_brand_merged_goes_into_the_new_one_although_it_is_older() -> None:
    one = resolve(world(("m2", "card", "m1")))
    assert merged(one) == {("m1", "m2")}


def test_a_chain_of_card_merges_ends_at_the_last_card() -> None:
    one = resolve(world(("m2", "card", "m1"), ("m3", "card", "m2")))
    assert merged(one) == {("m1", "m3"), ("m2", "m3")}


def test_cards_merged_in_a_circle_are_queued() -> None:
    one = resolve(world(("m2", "card", "m1"), ("m1", "card", "m2")))
    assert one.merges.empty and {reason for _, reason in queued(one)} == {"card_circle"}


def test_an_old_card_that_is_no_member_any_more_still_answers_and_keeps_its_orders() -> None:
    tables, one = one_person_each(world(("m2", "card", "m1"), unknown=("m1",)))
    assert one.answer("m1") == "m2"
    orders = tables.orders.to_pandas().set_index("order_id").member_id
    assert orders["om1"] == "m2"


def test_an_online_card_number_answers_where_orders_were_booked_on_it() -> None:
    tables, one = one_person_each(world(("m2", "ezr_code", "m1"), ("m3", "ezr_code", "e3"), unknown=("m1",)))
    assert merged(one) == {("m1", "m2")}
    assert tables.orders.to_pandas().set_index("order_id").member_id["om1"] == "m2"


def test_the_order_of_claims_changes_nothing() -> None:
    claims = [
        ("m1", "unionid", "u1"),
        ("m2", "unionid", "u1"),
        ("m2", "mobile_hmac", "h"),
        ("m3", "mobile_hmac", "h"),
        ("m3", "openid", "w"),
        ("m4", "openid", "w"),
        ("m4", "unionid", "u4"),
    ]
    first = resolve(world(*claims))
    for turned in itertools.islice(itertools.permutations(claims), 1, 5040, 2100):
        one = resolve(world(*turned))
        pd.testing.assert_frame_equal(one.merges, first.merges)
        pd.testing.assert_frame_equal(one.conflicts, first.conflicts)


def test_rekeyed_tables_hold_one_id_a_person_everywhere() -> None:
    given = world(("m1", "unionid", "u"), ("m2", "unionid", "u"), ("m3", "unionid", "u"))
    tables = rekey(given, resolve(given).merges)
    members = tables.members.to_pandas().set_index("member_id")
    assert sorted(members.index) == ["m1", "m4", "m5", "m6"]
    assert members.is_staff["m1"] and members.registered_at["m1"] == pd.Timestamp("2024-01-01")
    assert set(members.referrer_member_id) == {"m1"}
    assert sorted(tables.orders.member_id.to_pandas()) == ["m1", "m1", "m1", "m4", "m5", "m6"]
    assignments = tables.assignments.to_pandas().sort_values("start_at")
    assert assignments.member_id.tolist() == ["m1", "m1"]
    assert assignments.end_at.tolist()[0] == pd.Timestamp("2024-03-01") and pd.isna(assignments.end_at.tolist()[1])
    assert tables.fingerprint != given.fingerprint
    for name in given:
        assert tables[name].schema() == given[name].schema()


def test_unmerging_gives_back_every_table_as_it_was() -> None:
    given = world(("m1", "unionid", "u"), ("m2", "unionid", "u"))
    one = resolve(given)
    decisions = unmerge(decisions_frame(), one, "m2")
    again = resolve(given, decisions=decisions)
    assert again.merges.empty and again.conflicts.empty
    back = rekey(given, again.merges)
    assert back.fingerprint == given.fingerprint
    for name in given:
        pd.testing.assert_frame_equal(back[name].to_pandas(), given[name].to_pandas())


def test_unmerging_one_card_of_three_leaves_the_others_together() -> None:
    given = world(("m1", "unionid", "u"), ("m2", "unionid", "u"), ("m3", "unionid", "u"))
    decisions = unmerge(decisions_frame(), resolve(given), "m3")
    assert merged(resolve(given, decisions=decisions)) == {("m2", "m1")}


def test_a_person_may_decide_that_a_queued_case_is_the_same() -> None:
    given = world(("m1", "mobile_hmac?", "h"), ("m2", "mobile_hmac", "h"))
    one = resolve(given, decisions=decisions_frame([("m1", "m2", "same")]))
    assert merged(one) == {("m2", "m1")} and one.conflicts.empty


def test_what_became_known_later_merges_nobody_earlier() -> None:
    given = world(("m1", "unionid", "u"), ("m2", "unionid", "u"))
    early = resolve(given, as_of=pd.Timestamp("2023-12-01").date())
    assert early.merges.empty
    assert merged(resolve(given, as_of=pd.Timestamp("2024-06-01").date())) == {("m2", "m1")}


def test_events_of_an_app_find_their_member() -> None:
    tables, _ = one_person_each(world(("m4", "openid", "w9")))
    assert sorted(tables.behaviours.member_id.to_pandas()) == ["m2", "m4"]


def test_events_of_an_identifier_with_two_owners_stay_unknown() -> None:
    given = world(("m4", "openid", "w9"), ("m5", "openid", "w9"), ("m4", "unionid", "u4"), ("m5", "unionid", "u5"))
    tables, _ = one_person_each(given)
    assert tables.behaviours.member_id.isnull().sum().execute() == 1


def test_mistakes_are_said() -> None:
    one = resolve(world(("m1", "unionid", "u"), ("m2", "unionid", "u")))
    with pytest.raises(InputError, match="expected an id that was merged"):
        unmerge(decisions_frame(), one, "m5")
    with pytest.raises(InputError, match="expected 'apart' or 'same'"):
        decisions_frame([("m1", "m2", "maybe")])


@pytest.mark.spark
@pytest.mark.slow
def test_spark_gives_the_same_members_as_duckdb() -> None:
    pytest.importorskip("pyspark")
    if shutil.which("java") is None:
        pytest.skip("Spark needs Java 17; on Debian openjdk-17-jre-headless")
    claims = [("m1", "unionid", "u"), ("m2", "unionid", "u"), ("m4", "openid", "w9"), ("m5", "mobile_hmac?", "h")]
    here, one = one_person_each(world(*claims))
    there, other = one_person_each(world(*claims, engine="pyspark"))
    pd.testing.assert_frame_equal(one.merges, other.merges)
    for name in here:
        key = list(here[name].columns)[:2]
        for engine in (here, there):
            assert list(engine[name].columns) == list(here[name].columns)
        left, right = (t[name].to_pandas().astype(str).replace({"nan": "None", "NaT": "None"}) for t in (here, there))
        pd.testing.assert_frame_equal(
            left.sort_values(key, ignore_index=True), right.sort_values(key, ignore_index=True)
        )
