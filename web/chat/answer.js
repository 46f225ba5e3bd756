// An answer from the model: a request of /v1/chat/completions, streamed, and the message that grows by it.

import {ApiError, kLost, request} from "../common/api.js";
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

// Yields {content, reasoning}, in the end {finish}, {usage}, {timings}.
export async function* answer(body, signal) {
  const response = await request("/v1/chat/completions", {method: "POST", body, signal});
  let finished = false;
  for await (const {data} of events(response)) {
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

const finite = (x) => (Number.isFinite(x) ? x : 0);

// Puts the parts of an answer into its message, with its numbers: tokens, times, speed. One that is continued goes on from what it had.
export class GrowingAnswer {
  #began = performance.now();
  #first = 0;  // when its first piece came
  #pieces = 0;
  #thoughts = 0;
  #before;

  constructor(message) {
    this.message = message;
    this.#before = {...message};
  }

  get begun() {
    return this.#first > 0;
  }

  // True: there is more text.
  take(part) {
    const m = this.message;
    if (part.content || part.reasoning) {
      this.#grow(part);
      return true;
    }
    if (part.finish) {
      m.finish_reason = part.finish;
    } else if (part.usage) {
      const tokens = finite(part.usage.completion_tokens) || this.#pieces;
      m.prompt_tokens = finite(part.usage.prompt_tokens);
      m.completion_tokens = this.#before.completion_tokens + tokens;
      m.reasoning_tokens = this.#before.reasoning_tokens + (finite(part.usage.completion_tokens_details?.reasoning_tokens) || this.#thoughts);
      this.#speed(tokens, 0);
    } else if (finite(part.timings?.predicted_per_second)) {
      m.tokens_per_second = part.timings.predicted_per_second;
    }
    return false;
  }

  #grow({content, reasoning, model}) {
    const m = this.message;
    this.#first ||= performance.now();
    ++this.#pieces;
    if (model) m.model = model;
    if (reasoning) {
      m.reasoning += reasoning;
      m.reasoning_tokens = this.#before.reasoning_tokens + ++this.#thoughts;
    }
    if (content) {
      if (!m.content && m.reasoning) m.thinking_seconds = this.#since(this.#first);
      m.content += content;
    }
    m.completion_tokens = this.#before.completion_tokens + this.#pieces;
    this.#speed(this.#pieces, 0.2);
  }

  #since(then) {
    return (performance.now() - then) / 1000;
  }

  // Over less than `least` seconds it says nothing.
  #speed(tokens, least) {
    const seconds = this.#since(this.#first);
    if (this.begun && seconds > least) this.message.tokens_per_second = Math.max(0, tokens - 1) / seconds;
  }

  // The times, up to now.
  tick() {
    const m = this.message;
    m.seconds = this.#before.seconds + this.#since(this.#began);
    if (this.begun && !m.content) m.thinking_seconds = this.#since(this.#first);
  }
}
