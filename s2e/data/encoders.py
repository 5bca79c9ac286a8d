"""Encoders of rows that are not tables: texts, image files, numbers. Plain JSON, kept with every model.

Legend: S rows, F features, V terms, D x H x W pixels.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from s2e.extras import needs
from s2e.words import DataError

MAX_PIXELS = 80_000_000
"""Of one image file: one that unpacks to more is a bomb, or not a photograph."""
FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF", "PPM")
Floats = NDArray[np.float32]
MOST_NUMBERS = 2**26
"""Standardised at once: 512 MiB as float64."""


@dataclass(frozen=True)
class NumberEncoder:
    """Features minus mean over scale, one of each for every feature."""

    mean: tuple[float, ...]
    scale: tuple[float, ...]

    @classmethod
    def of(cls, x: NDArray[Any]) -> Self:
        """Standardising, by rows [S, F]; a constant feature becomes 0."""
        x = x.astype(np.float64)
        deviation = x.std(0)
        return cls(tuple(x.mean(0).tolist()), tuple(np.where(deviation > 0, deviation, 1.0).tolist()))

    @classmethod
    def of_rows(cls, x: NDArray[Any], rows: NDArray[np.int64]) -> Self:
        """Standardising, by some rows of an array [S, F] as float32; a part of them at a time where they are many."""
        most = max(1, MOST_NUMBERS // max(1, x.shape[1]))
        if len(rows) <= most:
            return cls.of(x[rows].astype(np.float32))
        parts = [rows[at : at + most] for at in range(0, len(rows), most)]
        mean = np.asarray(sum(_exact(x, part).sum(0) for part in parts)) / len(rows)
        deviation = np.sqrt(sum(np.square(_exact(x, part) - mean).sum(0) for part in parts) / len(rows))
        return cls(tuple(mean.tolist()), tuple(np.where(deviation > 0, deviation, 1.0).tolist()))

    def encode(self, x: NDArray[Any]) -> Floats:
        """[S, F] of any kind of numbers, as float32."""
        return np.asarray((x - np.array(self.mean)) / np.array(self.scale), dtype=np.float32)

    def samples_of(self, rows: Any) -> Floats:
        """Raises DataError for rows of another number of features."""
        x = np.asarray(rows, dtype=np.float64)
        if x.ndim != 2 or x.shape[1] != len(self.mean):
            raise DataError(f"rows of shape {x.shape}, the model was trained on [rows, {len(self.mean)}]")
        return self.encode(x)


def _exact(x: NDArray[Any], rows: NDArray[np.int64]) -> NDArray[np.float64]:
    """Rows of an array as float64, as their samples in float32 are."""
    return x[rows].astype(np.float32).astype(np.float64)


@dataclass(frozen=True)
class TextEncoder:
    """TF-IDF of words and word pairs, by scikit-learn, reduced by the singular vectors of the training texts; or
    counts of hashed words, which need nothing fitted."""

    column: str = ""
    """Of a row that is a mapping."""
    kind: str = "tfidf"
    n_words: int = 1
    """Longest run of words that is a term."""
    n_features: int = 0
    """Of hashed words; elsewhere as many as terms or singular vectors."""
    terms: tuple[str, ...] = ()
    idf: tuple[float, ...] = ()
    vectors: str = ""
    """Singular vectors [F, V] as base64 of little-endian float16; empty: terms are features."""
    scale: float = 1.0

    def encode(self, texts: Sequence[str]) -> Floats:
        """Features float32 [S, F]."""
        with needs("train"):
            from sklearn.feature_extraction.text import HashingVectorizer, TfidfVectorizer
        words = text_settings(self.n_words)
        if self.kind == "hashed":
            count_SF = HashingVectorizer(n_features=self.n_features, **words).transform(texts)
            return np.asarray(count_SF.toarray() * self.scale, dtype=np.float32)
        vectorizer = TfidfVectorizer(vocabulary=list(self.terms), **words)
        vectorizer.idf_ = np.array(self.idf)
        weight_SV = vectorizer.transform(texts)
        feature_SF = weight_SV @ self.unpacked().T if self.vectors else weight_SV.toarray()
        return np.asarray(feature_SF * self.scale, dtype=np.float32)

    def unpacked(self) -> NDArray[np.float64]:
        """The singular vectors [F, V]."""
        flat = np.frombuffer(base64.b64decode(self.vectors), dtype="<f2")
        return flat.reshape(-1, len(self.terms)).astype(np.float64)

    def samples_of(self, rows: Any) -> Floats:
        """Texts, mappings or a data frame with the column of texts. Raises DataError for anything else."""
        if hasattr(rows, "to_dict") and hasattr(rows, "columns"):
            rows = rows.to_dict("records")
        if isinstance(rows, str):
            raise DataError("a single text: give a list of texts, [text]")
        texts: list[Any] = [row.get(self.column) if isinstance(row, Mapping) else row for row in rows]
        odd = [i for i, text in enumerate(texts) if not isinstance(text, str)]
        if odd or not texts:
            what = f"row {odd[0]} is not a text" if odd else "no row to predict"
            raise DataError(f"{what}: texts, or rows with a column {self.column!r}")
        return self.encode(texts)


@dataclass(frozen=True)
class ImageEncoder:
    """Image files of any size and mode as size x size pixels: scaled to cover the square, cut at the centre."""

    size: int
    mode: str = "rgb"

    def encode_one(self, file: Any) -> NDArray[np.uint8]:
        """Pixels [D, H, W] of a path, bytes of a file, or one of Pillow's images. Raises OSError and ValueError."""
        with needs("data"):
            from PIL import Image, UnidentifiedImageError
        if isinstance(file, Image.Image):
            return self._pixels(file)
        try:
            with Image.open(io.BytesIO(file) if isinstance(file, bytes) else file, formats=FORMATS) as image:
                return self._pixels(image)
        except Image.DecompressionBombError as error:
            raise ValueError(str(error)) from error
        except UnidentifiedImageError as error:  # its text is a path of this machine, or an address in memory
            raise ValueError(f"not a {', '.join(FORMATS)} file") from error

    def _pixels(self, image: Any) -> NDArray[np.uint8]:
        from PIL import Image, ImageOps

        if image.width * image.height > MAX_PIXELS:
            raise ValueError(f"{image.width} x {image.height} pixels, at most {MAX_PIXELS} are read")
        image.draft("RGB", (2 * self.size, 2 * self.size))
        upright = _eight_bits(ImageOps.exif_transpose(image)).convert("L" if self.mode == "grey" else "RGB")
        fitted = ImageOps.fit(upright, (self.size, self.size), Image.Resampling.BICUBIC)
        pixels = np.asarray(fitted, dtype=np.uint8)
        return pixels[None] if pixels.ndim == 2 else np.ascontiguousarray(pixels.transpose(2, 0, 1))

    def samples_of(self, rows: Any) -> NDArray[np.uint8]:
        """Image files, or pixels [S, D, H, W] of the right size. Raises DataError that names the row."""
        depth = 1 if self.mode == "grey" else 3
        if isinstance(rows, np.ndarray):
            if rows.shape[1:] != (depth, self.size, self.size):
                wanted = f"[rows, {depth}, {self.size}, {self.size}]"
                raise DataError(f"rows of shape {rows.shape}: pixels {wanted}, or a list of image files")
            return rows
        if isinstance(rows, str | bytes | Path) or not isinstance(rows, Iterable):
            raise DataError("a single image: give a list of images, [image]")
        samples = [self._sample(row, i) for i, row in enumerate(rows)]
        if not samples:
            raise DataError("no row to predict")
        return np.stack(samples)

    def _sample(self, row: Any, i: int) -> NDArray[np.uint8]:
        try:
            return self.encode_one(row)
        except (OSError, ValueError, AttributeError, SyntaxError) as error:
            raise DataError(f"row {i}, {str(row)[:80]}: not an image that can be read ({error})") from error


def text_settings(n_words: int) -> dict[str, Any]:
    """scikit-learn's settings for cutting texts into terms and for weighting the terms."""
    return {"ngram_range": (1, n_words), "strip_accents": "unicode", "dtype": np.float64, "norm": "l2"}


def _eight_bits(image: Any) -> Any:
    """Images of 16 bits keep their leading eight: Pillow would cut at 255."""
    if not image.mode.startswith(("I", "F")):
        return image
    from PIL import Image

    values = np.asarray(image, dtype=np.float64)
    values = values / 257 if values.max() > 255 else values
    return Image.fromarray(values.clip(0, 255).astype(np.uint8))
