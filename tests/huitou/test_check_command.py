"""`huitou check` and `huitou hash-mobile` say what they wrote and end with the right exit code."""

import json
from pathlib import Path

import pandas as pd
import pytest
from click.testing import CliRunner, Result

from features.mobiles import hash_mobile
from features.tables import write_tables
from huitou.cli import main

KEY = "0123456789abcdef0123456789abcdef"


def run(*words: object, env: dict[str, str] | None = None) -> Result:
    return CliRunner().invoke(main, [str(w) for w in words], env=env)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    ids = [f"{i:03d}" for i in range(30)]
    frames = {
        "members": pd.DataFrame({"member_id": ids, "registered_at": "2025-01-01 10:00:00", "status": "active"}),
        "orders": pd.DataFrame(
            {
                "order_id": ids,
                "member_id": ids,
                "order_time": [f"2025-03-{1 + i:02d} 11:00:00" for i in range(30)],
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
    return write_tables(frames, tmp_path / "brand", format="csv", manifest={"brand_id": "demo"})


def test_a_usable_folder_exits_0_and_its_report_is_json(folder: Path, tmp_path: Path) -> None:
    result = run("check", folder, "--json", "--out", tmp_path / "out")
    assert result.exit_code == 0
    told = json.loads(result.stdout)
    assert told["usable"] and told["tables"]["orders"]["kept"] == 30 and told["brand_id"] == "demo"
    assert json.loads((tmp_path / "out" / "report.json").read_text("utf-8")) == told


def test_warnings_leave_exit_code_0_and_say_where_the_rows_went(folder: Path, tmp_path: Path) -> None:
    (folder / "manifest.json").unlink()
    path = folder / "orders.csv"
    path.write_text(path.read_text("utf-8").replace("2025-03-07 11:00:00", "someday"), "utf-8")
    result = run("check", folder, "--out", tmp_path / "out")
    assert result.exit_code == 0
    assert "usable" in result.stdout and "orders.order_time" in result.stdout
    assert str(tmp_path / "out" / "quarantine" / "orders.csv") in result.stdout.replace("\n", "")
    assert "someday" in (tmp_path / "out" / "quarantine" / "orders.csv").read_text("utf-8")


def test_a_refused_folder_exits_2(folder: Path) -> None:
    (folder / "items.csv").unlink()
    result = run("check", folder)
    assert result.exit_code == 2 and "refused" in result.stdout and "add items.csv" in result.stdout


def test_a_folder_that_is_not_there_exits_2_with_the_next_step(tmp_path: Path) -> None:
    result = run("check", tmp_path / "nowhere")
    assert result.exit_code == 2 and "no such folder; give the folder" in result.stderr


def test_hashed_mobiles_pass_the_check_that_refused_the_clear_ones(folder: Path, tmp_path: Path) -> None:
    ids = [f"{i:03d}" for i in range(30)]
    identities = pd.DataFrame(
        {
            "member_id": ids,
            "id_type": "mobile_hmac",
            "id_scope": "-",
            "id_value": [f"138{i:08d}" for i in range(29)] + ["010-62345678"],
        }
    )
    identities.to_csv(folder / "identities.csv", index=False)
    (folder / "manifest.json").unlink()
    refused = run("check", folder)
    assert refused.exit_code == 2 and "hash-mobile identities.csv --column id_value" in refused.stdout.replace(
        "\n", " "
    )
    key = tmp_path / "key"
    key.write_text(KEY + "\n")
    out = tmp_path / "hashed.csv"
    result = run("hash-mobile", folder / "identities.csv", "--column", "id_value", "--key-file", key, "--out", out)
    assert result.exit_code == 0 and "29 numbers hashed, 1 emptied" in result.stdout
    hashed = pd.read_csv(out, dtype=str, keep_default_na=False)
    assert hashed.id_value[0] == hash_mobile("13800000000", KEY.encode()) and hashed.id_value[29] == ""
    assert hashed.member_id.tolist() == ids
    out.replace(folder / "identities.csv")
    assert run("check", folder).exit_code == 0


def test_the_key_may_come_from_the_environment_and_is_no_option(folder: Path, tmp_path: Path) -> None:
    source = tmp_path / "m.csv"
    source.write_bytes("编号,手机\n1,+86 138-0013-8000\n".encode("gb18030"))
    result = run("hash-mobile", source, "--column", "手机", env={"HUITOU_MOBILE_KEY": KEY})
    assert result.exit_code == 0
    assert pd.read_csv(tmp_path / "m.hashed.csv", dtype=str)["手机"][0] == hash_mobile("13800138000", KEY.encode())
    assert run("hash-mobile", source, "--column", "手机", "--key", KEY).exit_code == 2


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("m.csv", "--column", "phone"), "no column 'phone'"),
        (("none.csv", "--column", "mobile"), "no such file"),
        (("m.csv",), "expected FILE and --column"),
        (("m.csv", "--column", "mobile", "--out", "m.csv"), "expected another file"),
        (("m.csv", "--column", "mobile", "--key-file", "none.key"), "no such key file"),
    ],
)
def test_mistakes_with_hash_mobile_exit_2_with_the_next_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], told: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("m.csv").write_text("mobile\n13800138000\n")
    result = run("hash-mobile", *words, env={"HUITOU_MOBILE_KEY": KEY})
    assert result.exit_code == 2 and told in result.stderr


@pytest.mark.parametrize("key", ["", "short"])
def test_a_key_that_could_be_guessed_is_refused(tmp_path: Path, key: str) -> None:
    (tmp_path / "m.csv").write_text("mobile\n13800138000\n")
    result = run("hash-mobile", tmp_path / "m.csv", "--column", "mobile", env={"HUITOU_MOBILE_KEY": key})
    assert result.exit_code == 2 and "at least 16 bytes" in result.stderr


def test_a_new_key_is_private_and_never_replaces_an_old_one(tmp_path: Path) -> None:
    path = tmp_path / "brand.key"
    assert run("hash-mobile", "--new-key", path).exit_code == 0
    assert path.stat().st_mode & 0o077 == 0 and len(path.read_text().strip()) == 64
    assert run("hash-mobile", "--new-key", path).exit_code == 2
