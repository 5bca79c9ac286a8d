"""K trials x N networks as one set of stacked tensors with one optimiser.

Legend: K trials, N networks per trial, G = K * N stacked networks, S samples, T epochs.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from s2e import catalog
from s2e.data.datasets import load_split, noisy_labels
from s2e.errors import DataError, Problem, SpecError
from s2e.methods.base import Method, State
from s2e.methods.params import parse_params
from s2e.models.base import StackedNetwork, Tensors
from s2e.schedule import n_keep
from s2e.spec import Population, TrainSpec
from s2e.train.resident import resident

NEVER_SEEN = -1
"""A class nobody predicts: the sample was not trained on this epoch."""


class StackedTrials:
    """Everything a population carries from step to step, all of it on the device."""

    def __init__(
        self, population: Population, device: torch.device, dtype: torch.dtype, data_root: str | None = None
    ) -> None:
        _check(population)
        train, trials = population.train, population.trials
        data = load_split(population.data, data_root)
        n_samples = len(data.train.labels)
        if n_samples < train.batch_size:
            raise DataError(f"{n_samples} training samples are fewer than one batch of {train.batch_size}")
        network: type[StackedNetwork] = catalog.load(catalog.NETWORKS, train.network)
        self.train_spec, self.device, self.dtype = train, device, dtype
        self.data = resident(data, network, device)
        self.network = network(data.train.images.shape[1:], data.n_classes)
        params = parse_params(train.method, population.data.name, train.params)
        self.method: Method = catalog.load(catalog.METHODS, train.method)(params)
        self.trial = list(range(len(trials)))
        """Which trial of the population each of the K stacked ones is; failed trials have left."""
        self.order_seeds = [trial.order_seed for trial in trials]
        self.shares_order = len(set(self.order_seeds)) == 1
        self.keep_KT = torch.from_numpy(n_keep([trial.keep_rate for trial in trials], train.batch_size)).to(device)
        self.keep_rate_KT = torch.tensor([trial.keep_rate for trial in trials], dtype=torch.float64, device=device)
        self.epoch = torch.zeros((), dtype=torch.int64, device=device)
        self.label_KS = torch.stack([noisy_labels(population.data, t.noise_seed, data_root) for t in trials]).to(device)
        self.method_state: State = self.method.init_state(len(trials), n_samples, data.n_classes, device)
        self.metric_dtype = torch.float64 if dtype == torch.float64 else torch.float32
        """Of weights, losses and metrics, whatever the forward pass computes in."""
        shape_KNS = (len(trials), self.method.n_networks, n_samples)
        self.predicted_KNS = torch.full(shape_KNS, NEVER_SEEN, dtype=torch.int16, device=device)
        """The class each network predicted for each sample when it last trained on it."""
        tensors = self.network.init((trial.init_seed for trial in trials), self.method.n_networks)
        self.tensors: Tensors = {name: t.to(device, self.metric_dtype) for name, t in tensors.items()}
        self.optimizer = self._make_optimizer()

    @property
    def n_trials(self) -> int:
        return len(self.trial)

    def set_epoch(self, t: int) -> None:
        """The epoch, and Adam's step size and beta1 in it."""
        self.epoch.fill_(t)
        beta1 = self.train_spec.beta1
        if t >= decay_epoch(self.train_spec) and self.train_spec.beta1_decay is not None:
            beta1 = self.train_spec.beta1_decay
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(self.train_spec, t)
            group["betas"] = (beta1, 0.999)

    def keep(self, alive: Sequence[int]) -> None:
        """Only the stacked trials ``alive`` go on; weights, moments and state of the others leave.

        Zero gradients would not do: Adam still moves a weight whose gradient is zero.
        """
        alive_K = torch.tensor(alive, device=self.device)
        n_networks = self.method.n_networks
        alive_G = (alive_K[:, None] * n_networks + torch.arange(n_networks, device=self.device)).flatten()
        old, moments = self.tensors, self.optimizer.state
        self.tensors = {name: tensor.detach().index_select(0, alive_G) for name, tensor in old.items()}
        self.optimizer = self._make_optimizer()
        for name in self._parameter_names():
            self.optimizer.state[self.tensors[name]] = {
                key: value.index_select(0, alive_G) if value.dim() else value
                for key, value in moments[old[name]].items()
            }
        self.keep_KT, self.keep_rate_KT = self.keep_KT[alive_K], self.keep_rate_KT[alive_K]
        self.label_KS, self.predicted_KNS = self.label_KS[alive_K], self.predicted_KNS[alive_K]
        self.method_state = {name: tensor[alive_K] for name, tensor in self.method_state.items()}
        self.trial = [self.trial[k] for k in alive]
        self.order_seeds = [self.order_seeds[k] for k in alive]

    def export(self, k: int) -> Tensors:
        """Stacked trial k's networks on the CPU: ``network0.<name of the plain module's tensor>`` and so on."""
        n_networks = self.method.n_networks
        return {
            f"network{n}.{name}": tensor.cpu()
            for n in range(n_networks)
            for name, tensor in self.network.state_dict(self.tensors, k * n_networks + n).items()
        }

    def _parameter_names(self) -> list[str]:
        return [name for name in self.tensors if name not in self.network.buffer_names]

    def _make_optimizer(self) -> torch.optim.Adam:
        parameters = [self.tensors[name].requires_grad_() for name in self._parameter_names()]
        return torch.optim.Adam(parameters, lr=self.train_spec.learning_rate, fused=True)


def decay_epoch(train: TrainSpec) -> int:
    """The first epoch T0 of the step size's linear decay."""
    return round(train.decay_start * train.n_epochs)


def learning_rate(train: TrainSpec, t: int) -> float:
    """Adam's step size at epoch t: constant, then linear to 0, lr (T - t) / (T - T0) for t >= T0 (S2E section 4)."""
    start = decay_epoch(train)
    if t < start:
        return train.learning_rate
    return train.learning_rate * (train.n_epochs - t) / (train.n_epochs - start)


def _check(population: Population) -> None:
    if not population.trials:
        raise SpecError(Problem("trials", [], "at least one trial"))
    for trial in population.trials:
        if len(trial.keep_rate) != population.train.n_epochs:
            allowed = f"one value for each of {population.train.n_epochs} epochs"
            raise SpecError(Problem("keep_rate", f"{len(trial.keep_rate)} values", allowed))
        wrong = [value for value in trial.keep_rate if not 0 <= value <= 1]
        if wrong:
            raise SpecError(Problem("keep_rate", str(wrong[0]), "between 0 and 1"))
