"""Playing over HTTP is playing: what the policy is sent, and what is done with its answer."""

from collections.abc import Callable, Iterator

import numpy as np
import pytest
from numpy.typing import NDArray
from starlette.testclient import TestClient

from app.main import create_app
from cli.playing import play_episodes
from mrq_core.environments import Environment, Frame, Outcome
from mrq_core.observations import FrameHistory, wire_space
from store.catalogue import CATALOGUE
from store.database import Database
from store.settings import Settings
from tests.app.bundles import linear_bundle, pixel_bundle, pixel_outputs
from tests.app.driving import BEARER, trained_job

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)

Floats = NDArray[np.float32]
SEED = 3


@pytest.fixture
def client(settings: Settings, database: Database) -> Iterator[TestClient]:
    with TestClient(create_app(settings), headers=BEARER) as client:
        yield client


def environment_of(environment_id: str, history: int) -> Environment:
    entry = CATALOGUE[environment_id]
    return Environment(entry.gymnasium_id, {}, entry.max_episode_steps, history=history)


def play_here(environment: Environment, outputs: Callable[[Floats], Floats]) -> tuple[float, int]:
    """Return and length of an episode, from the network's inputs as training makes them."""
    seen: Frame | Outcome = environment.reset(SEED, 0)
    history = FrameHistory(environment.form)
    history.begin(seen.observation)
    total, length, ended = 0.0, 0, False
    while not ended:
        masks = None if seen.mask is None else seen.mask[None]
        inputs = history.input().reshape(1, -1).astype(np.float32)
        action = environment.codec.to_environment(outputs(inputs), masks)[0]
        seen = outcome = environment.step(action, length)
        history.append(outcome.observation)
        total, length = total + outcome.reward, length + 1
        ended = outcome.terminated or outcome.truncated
    environment.close()
    return total, length


@pytest.mark.parametrize(
    ("environment_id", "history"),
    [
        ("Pendulum-v1", 1),
        ("Pendulum-v1", 2),
        ("Blackjack-v1", 1),  # a tuple of integers
        ("FrozenLake-v1", 3),  # integers
        ("Taxi-v4", 1),  # with masks
    ],
)
def test_an_episode_goes_as_it_does_without_a_server(
    client: TestClient, database: Database, settings: Settings, environment_id: str, history: int
) -> None:
    environment = environment_of(environment_id, history)
    form, codec = environment.form, environment.codec
    rng = np.random.default_rng(0)
    weights = rng.normal(size=(form.input_size, codec.action_dim)).astype(np.float32)
    weights += np.arange(codec.action_dim)  # Taxi's last ones are rarely allowed, and cost 10
    bundle = linear_bundle(
        environment.action_space,
        weights,
        rng.normal(size=(3, form.input_size)).astype(np.float32),
        environment_id=CATALOGUE[environment_id].gymnasium_id,
        observation_space=wire_space(environment.observation_space, form).to_json(),
        history=history,
    )
    trained_job(database, settings, bundle, name="it")
    squash = (lambda x: x) if codec.discrete else np.tanh
    total, length = play_here(environment, lambda inputs: squash(inputs @ weights))
    played = play_episodes(client, "it", environment_id, [SEED])
    assert played.returns == [pytest.approx(total, rel=1e-4)]
    assert len(played.action_seconds) == length


def test_pixels_are_sent_with_their_history(
    client: TestClient, database: Database, settings: Settings
) -> None:
    """The policy compares the newest frame with the oldest."""
    shape, history = (1, 42, 42), 4
    trained_job(database, settings, pixel_bundle(history, shape), name="it")
    environment = environment_of("mrq/Catch-v0", history)
    expected = play_here(environment, lambda inputs: pixel_outputs(inputs, history, shape))
    played = play_episodes(client, "it", "mrq/Catch-v0", [SEED, SEED])
    assert played.returns == [expected[0]] * 2
    assert len(played.action_seconds) == 2 * expected[1]
