"""Tables of any format as columns: text (CSV, TSV), Parquet, Arrow files and streams, Hugging Face data set folders.

The first bytes of a file decide its format, not its name. Cells come as text, whatever their type was, so a table means
the same in every format; columns of vectors and of image files come as they are.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from s2e.data.encoder import is_missing, is_number
from s2e.data.root import leaves_root, not_found
from s2e.data.tabular import OTHER_FORMATS, UTF8, Row, encoding_of, read_table
from s2e.extras import needs
from s2e.words import CsvSpec, DataError

ARROW_STREAM = b"\xff\xff\xff\xff"
MAX_BYTES = 16 * 2**30
MAX_CELLS = 50_000_000
ROWS_AT_ONCE = 8_192
VERSION = 1
"""Of how vectors are stored."""
SPLITS = "dataset_dict.json"
"""Of a Hugging Face folder that holds several splits."""
DELIMITERS = {"comma": ",", "semicolon": ";", "tab": "\t"}


@dataclass(frozen=True, eq=False)
class Frame:
    """Columns of equal length."""

    file: str
    names: list[str]
    columns: list[Any]
    """Cells as text; vectors float [S, F]; bytes of files."""
    first: int
    """Of the first row, as errors count."""
    by_comma: bool = False
    """Commas separate its cells."""
    encoding: str = UTF8
    """Of its text."""

    def where(self, i: int) -> str:
        return f"{self.file}, row {self.first + i}"

    def ids(self) -> NDArray[Any]:
        """Rows of the file, as errors count them."""
        return np.arange(self.first, self.first + len(self))

    def __len__(self) -> int:
        return len(self.columns[0])

    def at(self, name: str, field: str) -> int:
        """The number of a column. Raises DataError, for the job's ``field``, where there is none."""
        if name not in self.names:
            known = ", ".join(self.names)[:200]
            raise DataError(f"{field} = {name!r}: {self.file} has no such column; known: {known}")
        return self.names.index(name)

    def cells(self, name: str, field: str) -> list[str]:
        """A column of text. Raises DataError where it holds vectors or files."""
        column = self.columns[self.at(name, field)]
        if isinstance(column, list) and all(isinstance(cell, str) for cell in column[:1]):
            return column
        raise DataError(f"{field} = {name!r}: {self.file} holds no plain values there")


def path_below(root: Path, relative: str, field: str) -> Path:
    """The file or folder a job names. Raises DataError if the path leaves the data root or names nothing."""
    if leaves_root(relative):
        raise DataError(f"{field} = {relative!r}: a path below S2E_DATA_ROOT, without '..'")
    path = root / relative
    if not path.exists():
        raise not_found(field, root, f"the file or folder {relative!r}")
    return path


def splits_of(path: Path) -> dict[str, Path]:
    """The splits of a Hugging Face folder that holds several; none elsewhere."""
    listed = path / SPLITS
    if not listed.is_file():
        return {}
    names = json.loads(listed.read_text(encoding="utf-8")).get("splits", [])
    return {name: path / name for name in names if isinstance(name, str) and not leaves_root(name)}


def read_frame(path: Path, *, header: bool = True, delimiter: str = "auto", fewest: int = 2) -> Frame:
    """A table of at least ``fewest`` rows and columns.

    Raises DataError for a path without one, MissingExtraError where pyarrow is needed and not installed."""
    files = _arrow_files(path) if path.is_dir() else [path]
    n_bytes = sum(file.stat().st_size for file in files)
    if n_bytes > MAX_BYTES:
        raise DataError(f"{path.name} has {n_bytes} bytes, at most {MAX_BYTES} are read")
    starts = {_start(file) for file in files}
    if starts <= {b"PAR1", ARROW_STREAM, b"ARRO"}:
        return _from_arrow(path, files, fewest)
    return _from_text(path, header, delimiter, fewest)


def _start(file: Path) -> bytes:
    with file.open("rb") as opened:
        return opened.read(4)


def _arrow_files(folder: Path) -> list[Path]:
    """The files of a folder, in the order that a Hugging Face data set says, else by name."""
    state = folder / "state.json"
    if state.is_file():
        listed = json.loads(state.read_text(encoding="utf-8")).get("_data_files", [])
        files = [folder / entry["filename"] for entry in listed if not leaves_root(entry["filename"])]
    else:
        files = sorted(file for suffix in ("arrow", "parquet") for file in folder.glob(f"*.{suffix}"))
    missing = [file.name for file in files if not file.is_file()]
    if missing or not files:
        what = f"{missing[0]} is missing" if missing else "no .arrow or .parquet file in it"
        raise DataError(f"{folder.name} does not hold a table: {what}")
    return files


# --- text -------------------------------------------------------------------------------------------------------------


def _from_text(path: Path, header: bool, delimiter: str, fewest: int) -> Frame:
    if path.is_dir() or any(_start(path).startswith(magic[:4]) for magic in OTHER_FORMATS):
        kinds = "CSV, TSV, Parquet, Arrow, or a Hugging Face folder"
        raise DataError(f"{path.name} is not a readable table: {kinds}")
    chosen = _delimiter(path) if delimiter == "auto" else delimiter
    names, rows = read_table(path, CsvSpec(header=header, delimiter=chosen), fewest=fewest)
    columns: list[list[str]] = [list(column) for column in zip(*rows, strict=True)]
    if names is not None:
        _require_names(path.name, names, columns)
    first, encoding = 1 if names is None else 2, encoding_of(path)
    names = names or [str(j) for j in range(len(columns))]
    return Frame(path.name, names, columns, first, chosen == "comma", encoding)


def _delimiter(path: Path) -> str:
    """The delimiter that is most frequent in the first line."""
    with path.open(encoding=encoding_of(path), errors="replace") as file:
        line = file.readline(1_000_000)
    return max(DELIMITERS, key=lambda name: line.count(DELIMITERS[name]))


def _require_names(file: str, names: Row, columns: Sequence[Sequence[str]]) -> None:
    """Raises DataError where the first row is one of the samples: every cell is a number, or is in its column again."""
    if all(is_number(name) or is_missing(name) for name in names):
        raise DataError(f"{file}, row 1 holds numbers, not names of columns; say header = false, or write the names")
    if all(is_number(name) or name in column for name, column in zip(names, columns, strict=True)):
        raise DataError(
            f"{file}, row 1 ({', '.join(names)[:80]}) looks like a sample, not like names of columns; say header = "
            "false, or write the names"
        )
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        raise DataError(f"{file}, row 1: two columns are called {twice[0]!r}")


# --- Arrow ------------------------------------------------------------------------------------------------------------


def _from_arrow(path: Path, files: Sequence[Path], fewest: int) -> Frame:
    with needs("data"):
        import pyarrow as pa
    try:
        schema = _schema(files[0])
        # the vectors of a large file are copied into an array on the disk, a batch at a time
        aside = [field.name for field in schema if _is_list(field.type)] if _is_large(files) else []
        kept = [name for name in schema.names if name not in aside]
        table = pa.concat_tables([_arrow_table(file, kept) for file in files], promote_options="permissive")
        if table.num_rows < fewest or table.num_columns + len(aside) < fewest:
            rows, n_columns = table.num_rows, table.num_columns
            raise DataError(
                f"{path.name}: {rows} rows of {n_columns} columns; at least {fewest} of {fewest} are needed"
            )
        if table.num_rows * table.num_columns > MAX_CELLS:
            raise DataError(f"{path.name} has more than {MAX_CELLS} cells")
        names = [*table.column_names, *aside]
        classes = _class_labels(table.schema)
        columns = [_column(table.column(n), classes.get(n), f"{path.name}, column {n}") for n in table.column_names]
        columns += [_stored_vectors(files, n, table.num_rows, f"{path.name}, column {n}") for n in aside]
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{path.name} cannot be read: {error}") from error
    return Frame(path.name, names, columns, 1)


def _is_large(files: Sequence[Path]) -> bool:
    from s2e.data.rows import SMALL

    return sum(file.stat().st_size for file in files) > SMALL


def _schema(file: Path) -> Any:
    import pyarrow.parquet as pq

    return pq.read_schema(file) if _start(file) == b"PAR1" else _opened(file).schema


def _arrow_table(file: Path, columns: list[str]) -> Any:
    """The columns that are there; files of a folder may differ."""
    import pyarrow.parquet as pq

    if _start(file) == b"PAR1":
        return pq.read_table(file, memory_map=True, columns=[n for n in pq.read_schema(file).names if n in columns])
    table = _opened(file).read_all()
    return table.select([name for name in table.column_names if name in columns])


def _opened(file: Path) -> Any:
    """An Arrow file or stream."""
    import pyarrow as pa

    mapped = pa.memory_map(str(file))
    return pa.ipc.open_stream(mapped) if _start(file) == ARROW_STREAM else pa.ipc.open_file(mapped)


def _batches(file: Path, column: str) -> Iterator[Any]:
    """The column, some rows at a time."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    if _start(file) == b"PAR1":
        batches = pq.ParquetFile(file, memory_map=True).iter_batches(ROWS_AT_ONCE, columns=[column])
    else:
        opened = _opened(file)
        of_file = isinstance(opened, pa.ipc.RecordBatchFileReader)
        batches = (opened.get_batch(i) for i in range(opened.num_record_batches)) if of_file else iter(opened)
    for batch in batches:
        yield pa.chunked_array([batch.column(column)])


def _stored_vectors(files: Sequence[Path], name: str, n_rows: int, at: str) -> NDArray[Any]:
    """The vectors [S, F] as an array in the cache, which a program later maps into its memory; without a cache, in
    memory."""
    from s2e.data.own import cache
    from s2e.data.rows import write_array

    states = [(file.name, file.stat().st_size, file.stat().st_mtime_ns) for file in files]
    stored = cache.cache_root() / f"vectors-{cache.digest_of((VERSION, name, *states))}.npy"
    if not stored.is_file():
        parts = (_vectors(batch, at) for file in files for batch in _batches(file, name))
        temporary = cache.place(stored.name)
        if temporary is None:
            return np.concatenate(list(parts))
        try:
            write_array(temporary, n_rows, parts)
        except ValueError as error:
            raise DataError(f"{at} holds vectors of different lengths ({error})") from error
        temporary.replace(stored)
    return np.load(stored, mmap_mode="r", allow_pickle=False)  # type: ignore[no-any-return]


def _class_labels(schema: Any) -> dict[str, list[str]]:
    """Names of the classes of a Hugging Face ClassLabel column, which holds their numbers."""
    about = (schema.metadata or {}).get(b"huggingface")
    if about is None:
        return {}
    features = json.loads(about).get("info", {}).get("features", {})
    return {
        name: list(feature["names"])
        for name, feature in features.items()
        if isinstance(feature, dict) and feature.get("_type") == "ClassLabel" and feature.get("names")
    }


def _is_list(kind: Any) -> bool:
    import pyarrow as pa

    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind))


def _column(column: Any, classes: list[str] | None, at: str) -> Any:
    import pyarrow as pa

    kind = column.type
    if isinstance(kind, pa.DictionaryType):
        column, kind = column.cast(kind.value_type), kind.value_type
    if _is_list(kind):
        return _vectors(column, at)
    if pa.types.is_struct(kind) and {"bytes", "path"} <= {kind.field(i).name for i in range(kind.num_fields)}:
        return [(cell["bytes"] or cell["path"] or "") if cell else "" for cell in column.to_pylist()]
    if pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
        return [cell or b"" for cell in column.to_pylist()]
    if pa.types.is_nested(kind):
        raise DataError(f"{at} holds {kind}: plain values, vectors of numbers, or image files")
    cells = column.to_pylist()
    if classes is not None:
        return ["" if cell is None or cell < 0 else classes[cell] for cell in cells]
    return [cell_text(cell) for cell in cells]


def _vectors(column: Any, at: str) -> NDArray[Any]:
    """[S, F]. Raises DataError for vectors of different lengths, and for entries that are not numbers."""
    import pyarrow as pa
    import pyarrow.compute

    try:
        lengths = set(pyarrow.compute.list_value_length(column).to_pylist())
        if len(lengths) != 1 or None in lengths:
            raise DataError(f"{at} holds vectors of different lengths, or none in some rows")
        flat = np.concatenate([chunk.flatten().to_numpy(zero_copy_only=False) for chunk in column.chunks])
        return np.asarray(flat, dtype=np.float32).reshape(len(column), -1)
    except (ValueError, TypeError, pa.ArrowException) as error:
        raise DataError(f"{at} holds no vectors of numbers: {error}") from error


def cell_text(cell: Any) -> str:
    """A cell as a text file would have it: empty for a missing one, 3 for 3.0."""
    if cell is None or cell != cell:
        return ""
    if isinstance(cell, float) and cell.is_integer() and abs(cell) < 1e15:
        return str(int(cell))
    return str(cell).strip()
