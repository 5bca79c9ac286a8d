"""The compiled step against the torch step: equal in float64, near in float32, and the same bits on every processor."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from s2e.door import parse_job
from s2e.networks import library
from s2e.train import fused
from s2e.train.epoch import run_epoch
from s2e.train.native import Images, Layer, Move, NativeStack
from s2e.train.population import StackedTrials
from s2e.train.runtime import DTYPES, has_fast_bfloat16
from s2e.train.trial import PopulationEpoch, train_population
from s2e.words import NoiseSpec, TrialError, replace

pytestmark = [
    pytest.mark.native,
    pytest.mark.skipif(library.instruction_set() is None, reason="the native library is not built for this processor"),
]
NUMBERS = (
    "loss", "kept", "label_precision", "label_recall", "validation_accuracy", "test_accuracy", "validation_ensemble",
    "test_ensemble", "train_accuracy", "clean_correct", "wrong_correct", "wrong_memorised",
)  # fmt: skip
CASES = {
    "standard": {"method": "standard"},
    "self-teaching": {"method": "selfteaching"},
    "co-teaching": {"method": "coteaching"},
    "its official division": {"method": "coteaching", "params": {"official_double_division": True}},
    "ranks with three weights": {"method": "sigua_sl"},
    "sgd": {"method": "coteaching", "optimizer": "sgd", "learning_rate": 0.05, "weight_decay": 1e-3},
    "sgd without momentum": {"method": "coteaching", "optimizer": "sgd", "learning_rate": 0.05, "momentum": 0.0},
    "weight decay and beta1": {"method": "coteaching", "weight_decay": 1e-3, "beta1_decay": 0.1},
    "three layers": {"network": "mlp_tabular", "network_params": {"hidden": [21, 50]}},
    "no hidden layer": {"network": "mlp_tabular", "network_params": {"hidden": []}},
    "a loss in torch": {"method": "elr"},
    "a loss in torch, two networks": {"method": "coteaching_plus", "params": {"warm_up_epochs": 1}},
    "skipped networks": {"method": "decoupling", "params": {"warm_up_epochs": 1}},
    "labels corrected": {"method": "forward"},
}
"""The exact agreement of weight decay and beta1 needs room: 1e-8 beside the root of a small second moment."""


def by(step, population):
    return replace(population, plan=replace(population.plan, step=step))


def run(population, **more):
    *epochs, end = train_population(population, **more)
    return [step.epochs for step in epochs], end


def fused_trials(population):
    dtype = DTYPES[population.plan.dtype]
    trials = StackedTrials(population, torch.device("cpu"), dtype)
    return fused.trains(trials)


def assert_near(mine, other, tolerance):
    """The rows of every epoch and the weights at the end."""
    for rows, others in zip(mine[0], other[0], strict=True):
        for row, one in zip(rows, others, strict=True):
            for name in NUMBERS:
                assert getattr(row, name) == pytest.approx(getattr(one, name), abs=tolerance, nan_ok=True), name
    for model, one in zip(mine[1].models, other[1].models, strict=True):
        for name, tensor in one.items():
            torch.testing.assert_close(model[name], tensor, rtol=0, atol=tolerance, msg=lambda m, n=name: f"{n}: {m}")


@pytest.mark.parametrize("shared_order", [True, False])
@pytest.mark.parametrize("case", CASES)
def test_in_float64_both_steps_are_one(tiny, case, shared_order):
    population = tiny((0, 1), shared_order=shared_order, **{"network": "mlp", **CASES[case]})
    assert fused_trials(by("native", population))
    assert not fused_trials(by("torch", population))
    assert_near(run(by("native", population)), run(by("torch", population)), 1e-12)


@pytest.mark.parametrize(
    "data", [{"validation_labels": "noisy"}, {"validation_labels": "noisy_corrected"}, {"n_train": 50}]
)
def test_whatever_labels_and_samples_are_both_steps_are_one(tiny, data):
    population = tiny((0, 1))
    population = replace(population, data=replace(population.data, **data))
    assert_near(run(by("native", population)), run(by("torch", population)), 1e-12)


def test_replaced_images_are_read(tiny, tmp_path):
    """Open-set noise: each trial has images of its own in places, although the trials share their data order."""
    np.savez(tmp_path / "others.npz", images=np.full((10, 8, 8, 3), 255, dtype=np.uint8))
    population = tiny((0, 1), method="coteaching")
    noise = NoiseSpec("open_set", 0.4, open_set="others.npz")
    population = replace(population, data=replace(population.data, noise=noise))
    mine, other = (run(by(step, population), data_root=str(tmp_path)) for step in ("native", "torch"))
    assert_near(mine, other, 1e-12)


def test_in_float32_it_stays_near_over_a_whole_training(tiny):
    """Losses within 1e-5 over 40 steps. Where a gradient is nothing but rounding noise, Adam divides it by its own size
    and moves that weight by up to a step either way, so single weights may differ by a part of the step size (1e-3) and
    only their root mean square stays near rounding (6e-8 of weights of 0.04, times the steps). No sample is so near the
    edge of a selection that it falls on the other side; on larger data that happens, and both go on as two seeds do."""
    population = tiny((0, 1, 2), dtype="float32", n_epochs=8)
    mine, other = run(by("native", population)), run(by("torch", population))
    assert_near((mine[0], replace(mine[1], models=())), (other[0], replace(other[1], models=())), 1e-5)
    for model, one in zip(mine[1].models, other[1].models, strict=True):
        for name, tensor in one.items():
            apart = model[name] - tensor
            assert apart.abs().max() < 1e-3, name
            assert apart.square().mean().sqrt() < 1e-6, name


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_every_instruction_set_gives_the_same_bits(tiny, monkeypatch, dtype):
    sets = [name for name in library.INSTRUCTION_SETS if library.kernels_of(name) is not None]
    population = by("native", tiny((0, 1), dtype=dtype, **CASES["three layers"]))
    ends = []
    for name in sets:
        monkeypatch.setattr("s2e.train.native.instruction_set", lambda half, name=name: name)
        ends.append(run(population)[1])
    for end in ends[1:]:
        assert end.results == ends[0].results
        for name, tensor in ends[0].models[0].items():
            assert torch.equal(end.models[0][name], tensor), name


@pytest.mark.parametrize("shared_order", [True, False])
def test_a_trial_alone_has_the_bits_it_has_among_others(tiny, shared_order):
    population = by("native", tiny((0, 1, 2), dtype="float32", shared_order=shared_order))
    _, together = run(population)
    for i, trial in enumerate(population.trials):
        _, alone = run(replace(population, trials=(trial,)))
        assert alone.results[0] == together.results[i]
        for name, tensor in alone.models[0].items():
            assert torch.equal(together.models[i][name], tensor), name


@pytest.mark.parametrize("optimizer", [{}, {"optimizer": "sgd", "learning_rate": 0.05}])
@pytest.mark.parametrize("first", ["native", "torch"])
def test_either_step_goes_on_where_the_other_stopped(tiny, first, optimizer):
    population = tiny((0, 1), method="coteaching", **optimizer)
    for epochs in train_population(by(first, population)):
        if isinstance(epochs, PopulationEpoch) and epochs.epochs[0].epoch == 1:
            checkpoints = epochs.checkpoints()
    second = {"native": "torch", "torch": "native"}[first]
    _, end = run(by(second, population), start=checkpoints)
    assert_near(([], end), ([], run(by("torch", population))[1]), 1e-12)


def test_a_trial_that_is_no_number_leaves_and_the_others_stay_as_they_are(tiny):
    population = by("native", tiny((0, 1, 2), dtype="float32"))
    trials = StackedTrials(population, torch.device("cpu"), torch.float32)
    trials.tensors["hidden.weight"].data[2, 3, 4] = float("nan")  # of trial 1, whose first network this is
    assert [row.finite for row in run_epoch(trials, 0)] == [True, False, True]
    trials.keep([0, 2])
    run_epoch(trials, 1)
    undisturbed = StackedTrials(population, torch.device("cpu"), torch.float32)
    for t in range(2):
        run_epoch(undisturbed, t)
    for k, i in ((0, 0), (1, 2)):
        for name, tensor in undisturbed.export(i).items():
            assert torch.equal(trials.export(k)[name], tensor)


def one_layer(n_inputs=5, n_classes=3, batch_size=7, dtype=torch.float32, looks_first=False):
    """A linear classifier of 7 samples, and the stack that trains it."""
    generator = torch.Generator().manual_seed(3)
    weight = torch.randn(2, n_classes, n_inputs, generator=generator, dtype=dtype)
    bias = torch.randn(2, n_classes, generator=generator, dtype=dtype)
    x = torch.randn(batch_size, n_inputs, generator=generator, dtype=dtype)
    layer = Layer(weight, bias, (None, None), (None, None))
    stack = NativeStack(
        [layer],
        Images(x, 1.0),
        n_trials=1,
        batch_size=batch_size,
        n_orders=1,
        looks_first=looks_first,
    )
    return weight, bias, x, stack


@pytest.mark.parametrize("n_lit", [0, 1, 40])
def test_inputs_that_are_zero_are_left_out_without_a_bit(n_lit):
    """Wide inputs most of which are zero, whole columns and corners of them, beside the others alone."""
    generator = torch.Generator().manual_seed(5)
    lit_I = torch.randperm(130, generator=generator)[:n_lit].sort().values
    x_BI = torch.zeros(37, 130)
    x_BI[:, lit_I] = torch.rand(37, n_lit, generator=generator)
    x_BI[:, 60:] *= torch.arange(37)[:, None] > 20
    weight_GOI = torch.randn(2, 9, 130, generator=generator)
    row, label = torch.arange(37).view(1, 1, 37), (torch.arange(37) % 9).view(1, 1, 37)

    def trained(x, weight):
        layer = Layer(weight, torch.zeros(2, 9), (None, None), (None, None))
        with NativeStack([layer], Images(x, 1.0), n_trials=1, batch_size=37, n_orders=1) as stack:
            result = stack.epoch(Move(0.1, 0.0, 0), row, label, torch.ones(1, 37), exchanges=False)
            return result.loss_MKN, weight, stack.predict(37)[0]

    kept = lit_I if n_lit else torch.tensor([0])  # a stack has one input at least
    loss, weight, predicted = trained(x_BI, weight_GOI.clone())
    others = trained(x_BI[:, kept].contiguous(), weight_GOI[..., kept].contiguous())
    assert torch.equal(loss, others[0])
    assert torch.equal(weight[..., kept], others[1])
    assert torch.equal(predicted, others[2])
    dark = torch.ones(130, dtype=torch.bool).index_fill_(0, kept, 0)
    assert torch.equal(weight[..., dark], weight_GOI[..., dark])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(
    ("n_samples", "n_inputs", "n_hidden", "n_kept"), [(37, 131, 103, 11), (8, 40, 5, 8), (1, 33, 17, 1)]
)
def test_a_product_by_its_terms_has_the_bits_of_the_whole_product(
    monkeypatch, dtype, n_samples, n_inputs, n_hidden, n_kept
):
    """A fifth of the inputs is lit, beside the same with others that are lit and weigh nothing; some samples kept."""
    generator = torch.Generator().manual_seed(7)
    x_BI = torch.rand(n_samples, n_inputs, generator=generator, dtype=dtype)
    x_BI *= torch.rand(x_BI.shape, generator=generator) < 0.2
    first_GOI = torch.randn(2, n_hidden, n_inputs, generator=generator, dtype=dtype)
    second_GOI = torch.randn(2, 9, n_hidden, generator=generator, dtype=dtype)
    row, label = torch.arange(n_samples).view(1, 1, -1), (torch.arange(n_samples) % 9).view(1, 1, -1)
    by_rank = (torch.arange(n_samples) < n_kept).to(dtype)[None] / n_kept

    def trained(n_lit):
        """The step's outcome with inputs beside that are all lit; so many of them make the whole product cheaper."""
        x = torch.cat([x_BI, torch.ones(n_samples, n_lit, dtype=dtype)], 1)
        weights = (torch.nn.functional.pad(first_GOI, (0, n_lit)), second_GOI.clone())
        memories = [tuple(torch.zeros_like(weight) for _ in range(2)) for weight in weights]
        biases = [torch.zeros(weight.shape[:2], dtype=dtype) for weight in weights]
        layers = [
            Layer(weight, bias, memory, (torch.zeros_like(bias), torch.zeros_like(bias)))
            for weight, bias, memory in zip(weights, biases, memories, strict=True)
        ]
        with NativeStack(layers, Images(x, 1.0), n_trials=1, batch_size=n_samples, n_orders=1) as stack:
            move = Move(0.1, 1e-3, 0, betas=(0.9, 0.999), epsilon=1e-8)
            result = stack.epoch(move, row, label, by_rank, exchanges=True)
        moments = [memory[..., :n_inputs] for memory in memories[0]]
        return [result.loss_MKN, *biases, weights[0][..., :n_inputs], weights[1], *moments]

    for name in library.INSTRUCTION_SETS:
        if library.kernels_of(name) is None:
            continue
        monkeypatch.setattr("s2e.train.native.instruction_set", lambda half, name=name: name)
        for by_terms, whole in zip(trained(0), trained(5 * n_inputs), strict=True):
            assert torch.equal(by_terms, whole), name


@pytest.mark.parametrize("scale", [0.0, 1e-3, 1.0, 30.0, 1e4])
def test_cross_entropy_is_as_exact_as_float32_allows(scale):
    """Against float64; the loss of a sample with probability near 0 or 1 included."""
    weight, bias, x, stack = one_layer()
    weight *= scale
    bias *= scale
    label_B = torch.tensor([0, 1, 2, 0, 1, 2, 0])
    exact_2B = torch.stack(
        [
            torch.nn.functional.cross_entropy(x.double() @ w.double().T + b.double(), label_B, reduction="none")
            for w, b in zip(weight, bias, strict=True)
        ]
    )
    keeps_one = torch.eye(7)[:1]  # the smallest loss counts 1: the largest, reversed
    row = torch.arange(7).view(1, 1, 7)
    with stack:
        still = Move(0.0, 0.0, 0)
        smallest = stack.epoch(still, row, label_B.view(1, 1, 7), keeps_one, exchanges=False)
        largest = stack.epoch(still, row, label_B.view(1, 1, 7), keeps_one.flip(1), exchanges=False)
    spread = 4e-6 * scale + 4e-7
    torch.testing.assert_close(smallest.loss_MKN[0, 0].double(), exact_2B.amin(1), rtol=2e-6, atol=spread)
    torch.testing.assert_close(largest.loss_MKN[0, 0].double(), exact_2B.amax(1), rtol=2e-6, atol=spread)
    logits = torch.einsum("bi,gci->gbc", x, weight) + bias[:, None]
    assert torch.equal(smallest.predicted_MKNB[0, 0].long(), logits.argmax(-1))


def test_losses_that_are_no_numbers_rank_last_and_show():
    _, _, x, stack = one_layer()
    x[2] = float("nan")
    x[4] = float("inf")
    row, label = torch.arange(7).view(1, 1, 7), torch.zeros(1, 1, 7, dtype=torch.int64)
    by_rank = (torch.arange(7) < 5).float()[None]
    with stack:
        result = stack.epoch(Move(0.0, 0.0, 0), row, label, by_rank, exchanges=False)
    assert result.weight_MKNB[0, 0].tolist() == [[1, 1, 0, 1, 0, 1, 1]] * 2
    assert not result.loss_MKN.isfinite().any()


def test_equal_losses_are_taken_in_batch_order():
    _, _, x, stack = one_layer(batch_size=200)
    x[:] = x[0].clone()
    row, label = torch.arange(200).view(1, 1, 200), torch.zeros(1, 1, 200, dtype=torch.int64)
    with stack:
        by_rank = (torch.arange(200) < 70).float()[None]
        result = stack.epoch(Move(0.0, 0.0, 0), row, label, by_rank, exchanges=True)
    assert result.weight_MKNB[0, 0].tolist() == [[1.0] * 70 + [0.0] * 130] * 2


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32, torch.float64])
def test_pixels_are_scaled_and_normalised_as_the_engine_does(dtype):
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (9, 5), generator=generator).to(dtype)
    mean, std = torch.rand(5, generator=generator), torch.rand(5, generator=generator) + 0.5
    weight, bias, _, stack = one_layer(n_inputs=5, batch_size=9)
    stack.close()
    layer = Layer(weight, bias, (None, None), (None, None))
    images = Images(pixels, 255.0, mean, std)
    with NativeStack([layer], images, n_trials=1, batch_size=9, n_orders=1, looks_first=True) as stack:
        logits_1NBC = stack.forward(torch.arange(9).view(1, 9))
    x = (pixels.float() / 255 - mean) / std
    torch.testing.assert_close(logits_1NBC[0], torch.einsum("bi,gci->gbc", x, weight) + bias[:, None])


def test_what_it_cannot_train_takes_the_torch_step(tiny, monkeypatch):
    assert fused_trials(tiny((0,), network="mlp"))
    for other in (
        {"network": "model1"},
        {"network": "sigua_deep"},
        {"method": "mixup"},
        {"method": "elr_plus"},
        {"network": "mlp", "augment": "crop_flip"},
    ):
        assert not fused_trials(by("native", tiny((0,), **other)))
    several = tiny((0,), network="mlp")
    assert not fused_trials(replace(several, plan=replace(several.plan, threads=2)))


def test_without_the_library_auto_takes_torch_and_a_native_plan_is_for_another_place(tiny, monkeypatch):
    """A stored plan says which step trains: the choice is never a worker's."""
    monkeypatch.setenv("ATEN_CPU_CAPABILITY", "default")
    assert parse_job({}).plan.step == "torch"
    assert not fused_trials(by("auto", tiny((0,))))
    assert run(by("auto", tiny((0,))))[1].results == run(by("torch", tiny((0,))))[1].results
    assert not fused_trials(by("native", tiny((0,), method="mixup")))
    with pytest.raises(TrialError, match=r"plan\.step is native, .* no compiled library for float64") as refused:
        run(by("native", tiny((0,))))
    assert refused.value.retryable


@pytest.mark.parametrize(
    ("plan", "step"),
    [
        ({}, "native"),
        ({"step": "torch"}, "torch"),
        ({"threads": 2}, "torch"),
        ({"threads": 2, "step": "native"}, "native"),
    ],
)
def test_the_door_settles_which_step_trains(plan, step):
    assert parse_job({"plan": plan}).plan.step == step
    half = "native" if library.instruction_set(half=True) else "torch"
    assert parse_job({"plan": {"dtype": "bfloat16"}}).plan.step == half


def test_an_older_processor_is_stood_in_for_as_torch_has_it(monkeypatch):
    monkeypatch.setenv("ATEN_CPU_CAPABILITY", "avx2")
    assert library.instruction_set() in ("avx2", None)
    assert not has_fast_bfloat16()
    monkeypatch.setenv("ATEN_CPU_CAPABILITY", "default")
    assert library.instruction_set() is None
