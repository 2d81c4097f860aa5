"""The shapes of the HTTP interface. A field that a release cannot fill is null, and where it matters a reason stands beside."""

import datetime as dt
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, WithJsonSchema

Id = Annotated[str, StringConstraints(min_length=1, max_length=160, pattern=r"^[^\x00-\x1f/]+$")]
# What answers say of time: the brand's own clock, without a zone.
LocalTime = Annotated[
    dt.datetime, WithJsonSchema({"type": "string", "description": "brand-local time, YYYY-MM-DDTHH:MM:SS"})
]
Outcome = Literal[
    "sent",
    "replied",
    "appointment",
    "visited",
    "ordered",
    "no_answer",
    "snoozed",
    "not_suitable",
    "refused",
    "do_not_contact",
    "wrong_person",
    "unfriended",
    "complaint",
    "skipped",
]
Channel = Literal["wecom_1v1", "call_human", "sms", "store_visit"]
Slate = Literal["again", "new", "mixed"]


class Asked(BaseModel):
    """A body that a caller sends: unknown fields are refused."""

    model_config = ConfigDict(extra="forbid")


class ErrorSaid(BaseModel):
    code: str
    message: str
    detail: Any = None


class ErrorAnswer(BaseModel):
    """Every error, on every endpoint."""

    error: ErrorSaid


class Words(BaseModel):
    """A sentence in both languages."""

    zh: str
    en: str


class Versioned(BaseModel):
    """What every answer from a model says about itself."""

    model_version: str
    as_of: dt.date
    source: str = Field(description="model or fallback")
    fallback_reason: str | None = None


class ListMade(Versioned):
    """What an answer about items says: `source` is model only where the ranker made this list for this member."""

    method: str | None = Field(
        default=None,
        description="what made the list: ranker, a plain recommender (popularity, own_counts, decayed_counts, cosine, "
        "als, bm25, tifu_knn), or popular (what sells in the store, at the level, in the brand); null where a release "
        "of an older version does not say",
    )


class Suggestion(BaseModel):
    item_id: str
    title: str | None = None
    why: str | Words | None = None


class Task(BaseModel):
    """One member to contact today. score_yuan, propensity and components are null for a guide and a manager."""

    task_id: str
    list_id: str
    guide_id: str
    store_id: str | None
    member_id: str
    display_name: str | None
    date: dt.date
    rank: int
    task_type: str | None
    reason_code: str | None
    reason: Words | None
    draft: Words | None
    evidence: dict[str, float | int | str | None]
    suggestions: list[Suggestion]
    channels: list[str]
    tier: str | None
    stage: str | None
    churn_band: str | None
    last_purchase: str | None = Field(description="day of the last purchase")
    last_contact: str | None
    contacts_30d: int | None
    expires_at: str | None
    state: str
    state_at: LocalTime | None
    outcome_event_id: str | None = Field(default=None, description="the newest outcome, for an undo")
    score_yuan: float | None = None
    propensity: float | None = None
    components: dict[str, float] | None = None


class Removed(BaseModel):
    reason: str
    count: int


class Progress(BaseModel):
    done: int
    total: int


class ContactListAnswer(BaseModel):
    list_id: str
    guide_id: str
    store_id: str | None
    date: dt.date
    version: int
    generated_at: LocalTime
    policy_version: str | None
    model_versions: dict[str, Any] | None
    capacity: int | None
    eligible: int | None
    excluded: dict[str, int] = Field(description="members left out when the list was made, by reason")
    removed: list[Removed] = Field(description="tasks taken off since, by reason; the others keep their places")
    fallback: str | None
    progress: Progress
    items: list[Task]


class TaskAnswer(BaseModel):
    task: Task
    outcomes: list[dict[str, Any]]
    removed: str | None = Field(description="why the task is off the list by now")


class OutcomePost(Asked):
    event_id: Id = Field(description="made by the client, once per tap; sending it again is safe")
    task_id: Id
    outcome: Outcome
    at: dt.datetime
    channel: Channel | None = None
    note: Annotated[str, StringConstraints(max_length=500)] | None = None


class OutcomeBatch(Asked):
    outcomes: Annotated[list[OutcomePost], Field(min_length=1, max_length=500)]


class OutcomeNoted(BaseModel):
    event_id: str
    status: int = Field(description="201 noted, 200 known already, 404 no such task, 409 same id with another body")
    task_id: str | None
    state: str | None
    error: ErrorSaid | None = None


class OutcomeAnswer(BaseModel):
    results: list[OutcomeNoted]


class RegeneratePost(Asked):
    date: dt.date
    guides: list[Id] | None = Field(default=None, max_length=5000)
    store: Id | None = None
    reason: Annotated[str, StringConstraints(min_length=1, max_length=200)]
    idempotency_key: Id
    seed: Annotated[int, Field(ge=0, le=2**53)] | None = None


class JobAnswer(BaseModel):
    job_id: str
    kind: str
    state: Literal["waiting", "running", "done", "failed"]
    request: dict[str, Any]
    result: dict[str, Any] | None
    created_at: LocalTime
    started_at: LocalTime | None
    finished_at: LocalTime | None
    attempts: int


class GuideRow(BaseModel):
    guide_id: str
    name: str | None
    role: str | None
    status: str | None
    on_leave: bool
    capacity: int | None
    tasks: int
    done: int


class StoreGuides(BaseModel):
    store_id: str
    name: str | None
    date: dt.date | None
    guides: list[GuideRow]


class ReassignPost(Asked):
    task_ids: Annotated[list[Id], Field(min_length=1, max_length=500)]
    guide_id: Id


class ReassignAnswer(BaseModel):
    moved: int
    guide_id: str


class LeavePut(Asked):
    since: dt.date
    until: dt.date | None = None


class LeaveAnswer(BaseModel):
    guide_id: str
    on_leave: bool
    waiting_tasks: list[str] = Field(description="un-started tasks of that day, to be handed over")


class Bought(BaseModel):
    item_id: str
    title: str | None = None
    qty: float | None = None


class VisitSeen(BaseModel):
    day: str
    spend_yuan: float | None = None
    items: list[Bought] = []


class Liked(BaseModel):
    name: str
    purchases: int


class Window(BaseModel):
    """When the member is expected back, given that they come back at all."""

    low: dt.date | None
    median: dt.date | None
    high: dt.date | None
    null_reason: str | None = Field(
        description="why there are no dates: return_unlikely (within the release's longest horizon), not_enough_data, "
        "window_passed (all dates lie before today)"
    )
    sentence: Words


class ReasonSaid(Words):
    code: str


class MemberAnswer(Versioned):
    """The member's card. Probabilities and expected spend are null for a guide and a manager."""

    member_id: str
    display_name: str | None
    level: str | None
    store_id: str | None
    guide_id: str | None
    is_friend: bool | None
    birthday: str | None
    registered_on: str | None
    tier: str | None
    stage: str | None
    stage_words: Words | None
    churn_band: str | None
    churn_words: Words
    window: Window
    preference: list[Liked]
    reasons: list[ReasonSaid]
    last_visits: list[VisitSeen]
    last_contact: dict[str, Any] | None
    timeline: list[dict[str, Any]]
    channels: list[str]
    blocks: list[str] = Field(description="what keeps the member off lists")
    consents: dict[str, bool]
    personalised: bool
    churn_probability: float | None = None
    return_probability: float | None = None
    expected_spend_yuan: float | None = None
    expected_spend_low_yuan: float | None = None
    expected_spend_high_yuan: float | None = None


class WhyAnswer(Versioned):
    member_id: str
    reasons: list[ReasonSaid] = Field(description="at most three, the most telling first")
    numbers: dict[str, float | None] = Field(
        description="what the sentences use: days_since, own_gap_days (null before the second visit), usual_gap_days "
        "(of members like this), visits"
    )


class ItemSaid(BaseModel):
    item_id: str
    title: str | None
    category: str | None
    rank: int
    rung: str | None = Field(
        default=None,
        description="what filled this place: own, context (basket, item looked at, latest events), store, level, brand, "
        "catalogue (anything else on sale), explore, pin; on lists beside an item similar or together",
    )
    reason: ReasonSaid | None = None
    due_days: int | None = Field(
        default=None, description="days until the item is due again, from today; 0 due or over"
    )
    score: float | None = Field(
        default=None,
        description="calibrated probability of purchase in the next basket within the horizon; null where the list was "
        "made by a plain recommender or a ladder, and for a guide, a manager and the mini-program",
    )


WHY_SHORT_SAID = (
    "why places stay empty: rules_and_stock_leave_too_few (what rules, shelf, stock, purchases and the basket leave), or "
    "too_few_known: the release has fewer than n items for this list"
)


class RecommendationAnswer(ListMade):
    request_id: str
    member_id: str | None
    slate: Slate
    personalised: bool
    store_id: str | None = Field(
        description="whose stock was obeyed: the store asked for, else the caller's, else the member's own; null: none's"
    )
    items: list[ItemSaid]
    short: int = Field(default=0, description="places of n that stay empty")
    why_short: str | None = Field(default=None, description=WHY_SHORT_SAID)

    context: list[str] = Field(default=[], description="items of the question that were used")
    unknown_items: list[str] = Field(default=[], description="items of the question that the release does not know")


class RecommendationPost(Asked):
    """A question with its context. Without a member, or for one that nobody knows, the basket and the item speak."""

    member_id: Id | None = None
    basket: Annotated[list[Id], Field(max_length=50, description="what is in the basket now, newest first")] = []
    item_id: Id | None = Field(default=None, description="the item being looked at")
    slate: Slate = Field(default="mixed", alias="list", description="buy again, new for the member, or both")
    n: Annotated[int, Field(ge=1, le=50)] = 10
    store_id: Id | None = Field(
        default=None,
        description="leaves out what this store has none of; by default the caller's store, else the member's own",
    )
    personalised: bool = Field(default=True, description="false gives the list that is equal for all")


class MembersPost(BaseModel):
    """Up to 1,000 members; BentoML's typed calls let unknown fields pass."""

    member_ids: Annotated[list[str], Field(min_length=1, max_length=1000, description="up to 1,000 member ids")]


class ChurnPost(MembersPost):
    horizon_days: Annotated[int | None, Field(ge=1, le=730)] = None
    computed: Annotated[bool, Field(description="ask the model again instead of reading the release")] = False


class RecommendPost(MembersPost):
    slate: Annotated[str, Field(pattern="^(again|new|mixed)$")] = "mixed"
    n: Annotated[int, Field(ge=1, le=50)] = 10
    store_id: str | None = None
    personalised: bool = True


class RowError(BaseModel):
    code: str = Field(description="not_found, no_purchase (registered only) or not_scored (left out of scoring)")
    message: str


class MemberRow(BaseModel):
    """One member's row, in the order asked; a row with an error has no other fields."""

    member_id: str
    error: RowError | None = None


class ChurnRow(MemberRow):
    churn_probability: float | None = Field(default=None, description="P(no purchase within horizon_days)")
    horizon_days: int | None = None


class NextPurchaseRow(MemberRow):
    return_probability: float | None = None
    low: dt.date | None = None
    median: dt.date | None = None
    high: dt.date | None = None
    null_reason: str | None = Field(
        default=None, description="why there is no window: return_unlikely, not_enough_data or window_passed"
    )


class ValueRow(MemberRow):
    expected_spend_yuan: float | None = Field(default=None, description="net, within horizon_days")
    expected_spend_low_yuan: float | None = None
    expected_spend_high_yuan: float | None = None
    expected_orders: float | None = Field(default=None, description="within horizon_days")
    tier: str | None = Field(default=None, description="A, B or C by expected spend")
    horizon_days: int | None = Field(default=None, description="the brand's horizon, in which the spend is expected")


class RecommendRow(MemberRow):
    personalised: bool
    source: str
    fallback_reason: str | None
    method: str | None
    store_id: str | None = Field(description="whose stock was obeyed")
    items: list[ItemSaid]
    short: int
    why_short: str | None = Field(description=WHY_SHORT_SAID)


class BulkAnswer(Versioned):
    answered: int = Field(description="rows without an error")


class ChurnAnswer(BulkAnswer):
    results: list[ChurnRow]


class NextPurchaseAnswer(BulkAnswer):
    results: list[NextPurchaseRow]


class ValueAnswer(BulkAnswer):
    results: list[ValueRow]


class RecommendAnswer(BulkAnswer, ListMade):
    """`source` and `method` above the rows are those of the list for most members; each row has its own."""

    results: list[RecommendRow]


class ItemsAnswer(Versioned):
    item_id: str
    store_id: str | None = None
    items: list[ItemSaid]
    short: int = Field(default=0, description="places of n that stay empty")
    why_short: str | None = Field(
        default=None,
        description="rules_and_stock_leave_too_few, or too_few_known: nothing more is known beside the item",
    )


class MemberToTell(BaseModel):
    """A member whom the item may interest. score is null for a guide and a manager."""

    member_id: str
    rank: int
    display_name: str | None
    guide_id: str | None
    reason: ReasonSaid
    due_days: int | None = Field(
        default=None, description="days until the item is due again, from today; 0 due or over"
    )
    last_purchase: str | None
    channels: list[str]
    score: float | None = None


class ItemMembersAnswer(Versioned):
    item_id: str
    title: str | None
    guide_id: str | None
    store_id: str | None
    members: list[MemberToTell]
    considered: int = Field(description="members of the guide or store whom the item may interest")
    left_out: dict[str, int] = Field(description="those of them who are not told, by the first reason that holds")
    why_none: str | None = Field(
        default=None, description="not_sold_now (rules, shelf or stock), no_interest, or nobody_may_be_told"
    )


class ConsentPut(Asked):
    purpose: Literal[
        "service",
        "personalised_recommendation",
        "marketing_wecom",
        "marketing_sms",
        "marketing_call",
        "profile_cross_brand",
        "share_ads",
        "chat_archive",
    ]
    state: Literal["granted", "refused", "withdrawn"]
    at: dt.datetime | None = None
    policy_version: Annotated[str, StringConstraints(max_length=64)] | None = None
    evidence_ref: Annotated[str, StringConstraints(max_length=256)] | None = None


class ConsentsPut(Asked):
    consents: Annotated[list[ConsentPut], Field(min_length=1, max_length=20)]


class ConsentsAnswer(BaseModel):
    member_id: str
    consents: dict[str, bool]
    personalised: bool
    channels: list[str]


class EventPost(Asked):
    event_id: Id
    kind: Literal["order", "return", "view", "stock"]
    at: dt.datetime
    member_id: Id | None = None
    item_id: Id | None = None
    store_id: Id | None = None
    qty: Annotated[float, Field(ge=0, le=1e9, allow_inf_nan=False)] | None = None


class EventBatch(Asked):
    events: Annotated[list[EventPost], Field(min_length=1, max_length=500)]


class EventNoted(BaseModel):
    event_id: str
    status: int


class EventAnswer(BaseModel):
    results: list[EventNoted]


class RulesPut(Asked):
    rules: Annotated[dict[str, Any], Field(min_length=1, max_length=50)]


class RulesAnswer(BaseModel):
    rules: dict[str, Any]


class ForgetAnswer(BaseModel):
    """The receipt of a deletion: where rows were removed, and what is left to do offline."""

    receipt_id: str
    at: LocalTime
    ledger: dict[str, int]
    releases: dict[str, str] = Field(description="release rewritten -> the one without the member")
    kept_predictions: list[str] = Field(description="days whose kept predictions held the member")
    bentos: int = Field(description="releases rewritten inside Bentos")
    next_step: str


class ModelAnswer(BaseModel):
    release_id: str
    model_version: str
    as_of: dt.date
    created_at: str
    horizon_days: int
    members: int
    models: dict[str, dict[str, Any]]
    age_days: int
    stale: bool


class Ready(BaseModel):
    task: str
    source: str
    have: dict[str, Any] | None
    need: dict[str, Any] | None
    fallback: str | None
    reason: str | None


class ReadinessAnswer(BaseModel):
    release_id: str
    tasks: list[Ready]


class SummaryAnswer(BaseModel):
    status: Literal["measured", "not_enough_data"]
    date: dt.date | None
    have: dict[str, int]
    need: dict[str, int]
    result: dict[str, Any] | None


class SessionPost(Asked):
    token: Annotated[str, StringConstraints(min_length=1, max_length=200)]


class SessionAnswer(BaseModel):
    role: str
    home: str
