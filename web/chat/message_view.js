// One message on the page: its thoughts, its text, what can be done with it and what it cost.

import {el, icon, iconButton, replace} from "../common/dom.js";
import {count, duration} from "../common/format.js";
import {MarkdownView, copyText, plainText} from "./markdown_view.js";
import {clean} from "./text.js";

const kEnds = {length: "Stopped at the limit of tokens.", abort: "Stopped.", "": "Cut off before its end.", tool_calls: "Asked for a tool."};

export class MessageView {
  #thoughts = null;   // {details, summary, view}
  #text = null;       // a MarkdownView, for an answer
  #shown = {content: 0, reasoning: 0};

  // actions: edit, regenerate, continue, remove, go(message id); siblings: ids. `streaming`: the answer is being made here.
  constructor(message, {siblings, last, streaming, actions, onchange}) {
    this.message = message;
    this.actions = actions;
    this.onchange = onchange;
    this.streaming = streaming;
    this.body = el("div", {class: "body"});
    this.foot = el("div", {class: "foot"});
    this.root = el("article", {class: `message ${message.role}`, "data-id": message.id, "aria-label": message.role === "user" ? "You" : "Answer"}, this.body, this.foot);
    // What was there before is laid out when it comes into view; an answer that is being made must not change its height when it is done.
    if (!streaming) this.root.classList.add("stored");
    if (message.role === "assistant") {
      this.root.classList.add(streaming ? "streaming" : "whole");
      this.update();
      if (!streaming) this.#finishViews();
    } else {
      this.body.append(plainText(clean(message.content)));
    }
    this.showFoot(siblings, last);
  }

  // What came since the last call.
  update() {
    const {content, reasoning} = this.message;
    if (reasoning.length > this.#shown.reasoning) {
      if (!this.#thoughts) this.#makeThoughts();
      this.#thoughts.view.append(reasoning.slice(this.#shown.reasoning));
      this.#shown.reasoning = reasoning.length;
    }
    if (content.length > this.#shown.content) {
      if (!this.#text) {
        this.body.querySelector(".waiting")?.remove();
        const root = el("div", {class: "text"});
        this.body.append(root);
        this.#text = new MarkdownView(root, {onchange: this.onchange});
      }
      this.#text.append(content.slice(this.#shown.content));
      this.#shown.content = content.length;
    }
    if (this.streaming && !this.#text && !this.#thoughts && !this.body.firstChild)
      this.body.append(el("div", {class: "waiting", role: "status", "aria-label": "Waiting for the model"}, el("span"), el("span"), el("span")));
    this.#showSummary();
  }

  #makeThoughts() {
    this.body.querySelector(".waiting")?.remove();
    const root = el("div", {class: "thoughts-text"});
    const summary = el("summary", null, icon("right"), el("span", {class: "label"}));
    const details = el("details", {class: "thoughts"}, summary, root);
    this.body.prepend(details);
    this.#thoughts = {details, summary, view: new MarkdownView(root, {onchange: this.onchange})};
  }

  #showSummary() {
    if (!this.#thoughts) return;
    const m = this.message;
    const thinking = this.streaming && !m.content;
    const parts = [thinking ? "Thinking" : "Thought"];
    if (m.thinking_seconds) parts[0] += ` for ${duration(m.thinking_seconds)}`;
    if (m.reasoning_tokens) parts.push(`${count(m.reasoning_tokens)} tokens`);
    this.#thoughts.summary.querySelector(".label").textContent = parts.join(" · ");
    this.#thoughts.details.classList.toggle("thinking", thinking);
  }

  #finishViews() {
    if (this.#thoughts) this.#thoughts.view.finish();
    if (this.#text) this.#text.finish();
  }

  // The answer is complete, as far as it goes.
  finish(siblings, last) {
    this.streaming = false;
    this.root.classList.remove("streaming");
    this.root.classList.add("whole");
    this.body.querySelector(".waiting")?.remove();
    this.update();
    this.#finishViews();
    this.showFoot(siblings, last);
  }

  showFoot(siblings, last) {
    const m = this.message;
    const answer = m.role === "assistant";
    this.root.classList.toggle("last", last);
    const at = siblings.indexOf(m.id);
    const branch = siblings.length > 1 && !this.streaming && el("span", {class: "branch"},
      iconButton("left", "Earlier version", () => this.actions.go(siblings[at - 1]), {disabled: at === 0}),
      el("span", {class: "which", "aria-label": `Version ${at + 1} of ${siblings.length}`}, `${at + 1} / ${siblings.length}`),
      iconButton("right", "Later version", () => this.actions.go(siblings[at + 1]), {disabled: at + 1 === siblings.length}));
    const copy = iconButton("copy", "Copy", () => copyText(m.content, copy), {class: "act"});
    const canContinue = answer && last && m.content && m.finish_reason !== "stop" && m.finish_reason !== "tool_calls";
    const buttons = this.streaming ? [] : [
      branch, copy,
      iconButton("edit", "Edit", () => this.actions.edit(this), {class: "act"}),
      answer && iconButton("redo", "Regenerate", () => this.actions.regenerate(m), {class: "act"}),
      canContinue && iconButton("play", "Continue", () => this.actions.continue(m), {class: "act"}),
      iconButton("trash", "Delete", () => this.actions.remove(m), {class: "act"}),
    ];
    replace(this.foot, this.#notice(), el("div", {class: "row"}, buttons, answer && this.#stats()));
  }

  #notice() {
    const m = this.message;
    if (m.role !== "assistant" || this.streaming) return null;
    if (m.error) return el("p", {class: "notice bad", role: "alert"}, m.error);
    return m.finish_reason !== "stop" && kEnds[m.finish_reason] !== undefined ? el("p", {class: "ending muted"}, kEnds[m.finish_reason]) : null;
  }

  #stats() {
    const m = this.message;
    const parts = [];
    if (m.completion_tokens) parts.push(`${count(m.completion_tokens)} tokens`);
    if (m.tokens_per_second) parts.push(`${m.tokens_per_second < 100 ? m.tokens_per_second.toFixed(1) : count(m.tokens_per_second)} tokens/s`);
    if (m.seconds) parts.push(duration(m.seconds));
    return el("span", {class: "stats", title: [m.model, m.prompt_tokens ? `${count(m.prompt_tokens)} tokens of prompt` : ""].filter(Boolean).join(", ") || null}, parts.join(" · "));
  }

  showStats() {
    this.#showSummary();
    const stats = this.foot.querySelector(".stats");
    if (stats) stats.replaceWith(this.#stats());
  }
}
