"""Codes and masks in; columns as the contract wants them (ids as text, nulls where nothing is) out."""

import numpy as np
import pandas as pd


def numbered(prefix: str, codes: np.ndarray, width: int) -> np.ndarray:
    """Ids such as M0000042, as an object array."""
    return np.array([f"{prefix}{code:0{width}d}" for code in codes.tolist()], dtype=object)


def or_none(where: np.ndarray, values: np.ndarray) -> np.ndarray:
    """The values where the mask holds, None elsewhere, as an object array."""
    out = np.full(len(where), None, dtype=object)
    out[where] = values[where]
    return out


def times(values: np.ndarray, where: np.ndarray | None = None) -> pd.Series:
    """Naive local times in nanoseconds, NaT where the mask does not hold."""
    column = values.astype("datetime64[ns]")
    if where is not None:
        column = np.where(where, column, np.datetime64("NaT", "ns"))
    return pd.Series(column)
