"""What stands beside the service says what the service says: its page, dashboard, requirements, and a cheap import."""

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any, cast

import pytest
from prometheus_client.parser import text_string_to_metric_families
from pydantic import BaseModel

from serving.api_page import api_page
from serving.metrics import Metrics
from serving.schemas import ChurnPost, MembersPost, RecommendPost
from serving.service import Huitou

ROOT = Path(__file__).parents[2]


def test_the_page_of_the_http_interface_is_printed_from_the_code() -> None:
    page = (ROOT / "docs/http-api.md").read_text(encoding="utf-8")
    assert page == api_page(), "run: python -m serving.api_page > docs/http-api.md"


@pytest.mark.parametrize(
    "call, model",
    [("churn", ChurnPost), ("next_purchase", MembersPost), ("value", MembersPost), ("recommend", RecommendPost)],
)
def test_the_openapi_file_describes_a_typed_call_as_bentoml_reads_it(call: str, model: type[BaseModel]) -> None:
    theirs = cast(Any, Huitou).apis[call].input_spec.model_json_schema()
    ours = model.model_json_schema()
    assert (ours["properties"], ours["required"]) == (theirs["properties"], theirs["required"])


def test_the_dashboard_asks_for_metrics_that_there_are_and_for_all_of_them() -> None:
    board = json.loads((ROOT / "docs/grafana/huitou.json").read_text(encoding="utf-8"))
    asked = set(re.findall(r"huitou_[a-z_]+", " ".join(t["expr"] for p in board["panels"] for t in p["targets"])))
    families = text_string_to_metric_families(Metrics().text().decode())
    there = {family.name for family in families if not family.name.endswith("_created")}
    assert {re.sub(r"_(total|bucket)$", "", name) for name in asked} == there


def test_the_bento_is_built_from_the_versions_of_the_lock() -> None:
    lock = tomllib.loads((ROOT / "uv.lock").read_text(encoding="utf-8"))
    locked = {package["name"]: package["version"] for package in lock["package"] if "version" in package}
    lines = (ROOT / "serving/requirements.txt").read_text(encoding="utf-8").splitlines()
    wanted = dict(line.split(" ;")[0].strip().split("==") for line in lines if line.strip())
    assert wanted == {name: locked[name] for name in wanted}, (
        "run: uv export -q --locked --no-dev --no-emit-project --no-hashes --no-annotate --no-header"
        " > serving/requirements.txt"
    )
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    needed = {re.split(r"[\[<>=! ]", one)[0] for one in project["dependencies"]}
    assert needed <= set(wanted), f"missing in serving/requirements.txt: {sorted(needed - set(wanted))}"


def test_importing_the_service_opens_nothing_and_loads_no_model_library() -> None:
    code = (
        "import sys, serving.service; heavy = {'mlflow', 'lightgbm', 'sklearn', 'duckdb', 'fastapi'} & set(sys.modules);"
        "print(sorted(heavy))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd="/", check=True)
    assert run.stdout.strip() == "[]"


def test_answering_imports_no_mlflow() -> None:
    code = "import sys, serving.app, serving.bulk, serving.gate; print('mlflow' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd="/", check=True)
    assert run.stdout.strip() == "False"


def test_the_bento_file_names_only_verbs_that_there_are() -> None:
    text = (ROOT / "bentofile.yaml").read_text(encoding="utf-8")
    verbs = {path.stem.replace("_", "-") for path in (ROOT / "huitou/commands").glob("[a-z]*.py")}
    assert set(re.findall(r"`huitou ([a-z-]+)", text)) <= verbs
    assert "HUITOU_HOME" in text
