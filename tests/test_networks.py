"""The ten networks of the history: their sizes at full size, and the recipe that draws them."""

import json
import tracemalloc

import pytest

from pynn import nn, recipes
from pynn.recipes import networks
from pynn.recipes.connections import counted, draw_growth, table

# units, connections, pools
SIZES = {
    "Adaline": (1, 16, 0),
    "Neocognitron": (11_064, 1_214_496, 0),
    "Unrolled convolution": (2_205, 303_375, 0),
    "DBM": (1_500, 892_000, 0),
    "Two stages": (1_296_806 - 47_360, 202_391_616, 47_360),
    "Big MLP": (7_510, 12_107_500, 0),
    "Cat neuron": (636_912, 1_216_858_464, 606_192),
    "AlexNet": (659_272, 724_406_816, 96 * 27**2 + 256 * 13**2 + 256 * 6**2),
    "GoogLeNet": (3_227_160, 1_582_671_872, None),
}
PARAMETERS = {
    "Adaline": 17, "Unrolled convolution": 132_540, "Big MLP": 12_115_010, "AlexNet": 60_965_224,
    "GoogLeNet": 6_998_552,
}  # fmt: skip


@pytest.fixture(scope="module")
def found():
    return counted()


@pytest.mark.parametrize("name", SIZES)
def test_sizes(name, found):
    units, connections, pools = SIZES[name]
    one = found[name]
    assert (one.units, one.connections) == (units, connections)
    assert pools is None or one.pools == pools
    assert one.parameters == PARAMETERS.get(name, one.parameters)


def test_two_stages_with_pools_as_units(found):
    """As the book may have counted."""
    one = found["Two stages"]
    assert one.units + one.pools == 1_296_806
    assert one.connections + one.pool_connections == pytest.approx(206.9e6, rel=1e-3)


def test_what_the_book_agrees_with(found):
    per_unit = {network.name: network.per_unit for network in networks.TEN}
    for name in ("Adaline", "DBM", "GoogLeNet"):
        assert found[name].per_unit == pytest.approx(per_unit[name], rel=0.03)
    alexnet = found["AlexNet"]
    assert alexnet.per_unit == pytest.approx(1099, rel=1e-3)
    assert alexnet.parameters / alexnet.units == pytest.approx(per_unit["AlexNet"], rel=0.02)
    assert len(found) == len(networks.TEN) == 10


def test_the_largest_is_counted_without_its_weights():
    tracemalloc.start()
    try:
        found = nn.count(networks.cots())
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert found.parameters > 11e9
    assert peak < 1 << 24


def test_auxiliary_heads():
    plain, helped = nn.count(networks.googlenet()), nn.count(networks.googlenet(auxiliary=True))
    # 1 x 1 convolutions of 4 x 4 x 512 and 528, then 2048-1024-1000, both twice
    more = 16 * 128 * (512 + 528) + 2 * (2048 * 1024 + 1024 * 1000)
    assert helped.connections - plain.connections == more
    assert networks.googlenet(auxiliary=True).output_names == ["main", "first", "second"]


def test_the_recipe(tmp_path, capsys):
    pytest.importorskip("matplotlib")
    out, file = tmp_path / "out", tmp_path / "result.json"
    result = recipes.find("connections").run(recipes.Options(out=out, json=file))
    assert result.test == {"networks": 10.0, "near": 3.0}
    assert sorted(path.name for path in out.iterdir()) == ["connections.png", "neurons.png"]
    for path in out.iterdir():
        assert path.read_bytes()[:4] == b"\x89PNG"
        assert path.stat().st_size > 20_000
    told = capsys.readouterr().out
    assert "724,406,816" in told
    assert "92 is 60 million parameters" in told
    assert json.loads(file.read_text())["details"]["AlexNet"]["per_unit"] == 1098.8


def test_the_table_and_the_figures(found):
    pytest.importorskip("matplotlib")
    lines = table(found).splitlines()
    assert len(lines) == 11
    assert len({len(line) for line in lines}) == 1
    ax = draw_growth(found, "per_unit").axes[0]
    assert ax.get_yscale() == "log"
    assert {"fruit fly", "mouse", "cat", "human"} <= {text.get_text() for text in ax.texts}
    with pytest.raises(ValueError, match=r"\[draw_growth\] expected what .*'weights'"):
        draw_growth(found, "weights")
