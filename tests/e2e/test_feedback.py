"""The loop across a killed server; `make feedback` is the long version."""

from benchmarks.applications.running import answer_of
from benchmarks.feedback import NAME, findings, learn, run, trained
from cli.embedded import RunningService
from tests.e2e.service import API_KEY, LiveService

ACTIONS = 80


def test_each_reward_is_joined_once_and_a_job_learns_from_them(service: LiveService) -> None:
    running = RunningService(url=service.url, key=API_KEY, login_link="")
    with running.client() as client:
        trained(client)
        told = run(running, service.data_dir, ACTIONS, kills=1, clients=2)
        wrong, _ = findings(service.data_dir, told, ACTIONS)
        assert wrong == []
        log = answer_of(client.get(f"/policies/{NAME}/feedback"))
        assert (log["joined"], log["reward_mean"]) == (ACTIONS, (ACTIONS - 1) / 2)
        assert learn(client, ACTIONS) == []
