"""Each benchmark runs in tiny form, prints the keys its readers rely on, and both sides do the same work."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

from s2e.parts import DATASETS
from workers.recorded import RecordedTable

torch = pytest.importorskip("torch")

ROOT = Path(__file__).resolve().parents[1]
SUMMARY = {"median", "min", "max", "n"}
PERCENTILES = {"p50", "p95", "min", "max", "n"}
MACHINE = {"cpu", "cores", "threads", "torch", "load_1min", "date"}


@pytest.fixture
def benchmark(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Imports a module of ``benchmarks``; the data root is taken away, so that every machine runs on the digits.
    Afterwards their data set of synthetic images is no part of this process any more."""
    monkeypatch.syspath_prepend(ROOT)
    monkeypatch.delenv("S2E_DATA_ROOT", raising=False)

    def load(name: str) -> ModuleType:
        return importlib.import_module(f"benchmarks.{name}")

    yield load
    DATASETS.discard("synthetic")
    for name in [name for name in sys.modules if name.partition(".")[0] == "benchmarks"]:
        del sys.modules[name]


def test_one_step_of_the_engine_moves_the_weights_as_one_of_the_official_structure(benchmark: Any) -> None:
    """Same initial weights, same batch, R = 0.5: float32 rounding is all that may differ."""
    work = benchmark("workload").build("mlp", 20, tiny=True)
    official = benchmark("official").OfficialTrial(work, 0)
    trials = benchmark("stacked").EngineTrials(work, 1, "float32", shared_order=False).trials
    with torch.no_grad():
        for name, tensor in trials.network.from_modules(official.nets).items():
            trials.tensors[name].copy_(tensor)
    index_B = torch.arange(128)

    from s2e.train.epoch import train_step

    n_kept = work.n_keep(19)
    assert n_kept == 64
    train_step(trials, index_B[None], torch.tensor([n_kept]))
    official._step(work.as_tensor(work.data.train)[index_B], work.noisy_labels[index_B], index_B, n_kept)

    expected = trials.network.from_modules(official.nets)
    for name, tensor in trials.tensors.items():
        # Adam's first step is the sign of the gradient times 1e-3 where it is not tiny
        assert (tensor.detach() - expected[name]).abs().max() < 2e-5, name


@pytest.mark.slow
def test_an_epoch_is_measured_on_both_sides_and_reaches_the_same_accuracy(benchmark: Any) -> None:
    bench = benchmark("bench_epoch")
    arguments = ["--tiny", "--network", "mlp", "model1", "--repeats", "20", "--late-epochs", "6"]
    result = json.loads(json.dumps(bench.measure(bench.parser().parse_args(arguments))))

    assert result["machine"].keys() >= MACHINE
    assert "skipped" in result["networks"]["model1"]
    mlp = result["networks"]["mlp"]
    assert (mlp["data"], mlp["n_train"], mlp["n_evaluated"]) == ("digits", 512, 400)
    rows = mlp["cases"]
    expected = {"official", "resident", "resident-foreach"} | {
        f"engine-float32-{case}" for case in ("own-K1", "own-K2", "shared-K2")
    }
    assert rows.keys() >= expected
    for row in rows.values():
        assert row["trial_epoch_cpu_s"].keys() == SUMMARY
        assert row["trial_epoch_cpu_s"]["n"] == 20
        assert min(row["x_official"], row["x_resident"], row["x_any_resident"]) > 0
        assert row["test_accuracy"] > 0.5
        # one seed differs from another by up to 0.12 on these few images
        assert row["test_accuracy"] == pytest.approx(rows["official"]["test_accuracy"], abs=0.2)
    assert rows["official"]["x_official"] == 1
    assert mlp["late_over_early"].keys() >= {"dtype", "epochs", "early_cpu_s", "late_cpu_s", "ratio", "test_accuracy"}


@pytest.mark.slow
def test_every_way_of_training_is_measured_on_the_same_seeds(benchmark: Any) -> None:
    bench = benchmark("bench_seeds")
    result = bench.study(benchmark("workload").build("digits", 12, tiny=True), 2, 12)
    rows = result["rows"]
    assert rows.keys() >= {"plain-float32", "torch-float32"}
    assert {name: len(values) for name, values in result["accuracies"].items()} == dict.fromkeys(rows, 2)
    assert rows["torch-float32"]["less_torch"] == 0
    for row in rows.values():
        assert row.keys() == {"accuracy", "half_width", "cpu_s", "less_torch", "less_torch_half_width"}
        assert row["accuracy"] > 30


@pytest.mark.slow
def test_the_cost_of_a_method_stands_beside_what_its_passes_explain(benchmark: Any) -> None:
    bench = benchmark("bench_methods")
    arguments = ["--tiny", "--network", "mlp", "model1", "--method", "coteaching", "gce", "--repeats", "1"]
    result = json.loads(json.dumps(bench.measure(bench.parser().parse_args(arguments))))
    assert "skipped" in result["networks"]["model1"]
    rows = result["networks"]["mlp"]["methods"]
    assert rows.keys() == {"standard", "coteaching", "gce"}
    for row in rows.values():
        assert row["epoch_cpu_s"].keys() == SUMMARY
        assert row["x_unexplained"] == pytest.approx(row["x_standard"] / row["x_passes"], abs=0.02)
    assert (rows["standard"]["x_standard"], rows["standard"]["x_passes"]) == (1, 1)
    assert (rows["gce"]["x_passes"], rows["coteaching"]["x_passes"]) == (1, 2)
    # 512 samples forward and back, 400 evaluated
    assert rows["standard"]["units"] == pytest.approx(3 + 400 / 512, abs=1e-3)
    assert bench.table(result).count("| `") == 3


@pytest.mark.slow
def test_the_gpu_benchmark_runs_on_a_cpu_in_tiny_form(
    benchmark: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["gpu", "--device", "cpu", "--dtype", "float32", "--tiny"])
    assert benchmark("gpu").main() == 0
    result = json.loads(capsys.readouterr().out)
    rows = result["networks"]["model1"]["cases"]
    assert rows.keys() == {"pair", "K2-eager"}
    for row in rows.values():
        assert row["step_s"].keys() == SUMMARY
        assert row["hours_60x200"] > 0
        assert 0 <= row["test_accuracy"] <= 1
    assert rows["K2-eager"]["trial_step_s"] == pytest.approx(rows["K2-eager"]["step_s"]["median"] / 2, rel=1e-3)


def test_the_gpu_benchmark_says_when_there_is_no_gpu(
    benchmark: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(sys, "argv", ["gpu"])
    assert benchmark("gpu").main() == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "no CUDA device" in printed.err


@pytest.mark.slow
def test_the_gpu_benchmark_imports_nothing_a_bare_machine_lacks() -> None:
    code = "import sys, benchmarks.gpu; print(sorted({'PIL', 'torchvision', 'sklearn', 'ray'} & sys.modules.keys()))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_a_graphed_step_trains_as_an_eager_one(benchmark: Any) -> None:
    """The capture's warm-up trains on the first batch, so the eager side repeats it."""
    from s2e.train.epoch import epoch_order, train_step

    work = benchmark("workload").build_synthetic("model1", 4, 1280, 256)
    losses = []
    for graphed in (True, False):
        trials = benchmark("stacked").EngineTrials(work, 2, "float32", shared_order=True, device="cuda").trials
        order, keep_K = epoch_order(trials, 0), trials.keep_KT[:, 0].contiguous()
        if graphed:
            step = benchmark("graphed").GraphedStep(trials, order[0], keep_K)
            losses.append(torch.stack([step(index).clone() for index in order]))
        else:
            for _ in range(3):
                train_step(trials, order[0], keep_K)
            losses.append(torch.stack([train_step(trials, index, keep_K)[0] for index in order]))
    assert torch.allclose(*losses, rtol=1e-3)


@pytest.mark.slow
@pytest.mark.ray
@pytest.mark.xdist_group("ray")
def test_dispatch_is_measured_cold_warm_and_without_ray(benchmark: Any, ray_cluster: Any) -> None:
    bench = benchmark("bench_dispatch")
    result = json.loads(json.dumps(bench.measure(bench.parser().parse_args(["--tiny"]))))
    assert result["cold"]["first_epoch_s"] > result["cold"]["ray_start_s"] >= 0
    for part in ("started_s", "first_epoch_s", "finished_s"):
        assert result["warm"][part].keys() == PERCENTILES
    assert result["warm"]["started_s"]["min"] <= result["warm"]["first_epoch_s"]["min"]
    assert result["in_process"]["first_epoch_s"]["n"] == result["repeats"] == 3
    assert result["machine"].keys() >= MACHINE


def test_run_prints_all_results_and_keeps_the_raw_json(
    benchmark: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    run = benchmark("run")
    monkeypatch.setattr(run, "run_one", lambda name, arguments: {"name": name, "arguments": arguments})
    monkeypatch.setattr(sys, "argv", ["run", "--results", str(tmp_path)])
    run.main()
    printed = json.loads(capsys.readouterr().out)
    assert printed.keys() == {"epoch", "dispatch", "methods"}
    kept = {path.name.split("-")[-1]: json.loads(path.read_text()) for path in tmp_path.iterdir()}
    assert kept == {f"{name}.json": printed[name] for name in printed}

    monkeypatch.setattr(sys, "argv", ["run", "--quick", "--results", str(tmp_path / "none"), "--only", "epoch"])
    run.main()
    assert "--tiny" in json.loads(capsys.readouterr().out)["epoch"]["arguments"]
    assert not (tmp_path / "none").exists()


def test_percentiles_are_nearest_rank(benchmark: Any) -> None:
    """Of 1..100 the 95th percentile is 95 or its neighbour; half lie below the 50th."""
    percentiles = benchmark("measure").percentiles([float(n) for n in range(1, 101)])
    assert (percentiles["p50"], percentiles["p95"], percentiles["min"], percentiles["max"]) == (51.0, 96.0, 1.0, 100.0)


@pytest.mark.slow
def test_searchers_are_compared_on_both_objectives(benchmark: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    bench = benchmark("bench_search")
    small = [bench.Setting("sym50", objective, n_rounds=2) for objective in ("lookup", "emulator")]
    monkeypatch.setattr(bench, "settings", lambda part: small)
    result = bench.run(["main"], ["newton", "model_newton"], repeats=2)
    assert set(result["machine"]) >= MACHINE
    for setting in small:
        measured = result["settings"][setting.name]
        rows = measured["searchers"]
        assert set(rows) == {"newton", "model_newton", "random"}
        assert rows["random"]["above_random"] == [0, 0]
        assert rows["random"]["trials_to_random"] is not None
        assert rows["newton"]["accuracy"][0] == rows["random"]["accuracy"][0]  # one seed, one uniform first round
        assert bench.table_of(measured).count("\n") == 1 + len(rows)
    drawing = ElementTree.fromstring(benchmark("plot_search").plot(result["settings"]))
    lines = drawing.iter("{http://www.w3.org/2000/svg}polyline")
    assert len(list(lines)) == 6


def test_what_a_search_sees_scatters_around_the_truth(benchmark: Any) -> None:
    """Over many trainings of one schedule: the mean is the truth, and three times the noise is three times as wide."""
    objectives = benchmark("search_objectives")
    table = RecordedTable.load()
    curve = tuple(table.keep_rate[5].tolist())
    for make in (objectives.Lookup, objectives.Emulator):
        spread = []
        for noise in (1.0, 3.0):
            objective, rng = make(table, noise), np.random.default_rng(0)
            seen = [objective.seen(curve, rng) for _ in range(400)]
            spread.append(np.std(seen))
            assert np.mean(seen) == pytest.approx(objective.true(curve), abs=5 * np.std(seen) / 400**0.5)
        assert spread[1] == pytest.approx(3 * spread[0])
    assert objectives.Emulator(table, 1.0).facts()["r2_held_out"] > 0.9


def test_a_later_run_extends_the_result(benchmark: Any) -> None:
    """More repeats replace fewer, another rule is added, and random search's level is the newest row's."""

    def result(**rows: tuple[int, list[float]]) -> dict[str, Any]:
        searchers = {name: {"repeats": n, "accuracy": accuracy} for name, (n, accuracy) in rows.items()}
        return {"settings": {"s": {"n_trials": 6, "searchers": searchers}}}

    old = result(random=(50, [0.1, 0.2]), newton=(50, [0.1, 0.3]))
    merged = benchmark("bench_search").merged(old, result(random=(20, [0.1, 0.9]), newton=(50, [0.2, 0.2])))
    rows = merged["settings"]["s"]["searchers"]
    assert merged["settings"]["s"]["random_accuracy"] == 0.2
    assert rows["random"]["accuracy"] == [0.1, 0.2]
    assert (rows["newton"]["accuracy"], rows["newton"]["trials_to_random"]) == ([0.2, 0.2], 6)


def test_verdicts_are_simulated_by_the_product_s_own_rules(benchmark: Any) -> None:
    """Two points at 1.8 points between seeds: the rules of today find them in nearly all comparisons."""
    bench = benchmark("bench_verdict")
    before, now = (bench.measured(rules, 2.0, 1.8, 60) for rules in (1, 2))
    assert before["beats"] < 0.95 < now["beats"]
    assert now["whole_job_most"] == 30 + 30 + 12 + 4 * 10 + 3 * 30
    assert 72 + 20 <= now["whole_job"] <= now["whole_job_most"]
    assert bench.table_of([{"gain": 1, **now}]).count("\n") == 2


def test_the_trials_to_random_s_level_have_a_bootstrap_interval(benchmark: Any) -> None:
    """A rule that is at random's last level after 12 trials in every repeat, one that is in half of them, and never."""
    bench = benchmark("bench_search")
    random = np.tile([0.4, 0.3, 0.2], (20, 1))
    sure, never = np.tile([0.3, 0.2, 0.2], (20, 1)), random + 0.1
    half = np.where(np.arange(20)[:, None] % 2, [0.3, 0.18, 0.1], [0.3, 0.22, 0.1])
    assert bench.trials_interval(sure, random, 6) == [12, 12]
    assert bench.trials_interval(half, random, 6) == [12, 18]
    assert bench.trials_interval(never, random, 6) == [None, None]


def test_a_rule_is_worse_than_random_only_beyond_the_interval(benchmark: Any) -> None:
    """Four repeats, 0.01 worse each time or 0.01 worse on average only: t(0.975, 3) = 3.1824 times sd / 2."""
    bench = benchmark("bench_search")
    random = np.full((4, 1), 0.1)
    above, half = bench.difference(random + 0.01, random)
    assert (above[0], half[0]) == (pytest.approx(-0.01), pytest.approx(0))
    above, half = bench.difference(random + np.array([[0.05], [-0.03], [0.05], [-0.03]]), random)
    assert (above[0], half[0]) == (pytest.approx(-0.01), pytest.approx(3.1824 * 0.04 * (4 / 3) ** 0.5 / 2, rel=1e-4))


def test_trials_to_reach_a_level_by_hand(benchmark: Any) -> None:
    reached = benchmark("bench_search").trials_to_reach
    assert reached(0.2, [0.4, 0.2, 0.3], 6) == 12
    assert reached(0.1, [0.4, 0.2, 0.3], 6) is None


def test_prefix_rungs_spend_no_more_epochs_than_full_trainings(benchmark: Any) -> None:
    bench, table = benchmark("bench_prefix"), RecordedTable.load()
    for name in bench.SEARCHERS:
        accuracy, spent, n_trials = bench.search(table, name, 12, 0)
        assert 0.5 < accuracy < 1
        assert (spent == n_trials == 12) == (name in ("random", "model_newton"))
        assert 8 < spent <= 12 <= n_trials
    assert list(bench.rank_correlations(table).items())[-1] == ("60", 1.0)


def test_the_objective_after_a_rung_is_the_mean_over_its_own_last_epochs(benchmark: Any) -> None:
    """Three schedules: 0.9, 0.6, 0.3 in the first two epochs, then 0.5, 0.6, 0.7. After 4 epochs 0.7, 0.6, 0.5."""
    table = RecordedTable.load()
    accuracy = np.tile(np.array([[0.5], [0.6], [0.7]])[..., None], (1, 1, 60))
    accuracy[:, :, :2] = np.array([0.9, 0.6, 0.3])[:, None, None]
    correlations = benchmark("bench_prefix").rank_correlations(replace(table, validation_accuracy=accuracy))
    assert correlations == {"2": -1.0, "4": -1.0, "10": 1.0, "24": 1.0, "60": 1.0}


@pytest.mark.slow
def test_a_whole_search_is_measured_with_the_accuracy_of_its_winner(benchmark: Any) -> None:
    rows = benchmark("bench_whole_search").compare(tiny=True)
    assert rows["original, 60 schedules"]["x_original"] == 1
    for row in rows.values():
        assert set(row) == {"cpu_s", "x_original", "test_accuracy", "test_accuracy_sd", "difference"}
        assert 50 < row["test_accuracy"] < 100


def test_what_a_rung_loses_is_counted_by_batches(benchmark: Any) -> None:
    import numpy as np

    full = np.array([0.1, 0.2, 0.3, 0.4, 0.5, 0.6] * 2)
    rung = np.array([0.3, 0.1, 0.2, 0.9, 0.9, 0.9, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6])
    agreement = benchmark("bench_rung").agreement(rung, full)
    assert (agreement["winner_kept"], agreement["points_lost"]) == (0.5, 5.0)
    assert benchmark("bench_rung").agreement(full, full) == {"spearman": 1.0, "winner_kept": 1.0, "points_lost": 0.0}


@pytest.mark.slow
def test_a_whole_search_of_both_sides_is_timed_beside_what_it_found(benchmark: Any) -> None:
    bench = benchmark("bench_rival")
    arguments = ["--tiny", "--work", "digits", "--searches", "2", "--report"]
    row = json.loads(json.dumps(bench.measure(bench.parser().parse_args(arguments))))["works"]["digits"]
    assert row["trials"] == 3
    assert row["plain_loop"] in row["plain_loop_epoch_cpu_s"]
    assert {name: len(values) for name, values in row["cpu_s"].items()} == {"rival": 2, "engine": 2, "report": 2}
    assert row["x_rival"] > row["x_rival_with_report"] > 0
    assert min(row["test_accuracy"].values()) > 20
    difference = row["test_accuracy"]["engine"] - row["test_accuracy"]["rival"]
    assert row["difference"]["mean"] == pytest.approx(difference)


@pytest.mark.slow
def test_the_audit_is_measured_beside_cleanlab_at_no_less_compute(
    benchmark: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("cleanlab")
    bench, cells = benchmark("bench_labels"), benchmark("label_cells")
    rng = np.random.default_rng(0)
    true_S = np.arange(400) % 3
    x_SF = (4 * np.eye(3)[true_S] + rng.normal(size=(400, 3))).astype(np.float32)
    given_S = np.where(rng.random(400) < 0.3, (true_S + 1) % 3, true_S)
    T_CC = np.stack([np.bincount(given_S[true_S == i], minlength=3) / (true_S == i).sum() for i in range(3)])
    cell = cells.Cell("clouds", 3, x_SF[:300], given_S[:300], true_S[:300], x_SF[300:], true_S[300:], T_CC, None)
    monkeypatch.setattr(bench, "make_cell", lambda name, seed: cell)
    monkeypatch.setattr(bench, "N_EPOCHS", 4)
    result = json.loads(json.dumps(bench.measured(["clouds"], [1])))
    (run,) = result["runs"]
    assert run["audit"]["cleanlab"]["passes"] >= run["passes"] > 0
    assert run["audit"]["cleanlab"]["ap"] == max(run["audit"]["cleanlab"]["scores"].values())
    assert run["forward"].keys() == {"estimated", "true", "confident"}
    assert abs(run["noise"]["rate_error"]) < 0.1
    assert run["audit"]["ap"] > 0.8
    assert result["cells"]["clouds"]["ap"] == run["audit"]["ap"]
    assert result["machine"].keys() >= MACHINE


def test_differences_of_labels_by_hand(benchmark: Any) -> None:
    bench = benchmark("bench_labels")
    difference = bench.difference([1.0, 2.0, 3.0])
    assert difference["mean"] == 2
    assert difference["half_95"] == pytest.approx(4.3027 / np.sqrt(3), abs=1e-3)
    wrong_S = np.array([True, True, False, False])
    assert bench.calibration_error(np.array([1.0, 1.0, 0.0, 0.0]), wrong_S) == 0
    assert bench.calibration_error(np.array([0.95, 0.95, 0.95, 0.95]), wrong_S) == pytest.approx(0.45)


def test_dropped_samples_are_compared_on_the_same_seeds(benchmark: Any) -> None:
    """Two epochs of two seeds; R(1) = 0.9 drops little, so only that both sides train is seen."""
    bench = benchmark("bench_dropped")
    work = replace(bench.WORKS["digits"], n_epochs=2)
    noise, tau = bench.noises("digits")["asym40"]
    for params in (bench.NOTHING, bench.consistent(1.0)):
        run = bench.trained(work, "selfteaching", params, noise, tau, 2)
        assert len(run["accuracies"]) == 2
        assert all(5 < accuracy < 100 for accuracy in run["accuracies"])
    row = {"method": "coteaching", "noise": "sym50", "factor": 1.2, "params": bench.pseudo(3.0, 0.8), "x_cpu": 1.5}
    line = bench.table_line(row | {"accuracy": 71.0, "half_width": 2.6, "more": -7.3, "more_half_width": 2.4})
    use = "pseudo_labels, weight 3.0, confidence 0.8"
    assert line == f"| coteaching | sym50 | 1.2 tau | {use} | 71.0 ± 2.6 | -7.3 ± 2.4 | 1.5 |"


def test_what_a_size_costs_is_measured_and_drawn(benchmark: Any) -> None:
    bench = benchmark("bench_cost")
    result = json.loads(json.dumps(bench.measure(bench.parser().parse_args(["--tiny", "--repeats", "1"]))))
    for name, rows in result["sweeps"].items():
        assert [row[name] for row in rows] == list(bench.TINY[name])
        assert all(row["trial_epoch_ms"] > 0 for row in rows)
    texts = [text.text for text in ElementTree.fromstring(bench.plot(result["sweeps"])).iter() if text.text]
    assert set(bench.TITLES.values()) < set(texts)


def test_an_automl_tool_sees_no_truth_and_the_truth_counts(
    benchmark: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    bench = benchmark("bench_automl")
    asked: list[tuple[str, str]] = []
    alone = bench.alone
    program = (
        "import json, sys, numpy as np\n"
        "cell = np.load(sys.argv[1])\n"
        "assert set(cell) == {'x', 'given', 'test_x'}\n"
        "near = ((cell['test_x'][:, None] - cell['x']) ** 2).sum(-1).argmin(1)\n"
        "print('noise'); print(json.dumps({'predicted': cell['given'][near].tolist()}))\n"
    )

    def nearest(command: list[str]) -> dict[str, Any]:
        """The label of the nearest row, by a process of its own; of the rival a class that no row has."""
        side, (path, seconds) = "ours" if "--one" in command else "flaml", command[-4:-2]
        asked.append((side, seconds))
        row: dict[str, Any] = alone([sys.executable, "-c", program, path])
        return {**row, "predicted": [-1] * len(row["predicted"])} if side == "flaml" else row

    monkeypatch.setattr(bench, "alone", nearest)
    args = bench.parser().parse_args(["--seconds", "2", "--rival-python", "python"])
    row = json.loads(json.dumps(bench.compare("iris-pair20", args, tmp_path)))
    assert asked == [("ours", "2.0"), ("flaml", "8.0")]
    assert 0.15 < row["wrong"] < 0.45
    assert row["flaml"]["accuracy"] == 0
    assert row["ours"]["accuracy"] == row["gain"] > 40
    assert row["ours"]["cpu_s"] >= 0
