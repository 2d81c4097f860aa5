"""The command line: each verb lives in `huitou/commands/<verb>.py` and is imported only when it is called."""

import importlib
import os
import pkgutil
import sys
from typing import Any

import click

import huitou
import huitou.commands
from features.errors import GateRefused, HuitouError, InputError

# Exit codes: 0 usable, 1 our fault, 2 the user's mistake, 3 a gate refused.
OUR_FAULT, USER_MISTAKE, GATE_REFUSED = 1, 2, 3


class Verbs(click.Group):
    """A group that finds its verbs in `huitou.commands` and turns our errors into one line and an exit code."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(m.name.replace("_", "-") for m in pkgutil.iter_modules(huitou.commands.__path__))

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self.list_commands(ctx):
            return None
        module = importlib.import_module(f"huitou.commands.{cmd_name.replace('-', '_')}")
        command: click.Command = module.command
        return command

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except GateRefused as refused:
            click.echo(f"refused: {refused}", err=True)
            ctx.exit(GATE_REFUSED)
        except InputError as mistake:
            click.echo(f"error: {mistake}", err=True)
            ctx.exit(USER_MISTAKE)
        except HuitouError as fault:
            click.echo(f"error: {fault}", err=True)
            ctx.exit(OUR_FAULT)


@click.group(cls=Verbs, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(huitou.__version__, prog_name="huitou")
def main() -> None:
    """Huitou 回头: who of your members will come back, when, for what, and whom to contact today."""
    # Third parties: no telemetry; one BLAS thread beside the models' own threads (implicit warns otherwise).
    for name, value in {
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "BENTOML_DO_NOT_TRACK": "True",
        "OPENBLAS_NUM_THREADS": "1",
    }.items():
        os.environ.setdefault(name, value)
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="replace")
