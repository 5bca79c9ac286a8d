"""The rows of published tables: each can be trained at both scales, and the document says what was found."""

from __future__ import annotations

import pytest

from benchmarks.reproduce.__main__ import document
from benchmarks.reproduce.rows import METRICS, Measured, load, ordering, population

SCALES, ROWS = load()


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["name"])
def test_every_row_is_a_job_at_every_scale(row: dict, scale: str) -> None:
    assert set(row["expect"]) <= {method["method"] for method in row["methods"]}
    assert row["metric"] in METRICS
    for method in row["methods"]:
        trained = population(row, method, SCALES[scale], "float32")
        assert len(trained.trials) == SCALES[scale]["n_seeds"]
        assert len({(t.init_seed, t.order_seed, t.noise_seed) for t in trained.trials}) == len(trained.trials)
        assert trained.plan.device == SCALES[scale]["device"]


def test_metrics_are_never_mixed_up() -> None:
    accuracies = [50.0, 90.0, *[70.0] * 9, 80.0]
    validation = [60.0, 50.0, 70.0, *[65.0] * 9]
    assert METRICS["best"](accuracies, validation) == 90.0
    assert METRICS["last10"](accuracies, validation) == pytest.approx(71.0)
    assert METRICS["best-val"](accuracies, validation) == 70.0


def test_elr_s_published_figures_are_those_of_the_epoch_that_validates_best() -> None:
    rows = [row for row in ROWS if row["name"].startswith("elr")]
    assert rows
    assert {(row["metric"], row["data"]["validation_labels"]) for row in rows} == {("best-val", "noisy")}


def test_a_network_without_batch_norm_keeps_adam_s_beta2() -> None:
    """With .1 the step is a gradient over its own size: the networks that stand in on a CPU diverge."""
    for row in ROWS:
        trains = {network: row["train"] | (row.get("paper", {}) if network == "paper" else {}) for network in SCALES}
        assert trains["cpu"].get("beta2", 0.999) == 0.999
        assert trains["paper"].get("beta2", 0.999) == (0.1 if row["name"].startswith("sigua-bc") else 0.999)


def test_an_ordering_is_found_or_not() -> None:
    values = {"a": [1.0, 2.0], "b": [3.0, 4.0]}
    measured = {name: Measured(name, {"last10": value, "best": value[::-1]}, None) for name, value in values.items()}
    assert ordering(["a", "b"], measured) == "Published order a < b: found"
    assert ordering(["b", "a"], measured) == "Published order b < a: NOT found"
    assert measured["a"].shown("best") == "1.50 +- 0.71"


def test_the_document_is_made_of_the_stored_results() -> None:
    from benchmarks.reproduce.__main__ import TABLE

    assert TABLE.read_text(encoding="utf-8") == document(SCALES, ROWS)
