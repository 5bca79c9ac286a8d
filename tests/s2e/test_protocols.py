"""Published protocols: every one is a whole job, what a user sets wins, and the published details are there."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s2e.door import parse_job
from s2e.door.protocols import expand, merged
from s2e.parts import PROTOCOLS
from s2e.train.optimizer import learning_rate
from s2e.words import JobSpec, SpecError, to_json

CASES = [(name, dataset) for name, protocol in PROTOCOLS.items() for dataset in protocol.datasets]


def job(name: str, dataset: str, **sections: Any) -> JobSpec:
    return parse_job({"protocol": name, **sections, "data": {"name": dataset, **sections.get("data", {})}})


@pytest.mark.parametrize(("name", "dataset"), CASES)
def test_a_protocol_is_a_job_that_survives_storing(name: str, dataset: str) -> None:
    spec = job(name, dataset)
    assert spec.protocol == name
    assert parse_job(json.loads(json.dumps(to_json(spec)))) == spec


@pytest.mark.parametrize(("name", "dataset"), CASES)
def test_every_field_can_be_overridden(name: str, dataset: str) -> None:
    """The job of today's defaults, said in full, is not changed by any protocol."""
    plain = to_json(parse_job({"data": {"name": dataset}, "train": {"network": "model1"}}))
    assert to_json(parse_job({**plain, "protocol": name})) == {**plain, "protocol": name}


def test_the_issues_protocols_are_there() -> None:
    asked = {"s2e", "co-teaching", "co-teaching-plus", "sigua-set1", "sigua-set2", "elr", "elr-cosine", "elr-plus"}
    assert set(PROTOCOLS) >= asked | {"part-dependent", "pencil", "joint-optim", "forward"}
    assert all(protocol.summary for protocol in PROTOCOLS.values())


def test_s2e_keeps_beta1_and_coteaching_changes_it() -> None:
    s2e, coteaching = job("s2e", "cifar10").train, job("co-teaching", "cifar10").train
    assert (s2e.beta1, s2e.beta1_decay, s2e.network, s2e.n_epochs) == (0.9, None, "model1", 200)
    assert (coteaching.beta1, coteaching.beta1_decay, coteaching.network) == (0.9, 0.1, "cnn9")
    assert [learning_rate(s2e, t) for t in (0, 80)] == [1e-3, 1e-3]
    assert learning_rate(s2e, 140) == pytest.approx(1e-3 * 60 / 120)
    assert learning_rate(job("co-teaching", "cifar100").train, 99) == 1e-3


def test_part_dependent_noise_is_trained_on_as_its_program_does() -> None:
    spec = job("part-dependent", "cifar10", data={"noise": {"noise_rate": 0.3}})
    assert (spec.data.noise.kind, spec.data.noise.noise_rate) == ("part_dependent", 0.3)
    assert (spec.data.n_validation, spec.data.validation_labels, spec.data.normalise) == (5_000, "noisy", "channels")
    train = spec.train
    assert (train.optimizer, train.learning_rate, train.momentum, train.weight_decay) == ("sgd", 0.01, 0.9, 1e-4)
    assert {learning_rate(train, t) for t in range(50)} == {0.01}
    assert (train.network, train.n_epochs, train.batch_size, train.augment) == ("resnet34", 50, 128, "none")
    with pytest.raises(SpecError, match="published for cifar10"):
        job("part-dependent", "mnist")


def test_elr_falls_by_a_hundred_twice() -> None:
    train = job("elr", "cifar10").train
    assert [learning_rate(train, t) for t in (39, 40, 80)] == pytest.approx([0.02, 2e-4, 2e-6])
    assert (train.optimizer, train.weight_decay, train.augment, train.n_epochs) == ("sgd", 1e-3, "crop_flip", 120)
    assert job("elr", "cifar100").train.params == {"strength": 7.0, "target_momentum": 0.9}
    assert job("elr-plus", "cifar100").train.params["refine_labels"] is True


def test_stages_have_step_sizes_of_their_own() -> None:
    """PENCIL: 0.06 to epoch 200, then 0.2, a tenth of it at each third. Joint-Optim trains anew at 200, at 0.2."""
    pencil, joint = job("pencil", "cifar10").train, job("joint-optim", "cifar10").train
    assert [learning_rate(pencil, t) for t in (0, 199, 200, 239, 240, 280, 319)] == [
        0.06, 0.06, 0.2, 0.2, 0.02, 0.002, 0.002,
    ]  # fmt: skip
    assert [learning_rate(joint, t) for t in (199, 200, 279)] == [0.08, 0.2, 0.02]
    assert joint.params["retrain_start"] == joint.lr_milestones[0]
    assert pencil.params["label_end"] == pencil.lr_milestones[0]
    asymmetric = job("joint-optim", "cifar10", data={"noise": {"kind": "asymmetric"}})
    assert (asymmetric.train.learning_rate, asymmetric.data.noise.noise_rate) == (0.03, 0.4)
    assert (asymmetric.train.params["balance"], asymmetric.train.params["entropy"]) == (0.8, 0.4)


def test_forward_correction_is_trained_twice_in_the_same_way() -> None:
    for dataset, n_epochs in (("cifar10", 120), ("cifar100", 150)):
        train = job("forward", dataset).train
        assert (train.params["transition"], train.params["estimation_epochs"]) == ("estimated", n_epochs)
        first = [learning_rate(train, t) for t in range(n_epochs)]
        assert [learning_rate(train, t) for t in range(n_epochs, train.n_epochs)] == first
        assert (first[0], first[-1]) == (0.1, 0.001)


def test_dividemix_follows_the_noise() -> None:
    def settings_of(kind: str, noise_rate: float) -> tuple[bool, int]:
        params = job("dividemix", "cifar10", data=noisy(kind, noise_rate)).train.params
        return params["confidence_penalty"], params["loss_window"]

    assert settings_of("symmetric_inclusive", 0.5) == (False, 1)
    assert settings_of("symmetric_inclusive", 0.9) == (False, 5)
    assert settings_of("asymmetric_elr", 0.4) == (True, 1)
    assert job("dividemix", "cifar100").train.params["warm_up_epochs"] == 30


def test_sigua_set2_has_beta2_of_a_tenth_and_a_step_size_of_1e_9_by_epoch_60() -> None:
    train = job("sigua-set2", "mnist").train
    assert (train.beta1, train.beta2, train.method) == (0.9, 0.1, "sigua_bc")
    assert learning_rate(train, 60) == pytest.approx(1e-9)


def noisy(kind: str, noise_rate: float) -> dict[str, Any]:
    return {"noise": {"kind": kind, "noise_rate": noise_rate}}


@pytest.mark.parametrize("name", ["elr", "elr-cosine", "elr-plus"])
def test_elr_trains_asymmetric_cifar10_as_published(name: str) -> None:
    """lambda 1 and beta 0.9; symmetric noise has 3 and 0.7, CIFAR-100 7 and 0.9 under any noise."""

    def settings_of(dataset: str, **sections: Any) -> tuple[float, float]:
        params = job(name, dataset, **sections).train.params
        return params["strength"], params["target_momentum"]

    assert settings_of("cifar10", data=noisy("asymmetric", 0.4)) == (1.0, 0.9)
    assert settings_of("cifar10", data=noisy("asymmetric_elr", 0.4)) == (1.0, 0.9)  # which its figures rest on
    assert settings_of("cifar10", data=noisy("symmetric_inclusive", 0.4)) == settings_of("cifar10") == (3.0, 0.7)
    assert settings_of("cifar100", data=noisy("asymmetric", 0.4)) == (7.0, 0.9)
    own = {"params": {"strength": 2.0}}
    assert settings_of("cifar10", data=noisy("asymmetric", 0.4), train=own) == (2.0, 0.9)


@pytest.mark.parametrize(
    ("dataset", "kind", "noise_rate", "gamma", "fraction"),
    [
        ("mnist", "symmetric", 0.2, 0.01, 0.4),
        ("mnist", "symmetric", 0.5, 0.01, 0.3),
        ("mnist", "pair", 0.45, 0.001, 0.7),
        ("cifar10", "symmetric", 0.2, 0.01, 0.4),
        ("cifar10", "symmetric", 0.5, 0.01, 0.3),
        ("cifar10", "pair", 0.45, 0.01, 0.3),
    ],
)
def test_sigua_set1_has_the_gammas_and_fractions_of_its_six_settings(
    dataset: str, kind: str, noise_rate: float, gamma: float, fraction: float
) -> None:
    params = job("sigua-set1", dataset, data=noisy(kind, noise_rate)).train.params
    assert (params["gamma"], params["fraction"], params["normalise"]) == (gamma, fraction, "group")


def test_sigua_set2_warms_up_where_its_program_does() -> None:
    warm_up = {
        (dataset, rate): job("sigua-set2", dataset, data=noisy("symmetric", rate)).train.params["warm_up_epochs"]
        for dataset in ("mnist", "cifar10")
        for rate in (0.2, 0.5)
    }
    assert {case for case, epochs in warm_up.items() if epochs} == {("cifar10", 0.5)}
    assert warm_up["cifar10", 0.5] == 18


@pytest.mark.parametrize("noise", [3, {"kind": 4}, {"kind": "pair", "noise_rate": "much"}, {"kind": "weird"}])
def test_a_noise_that_is_none_is_refused_by_name(noise: Any) -> None:
    with pytest.raises(SpecError, match=r"data\.noise"):
        parse_job({"protocol": "elr", "data": {"name": "cifar10", "noise": noise}})


def test_what_a_user_sets_wins_and_the_rest_stays() -> None:
    data = {"noise": {"kind": "pair", "noise_rate": 0.45}}
    spec = job("elr", "cifar10", data=data, train={"batch_size": 64, "params": {"strength": 1.0}})
    assert (spec.data.noise.kind, spec.data.noise.noise_rate, spec.data.n_validation) == ("pair", 0.45, 5000)
    assert (spec.train.batch_size, spec.train.network) == (64, "resnet34")
    assert spec.train.params == {"strength": 1.0, "target_momentum": 0.7}


def test_settings_go_with_the_method_optimiser_or_schedule_they_belong_to() -> None:
    train = {"method": "gce", "optimizer": "adam", "lr_schedule": "constant"}
    spec = job("elr", "cifar10", train=train)
    assert (spec.train.params, spec.train.lr_milestones, spec.train.momentum) == ({"q": 0.7}, (), 0.9)
    assert job("pencil", "cifar10", train=train).train.lr_values == ()
    assert spec.train.weight_decay == 1e-3


def test_a_training_too_short_for_the_protocols_milestones_is_refused_by_name() -> None:
    with pytest.raises(SpecError, match=r"train\.lr_milestones = \[40, 80\]: epochs < 20"):
        job("elr", "cifar10", train={"n_epochs": 20})
    assert job("elr", "cifar10", train={"n_epochs": 20, "lr_milestones": [10]}).train.n_epochs == 20


@pytest.mark.parametrize(
    ("data", "refusal"),
    [
        ({"protocol": "elr"}, r"protocol = 'elr': a protocol for data\.name = 'digits'; .* published for cifar10, cif"),
        ({"protocol": "elr", "data": {"name": "mnist"}}, r"protocol = 'elr': .*'mnist'"),
        ({"protocol": "none"}, r"protocol = 'none': one of co-teaching, co-teaching-plus, dividemix, elr"),
        ({"protocol": 3}, r"protocol = 3: one of"),
        ({"protocol": "elr", "data": []}, r"data = '\[\]': must be an object"),
        ({"protocol": "elr", "data": {"name": ["cifar10"]}}, r"data\.name"),
        ({"protocol": "elr", "data": {"name": "cifar10"}, "train": 3}, r"train = 3: must be an object"),
        ({"protocol": "elr", "data": {"name": "cifar10"}, "train": {"warmth": 3}}, r"train\.warmth"),
    ],
)
def test_a_refusal_names_the_field(data: Any, refusal: str) -> None:
    with pytest.raises(SpecError, match=refusal):
        parse_job(data)


def test_without_a_protocol_nothing_changes() -> None:
    assert expand({"seed": 1}) == {"seed": 1}
    assert expand([1]) == [1]
    assert parse_job({"protocol": None}) == parse_job({})


nested = st.recursive(st.integers(0, 3), lambda inner: st.dictionaries(st.sampled_from("abcd"), inner, max_size=3))
sections = st.dictionaries(st.sampled_from("abcd"), nested, max_size=4)


@given(base=sections, over=sections)
def test_merging_keeps_all_of_over_and_what_it_leaves_of_base(base: dict[str, Any], over: dict[str, Any]) -> None:
    both = merged(base, over)
    assert merged(both, over) == both
    assert set(both) == set(base) | set(over)
    for name in both:
        if isinstance(base.get(name), dict) and isinstance(over.get(name), dict):
            assert both[name] == merged(base[name], over[name])
        else:
            assert both[name] == (over[name] if name in over else base[name])
