"""The verbs in, docs/cli.md out: every verb's help, as the command line prints it.

Write it anew with `python -m huitou.help_page > docs/cli.md`.
"""

import click

from huitou.cli import main


def help_page() -> str:
    """Markdown with the help text of every verb, in alphabetical order."""
    parts = ["# Command line\n\nPrinted from the code; `huitou VERB --help` says the same.\n"]
    context = click.Context(main, info_name="huitou", terminal_width=100, max_content_width=100)
    for name in main.list_commands(context):
        verb = main.get_command(context, name)
        assert verb is not None
        own = click.Context(verb, info_name=f"huitou {name}", terminal_width=100, max_content_width=100)
        parts.append(f"## huitou {name}\n\n```\n{verb.get_help(own)}\n```\n")
        if isinstance(verb, click.Group):
            for sub in verb.list_commands(own):
                inner = verb.get_command(own, sub)
                assert inner is not None
                deep = click.Context(
                    inner, info_name=f"huitou {name} {sub}", terminal_width=100, max_content_width=100
                )
                parts.append(f"### huitou {name} {sub}\n\n```\n{inner.get_help(deep)}\n```\n")
    return "\n".join(parts)


if __name__ == "__main__":
    click.echo(help_page(), nl=False)
