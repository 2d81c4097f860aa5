"""The verbs in, docs/cli.md out: every verb's help, as the command line prints it.

Write it anew with `python -m huitou.help_page > docs/cli.md`.
"""

import click

from huitou.cli import main

WIDTH = 100


def help_page() -> str:
    """Markdown with the help text of every verb, in alphabetical order."""
    parts = ["# Command line\n\nPrinted from the code; `huitou VERB --help` says the same.\n"]
    top = click.Context(
        main, info_name="huitou", terminal_width=WIDTH, max_content_width=WIDTH, help_option_names=["-h", "--help"]
    )
    for name in main.list_commands(top):
        verb = main.get_command(top, name)
        assert verb is not None
        own = _context(verb, name, top)
        parts.append(f"## huitou {name}\n\n```\n{verb.get_help(own)}\n```\n")
        if isinstance(verb, click.Group):
            for sub in verb.list_commands(own):
                inner = verb.get_command(own, sub)
                assert inner is not None
                parts.append(f"### huitou {name} {sub}\n\n```\n{inner.get_help(_context(inner, sub, own))}\n```\n")
    return "\n".join(parts)


def _context(verb: click.Command, name: str, parent: click.Context) -> click.Context:
    """A verb's context as the command line makes it.

    Click keeps a command's help option after its first use, also when that use was without the parent, whose -h would
    then be missing: it is made anew here.
    """
    verb._help_option = None
    return click.Context(verb, info_name=name, parent=parent, terminal_width=WIDTH, max_content_width=WIDTH)


if __name__ == "__main__":
    click.echo(help_page(), nl=False)
