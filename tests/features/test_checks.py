"""Every rule of the contract finds the rows planted for it, and nothing in a clean export."""

import json
from collections.abc import Callable
from datetime import date
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from features.checks import check_folder, run_checks
from features.errors import InputError
from features.report import CheckReport, Finding
from features.tables import open_tables, write_tables

Frames = dict[str, pd.DataFrame]
TODAY = date(2025, 8, 1)


def clean_brand() -> Frames:
    """A copy of the clean brand, for a test to spoil."""
    return {name: frame.copy() for name, frame in _clean_brand().items()}


@cache
def _clean_brand() -> Frames:
    """200 members, 2,000 orders over 200 days in two stores; every rule of the contract is kept."""
    rng = np.random.default_rng(5)
    days = 200
    n = days * 10
    start = np.datetime64("2025-01-01T00:00:00")
    members = [f"0{i:09d}" for i in range(200)]
    buyer = np.arange(n) * 37 % 200
    seconds = np.repeat(np.arange(days), 10) * 86_400 + rng.integers(9 * 3600, 21 * 3600, n)
    prices = np.array([39.9, 89.5, 129.0, 199.0, 59.9])
    first, second = rng.integers(0, 5, n), rng.integers(0, 5, n)
    orders = pd.DataFrame(
        {
            "order_id": [f"SO{i:06d}" for i in range(n)],
            "member_id": [members[b] for b in buyer],
            "order_time": start + seconds.astype("timedelta64[s]"),
            "channel": np.where(np.arange(n) % 10 < 8, "store", "wechat_mp"),
            "store_id": np.where(np.arange(n) % 10 < 8, np.where(np.arange(n) % 2 == 0, "S1", "S2"), None),
            "guide_id": None,
            "status": "completed",
            "paid_yuan": (prices[first] + prices[second]).round(2),
        }
    )
    lines = pd.DataFrame(
        {
            "order_id": np.repeat(orders.order_id, 2).to_numpy(),
            "line_no": np.tile([1, 2], n),
            "line_type": "sale",
            "item_id": [f"I{k}" for k in np.column_stack([first, second]).ravel()],
            "qty": 1,
            "paid_yuan": prices[np.column_stack([first, second]).ravel()],
            "returned_at": pd.Series([None] * (2 * n), dtype="object"),
            "orig_order_id": pd.Series([None] * (2 * n), dtype="object"),
            "orig_line_no": pd.Series([None] * (2 * n), dtype="object"),
        }
    )
    return {
        "members": pd.DataFrame(
            {
                "member_id": members,
                "registered_at": pd.Timestamp("2024-06-01 12:00:00"),
                "birthday": [f"{1 + i % 12:02d}-{1 + i % 28:02d}" for i in range(200)],
                "display_name": "王*",
                "status": "active",
            }
        ),
        "orders": orders,
        "order_lines": lines,
        "items": pd.DataFrame(
            {
                "item_id": [f"I{k}" for k in range(5)],
                "spu_id": [f"I{k}" for k in range(5)],
                "title": ["洁面乳", "面霜", "精华", "套装", "面膜"],
                "category_l1": "护肤",
                "list_yuan": prices,
                "status": "on",
            }
        ),
        "stores": pd.DataFrame(
            {"store_id": ["S1", "S2"], "name": ["人民路店", "中山路店"], "close_date": [None, None]}
        ),
        "guides": pd.DataFrame(
            {"guide_id": ["G1", "G2"], "store_id": ["S1", "S2"], "role": "guide", "status": ["active", "active"]}
        ),
        "assignments": pd.DataFrame(
            {
                "member_id": members,
                "guide_id": [f"G{1 + i % 2}" for i in range(200)],
                "start_at": pd.Timestamp("2024-06-01 12:00:00"),
                "end_at": None,
            }
        ),
    }


def checked(frames: Frames, folder: Path, **options: object) -> CheckReport:
    """The report on these frames as CSV, without a manifest."""
    write_tables(frames, folder, format="csv")
    (folder / "manifest.json").unlink()
    return check_folder(folder, today=TODAY, **options)  # type: ignore[arg-type]


def found(report: CheckReport, code: str) -> Finding:
    hits = [f for f in report.findings if f.code == code]
    assert len(hits) == 1, f"{code}: {[(f.code, f.table, f.column, f.rows, f.found) for f in report.findings]}"
    return hits[0]


def test_a_clean_export_has_no_finding_and_every_row_is_kept(tmp_path: Path) -> None:
    frames = clean_brand()
    report = checked(frames, tmp_path)
    assert report.findings == ()
    assert {name: t.kept for name, t in report.tables.items()} == {name: len(f) for name, f in frames.items()}


def _duplicate_row(f: Frames) -> None:
    f["orders"] = pd.concat([f["orders"], f["orders"].head(3)])


def _duplicate_key(f: Frames) -> None:
    again = f["orders"].head(2).assign(paid_yuan=1.0)
    f["orders"] = pd.concat([f["orders"], again])


def _orphan_line(f: Frames) -> None:
    f["order_lines"].loc[[0, 1], "order_id"] = "SO-lost"


def _orphan_item(f: Frames) -> None:
    f["order_lines"].loc[[4, 5, 6], "item_id"] = "I-gone"


def _orphan_member(f: Frames) -> None:
    f["orders"].loc[[8, 9], "member_id"] = "0999999999"


def _fen(f: Frames) -> None:
    f["orders"]["paid_yuan"] *= 1000


def _fen_against_list_price(f: Frames) -> None:
    f["orders"]["paid_yuan"] = (f["orders"]["paid_yuan"] * 100).round()
    f["order_lines"]["paid_yuan"] = (f["order_lines"]["paid_yuan"] * 100).round()


def _wan(f: Frames) -> None:
    f["orders"]["paid_yuan"] /= 10_000


def _fen_in_one_channel(f: Frames) -> None:
    mini = f["orders"].channel == "wechat_mp"
    f["orders"].loc[mini, "paid_yuan"] = (f["orders"].loc[mini, "paid_yuan"] * 100).round()
    theirs = f["order_lines"].order_id.isin(f["orders"].order_id[mini])
    f["order_lines"].loc[theirs, "paid_yuan"] = (f["order_lines"].loc[theirs, "paid_yuan"] * 100).round()


def _round_and_large(f: Frames) -> None:
    f["orders"]["paid_yuan"] = 3590.0 + 10 * (f["orders"].index % 7)
    del f["order_lines"]["paid_yuan"]
    f["order_lines"]["paid_yuan"] = np.repeat(f["orders"].paid_yuan / 2, 2).to_numpy()
    f["items"]["list_yuan"] = 1990.0


def _scientific(f: Frames) -> None:
    f["orders"]["order_id"] = f["orders"]["order_id"].astype(object)
    f["orders"].loc[5, "order_id"] = "1.38E+10"


def _all_scientific(f: Frames) -> None:
    f["members"].loc[:9, "member_id"] = [f"1.3{i}E+10" for i in range(10)]


def _point_zero(f: Frames) -> None:
    f["items"]["spu_id"] = "1001.0"


def _optional_point_zero(f: Frames) -> None:
    f["orders"]["guide_id"] = "1001.0"


def _future(f: Frames) -> None:
    f["orders"].loc[[0, 7], "order_time"] = pd.Timestamp("2025-12-24 10:00:00")


def _far(f: Frames) -> None:
    f["orders"].loc[3, "order_time"] = pd.Timestamp("2009-01-01 10:00:00")


def _before_registration(f: Frames) -> None:
    f["members"].loc[0, "registered_at"] = pd.Timestamp("2025-12-31")


def _date_only(f: Frames) -> None:
    f["orders"].loc[:199, "order_time"] = f["orders"].loc[:199, "order_time"].dt.normalize()


def _return(f: Frames, **cells: object) -> None:
    base = {
        "order_id": "SO000500",
        "line_no": 9,
        "line_type": "return",
        "item_id": f["order_lines"].item_id[0],
        "qty": 1,
        "paid_yuan": 0.5,
        "returned_at": "2025-03-30 10:00:00",
        "orig_order_id": "SO000000",
        "orig_line_no": 1,
    }
    f["order_lines"] = pd.concat([f["order_lines"], pd.DataFrame([{**base, **cells}])])


def _return_without_sale(f: Frames) -> None:
    _return(f, orig_order_id="SO-before")


def _return_unnamed_without_sale(f: Frames) -> None:
    f["order_lines"] = f["order_lines"].assign(item_id=lambda x: x.item_id.replace("I4", "I3"))
    _return(f, orig_order_id=None, orig_line_no=None, item_id="I4")


def _return_over_sale(f: Frames) -> None:
    _return(f, qty=5)


def _sum(f: Frames) -> None:
    f["orders"].loc[[10, 11, 12], "paid_yuan"] += 7


def _birthdays(f: Frames) -> None:
    f["members"].loc[:79, "birthday"] = "01-01"


def _shared_card_orders(f: Frames) -> None:
    day = (f["orders"].order_time >= "2025-02-01") & (f["orders"].order_time < "2025-02-04")
    f["orders"].loc[day, ["member_id", "order_time"]] = ["0000000007", pd.Timestamp("2025-02-02 11:00:00")]


def _shared_card_stores(f: Frames) -> None:
    stores = [f"T{i}" for i in range(6)]
    f["stores"] = pd.concat([f["stores"], pd.DataFrame({"store_id": stores, "name": stores})])
    mine = f["orders"].index[f["orders"].channel == "store"][:6]
    f["orders"].loc[mine, "member_id"] = "0000000007"
    f["orders"].loc[mine, "store_id"] = stores


def _overlap(f: Frames) -> None:
    later = f["assignments"].head(4).assign(guide_id="G2", start_at=pd.Timestamp("2025-03-01"))
    later.loc[later.index[1], "guide_id"] = "G1"
    f["assignments"] = pd.concat([f["assignments"], later])


def _guide_left(f: Frames) -> None:
    f["guides"].loc[1, "status"] = "left"


def _store_closed(f: Frames) -> None:
    f["stores"].loc[1, "close_date"] = "2025-02-01"


def _gap_of_a_store(f: Frames) -> None:
    orders = f["orders"]
    orders["store_id"], orders["channel"] = "S1", "store"
    gone = (orders.store_id == "S1") & (orders.order_time.dt.date == date(2025, 4, 9))
    orders.loc[gone, ["store_id", "channel"]] = [None, "app"]


def _gap_of_the_brand(f: Frames) -> None:
    gone = f["orders"].order_time.dt.date == date(2025, 4, 9)
    lost = set(f["orders"].order_id[gone])
    f["orders"] = f["orders"][~gone]
    f["order_lines"] = f["order_lines"][~f["order_lines"].order_id.isin(lost)]


def _no_lines(f: Frames) -> None:
    f["order_lines"] = f["order_lines"][f["order_lines"].order_id != "SO000004"]


def _no_store(f: Frames) -> None:
    f["orders"].loc[[0, 1], "store_id"] = None


def _unknown_guide(f: Frames) -> None:
    f["orders"].loc[[0, 1, 2], "guide_id"] = "G9"


def _free(f: Frames) -> None:
    f["order_lines"].loc[:59, "paid_yuan"] = 0.0


def _late(f: Frames) -> None:
    f["orders"]["loaded_at"] = f["orders"]["order_time"]
    f["orders"].loc[[1, 2], "loaded_at"] += pd.Timedelta(days=9)


def _name(f: Frames) -> None:
    f["members"].loc[[0, 1], "display_name"] = "王小明"


def _test_store(f: Frames) -> None:
    f["stores"].loc[1, "name"] = "测试门店"


def _emptied(f: Frames) -> None:
    f["members"]["gender"] = "f"
    f["members"].loc[[3, 4], "gender"] = "女"


def _quarantined(f: Frames) -> None:
    f["order_lines"]["qty"] = f["order_lines"]["qty"].astype(object)
    f["order_lines"].loc[[3, 4], "qty"] = [-1, "two"]


def _negative_money(f: Frames) -> None:
    f["order_lines"].loc[3, "paid_yuan"] = -39.9


def _return_without_time(f: Frames) -> None:
    f["order_lines"].loc[3, "line_type"] = "return"


def _extra(f: Frames) -> None:
    f["orders"]["paidat"] = "x"


def _lost_zeros(f: Frames) -> None:
    for name in ("members", "orders", "assignments"):
        f[name]["member_id"] = "1" + f[name]["member_id"].str[1:]
        f[name]["member_id"] = f[name]["member_id"].replace({"1000000007": "7", "1000000011": "11"})


PLANTED: list[tuple[Callable[[Frames], None], str, str, str, str | None, int]] = [
    (_duplicate_row, "duplicate_row", "warning", "orders", None, 3),
    (_duplicate_key, "duplicate_key", "warning", "orders", None, 2),
    (_orphan_line, "orphan_line", "warning", "order_lines", "order_id", 2),
    (_orphan_item, "orphan_item", "warning", "order_lines", "item_id", 3),
    (_orphan_member, "orphan_member", "warning", "orders", "member_id", 2),
    (_fen, "unit", "refused", "orders", "paid_yuan", 2000),
    (_wan, "unit", "refused", "orders", "paid_yuan", 2000),
    (_fen_against_list_price, "unit_of_lines", "refused", "order_lines", "paid_yuan", 4000),
    (_fen_in_one_channel, "unit_by_channel", "refused", "orders", "paid_yuan", 400),
    (_round_and_large, "unit_perhaps", "warning", "orders", "paid_yuan", 2000),
    (_scientific, "id_scientific", "warning", "orders", "order_id", 1),
    (_all_scientific, "id_scientific", "refused", "members", "member_id", 10),
    (_point_zero, "id_point_zero", "refused", "items", "spu_id", 5),
    (_optional_point_zero, "id_point_zero", "warning", "orders", "guide_id", 2000),
    (_future, "future_time", "warning", "orders", "order_time", 2),
    (_far, "far_time", "warning", "orders", "order_time", 1),
    (_before_registration, "order_before_registration", "note", "orders", "order_time", 10),
    (_date_only, "date_only", "warning", "orders", "order_time", 200),
    (_return_without_sale, "return_without_sale", "warning", "order_lines", "orig_order_id", 1),
    (_return_unnamed_without_sale, "return_without_sale", "warning", "order_lines", "orig_order_id", 1),
    (_return_over_sale, "return_over_sale", "warning", "order_lines", "qty", 1),
    (_sum, "sum_mismatch", "warning", "orders", "paid_yuan", 3),
    (_birthdays, "default_birthday", "warning", "members", "birthday", 82),
    (_shared_card_orders, "suspected_shared_card", "warning", "orders", "member_id", 40),
    (_shared_card_stores, "suspected_shared_card", "warning", "orders", "member_id", 16),
    (_overlap, "overlapping_assignments", "warning", "assignments", "end_at", 4),
    (_guide_left, "guide_left", "warning", "assignments", "guide_id", 100),
    (_store_closed, "store_closed", "warning", "assignments", "store_id", 100),
    (_gap_of_a_store, "coverage_gap", "warning", "orders", "order_time", 1),
    (_gap_of_the_brand, "coverage_gap_brand", "warning", "orders", "order_time", 1),
    (_no_lines, "order_without_lines", "warning", "orders", "order_id", 1),
    (_no_store, "store_missing", "warning", "orders", "store_id", 2),
    (_unknown_guide, "unknown_id", "warning", "orders", "guide_id", 3),
    (_free, "free_sale", "note", "order_lines", "paid_yuan", 60),
    (_late, "late_upload", "note", "orders", "loaded_at", 2),
    (_name, "unmasked_name", "warning", "members", "display_name", 2),
    (_test_store, "test_store", "warning", "stores", "name", 1),
    (_emptied, "emptied", "warning", "members", "gender", 2),
    (_quarantined, "quarantined", "warning", "order_lines", "qty", 2),
    (_negative_money, "quarantined", "warning", "order_lines", "paid_yuan", 1),
    (_return_without_time, "quarantined", "warning", "order_lines", "returned_at", 1),
    (_lost_zeros, "leading_zeros_lost", "warning", "members", "member_id", 2),
    (_extra, "extra_column", "warning", "orders", "paidat", 0),
]


@pytest.mark.parametrize(
    ("plant", "code", "severity", "table", "column", "rows"), PLANTED, ids=lambda x: getattr(x, "__name__", None)
)
def test_a_planted_fault_is_found_where_it_was_planted(
    tmp_path: Path,
    plant: Callable[[Frames], None],
    code: str,
    severity: str,
    table: str,
    column: str | None,
    rows: int,
) -> None:
    frames = clean_brand()
    plant(frames)
    finding = found(checked(frames, tmp_path), code)
    assert (finding.severity, finding.table, finding.column, finding.rows) == (severity, table, column, rows)
    assert finding.expected and finding.found and finding.next_step


MOBILES = [
    ("members", "display_name", "13812345678"),
    ("members", "member_id", "13812345678"),
    ("members", "referrer_member_id", "+86 138-1234-5678"),
    ("orders", "coupon_id", "8613812345678"),
    ("members", "remark", "打这个：19912345678，谢谢"),
    ("items", "title", "热线 17612345678"),
]


@pytest.mark.parametrize(
    ("table", "column", "value", "format"), [(*case, "csv") for case in MOBILES] + [(*MOBILES[1], "parquet")]
)
def test_one_clear_mobile_refuses_the_file(tmp_path: Path, table: str, column: str, value: str, format: str) -> None:
    frames = clean_brand()
    if column not in frames[table]:
        frames[table][column] = None
    frames[table].loc[frames[table].index[4], column] = value
    folder = write_tables(frames, tmp_path / "brand", format=format)
    report = check_folder(folder, quarantine=tmp_path / "out", today=TODAY)
    finding = found(report, "clear_mobile")
    assert (finding.severity, finding.table, finding.column, finding.rows) == ("refused", table, column, 1)
    assert report.tables[table].refused == len(frames[table]) and report.tables[table].kept == 0
    assert not (tmp_path / "out" / f"{table}.csv").exists()
    assert value not in json.dumps(report.as_dict(), ensure_ascii=False)


@pytest.mark.parametrize(
    "innocent", ["SO13812345678", "138123456789", "1381234567", "12812345678", "0013812345678", "a13812345678b"]
)
def test_other_long_ids_are_no_mobiles(tmp_path: Path, innocent: str) -> None:
    frames = clean_brand()
    frames["orders"]["coupon_id"] = None
    frames["orders"].loc[7, "coupon_id"] = innocent
    assert checked(frames, tmp_path).findings == ()


@pytest.mark.parametrize(("plant", "code"), [(_fen, "unit"), (_wan, "unit")])
def test_a_manifest_that_names_the_unit_makes_an_odd_median_a_warning(
    tmp_path: Path, plant: Callable[[Frames], None], code: str
) -> None:
    frames = clean_brand()
    frames.pop("order_lines")
    plant(frames)
    report = check_folder(write_tables(frames, tmp_path), today=TODAY)
    assert found(report, code).severity == "warning"


def test_a_dear_channel_with_goods_of_its_own_is_not_refused(tmp_path: Path) -> None:
    frames = clean_brand()
    mini = frames["orders"].channel == "wechat_mp"
    frames["orders"].loc[mini, "paid_yuan"] = 9_000.0
    theirs = frames["order_lines"].order_id.isin(frames["orders"].order_id[mini])
    frames["order_lines"].loc[theirs, ["item_id", "paid_yuan"]] = ["I9", 4_500.0]
    ring = frames["items"].head(1).assign(item_id="I9", spu_id="I9", list_yuan=4_999.0)
    frames["items"] = pd.concat([frames["items"], ring])
    report = checked(frames, tmp_path)
    assert found(report, "unit_by_channel").severity == "warning" and report.usable


def test_files_the_contract_does_not_know_are_said(tmp_path: Path) -> None:
    write_tables(clean_brand(), tmp_path)
    (tmp_path / "order_line.csv").write_text("a\n1\n")
    assert found(check_folder(tmp_path, today=TODAY), "unknown_file").table == "order_line.csv"


@pytest.mark.parametrize(("share", "severity"), [(0.004, "warning"), (0.03, "refused")])
def test_orphans_are_a_warning_at_first_and_refused_from_two_percent(
    tmp_path: Path, share: float, severity: str
) -> None:
    frames = clean_brand()
    lines = frames["order_lines"]
    lines.loc[: int(share * len(lines)) - 1, "item_id"] = "I-gone"
    report = checked(frames, tmp_path)
    assert found(report, "orphan_item").severity == severity
    assert report.usable == (severity == "warning")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030", "utf-16"])
def test_chinese_text_is_read_in_every_usual_encoding(tmp_path: Path, encoding: str) -> None:
    folder = write_tables(clean_brand(), tmp_path, format="csv")
    (folder / "manifest.json").unlink()
    for path in folder.glob("*.csv"):
        path.write_bytes(path.read_text("utf-8").encode(encoding))
    tables = open_tables(folder)
    titles = tables["items"].order_by("item_id").title.to_pandas().tolist()
    assert titles == ["洁面乳", "面霜", "精华", "套装", "面膜"]


def test_text_that_is_in_no_known_encoding_is_refused(tmp_path: Path) -> None:
    folder = write_tables(clean_brand(), tmp_path, format="csv")
    (folder / "items.csv").write_bytes(b"item_id,title\nI1,\xff\xff\x80\x00\n")
    report = check_folder(folder)
    assert "UTF-8 or GB18030" in found(report, "unreadable").found


def test_lines_that_are_no_rows_are_quarantined_with_their_text(tmp_path: Path) -> None:
    folder = write_tables(clean_brand(), tmp_path / "brand", format="csv")
    (folder / "manifest.json").unlink()
    path = folder / "items.csv"
    path.write_text(path.read_text("utf-8") + "I9,I9,too,many,cells,here,and,here\n", "utf-8")
    report = check_folder(folder, quarantine=tmp_path / "out", today=TODAY)
    assert report.tables["items"].read == 6 and report.tables["items"].kept == 5
    assert "I9,I9,too,many" in (tmp_path / "out" / "items.csv").read_text("utf-8")


def test_quarantined_rows_are_written_as_they_were_given_with_their_reason(tmp_path: Path) -> None:
    frames = clean_brand()
    _quarantined(frames)
    _duplicate_row(frames)
    report = checked(frames, tmp_path / "brand", quarantine=tmp_path / "out")
    lines = pd.read_csv(tmp_path / "out" / "order_lines.csv", dtype=str)
    assert lines._row.tolist() == ["4", "5"]
    assert lines.qty.tolist() == ["-1", "two"]
    assert lines._reason.tolist() == ["qty: expected a whole number from 1"] * 2
    orders = pd.read_csv(tmp_path / "out" / "orders.csv", dtype=str)
    assert orders._reason.tolist() == ["the same row again"] * 3
    count = report.tables["order_lines"]
    assert count.read == count.kept + sum(count.quarantined.values()) + count.superseded + count.refused


def test_a_manifest_that_disagrees_with_its_files_refuses_them(tmp_path: Path) -> None:
    folder = write_tables(clean_brand(), tmp_path, format="csv")
    told = json.loads((folder / "manifest.json").read_text("utf-8"))
    told["files"]["orders.csv"]["rows"] = 1_999
    told["files"]["items.csv"]["sha256"] = "0" * 64
    told["files"]["coupons.csv"] = {"rows": 1}
    (folder / "manifest.json").write_text(json.dumps(told), "utf-8")
    report = check_folder(folder, today=TODAY)
    assert {(f.code, f.table) for f in report.refusals} >= {
        ("row_count", "orders"),
        ("checksum", "items"),
        ("missing_file", "coupons"),
    }
    assert not report.usable


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("amount_unit", "fen", "amount_unit expected 'yuan', found 'fen'"),
        ("mode", "delta", "mode expected 'full' or 'incremental'"),
        ("coverage_end", "soon", "coverage_end expected a day"),
        ("schema_version", "7", "schema_version expected '1'"),
        ("files", ["orders.csv"], "files expected"),
    ],
)
def test_a_manifest_that_says_something_else_is_an_error(tmp_path: Path, key: str, value: object, words: str) -> None:
    folder = write_tables(clean_brand(), tmp_path, manifest={"brand_id": "b"})
    told = {**json.loads((folder / "manifest.json").read_text("utf-8")), key: value}
    (folder / "manifest.json").write_text(json.dumps(told), "utf-8")
    with pytest.raises(InputError, match=words):
        check_folder(folder)


def test_missing_columns_are_named_with_those_that_were_found(tmp_path: Path) -> None:
    frames = clean_brand()
    frames["orders"] = frames["orders"].rename(columns={"paid_yuan": "amount"})
    report = checked(frames, tmp_path)
    told = str(found(report, "unreadable"))
    assert "orders: missing columns ['paid_yuan'] in orders.csv; found [" in told and "'amount'" in told
    with pytest.raises(InputError, match="missing columns"):
        open_tables(tmp_path)


def test_a_missing_core_table_refuses_the_folder(tmp_path: Path) -> None:
    frames = clean_brand()
    del frames["items"]
    assert found(checked(frames, tmp_path), "missing_table").table == "items"


@pytest.mark.parametrize("name", ["nowhere", "empty"])
def test_a_folder_without_tables_is_an_error(tmp_path: Path, name: str) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=r"no such folder|no table found"):
        check_folder(tmp_path / name)


def test_increments_replace_rows_by_key_and_the_newest_change_wins(tmp_path: Path) -> None:
    frames = clean_brand()
    frames["members"]["updated_at"] = pd.Timestamp("2025-07-01")
    frames["members"]["level"] = "银卡"
    write_tables(frames, tmp_path / "a", manifest={"exported_at": "2025-07-20"})
    newer = frames["members"].head(2).copy()
    newer["level"] = ["金卡", "铜卡"]
    newer["updated_at"] = pd.to_datetime(["2025-07-21", "2025-06-01"])
    more = frames["orders"].head(1).assign(status="cancelled", status_at=pd.Timestamp("2025-07-21"))
    write_tables(
        {"members": newer, "orders": more},
        tmp_path / "b",
        manifest={"exported_at": "2025-07-22", "mode": "incremental"},
    )
    report = check_folder(tmp_path, today=TODAY)
    assert report.usable and report.tables["members"].superseded == 2 and report.tables["orders"].superseded == 1
    tables = open_tables(tmp_path)
    level = tables.members.to_pandas().set_index("member_id").level
    # The second row was changed before what is known already: it loses although it came later.
    assert level["0000000000"] == "金卡" and level["0000000001"] == "银卡" and len(level) == 200
    status = tables.orders.to_pandas().set_index("order_id").status
    assert status["SO000000"] == "cancelled" and len(status) == 2000


def test_an_export_before_the_last_full_one_is_not_read(tmp_path: Path) -> None:
    frames = clean_brand()
    write_tables(frames, tmp_path / "a", manifest={"exported_at": "2025-07-20"})
    frames["members"] = frames["members"].assign(city="杭州")
    write_tables(frames, tmp_path / "b", manifest={"exported_at": "2025-07-25"})
    report = check_folder(tmp_path, today=TODAY)
    assert report.tables["members"].read == 200 and report.findings == ()


def test_what_is_mended_is_mended(tmp_path: Path) -> None:
    frames = clean_brand()
    for plant in (_orphan_item, _orphan_member, _birthdays, _overlap, _name):
        plant(frames)
    tables = open_tables(write_tables(frames, tmp_path))
    items = tables["items"].to_pandas().set_index("item_id")
    assert items.status["I-gone"] == "off" and items.category_l1["I-gone"] == "未知"
    assert tables.orders.to_pandas().set_index("order_id").member_id[["SO000008", "SO000009"]].isna().all()
    members = tables.members.to_pandas()
    assert not (members.birthday == "01-01").any() and members.birthday.notna().sum() == 118
    assert set(members.display_name) == {"王*"}
    assignments = tables.assignments.to_pandas()
    assert assignments.end_at.notna().sum() == 4
    assert set(assignments.end_at.dropna()) == {pd.Timestamp("2025-03-01")}


def test_times_with_an_offset_become_local_and_slashes_are_read(tmp_path: Path) -> None:
    frames = clean_brand()
    orders = frames["orders"].astype({"order_time": object})
    orders.loc[[0, 1, 2, 3], "order_time"] = [
        "2025-01-01T02:30:00Z",
        "2025-01-01T10:30:00+08:00",
        "2025/1/1 10:30",
        "2025-01-01T10:30:00",
    ]
    frames["orders"] = orders.astype({"order_time": str})
    tables = open_tables(write_tables(frames, tmp_path, format="csv"))
    times = tables.orders.to_pandas().set_index("order_id").order_time
    assert set(times[[f"SO{i:06d}" for i in range(4)]]) == {pd.Timestamp("2025-01-01 10:30:00")}


def test_the_order_of_rows_changes_no_kept_row_and_no_finding(tmp_path: Path) -> None:
    frames = clean_brand()
    for plant in (_duplicate_key, _orphan_line, _overlap, _sum, _far):
        plant(frames)
    turned = {name: frame.sample(frac=1, random_state=3) for name, frame in frames.items()}
    reports = []
    for name, given in (("a", frames), ("b", turned)):
        work = tmp_path / f"work-{name}"
        work.mkdir()
        reports.append(run_checks(write_tables(given, tmp_path / name, format="csv"), work, today=TODAY).report)
    assert reports[0].fingerprint == reports[1].fingerprint
    assert reports[0].findings == reports[1].findings
    assert reports[0].tables == reports[1].tables


def test_a_refused_table_opens_no_folder_and_the_message_says_all_of_it(tmp_path: Path) -> None:
    frames = clean_brand()
    _wan(frames)
    frames["items"].loc[0, "title"] = "13812345678"
    folder = write_tables(frames, tmp_path)
    (folder / "manifest.json").unlink()
    with pytest.raises(InputError, match=r"items\.title, 1 rows: expected no clear mobile.*orders\.paid_yuan"):
        open_tables(folder)


def _edit(name: str, change: Callable[[bytes], bytes]) -> Callable[[Path], None]:
    def edit(folder: Path) -> None:
        (folder / name).write_bytes(change((folder / name).read_bytes()))

    return edit


SAME_TEXT = {
    "lines end as on Windows": _edit("orders.csv", lambda text: text.replace(b"\n", b"\r\n")),
    "semicolons": _edit("items.csv", lambda text: text.replace(b",", b";")),
    "a quoted header in capitals": _edit(
        "items.csv",
        lambda t: b",".join(b'"%s"' % c for c in t.split(b"\n")[0].upper().split(b",")) + t[t.index(b"\n") :],
    ),
    "blank lines at the end": _edit("items.csv", lambda text: text + b"\n\n"),
    "text with line breaks, commas and quotes": _edit(
        "items.csv", lambda text: text.replace("面霜".encode(), '"面\n霜, ""大"""'.encode())
    ),
}


@pytest.mark.parametrize("spelling", SAME_TEXT)
def test_the_same_rows_may_be_spelled_in_several_ways(tmp_path: Path, spelling: str) -> None:
    folder = write_tables(clean_brand(), tmp_path, format="csv")
    (folder / "manifest.json").unlink()
    SAME_TEXT[spelling](folder)
    report = check_folder(folder, today=TODAY)
    assert report.findings == ()
    assert (report.tables["items"].kept, report.tables["orders"].kept) == (5, 2000)


BROKEN = {
    "items.csv: expected a header line": _edit("items.csv", lambda _: b""),
    "found twice": _edit("items.csv", lambda text: text.replace(b"spu_id", b"Item_ID", 1)),
    "at least one row": _edit("items.csv", lambda text: text.split(b"\n")[0] + b"\n"),
}


@pytest.mark.parametrize("told", BROKEN)
def test_a_file_that_cannot_be_used_is_refused_with_what_to_do(tmp_path: Path, told: str) -> None:
    folder = write_tables(clean_brand(), tmp_path, format="csv")
    (folder / "manifest.json").unlink()
    BROKEN[told](folder)
    report = check_folder(folder, today=TODAY)
    assert any(told in str(f) and f.next_step for f in report.refusals), [str(f) for f in report.refusals]


def test_a_column_without_a_name_is_an_extra_column(tmp_path: Path) -> None:
    folder = write_tables(clean_brand(), tmp_path, format="csv")
    (folder / "manifest.json").unlink()
    _edit("items.csv", lambda text: text.replace(b"\n", b",\n"))(folder)
    report = check_folder(folder, today=TODAY)
    assert report.usable and found(report, "extra_column").column == "column 7"


def test_what_only_looks_like_parquet_is_refused(tmp_path: Path) -> None:
    folder = write_tables(clean_brand(), tmp_path)
    (folder / "manifest.json").unlink()
    (folder / "items.parquet").write_bytes(b"hello")
    assert "not readable as Parquet" in found(check_folder(folder, today=TODAY), "unreadable").found
