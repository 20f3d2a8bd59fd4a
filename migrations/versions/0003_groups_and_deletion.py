"""Groups of jobs that differ in their seed; jobs and policies that can be deleted"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

# SQLite numbers rows by itself only for a column declared INTEGER PRIMARY KEY.
_ROW_NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "job_groups",
        sa.Column("number", _ROW_NUMBER, nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_job_groups")),
        sa.UniqueConstraint("id", name=op.f("uq_job_groups_id")),
    )
    # As text: SQLite takes a foreign key only together with its column.
    op.execute(
        "ALTER TABLE jobs ADD COLUMN group_number BIGINT "
        "CONSTRAINT fk_jobs_group_number REFERENCES job_groups (number)"
    )
    op.create_index("ix_jobs_group_number", "jobs", ["group_number"])
    op.add_column("jobs", sa.Column("expired_at", sa.BigInteger(), nullable=True))
    op.add_column("jobs", sa.Column("deleted_at", sa.BigInteger(), nullable=True))
    op.create_table(
        "policy_names",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_policy_names")),
    )
    op.execute(
        "INSERT INTO policy_names (name, version) "
        "SELECT name, max(version) FROM policies GROUP BY name"
    )


def downgrade() -> None:
    """The jobs stay, each for itself, also those that were marked for deletion."""
    _forget_parts_of_specs()
    op.drop_table("policy_names")
    op.drop_column("jobs", "deleted_at")
    op.drop_column("jobs", "expired_at")
    op.drop_index("ix_jobs_group_number", "jobs")
    op.drop_column("jobs", "group_number")
    op.drop_table("job_groups")


def _forget_parts_of_specs() -> None:
    """The release before takes no spec with fields that it does not know."""
    if op.get_bind().dialect.name == "postgresql":
        without = "spec - 'priority' #- '{checkpointing,ttl_seconds}'"
    else:
        without = "json_remove(spec, '$.priority', '$.checkpointing.ttl_seconds')"
    op.execute(f"UPDATE jobs SET spec = {without}")
