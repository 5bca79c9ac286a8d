"""The contract of a training method.

Legend: K trials, N networks per trial, B batch, C classes, S samples.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

import pytest
import torch

from s2e.data.transition import symmetric
from s2e.methods.base import Batch, Method, Setup
from s2e.networks.base import StackedNetwork
from s2e.parts import METHODS, NETWORKS
from s2e.testing.close import assert_close
from s2e.testing.suite import Contract
from s2e.testing.tiny import declared, population
from s2e.train.checkpoint import Checkpoint
from s2e.train.runtime import has_fast_bfloat16
from s2e.train.trial import PopulationEnd, PopulationEpoch, train_population
from s2e.words import DataSpec, NoiseSpec, PlanSpec, Population, TrainSpec, TrialSpec, replace

K, B, C, S = 3, 8, 4, 40
INDEX = torch.arange(B)
SGD = {"optimizer": "sgd", "learning_rate": 0.05, "momentum": 0.9}
"""For comparisons to the last digits: a weight moves by a multiple of its gradient, and so does the rounding error of
the gradient. Adam divides it by that of the next gradients, which is as small where the exact one is 0."""
NOISE = {"clean": NoiseSpec("none"), "noisy": NoiseSpec("symmetric", 0.4)}
CHANCE = 0.1
"""Of the ten digits."""


class MethodContract(Contract):
    """Set ``method``: a registered name, or a list.

    ``early`` brings stages that begin later into the second of two epochs: {method: {setting: value}}.
    ``least_accuracy`` is what the defaults reach on the digits in a few epochs, clean and with 40 % wrong labels.
    """

    kind: ClassVar[str] = "method"
    method: ClassVar[str | Sequence[str]] = ()
    early: ClassVar[Mapping[str, Mapping[str, Any]]] = {}
    least_accuracy: ClassVar[float] = 0.5

    @pytest.fixture
    def tiny_parts(self) -> Iterator[None]:
        """The data sets and the network of :mod:`s2e.testing.tiny`."""
        with declared():
            yield

    def small(self, method: str, **settings: Any) -> Population:
        """Trials 0 and 1 on the tiny images, every stage of the method within the first two epochs."""
        more = {"n_clean": 8} if "clean" in METHODS[method].needs else {}
        return population(
            **{"ks": (0, 1), "method": method, "params": dict(self.early.get(method, {})), **more, **settings}
        )

    def test_the_declaration_leads_to_a_rule(self, method: str) -> None:
        rule = METHODS[method]().make()
        assert isinstance(rule, Method)
        assert rule.n_networks >= 1
        assert rule.params == METHODS[method]()

    def test_losses_and_weights_have_one_number_for_each_sample(self, method: str) -> None:
        rule, logits_KNBC = _rule_and_logits(method)
        label_KB = _labels(K)
        loss_KNB = rule.losses(logits_KNBC, label_KB, INDEX, _state(rule))
        weight_KNB = rule.weights(loss_KNB, _seen(rule, logits_KNBC, torch.tensor([1, 4, B])))
        assert loss_KNB.dtype == weight_KNB.dtype == torch.float32
        assert loss_KNB.shape == weight_KNB.shape == (K, rule.n_networks, B)
        assert loss_KNB.isfinite().all()
        assert weight_KNB.isfinite().all()
        assert not weight_KNB.requires_grad

    def test_at_least_one_sample_is_selected_even_when_one_is_kept(self, method: str) -> None:
        rule, logits_KNBC = _rule_and_logits(method)
        weight_KNB = rule.weights(_losses(rule), _seen(rule, logits_KNBC, torch.ones(K, dtype=torch.int64)))
        assert ((weight_KNB > 0).sum(-1) >= 1).all()

    def test_an_empty_selection_is_finite_and_only_where_it_may_be(self, method: str) -> None:
        """Networks that agree on every sample leave nothing to a method that learns from disagreement."""
        rule, _ = _rule_and_logits(method)
        weight_KNB = rule.weights(_losses(rule), _seen(rule, _agreeing(rule), torch.tensor([1, 4, B])))
        assert weight_KNB.isfinite().all()
        assert rule.may_skip or (weight_KNB != 0).any(-1).all()

    def test_the_schedule_counts_where_it_is_declared_to(self, method: str) -> None:
        """Networks that agree leave Co-teaching+ the whole batch, so that R counts in it for every method."""
        rule, logits_KNBC = _rule_and_logits(method)
        few, most = (rule.weights(_losses(rule), _seen(rule, logits_KNBC, torch.full((K,), n))) for n in (2, B))
        assert torch.equal(few, most) != METHODS[method].scheduled
        if METHODS[method].scheduled:
            keep_K = torch.tensor([1, 5, B])
            weight_KNB = rule.weights(_losses(rule), _seen(rule, _agreeing(rule), keep_K))
            assert torch.equal((weight_KNB > 0).sum(-1), keep_K[:, None].expand(-1, rule.n_networks))

    def test_samples_that_are_read_as_it_trains_give_the_same_bits(self, method: str, tiny_parts: None) -> None:  # noqa: ARG002
        """As those in memory: what a method draws, keeps and looks at depends on their numbers alone."""
        small = self.small(method, n_epochs=2)
        rows = [
            [step.epochs for step in train_population(replace(small, plan=plan)) if isinstance(step, PopulationEpoch)]
            for plan in (replace(small.plan, samples="resident"), replace(small.plan, samples="streamed"))
        ]
        assert rows[0] == rows[1]

    def test_a_trial_does_not_see_the_others(self, method: str) -> None:
        rule, logits_KNBC = _rule_and_logits(method)
        label_KB, keep_K = _labels(K), torch.tensor([2, 4, 8])
        together = rule.losses(logits_KNBC, label_KB, INDEX, _state(rule))
        alone = rule.losses(logits_KNBC[1:2], label_KB[1:2], INDEX, _state(rule, 1))
        torch.testing.assert_close(together[1:2], alone, rtol=1e-5, atol=1e-6)
        weights = rule.weights(together, _seen(rule, logits_KNBC, keep_K))
        weights_alone = rule.weights(together[1:2], _seen(rule, logits_KNBC[1:2], keep_K[1:2]))
        torch.testing.assert_close(weights[1:2], weights_alone)

    def test_the_rule_remembers_nothing_itself(self, method: str) -> None:
        """A method's memory is in the state, of which each trial has its slice: a trial may leave its population."""
        rule, logits_KNBC = _rule_and_logits(method)
        before = dict(vars(rule))
        assert all(tensor.shape[0] == K for tensor in _state(rule).values())
        loss_KNB = rule.losses(logits_KNBC, _labels(K), INDEX, _state(rule))
        rule.weights(loss_KNB, _seen(rule, logits_KNBC, torch.tensor([1, 4, B])))
        assert vars(rule) == before

    def test_ten_steps_lower_the_loss_on_one_batch(self, method: str) -> None:
        rule, _ = _rule_and_logits(method)
        network = NETWORKS["mlp"]().make((3, 8, 8), C)
        tensors = network.init(range(K), rule.n_networks)
        parameters = [tensor.requires_grad_() for tensor in tensors.values()]
        optimizer, state, label_KB = torch.optim.Adam(parameters, lr=3e-3), _state(rule), _labels(K)
        x, keep_K, means = network.arrange(_pixels()), torch.full((K,), B), []
        for _ in range(10):
            logits_KNBC = _forward(network, tensors, x, rule)
            loss_KNB = rule.losses(logits_KNBC, label_KB, INDEX, state)
            # measured with a fresh state: a regulariser that grows with the visits to a sample would hide the descent
            means.append(rule.losses(logits_KNBC.detach(), label_KB, INDEX, _state(rule)).mean().item())
            optimizer.zero_grad()
            weight_KNB = rule.weights(loss_KNB.detach(), _seen(rule, logits_KNBC, keep_K))
            if (weight_KNB == 0).any():
                pytest.skip("promises nothing for the samples that it leaves out")
            (weight_KNB * loss_KNB).sum().backward()
            optimizer.step()
        chance_KNBC = torch.zeros(K, rule.n_networks, B, C)
        chance = rule.losses(chance_KNBC, label_KB, INDEX, _state(rule)).mean().item()
        assert means[0] == pytest.approx(chance, rel=0.3)
        assert means[-1] < means[0] - 0.02

    @pytest.mark.usefixtures("tiny_parts")
    @pytest.mark.parametrize(("network", "shared_order"), [("mlp", True), ("tiny_norm", False)])
    def test_a_population_trains_as_its_trials_alone(self, method: str, network: str, shared_order: bool) -> None:
        """Two epochs of three batches in float64, the second with a keep rate of 0: one sample of eight counts."""
        settings = SGD | {"network": network, "n_epochs": 2, "batch_size": 8, "n_train": 24, "keep_rate": (1.0, 0.0)}
        together, alone = (
            _end(self.small(method, ks=ks, shared_order=shared_order, **settings)) for ks in ((0, 1), (1,))
        )
        assert not any(result.failed for result in together.results)
        _assert_equal(together, alone, tolerance=1e-12)

    @pytest.mark.usefixtures("tiny_parts")
    def test_a_training_goes_on_from_any_epoch_with_the_same_result(self, method: str) -> None:
        """From its checkpoints, bit by bit; the random numbers of an epoch are drawn in it."""
        training, epochs = self.small(method), []
        checkpoints: list[list[Checkpoint]] = []
        for step in train_population(training):
            if isinstance(step, PopulationEpoch):
                epochs.append(step.epochs)
                checkpoints.append([one for one in step.checkpoints() if one is not None])
            else:
                end = step
        for n_epochs in (1, 3):
            *later, resumed = train_population(training, start=checkpoints[n_epochs - 1])
            assert [step.epochs for step in later if isinstance(step, PopulationEpoch)] == epochs[n_epochs:]
            assert isinstance(resumed, PopulationEnd)
            assert resumed.results == end.results
            _assert_equal(end, resumed, tolerance=0.0)

    @pytest.mark.skipif(not has_fast_bfloat16(), reason="this processor has no bfloat16 arithmetic")
    @pytest.mark.usefixtures("tiny_parts")
    def test_bfloat16_trains_near_float32(self, method: str) -> None:
        losses = []
        for dtype in ("bfloat16", "float32"):
            training = self.small(method, ks=(0,), dtype=dtype, network="tiny_norm", n_epochs=2)
            losses.append(next(step.epochs[0].loss for step in train_population(training)))  # type: ignore[union-attr]
        assert losses[0] == pytest.approx(losses[1], rel=0.05, abs=0.02)

    @pytest.mark.parametrize("noise", NOISE)
    def test_defaults_beat_chance(self, method: str, noise: str) -> None:
        """On the digits, by what a job gets that names the method and nothing else of it."""
        (result,) = _end(_on_digits(method, NOISE[noise])).results
        assert not result.failed
        assert result.validation_accuracy is not None
        assert result.validation_accuracy > max(self.least_accuracy, CHANCE)


def _on_digits(method: str, noise: NoiseSpec) -> Population:
    """One trial of 8 epochs of 25 steps; where the method is scheduled, R falls to what the noise leaves."""
    n_epochs = 8
    keep_rate = tuple(1 - 0.4 * min(1, t / 5) for t in range(n_epochs))
    train = TrainSpec(method=method, n_epochs=n_epochs, batch_size=32, learning_rate=3e-3)
    n_clean = 100 if "clean" in METHODS[method].needs else 0
    data = DataSpec(name="digits", noise=noise, n_validation=300, n_train=800, n_clean=n_clean)
    return Population(data, train, PlanSpec(), 3, (TrialSpec(0, 0, "search", 0, keep_rate, 1, 2, 3),))


def _end(training: Population) -> PopulationEnd:
    *_, end = train_population(training)
    assert isinstance(end, PopulationEnd)
    return end


def _assert_equal(together: PopulationEnd, alone: PopulationEnd, tolerance: float) -> None:
    """The last trials of both ended with the same weights."""
    ours, theirs = together.models[-1], alone.models[-1]
    assert ours is not None
    assert theirs is not None
    for name, tensor in theirs.items():
        assert_close(name, ours[name], tensor, tolerance)
        assert ours[name].isfinite().all()


def _rule_and_logits(method: str) -> tuple[Method, torch.Tensor]:
    rule: Method = METHODS[method]().make()
    return rule, torch.rand(K, rule.n_networks, B, C, generator=torch.Generator().manual_seed(1))


def _agreeing(rule: Method) -> torch.Tensor:
    """logits_KNBC of networks that all say the same."""
    return torch.rand(K, 1, B, C, generator=torch.Generator().manual_seed(1)).expand(-1, rule.n_networks, -1, -1)


def _losses(rule: Method) -> torch.Tensor:
    return torch.rand(K, rule.n_networks, B, generator=torch.Generator().manual_seed(0))


def _labels(n_trials: int) -> torch.Tensor:
    return torch.randint(0, C, (n_trials, B), generator=torch.Generator().manual_seed(2))


def _pixels() -> torch.Tensor:
    return torch.rand(B, 3, 8, 8, generator=torch.Generator().manual_seed(2))


def _forward(network: StackedNetwork, tensors: dict[str, torch.Tensor], x: torch.Tensor, rule: Method) -> torch.Tensor:
    logits_KNBC: torch.Tensor = network.forward(tensors, x, train=True).unflatten(0, (-1, rule.n_networks))
    return logits_KNBC


def _seen(rule: Method, logits_KNBC: torch.Tensor, keep_K: torch.Tensor) -> Batch:
    state = _state(rule, len(keep_K))
    return Batch(logits_KNBC.detach(), keep_K, keep_K.double() / B, torch.tensor(10_000), INDEX, state)


def _state(rule: Method, n_trials: int = K) -> dict[str, torch.Tensor]:
    label_S = torch.arange(S) % C
    return rule.init_state(
        Setup(
            n_trials=n_trials,
            n_samples=S,
            n_classes=C,
            device=torch.device("cpu"),
            dtype=torch.float32,
            label_KS=label_S.expand(n_trials, S),
            true_label_S=label_S,
            transition_KCC=torch.from_numpy(symmetric(C, 0.4)).float().expand(n_trials, C, C),
            init_seeds=tuple(range(n_trials)),
        )
    )
