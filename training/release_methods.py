"""What served each member's item lists in; out: what a release keeps of it, so that every list can say who made it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class ListMethods:
    """`said` goes into the manifest as item_methods; `codes` uint8 [members, slates] index its `names`.

    said: methods and calibrated by slate, exceptions by slate and history length (see training.item_model.ItemModel.card);
    slates: the columns of `codes`.
    """

    said: Mapping[str, Any]
    codes: NDArray[np.uint8]


def list_methods(card: Mapping[str, Any], served: Mapping[str, NDArray[Any]]) -> ListMethods:
    """served: by slate, the name of the method behind each member's list, in the release's order of members."""
    slates = list(served)
    names = sorted({str(name) for column in served.values() for name in np.unique(column)})
    codes = np.stack([np.searchsorted(names, served[slate]) for slate in slates], axis=1).astype(np.uint8)
    said = {key: dict(card.get(key) or {}) for key in ("methods", "exceptions", "calibrated")}
    return ListMethods({**said, "slates": slates, "names": names}, codes)
