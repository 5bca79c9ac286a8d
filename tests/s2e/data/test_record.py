"""The record of a noise draw is enough to repeat it."""

from __future__ import annotations

import hashlib

import numpy as np

from s2e.data.datasets import load_split, noisy_labels
from s2e.data.images import load_digits
from s2e.data.record import noise_record
from s2e.data.transition import symmetric
from s2e.words import DataSpec, NoiseSpec, parse, to_json


def test_a_record_gives_the_noisy_labels_back():
    spec = DataSpec(noise=NoiseSpec("symmetric", 0.4), n_train=600)
    record = noise_record(spec, 11)
    label_S = load_digits().train_labels.numpy().copy()
    np.testing.assert_array_equal(label_S[list(record.flipped)], record.clean_labels)
    label_S[list(record.flipped)] = record.given_labels
    rows_S = load_split(spec).train_rows.numpy()
    given_S = noisy_labels(spec, 11).numpy()
    np.testing.assert_array_equal(label_S[rows_S], given_S)
    assert record.labels_sha256 == hashlib.sha256(given_S.astype("<i8").tobytes()).hexdigest()


def test_a_record_counts_what_was_flipped():
    spec = DataSpec(noise=NoiseSpec("symmetric", 0.4))
    record = noise_record(spec, 11)
    counts_CC = np.array(record.counts)
    assert record.n_samples == counts_CC.sum() == 997
    assert record.n_flipped == len(record.flipped) == counts_CC.sum() - np.trace(counts_CC)
    assert record.realised_noise_rate == record.n_flipped / 997
    np.testing.assert_array_equal(record.transition, symmetric(10, 0.4))
    assert parse(type(record), to_json(record)) == record
    assert noise_record(spec, 12).labels_sha256 != record.labels_sha256
