"""Settings: defaults, what the file says, and mistakes told by name."""

import time
import tomllib
from datetime import timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner

from features.errors import InputError
from huitou.commands.token import command as token
from huitou.config import Config, default_toml, load_config
from outreach.ledger import Ledger

ROOT = Path(__file__).parents[2]


def test_the_committed_file_shows_every_key_with_its_default_and_a_comment() -> None:
    text = (ROOT / "huitou.toml").read_text(encoding="utf-8")
    assert text == default_toml(), "run: huitou config > huitou.toml"
    keys = [line for line in text.splitlines() if " = " in line]
    assert keys and all("# " in line for line in keys)


def test_the_defaults_are_what_an_empty_file_gives(tmp_path: Path) -> None:
    empty = tmp_path / "huitou.toml"
    empty.write_text("")
    assert load_config(empty) == Config() == load_config(ROOT / "huitou.toml")
    assert tomllib.loads(default_toml())


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[brnad]\nid='x'", ["brnad", "brand"]),
        ("[brand]\nidd='x'", ["idd", "input"]),
        ("[training]\ncutoffs='two'", ["training.cutoffs", "int", "'two'"]),
        ("[training]\ncutoffs=true", ["training.cutoffs", "int"]),
        ("brand = 3", ["section"]),
        ("[brand", ["not TOML"]),
    ],
)
def test_a_mistake_in_the_file_is_told_with_what_is_known(tmp_path: Path, text: str, words: list[str]) -> None:
    file = tmp_path / "huitou.toml"
    file.write_text(text)
    with pytest.raises(InputError) as caught:
        load_config(file)
    assert all(word in str(caught.value) for word in words)


def test_a_named_file_must_exist(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        load_config(tmp_path / "none.toml")


def test_the_clock_is_the_brands_wherever_the_machine_stands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A token that ends, a job, a list: the service reads their times by the brand's clock."""
    monkeypatch.setenv("TZ", "America/New_York")
    time.tzset()
    try:
        config = load_config(None, home=str(tmp_path))
        assert config.now().utcoffset() == timedelta(hours=8)
        made = CliRunner().invoke(token, ["create", "analyst", "--days", "1", "--home", str(tmp_path)])
        assert made.exit_code == 0, made.output
        ledger = Ledger(config.ledger_url, brand_id=config.brand.id)
        (kept,) = ledger.tokens()
        brand = config.now().replace(tzinfo=None)
        assert abs(kept["created_at"] - brand) < timedelta(minutes=5)
        assert ledger.holder(made.output.strip(), brand + timedelta(hours=23)) is not None
        assert ledger.holder(made.output.strip(), brand + timedelta(hours=25)) is None
        ledger.close()
    finally:
        monkeypatch.undo()
        time.tzset()
