"""A trained network and all that new rows need, from the file of a model: see :func:`s2e.load_model`."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from s2e.data.inputs import Inputs
from s2e.data.rows import forget
from s2e.stages import shares_of
from s2e.words import DataError, read

BATCH = 500
MOST_BYTES = 64 * 2**20
"""Of an array that is made into samples as a whole."""


class Averaged(nn.Module):
    """Several networks as one: samples -> ln of the mean of their probabilities [S, C], float64."""

    def __init__(self, networks: Sequence[nn.Module]) -> None:
        super().__init__()
        self.networks = nn.ModuleList(networks)

    def forward(self, samples: torch.Tensor) -> torch.Tensor:
        ln_p = torch.stack([network(samples).double().log_softmax(-1) for network in self.networks])
        return ln_p.logsumexp(0) - math.log(len(self.networks))


def _unseen(_n: int) -> None:
    """Progress that nobody watches."""


class Model(nn.Module):
    """One network of a trial, in evaluation mode; called with samples as it reads them, it gives logits [S, C].

    ``classes_``, the labels in the order of the columns of :meth:`predict_proba`.
    """

    def __init__(self, network: nn.Module, described: Mapping[str, Any]) -> None:
        super().__init__()
        shape = described["shape"]
        self.network = network.eval()
        self.described = described
        self._shape, self._max_value = tuple(shape["input_shape"]), int(shape["max_value"])
        self._inputs = read(Inputs, shape.get("inputs", {}))
        names = self._inputs.class_names
        self.classes_: NDArray[Any] = np.array(names) if names else np.arange(shape["n_classes"])

    def forward(self, samples: torch.Tensor) -> torch.Tensor:
        """Logits [S, C]."""
        logits: torch.Tensor = self.network(samples)
        return logits

    @property
    def inputs(self) -> Inputs:
        """The description of the rows that it reads."""
        return self._inputs

    @property
    def scaling(self) -> tuple[int, tuple[float, ...], tuple[float, ...]]:
        """The largest value of a sample, by which it is divided, and mean and deviation of its channels, if any."""
        return self._max_value, self._inputs.mean, self._inputs.deviation

    def predict(self, rows: Any) -> NDArray[Any]:
        """The most probable label of each row [S]; see :meth:`predict_proba`."""
        return np.asarray(self.classes_[self.predict_proba(rows).argmax(1)])

    @torch.inference_mode()
    def predict_proba(self, rows: Any) -> NDArray[np.float64]:
        """Probability of each class [S, C].

        ``rows`` of a table are a data frame, mappings by column, or sequences of cells in the order of its columns, the
        label left out; numbers, text and missing cells as in the table. Of texts they are texts; of image files they
        are paths, bytes of files, or Pillow's images. Elsewhere they are an array: features, or pixels as the data set
        has them, not divided by anything. Raises DataError for rows that do not fit.
        """
        p_SC, n_rows = list[NDArray[np.float64]](), len(rows) if hasattr(rows, "__len__") else None
        done = shares_of("predicting" if n_rows is None else f"predicting {n_rows:,} rows")
        for part in parts_of(rows):
            samples, before = self.samples(part), sum(map(len, p_SC))
            n_all = n_rows or len(samples)
            p_SC.append(self.of_samples(samples, lambda n, before=before, n_all=n_all: done((before + n) / n_all)))  # type: ignore[misc]
        return np.concatenate(p_SC)

    @torch.inference_mode()
    def of_samples(self, samples: torch.Tensor, done: Callable[[int], None] = _unseen) -> NDArray[np.float64]:
        """Probability of each class [S, C] of what :meth:`samples` made; ``done`` is told the rows that have theirs."""
        p_SC = list[torch.Tensor]()
        for chunk in samples.split(BATCH):
            p_SC.append(self(chunk).double().softmax(-1))
            done(min(len(samples), BATCH * len(p_SC)))
        return torch.cat(p_SC).numpy()

    def samples(self, rows: Any) -> torch.Tensor:
        """The rows as the network reads them, float32 [S, ...]."""
        encoder = self._inputs.of_rows
        x = self._array(rows) if encoder is None else torch.from_numpy(encoder.samples_of(rows)).float()
        x = x / self._max_value
        if self._inputs.mean:
            per_channel = (-1, 1, 1)
            x = (x - torch.tensor(self._inputs.mean).view(per_channel)) / torch.tensor(self._inputs.deviation).view(
                per_channel
            )
        return x

    def _array(self, rows: Any) -> torch.Tensor:
        try:
            x = torch.as_tensor(np.asarray(rows, dtype=np.float32))
        except (TypeError, ValueError) as error:
            raise DataError(f"rows must be numbers of shape [rows, {', '.join(map(str, self._shape))}]") from error
        if x.dim() < 1 or not len(x) or x[0].numel() != int(np.prod(self._shape)):
            wanted = ", ".join(map(str, self._shape))
            raise DataError(f"rows of shape {tuple(x.shape)}, the model was trained on [rows, {wanted}]")
        return x.reshape(len(x), *self._shape)


def parts_of(rows: Any) -> Iterator[Any]:
    """Rows to predict: as they are, but a large array, which may lie on a disk, a few batches at a time."""
    if not isinstance(rows, np.ndarray) or rows.ndim < 2 or rows.nbytes <= MOST_BYTES:
        yield rows
        return
    many = BATCH * max(1, MOST_BYTES // (BATCH * rows[:1].nbytes))
    for start in range(0, len(rows), many):
        yield np.asarray(rows[start : start + many])
        forget(rows)
