"""The page of convolution by hand, in a browser: its maps are those of Python, and the sums that it spells out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from browser import MISSING, Browser

from pynn import nn
from pynn.cli import main
from pynn.web import has_engine

SET = """
  const page = pynn_convolution, [size, stride, padding] = arguments;
  return page.ready.then(async () => {
    for (const [id, value] of Object.entries({ size, stride, padding })) document.getElementById(id).value = value;
    await page.fresh();
    page.image.forEach((_, i) => { page.image[i] = (i * 7) % 5 - 2; });
    page.kernel.forEach((_, i) => { page.kernel[i] = (i % 4) - 1.5; });
    page.compute();
    page.look(1, 1);
    return [page.map, page.sum, page.image, page.kernel];
  });
"""


def test_maps_are_those_of_python_and_sums_are_right(tmp_path):
    if MISSING:
        pytest.skip(MISSING)
    if not has_engine():
        pytest.skip("this build has no kernels for pages: python csrc/web/build.py")
    page = tmp_path / "convolution.html"
    assert main(["playground", "--page", "convolution", "--lang", "es", "--out", str(page)]) == 0
    with Browser(tmp_path) as browser:
        browser.open(Path(page).as_uri())
        for size in (2, 3, 5):
            for stride in (1, 2):
                for padding in ("valid", "same"):
                    found, said, image, kernel = browser.run(SET, size, stride, padding)
                    model = nn.Sequential(
                        [nn.Input((8, 8, 1)), nn.Conv2D(1, size, strides=stride, padding=padding, use_bias=False)]
                    )
                    model.set_weights([np.array(kernel, "float32").reshape(size, size, 1, 1)])
                    expected = model.predict(np.array(image, "float32").reshape(1, 8, 8, 1))[0, :, :, 0]
                    np.testing.assert_allclose(np.reshape(found, expected.shape), expected, atol=1e-5)
                    terms = said.split(" = ")[2].replace("(", "").replace(")", "").split(" + ")
                    total = sum(float(a) * float(b) for a, b in (term.split("\u00b7") for term in terms))
                    assert total == pytest.approx(float(expected[1, 1]), abs=1e-4)
                    assert float(said.split(" = ")[-1]) == pytest.approx(total, abs=1e-3)
        browser.resize(400, 900)
        assert browser.run("return document.documentElement.scrollWidth") <= 400
        assert browser.run("return document.title") == "La convoluci\u00f3n a mano"
        assert browser.messages() == []
        assert {url.split(":")[0] for url in browser.requests()} <= {"file"}
