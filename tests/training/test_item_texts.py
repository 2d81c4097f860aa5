"""Items without history are reached through their titles, in Chinese and English."""

import numpy as np
import pandas as pd

from training.item_model import fit_items
from training.recommend.reasons import NEW_ARRIVAL
from training.recommend.source import day_number, item_frame, source_from_frames
from training.recommend.texts import alike_items, text_scores, title_matrix

DAY = day_number("2026-03-01")
TITLES = {
    "a": "玫瑰保湿面霜 50ml",
    "b": "玫瑰保湿面膜",
    "c": "Wooden train set",
    "d": "Wooden puzzle train",
    "e": "玫瑰保湿精华",
}


def frame() -> pd.DataFrame:
    items = pd.DataFrame({"item_id": list(TITLES), "title": list(TITLES.values())})
    return item_frame(np.array(sorted(TITLES)), items)


def test_titles_that_read_alike_are_neighbours_in_either_language() -> None:
    near = alike_items(frame(), neighbours=1).toarray()
    assert near[0].argmax() in (1, 4)
    assert near[2].argmax() == 3
    assert (np.diag(near) == 0).all()


def test_titles_that_only_repeat_the_id_tell_nothing() -> None:
    ids = np.array(["1001", "1002", "1003"])
    items = item_frame(ids, pd.DataFrame({"item_id": ids, "title": ids, "category_l1": ids}))
    assert alike_items(items).nnz == 0
    assert alike_items(item_frame(ids, None)).nnz == 0


def test_what_a_member_bought_is_nearest_to_what_reads_like_it() -> None:
    titles = title_matrix(frame())
    profile = np.array([[1.0, 0, 0, 0, 0], [0, 0, 1.0, 0, 0]])
    from scipy import sparse

    scores = text_scores(sparse.csr_matrix(profile), titles, np.array([1, 3, 4]))
    assert scores[0].argmax() in (0, 2)
    assert scores[1].argmax() == 1


def test_a_never_sold_item_reaches_members_of_what_it_reads_like() -> None:
    rng = np.random.default_rng(5)
    catalogue = [(f"r{k:02d}", f"玫瑰系列 {'ABCDEFGHJK'[k]} 护肤") for k in range(10)]
    catalogue += [(f"t{k:02d}", f"Wooden toy number {'ABCDEFGHJK'[k]}") for k in range(10)]
    rows = []
    for member in range(240):
        own = rng.choice(9, 4, replace=False) + (0 if member % 2 else 10)
        for visit in range(7):
            rows += [
                (f"m{member:03d}", DAY - 7 * visit, catalogue[int(i)][0]) for i in rng.choice(own, 2, replace=False)
            ]
    bought = pd.DataFrame(rows, columns=["member_id", "day", "item_id"])
    bought["day"] = (bought["day"].to_numpy() - 1).astype("datetime64[D]")
    source = source_from_frames(bought, items=pd.DataFrame(catalogue, columns=["item_id", "title"]))
    model = fit_items(source, DAY, horizon_days=7)
    signals_seen = model.on(source, DAY)
    from training.recommend.candidates import Signals

    state = signals_seen.state
    assert state is not None
    never = {int(np.flatnonzero(source.item_ids == item)[0]) for item in ("r09", "t09")}
    chunk = next(Signals(state, model.learned.tifu).chunks(np.arange(20)))
    assert never & set(chunk.item.tolist())
    from training.recommend.explain import explain

    rose = int(np.flatnonzero(source.item_ids == "r09")[0])
    told = explain(state, np.array([1]), np.array([[rose]], np.int32))
    assert told.reason[0, 0] == NEW_ARRIVAL
    assert str(source.item_ids[told.because[0, 0]]).startswith("r")
