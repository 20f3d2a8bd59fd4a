"""Uploaded datasets, which job trains on which, and backtests"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

_JSON = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")
_ROW_NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


NEW_FIELDS = (
    ("environment", "dataset_id"),
    ("environment", "dataset"),
    ("evaluation", "epsilon"),
)


def upgrade() -> None:
    op.create_table(
        "dataset_names",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_dataset_names")),
    )
    op.create_table(
        "datasets",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("row_count", sa.BigInteger(), nullable=False),
        sa.Column("columns", _JSON, nullable=False),
        sa.Column("report", _JSON, nullable=False),
        sa.Column("looks", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("role IN ('timeseries','transitions')", name=op.f("ck_datasets_role")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_datasets")),
        sa.UniqueConstraint("name", "version", name=op.f("uq_datasets_name_version")),
    )
    op.create_table(
        "job_datasets",
        sa.Column("job_number", _ROW_NUMBER, autoincrement=False, nullable=False),
        sa.Column("dataset_id", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["job_number"], ["jobs.number"], name=op.f("fk_job_datasets_job_number")
        ),
        sa.ForeignKeyConstraint(
            ["dataset_id"],
            ["datasets.id"],
            name=op.f("fk_job_datasets_dataset_id"),
            ondelete="RESTRICT",
        ),
        sa.PrimaryKeyConstraint("job_number", name=op.f("pk_job_datasets")),
    )
    op.create_index("ix_job_datasets_dataset_id", "job_datasets", ["dataset_id"])
    op.create_table(
        "backtests",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("policy_id", sa.Text(), nullable=False),
        sa.Column("dataset_id", sa.Text(), nullable=False),
        sa.Column("look", sa.BigInteger(), nullable=False),
        sa.Column("report", _JSON, nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["policy_id"],
            ["policies.id"],
            name=op.f("fk_backtests_policy_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["dataset_id"],
            ["datasets.id"],
            name=op.f("fk_backtests_dataset_id"),
            ondelete="RESTRICT",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_backtests")),
    )
    op.create_index("ix_backtests_policy_id", "backtests", ["policy_id"])
    op.create_index("ix_backtests_dataset_id", "backtests", ["dataset_id"])


def downgrade() -> None:
    """The files stay: the release before does not look at them, and `mrq gc` of a later one finds
    them without rows."""
    op.drop_table("backtests")
    op.drop_index("ix_job_datasets_dataset_id", "job_datasets")
    op.drop_table("job_datasets")
    op.drop_table("datasets")
    op.drop_table("dataset_names")
    _forget_parts_of_specs()


def _forget_parts_of_specs() -> None:
    """The release before takes no spec with fields that it does not know."""
    if op.get_bind().dialect.name == "postgresql":
        without = " #- ".join(["spec", *(f"'{{{part},{name}}}'" for part, name in NEW_FIELDS)])
    else:
        paths = ", ".join(f"'$.{part}.{name}'" for part, name in NEW_FIELDS)
        without = f"json_remove(spec, {paths})"
    op.execute(f"UPDATE jobs SET spec = {without}")
