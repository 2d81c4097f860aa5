"""The shop's rules hold on every list: stock, shelf, filters, just bought, caps, length, duplicates, order."""

import itertools
from collections import Counter
from dataclasses import replace
from datetime import date

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.errors import InputError
from training.recommend.conditions import All, AnyOf, Catalogue, Condition, Is, Not, condition_from, meets
from training.recommend.rules import (
    Cap,
    Pin,
    Rules,
    Rung,
    Weight,
    apply_rules,
    compile_rules,
    fold_in,
    whole_catalogue,
)

TODAY = date(2026, 3, 1)
BRANDS, KINDS = ("a", "b", "c"), ("cream", "mask")


def conditions() -> st.SearchStrategy[Condition]:
    leaf = st.one_of(
        st.builds(Is, st.just("product_brand"), st.lists(st.sampled_from(BRANDS), min_size=1).map(tuple)),
        st.builds(Is, st.just("category"), st.lists(st.sampled_from(KINDS), min_size=1).map(tuple)),
    )
    return st.recursive(
        leaf,
        lambda inner: st.one_of(
            st.builds(Not, inner),
            st.builds(All, st.lists(inner, max_size=3).map(tuple)),
            st.builds(AnyOf, st.lists(inner, max_size=3).map(tuple)),
        ),
        max_leaves=5,
    )


def by_hand(condition: Condition, brand: str, kind: str) -> bool:
    if isinstance(condition, Is):
        return (brand if condition.attribute == "product_brand" else kind) in condition.values
    if isinstance(condition, Not):
        return not by_hand(condition.part, brand, kind)
    inner = [by_hand(part, brand, kind) for part in condition.parts]
    return all(inner) if isinstance(condition, All) else any(inner)


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_no_list_ever_breaks_a_rule(data: st.DataObject) -> None:
    size = data.draw(st.integers(1, 14) | st.integers(100, 300), label="items")
    rng = np.random.default_rng(data.draw(st.integers(0, 2**16)))
    brand, kind = rng.choice([*BRANDS, ""], size), rng.choice(KINDS, size)
    catalogue = Catalogue.of([f"i{k}" for k in range(size)], {"product_brand": brand, "category": kind})
    only = data.draw(st.none() | conditions(), label="filter")
    caps = data.draw(
        st.lists(st.builds(Cap, st.sampled_from(["product_brand", "category"]), st.integers(0, 4)), max_size=2).map(
            tuple
        )
    )
    pins = tuple(
        Pin(f"i{data.draw(st.integers(0, size - 1))}", data.draw(st.integers(0, 3)), TODAY, TODAY, "ann")
        for _ in range(data.draw(st.integers(0, 4)))
    )
    weights = tuple(
        Weight(data.draw(conditions()), data.draw(st.floats(0.1, 5)), TODAY, TODAY, "ann")
        for _ in range(data.draw(st.integers(0, 2)))
    )
    ladder = [
        Rung.of(
            name, rng.permutation(np.r_[np.arange(size), [-1, -1]])[: data.draw(st.integers(0, min(size, 14) + 2))]
        )
        for name in ("own", "store", "brand")
    ]
    stock, shelf = rng.random(size) < 0.7, rng.random(size) < 0.8
    hidden = set(rng.choice(size, data.draw(st.integers(0, size)), replace=False).tolist())
    due = set(rng.choice(size, data.draw(st.integers(0, 2))).tolist())
    n = data.draw(st.integers(1, 8), label="n")
    compiled = compile_rules(Rules(only, pins, weights, caps), catalogue, TODAY)
    filled_up = data.draw(st.booleans(), label="catalogue")
    if filled_up:
        ladder.append(whole_catalogue(rng.permutation(size), compiled))
    shown = apply_rules(ladder, n, compiled, in_stock=stock, on_shelf=shelf, hidden=hidden, due_again=due)

    codes = shown.codes.tolist()
    assert len(codes) <= n
    assert len(codes) + shown.short == n
    assert len(set(codes)) == len(codes)
    assert len(shown.rungs) == len(codes)
    for code in codes:
        assert stock[code]
        assert shelf[code]
        assert code not in hidden - due
        assert only is None or by_hand(only, brand[code], kind[code])
    for cap in caps:
        values = brand if cap.attribute == "product_brand" else kind
        counts = Counter(values[c] for c in codes if values[c])
        assert all(count <= cap.most for count in counts.values())
    # Order: rungs never go back, and inside a rung the score falls.
    rest = [(r, s) for r, s in zip(shown.rungs, shown.scores.tolist(), strict=True) if r != "pin"]
    steps = [("own", "store", "brand", "catalogue").index(r) for r, _ in rest]
    assert steps == sorted(steps)
    for (rung, score), (next_rung, next_score) in itertools.pairwise(rest):
        assert rung != next_rung or score >= next_score
    # Never under-filled while something allowed, offered and inside the caps is left.
    if shown.short:
        offered = set(range(size)) if filled_up else {int(c) for r in ladder for c in r.codes}
        for code in offered - set(codes):
            free = stock[code] and shelf[code] and code not in hidden - due
            free = free and (only is None or by_hand(only, brand[code], kind[code]))
            for cap in caps:
                values = brand if cap.attribute == "product_brand" else kind
                free = free and (not values[code] or sum(values[c] == values[code] for c in codes) < cap.most)
            assert not free
    # The first pin of a place that may be shown there stands there, unless a cap or an earlier pin of the item bars it.
    if not caps:
        stands: dict[int, int] = {}
        for place, pin in sorted(((pin.place, int(pin.item_id[1:])) for pin in pins), key=lambda at: at[0]):
            free = stock[pin] and shelf[pin] and pin not in hidden - due and compiled.allowed[pin]
            if free and place < n and pin not in stands.values():
                stands.setdefault(place, pin)
        assert set(stands.values()) <= set(codes)
        if not shown.short:
            assert all(codes[place] == pin for place, pin in stands.items())


def small() -> Catalogue:
    return Catalogue.of(["x", "y", "z"], {"category": ["cream", "mask", None], "product_brand": ["a", "a", "b"]})


def test_filters_read_and_or_not() -> None:
    text = {
        "all": [
            {"any": [{"is": ["category", "cream", "mask"]}, {"is": ["product_brand", "b"]}]},
            {"not": {"is": ["category", "mask"]}},
        ]
    }
    assert meets(condition_from(text), small()).tolist() == [True, False, True]


def test_a_pin_stands_at_its_place_in_its_period_only() -> None:
    rules = Rules(pins=(Pin("z", 0, date(2026, 3, 1), date(2026, 3, 2), "ann"),))
    ladder = [Rung.of("own", [0, 1])]
    inside = apply_rules(ladder, 3, compile_rules(rules, small(), date(2026, 3, 2)))
    assert inside.codes.tolist() == [2, 0, 1]
    assert inside.rungs == ("pin", "own", "own")
    after = apply_rules(ladder, 3, compile_rules(rules, small(), date(2026, 3, 3)))
    assert after.codes.tolist() == [0, 1]
    assert after.short == 1
    assert after.why_short == "rules_and_stock_leave_too_few"


@pytest.mark.parametrize(
    ("pinned", "hidden", "wanted"),
    [
        ("cd", [], ["c", "d", "a"]),
        ("cd", [2], ["d", "a", "b"]),
        ("cd", [2, 3], ["a", "b", "e"]),
        ("cde", [2], ["d", "e", "a"]),
    ],
)
def test_of_two_pins_of_a_place_the_first_that_may_be_shown_stands_there_and_the_next_follows(
    pinned: str, hidden: list[int], wanted: list[str]
) -> None:
    items = Catalogue.of(list("abcde"), {})
    rules = compile_rules(Rules(pins=tuple(Pin(item, 0, TODAY, TODAY, "ann") for item in pinned)), items, TODAY)
    shown = apply_rules([Rung.of("own", [0, 1, 4])], 3, rules, hidden=hidden)
    assert [items.item_ids[code] for code in shown.codes] == wanted


def test_a_second_pin_of_a_place_leaves_the_pin_of_the_next_place_where_it_is() -> None:
    items = Catalogue.of(list("abcde"), {})
    pins = tuple(Pin(item, place, TODAY, TODAY, "ann") for item, place in (("c", 0), ("d", 0), ("e", 1)))
    shown = apply_rules([Rung.of("own", [0, 1])], 4, compile_rules(Rules(pins=pins), items, TODAY))
    assert [items.item_ids[code] for code in shown.codes] == ["c", "e", "d", "a"]


def test_a_cap_does_not_hold_for_items_without_a_value() -> None:
    items = Catalogue.of(list("abcdef"), {"product_brand": [None, "", "x", None, "x", float("nan")]})
    rules = compile_rules(Rules(caps=(Cap("product_brand", 1),)), items, TODAY)
    ladder = [Rung.of("own", [0, 1, 2, 3, 4, 5])]
    assert apply_rules(ladder, 6, rules).codes.tolist() == [0, 1, 2, 3, 5]
    last = [whole_catalogue(np.arange(6), rules)]
    assert apply_rules(last, 6, rules).codes.tolist() == [0, 1, 2, 3, 5]
    none = compile_rules(Rules(caps=(Cap("product_brand", 0),)), items, TODAY)
    for rungs in (ladder, last):
        assert apply_rules(rungs, 6, none).codes.tolist() == [0, 1, 3, 5]


def test_the_whole_catalogue_fills_a_list_in_its_order_with_boosts_and_only_what_is_allowed() -> None:
    size = 1_000
    items = Catalogue.of([f"i{code}" for code in range(size)], {"category": ["cream", "mask"] * (size // 2)})
    boost = Weight(Is("category", ("mask",)), 100.0, TODAY, TODAY, "ann")
    rules = compile_rules(Rules(only=Not(Is("category", ("cream",)))), items, TODAY)
    order = np.arange(size)[::-1]
    own = Rung.of("own", [0, 1, 3])
    shown = apply_rules([own, whole_catalogue(order, rules)], 5, rules, hidden=[999, 3, 10**9])
    assert shown.codes.tolist() == [1, 997, 995, 993, 991] and shown.rungs == ("own", *["catalogue"] * 4)
    boosted = compile_rules(Rules(weights=(boost,)), items, TODAY)
    # The score of every other item, 100 / (place + 2), stays above that of the best cream, 1/3, 149 times.
    first = apply_rules([whole_catalogue(order, boosted)], 152, boosted).codes.tolist()
    assert first[:149] == list(range(999, 701, -2)) and 998 in first[149:]
    # The long rung gives what sorting it on each request would give.
    caps = replace(boosted, caps=((np.arange(size) % 7 - 1, 5),))
    fast = apply_rules([whole_catalogue(order, caps)], 60, caps)
    slow = apply_rules([Rung.of("catalogue", order)], 60, caps)
    assert fast.codes.tolist() == slow.codes.tolist() and fast.scores == pytest.approx(slow.scores)


def test_a_boost_lifts_and_a_bury_lowers_inside_the_rung() -> None:
    ladder = [Rung.of("own", [0, 1, 2], [0.5, 0.4, 0.3])]
    boost = Rules(weights=(Weight(Is("product_brand", ("b",)), 3.0, TODAY, TODAY, "ann"),))
    bury = Rules(weights=(Weight(Is("category", ("cream",)), 0.1, TODAY, TODAY, "ann"),))
    assert apply_rules(ladder, 3, compile_rules(boost, small(), TODAY)).codes.tolist() == [2, 0, 1]
    assert apply_rules(ladder, 3, compile_rules(bury, small(), TODAY)).codes.tolist() == [1, 2, 0]


def test_a_just_bought_item_vanishes_and_comes_back_when_due() -> None:
    ladder, rules = [Rung.of("own", [0, 1])], compile_rules(Rules(), small(), TODAY)
    assert apply_rules(ladder, 2, rules, hidden=[0]).codes.tolist() == [1]
    assert apply_rules(ladder, 2, rules, hidden=[0], due_again=[0]).codes.tolist() == [0, 1]


@pytest.mark.parametrize("attribute", ["list_yuan", "price", "discount_yuan"])
def test_a_rule_on_money_is_refused(attribute: str) -> None:
    with pytest.raises(InputError, match="never by price"):
        compile_rules(Rules(only=Is(attribute, ("1",))), small(), TODAY)


@pytest.mark.parametrize(
    ("rules", "words"),
    [
        (Rules(only=Is("colour", ("red",))), "unknown attribute 'colour'; known: category, product_brand"),
        (Rules(pins=(Pin("q", 0, TODAY, TODAY, "ann"),)), "item 'q' is not in the catalogue"),
        (Rules(pins=(Pin("x", -1, TODAY, TODAY, "ann"),)), "expected 0"),
        (Rules(weights=(Weight(Is("category", ("mask",)), 0.0, TODAY, TODAY, "ann"),)), "above 0"),
        (Rules(caps=(Cap("category", -1),)), "expected 0 or more"),
    ],
)
def test_a_rule_that_cannot_be_carried_out_says_which_and_why(rules: Rules, words: str) -> None:
    with pytest.raises(InputError, match=words):
        compile_rules(rules, small(), TODAY)


def test_a_condition_of_unknown_form_is_refused() -> None:
    with pytest.raises(InputError, match="found"):
        condition_from({"near": ["category"]})


def test_what_goes_with_the_basket_joins_the_list_and_the_basket_itself_does_not() -> None:
    similar = np.array([[1, 2], [0, -1], [-1, -1], [-1, -1]], np.int32)
    together = np.array([[3, -1], [-1, -1], [-1, -1], [-1, -1]], np.int32)
    rung = fold_in([1, 0], [0.2, 0.1], [0], similar, together)
    assert 0 not in rung.codes
    assert set(rung.codes.tolist()) == {1, 2, 3}
    assert rung.codes[0] == 1
    assert fold_in([1, 0], [0.2, 0.1], [], similar, together).codes.tolist() == [1, 0]


def test_what_was_viewed_stays_and_gains_and_what_is_not_on_the_list_does_not_join_by_a_view() -> None:
    nothing = np.full((4, 1), -1, np.int32)
    assert fold_in([1, 2, 0], [0.3, 0.15, 0.1], [0, 3], nothing, nothing, stay=[0, 3]).codes.tolist() == [1, 0, 2]
    assert fold_in([1, 2, 0], [0.3, 0.2, 0.1], [0, 3], nothing, nothing).codes.tolist() == [1, 2]
