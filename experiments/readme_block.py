"""Tables of an experiment in, its README with them between the two marks out."""

from pathlib import Path

BEGIN, END = "<!-- figures -->", "<!-- end -->"


def write_block(readme: Path, text: str) -> None:
    """Put `text` between the marks of a README; what stands above and below them stays."""
    head, _, rest = readme.read_text("utf-8").partition(BEGIN)
    readme.write_text(f"{head}{BEGIN}\n\n{text.strip()}\n\n{END}{rest.partition(END)[2]}", "utf-8")
