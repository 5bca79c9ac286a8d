"""K trials x N networks as one set of stacked tensors with one optimiser.

Legend: K trials, N networks per trial, G = K * N stacked networks, S samples, T epochs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import torch

from s2e.data.datasets import Part, load_split
from s2e.data.inputs import inputs_of
from s2e.data.open_set import foreign_images
from s2e.data.stream import Block, read_ahead
from s2e.data.transition import true_transition
from s2e.door.train import train_problems
from s2e.methods.base import Method, Setup, pick, pick_all
from s2e.methods.engine import Sampler, State
from s2e.networks.base import Tensors, cast
from s2e.networks.build import build
from s2e.parts import DATASETS, METHODS
from s2e.schedule import n_keep
from s2e.train.augment import CropFlip
from s2e.train.draws import draw
from s2e.train.margins import NEVER_SEEN, Margins
from s2e.train.optimizer import make_optimizer, set_epoch
from s2e.train.resident import is_streamed, resident
from s2e.train.revise import Revised, revised_rows
from s2e.train.seen import see
from s2e.train.subset import share_of
from s2e.words import DataError, DataSpec, JobSpec, Population, Problem, SpecError

EVALUATION_BATCH = 500


class StackedTrials:
    """Everything a population carries from step to step, all of it on the device."""

    def __init__(
        self, population: Population, device: torch.device, dtype: torch.dtype, data_root: str | None = None
    ) -> None:
        _check(population)
        train, trials = population.train, population.trials
        self.truth_is_known = population.data.truth_is_known
        data = load_split(population.data, data_root)
        data, rows = share_of(data, population.data_share, population.data.split_seed)
        data, rows = revised_rows(population.data, train, data, rows)
        n_samples = len(data.train.labels)
        if n_samples < train.batch_size:
            raise DataError(f"{n_samples} training samples are fewer than one batch of {train.batch_size}")
        self.train_spec, self.plan, self.device, self.dtype = train, population.plan, device, dtype
        self.weight_dtype = torch.float64 if dtype == torch.float64 else torch.float32
        if train.augment != "none" and data.train.images.dim() != 4:
            allowed = f"none: {population.data.name} samples are feature vectors, not images"
            raise SpecError(Problem("train.augment", train.augment, allowed))
        dataset = DATASETS[population.data.name]
        statistics = dataset.mean_std if population.data.normalise == "channels" else None
        self.network = build(train, data.train.images.shape[1:], data.n_classes, data_root)
        self.network.compiled = self.plan.step != "torch"
        augmented = train.augment != "none"
        foreign = foreign_images(population.data, data_root)
        self.data = resident(
            data,
            type(self.network),
            device,
            augmented=augmented,
            statistics=statistics,
            foreign=foreign,
            streamed=is_streamed(self.plan, data),
        )
        self.block: Block | None = None
        """The samples of the steps that train now, where those are streamed."""
        self.method: Method = METHODS[train.method].stored(train.params, dataset=population.data.name).make()
        self.trial = list(range(len(trials)))
        """Index within the population of the trial behind each of the K stacked ones; failed trials have left."""
        self.init_seeds = [trial.init_seed for trial in trials]
        self.order_seeds = [trial.order_seed for trial in trials]
        self.shares_order = len(set(self.order_seeds)) == 1
        self.inputs = inputs_of(data, statistics)
        """The encoder of new rows and the normalisation of samples; they go with every model."""
        self.augmentation = CropFlip(n_samples, self.draw) if train.augment == "crop_flip" else None
        self.keep_KT = torch.from_numpy(n_keep([trial.keep_rate for trial in trials], train.batch_size)).to(device)
        self.keep_rate_KT = torch.tensor([trial.keep_rate for trial in trials], dtype=torch.float64, device=device)
        self.epoch, self.step = (torch.zeros((), dtype=torch.int64, device=device) for _ in range(2))
        noise_seeds = [trial.noise_seed for trial in trials]
        self.seen = see(population.data, data, rows, noise_seeds, data_root, device)
        self.revised: Revised | None = None
        if train.revise in ("relabel", "soften") and population.data.audit is not None:
            self.revised = Revised(population.data.audit, rows, device, softened=train.revise == "soften")
        self.t = 0
        self.label_KS = self.seen.label_KS
        self.trusted_S = None if data.trusted is None else data.trusted[rows].to(device)
        """Samples whose label is known to be right, where somebody says so of some."""
        self._revise()
        shape_KNS = (len(trials), self.method.n_networks, self.label_KS.shape[1])
        self.predicted_KNS = torch.full(shape_KNS, NEVER_SEEN, dtype=torch.int16, device=device)
        """The class each network predicted for each sample when it last trained on it."""
        asked, trust = population.data, population.data.trusted
        dealt_once = not (asked.refit or asked.fold or trust.refit) and trust.fold is None
        whole = population.data_share == 1 and train.revise == "none" and dealt_once
        audits = not self.truth_is_known and whole
        self.margins = Margins(*shape_KNS, device) if audits else None
        """Of labels that somebody gave: the free part of their audit."""
        self.is_fused: bool | None = None
        """True if the compiled step trains these trials; :mod:`s2e.train.fused` decides it once."""
        self.draws: State = {}
        self.tensors: Tensors
        self.optimizer: torch.optim.Optimizer
        self.reset_networks()
        self.method_state: State = self.method.init_state(self._setup(population.data, data.n_classes))

    @property
    def n_trials(self) -> int:
        return len(self.trial)

    @property
    def n_steps(self) -> int:
        """M, the full mini-batches of an epoch."""
        return self.label_KS.shape[1] // self.batch_size

    @property
    def batch_size(self) -> int:
        """B."""
        return self.train_spec.batch_size

    @property
    def n_epochs(self) -> int:
        """T."""
        return self.train_spec.n_epochs

    @property
    def parameter_names(self) -> list[str]:
        """The tensors that the optimiser moves."""
        return [name for name in self.tensors if name not in self.network.buffer_names]

    def set_epoch(self, t: int) -> None:
        """The epoch, its first step, and the optimiser's step size in it."""
        self.t = t
        self.epoch.fill_(t)
        self.step.zero_()
        self.draws.clear()
        self._revise()
        if self.augmentation:
            self.augmentation.begin_epoch()
        set_epoch(self.optimizer, self.train_spec, t)

    def _revise(self) -> None:
        """The labels of this epoch, where an audit revises them."""
        if self.revised is not None:
            self.label_KS = self.revised.labels(self.seen.label_KS, self.draw)

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
        for name in self.parameter_names:
            self.optimizer.state[self.tensors[name]] = {
                key: value.index_select(0, alive_G) if value is not None and value.dim() else value
                for key, value in moments[old[name]].items()
            }
        self.keep_KT, self.keep_rate_KT = self.keep_KT[alive_K], self.keep_rate_KT[alive_K]
        self.seen, self.predicted_KNS = self.seen.of(alive_K), self.predicted_KNS[alive_K]
        self.label_KS = self.seen.label_KS
        if self.margins is not None:
            self.margins.keep(alive_K)
        self.method_state = {name: tensor[alive_K] for name, tensor in self.method_state.items()}
        self.trial = [self.trial[k] for k in alive]
        self.init_seeds = [self.init_seeds[k] for k in alive]
        self.order_seeds = [self.order_seeds[k] for k in alive]

    def export(self, k: int) -> Tensors:
        """Stacked trial k's networks on the CPU: ``network0.<name of the plain module's tensor>`` and so on."""
        n_networks = self.method.n_networks
        return {
            f"network{n}.{name}": tensor.cpu()
            for n in range(n_networks)
            for name, tensor in self.network.state_dict(self.tensors, k * n_networks + n).items()
        }

    def images(self, index: torch.Tensor, view: int | None = 0) -> torch.Tensor:
        """Training images at ``index`` as the network reads them; see :class:`s2e.methods.engine.Engine`."""
        x = None if self.block is None else self.block.of(index)
        if self.seen.image_row_KS is not None and index.dim() == 1:
            index = index.expand(self.n_trials, -1)
        if x is None:
            rows = index if self.seen.image_row_KS is None else self.seen.image_row_KS.gather(1, index)
            x = self.data.train.images.index_select(0, rows.flatten())
        if self.augmentation:
            x = self.network.arrange(x if view is None else self.augmentation(x, index, view))
        return self.data.scaled(x, self.dtype).view(*index.shape, *x.shape[1:])

    def image_rows(self, order: torch.Tensor) -> torch.Tensor:
        """The rows of the training images behind each sample of some steps: ``order`` [M, B] or [M, K, B] itself, but
        where images are replaced."""
        return order if self.seen.image_row_KS is None else pick_all(self.seen.image_row_KS, order)

    def parts_of(self, order: torch.Tensor) -> Iterator[torch.Tensor]:
        """The steps of ``order`` [M, ...] in as many parts as their samples come to the device."""
        try:
            for part, block in read_ahead(self.data.train.images, order, self.image_rows):
                self.block = block
                yield part
        finally:
            self.block = None

    def clean_images(self, index: torch.Tensor) -> torch.Tensor:
        """Trusted images at ``index`` as the network reads them."""
        x = self._clean().images.index_select(0, index.flatten())
        return self.data.scaled(x, self.dtype).view(*index.shape, *x.shape[1:])

    @property
    def clean_labels(self) -> torch.Tensor:
        """True labels of the trusted samples."""
        return self._clean().labels

    def _clean(self) -> Part:
        assert self.data.clean is not None  # a method that needs trusted samples is refused without
        return self.data.clean

    def forward(
        self, x: torch.Tensor, tensors: Mapping[str, torch.Tensor] | None = None, *, train: bool = True
    ) -> torch.Tensor:
        """logits_KNBC in ``weight_dtype`` of the population's networks, or of the given ``tensors``."""
        logits_GBC = self.network.forward(self.tensors if tensors is None else tensors, x, train=train)
        logits_KNBC: torch.Tensor = logits_GBC.unflatten(0, (-1, self.method.n_networks))
        return logits_KNBC.to(self.weight_dtype)

    @torch.no_grad()
    def remember(self, index: torch.Tensor, logits_KNBC: torch.Tensor) -> None:
        """Keep the networks' predictions for the training samples ``index`` ([B] shared or [K, B])."""
        if self.margins is not None:
            self.margins.add(index, logits_KNBC, pick(self.label_KS, index))
        predicted_KNB = logits_KNBC.argmax(-1).to(self.predicted_KNS.dtype)
        if index.dim() == 1:
            self.predicted_KNS.index_copy_(2, index, predicted_KNB)
        else:
            self.predicted_KNS.scatter_(2, index[:, None].expand_as(predicted_KNB), predicted_KNB)

    @torch.no_grad()
    def train_logits(self) -> torch.Tensor:
        """logits_KNSC of all training samples, not augmented, evaluation mode."""
        chunks = torch.arange(self.label_KS.shape[1], device=self.device).split(EVALUATION_BATCH)
        return torch.cat([self.forward(self.images(index, view=None), train=False) for index in chunks], dim=2)

    def reset_networks(self) -> None:
        """Every network back to its initial weights, and a fresh optimiser."""
        tensors = self.network.init(self.init_seeds, self.method.n_networks)
        self.tensors = cast(tensors, self.device, self.weight_dtype)
        self.optimizer = self._make_optimizer()

    def draw(self, purpose: str, sample: Sampler) -> torch.Tensor:
        """Random numbers of this epoch [K, ...], equal for trials that share the data order."""
        seeds = self.order_seeds[:1] if self.shares_order else self.order_seeds
        drawn = draw(seeds, purpose, self.t, sample).to(self.device)
        return drawn.expand(self.n_trials, *drawn.shape[1:])

    def _setup(self, data: DataSpec, n_classes: int) -> Setup:
        n_trials, n_samples = self.label_KS.shape
        T_CC = true_transition(data, n_classes)
        transition_KCC = None
        if T_CC is not None:
            transition_CC = torch.from_numpy(T_CC).to(self.device, self.weight_dtype)
            transition_KCC = transition_CC.expand(n_trials, -1, -1)
        return Setup(
            n_trials=n_trials,
            n_samples=n_samples,
            n_classes=n_classes,
            device=self.device,
            dtype=self.weight_dtype,
            label_KS=self.label_KS,
            true_label_S=self.data.train.labels if self.seen.image_row_KS is None else self.seen.true_label_KS,
            transition_KCC=transition_KCC,
            init_seeds=tuple(self.init_seeds),
            trusted_S=self.trusted_S,
            tensors=self.tensors,
        )

    def _make_optimizer(self) -> torch.optim.Optimizer:
        parameters = [self.tensors[name].requires_grad_() for name in self.parameter_names]
        optimizer = make_optimizer(parameters, self.train_spec)
        set_epoch(optimizer, self.train_spec, self.t)
        return optimizer


def _check(population: Population) -> None:
    if not population.trials:
        raise SpecError(Problem("trials", [], "at least one trial"))
    job = JobSpec(data=population.data, train=population.train)
    method = METHODS.find(job.train.method, "train.method").stored(job.train.params, dataset=job.data.name)
    dataset = DATASETS.find(job.data.name, "data.name").stored(job.data.params)
    if problems := method.missing(job) + train_problems(job.train) + dataset.unnormalised(job.data):
        raise SpecError(*problems)
    for trial in population.trials:
        if len(trial.keep_rate) != population.train.n_epochs:
            allowed = f"one value for each of {population.train.n_epochs} epochs"
            raise SpecError(Problem("keep_rate", f"{len(trial.keep_rate)} values", allowed))
        wrong = [value for value in trial.keep_rate if not 0 <= value <= 1]
        if wrong:
            raise SpecError(Problem("keep_rate", str(wrong[0]), "between 0 and 1"))
        epochs = trial.fidelity.epochs_of(population.train.n_epochs)
        if epochs != population.n_epochs_run:
            allowed = f"{population.n_epochs_run}, as the population's first trial has it"
            raise SpecError(Problem("fidelity.n_epochs_run", epochs, allowed))
        if trial.fidelity.data_share != population.data_share:
            allowed = f"{population.data_share}, as the population's first trial has it"
            raise SpecError(Problem("fidelity.data_share", trial.fidelity.data_share, allowed))
