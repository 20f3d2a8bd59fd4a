"""`log`: actions that are written down, what came of them, and the dataset that is made of it."""

import asyncio
from typing import Any

import numpy as np
import pytest
from sqlalchemy import select, update
from starlette.testclient import TestClient

from app.refusals import QueueFull
from app.serving.action_log import MAX_OBSERVATION, MAX_WAITING, ActionLog
from mrq_core.spaces import Box
from store.action_log import Action, count_actions
from store.database import Database
from store.errors import SequenceTaken
from store.settings import Settings
from store.tables import LoggedAction
from tests.app.bundles import DISCRETE, PART_WEIGHTS, PARTS, WEIGHTS, linear_bundle
from tests.app.driving import trained_job

ROW = [0.5, -1.0, 0.25]
# What is refused before the database is asked does not depend on it.
any_database = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
CHANCE: dict[str, Any] = {"return": ["probability"]}


@pytest.fixture(autouse=True)
def _trained(database: Database, settings: Settings) -> None:
    trained_job(database, settings, linear_bundle(DISCRETE), name="choice")
    trained_job(database, settings, name="swing")


def act(client: TestClient, policy: str = "choice", **body: Any) -> Any:
    body = {"observation": ROW, "log": True} | body
    return client.post(f"/policies/{policy}/act", json=body).json()


def feed(client: TestClient, policy: str = "choice", **body: Any) -> Any:
    return client.post(f"/policies/{policy}/feedback", json=body).json()


def rows(database: Database) -> list[LoggedAction]:
    with database.read() as session:
        return list(session.scalars(select(LoggedAction).order_by(LoggedAction.id)))


def test_an_action_is_written_down_with_its_chance(client: TestClient, database: Database) -> None:
    sampled = act(client, mode="sample", seed=1, **CHANCE)
    certain = act(client)
    real = act(client, "swing", mode="sample")
    assert "action_id" not in act(client, log=False)

    first, second, third = rows(database)
    assert (first.id, second.id, third.id) == tuple(
        each["action_id"] for each in (sampled, certain, real)
    )
    assert first.observation == ROW
    assert (first.action, second.action) == ([sampled["action"]], [certain["action"]])
    assert first.propensity == pytest.approx(sampled["probability"], rel=1e-6)
    assert (second.propensity, third.propensity) == (1.0, None)
    assert third.action == pytest.approx(real["action"])
    assert (first.policy_name, third.policy_name) == ("choice", "swing")
    assert first.policy_id == sampled["policy_id"]
    assert (first.reward, first.feedback_at) == (None, None)


def test_each_of_a_batch_has_an_id(client: TestClient, database: Database) -> None:
    answer = act(client, observation=None, observations=[ROW, [0, 0, 1]])
    assert answer["code"] == "observation_missing"
    body = {"observations": [ROW, [0, 0, 1]], "log": True}
    answer = client.post("/policies/choice/act", json=body).json()
    by_id = {row.id: row for row in rows(database)}
    written = [by_id[each] for each in answer["action_ids"]]
    assert [row.action for row in written] == [[each] for each in answer["actions"]]
    assert [row.observation for row in written] == [ROW, [0, 0, 1]]


def test_feedback_joins_once(client: TestClient, database: Database) -> None:
    action = act(client)["action_id"]
    assert feed(client, action_id=action, reward=1.5) == {"results": ["joined"]}
    assert feed(client, action_id=action, reward=1.5) == {"results": ["duplicate"]}
    other = feed(client, action_id=action, reward=2.0)
    assert (other["status"], other["code"]) == (409, "feedback_conflict")
    ended = feed(client, action_id=action, reward=1.5, terminated=True)
    assert ended["code"] == "feedback_conflict"
    (row,) = rows(database)
    assert (row.reward, row.terminated) == (1.5, None)
    log = client.get("/policies/choice/feedback").json()
    assert log == {"name": "choice", "actions": 1, "joined": 1, "reward_mean": 1.5}


def test_feedback_names_an_action_by_its_place_in_an_episode(
    client: TestClient, database: Database
) -> None:
    for t in range(2):
        act(client, episode="visit", t=t)
    act(client, "swing", episode="visit", t=0)
    given = [{"episode": "visit", "t": t, "reward": float(t)} for t in range(2)]
    assert feed(client, feedback=given) == {"results": ["joined", "joined"]}
    assert [row.reward for row in rows(database)] == [0.0, 1.0, None]


def test_a_list_says_what_became_of_each(client: TestClient, database: Database) -> None:
    first, second = act(client)["action_id"], act(client)["action_id"]
    stale = act(client)["action_id"]
    with database.write() as session:
        query = update(LoggedAction).where(LoggedAction.id == stale)
        session.execute(query.values(created_at=LoggedAction.created_at - 8 * 86_400_000))
    given = [
        {"action_id": first, "reward": 1.0},
        {"action_id": first, "reward": 1.0},
        {"action_id": first, "reward": 0.0},
        {"action_id": "act_nobody", "reward": 0.0},
        {"action_id": stale, "reward": 0.0},
        {"action_id": second, "reward": -1.0, "terminated": True},
    ]
    expected = ["joined", "duplicate", "conflict", "unknown", "too_late", "joined"]
    assert feed(client, feedback=given) == {"results": expected}
    late = feed(client, action_id=stale, reward=0.0)
    assert (late["status"], late["code"]) == (409, "feedback_too_late")
    assert "604800 seconds" in late["detail"]


def test_feedback_of_another_policys_action_is_unknown(client: TestClient) -> None:
    action = act(client)["action_id"]
    problem = feed(client, "swing", action_id=action, reward=1.0)
    assert (problem["status"], problem["code"]) == (404, "action_not_found")


@any_database
@pytest.mark.parametrize(
    "body",
    [
        {"reward": 1.0},
        {"action_id": "a", "episode": "e", "t": 0, "reward": 1.0},
        {"episode": "e", "reward": 1.0},
        {"t": 0, "reward": 1.0},
        {"action_id": "a"},
        {"action_id": "a", "reward": "1"},
        {"action_id": "a", "reward": 1.0, "terminated": 1},
        {"action_id": "a", "reward": 1.0, "more": 1},
        {"feedback": []},
        {"feedback": [{"action_id": "a", "reward": 1.0}] * 1_001},
        {"feedback": [{"action_id": "a", "reward": 1.0}], "reward": 1.0},
    ],
)
def test_feedback_that_is_none_is_refused(client: TestClient, body: dict[str, Any]) -> None:
    assert feed(client, **body)["status"] == 422


@any_database
@pytest.mark.parametrize(
    ("body", "code", "param"),
    [
        ({"log": 1}, "log_invalid", "log"),
        ({"log": "true"}, "log_invalid", "log"),
        ({"log": False, "episode": "e", "t": 0}, "log_invalid", "episode"),
        ({"episode": "e"}, "episode_invalid", "t"),
        ({"t": 3}, "episode_invalid", "episode"),
        ({"episode": "", "t": 0}, "episode_invalid", "episode"),
        ({"episode": "e" * 129, "t": 0}, "episode_invalid", "episode"),
        ({"episode": "e\0", "t": 0}, "episode_invalid", "episode"),
        ({"episode": 1, "t": 0}, "episode_invalid", "episode"),
        ({"episode": "e", "t": -1}, "episode_invalid", "t"),
        ({"episode": "e", "t": 1.0}, "episode_invalid", "t"),
    ],
)
def test_what_cannot_be_logged_so_is_refused(
    client: TestClient, database: Database, body: dict[str, Any], code: str, param: str
) -> None:
    problem = act(client, **body)
    assert (problem["status"], problem["code"], problem["param"]) == (422, code, param)
    assert rows(database) == []


@any_database
def test_policies_whose_actions_make_no_table_are_refused(
    client: TestClient, database: Database, settings: Settings
) -> None:
    trained_job(database, settings, linear_bundle(PARTS, PART_WEIGHTS), name="parts")
    assert act(client, "parts")["code"] == "log_unsupported"
    size = MAX_OBSERVATION + 1
    wide = linear_bundle(
        DISCRETE,
        np.ones((size, 2), np.float32),
        np.zeros((1, size), np.float32),
        observation_space=Box((-1.0,) * size, (1.0,) * size, (size,)).to_json(),
    )
    trained_job(database, settings, wide, name="wide")
    assert act(client, "wide", observation=[0.0] * size)["code"] == "log_unsupported"
    body = {"observations": [ROW, ROW], "log": True, "episode": "e", "t": 0}
    answer = client.post("/policies/choice/act", json=body).json()
    assert answer["code"] == "episode_with_batch"
    headers = {"Accept": "application/x-npy"}
    one = {"observation": ROW, "log": True}
    answer = client.post("/policies/choice/act", json=one, headers=headers).json()
    assert answer["code"] == "log_needs_json"
    assert rows(database) == []


def test_a_place_in_an_episode_is_taken_once(client: TestClient, database: Database) -> None:
    act(client, episode="visit", t=0)
    problem = act(client, episode="visit", t=0)
    assert (problem["status"], problem["code"], problem["param"]) == (409, "sequence_taken", "t")
    assert "action_id" in act(client, episode="visit", t=1)
    assert "action_id" in act(client, episode="another", t=0)
    assert len(rows(database)) == 3


def test_a_full_log_refuses_and_acting_goes_on(client: TestClient, database: Database) -> None:
    app: Any = client.app
    app.state.action_log._max_actions = 1
    act(client)
    problem = act(client)
    assert (problem["status"], problem["code"]) == (422, "log_full")
    assert "MRQ_MAX_LOGGED_ACTIONS allows 1" in problem["detail"]
    assert "action" in act(client, log=False)
    assert client.delete("/policies/choice/feedback").json() == {"deleted": 1}
    assert "action_id" in act(client)


def action(number: int, episode: str | None = None, t: int | None = None) -> Action:
    return Action(
        id=f"act_{number}",
        policy_id="pol_1",
        policy_name="choice",
        mode="sample",
        observation=[0.0],
        action=[1],
        propensity=0.5,
        episode=episode,
        t=t,
    )


def test_requests_share_a_write_and_not_each_others_mistakes(database: Database) -> None:
    """The first write is under way when the others come: they are written together, and then,
    because one of them is refused, each by itself."""

    async def written() -> list[Any]:
        log = ActionLog(database, max_actions=100)
        waiting = [asyncio.create_task(log.write([action(0, "e", 0)]))]
        await asyncio.sleep(0)
        for number in range(1, 6):
            t = 0 if number == 3 else number
            waiting.append(asyncio.create_task(log.write([action(number, "e", t)])))
        return await asyncio.gather(*waiting, return_exceptions=True)

    outcomes = asyncio.run(written())
    assert [type(each) for each in outcomes] == [type(None)] * 3 + [SequenceTaken] + [
        type(None)
    ] * 2
    with database.read() as session:
        assert count_actions(session, "choice").actions == 5


def test_a_log_that_is_behind_refuses(database: Database) -> None:
    async def too_many() -> None:
        log = ActionLog(database, max_actions=10)
        many = [action(number) for number in range(MAX_WAITING + 1)]
        with pytest.raises(QueueFull):
            await log.write(many)

    asyncio.run(too_many())


def make(client: TestClient, name: str = "clicks") -> Any:
    return client.post("/policies/choice/feedback/dataset", json={"name": name})


def test_the_log_becomes_a_dataset_that_a_job_takes(client: TestClient, database: Database) -> None:
    chance = np.random.default_rng(0)
    sent = []
    for number in range(60):
        row = chance.normal(size=3).astype(np.float32).tolist()
        answer = act(client, observation=row, mode="sample", seed=number)
        sent.append((row, answer["action"]))
        feed(client, action_id=answer["action_id"], reward=float(number % 3))
    act(client)  # nobody says what came of it

    answer = make(client)
    assert answer.status_code == 201, answer.text
    dataset = answer.json()
    assert (dataset["name"], dataset["version"], dataset["role"]) == ("clicks", 1, "transitions")
    assert dataset["rows"] == 60
    assert answer.headers["location"] == f"/datasets/{dataset['id']}"
    preview = client.get("/datasets/clicks/preview?limit=1").json()
    table = dict(zip(preview["columns"], preview["rows"][0], strict=True))
    assert [float(table[f"observation_{i}"]) for i in range(3)] == sent[0][0]
    assert int(table["action"]) == sent[0][1]
    assert (table["reward"], table["terminated"], table["truncated"]) == ("0.0", "1", "0")
    assert 0 < float(table["propensity"]) < 1
    assert make(client).status_code == 200  # the same again is the same version
    spec = {
        "environment": {"id": "mrq/Logged-v0", "dataset_id": "clicks"},
        "algorithm": {"mode": "offline", "preset": "small"},
        "budget": {"total_steps": 100},
    }
    assert client.post("/jobs", json=spec).status_code == 201


def test_episodes_of_the_log_are_those_of_the_dataset(client: TestClient) -> None:
    """Where feedback is missing an episode falls apart; what ends one is said by feedback."""
    for episode in range(13):
        for t in range(6):
            act(client, mode="sample", seed=t, episode=f"visit {episode:02}", t=t)
            if t != 2:
                ended = True if t == 5 else None
                feed(client, episode=f"visit {episode:02}", t=t, reward=1.0, terminated=ended)
    answer = make(client)
    assert answer.status_code == 201, answer.text
    preview = client.get("/datasets/clicks/preview?limit=6").json()
    place = preview["columns"].index
    told = [(row[place("episode")], row[place("terminated")]) for row in preview["rows"]]
    assert [ended for _, ended in told] == ["0", "0", "0", "0", "1", "0"]
    first, second, third = told[0][0], told[2][0], told[5][0]
    assert [episode for episode, _ in told] == [first] * 2 + [second] * 3 + [third]
    assert len({first, second, third}) == 3


def test_a_log_without_feedback_makes_no_dataset(client: TestClient) -> None:
    act(client)
    problem = make(client).json()
    assert (problem["status"], problem["code"]) == (422, "invalid_input")
    assert "none of its 1 logged actions has feedback" in problem["detail"]
    assert make(client, "ds_mine").status_code == 422
    assert WEIGHTS.shape == (3, 2)
