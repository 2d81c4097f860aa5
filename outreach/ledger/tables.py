"""The ledger's tables, each column spelled once; every key begins with `brand_id`.

Times are brand-local and naive. JSON is kept as text (`*_json`) so that SQLite and PostgreSQL hold the same bytes.
"""

import datetime as dt

import sqlalchemy as sa

metadata = sa.MetaData()

# A sequence that is a 64-bit integer on PostgreSQL and SQLite's own row number there.
Sequence = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


class LocalTime(sa.types.TypeDecorator[dt.datetime]):
    """A brand-local time without zone; an aware time loses its zone, which must be the brand's."""

    impl = sa.DateTime
    cache_ok = True

    def process_bind_param(self, value: dt.datetime | None, dialect: sa.Dialect) -> dt.datetime | None:
        """What goes to the database."""
        return None if value is None else value.replace(tzinfo=None)


def _id(name: str, **options: bool) -> sa.Column[str]:
    return sa.Column(
        name, sa.String(160), nullable=not options.get("key", False), primary_key=options.get("key", False)
    )


def _brand() -> sa.Column[str]:
    return _id("brand_id", key=True)


consent = sa.Table(
    "consent",
    metadata,
    _brand(),
    _id("member_id", key=True),
    _id("purpose", key=True),
    sa.Column("at", LocalTime, primary_key=True),
    sa.Column("state", sa.String(16), nullable=False),  # granted, refused, withdrawn
    sa.Column("policy_version", sa.String(64)),
    sa.Column("evidence_ref", sa.String(256)),
    sa.Column("source", sa.String(64)),
)

# Why a member may not be contacted (or not for now); a row without `until` lasts until it is lifted.
opt_out = sa.Table(
    "opt_out",
    metadata,
    _brand(),
    _id("member_id", key=True),
    _id("kind", key=True),  # do_not_contact, refused, complaint, wrong_person, unfriended, snoozed, not_suitable
    _id("source_id", key=True),  # the outcome's or event's id: undoing it lifts exactly this row
    sa.Column("since", LocalTime, nullable=False),
    sa.Column("until", LocalTime),
)

contact_list = sa.Table(
    "contact_list",
    metadata,
    _brand(),
    _id("list_id", key=True),
    _id("guide_id"),
    _id("store_id"),
    sa.Column("date", sa.Date, nullable=False),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("run_id", sa.String(160)),
    sa.Column("seed", sa.BigInteger),
    sa.Column("policy_version", sa.String(64)),
    sa.Column("models_json", sa.Text),
    sa.Column("capacity", sa.Integer),
    sa.Column("eligible", sa.Integer),
    sa.Column("excluded_json", sa.Text, nullable=False),
    sa.Column("fallback", sa.String(32)),
    sa.Column("digest", sa.String(128), nullable=False),
    sa.Column("generated_at", LocalTime, nullable=False),
    sa.Index("contact_list_by_guide", "brand_id", "guide_id", "date", "version"),
    sa.Index("contact_list_by_date", "brand_id", "date"),
)

contact_task = sa.Table(
    "contact_task",
    metadata,
    _brand(),
    _id("task_id", key=True),
    _id("list_id"),
    _id("guide_id"),  # who does it now: a manager may hand it to another guide
    _id("store_id"),
    _id("member_id"),
    sa.Column("date", sa.Date, nullable=False),
    sa.Column("rank", sa.Integer, nullable=False),
    sa.Column("task_type", sa.String(64)),
    sa.Column("reason_code", sa.String(64)),
    sa.Column("score_yuan", sa.Float),
    sa.Column("propensity", sa.Float),
    sa.Column("forced", sa.Boolean, nullable=False),  # propensity 1, kept out of learning
    sa.Column("payload_json", sa.Text, nullable=False),
    sa.Column("state", sa.String(32), nullable=False),  # pending, replaced, or the last outcome
    sa.Column("state_at", LocalTime),
    sa.Index("contact_task_by_guide", "brand_id", "guide_id", "date"),
    sa.Index("contact_task_by_member", "brand_id", "member_id", "date"),
    sa.Index("contact_task_by_list", "brand_id", "list_id"),
)

chance = sa.Table(
    "chance",
    metadata,
    _brand(),
    sa.Column("date", sa.Date, primary_key=True),
    _id("member_id", key=True),
    _id("guide_id"),
    sa.Column("propensity", sa.Float, nullable=False),
)

# What learning reads of a morning: some members who could have been listed, with their standing then.
learning_row = sa.Table(
    "learning_row",
    metadata,
    _brand(),
    sa.Column("date", sa.Date, primary_key=True),
    _id("member_id", key=True),
    sa.Column("listed", sa.Boolean, nullable=False),
    sa.Column("propensity", sa.Float, nullable=False),
    sa.Column("kept_share", sa.Float, nullable=False),
    sa.Column("standing_json", sa.Text, nullable=False),
)

outcome = sa.Table(
    "outcome",
    metadata,
    _brand(),
    _id("event_id", key=True),
    _id("task_id"),
    _id("member_id"),
    _id("guide_id"),
    sa.Column("outcome", sa.String(32), nullable=False),
    sa.Column("at", LocalTime, nullable=False),
    sa.Column("channel", sa.String(32)),
    sa.Column("note", sa.String(500)),
    sa.Column("body_digest", sa.String(64), nullable=False),
    sa.Column("received_at", LocalTime, nullable=False),
    sa.Column("undone_at", LocalTime),
    sa.Index("outcome_by_task", "brand_id", "task_id"),
    sa.Index("outcome_by_member", "brand_id", "member_id", "at"),
)

holdout = sa.Table(
    "holdout",
    metadata,
    _brand(),
    _id("member_id", key=True),
    sa.Column("since", sa.Date, primary_key=True),
    sa.Column("until", sa.Date),  # the first day on which the member was no longer held out
    sa.Column("arm", sa.String(32), nullable=False),
)

exposure = sa.Table(
    "exposure",
    metadata,
    _brand(),
    _id("request_id", key=True),
    sa.Column("at", LocalTime, nullable=False),
    _id("member_id"),
    _id("store_id"),
    sa.Column("slate", sa.String(32), nullable=False),
    sa.Column("personalised", sa.Boolean, nullable=False),
    sa.Column("release_id", sa.String(160)),
    sa.Column("items_json", sa.Text, nullable=False),  # item ids in the order shown
    sa.Column("role", sa.String(32)),  # of the caller: only the app shows a list to the member
    sa.Column("model", sa.String(160)),  # which model's lists these were
    sa.Column("rungs_json", sa.Text),  # which step of the ladder filled each place
    sa.Column("propensities_json", sa.Text),  # P(this item at this place), given the request
    sa.Column("explore_share", sa.Float),  # P(an item without history was drawn), 0 where none could be
    sa.Index("exposure_by_member", "brand_id", "member_id", "at"),
    sa.Index("exposure_by_time", "brand_id", "at"),
)

audit = sa.Table(
    "audit",
    metadata,
    sa.Column("audit_id", Sequence, primary_key=True, autoincrement=True),
    _id("brand_id"),
    sa.Column("at", LocalTime, nullable=False),
    sa.Column("actor", sa.String(160), nullable=False),  # token id, never the token
    sa.Column("role", sa.String(32), nullable=False),
    sa.Column("action", sa.String(160), nullable=False),
    _id("member_id"),
    sa.Column("detail", sa.String(500)),
    sa.Index("audit_by_member", "brand_id", "member_id", "at"),
    sa.Index("audit_by_time", "brand_id", "at"),
)

identity = sa.Table(
    "identity",
    metadata,
    _brand(),
    _id("id_type", key=True),
    _id("id_scope", key=True),
    _id("id_value", key=True),
    _id("member_id"),
    sa.Column("verified", sa.Boolean, nullable=False),
    sa.Column("valid_to", LocalTime),
    sa.Index("identity_by_member", "brand_id", "member_id"),
)

token = sa.Table(
    "token",
    metadata,
    _brand(),
    _id("token_id", key=True),
    sa.Column("token_hash", sa.String(64), nullable=False, unique=True),
    sa.Column("role", sa.String(32), nullable=False),
    _id("subject"),
    _id("store_id"),
    sa.Column("label", sa.String(160)),
    sa.Column("created_at", LocalTime, nullable=False),
    sa.Column("expires_at", LocalTime),
    sa.Column("revoked_at", LocalTime),
)

job = sa.Table(
    "job",
    metadata,
    _brand(),
    _id("job_id", key=True),
    sa.Column("kind", sa.String(64), nullable=False),
    _id("idempotency_key"),
    sa.Column("request_json", sa.Text, nullable=False),
    sa.Column("state", sa.String(16), nullable=False),  # waiting, running, done, failed
    sa.Column("result_json", sa.Text),
    sa.Column("requested_by", sa.String(160)),
    sa.Column("created_at", LocalTime, nullable=False),
    sa.Column("started_at", LocalTime),
    sa.Column("finished_at", LocalTime),
    sa.Column("attempts", sa.Integer, nullable=False),
    sa.UniqueConstraint("brand_id", "kind", "idempotency_key", name="job_once"),
    sa.Index("job_by_state", "brand_id", "state", "created_at"),
)

rule = sa.Table(
    "rule",
    metadata,
    _brand(),
    _id("name", key=True),
    sa.Column("version", sa.Integer, primary_key=True),
    sa.Column("value_json", sa.Text, nullable=False),
    sa.Column("at", LocalTime, nullable=False),
    sa.Column("actor", sa.String(160), nullable=False),
)

event = sa.Table(
    "event",
    metadata,
    _brand(),
    _id("event_id", key=True),
    sa.Column("kind", sa.String(32), nullable=False),  # order, return, view, stock
    sa.Column("at", LocalTime, nullable=False),
    _id("member_id"),
    _id("item_id"),
    _id("store_id"),
    sa.Column("qty", sa.Float),
    sa.Column("body_digest", sa.String(64), nullable=False),
    sa.Column("received_at", LocalTime, nullable=False),
    sa.Index("event_by_member", "brand_id", "member_id", "kind", "at"),
)

stock = sa.Table(
    "stock",
    metadata,
    _brand(),
    _id("store_id", key=True),
    _id("item_id", key=True),
    sa.Column("qty", sa.Float, nullable=False),
    sa.Column("at", LocalTime, nullable=False),
)

# Summaries that a nightly run computed and the service shows as they are.
report = sa.Table(
    "report",
    metadata,
    _brand(),
    _id("name", key=True),
    sa.Column("date", sa.Date, primary_key=True),
    sa.Column("body_json", sa.Text, nullable=False),
)

guide_leave = sa.Table(
    "guide_leave",
    metadata,
    _brand(),
    _id("guide_id", key=True),
    sa.Column("since", sa.Date, primary_key=True),
    sa.Column("until", sa.Date),  # last day of the leave, inclusive; null while open
    sa.Column("actor", sa.String(160), nullable=False),
)

forgotten = sa.Table(
    "forgotten",
    metadata,
    _brand(),
    sa.Column("member_mark", sa.String(64), primary_key=True),  # keyed hash: keeps the member out of later inputs
    sa.Column("at", LocalTime, nullable=False),
)

secret = sa.Table(
    "secret",
    metadata,
    _brand(),
    _id("name", key=True),
    sa.Column("value", sa.String(128), nullable=False),
)

# One row per kind of live state; writers add one, readers compare: what was cached is still true or it is not.
revision = sa.Table(
    "revision",
    metadata,
    _brand(),
    _id("kind", key=True),
    sa.Column("number", sa.BigInteger, nullable=False),
)
