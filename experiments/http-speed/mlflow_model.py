"""The release's curve model as MLflow serves a model of one's own: vectors in, churn probability out."""

from pathlib import Path
from typing import Any

import mlflow
import numpy as np

from training.curve_model import CurveModel


class ChurnCurve(mlflow.pyfunc.PythonModel):  # type: ignore[name-defined,misc]  # mlflow has no types
    """P(no purchase within the brand's horizon) of each row of vectors."""

    def load_context(self, context: Any) -> None:
        self.model = CurveModel.load(Path(context.artifacts["curve"]))

    def predict(self, context: Any, model_input: Any, params: Any = None) -> Any:
        names = [str(name) for name in model_input.columns]
        values = np.ascontiguousarray(model_input.to_numpy(np.float32))
        return self.model.survival(values, names)[:, self.model.bins.at_horizon()]


mlflow.models.set_model(ChurnCurve())
