"""What the recommender's world knows of a user, and what it keeps from the agent."""

from typing import Any

import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from mrq_core.environments import make_environment
from mrq_core.tasks.ratings import FILMS, Ratings, movielens, tabulated
from mrq_core.tasks.recommend import RECOMMENDATIONS, Recommend


@pytest.fixture(scope="module")
def films() -> Ratings:
    return movielens()


def _columns(rows: list[tuple[int, int, str, float]]) -> dict[str, Any]:
    user, film, genres, stars = zip(*rows, strict=True)
    return {
        "userId": np.array(user),
        "movieId": np.array(film),
        "title": np.array([f"film {number}" for number in film], object),
        "genres": np.array(genres, object),
        "year": np.full(len(rows), 2000.0),
        "rating": np.array(stars),
    }


def _rows(user: int, stars: float, films: range) -> list[tuple[int, int, str, float]]:
    return [(user, film, "Drama", stars) for film in films]


@pytest.fixture
def small() -> Ratings:
    """Films 0 to 99 are rated by two users, film 500 by one: it is not among the hundred."""
    rows = _rows(1, 5.0, range(100)) + _rows(5, 2.0, range(100)) + _rows(7, 5.0, range(9))
    return tabulated(_columns([*rows, (1, 500, "Comedy|War", 4.5)]))


def test_who_rated_fewer_than_ten_of_the_films_takes_no_part(small: Ratings) -> None:
    assert small.liked.shape == (2, FILMS)
    assert small.liked[0].all()
    assert not small.liked[1].any()


def test_every_fifth_user_is_held_out(small: Ratings) -> None:
    assert list(small.users(held_out=True)) == [1]  # the user 5
    assert list(small.users(held_out=False)) == [0]


def _with_others(stars: float) -> Ratings:
    """Users 1 and 2 learn, 5 is held out; each rated another film, and the hundred alike."""
    rows = [row for user in (1, 2, 5) for row in _rows(user, stars, range(100))]
    others = [(1, 500, "Comedy|War", 4.5), (2, 501, "Comedy", 3.5), (5, 502, "Comedy|War", 5.0)]
    return tabulated(_columns([*rows, *others]))


def test_a_profile_knows_nothing_of_the_films_that_may_be_recommended() -> None:
    loved, hated = _with_others(5.0), _with_others(1.0)
    assert loved.liked.all()
    assert not hated.liked.any()
    np.testing.assert_array_equal(loved.profiles, hated.profiles)


def test_a_profile_is_in_deviations_from_the_users_who_are_not_held_out() -> None:
    comedy, war, comedy_stars, war_stars, ratings, age = _with_others(5.0).profiles.T.tolist()
    # Shares of Comedy are 1, 1, 1, of War 1, 0, 1. Stars of Comedy above 3.5: 1, 0, 1.5; their mean
    # and deviation over the first two are a half each.
    assert comedy == ratings == age == [0, 0, 0]
    assert war == [1, -1, 1]
    assert comedy_stars == [1, -1, 2]
    assert war_stars == [1, -1, 2]


def test_a_click_is_a_film_that_the_user_liked(small: Ratings) -> None:
    for env, reward in ((Recommend("train", small), 1.0), (Recommend("held_out", small), 0.0)):
        env.reset(seed=0)
        observation, paid, *_ = env.step(np.int64(3))
        assert paid == reward
        assert observation[-FILMS:][3] == (1.0 if reward else -1.0)


def test_an_episode_is_ten_films_each_once(small: Ratings) -> None:
    env = Recommend("train", small)
    _, info = env.reset(seed=0)
    for film in range(RECOMMENDATIONS):
        assert info["action_mask"][film] == 1
        _, _, terminated, truncated, info = env.step(np.int64(film))
        assert info["action_mask"][film] == 0
        assert (terminated, truncated) == (film == RECOMMENDATIONS - 1, False)


def test_a_film_recommended_twice_is_refused(small: Ratings) -> None:
    env = Recommend("train", small)
    env.reset(seed=0)
    env.step(np.int64(3))
    with pytest.raises(ValueError, match="film 3 was recommended already"):
        env.step(np.int64(3))


@pytest.mark.filterwarnings("ignore:.*A Box observation space:UserWarning")
def test_on_the_real_ratings(films: Ratings) -> None:
    assert films.titles[0] == "Forrest Gump"
    assert films.liked.shape == (489, FILMS)
    check_env(Recommend("train", films), skip_render_check=True)
    env = make_environment("mrq_core.tasks:mrq/Recommend-v0", {"users": "held_out"}, None, 1)
    observation, _ = env.reset(seed=1)
    assert observation.shape == (142,)


def test_users_differ_by_seed_and_stay_in_their_group(films: Ratings) -> None:
    env = Recommend("held_out", films)
    met = set()
    for seed in range(50):
        env.reset(seed=seed)
        met.add(env.user)
    assert len(met) > 25
    assert met <= set(films.users(held_out=True).tolist())
