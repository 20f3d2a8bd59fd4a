"""Aliases of policies with their history, and how a name's requests are divided among versions"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

_JSON = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")
_ROW_NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "policy_aliases",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("alias", sa.Text(), nullable=False),
        sa.Column("policy_id", sa.Text(), nullable=False),
        sa.Column("moved_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["policy_id"],
            ["policies.id"],
            name=op.f("fk_policy_aliases_policy_id"),
            ondelete="RESTRICT",
        ),
        sa.PrimaryKeyConstraint("name", "alias", name=op.f("pk_policy_aliases")),
    )
    op.create_index("ix_policy_aliases_policy_id", "policy_aliases", ["policy_id"])
    op.create_table(
        "policy_alias_moves",
        sa.Column("number", _ROW_NUMBER, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("alias", sa.Text(), nullable=False),
        sa.Column("from_version", sa.BigInteger(), nullable=True),
        sa.Column("to_version", sa.BigInteger(), nullable=True),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_policy_alias_moves")),
    )
    op.create_index(
        "ix_policy_alias_moves_name_alias_number",
        "policy_alias_moves",
        ["name", "alias", "number"],
    )
    op.create_table(
        "policy_traffic",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.Column("routes", _JSON, nullable=False),
        sa.Column("shadow", _JSON, nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_policy_traffic")),
    )


def downgrade() -> None:
    """A bare name means its newest version again, and nothing means an alias."""
    op.drop_table("policy_traffic")
    op.drop_index("ix_policy_alias_moves_name_alias_number", "policy_alias_moves")
    op.drop_table("policy_alias_moves")
    op.drop_index("ix_policy_aliases_policy_id", "policy_aliases")
    op.drop_table("policy_aliases")
