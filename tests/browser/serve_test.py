"""The chat page's main road against the program itself with a real model, SmolLM2-135M-Instruct of R1_MODELS: what a person does first, and what is
there after a kill -9. Skipped without program or model."""
import json
import os
import shutil
import signal
import tempfile
import threading
import urllib.request

import harness
from harness import PROGRAM, BrowserTest, Keys, Program, main

MODELS = os.environ.get("R1_MODELS") or os.path.join(os.environ.get("R1_DEPS") or os.path.expanduser("~/.cache/r1"), "models")
MODEL = os.path.join(MODELS, "smollm2-135m-instruct-q4_1.gguf")


class Others:
    """Clients that stream completions as long as the block runs; what became of their answers."""

    def __init__(self, base, clients):
        self.base, self.clients, self.whole, self.broken, self.stop = base, clients, 0, [], threading.Event()

    def ask(self, number):
        body = json.dumps({"prompt": f"Story number {number}. Once upon a time", "max_tokens": 24, "temperature": 0, "ignore_eos": True, "stream": True})
        request = urllib.request.Request(self.base + "/v1/completions", body.encode(), {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=120) as answer:
            lines = answer.read().decode().strip().split("\n\n")
        if lines[-1] != "data: [DONE]" or len(lines) < 3:
            raise ValueError(f"the stream ends in {lines[-1]}")

    def run(self, number):
        while not self.stop.is_set():
            try:
                self.ask(number)
                self.whole += 1
            except Exception as error:
                self.broken.append(str(error))

    def __enter__(self):
        self.threads = [threading.Thread(target=self.run, args=(n,)) for n in range(self.clients)]
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.stop.set()
        for thread in self.threads:
            thread.join()


class ServeTest(BrowserTest):
    @classmethod
    def setUpClass(cls):
        for file in (PROGRAM, MODEL):
            if not os.path.exists(file):
                harness.skip(f"no {file}")
        super().setUpClass()
        cls.folder = tempfile.mkdtemp(prefix="r1_chat_")
        cls.serve()

    @classmethod
    def tearDownClass(cls):
        cls.program.stop()
        shutil.rmtree(cls.folder)

    @classmethod
    def serve(cls, port=0):
        # Unpacked: with inputs rounded to 8 bits what this small model says first is a toss.
        cls.program = Program("serve", MODEL, "--weights", "unpacked", "--port", str(port), "--conversations", f"{cls.folder}/chat.sqlite", "--engine.max_model_len", "2048", ready=True)
        cls.base = cls.program.base

    def begin(self, **settings):
        """A new chat of these settings; greedy, so that the same question has the same answer."""
        self.open()
        self.run_js("localStorage.setItem('r1.settings', arguments[0])", json.dumps({"temperature": 0, **settings}))
        self.open()

    def conversation(self):
        with urllib.request.urlopen(f"{self.base}/api/conversations/{self.shown()}") as answer:
            return json.load(answer)

    def wait_words(self, n):
        self.wait(lambda: len(self.messages()) == 2 and len(self.messages()[1].split()) >= n, "words")

    def test_send_stream_and_regenerate(self):
        self.begin(max_tokens=40)
        self.ask("What is the capital of France?", wait=False)
        self.wait_words(1)
        self.wait_idle()
        self.assertIn("Paris", self.messages()[1])
        self.assertRegex(self.text(".stats"), r"^\d+ tokens · [\d.]+ tokens/s · [\d.]+ s$")
        first = self.stored()[0]
        self.assertIn(first["finish_reason"], ("stop", "length"))
        self.assertGreater(first["prompt_tokens"], 5)
        self.assertLessEqual(first["completion_tokens"], 40)
        self.click_in(1, "Regenerate")
        self.wait(lambda: self.text(".which") == "2 / 2" and not self.busy(), "the second")
        self.assertEqual([m["content"] for m in self.stored()], [first["content"]] * 2)
        self.ask("And of Italy?")
        self.assertEqual(len(self.messages()), 4)
        self.browser.refresh()
        self.wait(lambda: len(self.messages()) == 4 and self.messages()[0] == "What is the capital of France?", "the conversation after a reload")

    def test_stop_and_continue(self):
        self.begin(max_tokens=300)
        self.ask("Write a long story about the sea.", wait=False)
        self.wait_words(5)
        self.press(Keys.ESCAPE)
        self.wait_idle()
        self.assertEqual(self.text(".ending"), "Stopped.")
        self.wait(lambda: self.stored()[0]["finish_reason"] == "abort", "the store")
        kept = self.stored()[0]["content"]
        self.assertGreaterEqual(len(kept.split()), 5)
        self.click_in(1, "Continue")
        self.wait(lambda: len(self.messages()[1]) > len(kept) + 50, "more words")
        self.click("#send")
        self.wait_idle()
        self.wait(lambda: len(self.stored()[0]["content"]) > len(kept), "the store")
        self.assertTrue(self.stored()[0]["content"].startswith(kept))
        self.assertEqual(len(self.stored()), 1)

    def test_the_page_beside_many_other_clients(self):
        with Others(self.base, 12) as others:
            self.begin(max_tokens=24)
            self.ask("What is the capital of France?", wait=False)
            self.wait(lambda: self.count(".message.assistant.whole") == 1 and not self.busy(), "an answer beside the others", timeout=120)
            self.assertIn("Paris", self.messages()[1])
            self.begin(max_tokens=600)
            self.ask("Write a long story about the sea.", wait=False)
            self.wait(lambda: len(self.messages()) == 2 and len(self.messages()[1].split()) >= 3, "words beside the others", timeout=120)
            self.press(Keys.ESCAPE)
            self.wait_idle()
            self.assertEqual(self.text(".ending"), "Stopped.")
            self.wait(lambda: self.stored()[0]["finish_reason"] == "abort", "the store")
            self.assertLess(self.run_js("return window.seen.longest"), 200)  # U1: the page answers, whatever the server does
        self.assertEqual(others.broken, [])
        self.assertGreater(others.whole, 0)
        # Nobody holds a place any more.
        with urllib.request.urlopen(f"{self.base}/slots") as slots:
            self.assertEqual(json.load(slots), [])

    def test_thoughts_have_a_budget(self):
        self.begin(max_tokens=60, thinking="on", thinking_budget=12)
        self.ask("Tell me a story.", wait=False)  # this model ends a short answer within its thought
        self.wait(lambda: self.count(".thoughts") == 1, "thoughts")
        self.wait_idle()
        self.assertRegex(self.text(".thoughts summary"), r"^Thought for [\d.]+ s · \d+ tokens$")
        answer = self.stored()[0]
        self.assertTrue(answer["reasoning"].strip())
        self.assertTrue(answer["content"].strip())
        self.assertNotIn("think>", answer["content"])
        self.assertLessEqual(answer["reasoning_tokens"], 12 + 8)  # and the tokens that end it
        # Off again, and the thoughts are not sent back: the server would refuse them.
        self.run_js("document.querySelector('#think').click()")
        self.wait(lambda: self.text("#think") == "Thinking off", "the switch")
        self.ask("And 3 + 4?")
        self.assertEqual(self.stored()[1]["reasoning"], "")

    def test_nothing_stored_is_lost_when_the_server_is_killed(self):
        self.begin(max_tokens=1000)
        self.ask("Write a very long story about a mountain.", wait=False)
        self.wait(lambda: self.busy() and self.stored() and len(self.stored()[0]["content"].split()) > 10, "an answer that is stored as it grows")
        kept = self.stored()[0]["content"]
        self.program.stop(signal.SIGKILL)
        self.wait_idle()
        self.assertIn("connection", self.text(".notice.bad").lower())
        type(self).serve(self.program.port)
        self.browser.refresh()
        self.wait(lambda: len(self.messages()) == 2, "the conversation")
        self.assertTrue(self.stored()[0]["content"].startswith(kept))
        self.assertEqual(self.messages()[0], "Write a very long story about a mountain.")


if __name__ == "__main__":
    main()
