"""`huitou bento`: a Bento that carries the current release, so that it serves where there is no home folder."""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import click

from huitou.options import config_options


@click.command("bento")
@click.argument("source", required=False, default=".", type=click.Path(exists=True, file_okay=False, path_type=Path))
@config_options
def command(source: Path, config_file: Path | None, home: str | None) -> None:
    """Put the current release into BentoML's store and build a Bento with it from SOURCE, the folder of bentofile.yaml."""
    import yaml  # type: ignore[import-untyped]  # BentoML brings it

    from features.errors import HuitouError, InputError
    from huitou.config import load_config
    from serving.service import keep_release_as_model
    from training.release import open_release

    config = load_config(config_file, home=home)
    recipe = source / "bentofile.yaml"
    if not recipe.is_file():
        raise InputError(f"bento: {recipe} is missing; name the folder of Huitou's source")
    if not config.home.current.exists():
        raise InputError(f"bento: no release under {config.home.releases}; `huitou release` makes one")
    release = open_release(config.home.current)
    release.verify()
    tag = keep_release_as_model(release.path)
    told = yaml.safe_load(recipe.read_text(encoding="utf-8")) | {"models": [tag]}
    folder = Path(tempfile.mkdtemp(prefix="huitou-bento-"))
    try:
        (folder / "bentofile.yaml").write_text(yaml.safe_dump(told, allow_unicode=True), encoding="utf-8")
        build = [sys.executable, "-m", "bentoml", "build", "-f", str(folder / "bentofile.yaml"), "--output", "tag"]
        run = subprocess.run([*build, str(source)], env={**os.environ, "BENTOML_DO_NOT_TRACK": "True"}, text=True)
    finally:
        shutil.rmtree(folder)
    if run.returncode:
        raise HuitouError("bento: `bentoml build` failed; its words are above")
    click.echo(f"carries: {tag}")
