"""Samples that stay in their file while they train: the same bits as in memory, of every kind of file and by every way
they are looked at. Methods: tests/contracts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
import torch
from PIL import Image

from s2e import calibrate, model
from s2e.data import datasets, encoders, rows, stream
from s2e.data.datasets import load_split, load_whole
from s2e.data.encoders import NumberEncoder
from s2e.data.own import array_files, cache
from s2e.data.own.look import look
from s2e.data.rows import Rows, Stored, in_memory, joined
from s2e.data.stream import Block, Streamed
from s2e.door import parse_job
from s2e.labels import sources
from s2e.labels.issues import LabelIssues
from s2e.labels.job import job_samples
from s2e.train import resident
from s2e.train.crossfit import Rule, Stack, fold_members
from s2e.train.trial import PopulationEnd, train_population
from s2e.words import DataError, DataSpec, JobSpec, NoiseSpec, PlanSpec, Population, TrainSpec, TrialSpec, replace

N = 60
CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(cache.CACHE_VARIABLE, str(tmp_path / "cache"))


@pytest.fixture
def nothing_is_small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every file counts as a large one, and blocks are of a few rows."""
    for module in (rows, array_files):
        monkeypatch.setattr(module, "SMALL", 0)
    for module in (rows, stream):
        monkeypatch.setattr(module, "BLOCK_BYTES", 700)
    _forget()


@pytest.fixture(autouse=True)
def nothing_is_kept() -> Any:
    yield
    _forget()


def _forget() -> None:
    for kept in (datasets._load, datasets._load_split, resident.resident):
        kept.cache_clear()


def pixels() -> np.ndarray[Any, np.dtype[np.uint8]]:
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, (N, 3, 8, 8)).astype(np.uint8)


def features() -> np.ndarray[Any, np.dtype[np.float64]]:
    return np.random.default_rng(1).normal(3, 2, (N, 5))


LABELS = np.array(["no", "yes", "so"])[np.random.default_rng(2).integers(0, 3, N)]


def _folder(root: Path) -> None:
    (root / "folder").mkdir()
    for name, array in (("X", pixels()), ("y", LABELS), ("X_test", pixels()[:9]), ("y_test", LABELS[:9])):
        np.save(root / "folder" / f"{name}.npy", array)


def _vectors(root: Path) -> None:
    column = pa.array(features().tolist(), pa.list_(pa.float64()))
    table = pa.table({"vector": column, "label": LABELS, "more": np.arange(N)})
    pa.parquet.write_table(table, root / "v.parquet", row_group_size=17)
    with pa.ipc.new_stream(root / "v.arrow", table.schema) as file:
        file.write_table(table, max_chunksize=13)


def _images(root: Path) -> None:
    for i, (pixel, label) in enumerate(zip(pixels(), LABELS, strict=True)):
        (root / "images" / label).mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixel.transpose(1, 2, 0)).save(root / "images" / label / f"{i}.png")


KINDS: dict[str, tuple[Callable[[Path], None], str, dict[str, Any]]] = {
    "npz": (lambda root: np.savez(root / "a.npz", X=pixels(), y=LABELS), "arrays", {"path": "a.npz"}),
    "features, compressed": (
        lambda root: np.savez_compressed(root / "a.npz", X=features(), y=LABELS),
        "arrays",
        {"path": "a.npz", "scale": "standardise"},
    ),
    "columns first": (
        lambda root: np.savez(root / "a.npz", X=np.asfortranarray(features()), y=LABELS),
        "arrays",
        {"path": "a.npz"},
    ),
    "folder of npy": (_folder, "arrays", {"path": "folder"}),
    "parquet": (_vectors, "embeddings", {"path": "v.parquet", "column": "vector", "label": "label"}),
    "arrow": (_vectors, "embeddings", {"path": "v.arrow", "column": "vector", "label": "label"}),
    "images": (_images, "images", {"path": "images", "size": 8}),
}


def spec_of(name: str, params: dict[str, Any], **more: Any) -> DataSpec:
    data = {"name": name, "params": params, "n_validation": 12, **more}
    return parse_job({"data": data, "report": {"tau": 0.2}}).data


@pytest.mark.parametrize("kind", KINDS)
def test_a_large_file_stays_on_its_disk_and_has_the_same_samples(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    write, name, params = KINDS[kind]
    write(tmp_path)
    data = spec_of(name, params)
    small, few = load_whole(data, str(tmp_path)), load_split(data, str(tmp_path))
    request.getfixturevalue("nothing_is_small")
    large, many = load_whole(data, str(tmp_path)), load_split(data, str(tmp_path))
    for mine, other in (
        (large.train_images, small.train_images),
        (large.test_images, small.test_images),
        (many.validation.images, few.validation.images),
    ):
        assert isinstance(mine, Rows)
        assert isinstance(other, torch.Tensor)
        assert (mine.shape, mine.dtype) == (other.shape, other.dtype)
        assert torch.equal(in_memory(mine), other)
    assert (large.max_value, large.encoder) == (small.max_value, small.encoder)
    assert large.train_ids.tolist() == small.train_ids.tolist()
    assert look(data, str(tmp_path))["preview"]["n_rows"] == len(small.train_labels) + len(small.test_labels)


CASES: dict[str, dict[str, Any]] = {
    "compiled": {"step": "native"},
    "compiled, a loss of its own": {"step": "native", "method": "gce"},
    "torch": {"step": "torch"},
    "an order of its own": {"step": "native", "own_order": True},
    "torch, an order of its own": {"step": "torch", "own_order": True},
    "a network of convolutions": {"step": "torch", "network": "model2"},
    "augmented, two views": {"step": "torch", "augment": "crop_flip", "method": "dividemix", "warm_up_epochs": 1},
    "replaced images": {"step": "native", "noise": NoiseSpec("open_set", 0.4, open_set="others.npz")},
    "torch, replaced images": {"step": "torch", "noise": NoiseSpec("open_set", 0.4, open_set="others.npz")},
    "a share of the rows": {"step": "native", "data_share": 0.5},
}


def _population(samples: str, case: dict[str, Any]) -> Population:
    case = dict(case)
    step, own_order, share = case.pop("step"), case.pop("own_order", False), case.pop("data_share", 1.0)
    more = (
        {"noise": noise, "labels": "injected", "validation_labels": "clean"}
        if (noise := case.pop("noise", None))
        else {}
    )
    params = {"warm_up_epochs": case.pop("warm_up_epochs")} if "warm_up_epochs" in case else {}
    data = replace(spec_of("arrays", {"path": "a.npz"}), **more)
    train = TrainSpec(**{"n_epochs": 3, "batch_size": 8, "method": "coteaching", "params": params, **case})
    trials = tuple(TrialSpec(0, k, "search", 0, (1.0, 0.8, 0.6), k, 9 + k * own_order, 4) for k in range(2))
    if share < 1:
        trials = tuple(replace(t, fidelity=replace(t.fidelity, data_share=share)) for t in trials)
    return Population(data, train, PlanSpec(step=step, samples=samples), 1, trials)


@pytest.mark.native
@pytest.mark.parametrize("case", CASES)
def test_streamed_samples_train_to_the_same_bits(case: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    np.savez(tmp_path / "a.npz", X=pixels(), y=LABELS)
    np.savez(tmp_path / "others.npz", images=pixels().transpose(0, 2, 3, 1)[::-1])
    *told, end = train_population(_population("resident", CASES[case]), data_root=str(tmp_path))
    request.getfixturevalue("nothing_is_small")
    *streamed, last = train_population(_population("streamed", CASES[case]), data_root=str(tmp_path))
    assert [one.epochs for one in streamed] == [one.epochs for one in told]
    assert isinstance(last, PopulationEnd)
    assert last.results == end.results
    for trained, other in zip(last.models, end.models, strict=True):
        assert trained.keys() == other.keys()
        assert all(torch.equal(trained[name], other[name]) for name in trained)
    for mine, other in zip(last.margins, end.margins, strict=True):
        np.testing.assert_array_equal(mine.margin_NS, other.margin_NS)


@pytest.mark.parametrize("noise", [None, NoiseSpec("open_set", 0.4, open_set="others.npz")])
def test_cross_fitting_on_streamed_samples_says_the_same(
    noise: NoiseSpec | None, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    np.savez(tmp_path / "a.npz", X=pixels(), y=LABELS)
    np.savez(tmp_path / "others.npz", images=pixels().transpose(0, 2, 3, 1)[::-1])
    job = parse_job({"train": {"network": "mlp", "batch_size": 8, "n_epochs": 2}, "report": {"tau": 0.2}})
    job = replace(job, data=spec_of("arrays", {"path": "a.npz"}))
    if noise is not None:
        job = replace(job, data=replace(job.data, noise=noise, labels="injected", validation_labels="clean"))
    fits = []
    for samples in ("resident", "streamed"):
        if samples == "streamed":
            request.getfixturevalue("nothing_is_small")
        mine = job_samples(replace(job, plan=replace(job.plan, samples=samples)), str(tmp_path))
        assert isinstance(mine.samples.x, Streamed) == (samples == "streamed")
        stack = Stack(mine.samples, mine.network, fold_members(np.arange(len(mine.samples)) % 3, 1, "test"), job.train)
        held_out = stack.run([Rule()] * 3, 3, n_averaged=2)
        fits.append((held_out.combined(len(mine.samples)), stack.margin_KNS.numpy()))
    for mine, other in zip(*fits, strict=True):
        np.testing.assert_array_equal(mine, other)


def test_it_is_chosen_by_size_and_memory_and_can_be_set(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(resident, "usable_cores", lambda: 4)
    monkeypatch.setattr(resident, "usable_bytes", lambda: 8 * 2**30)
    caplog.set_level("INFO")
    assert not resident.needs_stream(PlanSpec(), 2**30)
    assert not caplog.messages
    assert resident.needs_stream(PlanSpec(), 2**30 + 1)
    assert caplog.messages == ["samples are streamed: 1.0 GiB, of 2.0 GiB of memory"]
    assert not resident.needs_stream(PlanSpec(threads=4), 2**30 + 1)
    assert resident.needs_stream(PlanSpec(samples="streamed"), 1)
    assert not resident.needs_stream(PlanSpec(samples="resident"), 2**40)
    images = DataSpec(name="digits", n_validation=100)
    assert calibrate._streamed(JobSpec(data=images), None) == []
    monkeypatch.setattr(resident, "usable_bytes", lambda: 1)
    (said,) = calibrate._streamed(JobSpec(data=images), None)
    assert said == "samples in memory: 0.0 GiB are too many here; they are streamed from their file"
    monkeypatch.setattr(resident, "usable_bytes", lambda: None)
    assert not resident.needs_stream(PlanSpec(), 2**40)


def test_what_needs_all_samples_in_memory_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows, "usable_bytes", lambda: 100)
    with pytest.raises(DataError, match=r"svc needs all samples in memory: 0\.0 GiB, of 0\.0 GiB that are free"):
        in_memory(Rows([Stored(np.zeros((20, 3), dtype=np.float32))]), "svc")


def test_rows_of_several_files_are_one_list() -> None:
    x = np.arange(20.0, dtype=np.float32).reshape(10, 2)
    some = joined([Rows([Stored(x[:4])])[torch.tensor([3, 0])], torch.from_numpy(x[4:])])
    assert isinstance(some, Rows)
    whole = x[[3, 0, *range(4, 10)]]
    np.testing.assert_array_equal(in_memory(some).numpy(), whole)
    index = torch.tensor([7, 0, 1, 2, 7])
    np.testing.assert_array_equal(some.index_select(0, index).numpy(), whole[index])
    np.testing.assert_array_equal(in_memory(some[index]).numpy(), whole[index])
    assert (some.dim(), len(some), some.n_bytes) == (2, 8, 64)


def test_a_block_knows_its_own_steps_and_no_other_index() -> None:
    order = torch.arange(12).view(4, 3)
    block = Block(order[1:3], torch.arange(6) * 10)
    assert block.of(order[2]).tolist() == [30, 40, 50]
    for other in (order[0], order[3], order[2].clone(), order[1][:2], order.flatten()[4:7]):
        assert block.of(other) is None


def test_images_of_one_channel_have_the_strides_of_those_in_memory() -> None:
    """They tell a convolution which kernel to take: with others it was slower by a third, and other bits."""
    images = torch.arange(6 * 16, dtype=torch.uint8).view(6, 1, 4, 4)
    index, arrange = torch.tensor([[4, 1], [0, 3]]), lambda x: x.permute(0, 2, 3, 1).contiguous()
    here, streamed = arrange(images), Streamed(images, arrange, torch.device("cpu"))
    expected = here.index_select(0, index[0])
    one = streamed.index_select(0, index[0])
    ((_, block),) = stream.read_ahead(streamed, index, lambda order: order)
    assert block is not None
    for x in (one, block.of(index[0])):
        assert x is not None
        assert torch.equal(x, expected)
        assert x.stride() == expected.stride()
    whole = next(iter(streamed.split(6)))  # validation reads them in their order, as slices of those in memory
    assert whole.stride() == next(iter(here.split(6))).stride()


def test_a_failing_read_ends_the_training_with_its_error() -> None:
    def broken(part: Any) -> Any:
        if len(part) > 1:
            raise OSError("the disk is gone")
        return part

    some = Streamed(Rows([Stored(np.zeros((9, 2), dtype=np.float32), broken)]), lambda x: x, CPU)
    with pytest.raises(OSError, match="the disk is gone"):
        list(some.split(4))


def test_means_of_many_rows_are_those_of_all(monkeypatch: pytest.MonkeyPatch) -> None:
    x, chosen = features(), np.arange(0, N, 2)
    whole = NumberEncoder.of_rows(x, chosen)
    monkeypatch.setattr(encoders, "MOST_NUMBERS", 40)
    parts = NumberEncoder.of_rows(x, chosen)
    np.testing.assert_allclose([parts.mean, parts.scale], [whole.mean, whole.scale], rtol=1e-12)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"X": np.full((N, 2), np.nan)}, r"a\.npz, X, row 0 \(60 such rows\): not finite numbers"),
        ({"X": np.array([[object()]] * N)}, "nothing is unpickled"),
        ({"X": pixels(), "X_test": pixels()}, "one of X_test and y_test"),
        ({}, "no array 'X'"),
    ],
)
def test_slips_in_large_files_are_named(
    arrays: dict[str, Any], message: str, tmp_path: Path, nothing_is_small: None
) -> None:
    np.savez(tmp_path / "a.npz", **{**arrays, "y": LABELS})
    with pytest.raises(DataError, match=message):
        load_whole(spec_of("arrays", {"path": "a.npz"}), str(tmp_path))


def test_labels_of_a_large_file_are_judged_where_they_are(
    tmp_path: Path, nothing_is_small: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    np.savez(tmp_path / "a.npz", X=pixels(), y=LABELS)
    seen: list[Any] = []
    monkeypatch.setattr(sources, "estimate_noise", lambda samples, *_, **__: seen.append(samples))
    monkeypatch.setattr(sources, "judged", lambda *_: LabelIssues(*[np.zeros(N)] * 5, None))
    monkeypatch.setattr(resident, "usable_bytes", lambda: 1)
    data, rows_ = spec_of("arrays", {"path": "a.npz"}), np.arange(N)[::-1].copy()
    sources.source_issues(data, str(tmp_path), TrainSpec(network="mlp"), rows=rows_)
    (samples,) = seen
    assert isinstance(samples.x, Streamed)
    whole = load_whole(data, str(tmp_path))
    every = torch.cat([in_memory(whole.train_images), in_memory(whole.test_images)]).flip(0)
    assert torch.equal(samples.at(torch.arange(N)).flatten(1), every.flatten(1).float() / 255)


def test_an_array_that_is_not_read_is_predicted_a_part_at_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    np.save(tmp_path / "new.npy", pixels())
    network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(192, 3))
    described = {"shape": {"input_shape": [3, 8, 8], "max_value": 255, "n_classes": 3}}
    mine = model.Model(network, described)
    whole = mine.predict_proba(pixels())
    monkeypatch.setattr(model, "MOST_BYTES", 0)
    monkeypatch.setattr(model, "BATCH", 7)
    np.testing.assert_allclose(mine.predict_proba(np.load(tmp_path / "new.npy", mmap_mode="r")), whole, atol=1e-6)
