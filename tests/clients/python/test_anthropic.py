"""anthropic-python, as it comes."""

import anthropic
import pytest
from asked import ASK_WEATHER, CITY, HELLO, WEATHER

OVER = ["all", "anthropic"]
TOOL = {"name": "get_weather", "description": WEATHER, "input_schema": CITY}
ASKED = {"model": "demo", "max_tokens": 200, "messages": HELLO}


def test_models_are_listed_and_told_one_by_one(anthropic_client):
    names = [model.id for model in anthropic_client.models.list()]
    assert {"demo", "demo:latest"} & set(names)
    assert anthropic_client.models.retrieve(names[0]).id == names[0]


def test_a_message_answers_with_its_usage(anthropic_client):
    answer = anthropic_client.messages.create(**ASKED, system="Be brief.")
    assert answer.type == "message" and answer.stop_reason == "end_turn"
    assert answer.content[0].text
    assert answer.usage.input_tokens > 0 and answer.usage.output_tokens > 0


def test_a_stream_says_the_same(anthropic_client):
    whole = anthropic_client.messages.create(**ASKED)
    with anthropic_client.messages.stream(**ASKED) as stream:
        text = "".join(stream.text_stream)
        last = stream.get_final_message()
    assert text == whole.content[0].text == last.content[0].text
    assert last.usage.input_tokens == whole.usage.input_tokens
    assert last.usage.output_tokens == whole.usage.output_tokens


def test_the_events_of_a_stream_come_in_their_order(anthropic_client):
    kinds = [event.type for event in anthropic_client.messages.create(**ASKED, stream=True)]
    assert kinds[0] == "message_start" and kinds[-1] == "message_stop"
    assert "content_block_delta" in kinds


def test_a_tool_is_called_and_its_result_is_answered(anthropic_client):
    asked = ASKED | {"messages": ASK_WEATHER, "tools": [TOOL]}
    answer = anthropic_client.messages.create(**asked, tool_choice={"type": "any"})
    assert answer.stop_reason == "tool_use"
    call = next(block for block in answer.content if block.type == "tool_use")
    assert call.name == "get_weather" and "city" in call.input
    result = {"type": "tool_result", "tool_use_id": call.id, "content": "Sunny, 21 degrees."}
    messages = [*ASK_WEATHER, {"role": "assistant", "content": answer.content}, {"role": "user", "content": [result]}]
    answer = anthropic_client.messages.create(**(asked | {"messages": messages}))
    assert "21" in answer.content[-1].text


def test_a_tool_is_called_in_a_stream(anthropic_client):
    with anthropic_client.messages.stream(**(ASKED | {"messages": ASK_WEATHER, "tools": [TOOL]})) as stream:
        last = stream.get_final_message()
    call = next(block for block in last.content if block.type == "tool_use")
    assert call.name == "get_weather" and "city" in call.input


def test_tokens_are_counted_as_the_message_counts_them(anthropic_client):
    counted = anthropic_client.messages.count_tokens(model="demo", messages=HELLO, tools=[TOOL])
    answer = anthropic_client.messages.create(**ASKED, tools=[TOOL])
    assert counted.input_tokens == answer.usage.input_tokens


def test_what_the_server_caches_is_told(anthropic_client, request):
    marked = {"type": "text", "text": f"Answer {request.node.name}.", "cache_control": {"type": "ephemeral"}}
    first, second = (anthropic_client.messages.create(**ASKED, system=[marked]).usage for _ in range(2))
    assert first.cache_creation_input_tokens == second.cache_read_input_tokens > 0


def test_a_key_may_stand_in_either_header(gateway):
    client = anthropic.Anthropic(base_url=gateway.url, auth_token=gateway.key, api_key=None, max_retries=0)
    assert client.messages.create(**ASKED).content[0].text


@pytest.mark.parametrize(
    ("model", "error", "code"),
    [
        ("nothing-like-it", anthropic.NotFoundError, "model_not_found"),
        ("demo!status=500", anthropic.InternalServerError, "upstream_error"),
        ("demo!status=503", anthropic.ServiceUnavailableError, "upstream_overloaded"),
        ("demo!status=401", anthropic.InternalServerError, "upstream_auth"),
        ("demo!redirect", anthropic.InternalServerError, "upstream_redirect"),
        ("doomed", anthropic.ServiceUnavailableError, "upstream_unavailable"),
    ],
)
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_a_failure_raises_its_own_class(anthropic_client, model, error, code, stream):
    with pytest.raises(error) as raised:
        anthropic_client.messages.create(**(ASKED | {"model": model}), stream=stream)
    assert raised.value.body["error"]["code"] == code
    assert raised.value.body["request_id"] == raised.value.response.headers["x-request-id"]


def test_a_rate_limit_of_the_model_server_passes_with_its_time(anthropic_client):
    with pytest.raises(anthropic.RateLimitError) as raised:
        anthropic_client.messages.create(**(ASKED | {"model": "demo!status=429"}))
    assert raised.value.type == "rate_limit_error"
    assert raised.value.response.headers["retry-after"] == "7"


def test_a_wrong_key_is_an_authentication_error(gateway):
    for credential in [{"api_key": "sk-fg-nothing"}, {"auth_token": "sk-ant-0123456789", "api_key": None}]:
        client = anthropic.Anthropic(base_url=gateway.url, max_retries=0, **credential)
        with pytest.raises(anthropic.AuthenticationError) as raised:
            client.messages.create(**ASKED)
        assert raised.value.body["error"]["code"] == "invalid_api_key"


def test_a_model_that_the_key_may_not_use_is_a_permission_error(gateway):
    client = anthropic.Anthropic(base_url=gateway.url, api_key=gateway.embed_key, max_retries=0)
    with pytest.raises(anthropic.PermissionDeniedError) as raised:
        client.messages.create(**ASKED)
    assert raised.value.type == "permission_error"


@pytest.mark.parametrize("wrong", [{"messages": "hello"}, {"max_tokens": "many"}, {"stop_sequences": 7}], ids=lambda wrong: next(iter(wrong)))
def test_a_wrong_field_is_named(anthropic_client, wrong):
    with pytest.raises(anthropic.BadRequestError) as raised:
        anthropic_client.messages.create(**(ASKED | wrong))
    assert raised.value.type == "invalid_request_error"
    assert next(iter(wrong)) in raised.value.message


@pytest.mark.parametrize("misbehaviour", ["die-after=3", "fail-after=3"])
def test_a_stream_that_dies_raises(anthropic_client, misbehaviour):
    seen = []
    with pytest.raises(anthropic.APIStatusError) as raised:
        for event in anthropic_client.messages.create(**(ASKED | {"model": f"demo!{misbehaviour}"}), stream=True):
            seen.append(event.type)
    assert raised.value.type == "api_error"
    assert seen and "message_stop" not in seen


def test_a_stream_that_dies_says_why(anthropic_client):
    with pytest.raises(anthropic.APIStatusError) as raised:
        with anthropic_client.messages.stream(**(ASKED | {"model": "demo!die-after=3"})) as stream:
            stream.get_final_message()
    assert raised.value.body["error"]["code"] == "upstream_died"


def test_a_whole_answer_that_is_cut_raises(anthropic_client):
    with pytest.raises(anthropic.APIError):
        anthropic_client.messages.create(**(ASKED | {"model": "demo!die-after=3"}))
