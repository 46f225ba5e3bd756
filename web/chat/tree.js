// The messages of a conversation: a tree, of which one branch is shown. No DOM in here.

export class Tree {
  #messages = new Map();
  #children = new Map([["", []]]);
  #chosen = new Map();  // which child was last shown under a message

  constructor(messages = []) {
    for (const message of messages) this.add(message);
  }

  get size() {
    return this.#messages.size;
  }

  get(id) {
    return this.#messages.get(id);
  }

  // A new message, or newer values of one that is there.
  add(message) {
    const there = this.#messages.get(message.id);
    if (there) {
      Object.assign(there, message);
      return there;
    }
    this.#messages.set(message.id, message);
    this.#children.set(message.id, []);
    (this.#children.get(message.parent) || this.#children.get("")).push(message.id);
    return message;
  }

  remove(id) {
    const message = this.#messages.get(id);
    if (!message) return;
    const going = [id];
    for (let i = 0; i < going.length; ++i) going.push(...this.#children.get(going[i]));
    const among = this.#children.get(message.parent) || this.#children.get("");
    among.splice(among.indexOf(id), 1);
    for (const gone of going) {
      this.#messages.delete(gone);
      this.#children.delete(gone);
      this.#chosen.delete(gone);
    }
    if (this.#chosen.get(message.parent) === id) this.#chosen.delete(message.parent);
  }

  // From the first message to `leaf`; remembers the way.
  path(leaf) {
    const out = [];
    for (let at = this.#messages.get(leaf); at; at = this.#messages.get(at.parent)) {
      out.push(at);
      this.#chosen.set(at.parent, at.id);
    }
    return out.reverse();
  }

  // The versions of a message, in the order they were made: itself among those with its parent and role.
  siblings(id) {
    const message = this.#messages.get(id);
    return (this.#children.get(message.parent) || []).filter((other) => this.#messages.get(other).role === message.role);
  }

  // Where the branch through `id` ends: along what was last shown, else along the newest.
  leafUnder(id) {
    for (let at = id;;) {
      const children = this.#children.get(at) || [];
      if (!children.length) return at;
      const chosen = this.#chosen.get(at);
      at = children.includes(chosen) ? chosen : children[children.length - 1];
    }
  }
}

// 24 random letters and digits, as the server makes them.
export function newId() {
  const letters = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
  let out = "";
  while (out.length < 24) {
    for (const byte of crypto.getRandomValues(new Uint8Array(32))) if (byte < 248 && out.length < 24) out += letters[byte % 62];
  }
  return out;
}

// A conversation's title of its first question: its first line that says something, 60 characters at most.
export function titleOf(text) {
  const line = text.split("\n").map((l) => l.replace(/^[#>*\-\s`]+/, "").trim()).find((l) => l) || "New chat";
  const characters = [...line.slice(0, 200)];
  return characters.length > 60 ? characters.slice(0, 59).join("").trimEnd() + "…" : characters.join("");
}
