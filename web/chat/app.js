// The chat page: puts the parts together and holds what is going on: which conversation and branch is shown, and the answer that is being made.
//
// What is stored when: a question, before the model is asked (its acknowledgement is on the server's disk); an answer, empty at its start, about
// once a second while it grows, and at its end. A page that is closed sends what it still has. So a crash of the page or the server loses at most
// the last second of an answer; on the next visit that answer is there as far as it came, and can be continued.

import {api} from "../common/api.js";
import {byId, el, ask, icon, iconButton, replace} from "../common/dom.js";
import {count} from "../common/format.js";
import {store, stored} from "../common/storage.js";
import {topbar} from "../common/topbar.js";
import {GrowingAnswer, answer, bodyOf, samplingOf} from "./answer.js";
import {Saver, conversations} from "./conversations.js";
import {MessageView} from "./message_view.js";
import {editSettings, storedSettings} from "./settings.js";
import {Sidebar} from "./sidebar.js";
import {directionOf} from "./text.js";
import {Tree, newId, titleOf} from "./tree.js";

const log = byId("log");
const state = {
  conversation: null,       // as the server has it, without messages; null: a new one
  tree: new Tree(),
  leaf: "",
  views: new Map(),         // message id -> MessageView, of the branch that is shown
  settings: storedSettings(),
  models: [],
  defaults: {},             // of the server's sampling
  stick: true,              // the end of the log stays in view
  editing: null,
  opening: 0,
};

// The answers that are being made, by conversation: {message, abort, ended}. They go on while another conversation is looked at.
const running = new Map();
const here = () => running.get(state.conversation?.id);

// ---- Small parts of the page.

const status = el("span", {class: "status", id: "status"});
const saved = el("span", {class: "status", id: "saved", role: "status"});
topbar(byId("topbar"), "chat", {
  before: [iconButton("menu", "Conversations", () => showSidebar(!document.body.classList.contains("sidebar-open")), {id: "menu"})],
  after: [saved, status],
});

const input = el("textarea", {id: "input", rows: 1, placeholder: "Ask something", "aria-label": "Message", enterkeyhint: "send", autocomplete: "off"});
const send = el("button", {type: "button", id: "send", class: "primary round", title: "Send", "aria-label": "Send"}, icon("send"));
const think = el("button", {type: "button", id: "think", class: "ghost toggle", title: "Thinking: as the model does, on, off", onclick: cycleThinking});
const note = el("div", {id: "note", role: "alert", hidden: true});
const attached = el("div", {class: "attachments", hidden: true});
replace(byId("composer"), note, el("div", {class: "box"}, attached, input, el("div", {class: "bar"}, think, el("span", {class: "space"}),
  el("span", {class: "hint muted"}, "Enter sends, Shift+Enter makes a line"), send)));

const sidebar = new Sidebar(byId("sidebar"), {
  open: (id, message) => { showSidebar(false); open(id, {message}); },
  fresh: () => { showSidebar(false); fresh(); },
  settings: changeSettings,
  removed: (id) => { if (state.conversation?.id === id) fresh(); tell(id); },
  renamed: (id, title) => { if (state.conversation?.id === id) setTitle(title); tell(id); },
  imported: () => tell(null),
  say,
});

const saver = new Saver({onstate: (what, error) => {
  saved.textContent = what === "saved" ? "Saved" : what === "saving" ? "" : "Not saved yet";
  saved.title = error ? error.message : "";
  saved.classList.toggle("bad", what === "failed");
}});

// Other tabs with the same conversations.
const tabs = "BroadcastChannel" in window ? new BroadcastChannel("r1.chats") : null;
if (tabs) tabs.onmessage = ({data}) => {
  sidebar.refresh();
  if (data.id && data.id === state.conversation?.id && !here() && !state.editing) open(data.id, {quiet: true});
};
function tell(id) {
  tabs?.postMessage({id});
}

function say(text) {
  note.hidden = !text;
  replace(note, text, text && iconButton("close", "Close this note", () => say("")));
}

function announce(text) {
  byId("announce").textContent = text;
}

function showSidebar(on) {
  document.body.classList.toggle("sidebar-open", on);
}
byId("veil").addEventListener("click", () => showSidebar(false));

function setTitle(title) {
  if (state.conversation) state.conversation.title = title;
  document.title = title ? `${title} – r1 chat` : "r1 chat";
}

// ---- Scrolling: the end stays in view while one is at the end, and nothing moves otherwise.

const kNear = 24, kFar = 200;  // pixels
let lastTop = 0, lastHeight = 0;
function atEnd(near = kNear) {
  return log.scrollHeight - log.scrollTop - log.clientHeight < near;
}
let following = false;
function follow() {
  // Once a frame: each time asks the browser for the layout of all that has changed.
  if (following) return;
  following = true;
  requestAnimationFrame(() => {
    following = false;
    const height = log.scrollHeight;
    if (state.stick) log.scrollTop = height;
    // What comes into view may turn out higher than it was taken for.
    if (state.stick && height !== lastHeight) follow();
    lastHeight = height;
    byId("jump").hidden = state.stick || atEnd(kFar);
  });
}
log.addEventListener("wheel", (event) => { if (event.deltaY < 0) state.stick = false; }, {passive: true});
log.addEventListener("touchmove", () => { state.stick = false; }, {passive: true});
log.addEventListener("keydown", (event) => { if (["PageUp", "ArrowUp", "Home"].includes(event.key)) state.stick = false; });
log.addEventListener("scroll", () => {
  // A place further up than before, in a log that is as high as before, was gone to by a person (or their search in the page).
  if (atEnd()) state.stick = true;
  else if (log.scrollTop < lastTop && log.scrollHeight === lastHeight) state.stick = false;
  lastTop = log.scrollTop;
  byId("jump").hidden = state.stick || atEnd(kFar);
}, {passive: true});
byId("jump").addEventListener("click", () => { state.stick = true; follow(); });
new ResizeObserver(follow).observe(log);

// ---- What is shown.

const actions = {
  go: (id) => { if (id) showBranch(state.tree.leafUnder(id)); },
  regenerate: (message) => requestAnswer(message.parent),
  continue: (message) => requestAnswer(message.parent, message),
  edit: (view) => startEdit(view),
  remove: async (message) => {
    if (!await ask({title: "Delete this message?", text: "All that follows it in its branches goes with it.", action: "Delete", danger: true})) return;
    try {
      await stopRunning();
      await conversations.removeMessage(state.conversation.id, message.id);
      state.tree.remove(message.id);
      const parent = message.parent;
      state.leaf = state.tree.size ? state.tree.leafUnder(parent) : "";
      show();
      tell(state.conversation.id);
    } catch (error) {
      say(error.message);
    }
  },
};

// The branch that ends in state.leaf. Views of messages that stay are kept.
function show() {
  const path = state.tree.path(state.leaf);
  const views = new Map();
  const roots = path.map((message, i) => {
    const last = i + 1 === path.length;
    const siblings = state.tree.siblings(message.id);
    let view = state.views.get(message.id);
    if (view && view.message === message && !view.stale) view.showFoot(siblings, last);
    else view = new MessageView(message, {siblings, last, streaming: here()?.message === message, actions, onchange: follow});
    views.set(message.id, view);
    return view.root;
  });
  state.views = views;
  if (!roots.length) roots.push(welcome());
  // Only what changes is moved, so that nothing scrolls and no details close.
  roots.forEach((root, i) => { if (log.children[i] !== root) log.insertBefore(root, log.children[i] || null); });
  while (log.children.length > roots.length) log.lastChild.remove();
  document.body.classList.toggle("empty", !path.length);
  showSend();
  follow();
}

function welcome() {
  return el("div", {class: "welcome"}, el("h1", null, "What is on your mind?"), el("p", {class: "muted"}, state.models.length ? `You are talking to ${currentModel()}.` : ""));
}

function showBranch(leaf) {
  if (!leaf || leaf === state.leaf) return;
  state.leaf = leaf;
  show();
  if (state.conversation) conversations.change(state.conversation.id, {leaf}).catch((error) => say(error.message));
}

function currentModel() {
  return state.models.includes(state.settings.model) ? state.settings.model : state.models[0] || "";
}

function showSend() {
  const busy = here() !== undefined;
  send.replaceChildren(icon(busy ? "stop" : "send"));
  send.title = busy ? "Stop (Esc)" : "Send";
  send.setAttribute("aria-label", busy ? "Stop" : "Send");
  send.classList.toggle("stop", busy);
  send.disabled = !busy && !input.value.trim() && !attachments.length;
  const thinking = state.settings.thinking || "";
  think.textContent = thinking === "on" ? "Thinking on" : thinking === "off" ? "Thinking off" : "Thinking auto";
  think.classList.toggle("on", thinking === "on");
  status.textContent = currentModel();
}

// ---- Conversations.

function address(id) {
  const url = id ? `/?chat=${encodeURIComponent(id)}` : "/";
  if (location.pathname + location.search !== url) history.pushState(null, "", url);
}

function fresh({push = true} = {}) {
  if (push) keepDraft();
  ++state.opening;
  Object.assign(state, {conversation: null, tree: new Tree(), leaf: "", views: new Map(), stick: true, editing: null, settings: storedSettings()});
  log.replaceChildren();
  if (push) address(null);
  sidebar.select(null);
  setTitle("");
  say("");
  takeDraft();
  show();
  input.focus();
}

async function open(id, {push = true, quiet = false, message = null} = {}) {
  const opening = ++state.opening;
  if (!quiet && push) keepDraft();
  try {
    const whole = await conversations.get(id);
    if (opening !== state.opening) return;
    const {messages, ...conversation} = whole;
    // The object of an answer that is being made, and of messages that did not change, stays: their views hold it.
    const made = running.get(id)?.message;
    const tree = new Tree(messages.map((stored) => {
      if (made && stored.id === made.id) return made;
      const view = quiet && state.views.get(stored.id);
      return view && view.message.version === stored.version ? view.message : stored;
    }));
    if (!quiet) {
      state.views = new Map();
      log.replaceChildren();
      state.stick = true;
    }
    Object.assign(state, {conversation, tree, editing: null, settings: {...conversation.settings}});
    const wanted = message && tree.get(message) ? tree.leafUnder(message) : quiet && tree.get(state.leaf) ? state.leaf : conversation.leaf;
    state.leaf = tree.get(wanted) ? wanted : "";
    if (message) state.stick = false;
    if (push && !quiet) address(id);
    sidebar.select(id);
    setTitle(conversation.title);
    if (!quiet) {
      say("");
      takeDraft();
    }
    show();
    if (message) state.views.get(message)?.root.scrollIntoView({block: "center"});
    else if (!quiet && !matchMedia("(max-width: 720px)").matches) input.focus();
  } catch (error) {
    if (opening !== state.opening) return;
    if (error.status === 404) fresh();
    say(error.status === 404 ? "This conversation is gone." : error.message);
  }
}

// ---- Drafts: what was typed and not sent survives a reload.

const draftKey = () => `r1.draft.${state.conversation?.id || "new"}`;
function keepDraft() {
  store("sessionStorage", draftKey(), input.value.slice(0, 1 << 20));
}
function takeDraft() {
  input.value = stored("sessionStorage", draftKey());
  fit();
}
addEventListener("pagehide", keepDraft);

// ---- Asking.

let sending = false;
async function submit() {
  const text = question();
  if (here() || sending || !text.trim()) return;
  const typed = input.value;
  const kept = attachments;
  input.value = "";
  keepDraft();
  attachments = [];
  showAttachments();
  fit();
  say("");
  state.stick = true;
  sending = true;
  let asked = false;
  try {
    asked = await addQuestion(text, state.leaf);
  } catch (error) {
    // Not stored, so not asked; what was typed is still there.
    if (!input.value) input.value = typed;
    attachments = [...kept, ...attachments];
    showAttachments();
    fit();
    say(`Not sent: ${error.message}`);
  }
  sending = false;
  if (asked) requestAnswer(state.leaf);
}

// Stores a question under `parent`; state.leaf is it then. False: another conversation has been opened meanwhile, and the question waits in its own.
async function addQuestion(text, parent) {
  let {conversation, tree} = state;
  if (!conversation) {
    const {messages, ...made} = await conversations.create({id: newId(), title: titleOf(text), settings: state.settings});
    conversation = made;
    if (state.tree === tree) {
      state.conversation = made;
      address(made.id);
      sidebar.select(made.id);
      setTitle(made.title);
    }
  }
  const message = {id: newId(), parent, role: "user", content: text, reasoning: "", finish_reason: "stop", version: 0};
  await saver.save(conversation.id, message);
  sidebar.refresh();
  if (state.conversation?.id !== conversation.id) return false;
  state.tree.add(message);
  state.leaf = message.id;
  show();
  return true;
}

let leaving = false;
addEventListener("pagehide", () => { leaving = true; });
addEventListener("pageshow", (event) => { if (event.persisted) location.reload(); });

// An answer to the message `parent`; or `continued` goes on.
function requestAnswer(parent, continued = null) {
  if (!state.conversation || here()) return;
  say("");
  const message = continued || {id: newId(), parent, role: "assistant", content: "", reasoning: "", model: currentModel(), sampling: samplingOf(state.settings),
    prompt_tokens: 0, completion_tokens: 0, reasoning_tokens: 0, thinking_seconds: 0, seconds: 0, tokens_per_second: 0, finish_reason: "", error: "", version: 0};
  message.finish_reason = message.error = "";
  const path = state.tree.path(parent);
  if (continued) path.push(message);
  const body = bodyOf({path, settings: state.settings, model: currentModel(), continued: continued !== null});
  const run = {message, abort: new AbortController()};
  running.set(state.conversation.id, run);
  if (!continued) state.tree.add(message);
  else if (state.views.get(message.id)) state.views.get(message.id).stale = true;
  state.leaf = message.id;
  show();
  announce("The answer is coming");
  run.ended = makeAnswer(state.conversation.id, state.tree, run, body);
}

// To its end, whatever that is; other conversations may be looked at meanwhile.
async function makeAnswer(conversation, tree, {message, abort}, body) {
  const growing = new GrowingAnswer(message);
  const view = () => state.views.get(message.id);
  const showNumbers = () => {
    growing.tick();
    view()?.showStats();
  };
  const tick = setInterval(showNumbers, 250);
  try {
    // The question stands; the answer's place does too, before a token is asked for.
    await saver.save(conversation, message);
    for await (const part of answer(body, abort.signal)) {
      if (!growing.take(part)) continue;
      view()?.update();
      saver.later(conversation, message);
    }
    announce("The answer is complete");
  } catch (error) {
    // A page that goes breaks its connections, before it hears that it goes: the answer was cut off, no more is known.
    if (error.status === 0) await new Promise((resolve) => setTimeout(resolve, 300));
    if (leaving) return;
    if (error.name === "AbortError") {
      message.finish_reason = "abort";
      announce("Stopped");
    } else {
      message.finish_reason = "error";
      message.error = error.message.slice(0, 4000);
      announce("The answer failed");
    }
  }
  clearInterval(tick);
  running.delete(conversation);
  if (growing.begun || message.finish_reason === "abort") showNumbers();
  saver.soon(conversation, message);
  view()?.finish(tree.siblings(message.id), state.leaf === message.id);
  showSend();
  follow();
  sidebar.refresh();
  tell(conversation);
}

// Resolves when the answer that is being made here has ended.
async function stopRunning() {
  const run = here();
  run?.abort.abort();
  await run?.ended;
}

// ---- Editing. A question's edit is a new branch; an answer is corrected where it stands, and what follows it stays.

const kMaxEdit = 100000;  // a longer text takes a browser seconds to lay out
function startEdit(view) {
  if (here()?.message === view.message) return;
  if (view.message.content.length > kMaxEdit) {
    say("This message is too long to be edited here; copy it instead.");
    return;
  }
  cancelEdit();
  const message = view.message;
  const answerEdit = message.role === "assistant";
  const area = el("textarea", {class: "edit", "aria-label": "Edit message", dir: directionOf(message.content)});
  area.value = message.content;
  area.rows = Math.min(20, Math.max(3, Math.min(message.content.length, 5000) / 60 + message.content.slice(0, 5000).split("\n").length));
  const save = () => (answerEdit ? correct(view, area.value) : branch(message, area.value));
  area.addEventListener("keydown", (event) => {
    if (event.key === "Escape") {
      event.stopPropagation();
      cancelEdit();
      input.focus();
    } else if (event.key === "Enter" && !event.shiftKey && !composing(event) && !answerEdit) {
      event.preventDefault();
      save();
    }
  });
  const box = el("div", {class: "editor"}, area, el("div", {class: "buttons"},
    el("button", {type: "button", class: "ghost", onclick: cancelEdit}, "Cancel"),
    el("button", {type: "button", class: "primary", onclick: save}, answerEdit ? "Save" : "Send")));
  view.root.classList.add("editing");
  view.root.append(box);
  state.editing = {view, box};
  area.focus();
}

function cancelEdit() {
  if (!state.editing) return;
  state.editing.view.root.classList.remove("editing");
  state.editing.box.remove();
  state.editing = null;
}

async function branch(message, text) {
  if (!text.trim()) return;
  try {
    await stopRunning();
    if (!await addQuestion(text, message.parent)) return;
    cancelEdit();
  } catch (error) {
    say(`Not sent: ${error.message}`);
    return;
  }
  state.stick = true;
  requestAnswer(state.leaf);
}

async function correct(view, text) {
  const {id} = state.conversation;
  const changed = {...view.message, content: text};
  try {
    await saver.save(id, changed);
  } catch (error) {
    say(error.message);
    return;
  }
  cancelEdit();
  Object.assign(view.message, changed);
  view.stale = true;
  show();
  tell(id);
}

// ---- Settings.

async function changeSettings() {
  const settings = await editSettings(state.settings, {models: state.models, defaults: state.defaults});
  if (!settings) return;
  await useSettings(settings);
  refreshServer();
  sidebar.refresh();
}

async function useSettings(settings) {
  state.settings = settings;
  showSend();
  if (state.conversation) {
    try {
      await conversations.change(state.conversation.id, {settings});
    } catch (error) {
      say(error.message);
    }
  }
}

function cycleThinking() {
  const next = {"": "on", on: "off", off: ""}[state.settings.thinking || ""];
  const settings = {...state.settings, thinking: next};
  if (!next) delete settings.thinking;
  useSettings(settings);
}

async function refreshServer() {
  try {
    state.models = ((await api("/v1/models")).data || []).map((model) => String(model.id));
  } catch (error) {
    if (error.status !== 401) say(error.message);
  }
  try {
    const props = await api("/props");
    const params = props.default_generation_settings?.params || props.default_generation_settings || {};
    state.defaults = {...params, repetition_penalty: params.repetition_penalty ?? params.repeat_penalty};
  } catch {
    state.defaults = {};  // then the fields say "default"
  }
  if (!state.tree.size) show();
  showSend();
}

let askedForKey = false;
addEventListener("r1:unauthorized", async () => {
  if (askedForKey || document.querySelector("dialog[open]")) return;
  askedForKey = true;
  say("This server asks for an API key: put it into the settings.");
  await changeSettings();
  askedForKey = false;
  const wanted = new URLSearchParams(location.search).get("chat");
  if (wanted && !state.conversation) open(wanted, {push: false});
});

// ---- The composer and the keyboard.

// Enter that ends an input method's composition is not meant for us; some browsers only say so by the key's code.
function composing(event) {
  return event.isComposing || event.keyCode === 229;
}

const kLongPaste = 8000;
function fit() {
  showSend();
  input.dir = directionOf(input.value);
  // Measuring a text of a megabyte takes seconds; it is as high as it gets anyway.
  input.classList.toggle("tall", input.value.length > 20000);
  if (input.value.length > 20000) {
    input.style.height = "";
    return;
  }
  input.style.height = "auto";
  input.style.height = `${Math.min(input.scrollHeight, 260)}px`;
}
input.addEventListener("input", fit);
input.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && !event.shiftKey && !composing(event)) {
    event.preventDefault();
    submit();
  } else if (event.key === "ArrowUp" && !input.value) {
    const mine = state.tree.path(state.leaf).filter((message) => message.role === "user").pop();
    if (!mine) return;
    event.preventDefault();
    startEdit(state.views.get(mine.id));
  }
});
send.addEventListener("click", () => (here() ? stopRunning() : submit()));

// Long texts do not go into the field, which a browser takes seconds to lay out, but stand above it until they are sent: what is pasted, and text
// files that are dropped, which become blocks of code.
let attachments = [];  // {name, text, block}

function showAttachments() {
  attached.hidden = !attachments.length;
  replace(attached, attachments.map((one) => el("span", {class: "attachment chip"},
    `${one.name} · ${count(one.text.split("\n").length)} lines`,
    iconButton("close", `Remove ${one.name}`, () => { attachments = attachments.filter((other) => other !== one); showAttachments(); }))));
  showSend();
}

// The question: what was typed, then what is attached.
function question() {
  const parts = attachments.map(({name, text, block}) => {
    if (!block) return text;
    const fence = "`".repeat((text.match(/`{3,}/g) || []).reduce((most, run) => Math.max(most, run.length + 1), 3));
    return `${name}:\n${fence}\n${text}${text.endsWith("\n") ? "" : "\n"}${fence}`;
  });
  return [input.value, ...parts].filter((part) => part.trim()).join("\n\n");
}

input.addEventListener("paste", (event) => {
  const text = event.clipboardData?.getData("text/plain") || "";
  if (text.length < kLongPaste) return;
  event.preventDefault();
  attachments.push({name: "Pasted text", text: text.replace(/\r\n?/g, "\n"), block: false});
  showAttachments();
});
input.addEventListener("dragover", (event) => event.preventDefault());
input.addEventListener("drop", async (event) => {
  const files = [...(event.dataTransfer?.files || [])];
  if (!files.length) return;
  event.preventDefault();
  for (const file of files) {
    const text = file.size <= 1 << 20 ? await file.text() : null;
    if (text === null || text.includes("\0")) say(`${file.name} is ${text === null ? "over a megabyte" : "not a text file"}.`);
    else attachments.push({name: file.name, text, block: true});
  }
  showAttachments();
});

document.addEventListener("keydown", (event) => {
  const command = event.ctrlKey || event.metaKey;
  if (event.key === "Escape" && !composing(event)) {
    if (document.querySelector("dialog[open]")) return;
    if (here()) stopRunning();
    else if (state.editing) cancelEdit();
    else showSidebar(false);
  } else if (command && !event.shiftKey && event.key.toLowerCase() === "k") {
    event.preventDefault();
    showSidebar(true);
    sidebar.search.focus();
    sidebar.search.select();
  } else if (command && event.shiftKey && event.key.toLowerCase() === "o") {
    event.preventDefault();
    fresh();
  }
});

addEventListener("popstate", () => { keepDraft(); start(); });
document.addEventListener("visibilitychange", () => { if (!document.hidden) sidebar.refresh(); });

function start() {
  const id = new URLSearchParams(location.search).get("chat");
  if (id && /^[A-Za-z0-9._-]{1,128}$/.test(id)) open(id, {push: false});
  else fresh({push: false});
}

refreshServer();
sidebar.refresh();
start();
