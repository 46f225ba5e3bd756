// The tracked state as a column: intent with the ranking as bars, slots, last action, the turns in the window.
import {el, replace} from "../common/dom.js";

const percent = (x) => `${(100 * x).toFixed(x < 0.1 ? 1 : 0)} %`;

function bars(state) {
  if (!state.ranking.length) return el("p", {class: "none"}, "No message has been classified yet.");
  return el("ul", {class: "bars"}, state.ranking.map((score) =>
    el("li", {class: state.intent && score.name === state.intent.name ? "taken" : null},
      el("div", {class: "name"}, el("span", null, score.title || score.name), el("span", {class: "value"}, percent(score.confidence))),
      el("meter", {min: 0, max: 1, value: score.confidence, "aria-label": `${score.title || score.name}: ${percent(score.confidence)}`}))));
}

function slots(state, domain) {
  const titles = new Map((domain ? domain.slots : []).map((slot) => [slot.name, slot.title]));
  const filled = Object.entries(state.slots);
  if (!filled.length && !state.missing.length) return el("p", {class: "none"}, "Nothing is known, and nothing is needed.");
  return el("table", {class: "slots"}, el("tbody", null,
    filled.map(([name, slot]) => el("tr", {class: slot.turn === state.turns ? "new" : null},
      el("th", {scope: "row"}, slot.title || name),
      el("td", null, slot.value,
        el("small", null, `${slot.said === slot.value ? "" : `said: ${slot.said}, `}turn ${slot.turn}${slot.source === "model" ? ", read by the model" : ""}`)))),
    state.missing.map((name) => el("tr", {class: "missing"},
      el("th", {scope: "row"}, titles.get(name) || name),
      el("td", null, name === state.awaited_slot ? "asked for" : "missing")))));
}

function action(state) {
  if (!state.last_action) return el("p", {class: "none"}, "None.");
  return [el("p", null, el("code", null, state.last_action)),
    state.awaiting !== "nothing" && el("p", null, `Waits for: ${state.awaited_slot || state.awaiting}.`)];
}

function turns(state) {
  const cells = [];
  for (let i = 0; i < state.window_size; ++i) cells.push(el("li", {class: i < state.window.length ? "used" : null}));
  return [el("ul", {class: "window", role: "img", "aria-label": `${state.window.length} of ${state.window_size} turns`}, cells),
    el("p", {class: "none"}, `${state.window.length} of ${state.window_size} turns kept, ${state.turns} in all`),
    el("ul", {class: "turns"}, state.window.map((turn) => el("li", null, `${turn.number}. ${turn.intent || "no intent"}: ${turn.action}`)))];
}

const kNothing = {intent: null, ranking: [], slots: {}, missing: [], last_action: "", awaiting: "nothing", awaited_slot: null, window: [], window_size: 8, turns: 0};

// `state` null: before the first message.
export function showState(node, state, domain, session) {
  const s = state || {...kNothing, window_size: domain ? domain.window : 8};
  replace(node,
    el("h2", null, "Intent"),
    s.intent ? el("p", {class: "now"}, s.intent.title || s.intent.name) : el("p", {class: "none"}, "None yet."),
    s.handed_over && el("p", {class: "handed"}, "With a colleague"),
    bars(s),
    el("h2", null, "Slots"), slots(s, domain),
    el("h2", null, "Last action"), action(s),
    el("h2", null, "Turns in the window"), turns(s),
    session && el("h2", null, "Session"), session && el("p", null, el("code", null, session)));
}
