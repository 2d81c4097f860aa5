"""A history extended by a day's rows is the history built from nothing."""

from collections.abc import Callable
from datetime import date
from pathlib import Path

import pandas as pd
import pytest

from features.baskets import build_baskets
from features.errors import InputError
from features.extending import extend_history, save_history, touched_members
from features.history import build_history
from features.tables import Tables
from features.vectors import build_vectors

Frames = dict[str, pd.DataFrame]
YESTERDAY = pd.Timestamp("2024-12-01")


def _in_hand(frames: Frames, now: pd.Timestamp) -> Frames:
    """The rows head office had at a moment; later ends and returns are not there yet."""
    f = {name: frame.copy() for name, frame in frames.items()}
    o = f["orders"]
    o = o[(o.order_time < now) & ~(o.loaded_at >= now)].copy()
    o.loc[o.status.isin(["cancelled", "closed"]) & (o.status_at >= now), ["status", "status_at"]] = ["paid", pd.NaT]
    f["orders"] = o
    lines = f["order_lines"]
    f["order_lines"] = lines[lines.order_id.isin(o.order_id) & ~(lines.returned_at >= now)]
    f["members"] = f["members"][(f["members"].registered_at < now) | f["members"].member_id.isin(o.member_id)]
    return f


def _changed(old: pd.DataFrame, new: pd.DataFrame) -> pd.DataFrame:
    """Rows of the new frame that the old one does not have as they are."""
    merged = new.reset_index(drop=True).merge(old.drop_duplicates(), how="left", indicator=True)
    return new.reset_index(drop=True)[(merged["_merge"] == "left_only").to_numpy()]


def test_an_extended_history_gives_the_same_bytes_as_a_full_one(
    world: Callable[[int], Frames], tables_of: Callable[..., Tables], tmp_path: Path
) -> None:
    frames = world(5)
    before = _in_hand(frames, YESTERDAY)
    assert len(before["orders"]) < len(frames["orders"])
    saved = save_history(build_history(tables_of(before)), tmp_path / "history")
    changed = {n: _changed(before[n], frames[n]) for n in ("orders", "order_lines")}
    tables = tables_of(frames)
    touched = touched_members(tables_of(changed), tables)
    assert 0 < len(touched) < frames["orders"].member_id.nunique()
    extended, full = extend_history(saved, tables, touched), build_history(tables_of(frames))
    assert extended.excluded == full.excluded
    days = [date(2024, 10, 1), date(2024, 12, 20), date(2025, 2, 1)]
    one, other = (build_vectors(h, days, cold=True).frame for h in (extended, full))
    pd.testing.assert_frame_equal(one, other, check_exact=True)
    names = [c for c in one.columns if c not in ("member_id", "as_of")]
    assert one[names].to_numpy().tobytes() == other[names].to_numpy().tobytes()
    pd.testing.assert_frame_equal(extended.visit_frame(), full.visit_frame(), check_exact=True)
    pd.testing.assert_frame_equal(build_baskets(extended).rows, build_baskets(full).rows, check_exact=True)


def test_a_folder_without_a_saved_history_is_refused(
    world: Callable[[int], Frames], tables_of: Callable[..., Tables], tmp_path: Path
) -> None:
    with pytest.raises(
        InputError, match=r"no saved history here; expected history\.json; make one with save_history"
    ):
        extend_history(tmp_path, tables_of(world(5)), [])


def test_a_history_of_data_from_another_day_is_refused(
    world: Callable[[int], Frames], tables_of: Callable[..., Tables], tmp_path: Path
) -> None:
    frames = world(5)
    (tmp_path / "history.json").write_text(
        '{"version": 1, "coverage_start": "2020-01-01", "fingerprint": ""}', "utf-8"
    )
    with pytest.raises(InputError, match="saved as version 1 of data from 2020-01-01"):
        extend_history(tmp_path, tables_of(frames), [])
