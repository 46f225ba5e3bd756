"""The run dashboard in a real browser, served by the program itself: each feature once, and what people report of other dashboards (in brackets:
where it was reported). R1_PROGRAM names the program; without one the tests are skipped."""
import json
import math
import os
import shutil
import tempfile
import time
import unittest

import harness
from harness import PROGRAM, ActionChains, BrowserTest, Program, main


def line(step, **values):
    return json.dumps({"step": step, **values}) + "\n"


def put(path, text, mode="w"):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, mode, encoding="utf-8", errors="surrogatepass") as file:
        file.write(text)


def completion(step, problem, text, verdict="right", reward=1.0, **more):
    return json.dumps({"step": step, "id": problem, "question": f"What is {problem}?", "gold": "10", "completion": text, "extracted": "9", "verdict": verdict, "reward": reward,
                       "rewards": {"accuracy": reward}, "tokens": 7, "finish": "stop", **more}) + "\n"


def make_run(folder, steps=60, total=100, base=0.0, finished=False, config=None):
    put(f"{folder}/metrics.jsonl", "".join(line(s, reward=base + s / 100, loss=1 / s, **{"eval/accuracy": s / 200} if s % 10 == 0 else {}) for s in range(1, steps + 1)))
    put(f"{folder}/config.yaml", json.dumps({"learning_rate": 1e-5, "max_steps": total, "num_generations": 8, **(config or {})}))
    put(f"{folder}/configs.jsonl", "")
    if finished:
        put(f"{folder}/stage.json", json.dumps({"stage": "grpo", "steps": steps, "version": "r1 0.1.0", "results": {"reward": 0.6, "watched": {
            "question": "What is 2 + 2?", "answer": "4", "completions": [{"step": 0, "tokens": 3, "completion": "It is five.", "verdict": "wrong"},
                                                                        {"step": steps, "tokens": 3, "completion": "It is four.", "verdict": "right"}]}}}))


# Text that tries to be more than text, in the places where a page could let it: markup, attributes, addresses, styles, templates, direction.
CODE = ("window.ran=1", "alert(1)", "window.ran()")
MARKUP = ("<script>{c}</script>", "<ScRiPt >{c}</sCrIpT>", "<img src=x onerror={c}>", "<img src=x onerror='{c}'//", "<svg onload={c}>", "<svg><script>{c}</script></svg>",
          "<svg><animate onbegin={c} attributeName=x dur=1s>", "<iframe src=javascript:{c}></iframe>", "<iframe srcdoc='<script>parent.{c}</script>'></iframe>", "<body onload={c}>",
          "<details open ontoggle={c}>", "<video><source onerror={c}></video>", "<audio src=x onerror={c}>", "<input autofocus onfocus={c}>", "<marquee onstart={c}>",
          "<a href=javascript:{c}>x</a>", "<form action=javascript:{c}><button>x</button></form>", "<object data=javascript:{c}>", "<embed src=javascript:{c}>",
          "<meta http-equiv=refresh content='0;url=javascript:{c}'>", "<base href=//evil.example/>", "<link rel=stylesheet href=//evil.example/x.css>", "<style>@import '//evil.example';</style>",
          "\"><script>{c}</script>", "'><script>{c}</script>", "</textarea><script>{c}</script>", "</title><script>{c}</script>", "</pre><script>{c}</script>", "--><script>{c}</script>",
          "]]><script>{c}</script>", "\" onmouseover=\"{c}", "' autofocus onfocus='{c}", "javascript:{c}", "data:text/html,<script>{c}</script>", "[x](javascript:{c})", "![x](javascript:{c})",
          "$\\href{{javascript:{c}}}{{x}}$", "{{{{constructor.constructor('{c}')()}}}}", "${{{c}}}", "<math><mtext><img src=x onerror={c}></mtext></math>",
          "<template><script>{c}</script></template>", "<noscript><p title=\"</noscript><img src=x onerror={c}>\">", "<think><img src=x onerror={c}></think>", "<answer onclick={c}>x</answer>",
          "&lt;script&gt;{c}&lt;/script&gt;", "\\u003cscript\\u003e{c}\\u003c/script\\u003e", "<x style=animation-name:x onanimationstart={c}>", "<img srcset=x onerror={c}>")
OTHERS = ("\u202ereversed", "\u2066\u2069", "a\u200bb\ufeff", "\x00\x07\x1b[31mred\x1b[0m", "\u0301" * 500, "\ufdfd" * 200, "A" * 100_000, "\n" * 2_000, "<" * 5_000, "\ud83d", "</div>" * 300,
          "# h\n" * 500, "|" * 1_000, "`" * 999, "constructor", "__proto__", "toString", "NaN", "null", "")
HOSTILE = [template.format(c=c) for template in MARKUP for c in CODE] + list(OTHERS)


class RunsTest(BrowserTest):
    @classmethod
    def setUpClass(cls):
        if not os.access(PROGRAM, os.X_OK):
            harness.skip(f"no program at {PROGRAM}")
        super().setUpClass()

    def setUp(self):
        self.root = tempfile.mkdtemp(prefix="r1_runs_") + "/runs"
        os.makedirs(self.root)
        self.program = None
        self.browser.set_window_size(1200, 820)

    def tearDown(self):
        try:
            super().tearDown()
        finally:
            self.browser.get("about:blank")
            if self.program:
                self.program.stop()
            shutil.rmtree(os.path.dirname(self.root))

    def serve(self, port=0):
        self.program = Program("runs", self.root, "--port", str(port), "--poll_interval", "0.05")
        self.base = self.program.base

    def open(self, hash=""):
        if not self.program:
            self.serve()
        self.browser.get("about:blank")
        self.browser.get(f"{self.base}/runs#{hash}")
        self.wait(lambda: self.run_js("return document.querySelectorAll('#list .run').length > 0 || !document.getElementById('empty').hidden"), "the list")

    def curve(self, key, run=0):
        """Steps and values as they are on the canvas."""
        return self.run_js("""const d = window.r1Runs.charts.get(arguments[0])?.drawn, l = d && d.lines[arguments[1]];
                              return l ? {step: l.curve.step, value: l.curve.value, smooth: l.curve.smooth, count: l.curve.count, lines: d.lines.length} : null""", key, run)

    def wait_curve(self, key, last, run=0):
        return self.wait(lambda: (lambda c: c if c and c["step"] and c["step"][-1] == last else None)(self.curve(key, run)), f"{key} up to step {last}")

    def tab(self, name):
        self.click(f"#tab-{name}")

    def canvas(self, key):
        return self.find(f'.chart[data-key="{key}"] canvas')

    # ---- The list.

    def test_list_names_stages_states_and_the_newest_is_chosen(self):
        make_run(f"{self.root}/recipe/zero", steps=40)
        make_run(f"{self.root}/done", steps=30, finished=True)
        for name in ("metrics.jsonl", "config.yaml", "stage.json"):
            os.utime(f"{self.root}/done/{name}", (1, 1))
        self.open()
        self.wait_curve("reward", 40)
        self.assertEqual(self.texts("#list .folder"), ["runs", "recipe"])
        self.assertEqual(self.texts("#list .title"), ["done grpo", "zero grpo"])
        self.assertEqual(self.texts("#list .state"), ["done", "running"])
        self.assertIn("40 of 100", self.texts("#list .detail")[1])
        self.assertEqual(self.texts("#head b"), ["recipe/zero"])
        self.find("#run-filter").send_keys("DONE")
        self.wait(lambda: self.texts("#list .title") == ["done grpo"], "the filter")

    def test_an_empty_folder_says_how_a_run_comes_into_it(self):
        self.open()
        self.assertIn("No runs here yet", self.text("aside"))
        make_run(f"{self.root}/new")
        self.wait(lambda: self.texts("#list .title") == ["new grpo"], "a run that came later [tensorflow/tensorflow#2050]")

    # ---- Curves.

    def test_curves_are_grouped_and_read_out_under_the_pointer_and_by_keys(self):
        make_run(f"{self.root}/zero")
        self.open()
        self.wait_curve("reward", 60)
        self.assertEqual(self.run_js("return [...document.querySelectorAll('.group')].map((g) => g.dataset.group)"), ["Reward", "Accuracy", "Loss, gradient, learning rate"])
        self.assertEqual(self.text('.chart[data-key="eval/accuracy"] .name'), "Held-out accuracy")
        ActionChains(self.browser).move_to_element(self.canvas("reward")).perform()
        tip = self.wait(lambda: self.text('.chart[data-key="reward"] .tip:not([hidden])'), "the read-out")
        step = int(tip.split("step ")[1])
        self.assertTrue(tip.startswith(f"{step / 100:g} "), tip)
        self.assertIn("avg", tip)
        self.run_js("arguments[0].focus()", self.canvas("loss"))
        self.press(harness.Keys.ARROW_LEFT)
        self.wait(lambda: "step 60" in (self.text('.chart[data-key="loss"] .tip:not([hidden])') or ""), "the read-out by keys")
        self.assertIn("reward: zero 60 points, last 0.6", self.canvas("reward").get_attribute("aria-label"))

    def test_zoom_by_dragging_shows_more_points_and_goes_back(self):
        # [tensorflow/tensorboard#2310: resolution should grow where one looks]
        put(f"{self.root}/metrics.jsonl", "".join(line(s, reward=math.sin(s), loss=0) for s in range(1, 20_001)))
        self.open()
        whole = self.wait_curve("reward", 20_000)
        self.assertLess(len(whole["step"]), 3_000)
        canvas = self.canvas("reward")
        ActionChains(self.browser).move_to_element_with_offset(canvas, -10, 0).click_and_hold().move_by_offset(20, 0).move_by_offset(10, 0).release().perform()
        part = self.wait(lambda: (lambda c: c if c["step"][0] > 1 else None)(self.curve("reward")), "the part")
        span = part["step"][-1] - part["step"][0]
        self.assertLess(span, 10_000)
        self.assertGreater(len(part["step"]) / span, 2 * len(whole["step"]) / 20_000)
        self.click("#unzoom")
        self.wait(lambda: self.curve("reward")["step"][0] == 1, "the whole run")

    def test_smoothing_is_over_all_points_and_kept_in_the_address(self):
        # [tensorflow/tensorboard#1518, #610: it must not hang on how many points are drawn, nor on the first one]
        make_run(f"{self.root}/zero")
        self.open()
        self.wait_curve("reward", 60)
        self.run_js("const s = document.getElementById('smoothing'); s.value = '0.9'; s.dispatchEvent(new Event('input'));")
        weights = [0.9 ** (60 - s) for s in range(1, 61)]
        wanted = sum(w * s / 100 for w, s in zip(weights, range(1, 61))) / sum(weights)
        self.wait(lambda: abs(self.curve("reward")["smooth"][-1] - wanted) < 1e-9, "the average")
        self.assertIn("smoothing=0.9", self.run_js("return location.hash"))
        self.browser.refresh()
        self.wait(lambda: self.curve("reward") and abs(self.curve("reward")["smooth"][-1] - wanted) < 1e-9, "the same after a reload")

    def test_log_scale_and_time_axes(self):
        make_run(f"{self.root}/zero")
        self.open()
        self.wait_curve("loss", 60)
        self.run_js("""document.querySelector('.chart[data-key="loss"] figcaption button').click()""")
        self.wait(lambda: self.run_js("return window.r1Runs.charts.get('loss').drawn.y1 < 1 && window.r1Runs.charts.get('loss').drawn.y0 < -1"), "decades")
        self.run_js("const a = document.getElementById('axis'); a.value = 'relative'; a.dispatchEvent(new Event('change'));")
        self.assertIn("axis=relative", self.run_js("return location.hash"))

    def test_runs_are_overlaid_and_the_address_keeps_them(self):
        make_run(f"{self.root}/a", steps=30)
        make_run(f"{self.root}/b", steps=50, base=0.5)
        self.open("runs=runs/a,runs/b")
        self.wait(lambda: (self.curve("reward") or {}).get("lines") == 2, "two lines")
        self.assertEqual(self.curve("reward", 1)["value"][-1], 1.0)
        self.run_js("document.querySelector('[data-run=\"runs/a\"]').click()")
        self.wait(lambda: self.curve("reward")["lines"] == 1 and self.curve("reward")["value"][-1] == 1.0, "one line")
        self.browser.refresh()
        self.wait(lambda: self.texts("#head b") == ["b"], "the same run after a reload")

    def test_values_that_are_not_finite_leave_a_gap_and_nothing_breaks(self):
        # [ray-project/ray#9103, optuna/optuna-dashboard#108, aimhubio/aim#2199, microsoft/nni#2696]
        put(f"{self.root}/zero/metrics.jsonl", line(1, loss=1) + '{"step":2,"loss":null}\n{"step":3,"loss":NaN}\n{"step":4,"loss":"Infinity"}\n{"step":5,"loss":-Infinity}\n' + line(6, loss=2)
            + "{broken\n" + line(7, loss=3))
        self.open()
        curve = self.wait_curve("loss", 7)
        self.assertEqual(curve["value"], [1, None, None, "inf", "-inf", 2, 3])
        self.assertTrue(all(math.isfinite(x) for x in curve["smooth"]))
        ActionChains(self.browser).move_to_element(self.canvas("loss")).perform()
        self.wait(lambda: self.text('.chart[data-key="loss"] .tip:not([hidden])'), "the read-out beside a gap")
        self.assertIn("1 of 8 lines are broken", self.text("#head"))

    # ---- Live.

    def test_new_lines_appear_by_themselves_and_a_resumed_run_has_no_zigzag(self):
        # [tensorflow/tensorboard#3732, wandb/wandb#4482: steps that begin again after a resume]
        make_run(f"{self.root}/zero", steps=20)
        self.open()
        self.wait_curve("reward", 20)
        self.wait(lambda: self.text(".status") == "live", "the stream")
        for s in range(21, 26):
            put(f"{self.root}/zero/metrics.jsonl", line(s, reward=s / 100, loss=1 / s), "a")
        curve = self.wait_curve("reward", 25)
        self.assertEqual(curve["step"], list(range(1, 26)))
        self.wait(lambda: "step 25" in self.text("#head"), "the step on top")
        # Back to step 15, as a resumed stage does it: the file is written anew.
        with open(f"{self.root}/zero/metrics.jsonl") as file:
            kept = "".join(file.readlines()[:15])
        put(f"{self.root}/zero/new", kept + line(16, reward=9, loss=1))
        os.rename(f"{self.root}/zero/new", f"{self.root}/zero/metrics.jsonl")
        curve = self.wait_curve("reward", 16)
        self.assertEqual(curve["step"], list(range(1, 17)))
        self.assertEqual(curve["value"][-1], 9)
        put(f"{self.root}/zero/metrics.jsonl", line(17, reward=8, loss=1), "a")
        self.assertEqual(self.wait_curve("reward", 17)["value"][-2:], [9, 8])
        # A metric that was not there before.
        put(f"{self.root}/zero/metrics.jsonl", line(18, reward=8, loss=1, entropy=0.5), "a")
        self.wait_curve("entropy", 18)

    def test_nothing_is_lost_over_a_restart_of_the_server(self):
        # [wandb/wandb#2971, tensorflow/tensorboard#6782, #2412]
        make_run(f"{self.root}/zero", steps=10)
        self.open()
        self.wait_curve("reward", 10)
        self.program.stop()
        self.wait(lambda: "reconnecting" in self.text(".status") or "reached" in self.text(".status"), "the word that it is gone")
        put(f"{self.root}/zero/metrics.jsonl", "".join(line(s, reward=s / 100, loss=1) for s in range(11, 15)), "a")
        self.serve(self.program.port)
        self.assertEqual(self.wait_curve("reward", 14)["step"], list(range(1, 15)))

    def test_a_run_that_is_removed_says_so_and_the_others_go_on(self):
        # [tensorflow/tensorflow#3267, tensorflow/tensorboard#2435]
        make_run(f"{self.root}/a")
        make_run(f"{self.root}/b")
        self.open("runs=runs/a,runs/b")
        self.wait(lambda: (self.curve("reward") or {}).get("lines") == 2, "two lines")
        shutil.rmtree(f"{self.root}/a")
        self.wait(lambda: "gone" in self.text("#head") or "no run" in self.text("#head"), "the word")
        self.wait(lambda: self.texts("#list .title") == ["b grpo"], "the list")
        self.wait(lambda: self.curve("reward")["lines"] == 1, "the other run")

    def test_a_hundred_thousand_points_of_thirty_metrics(self):
        # [tensorflow/tensorboard#4170, vivekratnavel/omniboard#171]
        keys = [f"rewards/r{i}/mean" for i in range(30)]
        with open(f"{self.root}/metrics.jsonl", "w") as file:
            for s in range(1, 100_001):
                file.write('{"step":%d,%s}\n' % (s, ",".join(f'"{k}":{50 if s == 54_321 else (s * (i + 3)) % 17 / 17:.4f}' for i, k in enumerate(keys))))
        self.open()
        began = time.monotonic()
        curve = self.wait_curve(keys[0], 100_000)
        self.assertIn(50, curve["value"])  # the spike [tensorflow/tensorboard#706: thinned away]
        self.assertLess(len(curve["step"]), 5_000)
        self.run_js("document.querySelector('.grid').lastElementChild.scrollIntoView()")
        self.wait_curve(keys[-1], 100_000)
        self.assertLess(time.monotonic() - began, 30)
        # A pointer that moves over a chart: no frame takes long.
        self.run_js("window.seen.longest = 0")
        for x in range(-100, 100, 20):
            ActionChains(self.browser).move_to_element_with_offset(self.canvas(keys[-1]), x, 0).perform()
        self.assertLess(self.run_js("return window.seen.longest"), 500)

    # ---- The other panels.

    def test_completions_are_filtered_searched_and_compared_between_steps(self):
        make_run(f"{self.root}/zero", finished=True)
        put(f"{self.root}/zero/completions.jsonl", completion(10, "p/1", "The answer is nine apples.", "wrong", 0.1) + completion(10, "p/2", "No idea.", "unparsed", None)
            + completion(20, "p/1", "The answer is <think>ten</think> apples.", "right", 1.1) + completion(20, "p/3", "Other Words", "wrong", 0.2))
        self.open("tab=completions")
        self.wait(lambda: self.count(".row") == 2, "the rows of the last step")
        self.assertEqual(self.texts(".row .question"), ["What is p/1?", "What is p/3?"])
        self.assertEqual(self.texts(".row .verdict"), ["right", "wrong"])
        # Word by word against step 10.
        self.run_js("const s = document.querySelectorAll('.completions select')[1]; s.value = '10'; s.dispatchEvent(new Event('change'));")
        self.wait(lambda: self.count(".row .diff") == 1, "the difference")
        self.assertEqual(self.texts(".row .diff del"), ["nine"])
        self.assertEqual("".join(self.texts(".row .diff ins")), "<think>ten</think>")
        self.assertIn("Not answered at the other step", self.text(".rows"))
        self.run_js("const s = document.querySelectorAll('.completions select'); s[1].value = ''; s[1].dispatchEvent(new Event('change')); s[0].value = ''; s[0].dispatchEvent(new Event('change'));")
        self.wait(lambda: self.count(".row") == 4, "all steps")
        self.run_js("const s = document.querySelectorAll('.completions select')[2]; s.value = 'wrong'; s.dispatchEvent(new Event('change'));")
        self.wait(lambda: self.texts(".row .verdict") == ["wrong", "unparsed", "wrong"], "those that are not right")
        box = self.find('.completions input[aria-label="Least reward"]')
        box.send_keys("0.15")
        self.wait(lambda: self.texts(".row .question") == ["What is p/3?"], "a range of rewards")
        box.send_keys(harness.Keys.BACKSPACE * 4)
        self.find('.completions input[type="search"]').send_keys("NINE apples")
        self.wait(lambda: self.texts(".row .question") == ["What is p/1?"], "the search")
        # One problem over time.
        self.click(".row summary")
        self.wait(lambda: self.count(".row .inside select") == 1, "the other steps")
        self.run_js("const s = document.querySelector('.row .inside select'); s.value = '20'; s.dispatchEvent(new Event('change'));")
        self.wait(lambda: self.texts(".row .inside ins")[-1:] == ["nine"], "the other direction")
        self.click(".watched summary")
        self.assertEqual((self.texts(".watched del"), self.texts(".watched ins")), (["five"], ["four"]))

    def test_compare_shows_what_differs(self):
        make_run(f"{self.root}/a")
        make_run(f"{self.root}/b", steps=50, config={"learning_rate": 2e-5, "seed": 3})
        self.open("runs=runs/a,runs/b&tab=compare")
        self.wait(lambda: self.count("#panel-compare table") == 2, "the tables")
        rows = self.run_js("return [...document.querySelectorAll('#panel-compare table')].map((t) => [...t.querySelectorAll('tbody tr')].map((r) => [...r.children].map((c) => c.innerText.trim())))")
        self.assertEqual(rows[0], [["learning_rate", "1e-5", "2e-5"], ["seed", "–", "3"]])
        self.assertIn(["Reward", "0.6", "0.5"], rows[1])

    def test_alarms_have_steps_and_lead_to_the_curves(self):
        make_run(f"{self.root}/zero", steps=40)
        put(f"{self.root}/zero/metrics.jsonl", line(41, reward=0.4, loss=None, skipped="NaN in weight layers.2.mlp.gate (layer 2)")
            + line(42, reward=0.4, loss=1, alarms=[{"monitor": "repetition", "step": 42, "value": 0.7, "limit": 0.6, "text": "Repetition: much of it"}]), "a")
        self.open("tab=alarms")
        self.wait(lambda: self.count("#panel-alarms tbody tr") == 3, "the alarms")
        text = self.text("#panel-alarms")
        for part in ("NaN in weight layers.2.mlp.gate", "Repetition: much of it", "value 0.7, limit 0.6", "loss is not finite"):
            self.assertIn(part, text)
        self.assertEqual(self.texts("#head .alarm"), ["⚠ 3"])
        self.click("#panel-alarms tbody tr button")
        self.wait(lambda: self.run_js("return window.r1Runs.runs.view.from") == 22, "the curves around it")
        self.assertFalse(self.run_js("return document.getElementById('panel-charts').hidden"))

    def test_settings_show_config_results_and_the_report(self):
        make_run(f"{self.root}/zero", finished=True)
        put(f"{self.root}/zero/report.html", "<script>top.ran = 1; document.title = 'ran here'</script>report")
        put(f"{self.root}/zero/checkpoint-40/manifest.json", "{}")
        self.open("tab=about")
        self.wait(lambda: "learning_rate" in (self.text("#panel-about") or ""), "the config")
        self.assertIn("Checkpoints at steps 40", self.text("#panel-about"))
        self.assertEqual(self.text("#panel-about a"), "report.html")
        # A report may run its own script, but not as this page: it has no origin.
        self.assertEqual(self.browser.execute_async_script("""const done = arguments[0]; fetch(document.querySelector('#panel-about a').href)
            .then((r) => done(r.headers.get('content-security-policy').split(';')[0]));"""), "sandbox allow-scripts")

    def test_dark_and_on_a_phone(self):
        make_run(f"{self.root}/zero")
        self.open()
        self.wait_curve("reward", 60)
        light = self.run_js("return getComputedStyle(document.body).backgroundColor")
        self.click("#topbar button.ghost")
        self.assertNotEqual(self.run_js("return getComputedStyle(document.body).backgroundColor"), light)
        self.click("#topbar button.ghost")
        self.browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", {"width": 390, "height": 800, "deviceScaleFactor": 2, "mobile": True})
        try:
            for name in ("charts", "completions", "compare", "alarms", "about"):
                self.tab(name)
                self.wait_frame()
                self.assertLessEqual(self.run_js("return document.documentElement.scrollWidth"), 390, name)
        finally:
            self.browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})

    # ---- What somebody else wrote.

    def test_hostile_texts_stay_texts(self):
        self.assertGreaterEqual(len(HOSTILE), 150)
        make_run(f"{self.root}/zero", finished=True, config={f"k{i} {text[:60]}": text[:200] for i, text in enumerate(HOSTILE[:60])})
        rows = "".join(completion(1, f"{i} {text[:50]}", text, verdict=text[:40] or "right", gold=text[:100], extracted=text[:100], rewards={text[:80]: 1}) for i, text in enumerate(HOSTILE))
        put(f"{self.root}/zero/completions.jsonl", rows + completion(2, f"0 {HOSTILE[0][:50]}", HOSTILE[1]))
        texts = [text for text in HOSTILE if text != "\ud83d"]
        put(f"{self.root}/zero/metrics.jsonl", "".join(line(s, **{"reward": s, **{text[:100] or "x": s for text in texts}}) for s in (1, 2))
            + line(3, skipped=HOSTILE[0], alarms=[{"monitor": text[:50], "step": 3, "value": 1, "limit": 1, "text": text} for text in texts]))
        self.open("tab=completions")
        self.wait(lambda: self.count(".row") == 1, "the last step")
        self.run_js("const s = document.querySelectorAll('.completions select'); s[1].value = '1'; s[1].dispatchEvent(new Event('change'));")
        self.wait(lambda: self.count(".row .diff") == 1, "a hostile difference")
        self.run_js("const s = document.querySelectorAll('.completions select'); s[1].value = ''; s[1].dispatchEvent(new Event('change')); s[0].value = '1'; s[0].dispatchEvent(new Event('change'));")
        all = len(HOSTILE) - 1  # half a surrogate pair is no JSON: one broken line
        self.wait(lambda: f"{all} of" in self.text(".completions .toolbar"), "the first step")
        shown = 0
        while True:
            self.wait(lambda: self.count(".row") > shown, "more rows")
            shown = self.count(".row")
            self.run_js("for (const d of document.querySelectorAll('.row details')) d.open = true;")
            if not self.count("button.more"):
                break
            self.click("button.more")
        self.assertEqual(shown, all)
        self.assertIn("1 broken line", self.text(".completions .toolbar"))
        self.wait(lambda: self.count(".row .inside h4") == 2 * shown, "every row open")
        self.assertEqual(self.count(".row img, .row script, .row iframe, .row svg, .row a, .row style, .row form"), 0)
        self.assertIn(HOSTILE[0], self.text(".rows"))
        self.assertIn("\\u{202E}reversed", self.text(".rows"))
        for name in ("charts", "alarms", "about"):
            self.tab(name)
            self.wait_rendered()
        self.tab("charts")
        self.run_js("for (const d of document.querySelectorAll('.group')) d.open = true;")
        self.wait_curve("reward", 2)
        self.run_js("for (const n of document.querySelectorAll('.chart')) n.dispatchEvent(new MouseEvent('mouseover', {bubbles: true}))")
        self.wait_rendered()
        self.assertEqual(self.count("main img, main script, main iframe, main object, main form"), 0)


if __name__ == "__main__":
    main()
