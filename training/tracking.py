"""MLflow, behind one door: runs, metrics with intervals, registered model versions and the aliases that promote them.

The only module that imports MLflow. Everything lives under one home folder by default (SQLite and a plain artifact
folder), or wherever a tracking URI points. No member rows are ever logged: only aggregates, models and plots.
"""

import json
import logging
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")

import mlflow
import mlflow.data.meta_dataset
from mlflow.data.http_dataset_source import HTTPDatasetSource
from mlflow.entities import Metric, RunStatus
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException

from training.settings import TrackingSettings

CHAMPION, CHALLENGER, PREVIOUS = "champion", "challenger", "previous"
# A challenger that lost: it goes on beside the champion, unserved, until both can be judged on what came.
SHADOW = "shadow"
MODEL_FOLDER = "model"

logging.getLogger("mlflow.store.db.utils").setLevel(logging.WARNING)
logging.getLogger("alembic").setLevel(logging.WARNING)


@dataclass(frozen=True)
class Registered:
    """A registered version of a task's model: where it came from and what its run measured."""

    task: str
    name: str
    version: str
    run_id: str
    tags: Mapping[str, str]

    @property
    def is_fallback(self) -> bool:
        return self.tags.get("source") == "fallback"


class Tracker:
    """One brand's experiment and registry.

    Parameters
    ----------
    home: folder that holds `mlflow.db` and `mlartifacts/` where no URI is configured.
    settings: see TrackingSettings.
    """

    def __init__(self, home: Path, settings: TrackingSettings | None = None) -> None:
        self.settings = settings or TrackingSettings()
        home.mkdir(parents=True, exist_ok=True)
        self.uri = self.settings.uri or f"sqlite:///{(home / 'mlflow.db').resolve()}"
        self.client = mlflow.MlflowClient(tracking_uri=self.uri, registry_uri=self.uri)
        found = self.client.get_experiment_by_name(self.settings.experiment)
        if found is None:
            location = None if self.settings.uri else (home / "mlartifacts").resolve().as_uri()
            self.experiment_id = self.client.create_experiment(self.settings.experiment, artifact_location=location)
        else:
            self.experiment_id = found.experiment_id

    @contextmanager
    def run(
        self, name: str, *, parent: "Run | None" = None, tags: Mapping[str, str] | None = None
    ) -> Iterator["Run"]:
        """A run that ends FINISHED, or FAILED with the exception passed on."""
        all_tags = {"mlflow.runName": name, **(tags or {})}
        if parent is not None:
            all_tags["mlflow.parentRunId"] = parent.run_id
        entity = self.client.create_run(self.experiment_id, tags=all_tags, run_name=name)
        run = Run(self.client, entity.info.run_id)
        try:
            yield run
        except BaseException:
            self.client.set_terminated(run.run_id, RunStatus.to_string(RunStatus.FAILED))
            raise
        self.client.set_terminated(run.run_id)

    def model_name(self, task: str) -> str:
        return f"{self.settings.experiment}-{task}"

    def register(
        self,
        task: str,
        run: "Run",
        folder: Path,
        *,
        alias: str,
        tags: Mapping[str, str],
        folder_name: str = MODEL_FOLDER,
    ) -> Registered:
        """Log a saved model's folder to `run` and register it as the next version of `task`, under `alias`."""
        self.client.log_artifacts(run.run_id, str(folder), folder_name)
        name = self.model_name(task)
        try:
            self.client.get_registered_model(name)
        except MlflowException:
            self.client.create_registered_model(name)
        version = self.client.create_model_version(
            name, source=f"runs:/{run.run_id}/{folder_name}", run_id=run.run_id, tags=dict(tags)
        )
        self.client.set_registered_model_alias(name, alias, version.version)
        return self._registered(task, version)

    def get(self, task: str, alias: str) -> Registered | None:
        """The version of `task` under `alias`, or None."""
        try:
            return self._registered(task, self.client.get_model_version_by_alias(self.model_name(task), alias))
        except MlflowException:
            return None

    def set_alias(self, task: str, alias: str, version: str) -> None:
        self.client.set_registered_model_alias(self.model_name(task), alias, version)

    def drop_alias(self, task: str, alias: str) -> None:
        self.client.delete_registered_model_alias(self.model_name(task), alias)

    def fetch(self, model: Registered, into: Path) -> Path:
        """Copy a registered model's folder to `into` (made anew) and return it."""
        version = self.client.get_model_version(model.name, model.version)
        return self.fetch_folder(model.run_id, str(version.source).rsplit("/", 1)[-1], into)

    def fetch_folder(self, run_id: str, name: str, into: Path) -> Path:
        """Copy a folder of a run's artifacts to `into` (made anew) and return it."""
        shutil.rmtree(into, ignore_errors=True)
        into.parent.mkdir(parents=True, exist_ok=True)
        staging = into.parent / f".{into.name}.fetch"
        shutil.rmtree(staging, ignore_errors=True)
        staging.mkdir()
        fetched = self.client.download_artifacts(run_id, name, str(staging))
        Path(fetched).replace(into)
        shutil.rmtree(staging, ignore_errors=True)
        return into

    def read_json(self, run_id: str, name: str) -> Any:
        """A JSON artifact of a run, or None where the run has none of that name."""
        try:
            return mlflow.artifacts.load_dict(f"{self.client.get_run(run_id).info.artifact_uri}/{name}")
        except (MlflowException, OSError):
            return None

    def _registered(self, task: str, version: ModelVersion) -> Registered:
        return Registered(task, version.name, str(version.version), str(version.run_id), dict(version.tags))


@dataclass(frozen=True)
class Run:
    """An open run: parameters, metrics (with their intervals), figures and text go in."""

    client: mlflow.MlflowClient
    run_id: str

    def params(self, values: Mapping[str, Any]) -> None:
        for key, value in values.items():
            self.client.log_param(self.run_id, key, str(value)[:6000])

    def metrics(self, values: Mapping[str, Any], prefix: str = "") -> None:
        """Log numbers; a {"value", "low", "high"} becomes three metrics, a nested mapping is walked, None is left out."""
        flat = [Metric(key, number, 0, 0) for key, number in _numbers(values, prefix)]
        for start in range(0, len(flat), 1000):
            self.client.log_batch(self.run_id, metrics=flat[start : start + 1000])

    def json(self, name: str, content: Any) -> None:
        self.client.log_text(self.run_id, json.dumps(content, ensure_ascii=False, indent=1, default=str), name)

    def text(self, name: str, content: str) -> None:
        self.client.log_text(self.run_id, content, name)

    def dataset(self, name: str, fingerprint: str, profile: Mapping[str, Any]) -> None:
        """Note which data a run has seen: a name, a digest and aggregate counts. No rows, no path."""
        source = HTTPDatasetSource(f"https://localhost/{name}")
        data = mlflow.data.meta_dataset.MetaDataset(source=source, name=name, digest=fingerprint[:32])
        from mlflow.entities import DatasetInput

        self.client.log_inputs(self.run_id, [DatasetInput(dataset=data._to_mlflow_entity(), tags=[])])
        self.json("data_profile.json", {"fingerprint": fingerprint, **profile})


def _numbers(values: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, float]]:
    for key, value in values.items():
        # MLflow allows letters, digits and _ - . : / in a metric's name.
        name = re.sub(r"[^\w\-.:/ ]", "_", f"{prefix}{key}".replace("@", "_at_"), flags=re.ASCII)
        if isinstance(value, Mapping):
            yield from _numbers(value, f"{name}/")
        elif isinstance(value, bool) or value is None:
            continue
        elif isinstance(value, int | float) and value == value:
            yield name.removesuffix("/value"), float(value)
