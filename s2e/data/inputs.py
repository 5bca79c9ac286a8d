"""From new rows to a network's samples, and from its outputs to labels: kept with every model."""

from __future__ import annotations

from dataclasses import dataclass

from s2e.data.datasets import SplitData
from s2e.data.encoder import TableEncoder
from s2e.data.encoders import ImageEncoder, NumberEncoder, TextEncoder
from s2e.data.encoding import Encoder
from s2e.data.own.backbone import BackboneEncoder
from s2e.parts import Statistics


@dataclass(frozen=True)
class Inputs:
    """Plain JSON, beside the shape and the largest value of a sample."""

    encoder: TableEncoder | None = None
    """Of a table; None where samples are numbers already."""
    mean: tuple[float, ...] = ()
    """Taken from each channel of pixels in [0, 1], where the job normalises."""
    deviation: tuple[float, ...] = ()
    class_names: tuple[str, ...] = ()
    """By class number; empty: the numbers themselves."""
    text: TextEncoder | None = None
    image: ImageEncoder | None = None
    numbers: NumberEncoder | None = None
    backbone: BackboneEncoder | None = None

    @property
    def of_rows(self) -> Encoder | None:
        """The encoder of new rows; None where they are samples already."""
        return self.encoder or self.text or self.image or self.numbers or self.backbone


@dataclass(frozen=True)
class NetworkShape:
    """The input one image has, (D, H, W) or (F,), the values 0..``max_value`` it holds, and the number of classes C."""

    input_shape: tuple[int, ...]
    max_value: int
    n_classes: int
    inputs: Inputs = Inputs()
    """Turns new rows into such samples."""


def inputs_of(data: SplitData, statistics: Statistics | None) -> Inputs:
    """The inputs behind the samples of ``data``, normalised by ``statistics`` unless None."""
    mean, deviation = statistics or ((), ())
    encoder = data.encoder
    return Inputs(
        encoder if isinstance(encoder, TableEncoder) else None,
        tuple(mean),
        tuple(deviation),
        data.class_names,
        encoder if isinstance(encoder, TextEncoder) else None,
        encoder if isinstance(encoder, ImageEncoder) else None,
        encoder if isinstance(encoder, NumberEncoder) else None,
        encoder if isinstance(encoder, BackboneEncoder) else None,
    )
