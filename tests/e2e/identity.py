#!/usr/bin/env python3
"""What needs a percentile, a pooler or two gateways of keys and sessions: the time that a log-in tells, model
traffic while passwords are guessed, PostgreSQL behind PgBouncer, and how soon what was ended is refused."""

import argparse
import concurrent.futures
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

import servers
from gateways import CHAT, LOGIN, PASSWORD, Client, Stack, log_in, make_user, mock_upstream, operator, pgbouncer
from hammer import Hammer
from programs import BINARIES, demo
from revoking import refused_everywhere

WRONG = "incorrect horse battery"
REFRESH, ME, SESSIONS = (f"/api/v1/auth/{name}" for name in ("refresh", "me", "sessions"))

# Of a log-in's time, what tells a known address from an unknown one.
MEDIANS_DIFFER_MS_MAX = 1.0
TIMED_OF_EACH, TIMED_WARM_UP, TIMED_RUNS_MAX = 1_000, 20, 3
# Model traffic while passwords are guessed, beside the same while as many clients ask for something cheap.
HAMMERING_CLIENTS, HAMMERED_S = 200, 30
P99_RATIO_MAX, P99_SLACK_MS = 1.3, 1.0
HASH_MIB, GROWTH_SLACK_MIB = 19, 20
POOLED_THREADS = 8


def told_by_time(stack: Stack) -> None:
    """Whoever else is at work on this machine may hide what a log-in tells, and make up what it doesn't: what is
    there is seen in every run."""
    runs = (timed_log_ins(stack, run) for run in range(TIMED_RUNS_MAX))
    assert any(differ < MEDIANS_DIFFER_MS_MAX for differ in runs), "the medians differ in every run"


def timed_log_ins(stack: Stack, run: int) -> float:
    """Known addresses and unknown ones take turns, each from a place of its own: how their medians differ, in ms."""
    with stack.gateway(f"timing{run}", TRUSTED_PROXIES="127.0.0.0/8") as ports:
        make_user(ports, f"model{run}@example.org")
        stack.sql(
            "INSERT INTO users (id, email, role, created_at, password_hash) "
            f"SELECT gen_random_uuid(), 'known{run}-' || n || '@example.org', 'member', now(), u.password_hash "
            f"FROM users u, generate_series(0, {TIMED_OF_EACH - 1}) n WHERE u.email = 'model{run}@example.org'"
        )
        client, times = Client(ports["http"]), {"known": [], "unknown": []}
        turns = [(kind, number) for number in range(TIMED_OF_EACH) for kind in random.sample(sorted(times), 2)]
        warm_up = [("unknown", TIMED_OF_EACH + number) for number in range(TIMED_WARM_UP)]
        for turn, (kind, number) in enumerate(warm_up + turns):
            place = f"10.{turn >> 16}.{turn >> 8 & 255}.{turn & 255}"
            asked = {"email": f"{kind}{run}-{number}@example.org", "password": WRONG, "grant": "bearer"}
            since = time.perf_counter()
            client.expect(401, "POST", LOGIN, asked, X_Forwarded_For=place)
            if turn >= len(warm_up):
                times[kind].append((time.perf_counter() - since) * 1_000)
    medians = {kind: statistics.median(of) for kind, of in times.items()}
    for kind, of in times.items():
        print(f"        {kind}: median {medians[kind]:.2f} ms, p95 {statistics.quantiles(of, n=20)[-1]:.2f} ms, {len(of)} log-ins")
    differ = abs(medians["known"] - medians["unknown"])
    print(f"        the medians differ by {differ:.3f} ms", flush=True)
    return differ


def guessed_at_under_traffic(stack: Stack) -> None:
    """200 clients guess passwords; whoever has a key hardly notices."""
    with mock_upstream(stack.folder) as upstream:
        with stack.gateway("hammer", TRUSTED_PROXIES="127.0.0.0/8", DOWNSTREAM_AI_URLS=upstream) as ports:
            key = operator(ports).expect(201, "POST", "/api/v1/keys", {"name": "traffic"})["key"]
            measure_load(ports, key, 2)
            idle = measure_load(ports, key, 10)
            report("idle", idle)
            with Hammer(ports["http"], HAMMERING_CLIENTS, healthz).swinging() as cheap:
                beside = measure_load(ports, key, 10)
            report("beside /healthz", beside, cheap)
            before = resident_mib(ports["pid"])
            with Hammer(ports["http"], HAMMERING_CLIENTS, guess).swinging() as guesses:
                watch = Highest(ports["pid"])
                guessed = measure_load(ports, key, HAMMERED_S)
                grown = watch.end() - before
            report("beside log-ins", guessed, guesses)
    permits = max(len(os.sched_getaffinity(0)) - 1, 1)
    allowed = permits * HASH_MIB + GROWTH_SLACK_MIB
    print(f"        resident memory: {before:.1f} MiB, grew by {grown:.1f} MiB of {allowed}")
    limit = P99_RATIO_MAX * max(p99_ms(idle), p99_ms(beside)) + P99_SLACK_MS
    print(f"        p99 {p99_ms(guessed):.2f} ms of {limit:.2f} ms")
    assert set(guesses.statuses) <= {401, 429, 503} and guesses.statuses[401] > 0 and not guesses.broken, guesses.statuses
    assert all(not load["errors"] for load in (idle, beside, guessed)), "a request of a known key failed"
    assert grown <= allowed, f"{grown:.1f} MiB"
    assert p99_ms(guessed) <= limit, f"{p99_ms(guessed):.2f} ms"


def healthz(_number: int) -> bytes:
    return b"GET /healthz HTTP/1.1\r\nhost: hammer\r\n\r\n"


def guess(number: int) -> bytes:
    """From an address of its own, so that the hash is what holds it up."""
    body = json.dumps({"email": f"nobody{number}@example.org", "password": WRONG, "grant": "bearer"})
    place = f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"
    head = f"POST {LOGIN} HTTP/1.1\r\nhost: hammer\r\nx-forwarded-for: {place}\r\ncontent-type: application/json\r\n"
    return f"{head}content-length: {len(body)}\r\n\r\n{body}".encode()


def measure_load(ports: dict, key: str, seconds: float) -> dict:
    command = [BINARIES / "fluxgate-bench", "load", "--target", ports["http"], "--bearer", key]
    command += ["--connections", "2", "--duration", str(seconds), "--watch-pid", str(ports["pid"])]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, timeout=seconds + 30).stdout)


def p99_ms(load: dict) -> float:
    return load["latency"]["p99_us"] / 1_000


def report(what: str, load: dict, hammer: Hammer | None = None) -> None:
    latency = load["latency"]
    line = f"{what}: p50 {latency['p50_us'] / 1_000:.2f} ms, p99 {p99_ms(load):.2f} ms, {load['rps']:.0f}/s"
    counts = f"; hammered: {dict(sorted(hammer.statuses.items()))}" if hammer else ""
    print(f"        {line}{counts}")


def resident_mib(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) / 1_024


class Highest:
    """The most that a process held, looked at ten times a second."""

    def __init__(self, pid: int):
        self.pid, self.highest, self.ended = pid, 0.0, threading.Event()
        self.thread = threading.Thread(target=self.watch)
        self.thread.start()

    def watch(self) -> None:
        while not self.ended.wait(0.1):
            self.highest = max(self.highest, resident_mib(self.pid))

    def end(self) -> float:
        self.ended.set()
        self.thread.join()
        return self.highest


def behind_a_pooler(stack: Stack) -> None:
    """10,000 requests of every kind; PgBouncer changes the server's process after each transaction."""
    with pgbouncer(stack) as database, stack.gateway("pooled", database, FLUXGATE__DATABASE__POOLER="transaction") as ports:
        keys = [operator(ports).expect(201, "POST", "/api/v1/keys", {"name": f"known {n}"})["key"] for n in range(20)]
        emails = [f"pooled{number}@example.org" for number in range(POOLED_THREADS)]
        for email in emails:
            make_user(ports, email)
        counts = {"traffic": 600, "new key": 60, "log-in": 25, "refresh": 105, "list": 200}
        with concurrent.futures.ThreadPoolExecutor(POOLED_THREADS) as pool:
            asked = sum(pool.map(lambda email: pooled_client(ports, keys, email, counts), emails))
    print(f"        {asked} requests by {POOLED_THREADS} clients at once, none with an unexpected status")
    assert asked >= 10_000


def pooled_client(ports: dict, keys: list[str], email: str, counts: dict[str, int]) -> int:
    chance, asked = random.Random(email), 0
    acts = [act for act, count in counts.items() for _ in range(count)]
    chance.shuffle(acts)
    public, admin, tokens = Client(ports["http"]), operator(ports), log_in(ports, email)
    for act in acts:
        bearer = f"Bearer {tokens['access_token']}"
        match act:
            case "traffic":
                public.expect(200, "POST", "/v1/chat/completions", CHAT, authorization=f"Bearer {chance.choice(keys)}")
                asked += 1
            case "new key":
                key = public.expect(201, "POST", "/api/v1/keys", {"name": "new"}, authorization=bearer)["key"]
                public.expect(200, "POST", "/v1/chat/completions", CHAT, authorization=f"Bearer {key}")
                asked += 2
            case "log-in":
                tokens = public.expect(200, "POST", LOGIN, {"email": email, "password": PASSWORD, "grant": "bearer"})
                asked += 1
            case "refresh":
                tokens = public.expect(200, "POST", REFRESH, {"refresh_token": tokens["refresh_token"]})
                asked += 1
            case _:
                public.expect(200, "GET", chance.choice([ME, SESSIONS, "/api/v1/keys?limit=5"]), authorization=bearer)
                admin.expect(200, "GET", chance.choice(["/api/v1/admin/users", "/api/v1/admin/audit?limit=5"]))
                asked += 2
    return asked


CHECKS = [refused_everywhere, behind_a_pooler, told_by_time, guessed_at_under_traffic]


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--only", choices=[check.__name__ for check in CHECKS])
    only, failed = arguments.parse_args().only, 0
    with tempfile.TemporaryDirectory(prefix="fluxgate-identity-") as name:
        folder = Path(name)
        with servers.postgres(folder) as database, servers.redis(folder) as redis, demo(folder) as model_server:
            stack = Stack(folder, database, redis, model_server)
            for check in CHECKS:
                if only in (None, check.__name__):
                    failed += not holds(check, stack)
    print("identity:", f"{failed} failed" if failed else "ok")
    return 1 if failed else 0


def holds(check: Callable, stack: Stack) -> bool:
    try:
        check(stack)
    except AssertionError as error:
        print(f"FAILED  {check.__name__}: {error}")
        return False
    print(f"ok      {check.__name__}", flush=True)
    return True


if __name__ == "__main__":
    sys.exit(main())
