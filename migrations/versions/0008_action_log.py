"""Actions that clients had logged, and what came of them"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

_JSON = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "logged_actions",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("policy_id", sa.Text(), nullable=False),
        sa.Column("policy_name", sa.Text(), nullable=False),
        sa.Column("mode", sa.Text(), nullable=False),
        sa.Column("observation", _JSON, nullable=False),
        sa.Column("action", _JSON, nullable=False),
        sa.Column("propensity", sa.Double(), nullable=True),
        sa.Column("episode", sa.Text(), nullable=True),
        sa.Column("t", sa.BigInteger(), nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("reward", sa.Double(), nullable=True),
        sa.Column("terminated", sa.Boolean(), nullable=True),
        sa.Column("truncated", sa.Boolean(), nullable=True),
        sa.Column("feedback_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_logged_actions")),
        sa.UniqueConstraint(
            "policy_name", "episode", "t", name=op.f("uq_logged_actions_policy_name_episode_t")
        ),
    )


def downgrade() -> None:
    op.drop_table("logged_actions")
