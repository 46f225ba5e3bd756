// The settings: what is sent with each question. Kept with the conversation on the server, and in the browser for the next new one. An empty field
// is the server's default.

import {apiKey, setApiKey} from "../common/api.js";
import {closeDialog, el} from "../common/dom.js";
import {store, stored} from "../common/storage.js";

const kStored = "r1.settings";

// name, label, help, step, min, max, whole numbers only
const kNumbers = [
  ["temperature", "Temperature", "0: always the most likely token", 0.05, 0, 2, false],
  ["top_p", "Top p", "only the likeliest tokens that make up this share", 0.01, 0, 1, false],
  ["top_k", "Top k", "only the k likeliest tokens; 0: all", 1, 0, 1000000, true],
  ["min_p", "Min p", "only tokens at least this likely, against the likeliest", 0.01, 0, 1, false],
  ["repetition_penalty", "Repetition penalty", "over 1: what was said before is less likely", 0.01, 0.1, 10, false],
  ["presence_penalty", "Presence penalty", "off what was said at all", 0.1, -2, 2, false],
  ["frequency_penalty", "Frequency penalty", "off what was said, each time", 0.1, -2, 2, false],
  ["max_tokens", "Most tokens", "of an answer, thoughts included", 1, 1, 10000000, true],
  ["seed", "Seed", "the same gives the same answer", 1, 0, 9007199254740991, true],
];

export function storedSettings() {
  try {
    const settings = JSON.parse(stored("localStorage", kStored) || "{}");
    return settings && typeof settings === "object" && !Array.isArray(settings) ? settings : {};
  } catch {
    return {};
  }
}

// Shows the dialog; resolves to the new settings, or null.
export function editSettings(settings, {models = [], defaults = {}} = {}) {
  return new Promise((resolve) => {
    const fields = new Map();
    const field = (name, label, help, input) => {
      input.id = `setting-${name}`;
      fields.set(name, input);
      return el("div", {class: "field"}, el("label", {for: input.id}, label), input, help && el("small", {class: "muted"}, help));
    };
    const number = ([name, label, help, step, min, max, whole]) => {
      const known = defaults[name];
      const input = el("input", {type: "number", step: whole ? 1 : "any", min, max, inputmode: whole ? "numeric" : "decimal",
        placeholder: typeof known === "number" ? String(Number(known.toPrecision(6))) : "default"});
      if (typeof settings[name] === "number") input.value = String(settings[name]);
      input.dataset.step = String(step);
      return field(name, label, help, input);
    };
    const system = el("textarea", {rows: 4, maxlength: 200000, placeholder: "none"});
    system.value = settings.system || "";
    const thinking = el("select", null, [["", "as the model does"], ["on", "on"], ["off", "off"]].map(([value, label]) =>
      el("option", {value, selected: (settings.thinking || "") === value}, label)));
    const budget = el("input", {type: "number", min: 0, max: 10000000, step: 1, placeholder: "no limit", inputmode: "numeric"});
    if (typeof settings.thinking_budget === "number") budget.value = String(settings.thinking_budget);
    const key = el("input", {type: "password", autocomplete: "off", maxlength: 1000, placeholder: "none"});
    key.value = apiKey();
    const model = models.length > 1 ? el("select", null, models.map((id) => el("option", {value: id, selected: settings.model === id}, id))) : null;

    const dialog = el("dialog", {class: "settings", "aria-labelledby": "settings-title"},
      el("form", {method: "dialog", class: "settings-form"},
        el("h2", {id: "settings-title"}, "Settings"),
        model && field("model", "Model", null, model),
        field("system", "System prompt", "stands before the conversation", system),
        el("div", {class: "grid"}, field("thinking", "Thinking", null, thinking), field("thinking_budget", "Thinking budget", "tokens; then it must answer", budget)),
        el("h3", null, "Sampling"),
        el("div", {class: "grid"}, kNumbers.map(number)),
        el("h3", null, "Server"),
        field("api_key", "API key", "kept in this browser only", key),
        el("div", {class: "buttons"},
          el("button", {type: "button", class: "ghost", id: "settings-reset", onclick: () => {
            for (const [name, input] of fields) if (name !== "api_key" && name !== "model") input.value = "";
          }}, "Defaults"),
          el("span", {class: "space"}),
          el("button", {type: "button", class: "ghost", onclick: () => dialog.close("")}, "Cancel"),
          el("button", {type: "submit", value: "save", class: "primary", id: "settings-save"}, "Save"))));
    dialog.addEventListener("close", () => {
      closeDialog(dialog);
      if (dialog.returnValue !== "save") return resolve(null);
      const out = {};
      for (const [name] of kNumbers) {
        const text = fields.get(name).value;
        if (text !== "" && Number.isFinite(Number(text))) out[name] = Number(text);
      }
      if (system.value.trim()) out.system = system.value;
      if (thinking.value) out.thinking = thinking.value;
      if (budget.value !== "") out.thinking_budget = Number(budget.value);
      if (model) out.model = model.value;
      setApiKey(key.value.trim());
      store("localStorage", kStored, JSON.stringify(out));
      resolve(out);
    });
    document.body.append(dialog);
    dialog.showModal();
    system.focus();
  });
}
