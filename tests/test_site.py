"""The built site in a browser: nothing is asked of the network, nothing is cut, formulas are set, the search finds.

PYNN_SITE names the folder of the site; without it, or without Chromium, the tests are skipped.
"""

from __future__ import annotations

import functools
import http.server
import json
import os
import re
import shutil
import subprocess
import threading
from pathlib import Path

import pytest

SITE = Path(os.environ.get("PYNN_SITE", ""))
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))), None)
COURSE = ("es", "en")
pytestmark = pytest.mark.timeout(900)  # all pages at two widths, where other programs run too
WIDTHS = (1300, 400)
# Walks through the pages in a frame of each width, and tells what it found: of every page what sticks out of its
# column, formulas that were not set, and what was asked of other places.
WALK = """<!doctype html><meta charset="utf-8"><body><script>
const pages = PAGES, widths = WIDTHS, found = [];
const wait = (ms) => new Promise((done) => setTimeout(done, ms));
async function look(page, width) {
  const frame = document.createElement("iframe");
  frame.style.cssText = `width:${width}px;height:900px;border:0`;
  frame.src = page;
  const loaded = new Promise((done) => (frame.onload = done));
  document.body.append(frame);
  await loaded;
  const inside = frame.contentWindow, content = frame.contentDocument;
  if (inside.MathJax && inside.MathJax.startup && inside.MathJax.startup.promise) await inside.MathJax.startup.promise;
  const cut = [];
  for (const one of content.querySelectorAll("article pre, article pre > code, article img, article mjx-container"))
    if (one.clientWidth && one.scrollWidth > one.clientWidth + 1) cut.push(one.tagName + ": " + one.innerText);
  for (const one of content.querySelectorAll("article pre, article img, article p, article h2"))
    if (one.getBoundingClientRect().right > width && !one.closest("table")) cut.push("off the screen: " + one.tagName);
  const names = [...content.querySelectorAll("article table:not([class]) code")];
  const broken = names.filter((one) => one.getClientRects().length > 1).map((one) => one.innerText);
  const wide = [...content.querySelectorAll("article .md-typeset__scrollwrap")]
    .filter((one) => one.clientWidth && one.scrollWidth > one.clientWidth + 1)
    .filter((one) => width > 1000 || one.querySelector("table[data-rows]"))
    .map((one) => one.innerText.slice(0, 60));
  const asked = inside.performance.getEntriesByType("resource").map((entry) => entry.name);
  const away = asked.filter((name) => !name.startsWith(location.origin) && !name.startsWith("data:"));
  const formulas = content.querySelectorAll(".arithmatex").length;
  const set = content.querySelectorAll(".arithmatex > mjx-container").length;
  const wrong = content.querySelectorAll("mjx-container [data-mml-node=merror]").length;
  found.push({ page, width, cut, wide, broken, away, formulas, set, wrong });
  frame.remove();
}
async function find(query, language) {
  document.documentElement.lang = language;
  const script = document.createElement("script");
  script.src = "/assets/search.js";
  const loaded = new Promise((done) => (script.onload = done));
  document.head.append(script);
  await loaded;
  const docs = (await (await fetch("/search/search_index.json")).json()).docs;
  const items = new window.__search(docs).query(query).items;
  return items.map((group) => group.map((item) => item.location)).slice(0, 5);
}
(async () => {
  const said = {};
  try {
    for (const width of widths) for (const page of pages) await look(page, width);
    for (const [query, language] of QUERIES) said[query + " " + language] = await find(query, language);
  } catch (error) { found.push({ page: "error", failed: String(error) }); }
  await fetch("/found", { method: "POST", body: JSON.stringify({ found, said }) });
})();
</script>"""
QUERIES = [
    ("retropropagacion", "es"), ("Retropropagación", "es"), ("dropout", "es"), ("dropout", "en"), ("model.fit", "en"),
]  # fmt: skip


class Server(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *words):
        pass

    def do_GET(self):
        if self.path != "/walk":
            return super().do_GET()
        body = self.server.walk.encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
        return None

    def do_POST(self):
        self.server.found = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.send_response(204)
        self.end_headers()
        self.server.done.set()


def pages():
    """Return the pages that are looked at: the first, all of course, tasks and guide, and one of the reference."""
    found = [
        path.relative_to(SITE).as_posix()
        for folder in (*COURSE, "guide")
        for path in sorted((SITE / folder).rglob("*.html"))
    ]
    return ["index.html", *found, "reference/train.html"]


@pytest.fixture(scope="module")
def walked(tmp_path_factory):
    if not os.environ.get("PYNN_SITE"):
        pytest.skip("PYNN_SITE names no built site")
    if CHROMIUM is None:
        pytest.skip("no Chromium")
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Server, directory=str(SITE)))
    server.done = threading.Event()
    values: dict = {"PAGES": [f"/{page}" for page in pages()], "WIDTHS": WIDTHS, "QUERIES": QUERIES}
    server.walk = re.sub("PAGES|WIDTHS|QUERIES", lambda match: json.dumps(values[match[0]]), WALK)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    profile = tmp_path_factory.mktemp("profile")
    browser = subprocess.Popen(
        [
            CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
            "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1", f"--user-data-dir={profile}",
            "--window-size=1400,1000", "--remote-debugging-port=0", f"http://127.0.0.1:{server.server_port}/walk",
        ],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        assert server.done.wait(800), "the browser did not come to the end"
    finally:
        browser.kill()
        browser.wait()
        server.shutdown()
        server.server_close()
    return server.found


def test_no_page_asks_for_anything_elsewhere(walked):
    assert [(page["page"], page.get("failed") or page["away"]) for page in walked["found"] if page.get("away", 1)] == []
    assert len(walked["found"]) == len(WIDTHS) * len(pages())


def test_all_formulas_are_set(walked):
    left = [page for page in walked["found"] if page["formulas"] != page["set"] or page["wrong"]]
    assert [(page["page"], page["width"]) for page in left] == []
    assert sum(page["set"] for page in walked["found"]) > 100


@pytest.mark.parametrize("width", WIDTHS)
def test_nothing_is_cut(walked, width):
    assert [(page["page"], page["cut"]) for page in walked["found"] if page["width"] == width and page["cut"]] == []


@pytest.mark.parametrize("width", WIDTHS)
def test_tables_are_seen_whole(walked, width):
    """On a small screen those of numbers move under the finger; those of sentences stand row by row."""
    assert [(page["page"], page["wide"]) for page in walked["found"] if page["width"] == width and page["wide"]] == []


@pytest.mark.parametrize("width", WIDTHS)
def test_names_in_tables_are_whole(walked, width):
    assert [
        (page["page"], page["broken"]) for page in walked["found"] if page["width"] == width and page["broken"]
    ] == []


def test_the_search_takes_words_without_accents_and_the_readers_language_first(walked):
    said = walked["said"]
    for query in ("retropropagacion", "Retropropagación"):
        assert said[f"{query} es"][0][0] == "es/backpropagation.html"
    assert said["dropout es"][0][0].startswith("es/")
    assert not [page for group in said["dropout en"] for page in group if page.startswith("es/")]
    assert said["model.fit en"][0][0].endswith("Trainable.fit")


@pytest.mark.skipif(not os.environ.get("PYNN_SITE"), reason="PYNN_SITE names no built site")
def test_no_language_leads_into_the_other():
    for language, other in (COURSE, COURSE[::-1]):
        for page in (SITE / language).rglob("*.html"):
            text = page.read_text(encoding="utf-8")
            ways = re.findall(r'<a href="([^"]+)" class="md-footer__link', text)
            assert not [way for way in ways if f"/{other}/" in (page.parent / way).resolve().as_posix()], page


@pytest.mark.skipif(not os.environ.get("PYNN_SITE"), reason="PYNN_SITE names no built site")
@pytest.mark.parametrize("language", COURSE)
def test_the_gallery_shows_recipes_with_pictures_that_are_small(language):
    page = SITE / language / "gallery.html"
    text = page.read_text(encoding="utf-8")
    shown = {(page.parent / source).resolve() for source in re.findall(r'<img[^>]*src="([^"]+/recipes/[^"]+)"', text)}
    assert len({path.parent.name for path in shown}) >= 25  # recipes
    assert [path for path in shown if not 500 < path.stat().st_size < 400_000] == []
    assert {path.parts[-4] for path in shown} == {"es" if language == "es" else "figures"}  # labels of its language


@pytest.mark.skipif(not os.environ.get("PYNN_SITE"), reason="PYNN_SITE names no built site")
def test_what_a_page_is_made_of_lies_in_the_site():
    for page in SITE.rglob("*.html"):
        text = page.read_text(encoding="utf-8")
        found = re.findall(r'<(?:script|img|iframe)[^>]*\ssrc="([^"]+)"', text)
        found += re.findall(r'<link[^>]*rel="(?:stylesheet|icon|preload|preconnect)"[^>]*href="([^"]+)"', text)
        assert not [address for address in found if "//" in address and not address.startswith("data:")], page
