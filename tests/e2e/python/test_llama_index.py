"""LlamaIndex: one chat, one tool call, one stream, one error."""

import ollama
import openai
import pytest
from llama_index.core.llms import ChatMessage
from llama_index.core.tools import FunctionTool
from llama_index.llms.ollama import Ollama
from llama_index.llms.openai_like import OpenAILike

MAKERS = {
    "openai-like": lambda url, key, model: OpenAILike(
        model=model, api_base=f"{url}/v1", api_key=key, context_window=32_768,
        is_chat_model=True, is_function_calling_model=True, max_retries=0,
    ),
    "ollama": lambda url, key, model: Ollama(
        model=model, base_url=url, headers={"Authorization": f"Bearer {key}"}, context_window=32_768
    ),
}  # fmt: skip


def get_weather(city: str) -> str:
    """The weather in a city"""
    return f"Sunny in {city}"


@pytest.fixture(params=MAKERS)
def make(request, url, key):
    return lambda model: MAKERS[request.param](url, key, model)


def test_a_chat(make):
    assert "demo model" in str(make("demo").chat([ChatMessage("Say hello.")]))


def test_a_tool_call(make):
    model = make("demo")
    answer = model.chat_with_tools([FunctionTool.from_defaults(get_weather)], user_msg="Call get_weather for Oslo.")
    call = model.get_tool_calls_from_response(answer)[0]
    assert (call.tool_name, call.tool_kwargs) == ("get_weather", {"city": "Oslo"})


def test_a_stream(make):
    pieces = [piece.delta for piece in make("demo").stream_complete("Say hello.")]
    assert len(pieces) > 2 and "demo model" in "".join(pieces)


@pytest.mark.parametrize("model", ["nothing-like-it", "demo!status=503"])
def test_an_error(make, model):
    with pytest.raises((openai.APIStatusError, ollama.ResponseError)) as raised:
        make(model).complete("Say hello.")
    assert raised.value.status_code in (404, 503)


def test_a_stream_that_dies(make):
    with pytest.raises((openai.APIError, ollama.ResponseError)):
        list(make("demo!die-after=3").stream_complete("Say hello."))
