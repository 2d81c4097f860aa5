"""Rows to learn from: the standing of some members on the mornings when they could have been listed."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "learning_row",
        sa.Column("brand_id", sa.String(length=160), nullable=False),
        sa.Column("date", sa.Date(), nullable=False),
        sa.Column("member_id", sa.String(length=160), nullable=False),
        sa.Column("listed", sa.Boolean(), nullable=False),
        sa.Column("propensity", sa.Float(), nullable=False),
        sa.Column("kept_share", sa.Float(), nullable=False),
        sa.Column("standing_json", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("brand_id", "date", "member_id"),
    )


def downgrade() -> None:
    """Drop it; what was logged in it is lost."""
    op.drop_table("learning_row")
