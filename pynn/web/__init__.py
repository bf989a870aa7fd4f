"""What runs in a page: pynn's kernels as WebAssembly, and the scripts that run recorded programs on them."""

from __future__ import annotations

import base64
import functools
import gzip
import html
import json
import re
from pathlib import Path
from urllib.parse import quote

from pynn._version import __version__
from pynn.packed import lzma

__all__ = ["bundled", "engine", "has_engine", "joined", "page"]

HERE = Path(__file__).parent
ENGINES = "engines.xz"  # what csrc/web/build.py makes
LOADER = ("engine.js", "seeds.js", "model.js")


def has_engine() -> bool:
    """Tell whether this pynn has the kernels for pages."""
    return (HERE / ENGINES).exists()


def engine() -> list[str]:
    """Return the kernels for pages, with relaxed SIMD and without: base64 of gzip, which browsers open by themselves.

    Raises
    ------
    FileNotFoundError
        If this pynn was built without them.
    """
    if not has_engine():
        raise FileNotFoundError(
            f"[web] expected {ENGINES}, pynn's kernels for pages, in {HERE}. Received: a pynn that was built without "
            "them. help: pip install ziglang, then in pynn's sources: python csrc/web/build.py (docs/guide/web.md)."
        )
    return list(_packed(HERE / ENGINES))


@functools.cache
def _packed(file: Path) -> tuple[str, ...]:
    size, whole = lzma.decompress(file.read_bytes()).split(b"\n", 1)
    modules = whole[: int(size)], whole[int(size) :]
    return tuple(base64.b64encode(gzip.compress(module, 9, mtime=0)).decode() for module in modules)


def joined(names: tuple[str, ...], folder: Path = HERE / "js") -> str:
    """Return scripts one after the other, in one scope: what they import from each other is there already."""
    texts = [(folder / name).read_text(encoding="utf-8") for name in names]
    texts = [re.sub(r"^import {[^}]*} from \"[^\"]*\";\n", "", text, flags=re.MULTILINE) for text in texts]
    return "\n".join(re.sub(r"^export ", "", text, flags=re.MULTILINE) for text in texts)


def in_script(text: str) -> str:
    """Return JSON that may stand between script tags."""
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


def bundled(name: str, model: str) -> tuple[str, str, str]:
    """Return a model as a script, its types, and a page that shows how it is used.

    Parameters
    ----------
    name : str
        Of the script's file.
    model : str
        What pynn.export.web_data returns, in JSON.
    """
    script = (
        f"// {name}: a model of pynn {__version__}, with the kernels that run it. pynn.load() returns it.\n"
        "(function (root) {\n"
        f'"use strict";\nconst BUNDLE = {{ engine: {json.dumps(engine())}, model: {in_script(model)} }};\n'
        f"{joined(LOADER)}\n"
        "root.pynn = { load, Engine, Program, Model, order };\n"
        'if (typeof module === "object" && module.exports) module.exports = root.pynn;\n'
        "})(globalThis);\n"
    )
    beside = (HERE / "js" / "model.html").read_text(encoding="utf-8").replace("MODEL.js", html.escape(quote(name)))
    beside = beside.replace("/*SCRIPT*/", joined(("model_page.js",)))
    return script, (HERE / "js" / "pynn.d.ts").read_text(encoding="utf-8"), beside


PLAYGROUND = ("data.js", "step.js", "net.js", "state.js", "draw.js", "code.js", "words.js", "app.js")


def playground_page(bundle: str) -> str:
    """Return the page of the playground, with its data in JSON: version, facts, own, lang."""
    folder = HERE / "js" / "playground"
    made = _filled(folder, bundle, joined(("engine.js", "seeds.js")), joined(PLAYGROUND, folder))
    return made.replace("/*STYLE*/", (folder / "style.css").read_text(encoding="utf-8"))


def page(name: str, bundle: str) -> str:
    """Return a page on models that Python recorded, with its data in JSON.

    Parameters
    ----------
    name : str
        Of its folder under ``js``.
    bundle : str
        ``lang``, and what else its script reads.
    """
    folder = HERE / "js" / name
    return _filled(folder, bundle, joined(LOADER), joined(("app.js",), folder))


def _filled(folder: Path, bundle: str, *scripts: str) -> str:
    script = f"const BUNDLE = {in_script(bundle)};\nBUNDLE.engine = {json.dumps(engine())};\n" + "\n".join(scripts)
    text = (folder / "page.html").read_text(encoding="utf-8")
    return text.replace("/*SCRIPT*/", f'"use strict";\n(() => {{\n{script}\n}})();')
