"""More callers than numbers, all at once."""

import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from http.client import HTTPConnection
from threading import Barrier
from typing import Any, NamedTuple

import pytest
from falcon.testing import Result, TestClient
from redis import Redis

from cticache.numbering.pool import Pool
from kit.aging import age, on_the_second
from kit.running import Service, Wire
from kit.samples import basic, make_pool

CALLS = "/cticache/DNIS-ANI"
EIGHT = "5551234560-5551234567"
NewService = Callable[..., Service]


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    body: dict[str, Any]


@contextmanager
def running(service: Service, dispatch: str) -> Iterator[Wire]:
    wire = Wire(service, dispatch)
    try:
        yield wire
    finally:
        wire.stop()


def ask(port: int, method: str, path: str, body: str | None = None) -> Answer:
    with closing(HTTPConnection("127.0.0.1", port, timeout=20)) as connection:
        connection.request(method, path, body, {"Authorization": basic("username")})
        answer = connection.getresponse()
        headers = {name.lower(): text for name, text in answer.getheaders()}
        return Answer(answer.status, headers, json.loads(answer.read()))


def race(wire: Wire, anis: Sequence[str], ttl: int = 60) -> list[Answer]:
    """POST for every ANI at the same moment, the value being the caller's place in the list."""
    barrier = Barrier(len(anis))

    def post(place: int) -> Answer:
        body = json.dumps({"value": f"value {place}", "ani": anis[place], "ttl": ttl})
        barrier.wait(10)
        return ask(wire.port, "POST", CALLS, body)

    with ThreadPoolExecutor(len(anis)) as threads:
        return list(threads.map(post, range(len(anis))))


def api_of(service: Service) -> TestClient:
    return TestClient(service.app, headers={"Authorization": basic("username")})


def post(api: TestClient, ani: str, ttl: int = 60) -> Result:
    return api.simulate_post(CALLS, body=json.dumps({"value": ani, "ani": ani, "ttl": ttl}))


def check_exhausted(answer: Answer, most: int = 65) -> None:
    assert answer.status == 503
    assert answer.body.keys() == {"error", "detail", "status"}
    assert answer.body["error"] == "pool_exhausted"
    assert 1 <= int(answer.headers["retry-after"]) <= most


def test_64_callers_race_for_8_numbers_and_each_number_is_lent_once(new_service: NewService, dispatch: str) -> None:
    service = new_service(make_pool(EIGHT, exhausted="reject"))
    with running(service, dispatch) as wire:
        answers = race(wire, [str(ani) for ani in range(64)])
    won = [answer for answer in answers if answer.status == 201]
    assert {answer.body["dnis"] for answer in won} == set(service.pools.get("system-y").numbers)
    assert len(won) == 8
    for answer in answers:
        if answer not in won:
            check_exhausted(answer)
    (stats,) = service.store.pool_stats(list(service.pools))
    assert (stats.leased, stats.leased_total, stats.rejected_total) == (8, 8, 56)


def test_each_winner_of_the_race_finds_its_own_value(new_service: NewService, dispatch: str) -> None:
    anis = [str(ani) for ani in range(64)]
    with running(new_service(make_pool(EIGHT, exhausted="reject")), dispatch) as wire:
        answers = race(wire, anis)
        for place, answer in enumerate(answers):
            if answer.status == 201:
                taken = ask(wire.port, "DELETE", answer.headers["location"])
                assert (taken.status, taken.body) == (200, {"value": f"value {place}"})


def test_after_the_time_that_retry_after_tells_a_number_is_free(client: Redis, new_service: NewService) -> None:
    api = api_of(new_service(make_pool("5551234560", exhausted="reject")))
    assert post(api, "1").status_code == 201
    on_the_second(client)
    refused = post(api, "2")
    assert refused.headers["retry-after"] == "65"  # the lease's 60 s and the cool-down
    age(client, 64_000)
    refused = post(api, "2")
    assert refused.status_code == 503
    assert refused.headers["retry-after"] == "1"
    age(client, 1_000)
    assert post(api, "2").status_code == 201


def test_retry_after_tells_of_the_number_that_falls_free_first(client: Redis, new_service: NewService) -> None:
    api = api_of(new_service(make_pool(exhausted="reject")))
    for ani, ttl in (("1", 300), ("2", 20), ("3", 600)):
        assert post(api, ani, ttl).status_code == 201
    on_the_second(client)
    assert post(api, "4").headers["retry-after"] == "25"


def test_a_take_makes_retry_after_the_cool_down(client: Redis, new_service: NewService) -> None:
    api = api_of(new_service(make_pool("5551234560", exhausted="reject")))
    api.simulate_delete(post(api, "1").headers["location"])
    on_the_second(client)
    assert post(api, "2").headers["retry-after"] == "5"
    age(client, 5_000)
    assert post(api, "2").json["dnis"] == "5551234560"


def test_one_pools_want_is_not_anothers(new_service: NewService) -> None:
    api = api_of(new_service(make_pool("5551234560", exhausted="reject"), make_pool("5559990000", name="other")))
    assert post(api, "1").status_code == 201
    assert post(api, "2").status_code == 503
    other = api.simulate_post(CALLS, body='{"value":1,"ani":"2","pool":"other"}')
    assert other.json["dnis"] == "5559990000"


def test_64_callers_share_8_numbers_and_each_takes_its_own_value(new_service: NewService, dispatch: str) -> None:
    with running(new_service(make_pool(EIGHT)), dispatch) as wire:
        answers = race(wire, [str(ani) for ani in range(64)])
        assert {answer.status for answer in answers} == {201}
        assert Counter(answer.body["dnis"] for answer in answers) == {str(5551234560 + n): 8 for n in range(8)}
        with ThreadPoolExecutor(16) as threads:
            places = [answer.headers["location"] for answer in answers]
            taken = list(threads.map(lambda place: ask(wire.port, "DELETE", place), places))
        assert [answer.body for answer in taken] == [{"value": f"value {place}"} for place in range(64)]
        with ThreadPoolExecutor(16) as threads:
            assert set(threads.map(lambda place: ask(wire.port, "DELETE", place).status, places)) == {410}


@pytest.mark.parametrize("ani", ["1234567890", ""], ids=["one number", "withheld"])
def test_calls_of_one_ani_never_share_a_number(new_service: NewService, dispatch: str, ani: str) -> None:
    with running(new_service(make_pool(EIGHT)), dispatch) as wire:
        answers = race(wire, [ani] * 32)
        won = {place: answer for place, answer in enumerate(answers) if answer.status == 201}
        assert len({answer.body["dnis"] for answer in won.values()}) == len(won) == 8
        for place, answer in enumerate(answers):
            if place in won:
                taken = ask(wire.port, "DELETE", answer.headers["location"])
                assert taken.body == {"value": f"value {place}"}
            else:
                check_exhausted(answer, 120)  # the lease's 60 s, and 60 s in which one may ask for its call


def test_in_a_race_withheld_callers_have_their_numbers_alone(new_service: NewService, dispatch: str) -> None:
    anis = ["", *(str(ani) for ani in range(7))] * 6
    with running(new_service(make_pool(EIGHT)), dispatch) as wire:
        answers = race(wire, anis)
    on_number = defaultdict(list)
    for ani, answer in zip(anis, answers, strict=True):
        if answer.status == 201:
            on_number[answer.body["dnis"]].append(ani)
        else:
            check_exhausted(answer)
    assert len(on_number) == 8
    assert all(on_it == [""] for on_it in on_number.values() if "" in on_it)


def test_an_ani_spelt_otherwise_is_the_same_ani(new_service: NewService) -> None:
    api = api_of(new_service(make_pool("5551234560")))
    assert post(api, "+1 (234) 567-890").status_code == 201
    assert post(api, "1234567890").status_code == 503
    assert post(api, "sip:1234567890@host").status_code == 503
    assert post(api, "1234567891").status_code == 201


def test_a_number_has_at_most_max_callers(new_service: NewService) -> None:
    api = api_of(new_service(make_pool("5551234560", max_callers=3)))
    locations = [post(api, str(ani)).headers["location"] for ani in range(3)]
    assert post(api, "99").status_code == 503
    assert api.simulate_delete(locations[1]).json == {"value": "1"}
    assert post(api, "99").status_code == 201


def test_a_pool_whose_numbers_all_drain_leases_none_and_says_when_to_come_back(new_service: NewService) -> None:
    pool: Pool = make_pool("5551234560", draining="5551234560")
    answer = post(api_of(new_service(pool)), "1")
    assert (answer.status_code, answer.json["error"]) == (503, "pool_exhausted")
    assert int(answer.headers["retry-after"]) >= 1
