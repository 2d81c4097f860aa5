"""The documents say what the code says."""

import re
import tomllib
from pathlib import Path

from experiments.readme_figures import block
from huitou.cli import main
from huitou.help_page import help_page

ROOT = Path(__file__).parents[1]
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]


def test_the_command_line_page_is_printed_from_the_code() -> None:
    page = (ROOT / "docs/cli.md").read_text(encoding="utf-8")
    assert page == help_page(), "run: python -m huitou.help_page > docs/cli.md"


def test_the_figures_of_the_readme_come_from_the_experiments() -> None:
    assert block() in (ROOT / "README.md").read_text(encoding="utf-8"), "run: python -m experiments.readme_figures"


def test_every_verb_that_a_document_names_exists() -> None:
    verbs = set(main.list_commands(None))  # type: ignore[arg-type]
    for document in DOCUMENTS:
        named = set(re.findall(r"`huitou ([a-z][a-z-]*)", document.read_text(encoding="utf-8")))
        assert named <= verbs, f"{document.name} names verbs that do not exist: {sorted(named - verbs)}"


def test_every_link_between_documents_leads_somewhere() -> None:
    for document in DOCUMENTS:
        for target in re.findall(r"\]\(([^)#]+)[^)]*\)", document.read_text(encoding="utf-8")):
            if not target.startswith(("http://", "https://")):
                assert (document.parent / target).exists(), f"{document.name} links to {target}"


def test_the_wheel_carries_every_room() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    rooms = set(project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"])
    assert rooms == {path.parent.name for path in ROOT.glob("*/__init__.py")}


def test_experiments_keep_question_run_and_result() -> None:
    folders = {run.parent for run in (ROOT / "experiments").glob("*/run.py")}
    folders -= {ROOT / "experiments/contract_folders"}  # adapters: they make folders for the others and ask nothing
    assert folders
    for folder in folders:
        for name in ("README.md", "result.json"):
            assert (folder / name).is_file(), f"{folder.name} has no {name}"
