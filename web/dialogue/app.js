// The dialogue page: turns go to /v1/dialogue as a stream; what comes back is the tracked state, the reply as it is made, and both when done.
// The session's id is kept for this tab, so that a reload goes on where it was.
import {api, request} from "../common/api.js";
import {byId, el, iconButton, replace} from "../common/dom.js";
import {askForKey} from "../common/key.js";
import {events} from "../common/sse.js";
import {store, stored} from "../common/storage.js";
import {topbar} from "../common/topbar.js";
import {showState} from "./state.js";

const kSession = "r1.dialogue.session", kWords = "r1.dialogue.words";

let session = stored("sessionStorage", kSession);
let busy = false;
let domain = null;

// "": none. A reload goes on with it.
function setSession(id) {
  session = id;
  store("sessionStorage", kSession, id);
}

const log = byId("log"), input = byId("message"), send = byId("send"), side = byId("state");
const words = el("select", {"aria-label": "Whose words", title: "Whose words the replies are in"},
  el("option", {value: "template"}, "Domain's words"), el("option", {value: "model"}, "Model's words"));
words.value = stored("sessionStorage", kWords) || "template";
words.addEventListener("change", () => store("sessionStorage", kWords, words.value));

topbar(byId("topbar"), "dialogue", {after: [words, iconButton("plus", "New dialogue", begin)]});

function add(kind, text, meta = null) {
  log.querySelector(".empty")?.remove();
  const body = el("span", null, text);
  const node = el("div", {class: `turn ${kind}`}, body, meta && el("span", {class: "meta"}, meta));
  log.append(node);
  log.scrollTop = log.scrollHeight;
  return {node, body};
}

function metaOf(turn) {
  const words = turn.reply_source === "model" ? "model's words" : "domain's words";
  return `${turn.action.argument ? `${turn.action.name}: ${turn.action.argument}` : turn.action.name}, ${words}, understood in ${turn.understood_ms.toFixed(0)} ms`;
}

// With the first of what the domain is about and asks back for.
function empty(text) {
  const examples = domain ? domain.intents.filter((intent) => intent.needs.length).slice(0, 3) : [];
  replace(log, el("div", {class: "empty"},
    el("p", null, text),
    el("ul", null, examples.map(({title}) => el("li", null, el("button", {type: "button", onclick: () => say(title)}, title))))));
}

function show(state) {
  showState(side, state, domain, state && session);
}

function begin() {
  if (busy) return;
  if (session) api(`/v1/dialogue/${session}`, {method: "DELETE"}).catch(() => {});
  setSession("");
  empty(domain ? `A support dialogue about ${domain.name || "this service"}.` : "");
  show(null);
  input.focus();
}

// Today as the customer has it.
function today() {
  return new Date().toLocaleDateString("en-CA");
}

async function say(text) {
  if (busy || !text.trim()) return;
  setBusy(true);
  add("user", text);
  const reply = add("agent", "");
  try {
    await turn(text, reply);
  } catch (error) {
    reply.node.remove();
    add("error", error.message);
    if (error.code === "session_not_found") setSession("");
    if (!input.value) input.value = text;
  }
  setBusy(false);
  input.focus();
}

async function turn(text, reply) {
  const body = {message: text, stream: true, reply: words.value, today: today()};
  if (session) body.session = session;
  const response = await request("/v1/dialogue", {method: "POST", body});
  let done = false;
  for await (const event of events(response)) {
    const data = JSON.parse(event.data);
    if (event.event === "error") throw new Error(data.error.message);
    if (event.event === "delta") reply.body.append(data.text);
    if (event.event === "state" || event.event === "done") {
      setSession(data.session);
      show(data.state);
    }
    if (event.event === "done") {
      done = true;
      reply.body.textContent = data.reply;
      reply.node.append(el("span", {class: "meta"}, metaOf(data)));
    }
    log.scrollTop = log.scrollHeight;
  }
  if (!done) throw new Error("The answer broke off.");
}

function setBusy(on) {
  busy = on;
  send.disabled = on;
}

byId("form").addEventListener("submit", (event) => {
  event.preventDefault();
  if (busy) return;
  const text = input.value;
  input.value = "";
  say(text);
});
input.addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  byId("form").requestSubmit();
});

askForKey(open);

async function open() {
  try {
    domain = await api("/v1/dialogue/domain");
  } catch (error) {
    domain = null;
    empty(error.status === 404 ? "This server has no dialogues: start it with an intent model and a domain (--dialogue.intents, --dialogue.domain)." : error.message);
    show(null);
    return;
  }
  if (!session) return begin();
  try {
    const found = await api(`/v1/dialogue/${session}`);
    replace(log);
    for (const t of found.state.window) {
      add("user", t.user);
      add("agent", t.reply, t.action);
    }
    show(found.state);
  } catch {
    setSession("");
    begin();
  }
}

open();
