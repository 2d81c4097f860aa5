"""A brand small enough to know by heart: two stores, three guides, members whose every number is chosen by hand."""

import datetime as dt
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from features.vector_names import NAMES as COLUMN_NAMES
from training.release import NEVER_SCORED, SCORED, mapped, sign
from training.release_index import write_index
from training.release_people import write_people
from training.release_rows import write_rows

AS_OF = dt.date(2026, 3, 2)
NOW = dt.datetime(2026, 3, 2, 10, 0)
GUIDES = {"g1": "s1", "g2": "s1", "g3": "s2"}
STORES = {"s1": "南京西路店", "s2": "天河店"}
NAMES = {"g1": "林*", "g2": "周*", "g3": "何*", "boss": "陈*"}
TITLES = [
    "柔润洁面乳",
    "舒缓面霜",
    "轻盈防晒",
    "植物洗发水",
    "护手霜",
    "玫瑰身体乳",
    "修护精华",
    "保湿面膜",
    "眼部凝露",
    "卸妆油",
]
# member: guide, store, kind, days since, usual gap, visits, band, tier, stage
MEMBERS: dict[str, tuple[Any, ...]] = {
    "m01": ("g1", "s1", SCORED, 61.0, 32.0, 9.0, "high", "A", "沉默"),
    "m02": ("g1", "s1", SCORED, 30.0, 31.0, 12.0, "low", "A", "活跃"),
    "m03": ("g1", "s1", SCORED, 45.0, 40.0, 4.0, "medium", "B", "活跃"),
    "m04": ("g1", "s1", SCORED, 120.0, 60.0, 1.0, "high", "C", "新客"),
    "m05": ("g2", "s1", SCORED, 12.0, 20.0, 20.0, "low", "A", "活跃"),
    "m06": ("g2", "s1", SCORED, 75.0, 50.0, 3.0, "medium", "B", "沉默"),
    "m07": ("g3", "s2", SCORED, 90.0, 45.0, 5.0, "high", "B", "沉默"),
    "m08": ("g3", "s2", SCORED, 5.0, 15.0, 30.0, "low", "A", "活跃"),
    "minor": ("g1", "s1", NEVER_SCORED, np.nan, np.nan, np.nan, None, None, None),
}
N_ITEMS = len(TITLES)
# Told nothing by a model, so that its worth can be measured.
HELD_OUT = ("m06",)
# Contacted four days before the release, as the brand's own tables say.
LATELY = "m08"


def card_of(member: str) -> dict[str, Any]:
    """What the release says of a member beside predictions."""
    guide, store, _, days, *_ = MEMBERS[member]
    day = None if np.isnan(days) else (AS_OF - dt.timedelta(days=int(days))).isoformat()
    place = sorted(MEMBERS).index(member)
    item = {"item_id": f"i{place % N_ITEMS}", "title": TITLES[place % N_ITEMS], "qty": 1}
    visits = [{"day": day, "spend_yuan": 168.0, "items": [item]}] if day else []
    return {
        "store_id": store,
        "guide_id": guide,
        "is_friend": True,
        "level": "银卡",
        "birthday": "03-09",
        "registered_on": "2024-05-01",
        "display_name": f"王*{place}",
        "last_visits": visits,
        "categories": [{"name": "护肤", "purchases": 3}] if day else [],
        "last_contact": None,
    }


def write_small_release(
    root: Path,
    name: str = "r1",
    *,
    current: bool = True,
    drop: tuple[str, ...] = (),
    cold: tuple[int, ...] = (),
) -> Path:
    """Write a release of the small brand under `root`, and point `current` at it.

    drop: members left out; cold: codes of items that nobody ever bought.
    """
    folder = root / name
    for part in ("members/codes", "items", "models"):
        (folder / part).mkdir(parents=True)
    ids = [m for m in sorted(MEMBERS) if m not in drop]
    n = len(ids)
    column = {
        key: [MEMBERS[m][place] for m in ids]
        for place, key in enumerate(("guide", "store", "kind", "days", "gap", "visits"))
    }
    scored = np.array(column["kind"]) == SCORED

    def nulled(values: Any) -> Any:
        return np.where(scored, np.asarray(values, float), np.nan).astype(np.float32)

    np.save(folder / "members/ids.npy", np.array([m.encode() for m in ids]))
    np.save(folder / "members/kind.npy", np.array(column["kind"], np.uint8))
    grid = np.array([0, 30, 60, 90, 180], np.int32)
    rate = np.linspace(0.002, 0.02, n)
    np.save(folder / "members/grid.npy", grid)
    curves = np.exp(-np.outer(rate, grid)).astype(np.float32)
    np.save(folder / "members/curve.npy", curves)
    vectors = np.zeros((n, len(COLUMN_NAMES)), np.float32)
    visits, gaps = (np.asarray(column[key], np.float32) for key in ("visits", "gap"))
    vectors[:, list(COLUMN_NAMES).index("gap_mean_days")] = np.where(visits > 1, gaps, np.nan)
    np.save(folder / "members/vectors.npy", vectors)
    predictions = {
        "churn_probability": nulled(curves[:, 2]),
        "return_probability": nulled(1 - curves[:, -1]),
        "next_median_days": nulled(np.full(n, 20.0)),
        "next_low_days": nulled(np.full(n, 4.0)),
        "next_high_days": nulled(np.full(n, 50.0)),
        "expected_spend_yuan": nulled(np.linspace(300, 3000, n)),
        "expected_spend_low_yuan": nulled(np.linspace(100, 1000, n)),
        "expected_spend_high_yuan": nulled(np.linspace(900, 9000, n)),
        "expected_orders": nulled(np.linspace(1, 9, n)),
        "recency_days": nulled(column["days"]),
        "gap_shrunk_days": nulled(column["gap"]),
        "visits": nulled(column["visits"]),
    }
    for key, values in predictions.items():
        np.save(folder / f"members/{key}.npy", values)
    labels = {
        "churn_band": ["low", "medium", "high"],
        "tier": ["A", "B", "C"],
        "stage": ["新客", "活跃", "沉默"],
        "next_null_reason": [],
    }
    places = {"churn_band": 6, "tier": 7, "stage": 8}
    for key, known in labels.items():
        found = [
            known.index(MEMBERS[m][places[key]]) if key in places and MEMBERS[m][places[key]] in known else 255
            for m in ids
        ]
        np.save(folder / f"members/codes/{key}.npy", np.array(found, np.uint8))
    cards = [json.dumps(card_of(m), ensure_ascii=False).encode() for m in ids]
    np.save(
        folder / "members/cards_at.npy", np.concatenate([[0], np.cumsum([len(c) for c in cards])]).astype(np.int64)
    )
    (folder / "members/cards.bin").write_bytes(b"".join(cards))
    base = (np.arange(n)[:, None] + np.arange(6)[None, :]) % N_ITEMS
    for place, slate in enumerate(("again", "new", "mixed")):
        codes = ((base + place) % N_ITEMS).astype(np.int32)
        codes[~scored] = -1
        np.save(folder / f"items/{slate}.npy", codes)
        np.save(folder / f"items/{slate}_score.npy", np.linspace(0.9, 0.1, 6, dtype=np.float32)[None, :].repeat(n, 0))
        np.save(folder / f"items/{slate}_reason.npy", np.zeros((n, 6), np.uint8))
        np.save(folder / f"items/{slate}_because.npy", np.full((n, 6), 5, np.int32))
    np.save(folder / "items/rung.npy", np.zeros(n, np.uint8))
    np.save(folder / "items/due_days.npy", np.full((n, 6), 7, np.int16))
    near = ((np.arange(N_ITEMS)[:, None] + np.arange(1, 5)[None, :]) % N_ITEMS).astype(np.int32)
    np.save(folder / "items/similar.npy", near)
    np.save(folder / "items/together.npy", near[:, ::-1])
    # Each member ever bought what the list to buy again shows; i3 lasts 20 days, the rest has no cycle.
    own = [np.sort(base[place]) if scored[place] else [] for place in range(n)]
    np.save(folder / "items/own_at.npy", np.cumsum([0, *map(len, own)]).astype(np.int64))
    np.save(folder / "items/own.npy", np.concatenate(own).astype(np.int32))
    np.save(folder / "items/sold.npy", np.where(np.isin(np.arange(N_ITEMS), cold), 0, 3).astype(np.int32))
    np.save(folder / "items/sellable.npy", np.ones(N_ITEMS, np.uint8))
    np.save(folder / "items/cycle_days.npy", np.where(np.arange(N_ITEMS) == 3, 20, np.nan).astype(np.float32))
    frame = pd.DataFrame({"guide_id": column["guide"], "store_id": column["store"], "is_friend": True})
    contacted = [(AS_OF - dt.timedelta(days=4) - dt.date(1970, 1, 1)).days if m == LATELY else -1 for m in ids]
    write_people(folder, frame.assign(held_out=[m in HELD_OUT for m in ids], contacted_day=contacted))
    catalogue = [
        {"item_id": f"i{code}", "title": title, "category_l1": "护肤", "brand": None, "status": "on"}
        for code, title in enumerate(TITLES)
    ]
    _dump(folder / "items/catalogue.json", catalogue)
    _dump(folder / "items/popular.json", {"": list(range(N_ITEMS)), "s1": [3, 2, 1, 0], "s2": [9, 8, 7]})
    _dump(folder / "aliases.json", {})
    _dump(folder / "aliases.json", {"old-card": "m01"})
    _dump(folder / "stores.json", [{"store_id": store, "name": title} for store, title in STORES.items()])
    guides = [
        {"guide_id": g, "store_id": s, "name": NAMES[g], "role": "guide", "status": "active"}
        for g, s in GUIDES.items()
    ]
    _dump(folder / "guides.json", guides)
    model = {"name": "hazard", "version": "3", "run_id": "x", "source": "model", "reason": None}
    simple = {
        "name": "popularity",
        "version": "1",
        "run_id": "y",
        "source": "fallback",
        "reason": "not better than popularity",
    }
    manifest = {
        "release_id": name,
        "brand_id": "brand",
        "created_at": "2026-03-02T03:00:00+08:00",
        "as_of": AS_OF.isoformat(),
        "horizon_days": 60,
        "max_days": 180,
        "members": n,
        "columns": list(COLUMN_NAMES),
        "predictions": sorted(predictions),
        "labels": labels,
        "item_reasons": [
            {"code": "because_bought", "zh": "因为买过{item}", "en": "Because of {item}"},
            {"code": "due", "zh": "到期复购，约{days}天后用完", "en": "Due again in about {days} days"},
        ],
        "item_rungs": ["own", "store", "brand"],
        "models": {"churn": model, "value": model, "items": simple},
        "readiness": {"churn": {"have": {"members": n}, "need": {"members": 1000}, "fallback": None}},
        "model_version": f"churn:3+items:1@{name}",
    }
    made = mapped(folder, manifest)
    write_index(folder, made.ids)
    write_rows(made)
    sign(folder, manifest)
    if current:
        point_at(root, name)
    return folder


def point_at(root: Path, name: str) -> None:
    """Move `current` in one rename."""
    link = root / ".next"
    link.unlink(missing_ok=True)
    link.symlink_to(name)
    link.replace(root / "current")


def small_lists() -> list[dict[str, Any]]:
    """Today's lists: g1 has m01–m04, g2 m05 and m06, g3 m07."""
    lists = []
    for guide, store in GUIDES.items():
        members = [m for m in sorted(MEMBERS) if MEMBERS[m][0] == guide and m not in ("minor", "m08")]
        lists.append(
            {
                "list_id": f"L-{guide}",
                "guide_id": guide,
                "store_id": store,
                "date": AS_OF,
                "seed": 7,
                "policy_version": "cold",
                "capacity": 10,
                "eligible": 12,
                "excluded": {"gap": 5, "holdout": 2},
                "fallback": "cold",
                "digest": f"d-{guide}",
                "tasks": [small_task(guide, member, rank) for rank, member in enumerate(members, 1)],
            }
        )
    return lists


def small_task(guide: str, member: str, rank: int) -> dict[str, Any]:
    """A task as the contact policy makes it."""
    days, gap = int(MEMBERS[member][3]), int(MEMBERS[member][4])
    return {
        "task_id": f"T-{guide}-{member}",
        "rank": rank,
        "member_id": member,
        "kind": "churn_risk",
        "score_yuan": 20.0 - rank,
        "components": {"gain": 9.0, "keep": 12.0, "unfollow": -0.5, "cost": -2.0},
        "propensity": 0.5,
        "forced": False,
        "reason_code": "RISK",
        "evidence": {"days": days, "cycle": gap},
        "text_zh": f"购买间隔变长：{days}天没来，平时约{gap}天来一次。先了解是否有不满意，再推荐「舒缓面霜」。",
        "text_en": f"The gap is growing: {days} days against a usual {gap}. Ask whether something went wrong.",
        "draft_zh": "您好，好久没见，之前买的还满意吗？",
        "draft_en": "Hello, it has been a while. Were you happy with what you bought?",
        "suggestions": [
            {"item_id": "i1", "title": "舒缓面霜", "why": "到期复购"},
            {"item_id": "i2", "title": "轻盈防晒", "why": "因为买过修护精华"},
        ],
        "allowed_channels": ["wecom_1v1", "call_human"],
        "last_contact": None,
        "contacts_30d": 0,
        "expires_at": dt.datetime.combine(AS_OF, dt.time(21)),
    }


def _dump(path: Path, content: Any) -> None:
    path.write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")
