"""The adapters of public data keep the contract; each odd row goes where its docstring says."""

import os
from pathlib import Path

import pandas as pd
import pytest

from experiments.contract_folders import online_retail_ii, tafeng
from experiments.contract_folders.run import SETS, make
from features.tables import open_tables

DATA = os.environ.get("HUITOU_DATA")
needs_data = pytest.mark.skipif(not DATA, reason="HUITOU_DATA is unset: public data are not in the repository")


def retail(tmp_path: Path, rows: list[tuple]) -> tuple[dict[str, pd.DataFrame], dict[str, int]]:
    names = ["invoice", "stock_code", "description", "quantity", "invoice_date", "price", "customer_id"]
    frame = pd.DataFrame(rows, columns=names)
    frame["invoice_date"] = pd.to_datetime(frame["invoice_date"])
    (tmp_path / "online_retail_ii").mkdir()
    frame.to_parquet(tmp_path / "online_retail_ii" / "transactions.parquet")
    tables, counts = online_retail_ii.frames(tmp_path)
    return dict(tables), counts


def test_each_odd_row_of_online_retail_goes_where_it_should(tmp_path: Path) -> None:
    tables, counts = retail(
        tmp_path,
        [
            ("1", "85048", "LIGHTS", 6, "2010-01-01", 2.0, "c1"),
            ("1", "POST", "POSTAGE", 1, "2010-01-01", 5.0, "c1"),
            ("1", "M", "Manual", 1, "2010-01-01", 9.0, "c1"),
            ("2", "85048", "LIGHTS BOXED", 2, "2010-01-05", 2.0, "c1"),
            ("C3", "85048", "LIGHTS", -6, "2010-01-09", 2.0, "c1"),
            ("4", "85048", "LIGHTS", 3, "2010-01-09", 2.0, None),
            ("5", "22076", None, 1, "2010-01-10", 0.0, "c2"),
            ("6", "22076", "damaged", -8, "2010-01-10", 0.0, None),
            ("A7", "B", "Adjust bad debt", 1, "2010-01-10", -50.0, None),
            ("8", "85048", "LIGHTS", 1, "2010-01-02", 2.0, "c1"),
        ],
    )
    lines = tables["order_lines"].set_index("order_id")
    assert sorted(lines.line_type[lines.line_type != "sale"].items()) == [("5", "gift"), ("C3", "return")]
    back = lines.loc["C3"]
    assert (back.orig_order_id, back.orig_line_no, back.qty, back.paid_yuan) == ("1", 1, 6, 12.0)
    assert counts["dropped, not merchandise"] == 2 and counts["dropped, stock correction"] == 1
    orders = tables["orders"].set_index("order_id")
    assert pd.isna(orders.member_id["4"]) and orders.paid_yuan["1"] == 17.0
    items = tables["items"].set_index("item_id")
    assert items.title["85048"] == "LIGHTS" and items.title["22076"] == "22076"
    assert items.item_type["POST"] == "service" and items.category_l1["85048"] == "gift"


def test_the_last_basket_of_everybody_is_on_one_day_and_earlier_ones_a_week_apart(tmp_path: Path) -> None:
    (tmp_path / "tafeng").mkdir()
    rows = [("a", 0, "x"), ("a", 1, "y"), ("a", 2, "x"), ("b", 0, "x"), ("b", 1, "z"), ("b", 1, "x")]
    frame = pd.DataFrame(rows, columns=["member_id", "basket_no", "item_id"])
    frame.to_parquet(tmp_path / "tafeng" / "baskets.parquet")
    tables, _ = tafeng.frames(tmp_path)
    day = tables["orders"].set_index("order_id").order_time.dt.normalize()
    assert day["a-2"] == day["b-1"] == tafeng.LAST_DAY
    assert (tafeng.LAST_DAY - day["a-0"]).days == 14 and (tafeng.LAST_DAY - day["b-0"]).days == 7
    assert tables["orders"].set_index("order_id").paid_yuan["b-1"] == 2


@pytest.mark.data
@needs_data
@pytest.mark.parametrize(("name", "members"), [("cdnow", 23570), ("tafeng", 13858)])
def test_the_folders_open_without_a_refusal(name: str, members: int, tmp_path: Path) -> None:
    make(name, tmp_path / name, Path(str(DATA)))
    tables = open_tables(tmp_path / name)
    assert tables.members.count().to_pyarrow().as_py() == members and tables.brand_id == name


def test_every_data_set_has_an_adapter_of_its_own_name() -> None:
    assert set(SETS) == {"online_retail_ii", "cdnow", "tafeng"}
