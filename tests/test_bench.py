"""The arithmetic of the measurements; nothing is timed."""

import copy
import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parent.parent
if not (ROOT / "bench").is_dir():
    pytest.skip("the measurements are not part of an installation", allow_module_level=True)
sys.path.append(str(ROOT))

from bench import (  # noqa: E402
    compare,
    gemm,
    growth,
    large,
    measure,
    memory,
    networks,
    peers,
    predictions,
    report,
    roofline,
    scaling,
    shares,
    wide,
    workloads,
)
from bench.side import Side  # noqa: E402


def times(middle, half=0.01):
    low, high = middle * (1 - half), middle * (1 + half)
    return {"min": low, "low": low, "median": middle, "high": high, "max": high, "rounds": 15}


def result(machine=None, **rows):
    """A result of bench.peers with the medians of pynn and two peers for each row."""
    found = []
    for name, (pynn, torch, jax, *half) in rows.items():
        spread = {"pynn": times(pynn, *half), "torch eager": times(torch), "jax jit": times(jax)}
        found.append({"workload": name, "kind": "training step", "threads": 1, "target": 2.0, "tokens": 0,
                      "others_busy": 0.0, **peers.summary(spread, set())})  # fmt: skip
    described = {"cpu": "a", "cores": 2, "threads": 1, "system": "Linux", "versions": {"numpy": "2"},
                 "fma_gflops_one_core": 200.0, "copy_gbytes_one_core": 10.0}  # fmt: skip
    return {"machine": described | (machine or {}), "rows": found}


def written(path, content):
    path.write_text(json.dumps(content))
    return str(path)


def test_summary_takes_the_best_peer_that_makes_one_step_per_call():
    spread = {"pynn": times(2.0), "pynn predict": times(1.0), "a": times(10.0), "b": times(8.0), "scan": times(6.0)}
    row = peers.summary(spread, {"scan"})
    assert (row["pynn_us"], row["pynn_predict_us"]) == (2.0, 1.0)
    assert row["peers"] == {"a": 10.0, "b": 8.0, "scan": 6.0}
    assert (row["ratio"], row["ratio_whole_pass"]) == (4.0, 3.0)
    assert peers.summary({"a": times(1.0)}, set())["ratio"] is None


def test_spread():
    values = [5.0, 1.0, 2.0, 4.0, 3.0]
    assert measure.spread(values) == {"min": 1, "low": 2, "median": 3, "high": 4, "max": 5, "rounds": 5}
    assert measure.spread([7.0])["low"] == measure.spread([7.0])["high"] == 7.0


def test_workloads_by_algorithm():
    assert workloads.by_algorithm("auto") is workloads.WORKLOADS
    named = {w.name for w in workloads.WORKLOADS}
    for algorithm in ("direct", "winograd"):
        rows = workloads.by_algorithm(algorithm)
        assert len(rows) == 2
        for row in rows:
            assert row.algorithm == algorithm
            assert row.name.endswith(f" ({algorithm})")
            assert row.name.removesuffix(f" ({algorithm})") in named


def test_compare_finds_what_became_slower(tmp_path, capsys):
    old = result(one=(10.0, 50.0, 60.0), two=(10.0, 50.0, 60.0), three=(10.0, 50.0, 60.0))
    new = result(one=(11.0, 50.0, 60.0), two=(10.3, 50.0, 60.0), three=(8.0, 50.0, 60.0))
    files = written(tmp_path / "old.json", old), written(tmp_path / "new.json", new)
    assert [change.verdict(5.0) for change in compare.changes(old, new)] == ["slower", "", "faster"]
    assert compare.main(files) == 1
    text = capsys.readouterr().out
    assert "+10.0" in text
    assert "1 of 3 became slower, 1 faster" in text
    assert compare.main([*files, "--tolerance", "12"]) == 0
    assert compare.main([files[0], files[0]]) == 0


def test_compare_allows_for_noise():
    old, noisy = result(one=(10.0, 50.0, 60.0, 0.2)), result(one=(12.0, 50.0, 60.0, 0.2))
    assert [change.verdict(5.0) for change in compare.changes(old, noisy)] == [""]
    steady = result(one=(10.0, 50.0, 60.0, 0.01)), result(one=(12.0, 50.0, 60.0, 0.01))
    assert [change.verdict(5.0) for change in compare.changes(*steady)] == ["slower"]


def test_compare_allows_for_the_speed_of_the_machine():
    old = result(one=(10.0, 50.0, 60.0), two=(20.0, 50.0, 60.0))
    new = result(one=(13.0, 65.0, 78.0), two=(40.0, 65.0, 78.0))
    assert compare.machine_speed(old, new) == pytest.approx(1.3)
    one, two = compare.changes(old, new)
    assert one.percent == pytest.approx(0)
    assert two.percent == pytest.approx(100 * (2 / 1.3 - 1))
    assert [c.verdict(5.0) for c in (one, two)] == ["", "slower"]


def test_compare_refuses_what_cannot_be_compared(tmp_path, capsys):
    good = written(tmp_path / "good.json", result(one=(1.0, 2.0, 3.0)))
    other_cpu = written(tmp_path / "cpu.json", result({"cpu": "b"}, one=(1.0, 2.0, 3.0)))
    other_rows = written(tmp_path / "rows.json", result(two=(1.0, 2.0, 3.0)))
    (tmp_path / "bad.json").write_text("{")
    without = copy.deepcopy(result(one=(1.0, 2.0, 3.0)))
    del without["rows"][0]["spread"]["pynn"]
    lacking = written(tmp_path / "lacking.json", without)
    for other, message in ((other_cpu, "differ in cpu"), (other_rows, "no row in common"),
                           (str(tmp_path / "bad.json"), "no result of bench.peers"), (lacking, "no result"),
                           (str(tmp_path / "none.json"), "no result")):  # fmt: skip
        with pytest.raises(SystemExit) as stop:
            compare.main([good, other])
        assert stop.value.code == 2
        assert message in capsys.readouterr().err


def point(seconds, flops, nbytes, peak=200.0, bandwidth=10.0):
    return roofline.Point("kernel", seconds, flops, nbytes, peak, bandwidth)


def test_cost_of_an_exchange():
    """Two ranks send all their gradients once; more send, in two rounds, as much as a ring does."""
    assert scaling.cost(1, 10**6, 1.0, 1.0) == 0.0
    assert scaling.cost(2, 10**6, 1e-6, 1e9, 1e-5) == pytest.approx(1e-3 + 2 * (1e-6 + 1e-5))
    assert scaling.cost(4, 10**6, 1e-6, 1e9, 1e-5) == pytest.approx(1.5e-3 + 2 * (3e-6 + 1e-5))
    assert scaling.cost(4, 1000, 1e-6, 1e9, 1e-5) == pytest.approx(3e-6 + 3e-6 + 1e-5)


def test_roofline():
    product = point(1.0, 100e9, 1e9)  # at least 0.5 s of arithmetic and 0.1 s of memory
    assert (product.bound, product.share) == ("FMA", pytest.approx(0.5))
    copy_ = point(0.4, 0.0, 2e9)
    assert (copy_.bound, copy_.share) == ("memory", pytest.approx(0.5))
    assert point(1.0, 100e9, 5e9, peak=None).bound == "memory"  # without a compiler the peak is not known
    assert product.row()[1:] == ["1,000,000.0", "100.0", "1.0", "FMA", "50"]


def test_working_sets_are_powers_of_two():
    assert [roofline.working_set(n) for n in (1, 4096, 4097, 1 << 20, (1 << 20) + 1)] == [
        4096, 4096, 8192, 1 << 20, 1 << 21
    ]  # fmt: skip


def side(name, start, after):
    state = {"taken": 0}

    def step(k):
        state["taken"] += k

    return Side(name, step, lambda: after if state["taken"] else start, lambda: state.update(taken=0))


def test_sides_must_agree():
    good = [side("a", 2.0, 1.0), side("b", 2.0 + 1e-5, 1.0 + 1e-3)]
    worst = measure.verify(good, 3, learns=True)
    assert worst == {"start": pytest.approx(5e-6, rel=0.01), "pass": pytest.approx(1e-3, rel=0.01)}
    for bad in (side("b", 2.01, 1.0), side("b", 2.0, 1.1), side("b", float("nan"), 1.0), side("b", 2.0, 2.5)):
        with pytest.raises(measure.Disagreement, match=r"^b does not"):
            measure.verify([good[0], bad], 3, learns=True)
    assert measure.difference(np.ones(3), np.ones(2)) == np.inf


def test_every_row_has_data_of_its_shapes():
    targets = [w.target for w in workloads.WORKLOADS]
    assert len(targets) == 12
    for workload in workloads.WORKLOADS:
        small = memory.small(workload)
        assert small.steps <= 2
        x, y = small.data()
        assert x.shape == (small.steps * small.batch, *small.shape)
        assert y.shape == (len(x), *small.output[:-1])
        assert y.min() >= 0
        assert y.max() < small.classes
        assert x.dtype == (np.int32 if small.words else np.float32)
        assert all(w.dtype == np.float32 for layer in small.weights() for w in layer)


def test_the_wide_set_has_data_of_its_shapes():
    rows = [w for w in wide.WIDE if isinstance(w, workloads.Workload)]
    assert len({w.name for w in wide.WIDE}) == len(wide.WIDE)
    for workload in rows:
        shapes = workload.shaped_layers()
        assert all(n > 0 for _, _, out in shapes for n in out)
        assert workload.steps >= 1
        assert workload.flops() > 0
    assert {row.network for row in wide.WIDE if isinstance(row, wide.Imported)} <= set(wide.imported.NETWORKS)


TINY = {
    "strided groups": (
        (9, 9, 4),
        (workloads.Conv(8, 3, "valid", 2, 2), workloads.Flatten(), workloads.Dense(3)),
        "relu",
    ),
    "conv1d": ((12, 4), (workloads.Conv(6, 5, "same"), workloads.Flatten(), workloads.Dense(3)), "relu"),
    "layer norm": (
        (6,),
        (workloads.LayerNorm(), workloads.Dense(8), workloads.LayerNorm(), workloads.Dense(3)),
        "gelu",
    ),
    "sparse": ((4,), (workloads.Embedding(30, 5, True), workloads.Flatten(), workloads.Dense(3)), "linear"),
}


@pytest.mark.parametrize("name", list(TINY))
def test_pynn_runs_every_kind_of_layer(name):
    from bench import side_pynn

    shape, layers, activation = TINY[name]
    workload = workloads.Workload(name, shape, layers, activation, 4, "sgd", 1.0, 2)
    [one] = side_pynn.sides(workload, 1)
    assert [w.shape for layer in workload.weights() for w in layer] == [
        w.shape for w in side_pynn.build(workload).get_weights()
    ]
    start = one.result()
    one.run(2)
    assert one.result() != start


@pytest.mark.parametrize("row", [w for w in wide.WIDE if isinstance(w, networks.Network)], ids=lambda row: row.made)
def test_networks_that_are_no_chain_start_again(row):
    small = replace(row, batch=3, shape=(8,) if row.tokens else (32, 32, row.shape[-1]))
    one = networks.one_side(small, networks.built(small))
    start = one.result()
    one.run(2)
    after = one.result()
    one.reset()
    assert one.result() == start != after
    one.run(2)
    assert one.result() == after


@pytest.mark.parametrize("row", [w for w in wide.WIDE if isinstance(w, networks.Augmented)], ids=lambda row: row.change)
def test_images_are_changed_alike(row):
    """With random numbers of their own, and SciPy has no pixels between the last ones and the zeros beyond."""
    images = np.random.default_rng(0).random((32, *row.shape), np.float32)
    layer = networks.layer_of(row.change)
    ours = layer(images, training=True).numpy()
    theirs = networks.with_scipy(row.change, images)()
    assert ours.shape == theirs.shape == images.shape
    for changed in (ours, theirs):
        assert not np.array_equal(changed, images)
    assert ours.mean() == pytest.approx(theirs.mean(), rel=0.15)
    assert ours.std() == pytest.approx(theirs.std(), rel=0.15)


def test_steps_that_are_called_one_by_one():
    from bench import side_pynn

    rows = workloads.one_a_call()
    assert len(rows) == 4
    plain, called = (memory.small(w) for w in (workloads.WORKLOADS[1], rows[1]))
    assert (called.a_call, plain.a_call) == (True, False)
    found = []
    for workload in (plain, called):
        [one] = side_pynn.sides(workload, 1)
        one.run(3)
        found.append(one.result())
    assert found[0] == found[1]


@pytest.mark.parametrize(
    "options", [["--only", "LSTM 128"], ["--rows", "LSTM 128"], ["--set", "calls", "--only", "8, LSTM"]]
)
def test_rows_are_chosen_by_either_name(options):
    found = peers.arguments([*options, "--json", "found.json"])
    assert [w.name for w in found.chosen if "LSTM" in w.name] == [w.name for w in found.chosen]
    assert len(found.chosen) == 1
    assert found.json == Path("found.json")
    for bad in (
        ["--clock", "processor", "--threads", "2"],
        ["--set", "calls", "--precision", "medium"],
        ["--only", "nothing like it"],
        ["--set", "all"],
        ["--device", "cuda", "--set", "wide"],
        ["--device", "cuda", "--precision", "medium"],
    ):
        with pytest.raises(SystemExit):
            peers.arguments(bad)


def test_multiplications_of_a_recurrent_workload():
    tiny = workloads.Workload("w", (5,), (workloads.Embedding(9, 3), workloads.LSTM(4, True), workloads.Dense(7)),
                              "linear", 2, "sgd", 1.0)  # fmt: skip
    forward = 2 * 2 * 5 * (4 * 4 * (3 + 4) + 4 * 7)
    assert tiny.flops() == 3 * forward
    assert tiny.tokens == 10
    assert [w.shape for w in tiny.weights()[1]] == [(3, 16), (4, 16), (16,)]


@pytest.mark.parametrize("row", [0, 1, 11])
def test_pynn_starts_and_resets_as_all_sides_do(row):
    from bench import side_pynn

    workload = memory.small(workloads.WORKLOADS[row])
    [one] = side_pynn.sides(workload, 1)
    start = one.result()
    one.run(3)
    after = one.result()
    one.reset()
    assert one.result() == start
    one.run(3)
    assert one.result() == after != start


def test_one_row_is_predicted_alike():
    sides = [
        *predictions.pynn_sides(predictions.PREDICTIONS[0], 1),
        *predictions.numpy_sides(predictions.PREDICTIONS[0], 1),
    ]
    assert measure.verify(sides, 0, learns=False)["start"] < 1e-5


def test_tables():
    found = result(one=(2.0, 8.0, 6.0))
    row = found["rows"][0] | {"flops": 300_000}
    tokens = row | {"workload": "text", "tokens": 100, "others_busy": 0.5}
    predicted = row | {"workload": "row", "kind": "prediction", "pynn_predict_us": 3.0}
    text = report.markdown(found["machine"], [row, tokens, predicted])
    assert "| one | 2.0 | 1.0 | 8.0 | 6.0 | 3.00 | 2.0 | 3.00 | 1.5 | 4.00 |" in text
    assert report.bound(row, found["machine"] | {"fma_gflops_one_core": None}) is None
    assert report.bound(row, found["machine"] | {"precision": "medium"}) is None
    assert report.bound(row, found["machine"] | {"threads": 2}) == 0.75
    assert "| text* | 50,000,000 | 12,500,000 | 16,666,667 |" in text
    assert "| row | 2.00 | 1.0 | 3.00 | - | - | 8.00 | 3.00 | 2.00 |" in text
    assert "not to be trusted" in text
    assert "not to be trusted" not in report.markdown(found["machine"], [row])
    words = row | {"workload": "words", "kind": "pass over a text", "peers": {"gensim": 6.0}}
    assert "| words | 2.0 | 1.0 | 6.0 | 3.00 |" in report.markdown(found["machine"], [words])
    lines = memory.markdown([{"workload": "one", "bytes": {"pynn": 1500000, "torch eager": 3000000, "jax jit": None}}])
    assert "| one | 1.5 | 3.0 | - | 0.50 |" in lines
    assert "more than a peer in: none." in lines
    few = {"workload": "few", "bytes": {"pynn": 8192, "torch eager": 4096, "jax jit": 4_300_000}}
    more = {"workload": "more", "bytes": {"pynn": 200_000, "torch eager": 50_000, "jax jit": None}}
    lines = memory.markdown([few, more])
    assert "| few | 0.0 | 0.0 | 4.3 | 1.00 |" in lines  # a page more is no more
    assert "| more | 0.2 | 0.1 | - | 4.00 |" in lines
    assert "more than a peer in: more." in lines


def test_products_are_held_to_the_peak_and_to_the_better_of_the_others():
    machine = {"cpu": "a", "threads": 2, "fma_gflops_one_core": 100.0, "versions": {"numpy": "2"}}
    row = {"shape": [2, 3, 4], "kind": "tn", "gflops": {"pynn": 150.0, "MKL": 60.0, "OpenBLAS": 75.0}}
    assert "| 2, 3, 4 | tn | 150 | 60 | 75 | 75 | 2.00 |" in gemm.markdown(machine, [row])
    assert "| 150 | 60 | 75 | - | 2.00 |" in gemm.markdown(machine | {"fma_gflops_one_core": None}, [row])


def test_shares_of_a_step_add_up():
    found = shares.row(workloads.WORKLOADS[0])
    parts = [found[kind] for kind in ("products", "optimizer", "rest")]
    assert min(parts) > 0
    assert sum(parts) == pytest.approx(found["us"])
    text = shares.markdown({"cpu": "a", "fma_gflops_one_core": 1e3 * found["gflops"]}, [found | {"gbytes": 0.0015}])
    assert text.endswith("| 0 | 1.50 |")


def test_results_are_saved_as_json_and_as_text(tmp_path):
    report.save(tmp_path / "found.json", {"rows": [1]}, "| a |")
    assert json.loads((tmp_path / "found.json").read_text()) == {"rows": [1]}
    assert (tmp_path / "found.md").read_text() == "| a |\n"
    report.save(None, {}, "")
    assert len(list(tmp_path.iterdir())) == 2


def test_curves_are_tables_and_pictures(tmp_path):
    rows = [
        {"sweep": "batch", "value": n, "found": {"pynn": [2.0 * n, 1_000_000], "torch eager": [8.0 * n, 2_000_000]}}
        for n in (1, 4)
    ] + [{"sweep": "threads", "value": 1, "found": {"pynn": [5.0, 0], "torch eager": None}}]  # fmt: skip
    text = growth.markdown(rows)
    assert "| batch 4 | 8.0 | 32.0 | 4.00 | 1.0 | 2.0 |" in text
    assert "| threads 1 | 5.0 | - | - | 0.0 | - |" in text
    pytest.importorskip("matplotlib")
    growth.draw(rows, tmp_path / "found.svg")
    assert (tmp_path / "found.svg").read_text().count("microseconds") >= 1
    for name, values in growth.SWEEPS.items():
        for value in values:
            what = growth.workload(name, value)
            assert what.shaped_layers()[-1][2][-1] in (2, 10)
            assert (what.batch if name == "batch" else value) == value


def test_large_networks_as_a_table():
    rows = [
        {"network": "alexnet", "side": "pynn", "batch": 8, "seconds": 0.5, "bytes": 2e9, "parameters": 6e7,
         "first": 6.9, "last": 5.1},
    ]  # fmt: skip
    assert (
        large.markdown(rows).splitlines()[-1]
        == "| alexnet, batch 8, pynn | 0.500 | 2,000 | 60,000,000 | 6.900 | 5.100 |"
    )
    x, y = large.data("googlenet", 2)
    assert x.shape == (2, 224, 224, 3)
    assert y.max() < 1000
    assert sum(large.WEIGHTS.values()) == pytest.approx(1.6)
