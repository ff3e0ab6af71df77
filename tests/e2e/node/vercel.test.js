// Vercel's AI SDK: one chat, one tool call, one stream, one error, with each provider that it has for us.

import assert from "node:assert/strict";
import { test } from "node:test";
import { createAnthropic } from "@ai-sdk/anthropic";
import { createOpenAI } from "@ai-sdk/openai";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { APICallError, generateText, stepCountIs, streamText, tool } from "ai";
import { z } from "zod";

const { FLUXGATE_URL: url, FLUXGATE_KEY: apiKey } = process.env;
const baseURL = `${url}/v1`;
const providers = {
  "openai-compatible": createOpenAICompatible({ name: "fluxgate", baseURL, apiKey, includeUsage: true }),
  "openai's Responses": createOpenAI({ baseURL, apiKey }),
  "openai's chats": createOpenAI({ baseURL, apiKey }).chat,
  anthropic: createAnthropic({ baseURL, apiKey }),
};
const tools = {
  get_weather: tool({
    description: "The weather in a city",
    inputSchema: z.object({ city: z.string() }),
    execute: async ({ city }) => `Sunny in ${city}`,
  }),
};
const options = { maxRetries: 0, maxOutputTokens: 300, abortSignal: AbortSignal.timeout(60_000) };

for (const [name, provider] of Object.entries(providers)) {
  test(`${name}: a chat`, async () => {
    const { text, usage } = await generateText({ ...options, model: provider("demo"), prompt: "Say hello." });
    assert.match(text, /demo model/);
    assert.ok(usage.inputTokens > 0 && usage.outputTokens > 0);
  });

  test(`${name}: a tool call`, async () => {
    const stopWhen = stepCountIs(3);
    const { text, steps } = await generateText({ ...options, model: provider("demo"), tools, stopWhen, prompt: "Call get_weather for Oslo." });
    assert.equal(steps.length, 2);
    assert.match(text, /Sunny in Oslo/);
  });

  test(`${name}: a stream`, async () => {
    const { textStream, usage } = streamText({ ...options, model: provider("demo"), prompt: "Say hello." });
    let pieces = 0;
    for await (const piece of textStream) pieces += piece ? 1 : 0;
    assert.ok(pieces > 2);
    assert.ok((await usage).outputTokens > 0);
  });

  test(`${name}: errors`, async () => {
    for (const [model, status] of [["nothing-like-it", 404], ["demo!status=503", 503]]) {
      await assert.rejects(generateText({ ...options, model: provider(model), prompt: "Say hello." }), (error) => {
        assert.ok(APICallError.isInstance(error), String(error));
        assert.equal(error.statusCode, status);
        return true;
      });
    }
  });

  test(`${name}: a stream that dies`, async () => {
    const errors = [];
    const { textStream } = streamText({
      ...options, model: provider("demo!die-after=3"), prompt: "Say hello.", onError: ({ error }) => errors.push(error),
    });
    for await (const piece of textStream) void piece;
    assert.equal(errors.length, 1);
  });
}
