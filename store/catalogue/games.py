"""Strategy games against a fixed opponent, with masks: mrq_core/tasks/board_game.py.

Chess has an extra of its own, for its rules come from a package under the GPL.
"""

from store.catalogue.entry import Area, EnvironmentEntry, Suggestion, one_of

AREA = Area(
    name="strategy games",
    extra="games",
    licence="Apache-2.0, PettingZoo MIT",
    suggestion=Suggestion(total_steps=50_000),
    module="mrq_core.tasks",
)

ENTRIES: list[EnvironmentEntry] = [
    AREA.row("mrq/ConnectFour-v0", (84,), one_of(7), 21, masked=True),
    # 300 of one's own moves, ours: random games end before that.
    AREA.row(
        "mrq/Chess-v0",
        (7104,),
        one_of(4672),
        300,
        masked=True,
        extra="chess",
        licence="Apache-2.0, PettingZoo MIT, chess GPL-3.0+",
    ),
]
