"""The free score: margins of the training steps, and what all trainings of a job say together."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

from s2e.door import parse_job
from s2e.jobs.loop import next_round, population_of
from s2e.labels.free import TrialMargins, free_scores
from s2e.labels.job_audit import BINARY_NOTE, FITTED_NOTE, audit, audit_of_files, chosen_rows, table_rows
from s2e.labels.kept import CrossFitted, GivenLabels, cross_fitted_path, labels_path, load, save
from s2e.networks import library
from s2e.train.checkpoint import Checkpoint
from s2e.train.epoch import epoch_order
from s2e.train.margins import Margins, margins
from s2e.train.population import StackedTrials
from s2e.train.trial import PopulationEnd, PopulationEpoch, train_population
from s2e.words import DataError, Population, replace

S, B, K = 61, 20, 3
NEEDS_NATIVE = pytest.mark.skipif(library.instruction_set() is None, reason="the native library is not built here")


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("arrays")
    digits, rng = load_digits(), np.random.default_rng(0)
    y = digits.target[: S + 20]
    wrong = rng.random(len(y)) < 0.3
    given = np.where(wrong, (y + 1) % 10, y)
    np.savez(folder / "a.npz", X=digits.data[: S + 20] / 16, y=given, X_test=digits.data[:20] / 16, y_test=y[:20])
    return folder


def job(**plan: Any) -> Any:
    return parse_job(
        {
            "data": {"name": "arrays", "params": {"path": "a.npz"}, "n_validation": 20},
            "train": {"network": "mlp_tabular", "network_params": {"hidden": [8]}, "n_epochs": 4, "batch_size": B},
            "search": {"searcher": "random", "n_rounds": 1, "n_trials": K},
            "report": {"tau": 0.3},
            "plan": {"dtype": "float64", "step": "torch", **plan},
        }
    )


def population(**plan: Any) -> Population:
    spec = job(**plan)
    round_ = next_round(spec, [])
    assert round_ is not None
    return population_of(spec, round_, round_.trials)


def end_of(population: Population, root: Path, **more: Any) -> PopulationEnd:
    *_, end = train_population(population, data_root=str(root), **more)
    assert isinstance(end, PopulationEnd)
    return end


def alone(population: Population, k: int) -> Population:
    return replace(population, trials=(population.trials[k],))


def assert_same(one: TrialMargins | None, other: TrialMargins | None, exact: bool = True) -> None:
    assert one is not None
    assert other is not None
    np.testing.assert_allclose(one.margin_NS, other.margin_NS, rtol=0 if exact else 1e-6, atol=0 if exact else 1e-6)
    np.testing.assert_array_equal(one.voted_NS, other.voted_NS)


def test_the_margins_are_those_of_the_training_steps(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Against a plain loop over every sample of every batch, whose logits are recorded as the method sees them."""
    seen: list[tuple[torch.Tensor, torch.Tensor]] = []
    remember = StackedTrials.remember

    def recording(self: StackedTrials, index: torch.Tensor, logits: torch.Tensor) -> None:
        seen.append((index, logits.detach()))
        remember(self, index, logits)

    monkeypatch.setattr(StackedTrials, "remember", recording)
    ours, n_classes = end_of(population(), root).margins[1], 10
    assert ours is not None
    label_S = StackedTrials(population(), torch.device("cpu"), torch.float64, str(root)).label_KS[1].tolist()
    total, visits, votes = np.zeros((2, S)), np.zeros(S), np.zeros((2, S, n_classes))
    for index, logits in seen:
        for b, s in enumerate(index.tolist()):
            visits[s] += 1
            for n in range(2):
                of_classes = logits[1, n, b].tolist()
                votes[n, s, int(np.argmax(of_classes))] += 1
                own = of_classes.pop(label_S[s])
                total[n, s] += own - max(of_classes)
    np.testing.assert_allclose(ours.margin_NS, total / visits, rtol=1e-5)
    majority_NS = votes.max(-1) > visits / 2
    assert majority_NS.mean() > 0.3
    np.testing.assert_array_equal(ours.voted_NS[majority_NS], votes.argmax(-1)[majority_NS])


@pytest.mark.parametrize("step", ["torch", pytest.param("native", marks=[NEEDS_NATIVE, pytest.mark.native])])
@pytest.mark.parametrize("method", ["coteaching", "elr"])
def test_they_do_not_depend_on_how_trials_are_grouped(root: Path, step: str, method: str) -> None:
    every = population(step=step)
    train = replace(every.train, method=method, params={"warmup": 1} if method == "none" else {})
    every = replace(every, train=train)
    together = end_of(every, root).margins
    apart = [end_of(alone(every, k), root).margins[0] for k in range(K)]
    for one, other in zip(together, apart, strict=True):
        assert_same(one, other, exact=step == "native")
    label_S = np.zeros(S, dtype=np.int64)
    scores = [free_scores([m for m in of if m is not None], label_S, 10).score_S for of in (together, apart)]
    np.testing.assert_allclose(scores[0], scores[1], rtol=1e-12)


@NEEDS_NATIVE
@pytest.mark.native
def test_the_compiled_step_measures_the_same(root: Path) -> None:
    torch_s, native_s = (end_of(population(step=step), root).margins for step in ("torch", "native"))
    for one, other in zip(torch_s, native_s, strict=True):
        assert_same(one, other, exact=False)


def test_a_training_that_was_interrupted_says_the_same(root: Path) -> None:
    whole = population()
    checkpoints: tuple[Checkpoint | None, ...] = ()
    for epoch in train_population(whole, data_root=str(root)):
        if isinstance(epoch, PopulationEpoch) and epoch.epochs[0].epoch == 1:
            checkpoints = epoch.checkpoints()
            break
    kept = [Checkpoint.from_file(c.tensors, c.header()) for c in checkpoints if c is not None]
    resumed = end_of(whole, root, start=kept).margins
    for one, other in zip(end_of(whole, root).margins, resumed, strict=True):
        assert_same(one, other)
    old = [replace(c, tensors={n: t for n, t in c.tensors.items() if "margins" not in n}) for c in kept]
    assert end_of(whole, root, start=old).margins == ()  # of an earlier release: half a sum would be a wrong one


def test_a_benchmark_keeps_none(root: Path) -> None:
    known = population()
    assert end_of(replace(known, data=replace(known.data, labels="trusted")), root).margins == ()


def test_a_trial_that_failed_has_none_and_the_others_keep_theirs() -> None:
    kept = Margins(3, 1, 4, torch.device("cpu"))
    kept.add(torch.tensor([0, 1]), torch.tensor([[[[1.0, 3.0], [5.0, 1.0]]]] * 3), torch.tensor([[0, 0]] * 3))
    kept.end_epoch(torch.tensor([[[1, 0, -1, -1]]] * 3, dtype=torch.int16))
    kept.keep(torch.tensor([0, 2]))
    said = kept.of(1)
    assert said is not None
    assert said.margin_NS[0].tolist()[:2] == [-2.0, 4.0]
    assert np.isnan(said.margin_NS[0, 2:]).all()
    assert said.voted_NS.tolist() == [[1, 0, -1, -1]]


def test_a_margin_is_to_the_largest_other_logit() -> None:
    logits = torch.tensor([[[[1.0, 4.0, 3.0], [1.0, 4.0, 3.0]]]])
    assert margins(logits, torch.tensor([[1, 2]])).tolist() == [[[1.0, -1.0]]]


# --- together ---------------------------------------------------------------------------------------------------------


def said(*margin: float, voted: tuple[int, ...] = (0, 0, 0, 0)) -> TrialMargins:
    return TrialMargins(np.array([margin], dtype=np.float32), np.array([voted], dtype=np.int16))


def test_ranks_are_averaged_and_rows_never_seen_stand_in_the_middle() -> None:
    label_S = np.array([0, 0, 1, 1])
    scores = free_scores([said(-5, 1, 2, 3), said(math.nan, 10, 30, 20, voted=(1, 1, 0, 1))], label_S, 2)
    assert scores.score_S.tolist() == pytest.approx([(1 + 2.5) / 10, (2 + 1.25) / 10, (3 + 3.75) / 10, (4 + 2.5) / 10])
    assert scores.likely_S.tolist() == [0, 0, 0, 0]
    assert scores.other_S.tolist() == [1, 1, 0, 0]
    assert scores.n_trainings == 2


@pytest.fixture
def labels() -> GivenLabels:
    return GivenLabels(
        np.array([0, 1, 2, 0]), np.array(["a", "b", "c", "d"]), np.array(["cat", "dog", "owl"]), np.zeros(4, dtype=bool)
    )


def test_the_worst_come_first_with_another_class_than_the_given_one(labels: GivenLabels) -> None:
    judged = audit(labels, 0.25, [said(-5, 1, 2, 3, voted=(0, 1, 2, 0)), said(-1, 1, 2, 3, voted=(2, 1, 2, 0))])
    assert judged.id.tolist() == ["a", "b", "c", "d"]
    assert judged.is_label_issue.tolist() == [True, False, False, False]
    assert judged.predicted_label.tolist() == ["owl", "dog", "owl", "cat"]
    assert np.isnan(judged.probability_wrong).all()
    assert "not a probability" in judged.note
    assert chosen_rows(judged, given="cat").tolist() == [0, 3]
    assert chosen_rows(judged, given="cat", likely="owl").tolist() == [0]
    assert chosen_rows(judged, issues=True).tolist() == [0]
    assert list(table_rows(judged, [0, 3])) == [
        ["a", True, 0.2, "cat", "owl", None, "train"],
        ["d", False, 0.8, "cat", "cat", None, "train"],
    ]


def test_a_trusted_label_is_no_issue_whatever_networks_make_of_it(labels: GivenLabels) -> None:
    trusted = replace(labels, is_trusted_S=np.array([True, False, False, False]))
    judged = audit(trusted, 0.25, [said(-5, 1, 2, 3, voted=(2, 1, 2, 0))])
    assert judged.id.tolist() == ["b", "c", "d", "a"]
    assert judged.is_label_issue.tolist() == [True, False, False, False]
    assert (judged.predicted_label[-1], judged.label_quality[-1], judged.probability_wrong[-1]) == ("cat", 1, 0)


def test_a_probability_where_it_is_one_and_words_where_not(labels: GivenLabels) -> None:
    fitted = CrossFitted(np.array([0.9, 0.1, 0.2, 0.3]), np.array([0.25, 1, 0.75, 0.5]), *np.array([[1, 1, 2, 0]] * 2))
    unknown = audit(labels, None, fitted=fitted)
    assert not unknown.is_label_issue.any()
    assert unknown.note.startswith("how many labels are wrong could not be estimated, so none is called an issue. P")
    judged = audit(labels, 0.25, fitted=fitted)
    np.testing.assert_array_equal(unknown.label_quality, judged.label_quality)
    assert (judged.probability_wrong.tolist(), judged.note) == ([0.9, 0.3, 0.2, 0.1], FITTED_NOTE)
    two = audit(replace(labels, name_C=np.array(["n", "y"]), label_S=np.array([0, 1, 1, 0])), 0.25, fitted=replace(
        fitted, likely_S=np.array([1, 1, 1, 0]), other_S=np.array([1, 0, 0, 1])))  # fmt: skip
    assert np.isnan(two.probability_wrong).all()
    assert two.note == BINARY_NOTE


@pytest.fixture
def kept(tmp_path: Path, labels: GivenLabels) -> Callable[..., Any]:
    save(tmp_path, labels_path("job"), labels)
    save(tmp_path, "job/round-0/trial-0-attempt-1.margins.npz", said(-5, 1, 2, 3))
    models = ["job/round-0/trial-0-attempt-1.safetensors", "job/round-0/trial-1-attempt-1.safetensors"]

    def find(score: str | None = None, models: Any = tuple(models)) -> Any:
        return audit_of_files(tmp_path, "job", 0.25, models, score)

    find.root = tmp_path  # type: ignore[attr-defined]
    return find


def test_files_are_read_back_and_the_better_score_is_taken(kept: Any) -> None:
    assert (kept().score, kept().n_trainings) == ("free", 1)
    with pytest.raises(DataError, match=r"no cross-fitted audit: .* report\.tau"):
        kept("cross_fitted")
    with pytest.raises(DataError, match="none has ended"):
        kept(models=())
    fitted = CrossFitted(*np.array([[0.9, 0.1, 0.2, 0.3], [0.25, 1, 0.75, 0.5]]), *np.array([[1, 1, 2, 0]] * 2))
    save(kept.root, cross_fitted_path("job"), fitted)
    assert (kept().score, kept("free").score) == ("cross_fitted", "free")
    (kept.root / cross_fitted_path("job")).write_bytes(b"PK\x03\x04 cut off")
    with pytest.raises(DataError, match="cannot be read"):
        kept()
    assert load(kept.root, "job/nothing.npz", GivenLabels) is None


def test_rows_carry_the_numbers_of_the_file(root: Path) -> None:
    from s2e.labels.given import given_labels

    data = population().data
    given = given_labels(data, str(root))
    with np.load(root / "a.npz") as arrays:
        for array, mine in {"y": given.split_S != "test", "y_test": given.split_S == "test"}.items():
            named = given.name_C[given.label_S[mine]]
            assert named.tolist() == arrays[array][given.id_S[mine]].astype(str).tolist()
    (root / "t.csv").write_text("x,z,class\n" + "".join(f"{i}.5,{i % 7},{'ab'[i % 2]}\n" for i in range(60)))
    table = parse_job({"data": {"name": "csv", "csv": {"path": "t.csv", "header": True}, "n_validation": 10}}).data
    given, lines = given_labels(table, str(root)), (root / "t.csv").read_text().splitlines()
    assert all(lines[i - 1].endswith(given.name_C[c]) for i, c in zip(given.id_S, given.label_S, strict=True))
    assert len(set(given.id_S.tolist())) == 60


def test_the_order_of_an_epoch_is_walked_once(root: Path) -> None:
    """The sums rest on it: no sample comes twice in an epoch."""
    trials = StackedTrials(population(), torch.device("cpu"), torch.float64, str(root))
    order = epoch_order(trials, 0)
    assert len(order.flatten().unique()) == order.numel()
