"""Tables as files: a head and rows of plain values, None where there is none."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from typing import Any

from s2e.extras import needs

Row = Sequence[Any]


def csv_text(head: Sequence[str], rows: Iterable[Row]) -> str:
    """CSV with a head; numbers in full, nothing in place of None."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(head)
    writer.writerows(rows)
    return text.getvalue()


def parquet_bytes(head: Sequence[str], rows: Iterable[Row]) -> bytes:
    """A Parquet file. Raises MissingExtraError without pyarrow."""
    with needs("data"):
        import pyarrow
        import pyarrow.parquet

    columns = list(zip(*rows, strict=True)) or [()] * len(head)
    table = pyarrow.table({name: list(column) for name, column in zip(head, columns, strict=True)})
    sink = pyarrow.BufferOutputStream()
    pyarrow.parquet.write_table(table, sink)
    return bytes(sink.getvalue().to_pybytes())
