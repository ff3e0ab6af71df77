"""How soon what was ended on one gateway is refused on both."""

import concurrent.futures
import itertools
import threading
import time
from collections.abc import Callable, Iterator

from gateways import CHAT, PASSWORD, Client, Stack, log_in, make_user, operator

REVOKED_WITHIN_S, REVOKED_ROUNDS = 1.0, 50
# Between two requests of a busy client: passwords are hashed in the time that nobody else needs.
PACE_S = 0.003
# Then it isn't waited for any longer.
REFUSED_AT_LAST_S = 5


def refused_everywhere(stack: Stack) -> None:
    """What was ended on one gateway is refused on both, while both are busy."""
    with stack.gateway("one") as one, stack.gateway("other") as other:
        both, ended = [one, other], threading.Event()
        key = operator(one).expect(201, "POST", "/api/v1/keys", {"name": "load"})["key"]
        with concurrent.futures.ThreadPoolExecutor(len(WAYS) + 4) as pool:
            loads = [pool.submit(busy, ports, key, ended) for ports in both for _ in range(2)]
            try:
                trials = {way.__name__: pool.submit(worst_of, way, both) for way in WAYS}
                worst = {name: trial.result() for name, trial in trials.items()}
            finally:
                ended.set()
            served = sum(load.result() for load in loads)
    print(f"        {served} requests served beside it, none refused")
    for name, seconds in worst.items():
        print(f"        {name.replace('_', ' ')}: {REVOKED_ROUNDS} times, the slowest refused everywhere after {seconds * 1_000:.0f} ms")
    assert max(worst.values()) <= REVOKED_WITHIN_S, worst


def busy(ports: dict, key: str, ended: threading.Event) -> int:
    client, served = Client(ports["http"], key), 0
    while not ended.wait(PACE_S):
        client.expect(200, "POST", "/v1/chat/completions", CHAT)
        served += 1
    return served


def worst_of(way: Callable, both: list[dict]) -> float:
    rounds = way(both)
    return max(next(rounds) for _ in range(REVOKED_ROUNDS))


def until_refused(both: list[dict], credential: str, end: Callable[[], object]) -> float:
    """How long after the answer to `end` the last gateway still took it."""
    clients = [Client(ports["http"], credential) for ports in both]
    for client in clients:
        client.expect(200, "GET", "/v1/models")
    end()
    since, last = time.perf_counter(), 0.0
    for client in clients:
        while (status := client.ask("GET", "/v1/models")[0]) == 200:
            assert time.perf_counter() - since < REFUSED_AT_LAST_S, "it is still served"
            time.sleep(0.005)
        last = time.perf_counter() - since
        assert status == 401, status
    return last


def a_key_revoked(both: list[dict]) -> Iterator[float]:
    admin = operator(both[0])
    while True:
        made = admin.expect(201, "POST", "/api/v1/keys", {"name": "ends"})
        yield until_refused(both, made["key"], lambda: admin.expect(204, "DELETE", f"/api/v1/keys/{made['id']}"))


def a_key_rotated(both: list[dict]) -> Iterator[float]:
    admin = operator(both[0])
    made = admin.expect(201, "POST", "/api/v1/keys", {"name": "turns"})
    while True:
        rotated = {}
        yield until_refused(both, made["key"], lambda: rotated.update(admin.expect(200, "POST", f"/api/v1/keys/{made['id']}/rotate", {})))
        made = rotated


def a_user_disabled(both: list[dict]) -> Iterator[float]:
    admin, user = operator(both[0]), make_user(both[0], "disabled@example.org")
    key = admin.expect(201, "POST", "/api/v1/keys", {"name": "theirs", "user": user})["key"]
    path = f"/api/v1/admin/users/{user}"
    for turn in itertools.count():
        # Their key and their session, by turns.
        credential = key if turn % 2 else log_in(both[1], "disabled@example.org")["access_token"]
        yield until_refused(both, credential, lambda: admin.expect(200, "PATCH", path, {"state": "disabled"}))
        admin.expect(200, "PATCH", path, {"state": "active"})
        for ports in both:
            wait_until_served(ports, key)


def a_session_ended(both: list[dict]) -> Iterator[float]:
    make_user(both[0], "leaves@example.org")
    while True:
        token = log_in(both[0], "leaves@example.org")["access_token"]
        yield until_refused(both, token, lambda: Client(both[0]["http"], token).expect(204, "POST", "/api/v1/auth/logout"))


def a_password_changed(both: list[dict]) -> Iterator[float]:
    make_user(both[0], "changes@example.org")
    for turn in itertools.count():
        present, new = (f"{PASSWORD}{(turn + more) or ''}" for more in (0, 1))
        other, own = (log_in(both[0], "changes@example.org", present)["access_token"] for _ in range(2))
        change = {"current": present, "new": new}
        yield until_refused(both, other, lambda: Client(both[0]["http"], own).expect(204, "POST", "/api/v1/auth/password", change))


def wait_until_served(ports: dict, key: str) -> None:
    client, until = Client(ports["http"], key), time.monotonic() + 5
    while client.ask("GET", "/v1/models")[0] != 200:
        assert time.monotonic() < until, "who is enabled again isn't served"
        time.sleep(0.01)


WAYS = [a_key_revoked, a_key_rotated, a_user_disabled, a_session_ended, a_password_changed]
