"""Random catalogues, rules and histories through the finished service: no list ever breaks a rule, cold cases included.

Every check is made from the raw facts of the example, by other means than the code under test.
"""

import datetime as dt
import shutil
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from house import SHARED, House, open_house
from small_brand import AS_OF, NOW

from serving.gate import Pace
from serving.releases import Served
from serving.settings import ServingSettings
from training.recommend.reasons import REASONS
from training.release import COLD, NEVER_SCORED, SCORED, ItemArrays, Release

BRANDS, KINDS, WIDTH = ("a", "b", None), ("cream", "mask"), 6
MONEY = ("price", "yuan", "discount", "coupon", "amount")
ITEM_KEYS = {"item_id", "title", "category", "rank", "rung", "reason", "due_days", "score"}
SHARE = 0.5
# Random shops asked about, six lists each.
SHOPS = 60


@dataclass
class Shop:
    """An example: a release, rules, stock and what members did since, all known by heart."""

    number: int
    served: Served
    catalogue: list[dict[str, Any]]
    owned: dict[str, set[int]]
    kind: dict[str, int]
    rules: dict[str, Any]
    sold_out: set[int]
    cycles: np.ndarray
    happened: dict[str, list[tuple[str, int, int]]] = field(default_factory=dict)  # kind, item, days ago


def shop_of(number: int) -> Shop:
    r = np.random.default_rng(number)
    size = int(r.integers(1, 26))
    catalogue = [
        {
            "item_id": f"i{code}",
            "title": f"货{code}",
            "category_l1": str(r.choice(KINDS)),
            "category_l2": None,
            "product_brand": BRANDS[r.integers(3)],
            "status": "off" if r.random() < 0.15 else "on",
        }
        for code in range(size)
    ]
    members = sorted(f"x{number}-{k}" for k in range(4))
    kinds = np.array([SCORED, SCORED, COLD, NEVER_SCORED], np.uint8)
    owned = [
        r.choice(size, int(r.integers(0, size + 1)), replace=False) if kinds[k] == SCORED else [] for k in range(4)
    ]
    slates = {name: np.full((4, WIDTH), -1, np.int32) for name in ("again", "new", "mixed")}
    popular = {
        "": r.permutation(size).tolist(),
        f"s{number}": r.permutation(size)[: int(r.integers(0, size + 1))].tolist(),
    }
    if not popular[f"s{number}"]:
        del popular[f"s{number}"]
    more = np.random.default_rng([number, 7])
    for row in catalogue:
        days = int(more.integers(-2, 3))
        row["off_shelf_date"] = (NOW.date() + dt.timedelta(days=days)).isoformat() if more.random() < 0.3 else None
    # In half of the shops the popular lists end long before the catalogue does.
    if more.random() < 0.5:
        popular = {place: codes[: max(size // 4, 1)] for place, codes in popular.items()}
    for k in range(4):
        rest = np.setdiff1d(r.permutation(size), owned[k], assume_unique=True)
        lists = {"again": owned[k], "new": r.permutation(rest), "mixed": r.permutation(size)}
        if kinds[k] == COLD:
            lists = {"again": [], "new": popular[""], "mixed": popular[""]}
        elif kinds[k] == NEVER_SCORED:
            lists = {"again": [], "new": [], "mixed": []}
        for name, codes in lists.items():
            codes = codes[: int(r.integers(0, WIDTH + 1))]
            slates[name][k, : len(codes)] = codes

    def near() -> np.ndarray:
        table = np.full((size, 4), -1, np.int32)
        for code in range(size):
            others = r.permutation(np.delete(np.arange(size), code))[:4]
            table[code, : len(others)] = others
        return table

    sold = r.integers(0, 3, size).astype(np.int32)
    cycles = np.where(r.random(size) < 0.4, r.uniform(2, 40, size), np.nan).astype(np.float32)
    items = ItemArrays(
        item_ids=tuple(row["item_id"] for row in catalogue),
        catalogue=tuple(catalogue),
        slates=slates,
        scores={name: np.linspace(0.9, 0.1, WIDTH, dtype=np.float32)[None].repeat(4, 0) for name in slates},
        reasons={name: np.full((4, WIDTH), 5, np.uint8) for name in slates},
        because={name: np.full((4, WIDTH), -1, np.int32) for name in slates},
        rung=np.array([0, 0, 3, 0], np.uint8),
        due_days=np.full((4, WIDTH), -1, np.int16),
        similar=near(),
        together=near(),
        popular={store: tuple(codes) for store, codes in popular.items()},
        sold=sold,
        sellable=(r.random(size) < 0.9).astype(np.uint8),
        cycle_days=cycles,
        own_at=np.cumsum([0, *map(len, owned)]).astype(np.int64),
        own=np.concatenate([*owned, []]).astype(np.int32),
    )
    models = {"items": {"name": "ranker", "version": str(number), "source": "model", "reason": None}}
    manifest = {"release_id": f"r{number}", "as_of": AS_OF.isoformat(), "models": models, "labels": {}}
    manifest |= {"item_reasons": [dict(one) for one in REASONS], "item_rungs": ["own", "store", "level", "brand"]}
    nothing = np.zeros(0)
    release = Release(
        Path(), manifest, np.array(members, "S"), kinds, {}, {}, nothing, nothing, nothing, nothing, nothing, items
    )
    release.__dict__["aliases"] = {}  # nobody's cards were merged; there is no folder to read it from
    # What is refused or unknown in a rule has tests of its own; these are any rules that can be set.
    rules: dict[str, Any] = {}
    if r.random() < 0.5:
        rules["only"] = {"not": {"is": ["product_brand", str(r.choice(["a", "b"]))]}}
    if r.random() < 0.5:
        rules["pins"] = [
            {"item_id": f"i{r.integers(size)}", "place": int(r.integers(3))} for _ in range(int(r.integers(1, 4)))
        ]
    if r.random() < 0.5:
        rules["weights"] = [{"condition": {"is": ["category_l1", "mask"]}, "factor": float(r.uniform(0.2, 5))}]
    if r.random() < 0.6:
        rules["caps"] = [
            {"attribute": str(r.choice(["product_brand", "category_l1"])), "most": int(r.integers(0, 4))}
        ]
    own = {member: set(map(int, owned[k])) for k, member in enumerate(members)}
    kind = {member: int(kinds[k]) for k, member in enumerate(members)}
    gone = {code for code in range(size) if r.random() < 0.15}
    shop = Shop(number, Served(release), catalogue, own, kind, rules, gone, cycles)
    for member in [*members, f"y{number}"]:
        shop.happened[member] = [
            (str(r.choice(["order", "return", "view"])), int(r.integers(size)), int(r.integers(0, 45)))
            for _ in range(int(r.integers(0, 5)))
        ]
    return shop


def hidden_by_hand(shop: Shop, member: str) -> set[int]:
    """Just bought and not due again, or brought back: by the newest of these events of each item."""
    hidden = set()
    for code in range(len(shop.catalogue)):
        days = {
            kind: [d for k, c, d in shop.happened[member] if c == code and k == kind] for kind in ("order", "return")
        }
        bought, back = (min(days[kind], default=10**6) for kind in ("order", "return"))
        if back < bought:
            hidden.add(code)
        elif bought < 10**6 and bought != back:
            cycle = float(shop.cycles[code])
            if np.isnan(cycle):
                if bought < 30:
                    hidden.add(code)
            elif bought < max(cycle - 7, 0.75 * cycle):
                hidden.add(code)
    return hidden


def allowed_by_hand(shop: Shop, code: int) -> bool:
    row, sellable = shop.catalogue[code], shop.served.release.items.sellable
    assert sellable is not None
    if row["status"] == "off" or code in shop.sold_out or sellable[code] != 1:
        return False
    if row["off_shelf_date"] is not None and dt.date.fromisoformat(row["off_shelf_date"]) < NOW.date():
        return False
    banned = shop.rules.get("only", {}).get("not", {}).get("is", [None, None])[1]
    return banned is None or row["product_brand"] != banned


def caps_by_hand(shop: Shop, codes: list[int]) -> bool:
    for cap in shop.rules.get("caps", ()):
        values = [shop.catalogue[code][cap["attribute"]] for code in codes]
        if any(count > cap["most"] for count in Counter(value for value in values if value).values()):
            return False
    return True


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory, small_releases: Path, migrated_file: Path) -> Iterator[House]:
    home = tmp_path_factory.mktemp("final")
    shutil.copytree(small_releases, home / "releases", symlinks=True)
    shutil.copy(migrated_file, home / "ledger.db")
    limits = ServingSettings(requests_per_minute=10**9, explore_share=SHARE)
    house = open_house(home, f"sqlite:///{home / 'ledger.db'}", "brand", limits)
    yield house
    house.runtime.journal.close()
    house.ledger.close()


def test_no_list_breaks_a_rule_and_every_list_is_logged_as_shown(
    service: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Requests are numbered instead of named by chance, so the draws for new items are the same in every run.
    numbers = count()
    monkeypatch.setattr("serving.gate.secrets.token_hex", lambda size: f"{next(numbers):0{2 * size}x}")
    seen: Counter[str] = Counter()
    for seed in range(SHOPS):
        check(service, seed, seen)
    assert all(
        seen[rung] >= SHOPS // 10 for rung in ("own", "context", "store", "brand", "catalogue", "pin", "explore")
    ), seen


def check(service: House, seed: int, seen: Counter[str]) -> None:
    """Ask the service about one random shop."""
    shop = shop_of(seed)
    SHARED.app_for(service.runtime).pace = Pace(clock=lambda: 0.0)
    store = f"s{shop.number}"
    service.runtime.releases._served = shop.served
    put = service.ask("operator", "PUT", "/v1/rules", json={"rules": {"recommendations": shop.rules}})
    assert put.status_code == 200, put.text
    events: list[dict[str, Any]] = [
        {"kind": "stock", "store_id": store, "item_id": f"i{code}", "qty": 0, "at": NOW.isoformat()}
        for code in shop.sold_out
    ]
    for member, rows in shop.happened.items():
        for kind, code, days in rows:
            at = (NOW - dt.timedelta(days=days)).isoformat()
            events.append({"kind": kind, "member_id": member, "item_id": f"i{code}", "at": at})
    if events:
        body = [one | {"event_id": f"e{shop.number}-{place}"} for place, one in enumerate(events)]
        assert service.ask("app", "POST", "/v1/events", json={"events": body}).status_code == 200
    r = np.random.default_rng([seed, 1])
    popular: list[str] | None = None
    facts: dict[str, Any] = {}
    for member in [*shop.kind, f"y{shop.number}", None]:
        n = int(r.integers(1, 9))
        size = len(shop.catalogue)
        basket = r.integers(0, size + 1, int(r.integers(0, 3))).tolist()
        slate = str(r.choice(["again", "new", "mixed"]))
        personalised = bool(r.random() < 0.75)
        question: dict[str, Any] = {
            "basket": [f"i{code}" for code in basket],
            "item_id": "i0" if r.random() < 0.2 else None,
            "list": slate,
            "n": n,
            "store_id": store,
            "personalised": personalised,
            "member_id": member,
        }
        said = service.ask("app", "POST", "/v1/recommendations", json=question)
        assert said.status_code == 200, said.text
        answer = said.json()
        codes = [int(item["item_id"][1:]) for item in answer["items"]]
        rungs = [item["rung"] for item in answer["items"]]
        seen.update(rungs)
        impersonal = not personalised or shop.kind.get(str(member)) == NEVER_SCORED
        # Length, duplicates, ranks, names.
        assert len(codes) + answer["short"] == n and len(set(codes)) == len(codes)
        assert [item["rank"] for item in answer["items"]] == list(range(1, len(codes) + 1))
        assert (answer["why_short"] is None) == (answer["short"] == 0)
        # Filters, shelf, stock, caps; what was just bought or brought back; the basket itself.
        assert all(allowed_by_hand(shop, code) for code in codes) and caps_by_hand(shop, codes)
        away: set[int] = set()
        if not impersonal:
            away = {code for code in basket if code < size} | ({0} if question["item_id"] else set())
            if member is not None:
                away |= hidden_by_hand(shop, member)
        assert not away & set(codes), (away, codes)
        # Order: a later rung never stands before an earlier one.
        steps = {"own": 0, "context": 0, "level": 0, "store": 1, "brand": 2, "catalogue": 3}
        if answer["personalised"] and shop.kind.get(str(member)) == COLD:
            steps["brand"] = 0  # the night filled this member's own list with the brand's
            order = [0 if rung == "brand" else steps[rung] for rung in rungs if rung not in ("pin", "explore")]
        else:
            order = [steps[rung] for rung in rungs if rung not in ("pin", "explore")]
            assert order == sorted(order), rungs
        free = [code for code, rung in zip(codes, rungs, strict=True) if rung not in ("pin", "explore")]
        own = shop.owned.get(str(member), set())
        if answer["personalised"] and slate == "new":
            assert not own & set(free) and not any(bought(shop, member, code) for code in free)
        if answer["personalised"] and slate == "again":
            assert set(free) <= own
        elif answer["short"]:
            # Never under-filled while anything allowed is left that the caps let in.
            for code in range(size):
                if code in codes or code in away or not allowed_by_hand(shop, code):
                    continue
                if slate == "new" and answer["personalised"] and (code in own or bought(shop, member, code)):
                    continue
                assert not caps_by_hand(shop, [*codes, code]), (code, codes)
        # One item is one item to everybody, and nothing about money is said.
        for item in answer["items"]:
            assert set(item) == ITEM_KEYS and not any(word in name for name in item for word in MONEY)
            assert facts.setdefault(item["item_id"], (item["title"], item["category"])) == (
                item["title"],
                item["category"],
            )
        # Who is not personalised gets the same list as everybody.
        if impersonal:
            full = service.ask(
                "app", "POST", "/v1/recommendations", json={"store_id": store, "personalised": False, "n": 12}
            )
            if popular is None:
                popular = [item["item_id"] for item in full.json()["items"]]
            assert [item["item_id"] for item in full.json()["items"]] == popular
            if not shop.rules.get("pins") and not shop.rules.get("caps"):
                assert [f"i{code}" for code in codes] == popular[:n]
            assert "explore" not in rungs
        # The log says what was shown, in order, with chances that can be true.
        service.runtime.journal.flush()
        log = service.ledger.exposures(NOW.date() + dt.timedelta(days=1))
        row = log[log["request_id"] == answer["request_id"]].iloc[0]
        assert row["items"] == [f"i{code}" for code in codes] and row["rungs"] == rungs
        chances = row["propensities"]
        drawn = [chance for chance in chances if chance < 1]
        assert len(chances) == len(codes) and len(drawn) <= 1 and all(0 < chance <= 1 for chance in chances)
        if "explore" in rungs:
            code = codes[rungs.index("explore")]
            assert shop.served.release.items.sold is not None and shop.served.release.items.sold[code] == 0
            k = SHARE / drawn[0]
            assert drawn and k == pytest.approx(round(k)) and 1 <= round(k) <= size
        elif drawn:
            assert drawn == [pytest.approx(1 - SHARE)]


def bought(shop: Shop, member: str | None, code: int) -> bool:
    return any(k in ("order", "return") and c == code for k, c, _ in shop.happened.get(str(member), ()))
