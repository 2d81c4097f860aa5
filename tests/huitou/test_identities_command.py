"""`huitou identities` shows what was merged and what waits, and keeps what people decide."""

from pathlib import Path

import pandas as pd
import pytest
from click.testing import CliRunner, Result

from features.tables import write_tables
from huitou.cli import main


def run(*words: object) -> Result:
    return CliRunner().invoke(main, ["identities", *(str(w) for w in words)])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Cards c1 and c2 share a unionid; c3 and c4 share a mobile and have unionids of their own."""
    ids = ["c1", "c2", "c3", "c4"]
    claims = [("c1", "unionid", "u1"), ("c2", "unionid", "u1"), ("c3", "unionid", "u3"), ("c4", "unionid", "u4")]
    claims += [("c3", "mobile_hmac", "h"), ("c4", "mobile_hmac", "h")]
    frames = {
        "members": pd.DataFrame(
            {"member_id": ids, "registered_at": [f"2025-01-0{c[1]} 09:00:00" for c in ids], "status": "active"}
        ),
        "identities": pd.DataFrame(claims, columns=["member_id", "id_type", "id_value"]).assign(
            id_scope="-", verified=True
        ),
        "orders": pd.DataFrame(
            {
                "order_id": ids,
                "member_id": ids,
                "order_time": "2025-03-01 11:00:00",
                "channel": "app",
                "status": "paid",
                "paid_yuan": 20.0,
            }
        ),
        "order_lines": pd.DataFrame(
            {"order_id": ids, "line_no": 1, "line_type": "sale", "item_id": "A", "qty": 1, "paid_yuan": 20.0}
        ),
        "items": pd.DataFrame(
            {"item_id": ["A"], "spu_id": ["A"], "title": ["面霜"], "category_l1": ["护肤"], "status": ["on"]}
        ),
    }
    return write_tables(frames, tmp_path / "brand")


def test_merges_and_conflicts_are_printed_and_written(folder: Path, tmp_path: Path) -> None:
    result = run(folder, "--out", tmp_path / "out")
    assert result.exit_code == 0
    assert "1 cards merged into 1 members; 1 cases to decide" in result.stdout
    assert "mobile_two_unionids" in result.stdout and str(tmp_path / "out") in result.stdout
    merges = pd.read_csv(tmp_path / "out" / "merges.csv")
    assert merges[["old_id", "member_id"]].to_numpy().tolist() == [["c2", "c1"]]
    assert pd.read_csv(tmp_path / "out" / "conflicts.csv").members.tolist() == ["c3 c4"]


def test_decisions_are_kept_for_later_runs(folder: Path, tmp_path: Path) -> None:
    file = tmp_path / "decisions.csv"
    assert run(folder, "--decisions", file, "--unmerge", "c2", "--same", "c3", "c4").exit_code == 0
    again = run(folder, "--decisions", file)
    assert "1 cards merged into 1 members; 0 cases to decide" in again.stdout
    assert pd.read_csv(file).decision.tolist() == ["same", "apart"]
    assert run(folder, "--decisions", file, "--apart", "c3", "c4").exit_code == 0
    assert "0 cards merged" in run(folder, "--decisions", file).stdout


def test_mistakes_exit_2_with_the_next_step(folder: Path, tmp_path: Path) -> None:
    result = run(folder, "--apart", "c1", "c2")
    assert result.exit_code == 2 and "name a file" in result.stderr
    result = run(folder, "--decisions", tmp_path / "d.csv", "--unmerge", "c9")
    assert result.exit_code == 2 and "expected an id that was merged" in result.stderr
    (tmp_path / "bad.csv").write_text("a,b\n1,2\n")
    result = run(folder, "--decisions", tmp_path / "bad.csv")
    assert result.exit_code == 2 and "missing columns" in result.stderr
