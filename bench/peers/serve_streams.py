#!/usr/bin/env python3
"""Tokens a second of a server under N event streams at a time, ours and others', on the same machine with the same model and prompts: every server is
started, warmed and asked in turn, round after round; the same client asks all. One JSON object a peer, with the ratio of ours to it and its spread.
serve_streams.py --r1 build/cpu/r1 --gguf M.gguf [--llama-server PATH] [--transformers "python -m transformers.cli.transformers" --hf FOLDER]
    [--streams 16] [--tokens 64] [--rounds 3]
transformers serves chats only, so against it chats are asked, else completions. Tokens are counted by `usage`."""
import argparse
import concurrent.futures
import json
import os
import shlex
import signal
import socket
import statistics
import subprocess
import sys
import time
import urllib.request

SUBJECTS = ["the sea", "a small town", "an old clock", "the first snow", "a long train", "two brothers", "a garden", "the last bus"]


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Server:
    def __init__(self, name, command, health, model, extra, log):
        self.name, self.health, self.model, self.extra = name, health, model, extra
        self.port = free_port()
        self.process = subprocess.Popen([part.replace("PORT", str(self.port)) for part in command], stdout=log, stderr=log, start_new_session=True)

    def url(self, path):
        return f"http://127.0.0.1:{self.port}{path}"

    def wait(self, seconds=300):
        begun = time.time()
        while time.time() - begun < seconds:
            if self.process.poll() is not None:
                sys.exit(f"{self.name} ended with {self.process.returncode}")
            try:
                if urllib.request.urlopen(self.url(self.health), timeout=2).status == 200:
                    return time.time() - begun
            except OSError:
                time.sleep(0.05)
        sys.exit(f"{self.name} is not ready after {seconds} s")

    def stop(self):
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def ask(self, i, tokens, chat):
        prompt = f"Story number {i}. It is about {SUBJECTS[i % 8]}. Once upon a time"
        body = {"model": self.model, "max_tokens": tokens, "temperature": 0, "stream": True, "stream_options": {"include_usage": True}, **self.extra}
        if chat:
            body["messages"] = [{"role": "user", "content": prompt}]
        else:
            body["prompt"] = prompt
        request = urllib.request.Request(self.url("/v1/chat/completions" if chat else "/v1/completions"), json.dumps(body).encode(),
                                         {"Content-Type": "application/json"})
        begun, first, text, pieces, used = time.time(), None, "", 0, None
        with urllib.request.urlopen(request, timeout=600) as answer:
            for line in answer:
                if not line.startswith(b"data: ") or line.startswith(b"data: [DONE]"):
                    continue
                event = json.loads(line[6:])
                if event.get("usage"):
                    used = event["usage"]["completion_tokens"]
                for choice in event.get("choices", []):
                    piece = choice.get("text") if not chat else (choice.get("delta") or {}).get("content")
                    if piece:
                        first = first or time.time() - begun
                        text += piece
                        pieces += 1
        return text, used or pieces, first or 0

    def round(self, streams, tokens, chat):
        begun = time.time()
        with concurrent.futures.ThreadPoolExecutor(streams) as pool:
            answers = list(pool.map(lambda i: self.ask(i, tokens, chat), range(streams)))
        seconds = time.time() - begun
        return {"rate": sum(n for _, n, _ in answers) / seconds, "tokens": sum(n for _, n, _ in answers), "first": statistics.median(f for _, _, f in answers),
                "texts": [t for t, _, _ in answers]}


def compare(ours, peer, chat, options):
    for server in (ours, peer):
        server.round(2, 8, chat)
    rows = []
    for k in range(options.rounds):
        order = (ours, peer) if k % 2 == 0 else (peer, ours)
        got = {s.name: s.round(options.streams, options.tokens, chat) for s in order}
        rows.append((got[ours.name], got[peer.name]))
    ratios = sorted(a["rate"] / b["rate"] for a, b in rows)
    same = [x[:24] == y[:24] for a, b in rows for x, y in zip(a["texts"], b["texts"])]
    print(json.dumps({
        "bench": "serve_streams", "peer": peer.name, "model": os.path.basename(options.gguf), "route": "chat" if chat else "completions",
        "streams": options.streams, "tokens": options.tokens, "tokens_per_second": round(statistics.median(a["rate"] for a, _ in rows), 1),
        "peer_tokens_per_second": round(statistics.median(b["rate"] for _, b in rows), 1), "ratio": round(statistics.median(ratios), 2),
        "ratio_min": round(ratios[0], 2), "ratio_max": round(ratios[-1], 2), "answered_tokens": rows[0][0]["tokens"],
        "peer_answered_tokens": rows[0][1]["tokens"], "first_token": round(statistics.median(a["first"] for a, _ in rows), 3),
        "peer_first_token": round(statistics.median(b["first"] for _, b in rows), 3), "same_beginnings": round(sum(same) / len(same), 2), "example": [rows[0][0]["texts"][0][:60], rows[0][1]["texts"][0][:60]]}), flush=True)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--r1", required=True)
    parser.add_argument("--gguf", required=True)
    parser.add_argument("--llama-server")
    parser.add_argument("--transformers")
    parser.add_argument("--hf")
    parser.add_argument("--streams", type=int, default=16)
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--log", default=os.devnull)
    options = parser.parse_args()
    log = open(options.log, "w")
    n, servers = str(options.streams), []
    try:
        ours = Server("r1", [options.r1, "serve", options.gguf, "--port", "PORT", "--parallel", n], "/health", "m", {"ignore_eos": True}, log)
        servers.append(ours)
        print(json.dumps({"bench": "serve_streams/start", "server": "r1", "ready_seconds": round(ours.wait(), 2)}), flush=True)
        if options.llama_server:
            peer = Server("llama.cpp", [options.llama_server, "-m", options.gguf, "--port", "PORT", "--host", "127.0.0.1", "-np", n, "-c", str(1024 * options.streams),
                                        "--no-webui"], "/health", "m", {"ignore_eos": True, "cache_prompt": True}, log)
            servers.append(peer)
            print(json.dumps({"bench": "serve_streams/start", "server": peer.name, "ready_seconds": round(peer.wait(), 2)}), flush=True)
            compare(ours, peer, False, options)
            peer.stop()
            servers.remove(peer)
        if options.transformers:
            peer = Server("transformers", shlex.split(options.transformers) + ["serve", "--port", "PORT", "--host", "127.0.0.1"], "/health",
                          os.path.abspath(options.hf), {}, log)
            servers.append(peer)
            print(json.dumps({"bench": "serve_streams/start", "server": peer.name, "ready_seconds": round(peer.wait(), 2)}), flush=True)
            compare(ours, peer, True, options)
    finally:
        for server in servers:
            server.stop()


if __name__ == "__main__":
    main()
