"""A network, batch size, step size and number of epochs for new data, from rows, classes and kind.

A first guess that trains within minutes, in round numbers and with its reasons. No torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from s2e.words import Sizes

N_STEPS = 4_000
"""Steps of the optimiser, about: where small networks have mostly stopped to learn."""
FEWEST_EPOCHS, MOST_EPOCHS = 10, 100
SMALLEST_MODEL1 = 16
"""Pixels of a side that its two 5x5 convolutions need."""


@dataclass(frozen=True)
class Proposal:
    """Sections of a job, and the reasons."""

    data: dict[str, Any]
    train: dict[str, Any]
    reasons: tuple[str, ...]


def proposal(shape: Sequence[int], n_rows: int, n_classes: int, n_trusted_validation: int = 0) -> Proposal:
    """For samples of ``shape``; ``n_rows`` are those that do not test."""
    sizes = proposed_sizes(n_rows, n_classes, n_trusted_validation)
    network, why = proposed_network(shape, n_rows)
    reasons = dict.fromkeys((why, *sizes.reasons.values(), "step size 0.001 of Adam, which these networks take"))
    train = {**network, "batch_size": sizes.batch_size, "n_epochs": sizes.n_epochs, "learning_rate": 0.001}
    return Proposal({"n_validation": sizes.n_validation}, train, tuple(reasons))


def proposed_sizes(n_rows: int, n_classes: int, n_trusted_validation: int = 0, n_test: int = 0) -> Sizes:
    """Validation rows, batch and epochs for ``n_rows`` that do not test; ``n_test`` is handed on."""
    least = max(5 * n_classes, n_rows // 10)
    n_validation = max(1, min(least, 5_000, n_rows // 3))
    n_train = n_rows if n_trusted_validation else n_rows - n_validation
    batch = 32 if n_rows < 2_000 else 64 if n_rows < 10_000 else 128
    batch = min(max(2, min(batch, n_rows // 4)), max(1, n_train))
    n_epochs = max(FEWEST_EPOCHS, min(MOST_EPOCHS, round(N_STEPS * batch / max(1, n_rows))))
    n_steps = n_epochs * max(1, n_train // batch)
    why = "a tenth, and five of each class or more" if n_validation == least else "a third" if n_rows >= 3 else "one"
    validates = f"{n_validation} rows validate: {why}"
    reasons = {
        "n_validation": "" if n_trusted_validation else validates,
        "batch_size": f"batches of {batch}: {n_train} rows train",
        "n_epochs": f"{n_epochs} epochs: about {n_steps:,} steps",
    }
    return Sizes(n_validation, batch, n_epochs, n_test, {name: words for name, words in reasons.items() if words})


def proposed_network(shape: Sequence[int], n_rows: int) -> tuple[dict[str, Any], str]:
    """Fields of the section ``train``, and the reason."""
    if len(shape) == 3:
        if min(shape[1:]) >= SMALLEST_MODEL1:
            return {"network": "model1"}, "network model1: images large enough for two convolutions"
        return {"network": "mlp"}, "network mlp: images too small for convolutions of 5x5"
    hidden = [256, 256] if n_rows >= 2_000 else [256]
    settings = {"network": "mlp_tabular", "network_params": {"hidden": hidden}}
    return (
        settings,
        f"network mlp_tabular with {' and '.join(map(str, hidden))} hidden units: rows of {shape[0]} features",
    )
