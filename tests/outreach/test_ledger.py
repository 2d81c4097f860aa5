"""The ledger's promises, on SQLite and PostgreSQL alike."""

import datetime as dt
import random
import threading
import uuid
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from features.errors import InputError
from outreach.ledger import Ledger, tables

DAY = dt.date(2026, 3, 2)
NOW = dt.datetime(2026, 3, 2, 9, 30)
LATER = NOW + dt.timedelta(hours=1)


def a_list(guide: str, members: list[str], *, digest: str = "d1", capacity: int = 3) -> dict[str, Any]:
    return {
        "list_id": f"{DAY:%Y%m%d}-{guide}",
        "guide_id": guide,
        "store_id": "s1",
        "date": DAY,
        "seed": 7,
        "policy_version": "cold-1",
        "capacity": capacity,
        "eligible": 40,
        "excluded": {"gap": 3},
        "fallback": "none",
        "digest": digest,
        "tasks": [
            {
                "task_id": f"{DAY:%Y%m%d}-{guide}-{member}",
                "rank": rank,
                "member_id": member,
                "reason_code": "DUE",
                "score_yuan": 12.5,
                "propensity": 0.25,
                "kind": "due_repurchase",
                "text_zh": "该回购了",
                "text_en": "Due",
            }
            for rank, member in enumerate(members, 1)
        ],
    }


def an_outcome(task_id: str, outcome: str, event_id: str, minutes: int = 0) -> dict[str, Any]:
    at = NOW + dt.timedelta(minutes=minutes)
    return {"event_id": event_id, "task_id": task_id, "outcome": outcome, "at": at, "channel": "wecom_1v1"}


def task_of(guide: str, member: str) -> str:
    return f"{DAY:%Y%m%d}-{guide}-{member}"


def test_the_migrations_build_exactly_the_tables_of_the_code(ledger: Ledger) -> None:
    with ledger.engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), tables.metadata) == []


def test_a_ledger_with_another_schema_is_refused_with_the_next_step(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'empty.db'}"
    with pytest.raises(InputError, match=r"schema is at nothing.*run `huitou serve`"):
        Ledger(url, migrate=False)


def test_an_unknown_database_is_refused_by_name() -> None:
    with pytest.raises(InputError, match=r"ledger\.url: expected sqlite"):
        Ledger("nosuchdatabase://x")


def test_saving_the_same_lists_twice_is_saving_them_once(ledger: Ledger) -> None:
    first = ledger.save_lists(DAY, [a_list("g1", ["a", "b"])], run_id="r", at=NOW)
    again = ledger.save_lists(DAY, [a_list("g1", ["a", "b"])], run_id="r2", at=NOW)
    assert (first["tasks"], again["tasks"], again["unchanged"]) == (2, 0, 1)
    assert [t["member_id"] for t in ledger.tasks_of_guide("g1", DAY)] == ["a", "b"]


def test_a_new_version_keeps_started_tasks_and_replaces_only_the_others(ledger: Ledger) -> None:
    ledger.save_lists(DAY, [a_list("g1", ["a", "b", "c"])], run_id="r", at=NOW)
    ledger.note_outcome(an_outcome(task_of("g1", "b"), "sent", "e1"), received_at=LATER)
    counts = ledger.save_lists(DAY, [a_list("g1", ["b", "x", "y", "z"], digest="d2")], run_id="r2", at=NOW)
    shown = ledger.tasks_of_guide("g1", DAY)
    assert sorted(t["member_id"] for t in shown) == ["b", "x", "y"], "capacity 3, one of it already used"
    assert (counts["kept"], counts["replaced"]) == (1, 2)
    head = ledger.list_head("g1", DAY)
    assert head is not None and head["version"] == 2 and head["excluded"] == {"gap": 3}
    listed = ledger.listed(DAY + dt.timedelta(days=1))
    assert sorted(listed.loc[listed["state"] == "replaced", "member_id"]) == ["a", "c"], "the old version is kept"


def test_a_member_handed_over_is_not_listed_a_second_time_that_day(ledger: Ledger) -> None:
    ledger.save_lists(DAY, [a_list("g1", ["a", "b"]), a_list("g2", ["c"])], run_id="r", at=NOW)
    assert ledger.hand_over([task_of("g1", "a")], "g2") == 1
    ledger.save_lists(DAY, [a_list("g1", ["a", "b"], digest="d2")], run_id="r2", at=NOW)
    assert [t["member_id"] for t in ledger.tasks_of_guide("g1", DAY)] == ["b"]
    assert sorted(t["member_id"] for t in ledger.tasks_of_guide("g2", DAY)) == ["a", "c"]


def test_outcomes_in_any_order_and_any_number_of_times_leave_the_same_state(ledger: Ledger) -> None:
    ledger.save_lists(DAY, [a_list("g1", ["a", "b", "c"])], run_id="r", at=NOW)
    bodies = [
        an_outcome(task_of("g1", "a"), "sent", "e1", 0),
        an_outcome(task_of("g1", "a"), "replied", "e2", 5),
        an_outcome(task_of("g1", "a"), "ordered", "e3", 9),
        an_outcome(task_of("g1", "b"), "refused", "e4", 1),
    ] * 2
    random.Random(3).shuffle(bodies)
    statuses = [ledger.note_outcome(body, received_at=LATER).status for body in bodies]
    assert statuses.count("created") == 4 and statuses.count("known") == 4
    states = {t["member_id"]: t["state"] for t in ledger.tasks_of_guide("g1", DAY)}
    assert states == {"a": "ordered", "b": "refused", "c": "pending"}
    contacts = ledger.contacts(DAY + dt.timedelta(days=1))
    assert list(zip(contacts["member_id"], contacts["outcome"], strict=True)) == [("b", "refused"), ("a", "ordered")]
    assert set(contacts["channel"]) == {"wecom_1v1"} and set(contacts["kind"]) == {"due_repurchase"}


def test_the_same_event_id_with_another_body_is_a_conflict_and_changes_nothing(ledger: Ledger) -> None:
    ledger.save_lists(DAY, [a_list("g1", ["a"])], run_id="r", at=NOW)
    ledger.note_outcome(an_outcome(task_of("g1", "a"), "sent", "e1"), received_at=LATER)
    assert (
        ledger.note_outcome(an_outcome(task_of("g1", "a"), "refused", "e1"), received_at=LATER).status == "conflict"
    )
    assert ledger.tasks_of_guide("g1", DAY)[0]["state"] == "sent"
    assert ledger.note_outcome(an_outcome("nobody", "sent", "e9"), received_at=LATER).status == "unknown_task"


def test_undoing_an_outcome_lifts_the_block_it_made(ledger: Ledger) -> None:
    ledger.save_lists(DAY, [a_list("g1", ["a"])], run_id="r", at=NOW)
    ledger.note_outcome(an_outcome(task_of("g1", "a"), "sent", "e1"), received_at=LATER)
    ledger.note_outcome(an_outcome(task_of("g1", "a"), "do_not_contact", "e2", 3), received_at=LATER)
    assert ledger.standing("a", NOW + dt.timedelta(days=4000)).blocks == ("do_not_contact",)
    undone = ledger.undo_outcome("e2", at=NOW)
    assert undone is not None and undone.state == "sent"
    assert ledger.standing("a", NOW).blocks == ()
    assert ledger.undo_outcome("nothing", at=NOW) is None


def test_a_refusal_blocks_for_sixty_days(ledger: Ledger) -> None:
    ledger.save_lists(DAY, [a_list("g1", ["a"])], run_id="r", at=NOW)
    ledger.note_outcome(an_outcome(task_of("g1", "a"), "refused", "e1"), received_at=LATER)
    assert ledger.standing("a", NOW + dt.timedelta(days=59)).blocks == ("refused",)
    assert ledger.standing("a", NOW + dt.timedelta(days=61)).blocks == ()
    assert ledger.standings(["a", "b"], NOW)["a"].blocks == ("refused",)


def test_the_newest_consent_holds_on_the_next_call_and_history_stays(ledger: Ledger) -> None:
    assert ledger.standing("a", NOW).personalised and not ledger.standing("a", NOW).consents["marketing_sms"]
    said = {"member_id": "a", "purpose": "personalised_recommendation", "at": NOW, "state": "refused"}
    ledger.put_consents([said])
    assert not ledger.standing("a", NOW).personalised
    assert not ledger.standings(["a"], NOW)["a"].personalised
    assert list(ledger.opt_outs()["kind"]) == ["personalisation"]
    ledger.put_consents([said | {"at": NOW + dt.timedelta(hours=1), "state": "granted"}])
    assert ledger.standing("a", NOW).personalised
    assert len(ledger.consents()) == 2 and ledger.opt_outs().empty


def test_only_a_refusal_closes_a_channel(ledger: Ledger) -> None:
    possible = ["wecom_1v1", "call_human", "sms"]
    assert ledger.standing("a", NOW).open_channels(possible) == possible
    ledger.put_consents([{"member_id": "a", "purpose": "marketing_wecom", "at": NOW, "state": "withdrawn"}])
    assert ledger.standing("a", NOW).open_channels(possible) == ["call_human", "sms"]


def test_a_clock_that_runs_ahead_does_not_outlast_the_block(ledger: Ledger) -> None:
    ledger.save_lists(DAY, [a_list("g1", ["a"])], run_id="r", at=NOW)
    ledger.note_outcome(an_outcome(task_of("g1", "a"), "refused", "e1", 60 * 24 * 365), received_at=NOW)
    assert ledger.standing("a", NOW + dt.timedelta(days=61)).blocks == ()


def test_an_unknown_purpose_is_refused_by_name(ledger: Ledger) -> None:
    with pytest.raises(InputError, match="purpose 'everything'"):
        ledger.put_consents([{"member_id": "a", "purpose": "everything", "at": NOW, "state": "granted"}])


def test_only_a_tokens_hash_is_kept_and_revoking_works_on_the_next_call(ledger: Ledger) -> None:
    clear = ledger.create_token("guide", subject="g1", at=NOW)
    holder = ledger.holder(clear, NOW)
    assert holder is not None and (holder.role, holder.subject) == ("guide", "g1")
    with ledger.reading() as connection:
        kept = [str(row) for row in connection.execute(sa.select(tables.token))]
    assert all(clear not in row for row in kept)
    ledger.revoke_token(holder.token_id, at=NOW)
    assert ledger.holder(clear, NOW) is None
    with pytest.raises(InputError, match="no live token"):
        ledger.revoke_token(holder.token_id, at=NOW)


def test_a_token_ends_when_it_expires(ledger: Ledger) -> None:
    clear = ledger.create_token("admin", at=NOW, expires_at=NOW + dt.timedelta(hours=1))
    assert ledger.holder(clear, NOW) is not None
    assert ledger.holder(clear, NOW + dt.timedelta(hours=1)) is None


@pytest.mark.parametrize(
    ("role", "match"), [("queen", "not known"), ("guide", "needs --guide"), ("manager", "needs --store")]
)
def test_a_token_without_whom_it_is_for_is_refused(ledger: Ledger, role: str, match: str) -> None:
    with pytest.raises(InputError, match=match):
        ledger.create_token(role, at=NOW)


def test_a_job_is_asked_for_once_and_survives_a_worker_that_dies(ledger: Ledger) -> None:
    job, agrees = ledger.ask_job("lists", {"date": "2026-03-02"}, idempotency_key="k", actor="t", at=NOW)
    same, still = ledger.ask_job("lists", {"date": "2026-03-02"}, idempotency_key="k", actor="t", at=NOW)
    _, other = ledger.ask_job("lists", {"date": "2026-03-03"}, idempotency_key="k", actor="t", at=NOW)
    assert agrees and still and not other and job["job_id"] == same["job_id"]
    assert ledger.any_job()
    claimed = ledger.claim_job("lists", at=NOW)
    assert claimed is not None and claimed["state"] == "running"
    assert ledger.claim_job("lists", at=NOW) is None, "one worker at a time"
    ledger.keep_job(job["job_id"], at=NOW + dt.timedelta(minutes=50))
    assert ledger.claim_job("lists", at=NOW + dt.timedelta(minutes=51)) is None, (
        "the worker says that it is still at it"
    )
    later = NOW + dt.timedelta(hours=1)
    again = ledger.claim_job("lists", at=later)
    assert again is not None and again["attempts"] == 2, "the dead worker's job is taken over"
    ledger.finish_job(job["job_id"], at=later, result={"tasks": 3})
    done = ledger.job(job["job_id"])
    assert done is not None and done["state"] == "done" and done["result"] == {"tasks": 3}


def test_rules_keep_their_history_and_the_newest_holds(ledger: Ledger) -> None:
    ledger.put_rules({"monthly_cap": 3, "quiet_hours": ["21:00", "09:00"]}, actor="t", at=NOW)
    ledger.put_rules({"monthly_cap": 2}, actor="t", at=NOW)
    assert ledger.rules() == {"monthly_cap": 2, "quiet_hours": ["21:00", "09:00"]}


def test_events_are_noted_once_and_stock_follows_the_latest_word(ledger: Ledger) -> None:
    order = {"event_id": "o1", "kind": "order", "at": NOW, "member_id": "a", "item_id": "i1", "qty": 1.0}
    late = {"event_id": "s2", "kind": "stock", "at": NOW, "store_id": "s1", "item_id": "i1", "qty": 0.0}
    early = late | {"event_id": "s1", "at": NOW - dt.timedelta(hours=1), "qty": 9.0}
    assert ledger.note_events([order, late, early], received_at=LATER) == ["created"] * 3
    assert ledger.note_events([order, order | {"qty": 2.0}], received_at=LATER) == ["known", "conflict"]
    assert ledger.sold_out("s1") == {"i1"} and ledger.sold_out("s2") == set()
    assert ledger.bought(["a", "b"], NOW) == {"a"}


def test_the_holdout_remembers_who_was_in_it_and_when(ledger: Ledger) -> None:
    ledger.set_holdout({"a": "holdout", "b": "holdout"}, since=DAY)
    changed = ledger.set_holdout({"a": "holdout", "c": "holdout"}, since=DAY + dt.timedelta(days=30))
    assert changed == {"added": 1, "released": 1, "kept": 1}
    held = ledger.holdout()
    assert list(held.loc[held["until"].isna(), "member_id"]) == ["a", "c"]
    assert len(held) == 3


def test_an_aware_time_is_kept_as_the_brands_local_time(ledger: Ledger) -> None:
    shanghai = dt.timezone(dt.timedelta(hours=8))
    clear = ledger.create_token("admin", at=NOW.replace(tzinfo=shanghai), expires_at=NOW.replace(tzinfo=shanghai))
    assert ledger.tokens()[0]["created_at"] == NOW
    assert ledger.holder(clear, NOW) is None


def test_the_chances_of_those_not_listed_are_kept_by_day(ledger: Ledger) -> None:
    frame = pd.DataFrame({"member_id": ["a", "b"], "guide_id": ["g1", "g1"], "propensity": [0.25, 0.5]})
    ledger.save_chances(DAY, frame)
    ledger.save_chances(DAY, frame.iloc[:1])
    assert list(ledger.chances(DAY + dt.timedelta(days=1))["member_id"]) == ["a"]
    assert ledger.chances(DAY).empty


def test_the_newest_report_of_a_name_is_the_one_shown(ledger: Ledger) -> None:
    assert ledger.newest_report("contact_experiment") is None
    ledger.save_report("contact_experiment", DAY, {"lift": 1})
    ledger.save_report("contact_experiment", DAY + dt.timedelta(days=1), {"lift": 2})
    assert ledger.newest_report("contact_experiment") == (DAY + dt.timedelta(days=1), {"lift": 2})


def test_leave_covers_its_days_and_ends(ledger: Ledger) -> None:
    ledger.set_leave("g1", DAY, None, actor="t")
    assert ledger.on_leave(DAY + dt.timedelta(days=9)) == ["g1"]
    assert ledger.on_leave(DAY - dt.timedelta(days=1)) == []
    ledger.end_leave("g1", DAY + dt.timedelta(days=1))
    assert ledger.on_leave(DAY + dt.timedelta(days=2)) == []


def test_a_forgotten_member_is_in_no_table_and_no_byte_of_the_file(ledger: Ledger) -> None:
    member = f"MEMBER-{uuid.uuid4().hex}"
    ledger.save_lists(DAY, [a_list("g1", [member, "b"])], run_id="r", at=NOW)
    ledger.note_outcome(an_outcome(task_of("g1", member), "sent", "e1"), received_at=LATER)
    ledger.put_consents([{"member_id": member, "purpose": "service", "at": NOW, "state": "granted"}])
    ledger.set_holdout({member: "holdout"}, since=DAY)
    ledger.note_events(
        [{"event_id": "o1", "kind": "order", "at": NOW, "member_id": member, "item_id": "i"}], received_at=NOW
    )
    ledger.note_exposures(
        [{"request_id": "q", "at": NOW, "member_id": member, "slate": "again", "personalised": True, "items": ["i"]}]
    )
    ledger.note_audit([{"at": NOW, "actor": "t", "role": "guide", "action": "view", "member_id": member}])
    ledger.put_rules({"urged": ["b", {"member_id": member, "kind": "hq_campaign"}]}, actor="t", at=NOW)
    ledger.put_rules({"urged": [member]}, actor="t", at=LATER)
    assert len(ledger.export(member)["outcome"]) == 1
    receipt = ledger.forget(member, at=NOW)
    assert receipt["contact_task"] == receipt["outcome"] == receipt["audit"] == 1
    assert all(not rows for rows in ledger.export(member).values())
    assert ledger.is_forgotten(member) and not ledger.is_forgotten("b")
    assert ledger.member_mark(member) in ledger.forgotten_marks()
    with ledger.reading() as connection:
        for table in tables.metadata.sorted_tables:
            assert all(member not in str(row) for row in connection.execute(sa.select(table)))
    if ledger.engine.dialect.name == "sqlite":
        folder = Path(str(ledger.engine.url.database)).parent
        assert all(member.encode() not in path.read_bytes() for path in folder.glob("ledger.db*"))


def test_many_writers_at_once_lose_nothing(ledger: Ledger) -> None:
    members = [f"m{i}" for i in range(12)]
    ledger.save_lists(DAY, [a_list("g1", members, capacity=12)], run_id="r", at=NOW)

    def work(member: str) -> None:
        for number in range(5):
            body = an_outcome(task_of("g1", member), "replied", f"{member}-{number}", number)
            ledger.note_outcome(body, received_at=LATER)

    threads = [threading.Thread(target=work, args=(member,)) for member in members]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with ledger.reading() as connection:
        wanted = sa.select(sa.func.count()).select_from(tables.outcome)
        assert connection.execute(wanted.where(tables.outcome.c.brand_id == ledger.brand_id)).scalar() == 60
    assert {t["state"] for t in ledger.tasks_of_guide("g1", DAY)} == {"replied"}


def test_writing_raises_the_revision_that_readers_compare(ledger: Ledger) -> None:
    before = ledger.revisions().get("consents", 0)
    ledger.put_consents([{"member_id": "a", "purpose": "service", "at": NOW, "state": "granted"}])
    assert ledger.revisions()["consents"] == before + 1


def test_counts_of_stock_give_way_to_newer_words_only(ledger: Ledger) -> None:
    rows = [("s1", "i1", 0.0, DAY), ("s1", "i2", 0.0, DAY), ("s2", "i1", 3.0, DAY)]
    assert ledger.put_counts(rows) == 3 and ledger.put_counts([]) == 0
    assert ledger.sold_out("s1") == {"i1", "i2"} and ledger.sold_out("s2") == set()
    event = {"event_id": "e1", "kind": "stock", "at": NOW, "store_id": "s1", "item_id": "i1", "qty": 2.0}
    ledger.note_events([event], received_at=NOW)
    ledger.put_counts([("s1", "i1", 0.0, DAY), ("s1", "i2", 5.0, DAY - dt.timedelta(days=1))])
    assert ledger.sold_out("s1") == {"i2"}, "the event is of later, and the count of the day before is of earlier"
    assert ledger.all_sold_out()[["store_id", "item_id"]].to_numpy().tolist() == [["s1", "i2"]]


def test_who_may_not_be_told_is_found_for_many_at_once(ledger: Ledger) -> None:
    def said(member: str, purpose: str, state: str, at: dt.datetime = NOW) -> dict[str, object]:
        return {"member_id": member, "purpose": purpose, "state": state, "at": at}

    ledger.put_consents(
        [
            said("a", "personalised_recommendation", "refused"),
            said("b", "marketing_wecom", "withdrawn"),
            said("c", "marketing_call", "granted"),
            said("d", "service", "refused"),
            said("d", "service", "granted", LATER),
        ]
    )
    ledger.block("e", "snoozed", "x", NOW, LATER)
    found = ledger.closed([*"abcdef", *map(str, range(900))], NOW)
    assert (found.blocked, found.impersonal, found.no_chat, found.calls) == ({"e"}, {"a"}, {"b"}, {"c"})
    assert ledger.closed(["e"], LATER).blocked == frozenset()
    events = [
        {"event_id": f"e{n}", "kind": kind, "at": NOW, "member_id": member, "item_id": item}
        for n, (kind, member, item) in enumerate([("order", "a", "i1"), ("return", "b", "i1"), ("view", "c", "i1")])
    ]
    ledger.note_events(events, received_at=NOW)
    assert ledger.buyers_since("i1", list("abcd"), NOW) == {"a", "b"}
    assert ledger.buyers_since("i1", list("abcd"), LATER) == set() and ledger.buyers_since("i2", ["a"], NOW) == set()


def test_exposures_of_some_days_come_back_with_rungs_and_chances(ledger: Ledger) -> None:
    row = {
        "member_id": "a",
        "store_id": "s1",
        "slate": "new",
        "personalised": True,
        "release_id": "r",
        "items": ["i", "j"],
    }
    full = {
        "role": "app",
        "model": "m:1",
        "rungs": ["own", "explore"],
        "propensities": [1.0, 0.05],
        "explore_share": 0.1,
    }
    ledger.note_exposures([row | {"request_id": "old", "at": NOW - dt.timedelta(days=9)}])
    ledger.note_exposures([row | full | {"request_id": "new", "at": NOW}])
    found = ledger.exposures(DAY + dt.timedelta(days=1)).set_index("request_id")
    assert found.loc["old", "rungs"] == ["", ""] and found.loc["old", "propensities"] == [1.0, 1.0]
    assert found.loc["old", "explore_share"] == 0 and found.loc["new", "propensities"] == [1.0, 0.05]
    assert ledger.exposures(DAY + dt.timedelta(days=1), DAY)["request_id"].tolist() == ["new"]
    assert ledger.count_exposures() == 2 and ledger.count_exposures(1) == 1
    view = {"event_id": "v", "kind": "view", "at": NOW, "member_id": "a", "item_id": "i"}
    ledger.note_events([view], received_at=NOW)
    assert ledger.item_events(DAY, DAY + dt.timedelta(days=1))[
        ["member_id", "item_id", "kind"]
    ].to_numpy().tolist() == [["a", "i", "view"]]
