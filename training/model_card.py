"""A fitted model's card and its report in; out: Markdown that a person can read and the public page is printed from."""

from collections.abc import Mapping
from typing import Any

from training.promote import Verdict

PURPOSE = {
    "curve": "How likely a member is not to buy for h more days, at any h; churn risk and the next-purchase window follow from it.",
    "value": "How much a member is expected to spend, net of returns.",
    "items": "Which items a member is likely to buy again, and which new ones may suit.",
}
NEVER = (
    "Never used: prices, discounts or coupon amounts as outputs; willingness to pay, device price, payment type or coupon "
    "sensitivity as inputs; members under 18; members who switched personal recommendation off."
)


def model_card(task: str, card: Mapping[str, Any], report: Mapping[str, Any] | None, found: Verdict) -> str:
    """Markdown with purpose, data range, figures beside the baselines, and what the gate said."""
    lines = [f"# Model card: {task}", "", PURPOSE[task], "", NEVER, "", "## How it was judged", ""]
    lines += [found.reason[:1].upper() + found.reason[1:] + ".", ""]
    if report is not None:
        lines += [f"Cut-offs: {', '.join(map(str, report['cutoffs']))}; horizon {report['horizon_days']} days.", ""]
        for name in {"curve": ("churn", "timing"), "value": ("value",), "items": ("items",)}[task]:
            lines += _table(name, report["tasks"].get(name))
    lines += ["## What it is", ""]
    lines += [
        f"- {key}: {value}" for key, value in card.items() if isinstance(value, str | int | float | list | tuple)
    ]
    return "\n".join(lines) + "\n"


def _table(name: str, block: Any) -> list[str]:
    if name == "items" and block:
        return [line for part in ("mixed", "again", "new") for line in _table(f"items, {part}", block.get(part))]
    if not block or not block.get("model"):
        return []
    metrics = [key for key, cell in block["model"].items() if isinstance(cell, Mapping) and "value" in cell]
    rows = {"model": block["model"], **{k: v for k, v in (block.get("baselines") or {}).items() if v}}
    lines = [f"### {name}", "", "| | " + " | ".join(metrics) + " |", "|---|" + "---|" * len(metrics)]
    lines += [
        "| " + row + " | " + " | ".join(_cell(cells.get(m)) for m in metrics) + " |" for row, cells in rows.items()
    ]
    return [*lines, ""]


def _cell(cell: Any) -> str:
    if not isinstance(cell, Mapping) or cell.get("value") is None:
        return "–"
    if cell.get("low") is None:
        return f"{cell['value']:.4g}"
    return f"{cell['value']:.4g} ({cell['low']:.4g}–{cell['high']:.4g})"
