"""The safe door to implicit: none of its paddings, exclusions or arbitrary answers comes through."""

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from features.errors import InputError
from training.items import SafeRecommender, checked, clean_lists, factorise, item_similarity, purchase_matrix


def checkerboard(size: int = 12) -> sparse.csr_matrix:
    """Even members buy even items and odd members odd ones; each member lacks the item of its own number."""
    table = (np.add.outer(np.arange(size), np.arange(size)) % 2 == 0).astype(np.float32)
    np.fill_diagonal(table, 0)
    return sparse.csr_matrix(table)


@pytest.mark.parametrize("kind", ["cosine", "bm25", "tfidf", "als"])
def test_the_withheld_item_of_a_checkerboard_comes_first(kind: str) -> None:
    owned = checkerboard()
    params = {"factors": 3, "iterations": 30} if kind == "als" else {"K": 12}
    lists = SafeRecommender(kind, seed=1, **params).fit(owned).recommend(np.arange(12), owned, 1)
    assert lists.codes[:, 0].tolist() == list(range(12))


@pytest.mark.parametrize("kind", ["cosine", "bm25", "als"])
def test_asking_for_more_than_is_left_gives_empty_slots_not_item_0_nor_a_score_of_minus_3e38(kind: str) -> None:
    owned = checkerboard()
    params = {"factors": 3} if kind == "als" else {"K": 12}
    model = SafeRecommender(kind, seed=1, **params).fit(owned)
    lists = model.recommend(np.arange(12), owned, 40)
    assert lists.codes.shape == (12, 40)
    assert (lists.scores > -1e30).all()
    held = owned.toarray() > 0
    for row in range(12):
        shown = lists.codes[row][lists.codes[row] >= 0]
        assert len(set(shown.tolist())) == len(shown)
        assert not held[row, shown].any()
        assert (lists.scores[row][lists.codes[row] < 0] == 0).all()
    assert (lists.codes[:, -1] == -1).all()


@pytest.mark.parametrize("kind", ["cosine", "als"])
def test_a_member_without_history_gets_no_arbitrary_items(kind: str) -> None:
    owned = checkerboard().tolil()
    owned[3] = 0
    model = SafeRecommender(kind, seed=1, **({"factors": 3} if kind == "als" else {"K": 5})).fit(owned.tocsr())
    assert (model.recommend(np.array([3]), owned.tocsr()[3], 5).codes == -1).all()


@pytest.mark.parametrize("kind", ["cosine", "als"])
def test_only_allowed_items_are_recommended(kind: str) -> None:
    owned = checkerboard()
    model = SafeRecommender(kind, seed=1, **({"factors": 3} if kind == "als" else {"K": 12})).fit(owned)
    lists = model.recommend(np.arange(12), owned, 8, allowed=np.array([0, 1, 4]))
    assert set(np.unique(lists.codes)) <= {-1, 0, 1, 4}
    nothing = model.recommend(np.arange(12), owned, 8, allowed=np.array([], int))
    assert (nothing.codes == -1).all()


def test_implicit_itself_still_has_the_traps_that_this_module_closes() -> None:
    """If implicit mends them, this fails and the module can become smaller."""
    from implicit.nearest_neighbours import CosineRecommender

    owned = sparse.csr_matrix(checkerboard(), dtype=np.float64)
    model = CosineRecommender(K=12, num_threads=1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # implicit hands itself a coo_matrix
        model.fit(owned, show_progress=False)
    _, scores = model.recommend(np.arange(12), owned, N=3, items=np.array([0, 2, 4]))
    assert scores.min() < -1e38 or (scores == 0).any()


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_cleaned_lists_never_hold_owned_repeated_or_padded_items(data: st.DataObject) -> None:
    rows, items, width, n = (data.draw(st.integers(1, high)) for high in (4, 6, 8, 9))
    rng = np.random.default_rng(data.draw(st.integers(0, 2**20)))
    owned = sparse.csr_matrix(rng.random((rows, items)) < 0.4, dtype=np.float32)
    ids = rng.integers(-1, items + 1, (rows, width))
    scores = np.where(rng.random((rows, width)) < 0.3, -3.4e38, rng.random((rows, width)))
    lists = clean_lists(ids, scores, n, owned=owned, drop_owned=True)
    assert lists.codes.shape == (rows, n)
    for row in range(rows):
        shown = lists.codes[row][lists.codes[row] >= 0]
        assert (lists.codes[row][len(shown) :] == -1).all()
        assert len(set(shown.tolist())) == len(shown)
        assert not owned[row].toarray()[0][shown].any()
        assert (lists.scores[row] >= 0).all()


def test_similar_items_never_name_the_item_itself_and_ignore_an_empty_brand() -> None:
    similar = item_similarity(checkerboard(), neighbours=4)
    assert similar.diagonal().sum() == 0
    assert np.diff(similar.indptr).max() <= 4
    assert item_similarity(sparse.csr_matrix((3, 5), dtype=np.float32)).shape == (5, 5)


def test_factors_are_the_same_for_the_same_seed_and_zero_without_history() -> None:
    owned = checkerboard().tolil()
    owned[2] = 0
    one, two = (factorise(owned.tocsr(), factors=3, seed=5) for _ in range(2))
    np.testing.assert_array_equal(one.members, two.members)
    assert (one.members[2] == 0).all()


def test_any_sparse_matrix_is_taken_and_left_as_it_was() -> None:
    given_matrix = sparse.coo_matrix(([1.0, 2.0, 0.0], ([0, 0, 1], [1, 1, 0])), shape=(2, 2))
    out = checked(given_matrix)
    assert out.nnz == 1
    assert out[0, 1] == 3.0
    assert given_matrix.nnz == 3


@pytest.mark.parametrize("bad", [-1.0, np.nan, np.inf])
def test_a_weight_that_is_no_purchase_is_refused_with_its_count(bad: float) -> None:
    with pytest.raises(InputError, match="1 weights are negative or not finite"):
        purchase_matrix(np.array([0, 1]), np.array([0, 0]), np.array([1.0, bad]), (2, 2))


def test_a_purchase_matrix_of_the_wrong_shape_is_refused() -> None:
    model = SafeRecommender("cosine", K=3).fit(checkerboard())
    with pytest.raises(InputError, match="a row per member"):
        model.recommend(np.arange(3), checkerboard(), 3)
