// Server-sent events (https://html.spec.whatwg.org/multipage/server-sent-events.html) from a fetch, which, unlike EventSource, can POST.
import {ApiError, kLost} from "./api.js";

// Text in as it comes, events out: {event, data}. Lines end in \n, \r\n or \r, also where a piece ends between the two.
export class SseParser {
  #rest = "";
  #data = [];
  #event = "";
  #skipNewline = false;
  #first = true;

  push(text) {
    if (this.#first && text) {
      this.#first = false;
      if (text.charCodeAt(0) === 0xfeff) text = text.slice(1);
    }
    if (this.#skipNewline && text) {
      this.#skipNewline = false;
      if (text[0] === "\n") text = text.slice(1);
    }
    const events = [];
    let from = 0;
    for (let i = 0; i < text.length; ++i) {
      const c = text.charCodeAt(i);
      if (c !== 10 && c !== 13) continue;
      this.#line(this.#rest + text.slice(from, i), events);
      this.#rest = "";
      if (c === 13) {
        if (i + 1 === text.length) this.#skipNewline = true;
        else if (text[i + 1] === "\n") ++i;
      }
      from = i + 1;
    }
    this.#rest += text.slice(from);
    return events;
  }

  #line(line, events) {
    if (line === "") {
      if (this.#data.length) events.push({event: this.#event || "message", data: this.#data.join("\n")});
      this.#data = [];
      this.#event = "";
      return;
    }
    const colon = line.indexOf(":");
    if (colon === 0) return;  // a comment: keep-alive
    const field = colon < 0 ? line : line.slice(0, colon);
    let value = colon < 0 ? "" : line.slice(colon + 1);
    if (value.startsWith(" ")) value = value.slice(1);
    if (field === "data") this.#data.push(value);
    else if (field === "event") this.#event = value;
  }
}

// The events of a response's body, in order. Ends when the body does; leaving the loop hangs up. A connection that breaks is an ApiError: the browser's
// words for it are not for people.
export async function* events(response) {
  const reader = response.body.getReader();
  const decoder = new TextDecoder();
  const parser = new SseParser();
  try {
    for (;;) {
      const {done, value} = await reader.read();
      if (done) return;
      yield* parser.push(decoder.decode(value, {stream: true}));
    }
  } catch (error) {
    throw error instanceof TypeError ? new ApiError(0, kLost) : error;
  } finally {
    reader.cancel().catch(() => {});
  }
}
