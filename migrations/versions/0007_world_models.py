"""The learnt model of a policy, beside its graph"""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("checkpoints", sa.Column("model_onnx", sa.LargeBinary(), nullable=True))


def downgrade() -> None:
    """The manifests keep saying that there was one: earlier releases do not look at it."""
    op.drop_column("checkpoints", "model_onnx")
