"""A release, a list and a member in; out: which recommender made that list, and whether its scores are probabilities."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.release import Release

RANKER = "ranker"
# What is not a list of the member's own: what sells in the store, at the level, in the brand.
POPULAR = "popular"
NO_HISTORY = "no_history"
PLAIN_LIST = "the ranker was not ahead of the plain recommenders on this list"
PLAIN_HISTORY = "a plain recommender was ahead of the ranker for members with so many purchases"


@dataclass(frozen=True, slots=True)
class MadeBy:
    """method: its name, None where a release of an older version does not say. model: what the exposure log calls it.

    chances: the scores are calibrated probabilities of purchase in the next basket within the horizon.
    """

    method: str | None
    source: str
    fallback_reason: str | None
    model: str
    chances: bool = False

    @property
    def said(self) -> dict[str, Any]:
        """The fields of an answer."""
        return {"source": self.source, "fallback_reason": self.fallback_reason, "method": self.method}


def popular(reason: str) -> MadeBy:
    """A list of what sells, for a reason."""
    return MadeBy(POPULAR, "fallback", reason, POPULAR)


class ItemMethods:
    """What made the item lists of a release: worked out once a list and method, looked up for each request."""

    def __init__(self, release: Release, said: Mapping[str, Any], version: str) -> None:
        """said: what the release says of the task items (source, name, fallback_reason); version: of that model."""
        told: Mapping[str, Any] = release.manifest.get("item_methods") or {}
        self._release, self._rungs = release, release.manifest.get("item_rungs") or ("own",)
        self._cold = popular(NO_HISTORY)
        self._said, self._told, self._version = said, told, version
        self._untold = MadeBy(None, said["source"], said["fallback_reason"], f"{said['name']}:{version}"[:160])
        self._by_code: dict[str, tuple[int, list[MadeBy]]] = {}
        if release.item_methods is not None:
            for column, slate in enumerate(told.get("slates") or ()):
                self._by_code[slate] = column, [self._made_by(slate, name) for name in told["names"]]

    def of_list(self, slate: str) -> MadeBy:
        """What makes this list for most members."""
        name = (self._told.get("methods") or {}).get(slate)
        return self._untold if name is None else self._made_by(slate, name)

    def of_member(self, slate: str, row: int) -> MadeBy:
        """What made this list of the member in a row of the release."""
        if self._rungs[min(int(self._release.items.rung[row]), len(self._rungs) - 1)] != "own":
            return self._cold
        found = self._by_code.get(slate)
        if found is None or self._release.item_methods is None:
            return self._untold
        column, made = found
        return made[self._release.item_methods[row, column]]

    def all_chances(self, slate: str, rows: NDArray[np.int64]) -> bool:
        """Whether the scores of these members' own lists are all probabilities, so that they compare between members."""
        found = self._by_code.get(slate)
        if found is None or self._release.item_methods is None:
            return False
        column, made = found
        return all(made[code].chances for code in np.unique(self._release.item_methods[rows, column]))

    def _made_by(self, slate: str, name: str) -> MadeBy:
        model = f"{name}:{self._version}"[:160]
        if name == RANKER:
            return MadeBy(name, "model", None, model, bool(self._told["calibrated"].get(slate)))
        usual = self._told["methods"][slate] == name
        reason = PLAIN_HISTORY
        if usual:
            reason = self._said["fallback_reason"] or PLAIN_LIST
        return MadeBy(name, "fallback", reason, model)
