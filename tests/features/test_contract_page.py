"""The pages of the contract say what the code does."""

import re
from pathlib import Path

import pytest

import features
from features.contract import CORE_TABLES, SCHEMA
from features.contract_page import page
from features.rules import RULES

ROOT = Path(__file__).parents[2]
HAN = re.compile(r"[\u4e00-\u9fff]")


@pytest.mark.parametrize(("language", "name"), [("en", "data-contract.md"), ("zh", "data-contract.zh.md")])
def test_the_page_in_docs_is_the_one_the_code_prints(language: str, name: str) -> None:
    again = f"run python -m features.contract_page {language} > docs/{name}"
    assert (ROOT / "docs" / name).read_text("utf-8") == page(language), again


def test_every_column_is_explained_in_both_languages() -> None:
    for spec in SCHEMA.values():
        assert spec.meaning and HAN.search(spec.meaning_zh)
        for column in spec.columns:
            assert column.meaning, f"{spec.name}.{column.name}"
            assert HAN.search(column.meaning_zh), f"{spec.name}.{column.name}"


def test_keys_are_columns_and_core_tables_are_tables() -> None:
    assert set(CORE_TABLES) <= set(SCHEMA)
    for spec in SCHEMA.values():
        assert set(spec.key) <= set(spec.column_names)
        assert len(set(spec.column_names)) == len(spec.column_names)


def test_every_code_in_the_validators_is_a_rule_and_every_rule_is_used() -> None:
    folder = Path(features.__file__).parent
    text = "\n".join(
        p.read_text("utf-8") for p in [folder / "checks.py", folder / "sources.py", *folder.glob("validators/*.py")]
    )
    codes = [rule.code for rule in RULES]
    assert len(set(codes)) == len(codes)
    for code in codes:
        assert f'"{code}"' in text, code


def test_every_rule_has_a_planted_row() -> None:
    tests = (Path(__file__).parent / "test_checks.py").read_text("utf-8")
    missing = [rule.code for rule in RULES if f'"{rule.code}"' not in tests]
    assert missing == []
