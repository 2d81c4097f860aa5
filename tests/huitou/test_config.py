"""Settings: defaults, what the file says, and mistakes told by name."""

import tomllib
from pathlib import Path

import pytest

from features.errors import InputError
from huitou.config import Config, default_toml, load_config

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
