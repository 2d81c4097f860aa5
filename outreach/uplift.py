"""The randomised log in, what contacting a member brings out."""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from outreach.score import Score, Standing
from outreach.settings import ContactSettings


class LearnedEffect(Protocol):
    """A fitted correction of the cold score."""

    def score(self, standing: Standing, settings: ContactSettings) -> Score:
        """The worth of a contact, parts in yuan."""
        ...

    def dominates(self, standing: Standing, settings: ContactSettings) -> NDArray[np.bool_]:
        """Whether the learned part rather than the prior makes most of the gain."""
        ...
