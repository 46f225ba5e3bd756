"""The chat page in a real browser: each feature once, and what people report of other chat pages (in brackets: where it was reported)."""
import json
import os
import tempfile
import time
import unittest

from harness import Keys, MockTest, main

RICH = r"""# Title

A paragraph with **bold**, *italic*, ~~struck~~, `code`, [a link](https://example.org/a_b) and https://example.org/bare_url.

- one
  - nested
    1. deep
- [x] done
- [ ] open

3. three
4. four

> quoted
> text

| left | right |
|:-----|------:|
| a \| b | 1 |

```python
def f(x):
    return "s"  # note
```

Inline \(a^2 + b^2 = c^2\), $e^{i\pi} = -1$, and

$$\int_0^1 \frac{x^2}{\sqrt{1-x}}\,dx = \begin{pmatrix} 1 & 2 \\ 3 & 4 \end{pmatrix}$$

The answer is \(\boxed{42}\). It costs $5 to $10, or **$4** each; set $HOME/bin:$PATH.

\[ \unknowncommand{x} \]

![a picture](https://example.org/p.png)
"""


class ChatTest(MockTest):
    # ---- Answers.

    def test_answer_streams_with_thoughts_and_numbers(self):
        self.answer_next("Hello **there**.", reasoning="First I think a while about it all.", delay=0.1)
        self.open()
        self.ask("hi", wait=False)
        self.wait(lambda: "Thinking for" in (self.text(".thoughts summary") or ""), "running thoughts")
        self.assertEqual(self.run_js("return document.querySelector('#send').getAttribute('aria-label')"), "Stop")
        self.wait(lambda: len(self.messages()) == 2 and self.messages()[1].startswith("Hello"), "the first word")
        self.wait_idle()
        self.assertRegex(self.text(".thoughts summary"), r"^Thought for \d\.\d s · 8 tokens$")
        self.assertFalse(self.run_js("return document.querySelector('.thoughts').open"))
        self.find(".thoughts summary").click()
        self.assertEqual(self.text(".thoughts-text"), "First I think a while about it all.")
        self.assertEqual(self.messages(), ["hi", "Hello there."])
        self.assertEqual(self.count(".message.assistant strong"), 1)
        self.assertRegex(self.text(".stats"), r"^10 tokens · [\d.]+ tokens/s · [\d.]+ s$")
        answer = self.stored()[0]
        self.assertEqual((answer["content"], answer["finish_reason"], answer["completion_tokens"], answer["reasoning_tokens"], answer["prompt_tokens"]),
                         ("Hello **there**.", "stop", 10, 8, 11))
        self.assertEqual(self.conversation()["title"], "hi")
        self.assertIn("chat=", self.browser.current_url)
        # Thoughts are not sent back.
        self.ask("more")
        self.assertEqual(self.state["asked"][1]["messages"], [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "Hello **there**."},
                                                              {"role": "user", "content": "more"}])

    def test_stop_keeps_what_came_and_continue_goes_on(self):
        """[stop deletes the answer: huggingface/chat-ui#459, nesquena/hermes-webui#893]"""
        self.answer_next("one two three " * 100, delay=0.03)
        self.open()
        self.ask("count", wait=False)
        self.wait(lambda: len(self.messages()) == 2 and "two" in self.messages()[1], "some words")
        self.press(Keys.ESCAPE)
        self.wait_idle()
        self.wait(lambda: self.state["aborted"] == 1, "the server to see that we left")
        kept = self.messages()[1]
        self.assertIn("one two", kept)
        self.assertEqual(self.text(".ending"), "Stopped.")
        self.wait(lambda: self.stored()[0]["finish_reason"] == "abort", "the store")
        self.assertEqual(self.stored()[0]["content"].split(), kept.split())
        self.answer_next(" and the rest")
        self.click_in(1, "Continue")
        self.wait(lambda: self.messages()[1].endswith("and the rest") and not self.busy(), "the rest")
        self.assertTrue(self.messages()[1].startswith(kept))
        self.assertEqual(self.state["asked"][-1]["continue_final_message"], True)
        self.assertEqual(self.state["asked"][-1]["messages"][-1]["role"], "assistant")
        self.assertEqual(len(self.stored()), 1)

    def test_stop_before_the_first_token(self):
        """[open-webui/open-webui#14384]"""
        self.answer_next("late", wait=1.5)
        self.open()
        self.ask("x", wait=False)
        self.wait(lambda: self.count(".waiting") == 1 and self.busy() and self.state["asked"], "the wait")
        self.click("#send")
        self.wait_idle()
        self.wait(lambda: self.state["aborted"] == 1, "the server to see that we left")
        self.assertEqual(self.count(".waiting"), 0)
        self.ask("again")
        self.assertEqual(self.messages()[0], "x")

    def test_errors_keep_the_answer_so_far(self):
        """[the answer is gone when the context ends: ggml-org/llama.cpp#12120]"""
        self.open()
        self.answer_next("one two three four", error="out of memory")
        self.ask("a")
        self.assertEqual(self.messages()[1], "one two")
        self.assertEqual(self.text(".notice.bad"), "out of memory")
        self.answer_next("one two three four", drop=True)
        self.ask("b")
        self.assertEqual(self.messages()[3], "one two")
        self.assertIn("connection", self.texts(".notice.bad")[1].lower())
        self.answer_next("x", status=400, error="This model's context is 4096 tokens, the prompt has 5000.")
        self.ask("c")
        self.assertIn("5000", self.texts(".notice.bad")[2])
        self.assertEqual([m["content"] for m in self.stored()], ["one two", "one two", ""])
        # Empty answers are not sent as messages.
        self.ask("d")
        self.assertEqual([m["content"] for m in self.state["asked"][-1]["messages"]], ["a", "one two", "b", "one two", "c", "d"])

    def test_question_is_not_lost_when_it_cannot_be_stored(self):
        self.open()
        self.state["down_until"] = time.time() + 60
        self.ask("precious words", wait=False)
        self.wait(lambda: "Not sent" in (self.text("#note") or ""), "the note")
        self.assertEqual(self.find("#input").get_attribute("value"), "precious words")
        self.assertEqual(self.state["asked"], [])
        self.state["down_until"] = 0
        self.press(Keys.ENTER)
        self.wait(lambda: len(self.messages()) == 2 and not self.busy(), "the answer")
        self.assertEqual(self.messages()[0], "precious words")

    def test_question_stays_in_its_conversation(self):
        """Also where the store is slow, and another one is opened meanwhile."""
        mine, other = self.make("Mine"), self.make("Other")
        self.open(f"/?chat={mine}")
        self.wait(lambda: len(self.messages()) == 2, "the conversation")
        self.state["store_delay"] = 1
        self.ask("where does it go?", wait=False)
        self.find("#input").send_keys("and this?", Keys.ENTER)  # one at a time
        self.assertEqual(self.find("#input").get_attribute("value"), "and this?")
        self.click(f"#sidebar li[data-id='{other}'] .open")
        self.wait(lambda: self.shown() == other and len(self.messages()) == 2, "the other")
        self.wait(lambda: len(self.state["store"].whole(mine)["messages"]) == 3, "the store")
        self.state["store_delay"] = 0
        self.wait_rendered()
        self.assertEqual((len(self.messages()), len(self.state["store"].whole(other)["messages"]), self.state["asked"]), (2, 2, []))
        self.click(f"#sidebar li[data-id='{mine}'] .open")
        self.wait(lambda: self.messages()[-1] == "where does it go?", "the question")
        self.assertEqual(self.find("#input").get_attribute("value"), "and this?")
        self.run_js("sessionStorage.clear(); document.getElementById('input').value = ''")

    def test_answer_is_stored_later_when_the_store_is_away(self):
        self.answer_next("word " * 40, delay=0.02)
        self.open()
        self.ask("x", wait=False)
        self.wait(lambda: len(self.messages()) == 2 and self.messages()[1].startswith("word"), "words")
        self.state["down_until"] = time.time() + 1.5
        self.wait_idle()
        self.assertEqual(self.text("#saved"), "Not saved yet")
        self.wait(lambda: self.stored()[0]["finish_reason"] == "stop", "the store")
        self.assertEqual(self.stored()[0]["content"].strip(), ("word " * 40).strip())
        self.wait(lambda: self.text("#saved") == "Saved", "the word")

    def test_reload_in_the_middle(self):
        """[open-webui/open-webui#29596: the answer begins in mid-sentence, settings are reset]"""
        self.answer_next("alpha beta gamma delta " * 60, reasoning="thinking first", delay=0.03)
        self.open()
        self.run_js("localStorage.setItem('r1.settings', JSON.stringify({temperature: 0.25}))")
        self.open()
        self.ask("go", wait=False)
        self.wait(lambda: len(self.messages()) == 2 and "delta" in self.messages()[1], "words")
        self.browser.refresh()
        self.wait(lambda: len(self.messages()) == 2, "the conversation")
        self.assertTrue(self.messages()[1].startswith("alpha beta gamma"))
        self.assertEqual(self.text(".ending"), "Cut off before its end.")
        self.assertIn("Thought", self.text(".thoughts summary"))
        self.answer_next(" omega")
        self.click_in(1, "Continue")
        self.wait(lambda: self.messages()[1].endswith("omega") and not self.busy(), "the end")
        self.assertEqual(self.state["asked"][-1]["temperature"], 0.25)
        self.run_js("localStorage.removeItem('r1.settings')")

    # ---- Branches.

    def test_regenerate_and_go_between_answers(self):
        """[message order after regenerate: ggml-org/llama.cpp#16385]"""
        self.open()
        for text in ("first", "second"):
            self.answer_next(text)
        self.ask("q")
        self.click_in(1, "Regenerate")
        self.wait(lambda: self.messages() == ["q", "second"] and not self.busy(), "the second")
        self.assertEqual(self.text(".which"), "2 / 2")
        self.answer_next("reply")
        self.ask("next")
        self.assertEqual([m["role"] for m in self.state["asked"][-1]["messages"]], ["user", "assistant", "user"])
        self.assertEqual(self.state["asked"][-1]["messages"][1]["content"], "second")
        self.click_in(1, "Earlier version")
        self.wait(lambda: self.messages() == ["q", "first"], "the first")
        self.assertEqual(self.text(".which"), "1 / 2")
        # Back to the later one: what followed it is there again. [ggml-org/llama.cpp#16406]
        self.click_in(1, "Later version")
        self.wait(lambda: self.messages() == ["q", "second", "next", "reply"], "the whole branch")
        self.click_in(1, "Earlier version")
        self.wait(lambda: self.conversation()["messages"] and self.conversation()["leaf"] == self.stored()[0]["id"], "the leaf")
        self.browser.refresh()
        self.wait(lambda: self.messages() == ["q", "first"], "the branch after a reload")

    def test_edit_of_a_question_branches(self):
        self.open()
        for text in ("A1", "A2", "B1"):
            self.answer_next(text)
        self.ask("a one")
        self.ask("a two")
        self.click_in(0, "Edit")
        area = self.find("textarea.edit")
        self.assertEqual(area.get_attribute("value"), "a one")
        area.clear()
        area.send_keys("b one", Keys.ENTER)
        self.wait(lambda: self.messages() == ["b one", "B1"] and not self.busy(), "the new branch")
        self.assertEqual(len(self.conversation()["messages"]), 6)
        self.click_in(0, "Earlier version")
        self.wait(lambda: self.messages() == ["a one", "A1", "a two", "A2"], "the old branch")
        # Escape leaves everything as it was.
        self.click_in(2, "Edit")
        self.find("textarea.edit").send_keys("changed", Keys.ESCAPE)
        self.assertEqual(self.count("textarea.edit"), 0)
        self.assertEqual(self.messages()[2], "a two")

    def test_edit_of_an_answer_keeps_what_follows(self):
        """[ggml-org/llama.cpp#18115, #19300: the messages below are gone]"""
        self.open()
        for text in ("wrnog", "fine"):
            self.answer_next(text)
        self.ask("one")
        self.ask("two")
        self.click_in(1, "Edit")
        area = self.find("textarea.edit")
        area.clear()
        area.send_keys("right")
        self.click(".editor .primary")
        self.wait(lambda: self.messages() == ["one", "right", "two", "fine"], "the correction")
        self.browser.refresh()
        self.wait(lambda: self.messages() == ["one", "right", "two", "fine"], "the correction after a reload")

    def test_delete_a_message(self):
        self.open()
        self.answer_next("A1")
        self.answer_next("A2")
        self.ask("one")
        self.ask("two")
        self.click_in(2, "Delete")
        self.click("dialog.ask button[value=yes]")
        self.wait(lambda: self.messages() == ["one", "A1"], "two messages")
        self.assertEqual(len(self.conversation()["messages"]), 2)

    # ---- The list.

    def make(self, title, text="x", cid=None):
        store = self.state["store"]
        cid = store.create({"title": title, "id": cid})["id"]
        store.put(cid, "u", {"role": "user", "content": text, "finish_reason": "stop"})
        store.put(cid, "a", {"role": "assistant", "content": "answer to " + text, "parent": "u", "finish_reason": "stop"})
        return cid

    def titles(self):
        return self.texts("#sidebar .title")

    def test_list_search_rename_pin_delete(self):
        """[ggml-org/llama.cpp#13552, #24151, #27627: conversations that vanish with the browser's storage]"""
        for title, text in (("Gardens", "how to prune roses"), ("Ships", "what is a keel"), ("Bread", "how long does dough rest")):
            self.make(title, text)
            time.sleep(0.003)
        self.open()
        self.wait(lambda: self.titles() == ["Bread", "Ships", "Gardens"], "the list")
        self.chord(Keys.CONTROL, "k")
        self.assertEqual(self.run_js("return document.activeElement.type"), "search")
        self.press("keel")
        self.wait(lambda: self.titles() == ["Ships"], "what was found")
        self.assertIn("keel", self.text(".excerpt"))
        self.press(Keys.ENTER)
        self.wait(lambda: self.messages() and self.messages()[0] == "what is a keel", "the conversation")
        self.click("#sidebar input[type=search]")
        self.run_js("const s = document.querySelector('#sidebar input[type=search]'); s.value = ''; s.dispatchEvent(new Event('input'))")
        self.wait(lambda: len(self.titles()) == 3, "all")
        self.click("#sidebar li:nth-child(3) button[aria-label=Rename]")
        field = self.find("dialog.ask input")
        field.clear()
        field.send_keys("Roses", Keys.ENTER)
        self.wait(lambda: self.titles()[2] == "Roses", "the new name")
        self.click("#sidebar li:nth-child(3) button[aria-label=Pin]")
        self.wait(lambda: self.titles() == ["Roses", "Bread", "Ships"], "the pinned one on top")
        self.click("#sidebar li:nth-child(2) button[aria-label='Delete conversation']")
        self.assertIn("Bread", self.text("dialog.ask"))
        self.click("dialog.ask button[value=no]")
        self.wait(lambda: self.count("dialog") == 0, "the dialog to close")
        self.assertEqual(len(self.state["store"].all), 3)
        self.click("#sidebar li:nth-child(2) button[aria-label='Delete conversation']")
        self.click("dialog.ask button[value=yes]")
        self.wait(lambda: self.titles() == ["Roses", "Ships"], "two")
        self.assertEqual(len(self.state["store"].all), 2)

    def test_export_and_import(self):
        self.make("One", "first", "c-one")
        self.make("Two", "second", "c-two")
        self.open()
        self.wait(lambda: len(self.titles()) == 2, "the list")
        # The file that the page makes, without a download: its blob.
        self.run_js("""window.saved = []; const make = URL.createObjectURL.bind(URL);
                       URL.createObjectURL = (blob) => { blob.text().then((text) => window.saved.push(text)); return make(blob); };
                       HTMLAnchorElement.prototype.click = function () { window.saved.push(this.download); };""")
        self.click("#export")
        self.wait(lambda: len(self.run_js("return window.saved")) == 2, "the file")
        text = next(t for t in self.run_js("return window.saved") if t.startswith("{"))
        self.assertEqual(json.loads(text), json.loads(json.dumps(self.state["store"].exported())))
        before = self.state["store"].exported()
        self.state["store"].all.clear()
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "conversations.json")
            with open(path, "w", encoding="utf-8") as f:
                f.write(text)
            self.find("input[type=file]").send_keys(path)
            self.wait(lambda: "Imported 2" in (self.text("#note") or ""), "the note")
            self.assertEqual(self.state["store"].exported(), before)
            self.find("input[type=file]").send_keys(path)
            self.wait(lambda: "2 were there already" in (self.text("#note") or ""), "the note")
            with open(path, "w", encoding="utf-8") as f:
                f.write('{"no": "export"}')
            self.find("input[type=file]").send_keys(path)
            self.wait(lambda: "format" in (self.text("#note") or ""), "the refusal")
        self.wait(lambda: len(self.titles()) == 2, "the list")

    def test_two_tabs(self):
        cid = self.make("Shared", "hello")
        self.open(f"/?chat={cid}")
        self.wait(lambda: len(self.messages()) == 2, "the conversation")
        first = self.browser.current_window_handle
        self.browser.switch_to.new_window("tab")
        try:
            self.open(f"/?chat={cid}")
            self.wait(lambda: len(self.messages()) == 2, "the conversation")
            self.answer_next("from the other tab")
            self.ask("second question")
            self.assertEqual(len(self.messages()), 4)
        finally:
            self.browser.close()
            self.browser.switch_to.window(first)
        # The first tab went along; what it asks comes after.
        self.wait(lambda: any("second question" in t for t in self.titles() + [m["content"] for m in self.conversation()["messages"]]), "the other's message")
        self.ask("third")
        self.assertIn("second question", [m["content"] for m in self.conversation()["messages"]])
        self.assertIn("third", [m["content"] for m in self.conversation()["messages"]])

    def test_long_conversation(self):
        """[ggml-org/llama.cpp#18187: blank and frozen on reload]"""
        cid = self.state["store"].create({"title": "Long"})["id"]
        parent = ""
        for i in range(400):
            self.state["store"].put(cid, f"m{i}", {"role": "assistant" if i % 2 else "user", "content": RICH + f"\n**{i}**" if i % 2 else f"question {i}", "parent": parent,
                                                   "finish_reason": "stop"})
            parent = f"m{i}"
        self.open()
        self.run_js("window.seen.longest = 0")
        self.click("#sidebar .open")
        self.wait(lambda: self.count(".message") == 400, "all messages")
        self.wait(lambda: self.count(".message .text .h1") == 200, "all texts", timeout=60)
        self.assertLess(self.run_js("return document.querySelector('#log').scrollHeight - document.querySelector('#log').scrollTop - document.querySelector('#log').clientHeight"), 60)

    # ---- Settings.

    def set(self, name, value):
        self.run_js("const f = document.getElementById('setting-' + arguments[0]); f.value = arguments[1]; f.dispatchEvent(new Event('input'))", name, value)

    def save_settings(self):
        self.find("#settings-save").click()
        self.wait(lambda: self.count("dialog") == 0, "the dialog to close")
        self.wait_frame()

    def test_settings_are_sent_and_kept(self):
        self.open()
        self.click("#settings")
        self.assertEqual(self.find("#setting-temperature").get_attribute("placeholder"), "0.6")
        values = {"temperature": "0.3", "top_p": "0.9", "top_k": "20", "min_p": "0.05", "repetition_penalty": "1.1", "presence_penalty": "0.5", "frequency_penalty": "-0.5",
                  "max_tokens": "77", "seed": "42", "system": "Answer in rhymes.", "thinking": "on", "thinking_budget": "100"}
        for name, value in values.items():
            self.set(name, value)
        self.save_settings()
        self.ask("hi")
        asked = self.state["asked"][0]
        for name in ("temperature", "top_p", "top_k", "min_p", "repetition_penalty", "presence_penalty", "frequency_penalty", "max_tokens", "seed"):
            self.assertEqual(asked[name], float(values[name]), name)
        self.assertEqual(asked["messages"][0], {"role": "system", "content": "Answer in rhymes."})
        self.assertEqual(asked["chat_template_kwargs"], {"enable_thinking": True})
        self.assertEqual(asked["thinking_token_budget"], 100)
        self.assertEqual(self.conversation()["settings"]["seed"], 42)
        # A conversation keeps its own; a reload keeps them.
        other = self.make("Other")
        self.open(f"/?chat={other}")
        self.wait(lambda: len(self.messages()) == 2, "the other")
        self.ask("there")
        self.assertNotIn("seed", self.state["asked"][1])
        # Off, and back to the defaults.
        self.click("#think")
        self.click("#think")
        self.wait(lambda: self.text("#think") == "Thinking off", "the switch")
        self.ask("no thoughts")
        self.assertEqual(self.state["asked"][2]["chat_template_kwargs"], {"enable_thinking": False})
        self.click("#settings")
        self.click("#settings-reset")
        self.save_settings()
        self.ask("plain")
        self.assertEqual(set(self.state["asked"][3]), {"messages", "model", "stream", "stream_options"})
        self.run_js("localStorage.clear()")

    def test_invalid_settings_are_not_saved(self):
        self.open()
        self.click("#settings")
        self.set("temperature", "9")
        self.click("#settings-save")
        self.assertEqual(self.count("dialog[open]"), 1)
        self.assertTrue(self.run_js("return document.getElementById('setting-temperature').validity.rangeOverflow"))
        self.press(Keys.ESCAPE)
        self.wait(lambda: self.count("dialog") == 0, "the dialog to close")

    def test_api_key(self):
        self.state["key"] = "sesame"
        self.browser.get(self.base + "/")
        self.wait(lambda: self.count("dialog.settings") == 1, "the settings")
        self.set("api_key", "sesame")
        self.save_settings()
        self.wait(lambda: self.text("#status") == "r1-tiny", "the model's name")
        self.ask("hi")
        self.assertEqual(len(self.messages()), 2)
        self.run_js("localStorage.clear()")

    # ---- What answers look like.

    def show(self, content, **more):
        cid = self.state["store"].create({"title": "t"})["id"]
        self.state["store"].put(cid, "u", {"role": "user", "content": "q", "finish_reason": "stop"})
        self.state["store"].put(cid, "a", {"role": "assistant", "content": content, "parent": "u", "finish_reason": "stop", **more})
        self.open(f"/?chat={cid}")
        self.wait(lambda: self.count(".message.assistant .text > *") > 0, "the answer")
        self.wait_rendered()

    def test_markdown_code_and_math(self):
        self.show(RICH)
        for selector, count in {".text .h1": 1, ".text strong": 2, ".text em": 1, ".text del": 1, ".text li": 7, ".text ul ul ol li": 1, ".text ol[start='3']": 1,
                                ".text .task": 2, ".text blockquote": 1, ".text table": 1, ".text td.right": 1, ".text figure.code": 1, ".text math": 4,
                                ".text .math.display math[display=block]": 1, ".text mfrac": 1, ".text mtable": 1, ".text .boxed": 1, ".text .source": 1}.items():
            self.assertEqual(self.count(selector), count, selector)
        self.assertEqual(self.texts(".text td")[0], "a | b")
        self.assertEqual(self.texts(".text .tok-k"), ["def", "return"])
        self.assertIn("It costs $5 to $10, or $4 each; set $HOME/bin:$PATH.", self.messages()[1])
        self.assertIn(r"\unknowncommand{x}", self.messages()[1])  # what can't be read stays as it was written
        links = self.run_js("return [...document.querySelectorAll('.text a')].map((a) => [a.href, a.rel, a.target])")
        self.assertEqual([link[0] for link in links], ["https://example.org/a_b", "https://example.org/bare_url", "https://example.org/p.png"])
        self.assertTrue(all("noopener" in rel and target == "_blank" for _, rel, target in links))
        self.assertEqual(self.count(".text img"), 0)
        # Formulas are laid out, not strung together: the fraction is higher than a letter.
        self.assertGreater(self.run_js("return document.querySelector('.text mfrac').getBoundingClientRect().height"), 25)
        self.click(".text .copy")
        self.wait(lambda: self.browser.execute_async_script("navigator.clipboard.readText().then(arguments[0], () => arguments[0](''))") ==
                  'def f(x):\n    return "s"  # note', "the clipboard")

    def test_streamed_text_ends_up_like_loaded_text(self):
        """Blocks that are built while they grow are the same in the end."""
        self.show(RICH)
        loaded = self.run_js("return document.querySelector('.message.assistant .text').innerHTML")
        for pieces in (1, 7, 150):
            self.answer_next(RICH, pieces=pieces, delay=0)
            self.open()
            self.ask("q")
            self.wait_rendered()
            self.assertEqual(self.run_js("return document.querySelector('.message.assistant .text').innerHTML"), loaded, f"in pieces of {pieces}")

    def test_reading_is_not_disturbed(self):
        """[auto-scroll pulls readers away: ggml-org/llama.cpp#17292, PromptPasture/llama.ui#179; or does not follow: #12362]"""
        self.answer_next("\n\n".join(f"line {i}" for i in range(150)), delay=0.01)
        self.open()
        self.ask("go", wait=False)
        gap = "const l = document.getElementById('log'); return l.scrollHeight - l.scrollTop - l.clientHeight"
        self.wait(lambda: self.run_js("return document.getElementById('log').scrollTop") > 100, "it to follow")
        self.run_js("const l = document.getElementById('log'); l.dispatchEvent(new WheelEvent('wheel', {deltaY: -100})); l.scrollTop -= 80;")
        time.sleep(0.1)
        top = self.run_js("return document.getElementById('log').scrollTop")
        self.wait_idle()
        self.wait_rendered()
        self.assertEqual(self.run_js("return document.getElementById('log').scrollTop"), top)
        self.assertGreater(self.run_js(gap), 100)
        self.click("#jump")
        self.wait(lambda: self.run_js(gap) < 30, "the end")
        self.answer_next("\n\n".join(f"more {i}" for i in range(60)), delay=0.005)
        self.ask("again")
        self.wait_rendered()
        self.assertLess(self.run_js(gap), 30)

    # ---- Keys, themes, small screens, screen readers.

    def test_keyboard(self):
        self.open()
        box = self.find("#input")
        box.send_keys("line one")
        self.chord(Keys.SHIFT, Keys.ENTER)
        box.send_keys("line two")
        self.assertEqual(self.state["asked"], [])
        # Enter that ends a composition. [Chinese, Japanese, Korean input: siteboon/claudecodeui#58 and many others]
        for event in ("{key: 'Enter', isComposing: true}", "{key: 'Enter', keyCode: 229}"):
            self.run_js(f"document.getElementById('input').dispatchEvent(new KeyboardEvent('keydown', {{...{event}, bubbles: true, cancelable: true}}))")
        self.assertEqual(self.state["asked"], [])
        self.answer_next("fine")
        self.press(Keys.ENTER)
        self.wait(lambda: len(self.messages()) == 2 and not self.busy(), "the answer")
        self.assertEqual(self.stored("user")[0]["content"], "line one\nline two")
        self.press(Keys.ARROW_UP)
        self.assertEqual(self.find("textarea.edit").get_attribute("value"), "line one\nline two")
        self.press(Keys.ESCAPE)
        self.assertEqual(self.count("textarea.edit"), 0)
        self.assertEqual(self.run_js("return document.activeElement.id"), "input")
        self.chord(Keys.CONTROL, Keys.SHIFT, "o")
        self.wait(lambda: self.count(".welcome") == 1, "a new chat")
        self.assertEqual(self.run_js("return document.activeElement.id"), "input")
        # What was typed and not sent is there after a reload.
        self.press("half a thought")
        self.browser.refresh()
        self.wait(lambda: self.find("#input").get_attribute("value") == "half a thought", "the draft")
        # Once it is sent it is no draft any more.
        self.answer_next("fine")
        self.press(Keys.ENTER)
        self.wait(lambda: len(self.messages()) == 2 and not self.busy(), "the answer")
        self.click("#new-chat")
        self.wait(lambda: self.count(".welcome") == 1, "a new chat")
        self.assertEqual(self.find("#input").get_attribute("value"), "")

    def test_dark_and_light(self):
        def background():
            return self.run_js("return getComputedStyle(document.body).backgroundColor")

        self.run_cdp("Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": "dark"}]})
        try:
            self.open()
            dark = background()
            self.assertEqual(self.run_js("return document.documentElement.dataset.theme"), "dark")
            self.click("button[aria-label='Dark or light']")
            self.assertNotEqual(background(), dark)
            self.browser.refresh()
            self.wait(lambda: self.count("#send") == 1, "the page")
            self.assertNotEqual(background(), dark)
            # No flash: the theme stands before anything is painted, by a script that blocks.
            self.assertTrue(self.run_js("const s = document.querySelector('head script[src=\"/common/theme.js\"]'); return !s.async && !s.defer && !s.type"))
        finally:
            self.run_js("localStorage.clear()")
            self.run_cdp("Emulation.setEmulatedMedia", {"features": []})

    def run_cdp(self, command, parameters):
        return self.browser.execute_cdp_cmd(command, parameters)

    def test_phone(self):
        cid = self.make("On the phone", "hello " + "long " * 100)
        self.run_cdp("Emulation.setDeviceMetricsOverride", {"width": 390, "height": 780, "deviceScaleFactor": 2, "mobile": True})
        try:
            self.open(f"/?chat={cid}")
            self.wait(lambda: len(self.messages()) == 2, "the conversation")
            self.assertLessEqual(self.run_js("return document.documentElement.scrollWidth"), 390)
            self.assertLess(self.run_js("return document.getElementById('sidebar').getBoundingClientRect().right"), 1)
            self.click("#menu")
            self.wait(lambda: self.run_js("return document.getElementById('sidebar').getBoundingClientRect().left") == 0, "the list")
            self.click("#new-chat")
            self.wait(lambda: self.run_js("return document.getElementById('sidebar').getBoundingClientRect().right") < 1, "the list to go")
            self.ask("from the phone")
            self.assertLessEqual(self.run_js("return document.documentElement.scrollWidth"), 390)
            box = self.run_js("const r = document.querySelector('#composer .box').getBoundingClientRect(); return [r.left, r.right, r.bottom]")
            self.assertTrue(box[0] >= 0 and box[1] <= 390 and box[2] <= 780, box)
        finally:
            self.run_cdp("Emulation.clearDeviceMetricsOverride", {})

    def test_screen_readers(self):
        self.show(RICH, reasoning="thoughts")
        nameless = self.run_js("""return [...document.querySelectorAll('button, a, input, textarea, select')].filter((node) => {
            const label = node.getAttribute('aria-label') || node.innerText || node.value || node.placeholder || (node.labels && node.labels.length && node.labels[0].innerText);
            return !label; }).map((node) => node.outerHTML.slice(0, 200))""")
        self.assertEqual(nameless, [])
        self.assertEqual(self.count("main"), 1)
        self.assertEqual(self.count("[role=log]"), 1)
        self.assertEqual(self.run_js("return document.documentElement.lang"), "en")
        self.ask("hi")
        self.wait(lambda: self.run_js("return document.getElementById('announce').textContent") == "The answer is complete", "the announcement")
        self.assertEqual(self.run_js("return document.getElementById('announce').getAttribute('aria-live')"), "polite")
        self.click("#settings")
        unlabelled = self.run_js("return [...document.querySelectorAll('dialog input, dialog select, dialog textarea')].filter((n) => !n.labels.length).length")
        self.assertEqual(unlabelled, 0)
        self.press(Keys.ESCAPE)
        # Tab goes from the list to the composer without getting caught.
        self.wait(lambda: self.count("dialog") == 0, "the dialog to close")
        self.find("#input").click()
        for _ in range(3):
            self.press(Keys.TAB)
        self.assertNotEqual(self.run_js("return document.activeElement.id"), "input")

    def test_large_paste(self):
        """[open-webui/open-webui#26228, #12087: seconds of freeze]"""
        self.open()
        text = "\n".join(f"int line_{i} = {i};" for i in range(45000))  # a megabyte
        took = self.run_js("""const box = document.getElementById('input'); const from = performance.now();
                              const data = new DataTransfer(); data.setData('text/plain', arguments[0]);
                              box.dispatchEvent(new ClipboardEvent('paste', {clipboardData: data, bubbles: true, cancelable: true}));
                              document.body.offsetHeight; return performance.now() - from;""", text)
        self.assertLess(took, 200)
        self.assertIn("45,000 lines", self.text(".attachment"))
        self.find("#input").send_keys("what is this?")
        self.answer_next("code")
        self.press(Keys.ENTER)
        self.wait(lambda: len(self.messages()) == 2 and not self.busy(), "the answer", timeout=30)
        self.assertEqual(self.state["asked"][0]["messages"][0]["content"], "what is this?\n\n" + text)
        self.assertEqual(self.count(".attachment"), 0)
        # Files are dropped as blocks of code.
        self.run_js("""const data = new DataTransfer(); data.items.add(new File(['a = `b`\\n'], 'x.py'));
                       document.getElementById('input').dispatchEvent(new DragEvent('drop', {dataTransfer: data, bubbles: true, cancelable: true}));""")
        self.wait(lambda: self.count(".attachment") == 1, "the file")
        self.answer_next("fine")
        self.press(Keys.ENTER)
        self.wait(lambda: len(self.messages()) == 4 and not self.busy(), "the answer", timeout=30)
        self.assertEqual(self.state["asked"][1]["messages"][2]["content"], "x.py:\n```\na = `b`\n```")


if __name__ == "__main__":
    main()
