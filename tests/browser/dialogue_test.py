"""The dialogue page in a real browser, over a stand-in for /v1/dialogue: what is tracked is what is shown, and nothing a customer says is markup."""
import copy
import json
import time
import unittest

import mock_server
from harness import MockTest, Keys, main
from mock_server import Refusal

HOSTILE = ["<img src=x onerror=ran()>", "<script>ran()</script>", "javascript:ran()", "</span><svg onload=ran()>", "{{constructor.constructor('ran()')()}}", "\u202eevil"]
DOMAIN = {"object": "dialogue.domain", "name": "banking", "window": 8, "intents": [{"name": "fee", "title": "A fee", "needs": []}, {"name": "charged_twice", "title": "Charged twice", "needs": ["amount", "date"]}],
          "slots": [{"name": "amount", "title": "amount", "type": "amount"}, {"name": "date", "title": "day", "type": "date"}]}


class Handler(mock_server.Handler):
    """A dialogue of two slots; the state is as api/dialogue.cc writes it."""

    def handle_all(self):
        dialogues = self.server.dialogues
        if not self.path.startswith("/v1/dialogue") or dialogues is None:
            return super().handle_all()
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        try:
            return self.dialogue(dialogues, self.path.split("/")[3:], json.loads(body) if body else None)
        except Refusal as refusal:
            return self.reply(refusal.status, {"error": {"message": str(refusal), "type": "invalid_request_error", "param": refusal.param, "code": refusal.code}})

    do_GET = do_POST = do_DELETE = handle_all

    def dialogue(self, dialogues, parts, body):
        if parts == ["domain"]:
            return self.reply(200, DOMAIN)
        if parts and parts[0] not in dialogues:
            raise Refusal(404, "no dialogue", "session", "session_not_found")
        if self.command == "DELETE":
            del dialogues[parts[0]]
            return self.reply(200, {"deleted": True})
        if parts:
            return self.reply(200, {"session": parts[0], "state": dialogues[parts[0]]})
        return self.turn(dialogues, body)

    def turn(self, dialogues, body):
        text = body["message"]
        if text == "fail":
            raise Refusal(503, "all dialogues have a turn under way")
        if body.get("session") and body["session"] not in dialogues:
            raise Refusal(404, "no dialogue", "session", "session_not_found")
        session = body.get("session") or mock_server.random_id()
        state = dialogues.setdefault(session, {"turns": 0, "intent": None, "ranking": [], "slots": {}, "missing": [], "last_action": "", "awaiting": "nothing", "awaited_slot": None,
                                               "options": [], "misses": 0, "handed_over": False, "window_size": 8, "window": []})
        state["turns"] += 1
        state["intent"] = {"name": "charged_twice", "title": "Charged twice", "confidence": 0.91}
        state["ranking"] = [{"name": "charged_twice", "title": "Charged twice", "confidence": 0.91}, {"name": "fee", "title": "A fee", "confidence": 0.06}]
        if state["turns"] > 1:
            state["slots"]["amount"] = {"value": text, "said": text, "source": "rule", "turn": state["turns"], "title": "amount"}
        state["missing"] = [name for name in ("amount", "date") if name not in state["slots"]]
        state.update(awaiting="slot", awaited_slot=state["missing"][0], last_action=f"ask_slot({state['missing'][0]})")
        words = ["How ", "much ", "was it? ", text]
        reply = "".join(words)
        state["window"] = (state["window"] + [{"number": state["turns"], "user": text, "reply": reply, "intent": "charged_twice", "action": state["last_action"]}])[-8:]
        whole = {"session": session, "turn": state["turns"], "intent": state["intent"], "slots": {}, "action": {"name": "ask_slot", "argument": state["awaited_slot"]},
                 "reply": reply, "reply_source": body["reply"], "state": copy.deepcopy(state), "understood_ms": 12.3}
        self.send_response(200)
        for name, value in {**mock_server.SECURITY, "Content-Type": "text/event-stream", "Transfer-Encoding": "chunked"}.items():
            self.send_header(name, value)
        self.end_headers()
        events = [("state", {**whole, "reply": None})] + [("delta", {"text": w}) for w in words] + ([] if text == "break off" else [("done", whole)])
        for name, data in events:
            piece = f"event: {name}\ndata: {json.dumps(data)}\n\n".encode()
            self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
            time.sleep(0.01)
        self.wfile.write(b"0\r\n\r\n")


class DialogueTest(MockTest):
    def setUp(self):
        super().setUp()
        self.server.RequestHandlerClass = Handler
        self.server.dialogues = {}
        self.browser.set_window_size(1200, 820)

    def open(self, path="/dialogue"):
        self.browser.get(self.base + path)
        self.wait(lambda: self.count("#state h2") > 3 and (self.count("#log .empty") or self.count("#log .turn")), "the page")

    def fresh(self):
        self.open()
        self.run_js("sessionStorage.clear()")
        self.open()

    def say(self, text):
        before = self.count("#log .turn.agent .meta") + self.count("#log .turn.error")
        self.find("#message").send_keys(text, Keys.ENTER)
        self.wait(lambda: self.count("#log .turn.agent .meta") + self.count("#log .turn.error") > before, "an answer")

    def test_what_is_tracked_is_shown(self):
        self.fresh()
        self.assertIn("None yet.", self.text("#state"))
        self.say("charged twice")
        self.assertEqual(self.text(".turn.user"), "charged twice")
        self.assertTrue(self.text(".turn.agent").startswith("How much was it?"))
        self.assertEqual(self.text("#state .now"), "Charged twice")
        self.assertEqual(self.run_js("return [...document.querySelectorAll('.bars meter')].map((m) => m.value)"), [0.91, 0.06])
        self.assertEqual(self.texts(".slots .missing th"), ["amount", "day"])
        self.assertIn("asked for", self.text(".slots .missing td"))
        self.assertEqual(self.text("#state code"), "ask_slot(amount)")
        self.say("20 pounds")
        self.assertIn("20 pounds", self.text(".slots tr.new"))
        self.assertEqual(self.count(".window li.used"), 2)
        self.assertEqual(self.count(".window li"), 8)

    def test_a_reload_goes_on_and_a_new_dialogue_begins(self):
        self.fresh()
        self.say("charged twice")
        self.open()
        self.assertEqual(self.texts(".turn.user"), ["charged twice"])
        self.say("20 pounds")
        self.assertEqual(len(self.server.dialogues), 1)
        self.click("button[aria-label='New dialogue']")
        self.wait(lambda: self.count("#log .empty"), "an empty page")
        self.wait(lambda: not self.server.dialogues, "the old dialogue's end")

    def test_examples_fill_in(self):
        self.fresh()
        self.assertEqual(self.texts(".empty button"), ["Charged twice"])
        self.click(".empty button")
        self.wait(lambda: self.count("#log .turn.agent .meta") == 1, "an answer")
        self.assertEqual(self.texts(".turn.user"), ["Charged twice"])

    def test_errors_are_told_and_the_message_is_kept(self):
        self.fresh()
        self.say("fail")
        self.assertIn("all dialogues have a turn under way", self.text(".turn.error"))
        self.assertEqual(self.run_js("return document.querySelector('#message').value"), "fail")
        self.run_js("document.querySelector('#message').value = ''")
        self.say("break off")
        self.assertIn("broke off", self.texts(".turn.error")[-1])

    def test_a_dialogue_that_was_forgotten(self):
        self.fresh()
        self.say("charged twice")
        self.server.dialogues.clear()
        self.run_js("document.querySelector('#message').value = ''")
        self.say("20 pounds")
        self.assertIn("no dialogue", self.text(".turn.error"))
        self.run_js("document.querySelector('#message').value = ''")
        self.say("charged twice")
        self.assertEqual(len(self.server.dialogues), 1)

    def test_nothing_said_is_markup(self):
        self.fresh()
        for text in HOSTILE:
            self.say(text)
        self.assertEqual(self.texts(".turn.user"), HOSTILE)
        self.assertEqual(self.count("#log img, #log script, #log svg, #state img, #state script"), 0)
        self.open()
        self.assertEqual(self.texts(".turn.user"), HOSTILE)

    def test_a_server_without_dialogues(self):
        self.server.dialogues = None
        self.browser.get(self.base + "/dialogue")
        self.wait(lambda: "no dialogues" in (self.text("#log") or ""), "what is missing")

    def test_a_phone(self):
        self.browser.set_window_size(420, 800)
        self.fresh()
        self.say("a rather long message that has to be broken into lines " * 3)
        self.assertLessEqual(self.run_js("return document.documentElement.scrollWidth - document.documentElement.clientWidth"), 0)


if __name__ == "__main__":
    unittest.TestCase.maxDiff = None
    main()
