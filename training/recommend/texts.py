"""Item titles and categories in; which items read alike, out: the only tie a never-sold item has to what members buy.

Titles are cut into character n-grams (one to three characters of Chinese, two to four of other scripts read the same
way), so nothing has to be segmented into words; a category and a product brand count as words of their own.
"""

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse

# More than this many different n-grams is noise and memory; the most frequent in titles stay.
MOST_GRAMS = 60_000
CHUNK = 1_000


def title_matrix(items: pd.DataFrame) -> sparse.csr_matrix:
    """Items × n-grams, tf-idf rows of length 1; items without any text are empty rows."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    title = items["title"].fillna("").astype(str).str.lower().str.replace(r"\s+", " ", regex=True)
    words = pd.Series("", index=items.index)
    for column in ("category_l1", "category_l2", "category_l3", "product_brand"):
        text = items[column].fillna("").astype(str)
        # A category of its own for every item, or one for all, ties nothing together.
        if 1 < text.nunique() < 0.8 * len(text):
            words = words + np.where(text != "", " ⟨" + column + "=" + text + "⟩", "")
    parts = []
    if title.str.strip().ne("").any():
        grams = TfidfVectorizer(
            analyzer="char_wb", ngram_range=(2, 4), sublinear_tf=True, max_features=MOST_GRAMS, dtype=np.float32
        )
        parts.append(grams.fit_transform(title))
    if words.str.strip().ne("").any():
        kinds = TfidfVectorizer(analyzer=_marked, ngram_range=(1, 1))
        parts.append(0.5 * kinds.fit_transform(words))
    if not parts:
        return sparse.csr_matrix((len(items), 1), dtype=np.float32)
    table = sparse.csr_matrix(sparse.hstack(parts), dtype=np.float32)
    norm = np.sqrt(np.asarray(table.multiply(table).sum(1)).ravel())
    return sparse.csr_matrix(sparse.diags(1.0 / np.maximum(norm, 1e-9)) @ table, dtype=np.float32)


def _marked(text: str) -> list[str]:
    return [part for part in text.split("⟨")[1:] if part]


def text_scores(profile: sparse.csr_matrix, titles: sparse.csr_matrix, items: NDArray[Any]) -> NDArray[np.float32]:
    """float32[members, items]: cosine of what a member bought, as one text, and each of `items`.

    profile: members × catalogue, weights of own purchases; titles: from title_matrix. Popularity of the items an item
    reads like was tried beside it and lowered recall.
    """
    taste = (profile @ titles).tocsr()
    length = np.sqrt(np.asarray(taste.multiply(taste).sum(1)).ravel())
    scaled = sparse.diags(1.0 / np.maximum(length, 1e-9)) @ taste
    return np.asarray((scaled @ titles[items].T).toarray(), np.float32)


def alike_items(items: pd.DataFrame, neighbours: int = 30) -> sparse.csr_matrix:
    """Items × items: the cosine of titles and categories with each item's nearest others; empty where nothing is told.

    Titles that only repeat the item's id tell nothing.
    """
    size = len(items)
    title = items["title"].fillna("").astype(str).to_numpy(dtype=str)
    told = title[title != ""]
    ids = items.index.astype(str).to_numpy(dtype=str)
    plain = len(told) == 0 or (title == ids).sum() > 0.5 * len(told)
    table = title_matrix(items.assign(title="") if plain else items)
    if table.nnz == 0:
        return sparse.csr_matrix((size, size), dtype=np.float32)
    rows, columns, values = [], [], []
    turned = table.T.tocsr()
    keep = min(neighbours, size - 1)
    if keep < 1:
        return sparse.csr_matrix((size, size), dtype=np.float32)
    for start in range(0, size, CHUNK):
        near = (table[start : start + CHUNK] @ turned).toarray()
        here = np.arange(len(near))
        near[here, start + here] = 0.0
        best = np.argpartition(-near, keep - 1, axis=1)[:, :keep]
        rows.append(np.repeat(start + here, keep))
        columns.append(best.ravel())
        values.append(np.take_along_axis(near, best, 1).ravel())
    found = sparse.csr_matrix(
        (np.concatenate(values), (np.concatenate(rows), np.concatenate(columns))),
        shape=(size, size),
        dtype=np.float32,
    )
    found.eliminate_zeros()
    return found
