"""What a column of a member vector is: its name, unit, family and meaning, in the words of the trade."""

from dataclasses import dataclass


@dataclass(frozen=True)
class VectorColumn:
    """One column of a member vector. Null means that the thing does not exist for the member, never zero."""

    name: str
    unit: str
    family: str
    meaning: str
    meaning_zh: str
