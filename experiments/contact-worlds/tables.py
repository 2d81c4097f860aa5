"""The judged worlds in, the README's tables out."""

from collections.abc import Mapping
from typing import Any

HEADS = {
    "cold": "## Before any log",
    "after_log": "## After a 60-day log of our own exploring policy",
    "cherry_picking": "## The same, with guides who leave undone what looks hard\n\n"
    "Guides do the least attractive member of a list in 2 cases of 10 and the most attractive always (`guides.cherry_pick` = 0.8); the oracle\n"
    "lives with the same guides and does not know them.",
}
# Where the oracle earns next to nothing, a share of it says nothing: net is shown against the margin without contacts.
LEAST_ORACLE = 0.01


def tables(result: Mapping[str, Any]) -> str:
    """The tables of every run, as Markdown."""
    blocks = []
    for run, title in HEADS.items():
        if run in result:
            blocks += [title, *(_world(run, world, judged) for world, judged in sorted(result[run].items()))]
    return "\n\n".join(blocks)


def _world(run: str, world: str, judged: Mapping[str, Any]) -> str:
    """One world's table, and how far our policy is from the others of its run."""
    policies, base = judged["policies"], judged["none"]["net_margin_yuan"]
    by_share = policies["oracle"]["net_yuan"]["value"] >= LEAST_ORACLE * base
    metric, scale = ("share_of_oracle", 1.0) if by_share else ("net_yuan", 100.0 / base)
    head = "share of oracle" if by_share else "net of the no-contact margin, %"
    lines = [
        f"### {world}, {judged['seeds']} seeds",
        "",
        f"| policy | {head} | revenue lift, % | friends lost, points | contacts |",
        "|---" * 5 + "|",
    ]
    for name, figures in sorted(policies.items()):
        if name != "none":
            cells = [
                _told(figures[metric], scale, 2),
                _told(figures["revenue_lift"], 100, 1),
                _told(figures["friends_lost_pp"], 1, 2),
                f"{figures['contacts']['value']:,.0f}",
            ]
            lines.append(f"| {name} | " + " | ".join(cells) + " |")
    ours = "cold" if run == "cold" else "mixed"
    others = ("random", "churn", "rfm", "value_at_risk", "propensity") if run == "cold" else ("cold",)
    paired = judged["paired"][ours]
    gaps = ", ".join(f"{other} {_told(paired[other][metric], scale, 2)}" for other in others)
    unit = "share of the oracle" if by_share else "% of the no-contact margin"
    return "\n".join([*lines, "", f"{ours} − other, {unit}: {gaps}"])


def _told(interval: Mapping[str, float], scale: float, digits: int) -> str:
    value, low, high = (interval[key] * scale for key in ("value", "low", "high"))
    return f"{value:.{digits}f} ({low:.{digits}f} … {high:.{digits}f})"
