"""A backtest's JSON in; out: one HTML page that a person who is not an engineer can read, with its pictures inside."""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from training.metrics import HIGHER_IS_BETTER, NEAREST_IS_BEST
from training.plots import Series, line_chart

# What each figure says, in the words of a shop.
WORDS = {
    "auc": ("Ranking (AUC)", "of two members, one gone and one back, how often the gone one is ranked riskier"),
    "log_loss": ("Log loss", "the price of being wrong when sure; lower is better"),
    "brier": ("Brier score", "mean squared distance of probability and truth; lower is better"),
    "ece": (
        "Calibration error (ECE)",
        "how far probabilities are from what happened, in ten equal groups; lower is better",
    ),
    "bias": ("Bias", "mean predicted churn less the churn seen; nearest to 0 is best"),
    "top10_revenue_share": (
        "Spend of the top tenth",
        "share of the window's spend brought by the 10 % likeliest to return",
    ),
    "c_index": ("Order of returns (C-index)", "of two members, how often the one said to return later did"),
    "ibs": ("Curve error (IBS)", "mean squared error of the whole survival curve; lower is better"),
    "median_abs_error_days": (
        "Median error, days",
        "of the expected date, among those who returned; lower is better",
    ),
    "coverage_80": ("Coverage of the 80 % interval", "nearest to 80 % is best"),
    "width_80_days": ("Width of the 80 % window, days", "narrower is better where the coverage is the same"),
    "spearman": ("Ranking (Spearman)", "order of members by spend, 1 is perfect"),
    "mae": ("Mean error, yuan", "distance of expected and actual net spend; lower is better"),
    "recall@10": ("Recall@10", "share of the next basket that was among ten proposals"),
    "ndcg@10": ("NDCG@10", "the same, counting higher places more"),
    "phr@10": ("Hit rate@10", "share of members with at least one of ten right"),
    "coverage_items": ("Items shown", "different items that the lists show"),
}
METHODS = {
    "model": "Huitou",
    "recency": "recency rule",
    "rfm": "RFM",
    "logistic_rfm": "logistic RFM",
    "bg_nbd": "BG/NBD",
    "mbg_nbd": "MBG/NBD",
    "lightgbm_one_cutoff": "LightGBM, one cut-off",
    "last_year": "last year",
    "gamma_gamma_bg_nbd": "gamma-gamma × BG/NBD",
    "popularity": "popularity",
    "own_counts": "own counts",
    "decayed_counts": "decayed counts",
    "cosine": "cosine",
    "als": "ALS",
    "bm25": "BM25",
    "tifu_knn": "TIFU-KNN",
}
TASKS = {
    "churn": ("Who stays away", "谁会流失", "log_loss"),
    "timing": ("When they come back", "何时回来", "c_index"),
    "value": ("What they will spend", "会花多少", "spearman"),
    "items": ("What they will buy", "会买什么", "recall@10"),
}
ITEM_LISTS = {
    "mixed": ("One mixed list", "混合"),
    "again": ("Buy again", "再次购买"),
    "new": ("New for you", "新品推荐"),
}
STYLE = """
body{font:16px/1.55 -apple-system,"PingFang SC","Noto Sans SC","Microsoft YaHei",sans-serif;color:#1a1a1a;
background:#ededed;margin:0}main{max-width:1080px;margin:0 auto;padding:16px}
section{background:#fff;border-radius:8px;padding:16px 20px;margin:14px 0}h1{font-size:24px;margin:12px 0 4px}
h2{font-size:20px;margin:4px 0 8px}h3{font-size:16px;margin:18px 0 6px}p{margin:6px 0}.quiet{color:#6b6b6b;font-size:14px}
.scroll{overflow-x:auto}table{border-collapse:collapse;font-size:14px;width:100%}th,td{padding:6px 10px;text-align:right;
border-bottom:1px solid #e6e6e6;vertical-align:top;white-space:nowrap}th:first-child,td:first-child{text-align:left;
white-space:normal;min-width:150px}thead th{color:#6b6b6b;font-weight:normal}.best{font-weight:600}.ours{background:#eef8f1}
small{color:#6b6b6b;display:block}.verdict{display:inline-block;border-radius:4px;padding:1px 8px;font-size:14px}
.better{background:#d9f2e1;color:#05602c}.worse{background:#fbe3dc;color:#93300c}.even{background:#ececec;color:#444}
.plots{display:grid;grid-template-columns:repeat(auto-fit,minmax(320px,1fr));gap:16px}svg{width:100%;max-width:560px;height:auto}
svg text{fill:#555}svg .grid{stroke:#e6e6e6}summary{cursor:pointer;color:#3767b0;margin:8px 0}
"""


def html_report(report: Mapping[str, Any]) -> str:
    """The page for a report as `training.backtest.backtest` makes it."""
    tasks = report["tasks"]
    parts = [_head(report), _in_short(tasks)]
    for name in ("churn", "timing", "value"):
        if tasks.get(name):
            parts.append(_task(name, tasks[name]))
    if tasks.get("items"):
        parts.append(_items(tasks["items"]))
    body = "\n".join(parts)
    title = f"Backtest of {escape(str(report.get('brand_id', '')))}"
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        f'<meta name="viewport" content="width=device-width,initial-scale=1"><style>{STYLE}</style></head>'
        f"<body><main>{body}</main></body></html>\n"
    )


def _head(report: Mapping[str, Any]) -> str:
    excluded = ", ".join(f"{count} {reason}" for reason, count in report["excluded"].items() if count) or "none"
    rows = sum(report["rows"].values())
    return (
        f"<h1>Backtest 回测 · {escape(str(report['brand_id']))}</h1>"
        f"<p>Judged as of {', '.join(report['cutoffs'])}: at each day everything was fitted on what was known before it, "
        f"and held against the {report['horizon_days']} days that followed. {report['members']:,} members, {rows:,} "
        "member-days judged; data from "
        f"{report['coverage'][0]} to {report['coverage'][1]}; left out: {excluded}.</p>"
        '<p class="quiet">以过去的日期为界：只用当日之前的数据训练，用之后的真实购买检验。数字下方或方括号内为 95 % 区间（按会员重抽样）。</p>'
        '<p class="quiet">Ranges are 95 % intervals from drawing members again. A method in bold is the best on that '
        "line. One-time buyers always have a table of their own.</p>"
    )


def _in_short(tasks: Mapping[str, Any]) -> str:
    lines = []
    for name, (english, chinese, metric) in TASKS.items():
        block = tasks.get(name)
        if name == "items":
            block = (block or {}).get("mixed")
        if not block or not (block.get("model") or {}).get(metric):
            continue
        own = block["model"][metric]
        best = (block["paired"].get("best") or {}).get(metric)
        told = f"{WORDS[metric][0]} {_number(metric, own['value'])}"
        if best:
            told += (
                f"; against the best plain method ({METHODS.get(best['baseline'], best['baseline'])}) "
                f"{best['value']:+.4f} [{best['low']:+.4f}, {best['high']:+.4f}]"
            )
        lines.append(f"<p><b>{english} {chinese}</b> {_verdict(metric, best)} {told}</p>")
    return f"<section><h2>In short 摘要</h2>{''.join(lines) or '<p>Nothing could be judged.</p>'}</section>"


def _verdict(metric: str, pair: Mapping[str, float] | None) -> str:
    if not pair:
        return '<span class="verdict even">nothing to compare with</span>'
    sign = 1 if metric in HIGHER_IS_BETTER else -1
    low, high = sorted((sign * pair["low"], sign * pair["high"]))
    if low > 0:
        return '<span class="verdict better">better than the best plain method</span>'
    if high < 0:
        return '<span class="verdict worse">worse than the best plain method</span>'
    return '<span class="verdict even">no clear difference to the best plain method</span>'


def _task(name: str, block: Mapping[str, Any]) -> str:
    english, chinese, _ = TASKS[name]
    share = block.get("returned_share")
    back = "" if share is None else f"{100 * share:.1f} % of {block['rows']:,} came back within the window."
    parts = [f"<section><h2>{english} {chinese}</h2><p>{back}</p>", _table(block)]
    if name == "churn":
        noise = block["ece_if_calibrated"]
        parts.append(
            f'<p class="quiet">Even perfectly calibrated probabilities would show an ECE of {noise["value"]:.3f} '
            f"[{noise['low']:.3f}, {noise['high']:.3f}] with so many members.</p>"
        )
        parts.append(f'<div class="plots">{_reliability_plot(block)}{_lift_plot(block)}</div>')
    if name == "timing":
        nulls = block["null_dates"]
        parts.append(
            f"<p>No date is shown for {100 * nulls['share']:.1f} % of members, whose chance to return is too small; "
            "the figures above use everybody's curve all the same.</p>"
        )
        parts.append(f'<div class="plots">{_survival_plot(block)}</div>')
    if name == "value":
        parts.append(_deciles(block))
    for title, tables in (("By number of past visits 按历史到店次数", "slices"), ("By cut-off 按日期", "per_cutoff")):
        inner = "".join(
            f"<h3>{escape(key)} · {one['rows']:,} rows</h3>{_table(one)}"
            for key, one in block.get(tables, {}).items()
        )
        parts.append(f"<details><summary>{title}</summary>{inner}</details>")
    return "".join(parts) + "</section>"


def _items(block: Mapping[str, Any]) -> str:
    english, chinese, _ = TASKS["items"]
    parts = [f"<section><h2>{english} {chinese}</h2><p>Proposals against the first basket after each day.</p>"]
    for name, (title, zh) in ITEM_LISTS.items():
        one = block.get(name)
        if not one:
            continue
        parts.append(f"<h3>{title} {zh}</h3>{_table(one)}")
        inner = "".join(
            f"<h3>{escape(key)} past visits</h3>{_table(part)}"
            for key, part in (one.get("slices") or {}).items()
            if part
        )
        parts.append(f"<details><summary>By number of past visits 按历史到店次数</summary>{inner}</details>")
    return "".join(parts) + "</section>"


def _table(block: Mapping[str, Any]) -> str:
    """Metrics down, methods across."""
    methods = {"model": block.get("model"), **(block.get("baselines") or {})}
    methods = {name: figures for name, figures in methods.items() if figures}
    names = [name for name in WORDS if any(_is_figure(figures.get(name)) for figures in methods.values())]
    if not names:
        return '<p class="quiet">Too few members to judge.</p>'
    head = "".join(f"<th>{escape(METHODS.get(name, name))}</th>" for name in methods)
    rows = []
    for name in names:
        best = _best(name, methods)
        cells = []
        for method, figures in methods.items():
            one = figures.get(name)
            classes = " ".join(["ours"] * (method == "model") + ["best"] * (method == best))
            shown = "–"
            if _is_figure(one):
                shown = _number(name, one["value"]) + _range(name, one)
            cells.append(f'<td class="{classes}">{shown}</td>')
        title, meaning = WORDS[name]
        rows.append(f"<tr><td>{title}<small>{meaning}</small></td>{''.join(cells)}</tr>")
    return f'<div class="scroll"><table><thead><tr><th></th>{head}</tr></thead><tbody>{"".join(rows)}</tbody></table></div>'


def _range(metric: str, one: Mapping[str, Any]) -> str:
    if one.get("low") is None or one.get("high") is None:
        return ""
    return f"<small>{_number(metric, one['low'])} – {_number(metric, one['high'])}</small>"


def _is_figure(one: Any) -> bool:
    return isinstance(one, Mapping) and one.get("value") is not None


def _best(metric: str, methods: Mapping[str, Mapping[str, Any]]) -> str | None:
    values = {m: f[metric]["value"] for m, f in methods.items() if _is_figure(f.get(metric))}
    if metric in NEAREST_IS_BEST:
        return min(values, key=lambda m: abs(values[m] - NEAREST_IS_BEST[metric]), default=None)
    return (max if metric in HIGHER_IS_BETTER else min)(values, key=values.__getitem__, default=None)


def _number(metric: str, value: float) -> str:
    if metric in {"top10_revenue_share", "coverage_80"}:
        return f"{100 * value:.1f} %"
    if metric in {"median_abs_error_days", "width_80_days", "mae"}:
        return f"{value:,.1f}"
    if metric == "coverage_items":
        return f"{value:,.0f}" if value > 1 else f"{100 * value:.1f} %"
    return f"{value:.4f}"


def _shown(table: Mapping[str, Any], names: Sequence[str]) -> list[str]:
    return [name for name in names if table.get(name)]


def _reliability_plot(block: Mapping[str, Any]) -> str:
    series = []
    for name in _shown(block["reliability"], ("model", "bg_nbd")):
        bins = block["reliability"][name]
        series.append(
            Series(
                METHODS[name],
                [(b["predicted"], b["observed"]) for b in bins],
                [(b["low"], b["high"]) for b in bins],
            )
        )
    series.append(Series("said = seen", [(0, 0), (1, 1)], dashed=True, colour="#999"))
    chart = line_chart(
        series,
        title="Reliability",
        x_label="churn probability said",
        y_label="members who stayed away",
        x_max=1.0,
        percent_x=True,
    )
    return f"<div><h3>Are the probabilities true? 概率可信吗</h3>{chart}</div>"


def _lift_plot(block: Mapping[str, Any]) -> str:
    series = []
    for name in _shown(block["lift"], ("model", "bg_nbd", "rfm", "recency")):
        told = ((row["share_of_members"], row["share_of_returners"]) for row in block["lift"][name])
        points = [(members, returners) for members, returners in told if returners is not None]
        if points:
            series.append(Series(METHODS[name], [(0.0, 0.0), *points]))
    if not series:  # nobody returned: there is nobody to find early
        return ""
    series.append(Series("drawn by lot", [(0, 0), (1, 1)], dashed=True, colour="#999"))
    chart = line_chart(
        series,
        title="Lift",
        x_label="members, likeliest to return first",
        y_label="of all who returned",
        x_max=1.0,
        percent_x=True,
    )
    return f"<div><h3>Who returns is found early 回头客排在前面</h3>{chart}</div>"


def _survival_plot(block: Mapping[str, Any]) -> str:
    curves = block["mean_curves"]
    days = curves["days"]
    series = [
        Series(METHODS.get(name, name), list(zip(days, curves[name], strict=True)))
        for name in _shown(curves, ("model", "bg_nbd", "recency"))
    ]
    series.append(Series("seen", list(zip(days, curves["observed"], strict=True)), dashed=True, colour="#222"))
    chart = line_chart(
        series, title="Survival", x_label="days after the cut-off", y_label="not back yet", x_max=max(days)
    )
    return f"<div><h3>How many are not back yet 尚未回来的比例</h3>{chart}</div>"


def _deciles(block: Mapping[str, Any]) -> str:
    methods = {"model": block.get("model"), **(block.get("baselines") or {})}
    methods = {name: figures for name, figures in methods.items() if figures and figures.get("decile_sums")}
    head = "".join(f"<th>{escape(METHODS.get(name, name))}</th>" for name in methods)
    rows = []
    for k in range(10):
        cells = []
        for name, figures in methods.items():
            one = figures["decile_sums"][k]
            shown = "–" if not one else f"{one['value']:,.0f}<small>{one['low']:,.0f} – {one['high']:,.0f}</small>"
            cells.append(f'<td class="{"ours" if name == "model" else ""}">{shown}</td>')
        rows.append(f"<tr><td>{k + 1}</td>{''.join(cells)}</tr>")
    return (
        "<h3>Net spend of each tenth of members, highest expectation first, yuan 各十分位净消费</h3>"
        f'<div class="scroll"><table><thead><tr><th>tenth</th>{head}</tr></thead><tbody>{"".join(rows)}</tbody></table></div>'
    )
