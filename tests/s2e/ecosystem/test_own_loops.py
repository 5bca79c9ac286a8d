"""R(t) in training loops of others: the plain helper, and the callbacks against the real Trainers where they are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from s2e.data.torchvision_guard import models
from s2e.ecosystem.curves import point_of_curve
from s2e.ecosystem.torch import checked, keep_smallest
from s2e.methods.selection import small_loss
from s2e.schedule import coteaching_keep_rate
from s2e.search.space import S2E


def test_the_smallest_losses_and_no_others_learn() -> None:
    losses = torch.tensor([4.0, 1.0, 3.0, 2.0], requires_grad=True)
    kept = keep_smallest(losses, 0.5)
    kept.backward()
    assert kept.item() == 1.5
    assert losses.grad is not None
    assert losses.grad.tolist() == [0, 0.5, 0, 0.5]
    assert keep_smallest(losses, 0.0).item() == 1.0
    assert keep_smallest(losses, 1.0).item() == 2.5
    assert keep_smallest(losses, 0.5, by=torch.tensor([1.0, 9, 2, 9])).item() == 3.5


def test_it_keeps_what_the_engine_keeps() -> None:
    losses = torch.rand(37, generator=torch.Generator().manual_seed(3)).round(decimals=1)
    for rate in (0.1, 0.5, 0.77, 0.999):
        n = max(1, int(rate * 37 + 1e-9))
        weight = small_loss(losses[None, None], torch.tensor([n]))[0, 0]
        assert keep_smallest(losses, rate).item() == pytest.approx(float((weight * losses).sum()), rel=1e-6)


@pytest.mark.parametrize(("losses", "rate", "words"), [
    (torch.ones(3), 1.2, "keep_rate is 1.2"),
    (torch.tensor(2.0), 0.5, "one for each sample"),
    (torch.ones(2, 3), 0.5, "one for each sample"),
    (torch.ones(0), 0.5, "one for each sample"),
])  # fmt: skip
def test_what_is_no_loss_of_a_batch_is_refused(losses: torch.Tensor, rate: float, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        keep_smallest(losses, rate)
    with pytest.raises(ValueError, match="between 0 and 1"):
        checked([1.0, -0.1])


def test_a_curve_finds_its_point() -> None:
    searched = S2E.schedule(S2E.point(S2E.sample(S2E.initial_theta(), np.random.default_rng(1), 1)[0]), 12)
    for curve in (searched, coteaching_keep_rate(12, 0.4, 4)):
        assert S2E.schedule(point_of_curve(S2E, curve, 12), 12) == pytest.approx(curve, abs=0.05)
    with pytest.raises(ValueError, match="comes closer"):
        point_of_curve(S2E, [1.0, 0.0] * 6, 12)
    with pytest.raises(ValueError, match="12 epochs are wanted"):
        point_of_curve(S2E, [1.0], 12)


@pytest.fixture
def torchvision_there() -> None:
    """Both Trainers import torchvision, which does not import beside every torch."""
    models()


@pytest.mark.others
@pytest.mark.slow
@pytest.mark.xdist_group("others")
@pytest.mark.filterwarnings("ignore")  # of Lightning, about torch and its own loaders
@pytest.mark.parametrize("package", ["lightning.pytorch", "pytorch_lightning"])
def test_lightning_trains_under_the_schedule(package: str, tmp_path: Path, torchvision_there: None) -> None:
    """By either name of the one package."""
    pl = pytest.importorskip(package)
    from s2e.ecosystem.lightning import KeepRate

    class Module(pl.LightningModule):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.layer, self.seen = torch.nn.Linear(4, 2), list[float]()

        def training_step(self, batch: Any, _: int) -> torch.Tensor:
            self.seen.append(self.keep_rate)
            return keep_smallest(F.cross_entropy(self.layer(batch[0]), batch[1], reduction="none"), self.keep_rate)

        def configure_optimizers(self) -> Any:
            return torch.optim.SGD(self.parameters(), 0.1)

    data = torch.utils.data.TensorDataset(torch.rand(8, 4), torch.randint(2, (8,)))
    module, quiet = Module(), {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
    trainer = pl.Trainer(
        max_epochs=4, accelerator="cpu", callbacks=[KeepRate([1.0, 0.5, 0.25])], default_root_dir=tmp_path,
        enable_model_summary=False, **quiet,
    )  # fmt: skip
    trainer.fit(module, torch.utils.data.DataLoader(data, batch_size=4))
    assert module.seen == [1.0, 1.0, 0.5, 0.5, 0.25, 0.25, 0.25, 0.25]


@pytest.mark.others
@pytest.mark.slow
@pytest.mark.xdist_group("others")
@pytest.mark.filterwarnings("ignore")
def test_hugging_faces_trainer_trains_under_the_schedule(tmp_path: Path, torchvision_there: None) -> None:
    transformers = pytest.importorskip("transformers")
    pytest.importorskip("accelerate")
    from s2e.ecosystem.transformers import KeepRate

    class Model(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = torch.nn.Linear(4, 2)

        def forward(self, x: torch.Tensor, labels: torch.Tensor | None = None) -> dict[str, torch.Tensor]:
            return {"logits": self.layer(x)}

    keep, seen = KeepRate([1.0, 0.5, 0.25]), list[float]()

    def loss(outputs: Any, labels: torch.Tensor, **more: Any) -> torch.Tensor:
        seen.append(keep.now)
        return keep.loss(outputs, labels, **more)

    data = [{"x": torch.rand(4), "labels": torch.tensor(i % 2)} for i in range(8)]
    args = transformers.TrainingArguments(
        output_dir=str(tmp_path), num_train_epochs=3, per_device_train_batch_size=4, report_to=[], use_cpu=True,
        disable_tqdm=True, save_strategy="no", logging_strategy="no", remove_unused_columns=False,
    )  # fmt: skip
    transformers.Trainer(Model(), args, train_dataset=data, callbacks=[keep], compute_loss_func=loss).train()
    assert seen == [1.0, 1.0, 0.5, 0.5, 0.25, 0.25]
