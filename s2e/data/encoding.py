"""Every kind of encoder that a data set may have."""

from __future__ import annotations

from s2e.data.encoder import TableEncoder
from s2e.data.encoders import ImageEncoder, NumberEncoder, TextEncoder
from s2e.data.own.backbone import BackboneEncoder

Encoder = TableEncoder | TextEncoder | ImageEncoder | NumberEncoder | BackboneEncoder
