"""U1: hostile answers, streamed and loaded, in a real browser: no script runs, nothing is loaded, no element or address that is not allowed, and a
megabyte does not hold up the page."""
import json
import os
import unittest

from harness import MockTest, main
from hostile import LARGE, STRINGS

ELEMENTS = set("""article div span p h2 h3 h4 h5 h6 ul ol li blockquote hr br em strong del sub sup code pre figure figcaption table thead tbody tr th td a button svg path
  details summary section math mrow mi mn mo mtext mspace mfrac msqrt mroot msub msup msubsup munder mover munderover mtable mtr mtd mstyle mphantom""".split())

# What is wrong with the messages on the page: the elements, attributes and addresses of an allow-list, no more.
INSPECT = """
const allowed = new Set(arguments[0]); const wrong = [];
for (const node of document.querySelectorAll('#log *')) {
  if (!allowed.has(node.localName)) wrong.push('element ' + node.localName);
  for (const {name, value} of node.attributes) {
    if (name.startsWith('on') || (name === 'style' && !node.classList.contains('chunk')) || name === 'src' || name === 'srcdoc' || name.includes(':') || (name === 'id')) wrong.push(name + '=' + value.slice(0, 80));
    if (name === 'href' && !/^(https?:|mailto:)/.test(node.href)) wrong.push('href=' + value.slice(0, 80));
    if (name === 'href' && !node.rel.includes('noopener')) wrong.push('rel of ' + value.slice(0, 80));
  }
}
const control = /[\\x00-\\x08\\x0b-\\x1f\\x7f-\\x9f\\u202a-\\u202e\\u2066-\\u2069]/;
if (control.test(document.querySelector('#log').textContent)) wrong.push('a control character');
for (const name of ['send', 'input', 'log', 'composer']) if (document.querySelectorAll('#' + name).length !== 1) wrong.push('no single #' + name);
return [...new Set(wrong)].slice(0, 20);
"""

QUIET = 14   # ms that slowness() takes where nothing else runs
LIMIT = 200  # ms: a task of the page that is longer keeps a click or a key waiting


class HostileTest(MockTest):
    def check(self):
        self.wait_rendered()
        self.assertEqual(self.run_js(INSPECT, sorted(ELEMENTS)), [])
        seen = self.run_js("return window.seen")
        self.assertEqual((seen["ran"], seen["csp"]), (0, []))
        self.assertEqual(self.run_js("return performance.getEntriesByType('resource').map((e) => new URL(e.name).host).filter((host) => host !== location.host)"), [])
        self.assertEqual(self.run_js("return [window.frames.length, document.title]")[0], 0)

    def test_strings_loaded(self):
        self.assertGreaterEqual(len(STRINGS), 150)
        store = self.state["store"]
        cid = store.create({"title": STRINGS[0], "id": "hostile"})["id"]
        parent = ""
        for i, text in enumerate(STRINGS):
            for role in ("user", "assistant") if len(text) < 2000 else ("assistant",):
                mid = f"{role}{i}"
                store.put(cid, mid, {"role": role, "content": text, "reasoning": text if role == "assistant" and len(text) < 2000 else "", "error": text[:200] if i % 40 == 39 and role == "assistant" else "",
                                     "model": text[:100], "parent": parent, "finish_reason": "stop"})
                parent = mid
        self.open("/?chat=hostile")
        self.wait(lambda: self.count(".message.assistant") == len(STRINGS), "the messages", timeout=60)
        self.browser.set_script_timeout(60)
        self.check()
        # Thoughts too, and titles under the pointer.
        self.run_js("for (const details of document.querySelectorAll('details')) details.open = true;")
        self.check()
        # Nothing is lost on the way: what is copied is what came.
        self.run_js("window.copied = []; navigator.clipboard.writeText = async (text) => { window.copied.push(text); };")
        self.run_js("for (const button of document.querySelectorAll('.message.assistant .foot button[aria-label=Copy]')) button.click();")
        self.assertEqual(self.run_js("return window.copied"), STRINGS)
        # In the list: as title, in what a search finds.
        self.run_js("const s = document.querySelector('#sidebar input[type=search]'); s.value = 'window.ran'; s.dispatchEvent(new Event('input'))")
        self.wait(lambda: self.count(".excerpt") == 1, "what was found")
        self.assertEqual(self.count("#sidebar script, #sidebar img, #sidebar iframe"), 0)

    def test_strings_streamed(self):
        """In small pieces, so that every state in between is shown."""
        self.open()
        for part in range(0, len(STRINGS), 60):
            texts = [text for text in STRINGS[part:part + 60] if len(text) < 2000]
            self.answer_next("\n\n".join(texts), reasoning="\n\n".join(texts[:10]), pieces=29, delay=0)
            self.ask("next")
            self.check()

    def slowness(self):
        """How much slower than a quiet machine this one is now: others use it too, and the limits are for a page, not for the machine."""
        took = self.run_js("""const best = []; for (let k = 0; k < 3; ++k) { const from = performance.now(); const root = document.createElement('div');
            for (let i = 0; i < 4000; ++i) { const node = document.createElement('p'); node.append('x'.repeat(i % 50), document.createElement('b')); root.append(node); }
            document.body.append(root); root.offsetHeight; root.remove(); best.push(performance.now() - from); } return best.sort((a, b) => a - b)[1];""")
        return min(max(1, took / QUIET), 8)

    def responsive(self, content):
        """The longest task while it streams, and while it is loaded again; the better of two."""
        best = {"streamed": 1e9, "loaded": 1e9}
        for _ in range(2):
            slowness = self.slowness()
            self.state["store"].all.clear()
            self.open()
            self.answer_next(content, pieces=1 << 14, delay=0)
            self.run_js("window.seen.longest = 0")
            self.ask("go")
            self.wait_rendered()
            best["streamed"] = min(best["streamed"], self.run_js("return window.seen.longest") / slowness)
            # (assertEqual would make a diff of the two megabytes.)
            self.wait(lambda: self.stored()[0]["finish_reason"] == "stop", "the store")
            self.assertTrue(self.stored()[0]["content"] == content)
            self.open()
            self.run_js("window.seen.longest = 0")
            self.click("#sidebar li[data-id] .open")
            self.wait(lambda: self.count(".message.assistant .text > *") > 0, "the text")
            self.wait_rendered()
            best["loaded"] = min(best["loaded"], self.run_js("return window.seen.longest") / slowness)
            if max(best.values()) < LIMIT:
                break
        self.check()
        return best

    # Times in a browser are a quiet machine's: R1_BROWSER_TIMES=1 asks for them.
    @unittest.skipUnless(os.environ.get("R1_BROWSER_TIMES"), "R1_BROWSER_TIMES is not set")
    def test_a_megabyte_of_each(self):
        self.browser.set_script_timeout(120)
        measured = {name: self.responsive(content) for name, content in LARGE.items()}
        print("\nlongest task, ms: " + json.dumps({name: {k: round(v) for k, v in value.items()} for name, value in measured.items()}), flush=True)
        self.assertEqual({name: value for name, value in measured.items() if max(value.values()) >= LIMIT}, {})

    def test_hostile_server(self):
        """What the server says is no more trusted than what the model says."""
        self.open()
        for error in ("<img src=x onerror=window.ran=1>", "<script>window.ran=1</script>"):
            self.answer_next("a b", error=error)
            self.ask("x")
            self.assertEqual(self.texts(".notice.bad")[-1], error)
        self.check()


if __name__ == "__main__":
    main()
