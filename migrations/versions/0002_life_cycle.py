"""What a user wants of a running job, clones, whose fault failures were, what attempts had"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # As text: SQLite takes a check only together with its column.
    op.execute(
        "ALTER TABLE jobs ADD COLUMN desired TEXT NOT NULL DEFAULT 'run' "
        "CONSTRAINT ck_jobs_desired CHECK (desired IN ('run','pause','cancel'))"
    )
    op.execute("UPDATE jobs SET desired = 'cancel' WHERE cancel_requested")
    op.drop_column("jobs", "cancel_requested")
    op.add_column("jobs", sa.Column("grace_seconds", sa.Double(), nullable=True))
    clock = sa.Column("clock_after_attempt", sa.BigInteger(), nullable=False, server_default="0")
    op.add_column("jobs", clock)
    for name in ("infrastructure_failures", "error_failures"):
        op.add_column("jobs", sa.Column(name, sa.Integer(), nullable=False, server_default="0"))
    op.add_column("jobs", sa.Column("cloned_from", sa.Text(), nullable=True))
    op.add_column("attempts", sa.Column("device", sa.Text(), nullable=True))
    op.add_column("attempts", sa.Column("fidelity", sa.Text(), nullable=True))
    op.add_column("attempts", sa.Column("peak_memory_bytes", sa.BigInteger(), nullable=True))


def downgrade() -> None:
    """A release without pausing would never look at a paused job again: it goes on instead."""
    op.execute("UPDATE jobs SET status = 'queued', reason = NULL WHERE status = 'paused'")
    _forget_parts_of_specs()
    op.execute("UPDATE attempts SET status = 'released' WHERE status = 'paused'")
    op.execute("ALTER TABLE jobs ADD COLUMN cancel_requested BOOLEAN NOT NULL DEFAULT false")
    op.execute("UPDATE jobs SET cancel_requested = true WHERE desired = 'cancel'")
    op.drop_column("attempts", "peak_memory_bytes")
    op.drop_column("attempts", "fidelity")
    op.drop_column("attempts", "device")
    op.drop_column("jobs", "cloned_from")
    op.drop_column("jobs", "error_failures")
    op.drop_column("jobs", "infrastructure_failures")
    op.drop_column("jobs", "clock_after_attempt")
    op.drop_column("jobs", "grace_seconds")
    op.drop_column("jobs", "desired")


def _forget_parts_of_specs() -> None:
    """The release before takes no spec with fields that it does not know."""
    json = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")
    jobs = sa.table("jobs", sa.column("number", sa.BigInteger()), sa.column("spec", json))
    connection = op.get_bind()
    for number, spec in connection.execute(sa.select(jobs.c.number, jobs.c.spec)).all():
        known = {k: v for k, v in spec.items() if k not in ("early_stopping", "limits")}
        if "budget" in known:
            known["budget"] = {"total_steps": known["budget"]["total_steps"]}
        connection.execute(sa.update(jobs).where(jobs.c.number == number).values(spec=known))
