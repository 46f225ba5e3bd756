// The dashboard: which runs are chosen, which panel is open; both stand in the address, so that a link and a reload keep them.
import {byId, el, replace} from "../common/dom.js";
import {ago, count, duration, number} from "../common/format.js";
import {askForKey} from "../common/key.js";
import {topbar} from "../common/topbar.js";
import {Chart, swatch} from "./chart.js";
import {Completions} from "./completions.js";
import {palette, query, Runs} from "./data.js";
import {grouped, titleOf, unitOf} from "./groups.js";
import {aboutPanel, alarmsPanel, comparePanel} from "./panels.js";
import {visible} from "./text.js";

const kTabs = [["charts", "Curves"], ["completions", "Completions"], ["compare", "Compare"], ["alarms", "Alarms"], ["about", "Settings"]];
const kListEvery = 4000;

const runs = new Runs();
const completions = new Completions();
const status = el("span", {class: "status", role: "status"});
let list = [], roots = [], filter = "", metricFilter = "", tab = "charts", axis = "step", failed = new Map();
const charts = new Map();

// ---- the address ----

function readAddress() {
  const parameters = new URLSearchParams(location.hash.slice(1));
  tab = kTabs.some(([id]) => id === parameters.get("tab")) ? parameters.get("tab") : "charts";
  const smoothing = Number(parameters.get("smoothing") ?? runs.view.smoothing);
  if (smoothing >= 0 && smoothing <= 0.999) runs.view.smoothing = smoothing;
  if (["step", "relative", "wall"].includes(parameters.get("axis"))) axis = parameters.get("axis");
  return (parameters.get("runs") ?? "").split(",").filter(Boolean);
}

function writeAddress() {
  const parameters = new URLSearchParams({runs: runs.selected.join(","), tab, smoothing: runs.view.smoothing, axis});
  history.replaceState(null, "", "#" + parameters.toString().replaceAll("%2F", "/").replaceAll("%2C", ","));
}

// ---- the list ----

// Where there is one root its name says nothing.
const shortName = (name) => roots.length === 1 && name.startsWith(roots[0] + "/") ? name.slice(roots[0].length + 1) : name;

async function refreshList() {
  try {
    const answer = await query("", {});
    const before = new Map(list.map((run) => [run.name, run]));
    list = answer.runs;
    roots = answer.roots;
    byId("more").hidden = !answer.more;
    for (const run of list) {
      // The stream tells of new lines; that a run ended, only the list.
      if (runs.details.has(run.name) && before.get(run.name)?.state !== run.state) runs.refresh(run.name);
    }
    drawList();
    return true;
  } catch (error) {
    status.textContent = error.message;
    return false;
  }
}

const headline = (run) => {
  const {last} = run;
  for (const [key, name] of [["reward", "reward"], ["eval/accuracy", "acc"], ["accuracy", "acc"], ["eval_loss", "loss"], ["loss", "loss"]])
    if (typeof last[key] === "number") return `${name} ${number(last[key])}`;
  return "";
};

function drawList() {
  const shown = list.filter((run) => run.name.toLowerCase().includes(filter));
  const folders = new Map();
  for (const run of shown) {
    const folder = run.name.includes("/") ? run.name.slice(0, run.name.lastIndexOf("/")) : "";
    folders.set(folder, [...(folders.get(folder) ?? []), run]);
  }
  const focus = document.activeElement?.dataset?.run;
  replace(byId("list"), [...folders].map(([folder, members]) => el("li", null,
    folder && el("div", {class: "folder", title: folder}, shortName(folder)),
    el("ul", null, members.sort((a, b) => b.modified - a.modified).map((run) => {
      const place = runs.selected.indexOf(run.name), box = el("input", {type: "checkbox", checked: place >= 0, "data-run": run.name, onchange: () => toggle(run.name, box.checked)});
      return el("li", null, el("label", {class: "run" + (place >= 0 ? " chosen" : "")}, box, place >= 0 ? swatch(palette(place)) : el("i", {class: "swatch none"}),
        el("span", {class: "title"}, run.title, run.stage && el("small", null, ` ${run.stage}`)),
        el("span", {class: `state ${run.state}`, title: run.state}, run.state === "running" ? "running" : run.state === "finished" ? "done" : "stopped"),
        el("span", {class: "detail"}, `${count(run.step)}${run.total_steps && run.total_steps !== run.step ? ` of ${count(run.total_steps)}` : ""} · ${headline(run)}`),
        run.alarms > 0 && el("span", {class: "alarm", title: "monitors that alarm now"}, `⚠ ${run.alarms}`),
        el("span", {class: "age"}, ago(1000 * run.modified))));
    })))));
  if (focus) document.querySelector(`[data-run="${CSS.escape(focus)}"]`)?.focus();
  byId("empty").hidden = list.length > 0;
}

function toggle(name, on) {
  choose(on ? [...runs.selected, name].slice(-16) : runs.selected.filter((other) => other !== name));
}

async function choose(names) {
  for (const name of failed.keys()) if (!names.includes(name)) failed.delete(name);
  const done = runs.select(names);
  writeAddress();
  drawList();
  drawPanel();
  await done;
  drawPanel();
}

// ---- what is said of the chosen runs ----

function drawHead() {
  const now = Date.now();
  replace(byId("head"), runs.selected.map((name, i) => {
    const d = runs.details.get(name);
    if (!d) return el("div", {class: "card about"}, swatch(palette(i)), el("b", null, shortName(name)), el("p", {class: "muted"}, failed.get(name) ?? "reading …"));
    const left = d.total_steps && d.seconds_per_step && d.state === "running" ? (d.total_steps - d.step) * d.seconds_per_step : null;
    const alarms = d.alarm_list.length;
    const progress = d.total_steps ? el("progress", {max: d.total_steps, value: Math.min(d.step, d.total_steps), "aria-label": "Progress"}) : null;
    return el("div", {class: "card about"},
      el("div", {class: "line"}, swatch(palette(i)), el("b", {title: name}, shortName(name)), el("span", {class: `state ${d.state}`}, d.state),
        alarms > 0 && el("button", {type: "button", class: "small alarm", onclick: () => open("alarms")}, `⚠ ${count(alarms)}`)),
      progress,
      el("p", {class: "muted"}, `${d.stage ? d.stage + " · " : ""}step ${count(d.step)}${d.total_steps ? ` of ${count(d.total_steps)}` : ""}`,
        d.seconds_per_step > 0 ? ` · ${duration(d.seconds_per_step)} a step` : "", left !== null && left > 0 ? ` · ${left > 7200 ? `${(left / 3600).toFixed(1)} h` : left > 120 ? `${Math.round(left / 60)} min` : duration(left)} left` : "",
        d.state !== "running" && d.modified ? ` · ${ago(1000 * d.modified, now)}${now - 1000 * d.modified > 60000 && now - 1000 * d.modified < 6048e5 ? " ago" : ""}` : ""),
      d.faults.map((fault) => el("p", {class: "fault"}, visible(fault))));
  }));
}

// ---- curves ----

const source = {
  range: () => runs.view,
  axis: () => axis,
  smoothing: () => runs.view.smoothing,
  zoom(from, to) {
    runs.setView({from, to});
    byId("unzoom").hidden = from === null;
  },
  xOf(name) {
    if (axis === "step") return (step) => step;
    const start = axis === "relative" ? runs.details.get(name)?.started ?? 0 : 0;
    return (step) => {
      const time = runs.time(name, step);
      return time === null ? null : time - start;
    };
  },
  lines(key, points) {
    const out = [];
    for (const [i, name] of runs.selected.entries()) {
      if (failed.has(name)) continue;
      const curve = runs.curve(name, key, Math.min(2000, Math.max(50, points)));
      if (curve === undefined) return undefined;
      if (curve) out.push({name: shortName(name), color: palette(i), curve, x: source.xOf(name)});
    }
    return out;
  },
  marks() {
    return runs.selected.flatMap((name) => (runs.details.get(name)?.alarm_list ?? []).filter((alarm) => alarm.kind === "monitor" || alarm.kind === "rewound").slice(0, 50)
      .map((alarm) => ({x: source.xOf(name)(alarm.step)})));
  },
};

const seen = new IntersectionObserver((entries) => {
  for (const entry of entries) {
    const chart = charts.get(entry.target.dataset.key);
    if (!chart) continue;
    chart.visible = entry.isIntersecting;
    if (chart.visible) chart.draw();
  }
}, {rootMargin: "200px"});

let layout = "";
function drawCharts() {
  const keys = [], ranges = new Map();
  for (const name of runs.selected) {
    for (const metric of runs.details.get(name)?.metrics ?? []) {
      if (!ranges.has(metric.key)) keys.push(metric.key);
      ranges.set(metric.key, [...(ranges.get(metric.key) ?? []), metric]);
    }
  }
  const wanted = keys.filter((key) => (key + " " + titleOf(key)).toLowerCase().includes(metricFilter));
  const groups = grouped(wanted);
  const next = JSON.stringify(groups);
  if (next === layout) return redraw();
  layout = next;
  const closed = new Set([...document.querySelectorAll("#groups details:not([open])")].map((node) => node.dataset.group));
  const first = !document.querySelector("#groups details");
  seen.disconnect();
  replace(byId("groups"), groups.map(([name, members]) => {
    const rare = name === "Others" || name === "Reward monitors";
    return el("details", {class: "group", "data-group": name, open: metricFilter !== "" || (first ? !rare : !closed.has(name))}, el("summary", null, name, el("small", null, ` ${members.length}`)),
      el("div", {class: "grid"}, members.map((key) => {
        if (!charts.has(key)) charts.set(key, new Chart(key, titleOf(key), unitOf(key), source));
        seen.observe(charts.get(key).node);
        return charts.get(key).node;
      })));
  }));
  for (const key of [...charts.keys()]) if (!ranges.has(key)) charts.delete(key);
  if (!runs.selected.length) replace(byId("groups"), el("p", {class: "muted"}, list.length ? "Choose a run on the left." : ""));
}

const redraw = () => {
  for (const chart of charts.values()) chart.draw();
};

// ---- panels ----

function open(id) {
  tab = id;
  writeAddress();
  drawPanel();
}

function drawPanel() {
  for (const [id] of kTabs) {
    byId(`tab-${id}`).setAttribute("aria-selected", String(id === tab));
    byId(`panel-${id}`).hidden = id !== tab;
  }
  drawHead();
  const focused = runs.details.get(runs.selected[0]) ?? null;
  if (tab === "charts") drawCharts();
  else if (tab === "completions") completions.show(focused);
  else if (tab === "compare") comparePanel(byId("panel-compare"), runs.selected.filter((name) => runs.details.has(name)), shortName);
  else if (tab === "alarms") alarmsPanel(byId("panel-alarms"), runs, runs.selected, shortName, (alarm) => {
    const width = Math.max(20, (runs.details.get(alarm.name)?.step ?? 0) / 20);
    axis = "step";
    byId("axis").value = axis;
    open("charts");
    source.zoom(Math.max(0, alarm.step - width), alarm.step + width);
  });
  else aboutPanel(byId("panel-about"), focused);
}

let smoothingTimer = 0;
function start() {
  topbar(byId("topbar"), "runs", {after: [status]});
  const chosen = readAddress();
  replace(byId("tabs"), kTabs.map(([id, name]) => el("button", {type: "button", role: "tab", id: `tab-${id}`, "aria-controls": `panel-${id}`, onclick: () => open(id)}, name)));
  byId("panel-completions").append(completions.node);
  const slider = byId("smoothing"), shown = byId("smoothing-value");
  slider.value = String(runs.view.smoothing);
  shown.textContent = String(runs.view.smoothing);
  slider.addEventListener("input", () => {
    shown.textContent = slider.value;
    clearTimeout(smoothingTimer);
    smoothingTimer = setTimeout(() => {
      runs.setView({smoothing: Number(slider.value)});
      writeAddress();
    }, 80);
  });
  byId("axis").value = axis;
  byId("axis").addEventListener("change", (event) => {
    axis = event.target.value;
    writeAddress();
    redraw();
  });
  byId("log").addEventListener("change", (event) => {
    for (const chart of charts.values()) {
      chart.log = event.target.checked;
      chart.draw();
    }
  });
  byId("unzoom").addEventListener("click", () => source.zoom(null, null));
  byId("metric-filter").addEventListener("input", (event) => {
    metricFilter = event.target.value.trim().toLowerCase();
    drawCharts();
  });
  byId("run-filter").addEventListener("input", (event) => {
    filter = event.target.value.trim().toLowerCase();
    drawList();
  });
  runs.addEventListener("curves", redraw);
  runs.addEventListener("details", () => {
    drawHead();
    if (tab === "charts") drawCharts();
    else if (tab === "alarms") drawPanel();
  });
  runs.addEventListener("step", drawHead);
  runs.addEventListener("failed", ({detail}) => {
    failed.set(detail.name, detail.error.message);
    drawHead();
    redraw();
  });
  runs.addEventListener("live", ({detail}) => {
    status.textContent = detail ? "live" : "reconnecting …";
  });
  window.addEventListener("r1:theme", redraw);
  window.addEventListener("pagehide", () => runs.pause());
  window.addEventListener("pageshow", (event) => {
    if (event.persisted) runs.resume();
  });
  window.addEventListener("hashchange", () => choose(readAddress()));
  askForKey(async () => {
    await refreshList();
    choose(runs.selected);
  });
  (async () => {
    await refreshList();
    // Nothing chosen: the run that was written to last.
    const newest = list.reduce((a, b) => (a && a.modified >= b.modified ? a : b), null);
    await choose(chosen.length ? chosen : newest ? [newest.name] : []);
    setInterval(() => {
      if (!document.hidden) refreshList();
    }, kListEvery);
  })();
}

// For tests: what the page has drawn.
window.r1Runs = {runs, charts};
start();
