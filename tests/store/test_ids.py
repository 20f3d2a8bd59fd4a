import re

from store.ids import new_id


def test_ids_say_what_they_name_and_sort_by_time() -> None:
    ids = [new_id("job") for _ in range(2000)]
    assert all(re.fullmatch(r"job_[0-9a-f]{32}", each) for each in ids)
    assert len(set(ids)) == 2000
    times = [each[4:16] for each in ids]
    assert times == sorted(times)
    assert int(times[0], 16) > 1_700_000_000_000
