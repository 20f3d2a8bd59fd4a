"""Groups of jobs that differ in their seed"""

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


def downgrade() -> None:
    """The jobs stay, each for itself."""
    _forget_priorities()
    op.drop_index("ix_jobs_group_number", "jobs")
    op.drop_column("jobs", "group_number")
    op.drop_table("job_groups")


def _forget_priorities() -> None:
    """The release before takes no spec with fields that it does not know."""
    connection = op.get_bind()
    if connection.dialect.name == "postgresql":
        op.execute("UPDATE jobs SET spec = spec - 'priority'")
    else:
        op.execute("UPDATE jobs SET spec = json_remove(spec, '$.priority')")
