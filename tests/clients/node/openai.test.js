// openai-node, as it comes.

import assert from "node:assert/strict";
import { test } from "node:test";
import OpenAI from "openai";
import { askWeather, city, gateways, messages } from "./gateways.js";

const baseURL = `${gateways.openai.url}/v1`;
const client = new OpenAI({ baseURL, apiKey: gateways.openai.key, maxRetries: 0, timeout: 20_000 });
const weather = { type: "function", function: { name: "get_weather", parameters: city } };

test("models are listed", async () => {
  const names = [];
  for await (const model of client.models.list()) names.push(model.id);
  assert.ok(names.includes("demo"));
});

test("a stream says what a chat says", async () => {
  const whole = await client.chat.completions.create({ model: "demo", messages });
  assert.ok(whole.usage.completion_tokens > 0);
  let text = "";
  for await (const chunk of await client.chat.completions.create({ model: "demo", messages, stream: true })) {
    assert.ok(chunk.choices.length > 0);
    text += chunk.choices[0].delta.content ?? "";
  }
  assert.equal(text, whole.choices[0].message.content);
});

test("a tool is called, and JSON mode gives JSON", async () => {
  const called = await client.chat.completions.create({ model: "demo", messages, tools: [weather], tool_choice: "required" });
  assert.equal(called.choices[0].message.tool_calls[0].function.name, "get_weather");
  const json = await client.chat.completions.create({ model: "demo", messages, response_format: { type: "json_object" } });
  assert.equal(typeof JSON.parse(json.choices[0].message.content), "object");
});

test("embeddings", async () => {
  const answer = await client.embeddings.create({ model: "demo-embed", input: ["one", "two"], encoding_format: "float" });
  assert.equal(answer.data.length, 2);
});

for (const [model, kind, code] of [
  ["nothing-like-it", OpenAI.NotFoundError, "model_not_found"],
  ["demo!status=503", OpenAI.InternalServerError, "upstream_overloaded"],
  ["demo!status=429", OpenAI.RateLimitError, undefined],
]) {
  test(`${model} raises ${kind.name}`, async () => {
    await assert.rejects(client.chat.completions.create({ model, messages }), (error) => {
      assert.ok(error instanceof kind, String(error));
      if (code) assert.equal(error.code, code);
      return true;
    });
  });
}

test("a wrong key raises AuthenticationError", async () => {
  const stranger = new OpenAI({ baseURL, apiKey: "sk-fg-nothing", maxRetries: 0 });
  await assert.rejects(stranger.chat.completions.create({ model: "demo", messages }), OpenAI.AuthenticationError);
});

test("a wrong field raises BadRequestError that names it", async () => {
  await assert.rejects(client.chat.completions.create({ model: "demo", messages: "hello" }), (error) => {
    assert.ok(error instanceof OpenAI.BadRequestError);
    assert.equal(error.param, "messages");
    return true;
  });
});

test("a stream that dies raises", async () => {
  const stream = await client.chat.completions.create({ model: "demo!die-after=3", messages, stream: true });
  await assert.rejects(async () => {
    for await (const chunk of stream) void chunk;
  }, OpenAI.APIError);
});

test("a response is streamed, and calls a tool", async () => {
  const whole = await client.responses.create({ model: "demo", input: messages });
  let text = "";
  for await (const event of await client.responses.create({ model: "demo", input: messages, stream: true })) {
    if (event.type === "response.output_text.delta") text += event.delta;
  }
  assert.equal(text, whole.output_text);
  const tool = { type: "function", name: "get_weather", parameters: city, strict: true };
  const called = await client.responses.create({ model: "demo", input: askWeather, tools: [tool] });
  assert.equal(called.output.find((item) => item.type === "function_call").name, "get_weather");
});

test("a response that dies raises", async () => {
  const stream = await client.responses.create({ model: "demo!die-after=3", input: messages, stream: true });
  await assert.rejects(async () => {
    for await (const event of stream) void event;
  }, OpenAI.APIError);
});
