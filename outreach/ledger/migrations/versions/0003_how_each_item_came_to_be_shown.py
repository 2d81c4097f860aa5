"""Exposures say who looked, which model served, which rung filled each place, and with which chance."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

COLUMNS: dict[str, sa.types.TypeEngine[Any]] = {
    "role": sa.String(length=32),
    "model": sa.String(length=160),
    "rungs_json": sa.Text(),
    "propensities_json": sa.Text(),
    "explore_share": sa.Float(),
}


def upgrade() -> None:
    """Add the columns; rows from before keep nulls there."""
    for name, kind in COLUMNS.items():
        op.add_column("exposure", sa.Column(name, kind, nullable=True))
    op.create_index("exposure_by_time", "exposure", ["brand_id", "at"], unique=False)


def downgrade() -> None:
    """Drop them; what was logged in them is lost."""
    op.drop_index("exposure_by_time", table_name="exposure")
    with op.batch_alter_table("exposure") as table:
        for name in COLUMNS:
            table.drop_column(name)
