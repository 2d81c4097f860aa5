"""Ids are found by their hash as they would be found by looking at each."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.release_index import index_of, keys_of

TEXT = st.text(st.characters(blacklist_categories=["Cs"]), max_size=12)


@given(
    st.sets(TEXT.filter(lambda text: text and "\0" not in text), min_size=1, max_size=80), st.lists(TEXT, max_size=40)
)
def test_every_id_is_found_and_no_other(known: set[str], asked: list[str]) -> None:
    ids = np.array(sorted(one.encode() for one in known))
    index = index_of(ids)
    batch = [*known, *asked]
    keys, fits = keys_of(batch, ids.dtype)
    found = index.find(keys)
    found = found if fits is None else np.where(fits, found, -1)
    place = {one.decode(): row for row, one in enumerate(ids.tolist())}
    assert found.tolist() == [place.get(one, -1) for one in batch]


@pytest.mark.parametrize("n", [1, 2, 3, 1000, 4097])
def test_ids_of_one_length_are_found_wherever_they_fall(n: int) -> None:
    ids = np.array([b"m%07d" % number for number in range(n)])
    index = index_of(ids)
    keys, fits = keys_of([one.decode() for one in reversed(ids.tolist())], ids.dtype)
    assert fits is None and index.find(keys).tolist() == list(reversed(range(n)))
    assert index.find(keys_of(["x0000000"], ids.dtype)[0]).tolist() == [-1]
