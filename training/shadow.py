"""A release and a model that does not serve in; what that model would have said, kept until it can be judged, out.

A challenger that lost at the gate goes on in shadow: on the days whose served predictions are kept, its own are kept
beside them, of the same members and under the same digests, and `huitou monitor` compares both once they have matured.
"""

from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd

from training.curve_model import CurveModel
from training.curves import SurvivalCurves
from training.kept_predictions import write_kept
from training.release import SCORED, Release


def shadow_folder(root: Path) -> Path:
    """Where the shadow's predictions stand, under the folder of what was served."""
    return root / "shadow"


def keep_shadow(root: Path, release: Release, model: CurveModel, version: str) -> Path | None:
    """Keep the shadow's churn probabilities of a release's scored members; returns the file written.

    None where the model's columns are not the release's, or where it does not reach the release's horizon.
    """
    names, horizon = [str(name) for name in release.manifest["columns"]], int(release.manifest["horizon_days"])
    if list(model.names) != names or horizon > model.bins.max_days:
        return None
    rows = np.flatnonzero(np.asarray(release.kind) == SCORED)
    survival = model.survival(np.ascontiguousarray(release.vectors[rows], dtype=np.float32), names)
    ids = [one.decode() for one in np.asarray(release.ids)[rows].tolist()]
    as_of = date.fromisoformat(str(release.manifest["as_of"]))
    curves = SurvivalCurves(np.array(ids), as_of, model.bins.edges, survival, np.full(len(ids), model.rung))
    return write_kept(
        shadow_folder(root),
        as_of,
        pd.DataFrame({"member_id": ids, "churn_probability": curves.at(horizon)}),
        horizon_days=horizon,
        max_days=model.bins.max_days,
        release_id=release.release_id,
        model=version,
    )
