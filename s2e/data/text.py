"""20 Newsgroups ("bydate") as word counts: log(1 + count) of the terms found in most training posts.

20news/20news-counts.npz                                    counts as a CSR matrix with labels, or
20news-bydate-train/<group>/<post>, 20news-bydate-test/...  the posts as published, counted here
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from s2e.data.datasets import Dataset
from s2e.data.declared.rows import N_GROUPS, N_TERMS
from s2e.data.root import not_found, required_root
from s2e.words import DataError

NAME = "newsgroups20"
COUNTS = "20news/20news-counts.npz"
FOLDERS = ("20news-bydate-train", "20news-bydate-test")
MAX_COUNT = 255
_TOKEN = re.compile(r"[a-z]{2,}")


@dataclass(frozen=True)
class Counts:
    """Term counts of each post [S, V], with labels and split. Terms are in alphabetical order."""

    count_SV: csr_matrix
    label_S: NDArray[np.int64]
    is_train_S: NDArray[np.bool_]


def load_newsgroups20(data_root: str | None = None) -> Dataset:
    """20 Newsgroups as vectors of ``N_TERMS`` log counts; labels are the groups in alphabetical order."""
    expected = f"{COUNTS}, or the folders {' and '.join(FOLDERS)}"
    root = required_root(data_root, NAME, expected)
    if (root / COUNTS).is_file():
        return features(read_counts(root / COUNTS))
    if all((root / folder).is_dir() for folder in FOLDERS):
        return features(count_posts(root))
    raise not_found(NAME, root, expected)


def features(counts: Counts, n_terms: int = N_TERMS) -> Dataset:
    """The ``n_terms`` terms that occur in most training posts, as dense log(1 + count); fewer terms leave zeros."""
    train = counts.is_train_S
    n_posts_V = np.bincount(counts.count_SV[train].indices, minlength=counts.count_SV.shape[1])
    terms = np.sort(np.argsort(-n_posts_V, kind="stable")[:n_terms])
    log_SV = counts.count_SV.copy()
    log_SV.data = np.log1p(log_SV.data)  # 98 % of the dense counts are zeros, which stay zeros
    log_SV = log_SV[:, terms]
    log_SV.resize(len(train), n_terms)
    parts = [(torch.from_numpy(log_SV[m].toarray()), torch.from_numpy(counts.label_S[m])) for m in (train, ~train)]
    return Dataset(NAME, N_GROUPS, 1, *parts[0], *parts[1])


def read_counts(path: Path) -> Counts:
    """The counts of a CSR file: arrays data, indices, indptr, shape, label and is_train. Raises DataError."""
    try:
        with np.load(path, allow_pickle=False) as file:
            parts = tuple(file[key] for key in ("data", "indices", "indptr"))
            shape = tuple(int(n) for n in file["shape"])
            label_S, is_train_S = file["label"].astype(np.int64), file["is_train"].astype(np.bool_)
        data, indices, indptr = parts
        matrix = csr_matrix((data.astype(np.float32), indices.astype(np.int64), indptr), shape=shape)
        matrix.check_format()
    except (KeyError, ValueError, OSError) as error:
        raise DataError(f"{path.name} does not hold word counts ({error})") from error
    if not len(label_S) == len(is_train_S) == matrix.shape[0]:
        raise DataError(f"{path.name}: {matrix.shape[0]} posts, but {len(label_S)} labels and {len(is_train_S)} parts")
    return Counts(matrix, label_S, is_train_S)


def count_posts(root: Path) -> Counts:
    """Count the words of the published folders: headers (all before the first blank line) dropped, lower case,
    terms of at least two letters a to z."""
    vocabulary: dict[str, int] = {}
    data, indices, indptr, labels, parts = [], [], [0], [], []
    for is_train, label, text in _posts(root):
        counted = Counter(_TOKEN.findall(_body(text).lower()))
        indices += [vocabulary.setdefault(term, len(vocabulary)) for term in counted]
        data += [min(n, MAX_COUNT) for n in counted.values()]
        indptr.append(len(indices))
        labels.append(label)
        parts.append(is_train)
    shape = (len(labels), len(vocabulary))
    count_SV = csr_matrix((np.array(data, dtype=np.float32), np.array(indices), np.array(indptr)), shape=shape)
    alphabetical = np.array([vocabulary[term] for term in sorted(vocabulary)], dtype=np.int64)
    return Counts(count_SV[:, alphabetical], np.array(labels), np.array(parts))


def _body(text: str) -> str:
    """A post without its header; a few posts have no blank line, and no header that could be told from the text."""
    header, blank, body = text.partition("\n\n")
    return body if blank else header


def _posts(root: Path) -> Iterator[tuple[bool, int, str]]:
    """Every post: whether it trains, its group's number, its text. Training posts first, then by group and number."""
    groups = {folder: sorted(p.name for p in (root / folder).iterdir() if p.is_dir()) for folder in FOLDERS}
    names = groups[FOLDERS[0]]
    if len(names) != N_GROUPS or groups[FOLDERS[1]] != names:
        sizes = " and ".join(str(len(folder_groups)) for folder_groups in groups.values())
        raise DataError(f"{' and '.join(FOLDERS)} hold {sizes} groups, not the same {N_GROUPS}")
    for folder in FOLDERS:
        for label, name in enumerate(names):
            for path in sorted((root / folder / name).iterdir()):
                yield folder == FOLDERS[0], label, path.read_bytes().decode("latin-1")
