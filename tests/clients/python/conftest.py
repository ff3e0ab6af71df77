"""The gateways under test, as a person's environment would name them. Each client runs against a
gateway for each kind of model server that it can be used with."""

import json
import os
from types import SimpleNamespace

import anthropic
import ollama
import openai
import pytest

# By what the model server behind it speaks: `all` is an Ollama to the gateway.
GATEWAYS = {name: SimpleNamespace(**gateway) for name, gateway in json.loads(os.environ["FLUXGATE_GATEWAYS"]).items()}


def pytest_generate_tests(metafunc):
    # A file of tests says in OVER which of them its client is for.
    over = getattr(metafunc.module, "OVER", None)
    if over and "gateway" in metafunc.fixturenames:
        metafunc.parametrize("gateway", [GATEWAYS[name] for name in over], ids=[f"over-{name}" for name in over])


@pytest.fixture()
def openai_client(gateway) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{gateway.url}/v1", api_key=gateway.key, max_retries=0, timeout=20)


@pytest.fixture()
def anthropic_client(gateway) -> anthropic.Anthropic:
    return anthropic.Anthropic(base_url=gateway.url, api_key=gateway.key, max_retries=0, timeout=20)


@pytest.fixture()
def ollama_client(gateway) -> ollama.Client:
    return ollama.Client(host=gateway.url, headers={"Authorization": f"Bearer {gateway.key}"}, timeout=20)
