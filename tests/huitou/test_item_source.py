"""What a release says of its item model is what the model's own card says."""

from typing import Any

import pytest

from huitou.pipeline import items_source
from training.scoring import ModelSource

CARD: dict[str, Any] = {"source": "fallback", "rung": "own_counts", "reason": "149 earlier baskets; 150 needed"}


def tagged(source: str, name: str = "shop-items", reason: str | None = None) -> ModelSource:
    return ModelSource("items", name, "shop-items/3", "run", source, reason, "2026-03-01")


def test_a_model_that_passed_the_gate_by_a_tie_with_what_it_chose_itself_is_a_fallback() -> None:
    found = items_source(tagged("model"), CARD)
    assert (found.source, found.name, found.reason) == ("fallback", "own_counts", CARD["reason"])
    assert found.version == "shop-items/3"


@pytest.mark.parametrize(
    ("source", "card"),
    [
        (tagged("model"), {"source": "model", "rung": "ranker", "reason": None}),
        (tagged("fallback", "popularity", "recall@10 0.10 against 0.12"), CARD | {"rung": "popularity"}),
    ],
)
def test_otherwise_the_registry_has_the_word(source: ModelSource, card: dict[str, Any]) -> None:
    assert items_source(source, card) == source
