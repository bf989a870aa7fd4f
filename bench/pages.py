"""What the playground does in headless Chromium: time to the first picture, training steps and frames a second, memory.

    python -m bench.pages [--seconds 600] [--peer nn.js]

`--seconds` is how long it trains for the memory, which is looked at ten times on the way, each after a collection of
garbage. `--peer` is src/nn.ts of tensorflow/playground, compiled by `tsc --target es2017 --module es2015`: its steps a
second are measured in turn, on the same points and networks.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from browser import MISSING, Browser

from pynn.viz.playground import playground
from pynn.web import has_engine

LOOKS = 10
HIDDEN = ([4], [4, 2], [8, 8])
START = "return pynn_playground.ready.then(() => { pynn_playground.draw(); return performance.now() })"
STEPS = """
const { net } = pynn_playground, until = performance.now() + 1000 * arguments[0], begin = performance.now();
let steps = 0;
while (performance.now() < until) { net.run(10); steps += 10 * net.batches; }
return (1000 * steps) / (performance.now() - begin);
"""
PEER = """
const [text, shape, rows, seconds] = arguments;
const url = URL.createObjectURL(new Blob([text], { type: "text/javascript" }));
return import(url).then((nn) => {
  const net = nn.buildNetwork(shape, nn.Activations.TANH, nn.Activations.TANH, null, ["x", "y"], false);
  const go = (seconds) => {
    const begin = performance.now();
    let steps = 0;
    while (performance.now() - begin < 1000 * seconds)
      rows.forEach(([a, b, y], i) => {
        nn.forwardProp(net, [a, b]);
        nn.backProp(net, 2 * y - 1, nn.Errors.SQUARE);
        if ((i + 1) % 10 === 0) { nn.updateWeights(net, 0.03, 0); steps++; }
      });
    return (1000 * steps) / (performance.now() - begin);
  };
  go(1);
  return go(seconds);
});
"""
FRAMES = """
const page = pynn_playground, seconds = arguments[0], playing = arguments[1];
if (playing) page.play();
return new Promise((done) => {
  let frames = 0, begin = performance.now(), first = page.net.epoch;
  const frame = () => {
    frames++;
    if (!playing) page.draw();
    const spent = (performance.now() - begin) / 1000;
    if (spent < seconds) return requestAnimationFrame(frame);
    page.pause();
    done({ frames: frames / spent, steps: ((page.net.epoch - first) * page.net.batches) / spent });
  };
  requestAnimationFrame(frame);
});
"""
MEMORY = """
return { kernels: pynn_playground.net.engine.memory.buffer.byteLength,
  nodes: document.querySelectorAll("*").length, epoch: pynn_playground.net.epoch };
"""


def measured(seconds: float) -> dict[str, Any]:
    """Return the figures; seconds: of training for the memory."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        url = Path(playground().save(folder / "playground.html")).as_uri()
        with Browser(folder) as browser:
            browser.resize(1300, 900)
            browser.open(url)
            found: dict[str, Any] = {"first_picture_ms": browser.run(START)}
            browser.run(STEPS, 1)
            found["steps_alone"] = browser.run(STEPS, 3)
            found["drawing"] = browser.run(FRAMES, 5, False)
            found["training"] = browser.run(FRAMES, 5, True)
            found["memory"] = list(_memory(browser, seconds))
            assert browser.messages() == []
    return found


def _memory(browser: Browser, seconds: float) -> Any:
    begin = time.monotonic()
    browser.run("pynn_playground.play()")
    for look in range(LOOKS + 1):
        time.sleep(max(0.0, begin + seconds * look / LOOKS - time.monotonic()))
        browser.command("HeapProfiler.collectGarbage")
        heap = browser.command("Runtime.getHeapUsage")["usedSize"]
        yield {"seconds": round(time.monotonic() - begin, 1), "heap": heap} | browser.run(MEMORY)
    browser.run("pynn_playground.pause()")


def beside(peer: str) -> list[dict[str, Any]]:
    """Return steps a second of batches of 10 by hidden layers, of this playground and of its peer."""
    found = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        url = Path(playground().save(folder / "playground.html")).as_uri()
        with Browser(folder) as browser:
            for hidden in HIDDEN:
                browser.open("about:blank")
                browser.open(f"{url}#v=1&layers={','.join(map(str, hidden))}")
                browser.run(START)
                rows = browser.run("return pynn_playground.net.train")
                browser.run(STEPS, 1)
                row = {"hidden": hidden, "pynn": 0.0, "peer": 0.0}
                for _ in range(3):  # the best of each: both do the same work every time
                    row["pynn"] = max(row["pynn"], browser.run(STEPS, 2))
                    row["peer"] = max(row["peer"], browser.run(PEER, peer, [2, *hidden, 1], rows, 2))
                found.append(row)
    return found


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--peer", type=Path)
    arguments = parser.parse_args()
    seconds = arguments.seconds
    if MISSING or not has_engine():
        sys.exit(f"pages: error: {MISSING or 'this build has no kernels for pages: python csrc/web/build.py'}")
    found = measured(seconds)
    print(json.dumps(found, indent=1))
    if arguments.peer:
        print(json.dumps(beside(arguments.peer.read_text(encoding="utf-8")), indent=1))
    later = found["memory"][1:]
    print(f"heap from {later[0]['heap'] / 1e6:.2f} MB to {later[-1]['heap'] / 1e6:.2f} MB in {seconds:g} s of training")


if __name__ == "__main__":
    main()
