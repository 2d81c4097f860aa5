"""A release, the tables and the ledger in; out: the contact lists of a day, written to the ledger."""

import dataclasses
from dataclasses import dataclass
from datetime import date, datetime

import numpy as np
import pandas as pd

from features.errors import InputError
from features.progress import Progress, quiet
from features.tables import Tables
from huitou.config import Config
from huitou.learning import Learned, learned_effect, names_of
from huitou.stock import take_stock
from outreach.inputs import ListInputs
from outreach.ledger import Ledger
from outreach.list_rules import urged_frame, with_list_rules
from outreach.lists import ListPlan, plan_lists
from outreach.signals import member_signals
from serving.answers.shop_rules import NAME as ITEM_RULES
from serving.answers.shop_rules import compile_for
from serving.releases import Served
from training.release import SCORED, Release

# Items that a task shows; the page has room for three.
SHOWN_ITEMS = 3
# Places of a member's list that are looked at for them: what rules and stock take away, the next ones fill.
SPARE_ITEMS = 10
PREDICTION_COLUMNS = (
    *("churn_probability", "return_probability", "recency_days", "visits", "gap_shrunk_days", "spend_mean_yuan"),
)


@dataclass(frozen=True)
class ListsWritten:
    """What a list job did: the plan, what its order rests on, and what the ledger counted."""

    plan: ListPlan
    learned: Learned
    counts: dict[str, int]


def write_lists(
    config: Config,
    tables: Tables,
    release: Release,
    ledger: Ledger,
    day: date,
    *,
    now: datetime,
    only_guides: set[str] | None = None,
    progress: Progress = quiet,
) -> ListsWritten:
    """Make every guide's list of `day` (or `only_guides`') and save it; saving the same lists again changes nothing.

    The list rules that head office set in the ledger win over the configuration.

    Raises InputError where stores, guides or assignments are missing, or where the release knows more than `day` may.
    """
    as_of = date.fromisoformat(release.manifest["as_of"])
    if day < as_of:
        raise InputError(
            f"lists: the release {release.release_id} knows what happened before {as_of}, later than {day}; "
            "choose a later day, or roll back to an older release"
        )
    missing = [name for name in ("stores", "guides", "assignments") if tables.get(name) is None]
    if missing:
        raise InputError(f"lists: tables {missing} are missing in the input; contact lists need them")
    take_stock(tables, ledger, day)
    settings = dataclasses.replace(
        with_list_rules(config.contact, ledger.rules()), horizon_days=int(release.manifest["horizon_days"])
    )
    inputs = list_inputs(config.brand.id, tables, release, ledger, day, settings.window_days)
    seed, names = config.training.seed, names_of(inputs.predictions)
    learned = learned_effect(tables, ledger, day, settings, names, seed=seed, progress=progress)
    inputs = dataclasses.replace(inputs, policy_version=learned.policy)
    plan = plan_lists(inputs, day, settings, seed, effect=learned.effect, progress=progress)
    lists = [one for one in plan.lists if only_guides is None or one.guide_id in only_guides]
    counts = ledger.save_lists(day, lists, run_id=release.release_id, at=now)
    if only_guides is None:
        ledger.save_morning(day, plan.chances, plan.learning, keep_days=settings.learning_days)
    return ListsWritten(plan, learned, counts)


def list_inputs(
    brand_id: str, tables: Tables, release: Release, ledger: Ledger, day: date, window_days: int
) -> ListInputs:
    """The frames that the policy reads: the brand's tables, the release's predictions, and what the ledger adds."""
    members = tables["members"].to_pandas()
    columns = ["member_id", "sent_at", "channel", "outcome", "outcome_at", "content_type"]
    contacts = _both(tables, "contacts", columns, ledger.contacts(before=day))
    signals = member_signals(tables, contacts, members["member_id"], day)
    return ListInputs(
        brand_id=brand_id,
        members=members,
        assignments=tables["assignments"].to_pandas(),
        guides=guide_frame(tables, ledger, day),
        predictions=prediction_frame(release, window_days).merge(signals, on="member_id", how="left"),
        consents=_both(tables, "consents", ["member_id", "purpose", "state", "at"], ledger.consents()),
        contacts=contacts,
        opt_outs=ledger.opt_outs(),
        holdout=ledger.holdout(),
        suggestions=suggestion_frame(release, suggestible(release, ledger, day)),
        coupons=_both(tables, "coupons", ["member_id", "valid_to", "status"], None),
        urged=urged_frame(ledger.rules()),
    )


def guide_frame(tables: Tables, ledger: Ledger, day: date) -> pd.DataFrame:
    """The brand's guides; who the ledger knows on leave on `day` has status "leave", unless they have left."""
    guides: pd.DataFrame = tables["guides"].to_pandas()
    away = guides["guide_id"].isin(ledger.on_leave(day)) & (guides["status"] != "left")
    return guides.assign(status=guides["status"].mask(away, "leave"))


def prediction_frame(release: Release, window_days: int) -> pd.DataFrame:
    """The scored members of a release with the columns that the policy reads; buys_anyway is within `window_days`."""
    scored = np.flatnonzero(np.asarray(release.kind) == SCORED)
    labels = np.array([*release.manifest["labels"]["tier"], None], dtype=object)
    tier = labels[np.minimum(release.codes["tier"][scored], len(labels) - 1)]
    frame = pd.DataFrame({name: np.asarray(release.predictions[name][scored], float) for name in PREDICTION_COLUMNS})
    frame.insert(0, "member_id", _text(release.ids[scored]))
    return frame.assign(tier=tier, buys_anyway_probability=1.0 - release.survival_at(scored, float(window_days)))


def suggestible(release: Release, ledger: Ledger, day: date) -> np.ndarray:
    """bool [scored members, SPARE_ITEMS]: which places of their mixed lists a guide may suggest on a day.

    Left out is what the shop's rules filter, what is off the shelf, and what the member's store has none of.
    """
    scored = np.flatnonzero(np.asarray(release.kind) == SCORED)
    codes = np.asarray(release.items.slates["mixed"][scored, :SPARE_ITEMS])
    rules = compile_for(ledger.rules().get(ITEM_RULES) or {}, Served(release), day)
    able = (codes >= 0) & rules.allowed[np.maximum(codes, 0)]
    gone = ledger.all_sold_out()
    if release.people is None or not len(gone):
        return np.asarray(able)
    store_of = np.full(len(release.ids), -1, np.int64)
    stores = {store: number for number, store in enumerate(release.people.slices["store"])}
    for store, number in stores.items():
        store_of[release.people.of("store", store)] = number
    width, code_of = len(release.items.item_ids), release.items.code_of
    sold_out = [
        stores[store] * width + code_of[item]
        for store, item in zip(gone["store_id"], gone["item_id"], strict=True)
        if store in stores and item in code_of
    ]
    return np.asarray(able & ~np.isin(store_of[scored][:, None] * width + codes, sold_out))


def suggestion_frame(release: Release, able: np.ndarray) -> pd.DataFrame:
    """member_id, rank, item_id, title, why: the first places of the mixed list of every scored member that are `able`."""
    scored = np.flatnonzero(np.asarray(release.kind) == SCORED)
    first = np.argsort(~able, axis=1, kind="stable")[:, :SHOWN_ITEMS]

    def places(name: str) -> np.ndarray:
        return np.take_along_axis(np.asarray(getattr(release.items, name)["mixed"][scored, :SPARE_ITEMS]), first, 1)

    codes = np.where(np.take_along_axis(able, first, 1), places("slates"), -1)
    reasons = places("reasons")
    row, place = np.nonzero(codes >= 0)
    items = np.array([*release.items.item_ids, ""], dtype=object)
    titles = np.array([*(str(i.get("title") or i["item_id"]) for i in release.items.catalogue), ""], dtype=object)
    chosen, because = codes[row, place], places("because")[row, place]
    sentences = np.array([reason["zh"] for reason in release.manifest["item_reasons"]], dtype=object)
    why = pd.Series(sentences[reasons[row, place]])
    named = why.str.contains("{item}", regex=False)
    why[named] = [text.replace("{item}", item) for text, item in zip(why[named], titles[because[named]], strict=True)]
    # The mixed list says no day by which an item is used up; the list to buy again does.
    why = why.str.replace("，约{days}天后用完", "", regex=False)
    return pd.DataFrame(
        {
            "member_id": _text(release.ids[scored])[row],
            "rank": place + 1,
            "item_id": items[chosen],
            "title": titles[chosen],
            "why": why.to_numpy(),
        }
    )


def _text(ids: np.ndarray) -> np.ndarray:
    return np.char.decode(np.asarray(ids), "utf-8").astype(object)


def _both(tables: Tables, name: str, columns: list[str], ledger_rows: pd.DataFrame | None) -> pd.DataFrame:
    """Rows of a contract table and of the ledger under one another."""
    table = tables.get(name)
    frames = [pd.DataFrame({column: pd.Series(dtype=object) for column in columns})]
    if table is not None:
        frames.append(table.select(*columns).to_pandas())
    if ledger_rows is not None and len(ledger_rows):
        frames.append(ledger_rows)
    filled = [frame for frame in frames if len(frame)]
    return pd.concat(filled, ignore_index=True) if filled else frames[0]
