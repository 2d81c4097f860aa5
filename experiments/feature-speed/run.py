"""What do member vectors cost, against one grouping of the same lines and against pandas? Writes result.json.

    python run.py [--members N --lines N] [--check] [--out result.json]

Each part runs in a process of its own, so that its peak memory is its own. Seconds are wall and processor seconds.
"""

import argparse
import json
import platform
import resource
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import duckdb
import ibis
import numpy as np
import pandas as pd
from brand import FIRST_DAY, write_brand
from pandas_vectors import pandas_vectors

from features.checks import check_folder
from features.contract import SCHEMA
from features.history import build_history
from features.tables import Tables, connect
from features.vectors import COLUMNS, iter_vectors

HERE = Path(__file__).parent
KINDS = {"str": "string", "enum": "string", "int": "int64", "float": "float64", "bool": "boolean"}
TYPES = {**KINDS, "timestamp": "timestamp(6)", "date": "date"}


def timed(work: Callable[[], Any]) -> tuple[dict[str, float], Any]:
    """Wall and processor seconds of some work, and what it gave."""
    wall, cpu = time.perf_counter(), time.process_time()
    given = work()
    return {
        "wall_s": round(time.perf_counter() - wall, 3),
        "cpu_s": round(time.process_time() - cpu, 3),
    }, given


def peak_gb() -> float:
    """Peak resident memory of this process, in GB."""
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9, 3)


def raw_tables(folder: Path, threads: int) -> Tables:
    """The folder's Parquet as typed tables, not checked: what is timed is vectors, and the check beside them."""
    backend, frames = connect("duckdb", threads), {}
    for path in sorted(folder.glob("*.parquet")):
        table = backend.read_parquet(str(path), table_name=path.stem)
        frames[path.stem] = table.select(
            **{
                c.name: table[c.name].cast(TYPES[c.kind]) if c.name in table.columns else ibis.null(TYPES[c.kind])
                for c in SCHEMA[path.stem].columns
            }
        )
    last = backend.raw_sql("select max(order_time)::date from orders").fetchall()[0][0]
    return Tables(backend, frames, FIRST_DAY, last, "brand", "0" * 16)


def floors(folder: Path, flat: Path, threads: int) -> dict[str, Any]:
    """One GROUP BY member_id sum: over a flat file of all lines, and over the contract's two files; best of three."""
    con = duckdb.connect(config={"threads": threads})
    sums = {
        "flat": f"FROM '{flat}'",
        "contract": f"FROM '{folder}/order_lines.parquet' l JOIN '{folder}/orders.parquet' o USING (order_id)",
    }
    con.execute(f"COPY (SELECT o.member_id, l.paid_yuan {sums['contract']} WHERE line_type = 'sale') TO '{flat}'")
    out = {}
    for name, source in sums.items():
        column = "l.paid_yuan" if name == "contract" else "paid_yuan"
        sql = f"CREATE OR REPLACE TABLE f AS SELECT member_id, sum({column}) AS s {source} GROUP BY 1"
        out[name] = min((timed(lambda sql=sql: con.execute(sql))[0] for _ in range(3)), key=lambda t: t["cpu_s"])
    return out


def ours(folder: Path, days: list[date], threads: int, keep: Path) -> dict[str, Any]:
    """The history once, then each day; the first day's vectors are kept for the comparison."""
    tables = raw_tables(folder, threads)
    made, history = timed(lambda: build_history(tables))
    each, rows = [], []
    for i, day in enumerate(days):
        spent, vectors = timed(lambda day=day: next(iter_vectors(history, [day])))
        each.append(spent)
        rows.append(len(vectors.frame))
        if i == 0:
            vectors.frame.to_parquet(keep)
        del vectors
    return {"history": made, "dates": each, "rows": rows, "columns": len(COLUMNS), "peak_gb": peak_gb()}


def by_pandas(folder: Path, day: date, kept: Path) -> dict[str, Any]:
    """The same columns by pandas, checked equal to ours on every row."""
    spent, theirs = timed(lambda: pandas_vectors(folder, day))
    peak = peak_gb()
    mine = pd.read_parquet(kept)
    assert list(mine.member_id) == list(theirs.member_id), "pandas sees other members"
    names = [c for c in theirs.columns if c != "member_id"]
    worst = 0.0
    for name in names:
        a, b = mine[name].to_numpy(float), theirs[name].to_numpy(float)
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-9, equal_nan=True, err_msg=name)
        gap = np.nanmax(np.abs(a - b)) if (~np.isnan(a)).any() else 0.0
        worst = max(worst, float(gap))
    filled = sum(bool(mine[n].notna().any()) for n in names)
    return {**spent, "columns_equal": len(names), "columns_not_all_null": filled, "worst_gap": worst, "peak_gb": peak}


def checked(folder: Path) -> dict[str, Any]:
    """`huitou check` of the same folder."""
    spent, report = timed(lambda: check_folder(folder, quarantine=None))
    return {**spent, "usable": bool(report.usable), "peak_gb": peak_gb()}


def part(name: str, *arguments: str) -> Any:
    """Run one part in a process of its own."""
    out = subprocess.run([sys.executable, __file__, "--part", name, *arguments], check=True, stdout=subprocess.PIPE)
    print(name, out.stdout.decode().strip(), flush=True)
    return json.loads(out.stdout)


def main() -> None:
    """Make the brand, run every part, write result.json."""
    config = tomllib.loads((HERE / "config.toml").read_text("utf-8"))
    parser = argparse.ArgumentParser()
    parser.add_argument("--members", type=int, default=config["members"])
    parser.add_argument("--lines", type=int, default=config["lines"])
    parser.add_argument("--out", type=Path, default=HERE / "result.json")
    parser.add_argument("--part", nargs="+")
    options = parser.parse_args()
    days, threads = [date.fromisoformat(d) for d in config["as_of"]], config["threads"]
    if options.part:
        name, folder, *rest = options.part
        place = Path(folder)
        parts: dict[str, Callable[[], Any]] = {
            "floors": lambda: floors(place, Path(rest[0]), threads),
            "ours": lambda: ours(place, days, threads, Path(rest[0])),
            "pandas": lambda: by_pandas(place, days[0], Path(rest[0])),
            "check": lambda: checked(place),
        }
        print(json.dumps(parts[name]()))
        return
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "brand"
        write_brand(folder, members=options.members, lines=options.lines, seed=config["seed"])
        kept, flat = f"{scratch}/vectors.parquet", f"{scratch}/flat.parquet"
        result: dict[str, Any] = {
            "members": options.members,
            "lines": options.lines,
            "seed": config["seed"],
            "threads": threads,
            "python": platform.python_version(),
            "duckdb": duckdb.__version__,
            "floor": part("floors", str(folder), flat),
            "ours": part("ours", str(folder), kept),
            "pandas": part("pandas", str(folder), kept),
            "check": part("check", str(folder)),
        }
    result["ratios"] = ratios(result)
    options.out.write_text(json.dumps(result, indent=2) + "\n", "utf-8")
    print(json.dumps(result["ratios"], indent=2))


def ratios(r: dict[str, Any]) -> dict[str, Any]:
    """The figures that the question asks for, in processor seconds and in wall seconds."""
    out: dict[str, Any] = {}
    for unit in ("cpu_s", "wall_s"):
        history, each = r["ours"]["history"][unit], [d[unit] for d in r["ours"]["dates"]]
        first, further = history + each[0], float(np.median(each[1:]))
        out[unit] = {
            **{f"first_over_{n}_floor": round(first / f[unit], 2) for n, f in r["floor"].items()},
            **{f"further_over_{n}_floor": round(further / f[unit], 2) for n, f in r["floor"].items()},
            # Six separate runs make the history six times.
            "six_over_six_separate": round((history + sum(each)) / (len(each) * history + sum(each)), 3),
            "pandas_over_first": round(r["pandas"][unit] / first, 2),
        }
    return out


if __name__ == "__main__":
    main()
