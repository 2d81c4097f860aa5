"""How long work tells how far it is: a callable of a message and a fraction between 0 and 1."""

from collections.abc import Callable

Progress = Callable[[str, float], None]


def quiet(message: str, fraction: float) -> None:
    """Tell nobody."""
