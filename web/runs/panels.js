// The quieter panels: runs side by side, alarms, how a run was made.
import {apiKey} from "../common/api.js";
import {el, replace} from "../common/dom.js";
import {count, number} from "../common/format.js";
import {readout, swatch} from "./chart.js";
import {palette, query} from "./data.js";
import {titleOf} from "./groups.js";
import {clock, flatten, plain, visible} from "./text.js";

const kKinds = {monitor: "monitor", skipped: "skipped step", rewound: "went back", not_finite: "not finite", advice: "look at this"};
const kMostAlarms = 300;

export async function comparePanel(node, names, shortName) {
  if (names.length < 2) return replace(node, el("p", {class: "muted"}, "Choose two or more runs on the left to see what differs."));
  try {
    const answer = await query("/compare", {runs: names.join(",")});
    const head = () => el("tr", null, el("th", null), answer.runs.map((name, i) => el("th", {class: "number"}, swatch(palette(i)), ` ${shortName(name)}`)));
    const table = (title, rows, cell, empty) => [el("h3", null, title), rows.length
      ? el("div", {class: "scroll card"}, el("table", null, el("thead", null, head()), el("tbody", null, rows.map(cell)))) : el("p", {class: "muted"}, empty)];
    replace(node, ...table("Settings that differ", answer.config, ({key, values}) => el("tr", null, el("td", null, el("code", null, visible(key))), values.map((value) => el("td", {class: "number"}, plain(value)))),
      "Their settings are the same."),
      ...table("Last values", answer.metrics, ({key, values}) => el("tr", null, el("td", {title: key}, visible(titleOf(key))),
        values.map((value) => el("td", {class: "number"}, value === null ? "–" : readout(value)))), "No metrics yet."));
  } catch (error) {
    replace(node, el("p", {class: "notice bad"}, error.message));
  }
}

export function alarmsPanel(node, runs, names, shortName, toCharts) {
  const alarms = names.flatMap((name, i) => (runs.details.get(name)?.alarm_list ?? []).map((alarm) => ({...alarm, name, i})));
  if (!alarms.length) return replace(node, el("p", {class: "muted"}, names.length ? "Nothing alarms: no skipped steps, no monitor above its limit." : "Choose a run."));
  replace(node, el("div", {class: "scroll card"}, el("table", {class: "alarms"},
    el("thead", null, el("tr", null, ["Run", "Step", "When", "What", ""].map((text) => el("th", null, text)))),
    el("tbody", null, alarms.slice(0, kMostAlarms).map((alarm) => el("tr", {"data-kind": alarm.kind},
      el("td", null, swatch(palette(alarm.i)), ` ${shortName(alarm.name)}`),
      el("td", {class: "number"}, alarm.step === null ? "–" : count(alarm.step)),
      el("td", null, clock(alarm.time) || "–"),
      el("td", null, el("span", {class: "chip kind"}, kKinds[alarm.kind] ?? alarm.kind), " ", alarm.monitor ? el("code", null, visible(alarm.monitor)) : null, " ", visible(alarm.text),
        alarm.kind === "monitor" && typeof alarm.value === "number" ? el("span", {class: "muted"}, ` value ${number(alarm.value)}, limit ${plain(alarm.limit)}`) : null),
      el("td", null, alarm.step === null ? null : el("button", {type: "button", class: "small", onclick: () => toCharts(alarm)}, "Show"))))))),
    alarms.length > kMostAlarms && el("p", {class: "muted"}, `and ${count(alarms.length - kMostAlarms)} more`));
}

export function aboutPanel(node, details) {
  if (!details) return replace(node, el("p", {class: "muted"}, "Choose a run."));
  const rows = (title, value, open) => {
    const list = flatten(value).filter(([key]) => key && !key.startsWith("watched") && !key.startsWith("monitors."));
    return list.length ? el("details", {class: "card keys", open}, el("summary", null, title),
      el("dl", {class: "facts"}, list.map(([key, v]) => [el("dt", null, visible(key)), el("dd", null, plain(v))]))) : null;
  };
  const changes = details.config_history.filter((entry) => entry.changes);
  replace(node,
    el("p", null, details.has_report && !apiKey() ? el("a", {href: `/api/runs/report?run=${encodeURIComponent(details.name)}`, target: "_blank", rel: "noopener"}, "report.html") : null,
      details.version ? el("span", {class: "muted"}, ` ${visible(details.version)}`) : null),
    details.checkpoints.length ? el("p", null, "Checkpoints at steps ", details.checkpoints.map((step) => el("code", null, count(step) + " "))) : null,
    changes.length ? el("div", {class: "card"}, el("h3", null, "Went on with other settings"), changes.map((entry) => [el("p", null, `at step ${count(entry.step)}`), el("pre", {class: "said"}, visible(entry.changes))])) : null,
    rows("Results", details.results, true), rows("Resolved config", details.config, true));
}
