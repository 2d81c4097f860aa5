"""result.json in; out: the tables of README.md, between its two marks. `run.py` calls it; alone: python tables.py"""

import json
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
BEGIN, END = "<!-- tables of result.json: begin -->", "<!-- tables of result.json: end -->"
# What each part is held against.
P50_RATIO, BULK_RATIO, THROUGHPUT, TAIL = 3.0, 2.2, 0.16, 3.0
GROWTH_MB, PRIVATE_MB, READY_S, LOOK_UP_US = 40, 40, 5, 10
TIMES = {"1": 20, "100": 10, "1000": 3}


def tables(result: dict[str, Any]) -> str:
    """The tables as Markdown."""
    parts = [part(result[name]) for name, part in PARTS.items() if name in result]
    return "\n\n".join(parts)


def mark(held: bool) -> str:
    return "held" if held else "**missed**"


def load_of(part: dict[str, Any]) -> str:
    before, after = part["load"]
    return f"Load of the machine {before} before and {after} after, on {part['machine']}."


def routes(found: dict[str, Any]) -> str:
    lines = [
        f"**Routes.** {load_of(found)} Processor time is the server's own, per request.",
        "",
        "| route, clients | p50, ms: Huitou / bare | p50 ratio | processor time, ms: Huitou / bare | ratio | requests/s over "
        "bare's | p99 over own p50: Huitou / bare | held against |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name, row in found.items():
        if not isinstance(row, dict) or "p50_ratio" not in row:
            continue
        ours, bare = row["huitou"], row["bare"]
        processor = [side.get("processor_ms") for side in (ours, bare)]
        took = " / ".join("–" if one is None else f"{one:.3f}" for one in processor)
        if name.endswith(", 1"):
            bar = P50_RATIO if name[-5:-3] != "00" else BULK_RATIO
            said = f"p50 ≤ {bar} ×: {mark(row['p50_ratio'] <= bar)}"
        else:
            held = row["throughput_ratio"] >= THROUGHPUT, row["p99_over_own_p50"] <= TAIL
            said = f"≥ {THROUGHPUT} ×: {mark(held[0])}; p99 ≤ {TAIL} × p50: {mark(held[1])}"
        lines.append(
            f"| {name} | {ours['p50_ms']:.3f} / {bare['p50_ms']:.3f} | {row['p50_ratio']:.2f} | {took} | "
            f"{row.get('processor_ratio', '–')} | {row['throughput_ratio']:.2f} | {row['p99_over_own_p50']:.1f} / "
            f"{bare['p99_ms'] / bare['p50_ms']:.1f} | {said} |"
        )
    if "memory" in found:
        memory = found["memory"]
        lines += [
            "",
            f"**Memory** of the service: {memory['before']['uss']} MB before and {memory['after']['uss']} MB after "
            f"{memory['requests']:,} requests (≤ {GROWTH_MB} MB: {mark(memory['growth_mb'] <= GROWTH_MB)}).",
        ]
    return "\n".join(lines)


def million(found: dict[str, Any]) -> str:
    tiny, large = found["tiny"], found["large"]
    dirty = found["memory_after_requests_above_tiny_mb"]["private_dirty"]
    clean = found["memory_after_requests_above_tiny_mb"]["mapped_clean"]
    worked = [side.get("processor_s_until_ready", [None])[0] for side in (large, tiny)]
    return "\n".join(
        [
            f"**A million members** ({large['release_mb']:.0f} MB on disk). {load_of(found)}",
            "",
            f"| | a million | {tiny['members']:,} | held against |",
            "|---|---|---|---|",
            f"| ready, best of {len(large['ready_s'])}, s | {large['ready_s'][0]} | {tiny['ready_s'][0]} | "
            f"< {READY_S} s: {mark(large['ready_s'][0] < READY_S)} |",
            f"| processor time until ready, s | {worked[0]} | {worked[1]} | |",
            f"| private memory when ready, MB | {large['memory_when_ready']['private_dirty']} | "
            f"{tiny['memory_when_ready']['private_dirty']} | |",
            f"| private memory after requests, MB | {large['memory_after_requests']['private_dirty']} | "
            f"{tiny['memory_after_requests']['private_dirty']} | ≤ {PRIVATE_MB} MB more: {mark(dirty <= PRIVATE_MB)} ({dirty}) |",
            f"| one look-up of a row and a prediction, µs | {large['look_up_us']} | {tiny['look_up_us']} | "
            f"≤ {LOOK_UP_US} µs: {mark(large['look_up_us'] <= LOOK_UP_US)} |",
            "",
            f"Beside that the large one had touched {clean} MB more of clean pages of the release, which the system takes back "
            "when it needs room and which workers share.",
        ]
    )


def mlflow(found: dict[str, Any]) -> str:
    lines = [
        "**`mlflow models serve`** with the same curve model as a pyfunc with a signature, fed with the members' vectors, one client; "
        f"both sides give the same probabilities. {load_of(found)}",
        "",
        "| members | mlflow, ms | without a signature | computed, ms | looked up, ms | computed: times faster | looked up: times faster "
        "| held against |",
        "|---" * 8 + "|",
    ]
    for n, bar in TIMES.items():
        row = found[n]
        took = [f"{row[side]['p50_ms']:.2f}" for side in ("mlflow", "mlflow_unsigned", "computed", "looked_up")]
        lines.append(
            f"| {n} | {' | '.join(took)} | {row['computed_ratio']} | {row['looked_up_ratio']} | computed ≥ {bar} ×: "
            f"{mark(row['computed_ratio'] >= bar)} |"
        )
    return "\n".join(lines)


def swaps(found: dict[str, Any]) -> str:
    seen = ", ".join(str(one["private_dirty"]) for one in found["memory"])
    return (
        f"**Swaps under load** (200,000 members each): {found['swaps']} swaps, {found['requests']:,} requests, "
        f"{found['failed']} failed; private memory after each turn {seen} MB. {load_of(found)}"
    )


PARTS = {"routes": routes, "million": million, "mlflow": mlflow, "swaps": swaps}


def write(result: dict[str, Any], path: Path = HERE / "README.md") -> None:
    """Put the tables of a result into the page, between its marks."""
    text = path.read_text(encoding="utf-8")
    head, rest = text.split(BEGIN)
    tail = rest.split(END)[1]
    path.write_text(f"{head}{BEGIN}\n{tables(result)}\n{END}{tail}", encoding="utf-8")


if __name__ == "__main__":
    write(json.loads((HERE / "result.json").read_text(encoding="utf-8")))
