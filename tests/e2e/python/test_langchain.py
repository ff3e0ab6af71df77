"""LangChain with each of its packages for us: one chat, one tool call, one stream, one error."""

import anthropic
import ollama
import openai
import pytest
from langchain_anthropic import ChatAnthropic
from langchain_core.tools import tool
from langchain_ollama import ChatOllama, OllamaEmbeddings
from langchain_openai import ChatOpenAI, OpenAIEmbeddings

MAKERS = {
    "openai": lambda url, key, model: ChatOpenAI(model=model, base_url=f"{url}/v1", api_key=key, max_retries=0, stream_usage=True),
    "responses": lambda url, key, model: ChatOpenAI(
        model=model, base_url=f"{url}/v1", api_key=key, max_retries=0, use_responses_api=True
    ),
    "ollama": lambda url, key, model: ChatOllama(
        model=model, base_url=url, client_kwargs={"headers": {"Authorization": f"Bearer {key}"}}
    ),
    "anthropic": lambda url, key, model: ChatAnthropic(model=model, base_url=url, api_key=key, max_retries=0),
}
ERRORS = (openai.APIError, anthropic.APIError, ollama.ResponseError)


@tool
def get_weather(city: str) -> str:
    """The weather in a city"""
    return f"Sunny in {city}"


@pytest.fixture(params=MAKERS)
def make(request, url, key):
    return lambda model: MAKERS[request.param](url, key, model)


def test_a_chat(make):
    answer = make("demo").invoke("Say hello.")
    assert "demo model" in answer.text
    assert answer.usage_metadata["input_tokens"] > 0 and answer.usage_metadata["output_tokens"] > 0


def test_a_tool_call(make):
    model = make("demo").bind_tools([get_weather])
    asked = [("human", "Call get_weather for Oslo.")]
    answer = model.invoke(asked)
    result = get_weather.invoke(answer.tool_calls[0])
    assert "Sunny in Oslo" in model.invoke([*asked, answer, result]).text


def test_a_stream(make):
    chunks = list(make("demo").stream("Say hello."))
    whole = sum(chunks[1:], start=chunks[0])
    assert len(chunks) > 2 and "demo model" in whole.text
    assert whole.usage_metadata["output_tokens"] > 0


@pytest.mark.parametrize("model", ["nothing-like-it", "demo!status=503"])
def test_an_error(make, model):
    with pytest.raises(ERRORS) as raised:
        make(model).invoke("Say hello.")
    assert raised.value.status_code in (404, 503)


def test_a_stream_that_dies(make):
    with pytest.raises(ERRORS):
        list(make("demo!die-after=3").stream("Say hello."))


def test_embeddings(url, key):
    # It would count with a tokenizer that it downloads, and send numbers in place of text.
    plain = OpenAIEmbeddings(model="demo-embed", base_url=f"{url}/v1", api_key=key, check_embedding_ctx_length=False)
    other = OllamaEmbeddings(model="demo-embed", base_url=url, client_kwargs={"headers": {"Authorization": f"Bearer {key}"}})
    assert plain.embed_query("one") == pytest.approx(other.embed_query("one"), abs=1e-6)
