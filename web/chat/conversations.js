// The conversations on the server (docs/chat.md), and the saver, which keeps what a page shows and what the server has the same.

import {ApiError, api} from "../common/api.js";

const base = "/api/conversations";

export const conversations = {
  list: (query, limit = 100, offset = 0) => api(`${base}?${new URLSearchParams({query, limit, offset})}`),
  get: (id) => api(`${base}/${id}`),
  create: (conversation) => api(base, {method: "POST", body: conversation}),
  change: (id, change) => api(`${base}/${id}`, {method: "PATCH", body: change}),
  remove: (id) => api(`${base}/${id}`, {method: "DELETE"}),
  removeMessage: (id, message) => api(`${base}/${id}/messages/${message}`, {method: "DELETE"}),
  exported: (id) => api(id ? `${base}/${id}/export` : `${base}/export`),
  imported: (text) => api(`${base}/import`, {method: "POST", body: text}),
};

const kFields = ["parent", "role", "content", "reasoning", "model", "sampling", "prompt_tokens", "completion_tokens", "reasoning_tokens", "thinking_seconds", "seconds",
  "tokens_per_second", "finish_reason", "error", "version"];

function bodyOf(message) {
  const body = {};
  for (const field of kFields) if (message[field] !== undefined) body[field] = message[field];
  return body;
}

const kMaxKeepalive = 60000;  // bytes; browsers send no more after a page is left

// Stores messages, one request of a message at a time. save(): now; resolves when the server has acknowledged it, else rejects. later(): a growing
// answer, about once a second (less often the longer it is); soon(): its last state. What these can't store for now is tried again until it is.
export class Saver {
  #entries = new Map();  // message id -> {conversation, message, dirty, due, waiters, running}
  #timer = null;
  #failures = 0;

  constructor({onstate = () => {}} = {}) {
    this.onstate = onstate;  // ("saved" | "saving" | "failed", error)
    // The last word of a page that goes: what is still unsaved, and small enough.
    addEventListener("pagehide", () => this.#lastWord());
  }

  get pending() {
    return [...this.#entries.values()].some((entry) => entry.dirty || entry.running);
  }

  save(conversation, message) {
    return new Promise((resolve, reject) => {
      const entry = this.#entry(conversation, message);
      entry.due = 0;
      entry.waiters.push({resolve, reject});
      this.#run();
    });
  }

  later(conversation, message) {
    const fresh = !this.#entries.get(message.id)?.dirty;
    const entry = this.#entry(conversation, message);
    if (fresh) entry.due = Math.max(entry.due, performance.now() + Math.max(1000, (message.content.length + message.reasoning.length) / 100));
    this.#run();
  }

  soon(conversation, message) {
    this.#entry(conversation, message).due = 0;
    this.#run();
  }

  #entry(conversation, message) {
    let entry = this.#entries.get(message.id);
    if (!entry) {
      entry = {conversation, message, dirty: false, due: 0, waiters: [], running: false};
      this.#entries.set(message.id, entry);
    }
    entry.dirty = true;
    return entry;
  }

  #run() {
    clearTimeout(this.#timer);
    const now = performance.now();
    let next = Infinity;
    for (const entry of this.#entries.values()) {
      if (entry.running || !entry.dirty) continue;
      if (entry.due <= now) this.#store(entry);
      else next = Math.min(next, entry.due - now);
    }
    if (next < Infinity) this.#timer = setTimeout(() => this.#run(), next);
  }

  async #store(entry) {
    entry.running = true;
    entry.dirty = false;
    const waiters = entry.waiters.splice(0);
    const message = entry.message;
    message.version = (message.version || 0) + 1;
    this.onstate("saving");
    try {
      const stored = await api(`${base}/${entry.conversation}/messages/${message.id}`, {method: "PUT", body: bodyOf(message)});
      if (!message.created) message.created = stored.created;
      this.#failures = 0;
      for (const waiter of waiters) waiter.resolve(stored);
    } catch (error) {
      // Whoever waits decides itself; an answer is tried again, unless the server will never take it.
      if (!waiters.length && (!(error instanceof ApiError) || error.status === 0 || error.status >= 500)) {
        entry.dirty = true;
        entry.due = performance.now() + Math.min(30000, 1000 * 2 ** Math.min(++this.#failures, 5));
      }
      for (const waiter of waiters) waiter.reject(error);
      this.onstate("failed", error);
    }
    entry.running = false;
    if (!entry.dirty) {
      if (!entry.waiters.length) this.#entries.delete(message.id);
      if (!this.#failures) this.onstate(this.pending ? "saving" : "saved");
    }
    this.#run();
  }

  #lastWord() {
    for (const entry of this.#entries.values()) {
      if (!entry.dirty) continue;
      entry.message.version = (entry.message.version || 0) + 1;
      const body = JSON.stringify(bodyOf(entry.message));
      if (body.length > kMaxKeepalive) continue;
      entry.dirty = false;
      api(`${base}/${entry.conversation}/messages/${entry.message.id}`, {method: "PUT", body, keepalive: true}).catch(() => {});
    }
  }
}
