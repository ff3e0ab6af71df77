"""pydantic-ai with each of its models for us: one chat, one tool call, one stream, one error."""

import anthropic
import openai
import pytest
from pydantic import BaseModel
from pydantic_ai import Agent
from pydantic_ai.exceptions import ModelAPIError, ModelHTTPError
from pydantic_ai.models.anthropic import AnthropicModel
from pydantic_ai.models.openai import OpenAIChatModel, OpenAIResponsesModel
from pydantic_ai.providers.anthropic import AnthropicProvider
from pydantic_ai.providers.openai import OpenAIProvider


class Number(BaseModel):
    n: int


@pytest.fixture(params=["chats", "responses", "anthropic"])
def make(request, url, key):
    # Clients of our own, only to switch off their retries.
    if request.param == "anthropic":
        client = anthropic.AsyncAnthropic(base_url=url, api_key=key, max_retries=0)
        return lambda model: AnthropicModel(model, provider=AnthropicProvider(anthropic_client=client))
    client = openai.AsyncOpenAI(base_url=f"{url}/v1", api_key=key, max_retries=0)
    kind = OpenAIChatModel if request.param == "chats" else OpenAIResponsesModel
    return lambda model: kind(model, provider=OpenAIProvider(openai_client=client))


def test_a_chat(make):
    answer = Agent(make("demo")).run_sync("Say hello.")
    assert "demo model" in answer.output


def test_a_tool_call(make):
    agent = Agent(make("demo"))

    @agent.tool_plain
    def get_weather(city: str) -> str:
        """The weather in a city"""
        return f"Sunny in {city}"

    assert "Sunny in Oslo" in agent.run_sync("Call get_weather for Oslo.").output


def test_a_form(make):
    assert Agent(make("demo"), output_type=Number).run_sync("Give the number 7.").output.n == 7


def test_a_stream(make):
    stream = Agent(make("demo")).run_stream_sync("Say hello.")
    pieces = list(stream.stream_text(delta=True, debounce_by=None))
    assert len(pieces) > 2 and "demo model" in "".join(pieces)


@pytest.mark.parametrize("model", ["nothing-like-it", "demo!status=503"])
def test_an_error(make, model):
    with pytest.raises(ModelHTTPError) as raised:
        Agent(make(model)).run_sync("Say hello.")
    assert raised.value.status_code in (404, 503)


def test_a_stream_that_dies(make):
    with pytest.raises((ModelAPIError, openai.APIError, anthropic.APIError)):
        stream = Agent(make("demo!die-after=3")).run_stream_sync("Say hello.")
        list(stream.stream_text(delta=True, debounce_by=None))
