"""What an evaluation by a log says"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

_JSON = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("evaluations", sa.Column("estimate", _JSON, nullable=True))


def downgrade() -> None:
    """A log's own jobs keep what says so: the release before ends them as spec_invalid."""
    op.drop_column("evaluations", "estimate")
    _forget_the_mode_of_others()


def _forget_the_mode_of_others() -> None:
    """The release before takes no spec with fields that it does not know."""
    if op.get_bind().dialect.name == "postgresql":
        without = "spec #- '{algorithm,mode}' #- '{algorithm,offline}'"
        online = "spec #>> '{algorithm,mode}' = 'online'"
    else:
        without = "json_remove(spec, '$.algorithm.mode', '$.algorithm.offline')"
        online = "json_extract(spec, '$.algorithm.mode') = 'online'"
    op.execute(f"UPDATE jobs SET spec = {without} WHERE {online}")
