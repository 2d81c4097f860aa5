"""Options that several verbs share."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

Verb = TypeVar("Verb", bound=Callable[..., Any])


def config_options(verb: Verb) -> Verb:
    """--config, --home: where the settings and everything that Huitou writes are."""
    verb = click.option(
        "--config",
        "config_file",
        type=click.Path(path_type=Path),
        default=None,
        help="Settings file; huitou.toml of this folder by default.",
    )(verb)
    return click.option("--home", default=None, help="Folder for all that Huitou writes; overrides the settings.")(
        verb
    )
