"""What the browser's tests stand on: one Chromium for all of them (Selenium, headless), a server (mock_server.py, or the program itself), and waiting
for what should be seen.

A test program ends with main(); it exits with 77, which CTest counts as skipped, where Chromium, its driver or Selenium is not there
(scripts/setup.sh browser brings them)."""
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import unittest

import mock_server

SKIPPED = 77
PROGRAM = os.environ.get("R1_PROGRAM") or os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../build/cpu/r1")


def skip(reason):
    print(f"skipped: {reason}; scripts/setup.sh browser brings what the browser's tests need")
    sys.exit(SKIPPED)


try:
    from selenium import webdriver
    from selenium.common.exceptions import WebDriverException
    from selenium.webdriver.common.action_chains import ActionChains
    from selenium.webdriver.common.by import By
    from selenium.webdriver.common.keys import Keys
except ImportError:
    skip("no Selenium for this Python")

# Counts what must not happen, before any of the page's scripts run: scripts of an answer (they set window.ran, or open dialogs), reports of the
# content security policy; and long tasks, which keep a page from answering.
WATCH = """
window.seen = {ran: 0, csp: [], errors: [], longest: 0};
Object.defineProperty(window, "ran", {set() { ++window.seen.ran; }, get() { return () => { ++window.seen.ran; }; }});
window.alert = window.confirm = window.prompt = window.print = () => { ++window.seen.ran; };
document.addEventListener("securitypolicyviolation", (event) => window.seen.csp.push(event.violatedDirective + " " + event.blockedURI));
window.addEventListener("error", (event) => window.seen.errors.push(String(event.message)));
window.addEventListener("unhandledrejection", (event) => window.seen.errors.push(String(event.reason)));
new PerformanceObserver((list) => { for (const task of list.getEntries()) window.seen.longest = Math.max(window.seen.longest, task.duration); }).observe({type: "longtask"});
"""


def start_browser():
    binary = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    driver = shutil.which("chromedriver")
    if not binary or not driver:
        skip("no Chromium or no chromedriver")
    options = webdriver.ChromeOptions()
    options.binary_location = binary
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--window-size=1200,820", "--lang=en-US", "--no-first-run",
                     "--disable-extensions", "--disable-background-networking", "--disable-component-update"):
        options.add_argument(argument)
    browser = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    browser.set_script_timeout(30)
    browser.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": WATCH})
    return browser


class Program:
    """r1 with --json, from when it says where it listens; `ready`: from when it answers."""

    def __init__(self, *arguments, ready=False):
        self.process = subprocess.Popen([PROGRAM, *arguments, "--json"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        for line in self.process.stdout:
            said = json.loads(line)
            self.base, self.port = f"http://127.0.0.1:{said['port']}", said["port"]
            if not ready or said["state"] == "ready":
                return
        raise RuntimeError(f"{arguments}: exit code {self.process.wait()}")

    def stop(self, signal=signal.SIGTERM):
        self.process.send_signal(signal)
        self.process.wait(20)
        self.process.stdout.close()


class BrowserTest(unittest.TestCase):
    """A page of `self.base`."""
    browser = None

    @classmethod
    def setUpClass(cls):
        if BrowserTest.browser is None:
            BrowserTest.browser = start_browser()

    def tearDown(self):
        # No test may leave a script error or a violated policy behind.
        seen = self.run_js("return window.seen || {errors: [], csp: [], ran: 0}")
        self.assertEqual(seen["errors"], [])
        self.assertEqual(seen["csp"], [])
        self.assertEqual(seen["ran"], 0)

    # ---- What a person does.

    def open(self, path="/"):
        self.browser.get(self.base + path)
        self.wait(lambda: self.run_js("return document.getElementById('send') !== null && document.getElementById('status').textContent !== ''"), "the page")

    def ask(self, text, wait=True):
        before = self.count(".message.assistant.whole")
        box = self.find("#input")
        box.send_keys(text, Keys.ENTER)
        if wait:
            self.wait(lambda: self.count(".message.assistant.whole") > before and not self.busy(), "an answer")

    def busy(self):
        return self.run_js("return document.getElementById('send').classList.contains('stop')")

    def wait_idle(self):
        self.wait(lambda: not self.busy(), "the end of the answer")

    def find(self, selector):
        return self.browser.find_element(By.CSS_SELECTOR, selector)

    def press(self, *keys):
        ActionChains(self.browser).send_keys(*keys).perform()

    def chord(self, *keys):
        chain = ActionChains(self.browser)
        for key in keys[:-1]:
            chain.key_down(key)
        chain.send_keys(keys[-1])
        for key in reversed(keys[:-1]):
            chain.key_up(key)
        chain.perform()

    def click(self, selector, within=None):
        # Buttons of a row only show under the pointer: clicked by script, as a screen reader does.
        self.run_js("const node = (arguments[1] || document).querySelector(arguments[0]); if (!node) throw new Error('no ' + arguments[0]); node.click();", selector, within)

    def click_in(self, message, label):
        self.run_js("""const all = document.querySelectorAll('#log .message'); const node = all[arguments[0] < 0 ? all.length + arguments[0] : arguments[0]];
                       node.querySelector(`.foot button[aria-label="${arguments[1]}"]`).click();""", message, label)

    def run_js(self, script, *arguments):
        return self.browser.execute_script(script, *arguments)

    # ---- What a person sees.

    def count(self, selector):
        return self.run_js("return document.querySelectorAll(arguments[0]).length", selector)

    def text(self, selector):
        return self.run_js("const node = document.querySelector(arguments[0]); return node ? node.innerText : null", selector)

    def texts(self, selector):
        return self.run_js("return [...document.querySelectorAll(arguments[0])].map((node) => node.innerText.trim())", selector)

    def messages(self):
        """The texts of the branch that is shown, without thoughts."""
        return self.run_js("return [...document.querySelectorAll('#log .message')].map((m) => (m.querySelector('.text') || m.querySelector('.body')).innerText.trim())")

    def wait(self, condition, what, timeout=20):
        end = time.monotonic() + timeout
        while True:
            try:
                value = condition()
            except WebDriverException:
                value = False
            if value:
                return value
            if time.monotonic() > end:
                self.fail(f"waited {timeout} s for {what}; shown: {self.run_js('return document.body.innerText.slice(0, 2000)')}")
            time.sleep(0.03)

    def wait_rendered(self):
        """Until nothing has changed on the page for a moment."""
        self.browser.execute_async_script("""
            const done = arguments[arguments.length - 1];
            let timer = setTimeout(done, 120);
            new MutationObserver(() => { clearTimeout(timer); timer = setTimeout(done, 120); }).observe(document.body, {subtree: true, childList: true, characterData: true});""")

    def wait_frame(self):
        self.browser.execute_async_script("requestAnimationFrame(() => requestAnimationFrame(arguments[0]))")

    # ---- What the server has.

    def shown(self):
        """The id of the conversation that is shown."""
        return self.run_js("return new URLSearchParams(location.search).get('chat')")

    def stored(self, role="assistant"):
        return [m for m in self.conversation()["messages"] if m["role"] == role]


class MockTest(BrowserTest):
    """Over mock_server.py."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.server = mock_server.start()
        cls.base = f"http://127.0.0.1:{cls.server.server_address[1]}"
        cls.state = cls.server.state
        cls.browser.execute_cdp_cmd("Browser.grantPermissions", {"permissions": ["clipboardReadWrite", "clipboardSanitizedWrite"], "origin": cls.base})

    @classmethod
    def tearDownClass(cls):
        cls.server.shutdown()
        cls.server.server_close()

    def setUp(self):
        self.state.update(next=[], asked=[], csp=[], aborted=0, down_until=0, store_delay=0, key="")
        self.state["store"].all.clear()

    def tearDown(self):
        super().tearDown()
        self.assertEqual(self.state["csp"], [])

    def answer_next(self, content, **plan):
        self.state["next"].append({"content": content, **plan})

    def conversation(self):
        return self.state["store"].whole(self.shown())


def main():
    os.environ.setdefault("SE_OFFLINE", "true")  # Selenium's manager would look for drivers on the network
    try:
        unittest.main(verbosity=2)
    finally:
        if BrowserTest.browser is not None:
            BrowserTest.browser.quit()
