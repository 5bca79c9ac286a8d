"""Texts as numbers: an encoder of their terms, fitted by scikit-learn on the training texts.

Legend: S texts, F features, V terms.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from s2e.data.encoders import TextEncoder, text_settings
from s2e.data.own import cache
from s2e.extras import needs
from s2e.words import DataError, read, replace, to_json

VERSION = 1
"""Of how texts become features."""


@dataclass(frozen=True)
class TextSettings:
    """Settings for turning texts into features."""

    features: str
    n_words: int
    n_terms: int
    n_vectors: int


def fitted(file: str, texts: Sequence[str], settings: TextSettings, column: str) -> TextEncoder:
    """The encoder fitted on the training texts, from the cache if it is there: the same bits in every process."""
    if settings.features == "hashed":
        return _scaled(TextEncoder(column, "hashed", settings.n_words, settings.n_terms), texts)
    name = f"text-{cache.digest_of((VERSION, column, settings, len(texts), *texts))}.json"
    stored = cache.cache_root() / name
    if stored.is_file():
        return read(TextEncoder, json.loads(stored.read_text(encoding="utf-8")))
    encoder = _fit(file, texts, settings, column)
    if (temporary := cache.place(name)) is not None:
        temporary.write_text(json.dumps(to_json(encoder)), encoding="utf-8")
        temporary.replace(stored)
    return encoder


def _fit(file: str, texts: Sequence[str], settings: TextSettings, column: str) -> TextEncoder:
    with needs("train"):
        from sklearn.decomposition import TruncatedSVD
        from sklearn.feature_extraction.text import TfidfVectorizer
    vectorizer = TfidfVectorizer(max_features=settings.n_terms, **text_settings(settings.n_words))
    try:
        weight_SV = vectorizer.fit_transform(texts)
    except ValueError as error:
        raise DataError(f"{file}: no words in its texts ({error})") from error
    terms, idf = tuple(map(str, vectorizer.get_feature_names_out())), tuple(map(float, vectorizer.idf_))
    n_vectors, packed = min(settings.n_vectors, len(terms) - 1, len(texts) - 1), ""
    if n_vectors > 0:
        vectors_FV = TruncatedSVD(n_vectors, random_state=0).fit(weight_SV).components_.astype("<f2")
        packed = base64.b64encode(vectors_FV.tobytes()).decode()
    return _scaled(TextEncoder(column, "tfidf", settings.n_words, 0, terms, idf, packed), texts)


def _scaled(encoder: TextEncoder, texts: Sequence[str]) -> TextEncoder:
    """Features that are not zero get a mean square of 1, as networks like them."""
    feature_SF = encoder.encode(texts).astype(np.float64)
    mean_square = float(np.square(feature_SF).sum() / max(1, np.count_nonzero(feature_SF)))
    return replace(encoder, scale=1 / max(mean_square, 1e-12) ** 0.5)
