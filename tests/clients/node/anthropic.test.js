// anthropic-typescript, as it comes.

import assert from "node:assert/strict";
import { test } from "node:test";
import Anthropic from "@anthropic-ai/sdk";
import { askWeather, city, gateways, messages } from "./gateways.js";

const { url: baseURL, key: apiKey } = gateways.anthropic;
const client = new Anthropic({ baseURL, apiKey, maxRetries: 0, timeout: 20_000 });
const asked = { model: "demo", max_tokens: 200, messages };

test("models are listed", async () => {
  const names = [];
  for await (const model of client.models.list()) names.push(model.id);
  assert.ok(names.includes("demo"));
});

test("a stream says what a message says", async () => {
  const whole = await client.messages.create(asked);
  assert.ok(whole.usage.output_tokens > 0);
  const last = await client.messages.stream(asked).finalMessage();
  assert.deepEqual(last.content, whole.content);
  assert.equal(last.usage.output_tokens, whole.usage.output_tokens);
});

test("a tool is called", async () => {
  const tools = [{ name: "get_weather", input_schema: city }];
  const called = await client.messages.create({ ...asked, messages: askWeather, tools });
  assert.equal(called.stop_reason, "tool_use");
  assert.equal(called.content.find((block) => block.type === "tool_use").name, "get_weather");
});

test("tokens are counted as the message counts them", async () => {
  const counted = await client.messages.countTokens({ model: "demo", messages });
  assert.equal(counted.input_tokens, (await client.messages.create(asked)).usage.input_tokens);
});

for (const [change, kind, type] of [
  [{ model: "nothing-like-it" }, Anthropic.NotFoundError, "not_found_error"],
  [{ messages: "hello" }, Anthropic.BadRequestError, "invalid_request_error"],
  [{ model: "demo!status=429" }, Anthropic.RateLimitError, "rate_limit_error"],
  [{ model: "demo!status=500" }, Anthropic.InternalServerError, "api_error"],
  [{ model: "doomed" }, Anthropic.InternalServerError, "overloaded_error"],
]) {
  test(`${JSON.stringify(change)} raises ${kind.name}`, async () => {
    await assert.rejects(client.messages.create({ ...asked, ...change }), (error) => {
      assert.ok(error instanceof kind, String(error));
      assert.equal(error.error.error.type, type);
      return true;
    });
  });
}

test("a wrong key raises AuthenticationError", async () => {
  const stranger = new Anthropic({ baseURL, apiKey: "sk-fg-nothing", maxRetries: 0 });
  await assert.rejects(stranger.messages.create(asked), Anthropic.AuthenticationError);
});

for (const misbehaviour of ["die-after=3", "fail-after=3"]) {
  test(`a stream with ${misbehaviour} raises`, async () => {
    const stream = await client.messages.create({ ...asked, model: `demo!${misbehaviour}`, stream: true });
    await assert.rejects(async () => {
      for await (const event of stream) assert.notEqual(event.type, "message_stop");
    }, Anthropic.APIError);
  });
}
