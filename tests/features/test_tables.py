"""Folders and frames become typed tables, the same whatever the file format and the order of rows."""

from pathlib import Path

import pandas as pd
import pytest

from features.contract import SCHEMA
from features.errors import InputError
from features.tables import open_tables, tables_from_frames, write_tables


def tiny_frames() -> dict[str, pd.DataFrame]:
    """Two members, two orders, three lines, two items; every id begins with a zero."""
    return {
        "members": pd.DataFrame(
            {"member_id": ["001", "002"], "registered_at": ["2025-01-01 10:00:00"] * 2, "status": ["active"] * 2}
        ),
        "orders": pd.DataFrame(
            {
                "order_id": ["0001", "0002"],
                "member_id": ["001", None],
                "order_time": ["2025-03-01 10:00:00", "2025-03-09 18:30:00"],
                "channel": ["store", "wechat_mp"],
                "status": ["completed", "paid"],
                "paid_yuan": [60.0, 15.5],
                "store_id": ["S1", None],
            }
        ),
        "order_lines": pd.DataFrame(
            {
                "order_id": ["0001", "0001", "0002"],
                "line_no": [1, 2, 1],
                "line_type": ["sale", "sale", "sale"],
                "item_id": ["01", "02", "02"],
                "qty": [1, 2, 1],
                "paid_yuan": [30.0, 30.0, 15.5],
            }
        ),
        "items": pd.DataFrame(
            {
                "item_id": ["01", "02"],
                "spu_id": ["01", "02"],
                "title": ["山茶花洁面乳", "小瓶旅行装, 三件"],
                "category_l1": ["洁面", "套装"],
                "status": ["on", "on"],
            }
        ),
    }


@pytest.mark.parametrize("format", ["csv", "parquet"])
def test_ids_keep_their_leading_zeros_from_file_to_table(tmp_path: Path, format: str) -> None:
    tables = open_tables(write_tables(tiny_frames(), tmp_path / "brand", format=format))
    assert sorted(tables.members.member_id.to_pandas()) == ["001", "002"]
    assert tables["items"].item_id.to_pandas().tolist() == ["01", "02"]


def test_every_column_of_the_contract_is_there_and_typed() -> None:
    tables = tables_from_frames(tiny_frames())
    kinds = {"str": "string", "enum": "string", "int": "int64", "float": "float64", "bool": "boolean"}
    for name in tables:
        schema = tables[name].schema()
        for column in SCHEMA[name].columns:
            kind = kinds.get(column.kind, column.kind)
            assert str(schema[column.name]).startswith(kind), f"{name}.{column.name}"


def test_csv_parquet_and_frames_give_equal_tables(tmp_path: Path) -> None:
    one = open_tables(write_tables(tiny_frames(), tmp_path / "csv", format="csv"))
    two = open_tables(write_tables(tiny_frames(), tmp_path / "parquet"))
    three = tables_from_frames(tiny_frames())
    assert one.fingerprint == two.fingerprint == three.fingerprint
    for name in one:
        pd.testing.assert_frame_equal(one[name].to_pandas(), two[name].to_pandas())


def test_the_order_of_rows_is_not_in_the_fingerprint_but_every_value_is() -> None:
    frames = tiny_frames()
    turned = {name: frame.iloc[::-1] for name, frame in frames.items()}
    before = tables_from_frames(frames).fingerprint
    assert tables_from_frames(turned).fingerprint == before
    frames["orders"].loc[0, "paid_yuan"] = 61.0
    assert tables_from_frames(frames).fingerprint != before


def test_a_table_that_was_not_given_is_absent_and_said_so_when_asked_for() -> None:
    tables = tables_from_frames(tiny_frames())
    assert tables.get("stock") is None and "stock" not in tables
    with pytest.raises(InputError, match="stock: this table is needed here"):
        tables["stock"]


def test_defaults_are_filled_in() -> None:
    tables = tables_from_frames(tiny_frames())
    assert tables.members.is_staff.to_pandas().tolist() == [False, False]
    orders = tables.orders.to_pandas()
    assert (orders.loaded_at == orders.order_time).all()
    assert orders.status_at.isna().all()


def test_a_frame_with_a_row_that_cannot_be_kept_is_refused_with_the_reason() -> None:
    frames = tiny_frames()
    frames["order_lines"].loc[1, "qty"] = 0
    with pytest.raises(InputError, match="order_lines: 1 rows, qty: expected a whole number from 1"):
        tables_from_frames(frames)


def test_coverage_is_the_span_of_orders_unless_the_manifest_says_otherwise(tmp_path: Path) -> None:
    tables = tables_from_frames(tiny_frames())
    assert (str(tables.coverage_start), str(tables.coverage_end)) == ("2025-03-01", "2025-03-09")
    folder = write_tables(tiny_frames(), tmp_path, manifest={"coverage_end": "2025-03-31"})
    assert str(open_tables(folder).coverage_end) == "2025-03-31"
