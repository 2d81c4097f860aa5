"""Member ids in, stable random numbers out: who is held out, who is in which frequency arm, and the dice of a day.

Every number comes from a hash of ids and never from a row's place, so shuffled input draws the same list.
"""

import datetime as dt
import hashlib
from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from outreach.settings import ContactSettings

Floats = NDArray[np.float64]
Hashes = NDArray[np.uint64]

# A fixed 16-byte key: the hash must be the same on every machine and in every release.
HASH_KEY = "huitou-member-id"


def hash_ids(ids: Sequence[str] | NDArray[np.object_]) -> Hashes:
    """A 64-bit hash of each id, the same on every machine (SipHash as in pandas)."""
    return pd.util.hash_array(np.asarray(ids, dtype=object), hash_key=HASH_KEY, categorize=False)


def salt_word(*parts: object) -> np.uint64:
    """A 64-bit number for a purpose: `salt_word("holdout", salt)`, `salt_word("order", seed, date)`."""
    text = "\x1f".join(str(part) for part in parts).encode()
    return np.uint64(int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "little"))


def uniform(hashes: Hashes, salt: np.uint64) -> Floats:
    """Uniform numbers in [0, 1) from id hashes and a salt (splitmix64 finaliser; Steele, Lea & Flood 2014)."""
    with np.errstate(over="ignore"):
        z = hashes ^ salt
        z = z + np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z = z ^ (z >> np.uint64(31))
    return (z >> np.uint64(11)).astype(np.float64) / float(1 << 53)


def held_out(hashes: Hashes, settings: ContactSettings) -> NDArray[np.bool_]:
    """Whether each member belongs to the permanent holdout.  A later, larger share keeps everyone already in it."""
    return uniform(hashes, salt_word("holdout", settings.salt)) < settings.holdout_share


def arm_weights(hashes: Hashes, date: dt.date, settings: ContactSettings) -> Floats:
    """The propensity weight of each member's frequency arm; all 1 once the arms have ended.

    The arms (low, normal, high) make fatigue identifiable: in an even log nobody is contacted twice in a month.
    """
    if settings.arms_until is None or date >= settings.arms_until:
        return np.ones(len(hashes))
    u = uniform(hashes, salt_word("arm", settings.salt))
    edges = np.cumsum(np.asarray(settings.arm_shares) / sum(settings.arm_shares))[:-1]
    return np.asarray(settings.arm_weights)[np.searchsorted(edges, u, side="right")]
