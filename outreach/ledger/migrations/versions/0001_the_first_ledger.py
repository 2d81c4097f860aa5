"""The first ledger: consents, lists, outcomes, holdout, exposures, audit, tokens, jobs, rules and events."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make every table."""
    op.create_table(
        "audit",
        sa.Column(
            "audit_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False
        ),
        sa.Column("brand_id", sa.String(length=160), nullable=True),
        sa.Column("at", sa.DateTime(), nullable=False),
        sa.Column("actor", sa.String(length=160), nullable=False),
        sa.Column("role", sa.String(length=32), nullable=False),
        sa.Column("action", sa.String(length=160), nullable=False),
        sa.Column("member_id", sa.String(length=160), nullable=True),
        sa.Column("detail", sa.String(length=500), nullable=True),
        sa.PrimaryKeyConstraint("audit_id"),
    )
    op.create_index("audit_by_member", "audit", ["brand_id", "member_id", "at"], unique=False)
    op.create_index("audit_by_time", "audit", ["brand_id", "at"], unique=False)
    op.create_table(
        "chance",
        sa.Column("brand_id", sa.String(length=160), nullable=False),
        sa.Column("date", sa.Date(), nullable=False),
        sa.Column("member_id", sa.String(length=160), nullable=False),
        sa.Column("guide_id", sa.String(length=160), nullable=True),
        sa.Column("propensity", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("brand_id", "date", "member_id"),
    )
    op.create_table(
        "consent",
        sa.Column("brand_id", sa.String(length=160), nullable=False),
        sa.Column("member_id", sa.String(length=160), nullable=False),
        sa.Column("purpose", sa.String(length=160), nullable=False),
        sa.Column("at", sa.DateTime(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("policy_version", sa.String(length=64), nullable=True),
        sa.Column("evidence_ref", sa.String(length=256), nullable=True),
        sa.Column("source", sa.String(length=64), nullable=True),
        sa.PrimaryKeyConstraint("brand_id", "member_id", "purpose", "at"),
    )
    op.create_table(
        "contact_list",
        sa.Column("brand_id", sa.String(length=160), nullable=False),
        sa.Column("list_id", sa.String(length=160), nullable=False),
        sa.Column("guide_id", sa.String(length=160), nullable=True),
        sa.Column("store_id", sa.String(length=160), nullable=True),
        sa.Column("date", sa.Date(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("run_id", sa.String(length=160), nullable=True),
        sa.Column("seed", sa.BigInteger(), nullable=True),
        sa.Column("policy_version", sa.String(length=64), nullable=True),
        sa.Column("models_json", sa.Text(), nullable=True),
        sa.Column("capacity", sa.Integer(), nullable=True),
        sa.Column("eligible", sa.Integer(), nullable=True),
        sa.Column("excluded_json", sa.Text(), nullable=False),
        sa.Column("fallback", sa.String(length=32), nullable=True),
        sa.Column("digest", sa.String(length=128), nullable=False),
        sa.Column("generated_at", sa.DateTime(), nullable=False),
        sa.PrimaryKeyConstraint("brand_id", "list_id"),
    )
    op.create_index("contact_list_by_date", "contact_list", ["brand_id", "date"], unique=False)
    op.create_index(
        "contact_list_by_guide", "contact_list", ["brand_id", "guide_id", "date", "version"], unique=False
    )
    op.create_table(
        "contact_task",
        sa.Column("brand_id", sa.String(length=160), nullable=False),
        sa.Column("task_id", sa.String(length=160), nullable=False),
        sa.Column("list_id", sa.String(length=160), nullable=True),
        sa.Column("guide_id", sa.String(length=160), nullable=True),
        sa.Column("store_id", sa.String(length=160), nullable=True),
        sa.Column("member_id", sa.String(length=160), nullable=True),
        sa.Column("date", sa.Date(), nullable=False),
        sa.Column("rank", sa.Integer(), nullable=False),
        sa.Column("task_type", sa.String(length=64), nullable=True),
        sa.Column("reason_code", sa.String(length=64), nullable=True),
        sa.Column("score_yuan", sa.Float(), nullable=True),
        sa.Column("propensity", sa.Float(), nullable=True),
        sa.Column("forced", sa.Boolean(), nullable=False),
        sa.Column("payload_json", sa.Text(), nullable=False),
        sa.Column("state", sa.String(length=32), nullable=False),
        sa.Column("state_at", sa.DateTime(), nullable=True),
        sa.PrimaryKeyConstraint("brand_id", "task_id"),
    )
    op.create_index("contact_task_by_guide", "contact_task", ["brand_id", "guide_id", "date"], unique=False)
    op.create_index("contact_task_by_list", "contact_task", ["brand_id", "list_id"], unique=False)
    op.create_index("contact_task_by_member", "contact_task", ["brand_id", "member_id", "date"], unique=False)
    op.create_table(
        "event",
        sa.Column("brand_id", sa.String(length=160), nullable=False),
        sa.Column("event_id", sa.String(length=160), nullable=False),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("at", sa.DateTime(), nullable=False),
        sa.Column("member_id", sa.String(length=160), nullable=True),
        sa.Column("item_id", sa.String(length=160), nullable=True),
        sa.Column("store_id", sa.String(length=160), nullable=True),
        sa.Column("qty", sa.Float(), nullable=True),
        sa.Column("body_digest", sa.String(length=64), nullable=False),
        sa.Column("received_at", sa.DateTime(), nullable=False),
        sa.PrimaryKeyConstraint("brand_id", "event_id"),
    )
    op.create_index("event_by_member", "event", ["brand_id", "member_id", "kind", "at"], unique=False)
    op.create_table(
        "exposure",
        sa.Column("brand_id", sa.String(length=160), nullable=False),
        sa.Column("request_id", sa.String(length=160), nullable=False),
        sa.Column("at", sa.DateTime(), nullable=False),
        sa.Column("member_id", sa.String(length=160), nullable=True),
        sa.Column("store_id", sa.String(length=160), nullable=True),
        sa.Column("slate", sa.String(length=32), nullable=False),
        sa.Column("personalised", sa.Boolean(), nullable=False),
        sa.Column("release_id", sa.String(length=160), nullable=True),
        sa.Column("items_json", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("brand_id", "request_id"),
    )
    op.create_index("exposure_by_member", "exposure", ["brand_id", "member_id", "at"], unique=False)
    op.create_table(
        "forgotten",
        sa.Column("brand_id", sa.String(length=160), nullable=False),
        sa.Column("member_mark", sa.String(length=64), nullable=False),
        sa.Column("at", sa.DateTime(), nullable=False),
        sa.PrimaryKeyConstraint("brand_id", "member_mark"),
    )
    op.create_table(
        "guide_leave",
        sa.Column("brand_id", sa.String(length=160), nullable=False),
        sa.Column("guide_id", sa.String(length=160), nullable=False),
        sa.Column("since", sa.Date(), nullable=False),
        sa.Column("until", sa.Date(), nullable=True),
        sa.Column("actor", sa.String(length=160), nullable=False),
        sa.PrimaryKeyConstraint("brand_id", "guide_id", "since"),
    )
    op.create_table(
        "holdout",
        sa.Column("brand_id", sa.String(length=160), nullable=False),
        sa.Column("member_id", sa.String(length=160), nullable=False),
        sa.Column("since", sa.Date(), nullable=False),
        sa.Column("until", sa.Date(), nullable=True),
        sa.Column("arm", sa.String(length=32), nullable=False),
        sa.PrimaryKeyConstraint("brand_id", "member_id", "since"),
    )
    op.create_table(
        "identity",
        sa.Column("brand_id", sa.String(length=160), nullable=False),
        sa.Column("id_type", sa.String(length=160), nullable=False),
        sa.Column("id_scope", sa.String(length=160), nullable=False),
        sa.Column("id_value", sa.String(length=160), nullable=False),
        sa.Column("member_id", sa.String(length=160), nullable=True),
        sa.Column("verified", sa.Boolean(), nullable=False),
        sa.Column("valid_to", sa.DateTime(), nullable=True),
        sa.PrimaryKeyConstraint("brand_id", "id_type", "id_scope", "id_value"),
    )
    op.create_index("identity_by_member", "identity", ["brand_id", "member_id"], unique=False)
    op.create_table(
        "job",
        sa.Column("brand_id", sa.String(length=160), nullable=False),
        sa.Column("job_id", sa.String(length=160), nullable=False),
        sa.Column("kind", sa.String(length=64), nullable=False),
        sa.Column("idempotency_key", sa.String(length=160), nullable=True),
        sa.Column("request_json", sa.Text(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("result_json", sa.Text(), nullable=True),
        sa.Column("requested_by", sa.String(length=160), nullable=True),
        sa.Column("created_at", sa.DateTime(), nullable=False),
        sa.Column("started_at", sa.DateTime(), nullable=True),
        sa.Column("finished_at", sa.DateTime(), nullable=True),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("brand_id", "job_id"),
        sa.UniqueConstraint("brand_id", "kind", "idempotency_key", name="job_once"),
    )
    op.create_index("job_by_state", "job", ["brand_id", "state", "created_at"], unique=False)
    op.create_table(
        "opt_out",
        sa.Column("brand_id", sa.String(length=160), nullable=False),
        sa.Column("member_id", sa.String(length=160), nullable=False),
        sa.Column("kind", sa.String(length=160), nullable=False),
        sa.Column("source_id", sa.String(length=160), nullable=False),
        sa.Column("since", sa.DateTime(), nullable=False),
        sa.Column("until", sa.DateTime(), nullable=True),
        sa.PrimaryKeyConstraint("brand_id", "member_id", "kind", "source_id"),
    )
    op.create_table(
        "outcome",
        sa.Column("brand_id", sa.String(length=160), nullable=False),
        sa.Column("event_id", sa.String(length=160), nullable=False),
        sa.Column("task_id", sa.String(length=160), nullable=True),
        sa.Column("member_id", sa.String(length=160), nullable=True),
        sa.Column("guide_id", sa.String(length=160), nullable=True),
        sa.Column("outcome", sa.String(length=32), nullable=False),
        sa.Column("at", sa.DateTime(), nullable=False),
        sa.Column("channel", sa.String(length=32), nullable=True),
        sa.Column("note", sa.String(length=500), nullable=True),
        sa.Column("body_digest", sa.String(length=64), nullable=False),
        sa.Column("received_at", sa.DateTime(), nullable=False),
        sa.Column("undone_at", sa.DateTime(), nullable=True),
        sa.PrimaryKeyConstraint("brand_id", "event_id"),
    )
    op.create_index("outcome_by_member", "outcome", ["brand_id", "member_id", "at"], unique=False)
    op.create_index("outcome_by_task", "outcome", ["brand_id", "task_id"], unique=False)
    op.create_table(
        "report",
        sa.Column("brand_id", sa.String(length=160), nullable=False),
        sa.Column("name", sa.String(length=160), nullable=False),
        sa.Column("date", sa.Date(), nullable=False),
        sa.Column("body_json", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("brand_id", "name", "date"),
    )
    op.create_table(
        "revision",
        sa.Column("brand_id", sa.String(length=160), nullable=False),
        sa.Column("kind", sa.String(length=160), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("brand_id", "kind"),
    )
    op.create_table(
        "rule",
        sa.Column("brand_id", sa.String(length=160), nullable=False),
        sa.Column("name", sa.String(length=160), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("value_json", sa.Text(), nullable=False),
        sa.Column("at", sa.DateTime(), nullable=False),
        sa.Column("actor", sa.String(length=160), nullable=False),
        sa.PrimaryKeyConstraint("brand_id", "name", "version"),
    )
    op.create_table(
        "secret",
        sa.Column("brand_id", sa.String(length=160), nullable=False),
        sa.Column("name", sa.String(length=160), nullable=False),
        sa.Column("value", sa.String(length=128), nullable=False),
        sa.PrimaryKeyConstraint("brand_id", "name"),
    )
    op.create_table(
        "stock",
        sa.Column("brand_id", sa.String(length=160), nullable=False),
        sa.Column("store_id", sa.String(length=160), nullable=False),
        sa.Column("item_id", sa.String(length=160), nullable=False),
        sa.Column("qty", sa.Float(), nullable=False),
        sa.Column("at", sa.DateTime(), nullable=False),
        sa.PrimaryKeyConstraint("brand_id", "store_id", "item_id"),
    )
    op.create_table(
        "token",
        sa.Column("brand_id", sa.String(length=160), nullable=False),
        sa.Column("token_id", sa.String(length=160), nullable=False),
        sa.Column("token_hash", sa.String(length=64), nullable=False),
        sa.Column("role", sa.String(length=32), nullable=False),
        sa.Column("subject", sa.String(length=160), nullable=True),
        sa.Column("store_id", sa.String(length=160), nullable=True),
        sa.Column("label", sa.String(length=160), nullable=True),
        sa.Column("created_at", sa.DateTime(), nullable=False),
        sa.Column("expires_at", sa.DateTime(), nullable=True),
        sa.Column("revoked_at", sa.DateTime(), nullable=True),
        sa.PrimaryKeyConstraint("brand_id", "token_id"),
        sa.UniqueConstraint("token_hash"),
    )


def downgrade() -> None:
    """Drop every table."""
    op.drop_table("token")
    op.drop_table("stock")
    op.drop_table("secret")
    op.drop_table("rule")
    op.drop_table("revision")
    op.drop_table("report")
    op.drop_index("outcome_by_task", table_name="outcome")
    op.drop_index("outcome_by_member", table_name="outcome")
    op.drop_table("outcome")
    op.drop_table("opt_out")
    op.drop_index("job_by_state", table_name="job")
    op.drop_table("job")
    op.drop_index("identity_by_member", table_name="identity")
    op.drop_table("identity")
    op.drop_table("holdout")
    op.drop_table("guide_leave")
    op.drop_table("forgotten")
    op.drop_index("exposure_by_member", table_name="exposure")
    op.drop_table("exposure")
    op.drop_index("event_by_member", table_name="event")
    op.drop_table("event")
    op.drop_index("contact_task_by_member", table_name="contact_task")
    op.drop_index("contact_task_by_list", table_name="contact_task")
    op.drop_index("contact_task_by_guide", table_name="contact_task")
    op.drop_table("contact_task")
    op.drop_index("contact_list_by_guide", table_name="contact_list")
    op.drop_index("contact_list_by_date", table_name="contact_list")
    op.drop_table("contact_list")
    op.drop_table("consent")
    op.drop_table("chance")
    op.drop_index("audit_by_time", table_name="audit")
    op.drop_index("audit_by_member", table_name="audit")
    op.drop_table("audit")
