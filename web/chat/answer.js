// An answer from the model: a request of /v1/chat/completions, streamed. Yields {content, reasoning}, in the end {finish}, {usage}, {timings}.

import {ApiError, request} from "../common/api.js";
import {events} from "../common/sse.js";

const kNumbers = ["temperature", "top_p", "top_k", "min_p", "repetition_penalty", "presence_penalty", "frequency_penalty", "max_tokens", "seed"];

// What of the settings the server is told; absent ones are its defaults.
export function samplingOf(settings) {
  const out = {};
  for (const name of kNumbers) {
    const value = settings[name];
    if (typeof value === "number" && Number.isFinite(value)) out[name] = value;
  }
  if (settings.thinking === "on") out.chat_template_kwargs = {enable_thinking: true};
  if (settings.thinking === "off") out.chat_template_kwargs = {enable_thinking: false};
  if (settings.thinking !== "off" && typeof settings.thinking_budget === "number") out.thinking_token_budget = settings.thinking_budget;
  return out;
}

// `path`: the messages before the answer; thoughts of earlier answers are not sent. `continued`: the last one is the answer's own beginning.
export function bodyOf({path, settings, model, continued = false}) {
  const messages = path.filter((m) => m.content !== "" || m.role !== "assistant").map((m) => ({role: m.role, content: m.content}));
  if (settings.system && settings.system.trim() && messages[0]?.role !== "system") messages.unshift({role: "system", content: settings.system});
  const body = {messages, stream: true, stream_options: {include_usage: true}, ...samplingOf(settings)};
  if (model) body.model = model;
  if (continued) Object.assign(body, {continue_final_message: true, add_generation_prompt: false});
  return body;
}

const kLost = "The connection to the server was lost.";

// The browser's words for a connection that broke are not for people.
async function* told(source) {
  try {
    yield* source;
  } catch (error) {
    throw error instanceof TypeError ? new ApiError(0, kLost) : error;
  }
}

export async function* answer(body, signal) {
  const response = await request("/v1/chat/completions", {method: "POST", body, signal});
  let finished = false;
  for await (const {data} of told(events(response))) {
    if (data === "[DONE]") return;
    let chunk;
    try {
      chunk = JSON.parse(data);
    } catch {
      throw new ApiError(0, "The server sent something that is not JSON.");
    }
    if (chunk.error) throw new ApiError(0, chunk.error.message || "The server gave up on the answer.", chunk.error);
    const choice = chunk.choices && chunk.choices[0];
    if (choice) {
      const delta = choice.delta || {};
      // Servers call it one or the other; ours says both, with the same text.
      const reasoning = delta.reasoning_content || delta.reasoning || "";
      if (reasoning || delta.content) yield {reasoning, content: delta.content || "", model: chunk.model};
      if (choice.finish_reason) {
        finished = true;
        yield {finish: choice.finish_reason};
      }
    }
    if (chunk.usage) yield {usage: chunk.usage};
    if (chunk.timings) yield {timings: chunk.timings};
  }
  if (!finished) throw new ApiError(0, kLost);
}
