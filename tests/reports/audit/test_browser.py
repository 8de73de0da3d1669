"""The audit's page in a real browser: no error, no request, no overflow, enough contrast.

Chromium is spoken to through the pipe of its DevTools protocol (--remote-debugging-pipe), which
needs no driver and no further package.
"""

import fcntl
import json
import os
import select
import shutil
import signal
import time

import pytest
from matplotlib.figure import Figure

from ganfp_tf.reports.audit.page import as_html
from ganfp_tf.reports.render.page import Picture
from tests.helpers.audit_example import KINDS

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
CHROMIUM = next(filter(None, map(shutil.which, NAMES)), None)
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--remote-debugging-pipe",
)
PATIENCE = 60  # seconds that the browser may take for one answer
VIEWS = [(390, "light"), (390, "dark"), (1280, "light"), (1280, "dark")]
# Text whose contrast with what is painted behind it is below 4.5 (WCAG 2.2, 1.4.3).
FAINT = """(() => {
  const rgba = text => text.match(/[\\d.]+/g).map(Number);
  const light = rgb => rgb.slice(0, 3).map(c => c / 255)
    .map(c => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
    .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
  const behind = e => {
    for (; e; e = e.parentElement) {
      const c = rgba(getComputedStyle(e).backgroundColor);
      if (c.length < 4 || c[3] === 1) return c;
    }
    return [255, 255, 255];
  };
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT), found = [];
  let seen = 0;
  while (walker.nextNode()) {
    const e = walker.currentNode.parentElement;
    if (!walker.currentNode.data.trim() || !e.checkVisibility()) continue;
    seen += 1;
    const a = light(rgba(getComputedStyle(e).color)), b = light(behind(e));
    const contrast = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (contrast < 4.5) found.push([walker.currentNode.data, contrast]);
  }
  return {seen, found};
})()"""
FOLD_SHOWN = """(() => {
  const fold = document.querySelector('#settings details'), table = fold.querySelector('table');
  return table.checkVisibility() && fold.offsetHeight > table.offsetHeight;
})()"""


class Browser:
    """A headless Chromium with one tab."""

    def __init__(self, profile):
        """Starts it with `profile`, an empty folder, in a process group of its own."""
        theirs, self._out = os.pipe()
        self._in, answers = os.pipe()
        # Above 9, so that neither is overwritten before it has become 3 or 4.
        high = [fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 10) for fd in (theirs, answers)]
        nowhere = [(os.POSIX_SPAWN_OPEN, fd, os.devnull, os.O_WRONLY, 0) for fd in (1, 2)]
        self._pid = os.posix_spawn(
            CHROMIUM,
            [CHROMIUM, *FLAGS, f"--user-data-dir={profile}", "about:blank"],
            os.environ,
            setpgroup=0,
            file_actions=[
                (os.POSIX_SPAWN_DUP2, high[0], 3),
                (os.POSIX_SPAWN_DUP2, high[1], 4),
                *nowhere,
            ],
        )
        for fd in (theirs, answers, *high):
            os.close(fd)
        self._buffer, self._number, self._session, self.events = b"", 0, None, []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)[
            "sessionId"
        ]
        for domain in ("Page", "Network", "Log", "Runtime"):
            self.call(f"{domain}.enable")

    def close(self):
        """Ends it and all its processes."""
        os.killpg(self._pid, signal.SIGKILL)
        os.waitpid(self._pid, 0)
        os.close(self._in)
        os.close(self._out)

    def call(self, method, **parameters):
        """Calls a method of the protocol and returns its result; events are kept."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._out, json.dumps(message).encode() + b"\0")
        while (answer := self._read()).get("id") != self._number:
            self.events.append(answer)
        assert "error" not in answer, answer
        return answer["result"]

    def _read(self):
        end = time.monotonic() + PATIENCE
        while b"\0" not in self._buffer:
            ready, _, _ = select.select([self._in], [], [], max(0, end - time.monotonic()))
            assert ready, "Chromium does not answer."
            part = os.read(self._in, 1 << 20)
            assert part, "Chromium has ended."
            self._buffer += part
        message, _, self._buffer = self._buffer.partition(b"\0")
        return json.loads(message)

    def open(self, path, width, scheme, media="screen"):
        """Opens a file at a width in pixels, in a "light" or "dark" scheme."""
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=900,
            deviceScaleFactor=1,
            mobile=False,
        )
        self.call(
            "Emulation.setEmulatedMedia",
            media=media,
            features=[{"name": "prefers-color-scheme", "value": scheme}],
        )
        self.events.clear()
        self.call("Page.navigate", url=path.resolve().as_uri())
        while not self._of("Page.loadEventFired"):
            self.events.append(self._read())

    def evaluate(self, expression):
        """The value of a JavaScript expression in the page, which its CSP does not bind."""
        answer = self.call("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"]["value"]

    def _of(self, method):
        return [event["params"] for event in self.events if event.get("method") == method]

    def errors(self):
        """What the console holds of errors and warnings, and uncaught exceptions."""
        self.evaluate("0")  # reads what came in the meantime
        console = [event["type"] for event in self._of("Runtime.consoleAPICalled")]
        log = [
            event["entry"]["text"]
            for event in self._of("Log.entryAdded")
            if event["entry"]["level"] in ("error", "warning")
        ]
        thrown = [
            event["exceptionDetails"]["text"] for event in self._of("Runtime.exceptionThrown")
        ]
        return [*console, *log, *thrown]

    def outside(self):
        """Addresses of requests to anything but files and data URIs."""
        requests = [event["request"]["url"] for event in self._of("Network.requestWillBeSent")]
        assert requests, "Not even the page itself was seen to be requested."
        return [url for url in requests if not url.startswith(("file:", "data:"))]

    def width_of_content(self):
        """How wide the page is, with what would have to be scrolled to."""
        return self.evaluate("document.scrollingElement.scrollWidth")


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    if CHROMIUM is None:
        pytest.skip(f"no Chromium on PATH (looked for {', '.join(NAMES)})")
    opened = Browser(tmp_path_factory.mktemp("profile"))
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    figure = Figure(figsize=(8, 4))
    figure.subplots().plot([0, 1])
    picture = Picture(figure, "figures/f.png", "A line that rises.")
    folder, paths = tmp_path_factory.mktemp("pages"), {}
    for kind, example in KINDS.items():
        audit = example()
        risky = [(picture, audit["riskiest"][0])]
        pictures = dict.fromkeys(("roc", "scores", "detectors"), picture) | {"riskiest": risky}
        paths[kind] = folder / f"{kind}.html"
        paths[kind].write_text(as_html(audit, pictures), encoding="utf-8")
    return paths


@pytest.mark.parametrize("kind", KINDS)
def test_page_is_quiet_and_fits(browser, pages, kind):
    for width, scheme in VIEWS:
        browser.open(pages[kind], width, scheme)
        assert browser.evaluate("innerWidth") == width
        assert browser.width_of_content() <= width
        contrasts = browser.evaluate(FAINT)
        assert contrasts["seen"] > 200
        assert contrasts["found"] == []
        assert browser.errors() == []
        assert browser.outside() == []
        assert browser.evaluate("document.compatMode") == "CSS1Compat"


def test_wide_tables_scroll_in_their_own_region(browser, pages):
    browser.open(pages["labelled"], 390, "light")
    assert browser.evaluate(
        "[...document.querySelectorAll('.scroll')].some(e => e.scrollWidth > e.clientWidth)"
    )
    # Those of sentences become cards and fit.
    assert browser.evaluate(
        "[...document.querySelectorAll('.cards')].every(e => "
        "e.parentElement.scrollWidth <= e.parentElement.clientWidth)"
    )


def test_links_lead_to_the_glossary_and_parts(browser, pages):
    browser.open(pages["labelled"], 1280, "light")
    assert browser.evaluate("document.querySelectorAll('a.term').length") > 15
    assert browser.evaluate(
        "[...document.querySelectorAll('a')]"
        ".every(a => document.getElementById(a.getAttribute('href').slice(1)))"
    )


def test_folds_are_printed(browser, pages):
    browser.open(pages["labelled"], 800, "light")
    assert not browser.evaluate(FOLD_SHOWN)
    browser.open(pages["labelled"], 800, "dark", media="print")
    assert browser.evaluate(FOLD_SHOWN)
    assert browser.evaluate("getComputedStyle(document.body).color") == "rgb(0, 0, 0)"
    assert browser.width_of_content() <= 800


def test_the_checks_find_what_they_look_for(browser, tmp_path):
    path = tmp_path / "bad.html"
    path.write_text(
        "<!DOCTYPE html><body><script>console.error('told'); nothing.at.all()</script>"
        "<img src='http://127.0.0.1:9/x.png'><p style='width: 2000px; color: #999'>Faint.</p>"
    )
    browser.open(path, 390, "light")
    errors = browser.errors()
    assert "error" in errors
    assert "Uncaught" in errors
    assert any("Failed to load resource" in text for text in errors)
    assert browser.outside() == ["http://127.0.0.1:9/x.png"]
    assert browser.width_of_content() >= 2000
    (found,) = browser.evaluate(FAINT)["found"]
    assert found == ["Faint.", pytest.approx(2.85, abs=0.01)]  # #999 on white


def test_the_policy_stops_requests_and_scripts(browser, pages, tmp_path):
    path = tmp_path / "tampered.html"
    text = pages["labelled"].read_text(encoding="utf-8")
    path.write_text(text.replace("</main>", "<script>document.title = 'run'</script></main>"))
    browser.open(path, 390, "light")
    assert any("Content Security Policy" in text for text in browser.errors())
    assert browser.evaluate("document.title").startswith("Evidence that the images")
