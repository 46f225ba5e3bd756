"""A stand-in for `r1 serve` that a browser can talk to without a model: the pages of web/ under the server's security headers, the conversations'
API kept in memory, and /v1/chat/completions with answers that a test has written. By hand: python3 tests/browser/mock_server.py [PORT].

What the next answer is: POST /mock/next with {"content", "reasoning", "pieces", "delay" (seconds between pieces), "wait" (before the first), "finish",
"error" (sent in the middle), "drop" (hang up in the middle), "status" (refuse)}. GET /mock/log: the bodies of all completions asked for, what CSP
reported, and how many streams were cut off by the client. POST /mock/down {"seconds"}: the conversations' API answers 503 that long."""
import json
import mimetypes
import os
import random
import re
import string
import sys
import threading
import time
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

WEB = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "web")
SECURITY = {
    "Content-Security-Policy": "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; object-src 'none'; report-uri /mock/csp",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}
DEFAULT = {
    "reasoning": "The user asks something. I should answer in a friendly way and show a bit of everything.",
    "content": "Sure. Here is **Newton's method** for $\\sqrt{a}$:\n\n$$x_{n+1} = \\frac{1}{2}\\left(x_n + \\frac{a}{x_n}\\right)$$\n\n```python\ndef root(a, x=1.0):\n"
               "    # five steps are plenty\n    for _ in range(5):\n        x = (x + a / x) / 2\n    return x\n```\n\n| n | x |\n|--:|:--|\n| 1 | 1.5 |\n| 2 | 1.4167 |\n",
}
ID = re.compile(r"[A-Za-z0-9._-]{1,128}$")


def random_id():
    return "".join(random.choices(string.ascii_letters + string.digits, k=24))


class Refusal(Exception):
    def __init__(self, status, message, param=None, code=None):
        super().__init__(message)
        self.status, self.param, self.code = status, param, code


class Conversations:
    """r1/api/store.h in memory."""

    def __init__(self):
        self.lock = threading.RLock()
        self.all = {}

    def head(self, c):
        return {**{k: v for k, v in c.items() if k != "messages"}, "messages": len(c["messages"])}

    def find(self, cid):
        if cid not in self.all:
            raise Refusal(404, f"no conversation '{cid}'")
        return self.all[cid]

    def list(self, query, limit, offset):
        rows = []
        for c in sorted(self.all.values(), key=lambda c: (not c["pinned"], -c["updated"], c["id"])):
            row = self.head(c)
            if query:
                hits = [m for m in c["messages"].values() if query.lower() in m["content"].lower()]
                if not hits and query.lower() not in c["title"].lower():
                    continue
                if hits:
                    at = hits[-1]["content"].lower().index(query.lower())
                    row["match"] = {"message": hits[-1]["id"], "excerpt": hits[-1]["content"][max(0, at - 40):at + 120].replace("\n", " ")}
            rows.append(row)
        return {"conversations": rows[offset:offset + limit], "more": len(rows) > offset + limit}

    def create(self, body):
        cid = body.get("id") or random_id()
        if not ID.match(cid):
            raise Refusal(400, "id", "id")
        now = int(time.time() * 1000)
        if cid not in self.all:
            self.all[cid] = {"id": cid, "title": body.get("title", ""), "settings": body.get("settings", {}), "pinned": body.get("pinned", False), "leaf": "",
                             "created": now, "updated": now, "messages": {}}
        return self.whole(cid)

    def whole(self, cid):
        c = self.find(cid)
        return {**c, "messages": list(c["messages"].values())}

    def change(self, cid, body):
        c = self.find(cid)
        if "leaf" in body and body["leaf"] not in c["messages"]:
            raise Refusal(404, "no such message")
        c.update({k: v for k, v in body.items() if k in ("title", "settings", "pinned", "leaf")})
        return self.head(c)

    def put(self, cid, mid, body):
        c = self.find(cid)
        if body.get("role") not in ("user", "assistant", "system", "tool"):
            raise Refusal(400, "role", "role")
        now = int(time.time() * 1000)
        old = c["messages"].get(mid)
        m = {"id": mid, "parent": "", "content": "", "reasoning": "", "model": "", "sampling": {}, "prompt_tokens": 0, "completion_tokens": 0, "reasoning_tokens": 0,
             "thinking_seconds": 0, "seconds": 0, "tokens_per_second": 0, "finish_reason": "", "error": "", "version": 1, **body, "created": now, "updated": now}
        if old:
            if m["version"] <= old["version"]:
                if all(m[k] == old[k] for k in m if k not in ("created", "updated")):
                    return old
                raise Refusal(409, "stale", "version", "stale_version")
            m["created"] = old["created"]
        else:
            if m["parent"] and m["parent"] not in c["messages"]:
                raise Refusal(409, "parent", "parent")
            c["leaf"] = mid
        c["messages"][mid] = m
        c["updated"] = now
        return m

    def remove_message(self, cid, mid):
        c = self.find(cid)
        if mid not in c["messages"]:
            raise Refusal(404, "no such message")
        parent = c["messages"][mid]["parent"]
        gone = {mid}
        for other in list(c["messages"].values()):
            if other["parent"] in gone:
                gone.add(other["id"])
        for g in gone:
            del c["messages"][g]
        if c["leaf"] in gone:
            leaf = parent
            while True:
                under = [m["id"] for m in c["messages"].values() if m["parent"] == leaf]
                if not under:
                    break
                leaf = under[-1]
            c["leaf"] = leaf
        return {"deleted": len(gone)}

    def exported(self, cid=None):
        ids = [cid] if cid else list(self.all)
        return {"format": "r1-conversations", "version": 1, "conversations": [self.whole(i) for i in ids]}

    def imported(self, body):
        if not isinstance(body, dict) or body.get("format") != "r1-conversations":
            raise Refusal(400, "format: expected r1-conversations", "format")
        counts = {"added": 0, "same": 0, "renamed": 0}
        for c in body["conversations"]:
            c = {**c, "messages": {m["id"]: m for m in c["messages"]}}
            if c["id"] in self.all:
                if self.all[c["id"]] == c:
                    counts["same"] += 1
                    continue
                c["id"] = random_id()
                counts["renamed"] += 1
            self.all[c["id"]] = c
            counts["added"] += 1
        return counts


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # Small packets in a stream would wait for each other.
    disable_nagle_algorithm = True

    def log_message(self, *_):
        pass

    def reply(self, status, body, kind="application/json", headers=None):
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        for name, value in {**SECURITY, **(headers or {}), "Content-Type": kind, "Content-Length": str(len(data))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def handle_all(self):
        state = self.server.state
        url = urllib.parse.urlsplit(self.path)
        path = urllib.parse.unquote(url.path)
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        try:
            if path.startswith(("/v1/", "/api/", "/props")) and state["key"] and self.headers.get("Authorization") != "Bearer " + state["key"]:
                raise Refusal(401, "this server asks for an API key", None, "invalid_api_key")
            if path.startswith("/mock/"):
                return self.mock(path, body)
            if path.startswith("/api/conversations"):
                if time.time() < state["down_until"]:
                    raise Refusal(503, "the store is busy")
                return self.conversations(path.split("/")[3:], dict(urllib.parse.parse_qsl(url.query)), body)
            if path == "/v1/models":
                return self.reply(200, {"object": "list", "data": [{"id": "r1-tiny", "object": "model", "max_model_len": 4096}]})
            if path == "/props":
                return self.reply(200, {"default_generation_settings": {"params": {"temperature": 0.6, "top_p": 0.95, "top_k": 40, "min_p": 0.0, "repetition_penalty": 1.0}}})
            if path == "/v1/chat/completions" and self.command == "POST":
                return self.complete(json.loads(body))
            return self.page(path)
        except Refusal as refusal:
            self.reply(refusal.status, {"error": {"message": str(refusal), "type": "invalid_request_error", "param": refusal.param, "code": refusal.code}})
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = handle_all

    def page(self, path):
        name = {"/": "index.html", "/runs": "runs/index.html", "/dialogue": "dialogue/index.html"}.get(path, path.lstrip("/"))
        file = os.path.normpath(os.path.join(WEB, name))
        if not file.startswith(os.path.normpath(WEB)) or not os.path.isfile(file):
            raise Refusal(404, f"no page {path}")
        kind = "text/javascript" if file.endswith(".js") else mimetypes.guess_type(file)[0] or "application/octet-stream"
        with open(file, "rb") as f:
            self.reply(200, f.read(), kind)

    def mock(self, path, body):
        state = self.server.state
        if path == "/mock/next":
            state["next"].append(json.loads(body))
        elif path == "/mock/down":
            state["down_until"] = time.time() + json.loads(body)["seconds"]
        elif path == "/mock/key":
            state["key"] = json.loads(body)["key"]
        elif path == "/mock/csp":
            state["csp"].append(json.loads(body))
        elif path == "/mock/log":
            return self.reply(200, {k: state[k] for k in ("asked", "csp", "aborted")})
        return self.reply(200, {})

    def conversations(self, parts, query, body):
        store = self.server.state["store"]
        method = self.command
        if method == "PUT":
            time.sleep(self.server.state["store_delay"])
        with store.lock:
            if not parts:
                if method == "GET":
                    return self.reply(200, store.list(query.get("query", ""), int(query.get("limit", 100)), int(query.get("offset", 0))))
                return self.reply(201, store.create(json.loads(body)))
            if parts == ["export"]:
                return self.reply(200, store.exported())
            if parts == ["import"]:
                return self.reply(200, store.imported(json.loads(body)))
            cid = parts[0]
            if len(parts) == 1:
                if method == "GET":
                    return self.reply(200, store.whole(cid))
                if method == "PATCH":
                    return self.reply(200, store.change(cid, json.loads(body)))
                store.find(cid)
                del store.all[cid]
                return self.reply(200, {"deleted": True})
            if parts[1] == "export":
                return self.reply(200, store.exported(cid))
            if method == "DELETE":
                return self.reply(200, store.remove_message(cid, parts[2]))
            return self.reply(200, store.put(cid, parts[2], json.loads(body)))

    def complete(self, body):
        state = self.server.state
        state["asked"].append(body)
        plan = {**DEFAULT, "delay": 0.01, "wait": 0, "finish": "stop", "pieces": None, "error": None, "drop": False, "status": 200}
        if state["next"]:
            plan.update({"reasoning": "", **state["next"].pop(0)})
        if plan["status"] != 200:
            raise Refusal(plan["status"], plan["error"] or "refused", "messages", "context_length_exceeded")
        self.send_response(200)
        for name, value in {**SECURITY, "Content-Type": "text/event-stream", "Cache-Control": "no-store", "Transfer-Encoding": "chunked"}.items():
            self.send_header(name, value)
        self.end_headers()

        def event(value):
            data = ("data: " + (value if isinstance(value, str) else json.dumps(value)) + "\n\n").encode()
            self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))

        def chunk(delta, finish=None, **more):
            event({"id": "chatcmpl-x", "object": "chat.completion.chunk", "created": 1, "model": "r1-tiny", "choices": [{"index": 0, "delta": delta, "finish_reason": finish}], **more})

        def pieces(text):
            n = plan["pieces"]
            return [text[i:i + n] for i in range(0, len(text), n)] if n else re.findall(r"\s*\S+|\s+", text)

        try:
            time.sleep(plan["wait"])
            chunk({"role": "assistant", "content": ""})
            thoughts, words = pieces(plan["reasoning"]), pieces(plan["content"])
            for piece in thoughts:
                chunk({"reasoning_content": piece, "reasoning": piece})
                time.sleep(plan["delay"])
            for i, piece in enumerate(words):
                if i == len(words) // 2:
                    if plan["error"]:
                        event({"error": {"message": plan["error"], "type": "server_error", "param": None, "code": None}})
                        self.wfile.write(b"0\r\n\r\n")
                    if plan["drop"]:
                        time.sleep(0.5)  # what was sent is read before the connection is gone
                    if plan["error"] or plan["drop"]:
                        self.close_connection = True
                        return
                chunk({"content": piece})
                time.sleep(plan["delay"])
            chunk({}, plan["finish"])
            event({"id": "chatcmpl-x", "object": "chat.completion.chunk", "created": 1, "model": "r1-tiny", "choices": [],
                   "usage": {"prompt_tokens": 11, "completion_tokens": len(thoughts) + len(words), "total_tokens": 11 + len(thoughts) + len(words),
                             "completion_tokens_details": {"reasoning_tokens": len(thoughts)}}})
            event("[DONE]")
            self.wfile.write(b"0\r\n\r\n")
        except (BrokenPipeError, ConnectionResetError):
            state["aborted"] += 1
            self.close_connection = True


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def handle_error(self, request, client_address):
        if not isinstance(sys.exc_info()[1], (BrokenPipeError, ConnectionResetError)):
            super().handle_error(request, client_address)


def start(port=0):
    server = Server(("127.0.0.1", port), Handler)
    server.state = {"store": Conversations(), "next": [], "asked": [], "csp": [], "aborted": 0, "down_until": 0, "store_delay": 0, "key": ""}
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


if __name__ == "__main__":
    running = start(int(sys.argv[1]) if len(sys.argv) > 1 else 8099)
    print(f"http://127.0.0.1:{running.server_address[1]}", flush=True)
    threading.Event().wait()
