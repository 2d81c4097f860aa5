"""Every validator across rows, in the order in which people read a report."""

from collections.abc import Callable

from features.progress import Progress
from features.report import Finding
from features.validators import Findings, Scene, ids, money, people, relations, returns, times

VALIDATORS: tuple[Callable[[Scene], Findings], ...] = (
    *ids.VALIDATORS,
    *relations.VALIDATORS,
    *money.VALIDATORS,
    *times.VALIDATORS,
    *returns.VALIDATORS,
    *people.VALIDATORS,
)


def judge(scene: Scene, progress: Progress) -> list[Finding]:
    """All findings across rows. Needs the tables that `features.mending` and `features.keeping` leave behind."""
    findings: list[Finding] = []
    for i, validator in enumerate(VALIDATORS):
        progress(validator.__name__.replace("_", " "), i / len(VALIDATORS))
        findings += validator(scene)
    return findings
