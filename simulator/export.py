"""A simulated brand's tables in; a contract folder on disk out."""

import datetime
import json
from collections.abc import Mapping
from pathlib import Path

import pandas as pd


def write_brand(
    tables: Mapping[str, pd.DataFrame], folder: Path, *, days: int, end: datetime.date, form: str = "parquet"
) -> Path:
    """Write each table as <name>.parquet or <name>.csv with a manifest beside; returns the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, frame in tables.items():
        if form == "csv":
            frame.to_csv(folder / f"{name}.csv", index=False)
        else:
            frame.to_parquet(folder / f"{name}.parquet", index=False)
    manifest = {
        "schema_version": 1,
        "brand_id": "demo",
        "timezone": "Asia/Shanghai",
        "currency": "CNY",
        "amount_unit": "yuan",
        "exported_at": f"{end + datetime.timedelta(days=1)}T02:00:00",
        "coverage_start": str(end - datetime.timedelta(days=days - 1)),
        "coverage_end": str(end),
    }
    (folder / "manifest.json").write_text(json.dumps(manifest, ensure_ascii=False, indent=2), encoding="utf-8")
    return folder
