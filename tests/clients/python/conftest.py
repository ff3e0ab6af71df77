"""The gateway under test, as a person's environment would name it."""

import os

import ollama
import openai
import pytest


@pytest.fixture(scope="session")
def base_url() -> str:
    return os.environ["FLUXGATE_BASE_URL"]


@pytest.fixture(scope="session")
def key() -> str:
    return os.environ["FLUXGATE_KEY"]


@pytest.fixture()
def client(base_url, key) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{base_url}/v1", api_key=key, max_retries=0, timeout=20)


@pytest.fixture()
def ollama_client(base_url, key) -> ollama.Client:
    return ollama.Client(host=base_url, headers={"Authorization": f"Bearer {key}"}, timeout=20)
