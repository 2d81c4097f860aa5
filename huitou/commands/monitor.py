"""`huitou monitor`: what was predicted and what happened since in; figures, the input that moved and exit code 3 out."""

import json
from datetime import date
from pathlib import Path

import click

from features.errors import GateRefused
from huitou.console import bar, out, table
from huitou.options import config_options


@click.command("monitor")
@click.option("--out", "out_file", type=click.Path(path_type=Path), help="Also write the report as JSON.")
@click.option("--seed", type=int, default=0, show_default=True, help="Seed of the bootstrap.")
@config_options
def command(out_file: Path | None, seed: int, config_file: Path | None, home: str | None) -> None:
    """Judge matured predictions, compare today's inputs and scores with then, and say whether to train again.

    Keeps the current release's predictions until they mature. Exit code 3 where a figure is past its limit.
    """
    import numpy as np

    from huitou.brand import read_brand
    from huitou.config import load_config
    from huitou.pipeline import keep_predictions
    from training.kept_predictions import kept_days, read_kept
    from training.monitor import monitor
    from training.release import SCORED, open_release
    from training.release_writer import list_releases
    from training.shadow import shadow_folder

    config = load_config(config_file, home=home)
    root = config.home.kept_predictions
    written = [
        path for one in list_releases(config.home.releases) for path in keep_predictions(config, open_release(one))
    ]
    current = open_release(config.home.current) if config.home.current.exists() else None
    scores = trained = None
    if current is not None:
        scores = np.asarray(current.predictions["churn_probability"])[np.asarray(current.kind) == SCORED]
        models = current.manifest.get("models", {})
        told = models.get("curve", {}) if isinstance(models, dict) else {}
        trained = date.fromisoformat(told["trained_as_of"][:10]) if told.get("trained_as_of") else None
    with bar("monitoring") as progress:
        history = read_brand(config, progress).history
        report = monitor(
            history,
            [read_kept(root, day) for day in kept_days(root)],
            scores_now=scores,
            trained_as_of=trained,
            shadow=[read_kept(shadow_folder(root), day) for day in kept_days(shadow_folder(root))],
            seed=seed,
            progress=progress,
        )
    rows = [
        (
            m["as_of"],
            f"{m['members']:,}",
            *(_shown(m.get(name)) for name in ("auc", "log_loss", "bias", "ece", "coverage_80")),
        )
        for m in report.matured
    ]
    table("Matured predictions", ["as of", "members", "AUC", "log loss", "bias", "ECE", "coverage"], rows)
    table(
        "Inputs that moved most (stability index beyond usual)",
        ["column", "index", "usually"],
        [
            (r["column"], f"{r['psi']:.3f}", "not known yet" if np.isnan(r["usual_psi"]) else f"{r['usual_psi']:.3f}")
            for r in report.inputs.head(5).to_dict(orient="records")
        ],
    )
    if report.beside:
        table(
            "Challenger in shadow (log loss)",
            ["as of", "version", "members", "served", "in shadow", "difference"],
            [
                (
                    b["as_of"],
                    b["model"],
                    f"{b['members']:,}",
                    *(_shown((b[name] or {}).get("log_loss")) for name in ("served", "shadow", "difference")),
                )
                for b in report.beside
            ],
        )
    for m in report.matured[-1:]:
        if m.get("coverage_null_reason"):
            out.print(f"coverage of {m['as_of']} is not known: {m['coverage_null_reason'].replace('_', ' ')}")
    for day, ripe in report.waiting.items():
        out.print(f"predictions of {day} mature on {ripe}")
    if not report.matured and not report.waiting:
        out.print("no release yet: run huitou train, promote, release first")
    out.print(f"train again: {'yes' if report.retrain else 'no'}, {report.retrain_because}")
    for path in written:
        out.print(f"kept: {path}")
    if out_file is not None:
        out_file.write_text(json.dumps(report.as_dict(), ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
        out.print(f"written: {out_file}")
    if report.breaches:
        raise GateRefused("past the limits: " + "; ".join(report.breaches))


def _shown(figure: dict[str, float] | None) -> str:
    return "" if not figure else f"{figure['value']:.3f} [{figure['low']:.3f}, {figure['high']:.3f}]"
