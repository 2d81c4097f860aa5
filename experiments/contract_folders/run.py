"""Make contract folders of the public data sets: `python -m experiments.contract_folders.run OUT [NAME …]`.

The data are found through the environment variable HUITOU_DATA and never copied into the repository.
"""

import json
import os
import sys
from pathlib import Path

from experiments.contract_folders import cdnow, online_retail_ii, tafeng
from features.tables import write_tables

SETS = {module.NAME: module for module in (online_retail_ii, cdnow, tafeng)}
COVERAGE = {
    "online_retail_ii": ("2009-12-01", "2011-05-31"),
    "cdnow": ("1997-01-01", "1998-06-30"),
}


def make(name: str, out: Path, data: Path) -> dict[str, int]:
    """Write the contract folder of one data set to `out` and give the row counts back."""
    frames, counts = SETS[name].frames(data)
    manifest = {"brand_id": name}
    if name in COVERAGE:
        manifest["coverage_start"], manifest["coverage_end"] = COVERAGE[name]
    write_tables(frames, out, manifest=manifest)
    return counts


def main(arguments: list[str]) -> int:
    """Write the folders named, or all; print what became of the rows."""
    data = os.environ.get("HUITOU_DATA", "")
    if not arguments or not Path(data).is_dir():
        print("usage: HUITOU_DATA=… python -m experiments.contract_folders.run OUT [NAME …]", file=sys.stderr)
        return 2
    names = arguments[1:] or list(SETS)
    unknown = [name for name in names if name not in SETS]
    if unknown:
        print(f"unknown data sets {unknown}; known: {sorted(SETS)}", file=sys.stderr)
        return 2
    for name in names:
        folder = Path(arguments[0]) / name
        print(folder, json.dumps(make(name, folder, Path(data))))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
