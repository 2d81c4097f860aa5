"""What the simulator drew in; frames of the hidden truth, never part of the export, out."""

import numpy as np
import pandas as pd

from simulator.columns import numbered, times
from simulator.people import People
from simulator.preset import Preset
from simulator.touches import Touches


def members_truth(preset: Preset, people: People, left_day: np.ndarray, start: np.datetime64) -> pd.DataFrame:
    """Each member's nature: cycle_days of the personal clock, leave_chance after a visit, staples (category names) and
    their staple_days, taste group, favourite line, affinity to contact (below .15: a sleeping dog), kind, and left_on,
    the day from which the member was silent for good by the end of the export (NaT: not)."""
    names = np.array([*(category.l2 for category in preset.categories), ""], dtype=object)
    frame = pd.DataFrame(
        {
            "member_id": people.ids,
            "kind": people.kind,
            "buys": people.buys,
            "cycle_days": people.gap_days,
            "leave_chance": people.leave,
            "taste_group": people.taste,
            "line": np.array(preset.titles.series, dtype=object)[people.line],
            "affinity": people.affinity,
            "left_on": times(
                start + np.where(np.isfinite(left_day), left_day, 0).astype(np.int64).astype("timedelta64[D]"),
                np.isfinite(left_day),
            ),
        }
    )
    for slot in range(people.staples.shape[1]):
        held = people.staples[:, slot] >= 0
        frame[f"staple_{slot + 1}"] = names[people.staples[:, slot]]
        frame[f"staple_{slot + 1}_days"] = np.where(held, people.staple_days[:, slot], np.nan)
    return frame


def contacts_truth(touches: Touches, days: int) -> pd.DataFrame:
    """Per contact, in the order of the contacts table: whether it would bring a visit by itself."""
    inside = (touches.day >= 0) & (touches.day < days)
    return pd.DataFrame(
        {
            "contact_id": numbered("C", np.arange(1, int(inside.sum()) + 1), 9),
            "would_bring_visit": touches.works[inside],
        }
    )
