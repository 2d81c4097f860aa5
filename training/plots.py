"""Small pictures as inline SVG: series of points in, one `<svg>` out; no script, no font, nothing loaded from elsewhere."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 520, 320, 52, 22, 14, 50
# The model in the one strong colour; others in colours told apart also by those who see few.
COLOURS = ("#07803b", "#d0661c", "#3767b0", "#8a5bb0", "#6b7280", "#b8366f", "#96800f")


@dataclass(frozen=True)
class Series:
    """One line: its name, points (x, y), and for each point an optional (low, high)."""

    name: str
    points: Sequence[tuple[float, float]]
    ranges: Sequence[tuple[float, float]] = ()
    dots: bool = False
    dashed: bool = False
    colour: str = ""


def line_chart(
    series: Sequence[Series],
    *,
    title: str,
    x_label: str,
    y_label: str,
    x_max: float,
    y_max: float = 1.0,
    percent_x: bool = False,
) -> str:
    """A chart of lines from 0 to x_max and 0 to y_max, with axes, labels and a legend below."""

    def x(value: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * min(max(value / x_max, 0.0), 1.0)

    def y(value: float) -> float:
        return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * min(max(value / y_max, 0.0), 1.0)

    rows = (len(series) + 2) // 3
    height = HEIGHT + 10 + 20 * rows
    out = [
        f'<svg viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{escape(title)}" '
        'font-family="inherit" font-size="12">'
    ]
    for k in range(6):
        across, up = x(x_max * k / 5), y(y_max * k / 5)
        told = f"{100 * k / 5:.0f}%" if percent_x else f"{x_max * k / 5:g}"
        out.append(f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{up:.1f}" y2="{up:.1f}" class="grid"/>')
        out.append(f'<text x="{LEFT - 6}" y="{up + 4:.1f}" text-anchor="end">{100 * y_max * k / 5:.0f}%</text>')
        out.append(f'<text x="{across:.1f}" y="{HEIGHT - BOTTOM + 16}" text-anchor="middle">{told}</text>')
    out.append(
        f'<text x="{(LEFT + WIDTH) / 2:.0f}" y="{HEIGHT - 8}" text-anchor="middle" class="label">{escape(x_label)}</text>'
    )
    middle = (TOP + HEIGHT - BOTTOM) / 2
    out.append(
        f'<text x="13" y="{middle:.0f}" text-anchor="middle" class="label" '
        f'transform="rotate(-90 13 {middle:.0f})">{escape(y_label)}</text>'
    )
    for k, one in enumerate(series):
        colour = one.colour or COLOURS[k % len(COLOURS)]
        path = " ".join(f"{x(a):.1f},{y(b):.1f}" for a, b in one.points)
        dash = ' stroke-dasharray="5 4"' if one.dashed else ""
        wide = 2.6 if k == 0 and not one.dashed else 1.6
        out.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="{wide}"{dash}/>')
        for (a, b), (low, high) in zip(one.points, one.ranges, strict=False):
            out.append(
                f'<line x1="{x(a):.1f}" x2="{x(a):.1f}" y1="{y(low):.1f}" y2="{y(high):.1f}" stroke="{colour}"/>'
            )
            out.append(f'<circle cx="{x(a):.1f}" cy="{y(b):.1f}" r="3" fill="{colour}"/>')
        left, down = LEFT + 155 * (k % 3), HEIGHT + 10 + 20 * (k // 3)
        out.append(
            f'<line x1="{left}" x2="{left + 18}" y1="{down}" y2="{down}" stroke="{colour}" stroke-width="3"{dash}/>'
        )
        out.append(f'<text x="{left + 24}" y="{down + 4}">{escape(one.name)}</text>')
    return "\n".join([*out, "</svg>"])
