"""The checkpoint of another job with which a job begins"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("jobs", sa.Column("init_checkpoint_id", sa.Text(), nullable=True))
    op.create_index("ix_jobs_init_checkpoint_id", "jobs", ["init_checkpoint_id"])


def downgrade() -> None:
    """`init_from` stays in the specs: the release before then ends such a job as spec_invalid.
    Without it the job would begin with nothing, unasked."""
    op.drop_index("ix_jobs_init_checkpoint_id", "jobs")
    op.drop_column("jobs", "init_checkpoint_id")
