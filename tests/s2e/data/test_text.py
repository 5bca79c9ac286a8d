"""20 Newsgroups: counting words by hand, both layouts alike, damaged files."""

from __future__ import annotations

import os

import numpy as np
import pytest
import torch

from s2e.data.datasets import load_split
from s2e.data.text import COUNTS, FOLDERS, N_TERMS, count_posts, features, load_newsgroups20
from s2e.words import DataError, DataSpec

ROOT = os.environ.get("S2E_DATA_ROOT")
POST = "From: a@b\nSubject: header words\n\n{}\n"


@pytest.fixture
def posts(tmp_path):
    """Twenty groups of one training and one test post, as published."""
    for folder in FOLDERS:
        for g in range(20):
            (tmp_path / folder / f"group.{g:02d}").mkdir(parents=True)
            text = "Apple apple I'm 42 zebra" if g == 0 else "zebra caf\xe9\n\nmango"
            (tmp_path / folder / f"group.{g:02d}" / "1001").write_bytes(POST.format(text).encode("latin-1"))
    return tmp_path


def test_words_are_counted_without_headers_digits_and_single_letters(posts):
    counts = count_posts(posts)
    # alphabetical: apple caf mango zebra; "I'm" leaves two single letters
    assert counts.count_SV.shape == (40, 4)
    assert counts.count_SV[0].toarray().tolist() == [[2, 0, 0, 1]]
    assert counts.count_SV[1].toarray().tolist() == [[0, 1, 1, 1]]
    assert counts.label_S.tolist() == 2 * list(range(20))
    assert counts.is_train_S.tolist() == 20 * [True] + 20 * [False]


def test_a_post_without_a_header_is_all_body(posts):
    (posts / FOLDERS[0] / "group.00" / "1001").write_text("mango zebra\nmango")
    assert count_posts(posts).count_SV[0].toarray().tolist() == [[0, 0, 2, 1]]


def test_features_are_log_counts_of_the_terms_of_most_training_posts(posts):
    data = features(count_posts(posts), n_terms=2)
    # zebra is in 20 posts, caf and mango in 19, apple in 1: zebra and, of two alike, the first
    expected = torch.log1p(torch.tensor([[0.0, 1.0], [1.0, 1.0]]))
    torch.testing.assert_close(data.train_images[:2], expected)
    assert data.train_images.dtype == torch.float32
    assert (data.max_value, data.n_classes, len(data.test_labels)) == (1, 20, 20)


def write_counts(root, **changed):
    arrays = {
        "data": np.array([2, 1, 1], dtype=np.uint8),
        "indices": np.array([0, 1, 1], dtype=np.uint16),
        "indptr": np.array([0, 2, 3, 3], dtype=np.int32),
        "shape": np.array([3, 2], dtype=np.int32),
        "label": np.array([0, 19, 3], dtype=np.uint8),
        "is_train": np.array([True, True, False]),
    }
    (root / COUNTS).parent.mkdir()
    np.savez(root / COUNTS, **{key: value for key, value in {**arrays, **changed}.items() if value is not None})
    return str(root)


def test_the_compact_file_is_read(tmp_path):
    data = load_newsgroups20(write_counts(tmp_path))
    assert data.train_images.shape == (2, N_TERMS)  # terms that are not there are zero
    torch.testing.assert_close(data.train_images[0, :3], torch.log1p(torch.tensor([2.0, 1.0, 0.0])))
    assert data.train_labels.tolist() == [0, 19]
    assert data.test_images.count_nonzero() == 0


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"indptr": None}, "does not hold word counts"),
        ({"indices": np.array([0, 9, 1])}, "does not hold word counts"),
        ({"label": np.array([0, 1])}, "3 posts, but 2 labels and 3 parts"),
        ({"is_train": np.array([object()])}, "does not hold word counts"),
    ],
)
def test_a_damaged_file_is_refused(tmp_path, changed, message):
    with pytest.raises(DataError, match=message):
        load_newsgroups20(write_counts(tmp_path, **changed))


def test_missing_posts_are_named(tmp_path, posts):
    with pytest.raises(DataError, match=r"set S2E_DATA_ROOT to a folder that holds 20news/20news-counts\.npz, or the"):
        load_newsgroups20(None)
    (posts / FOLDERS[1] / "group.19" / "1001").unlink()
    (posts / FOLDERS[1] / "group.19").rmdir()
    with pytest.raises(DataError, match="hold 20 and 19 groups, not the same 20"):
        load_newsgroups20(str(posts))
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(DataError, match="newsgroups20 not found below S2E_DATA_ROOT"):
        load_newsgroups20(str(empty))


@pytest.mark.data
@pytest.mark.skipif(ROOT is None, reason="S2E_DATA_ROOT is not set")
def test_the_real_posts_have_their_documented_sizes():
    data = load_split(DataSpec(name="newsgroups20", n_validation=1_131), ROOT)
    assert data.train.images.shape == (10_183, N_TERMS)
    assert len(data.test.labels) == 7_532
    assert torch.bincount(torch.cat([data.train.labels, data.validation.labels])).tolist()[:3] == [480, 584, 591]
    assert 0 < float(data.train.images.max()) <= np.log(256) + 1e-6
