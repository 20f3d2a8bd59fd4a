"""What counts as a fault when an alias moves under load."""

from benchmarks.swaps import Asked, Move, Round, faults, render

MOVES = [Move(version=2, begun=1.0, ended=1.5), Move(version=1, begun=3.0, ended=3.5)]


def round_of(*answers: tuple[float, int]) -> Round:
    begun, versions = [at for at, _ in answers], [version for _, version in answers]
    moved = Asked(begun=begun, seconds=[0.001] * len(begun), versions=versions)
    return Round(quiet=Asked([0.0], [0.001], [1]), moved=moved, moves=MOVES)


def test_while_an_alias_moves_either_version_may_answer() -> None:
    fair = round_of((0.5, 1), (1.2, 1), (1.2, 2), (1.6, 2), (2.9, 2), (3.1, 1), (3.1, 2), (3.6, 1))
    assert faults([fair]).total() == 0


def test_the_old_version_after_a_move_and_a_wrong_answer_are_faults() -> None:
    stale = "answers of a version that was none any more"
    assert faults([round_of((1.6, 1), (2.9, 1), (3.6, 2))])[stale] == 3
    assert faults([round_of((0.5, 0))])["wrong answers"] == 1


def test_the_report_says_so() -> None:
    said = render([round_of((1.6, 1))], before=0.5, seconds=4.0)
    assert "2 answers" in said
    assert "1 answers of a version that was none any more" in said
    assert "| p99 ms | 1.00 | 1.00 | 1.00 |" in said
    assert "median 500.0 ms, longest 500.0 ms" in said
