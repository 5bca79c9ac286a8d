"""Artifacts below a folder and at an address: one contract."""

from __future__ import annotations

import errno
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from s2e.files import ArtifactError, Files, files_below, is_address, shown

fsspec = pytest.importorskip("fsspec")


@pytest.fixture(params=["folder", "memory"])
def root(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "folder":
        yield str(tmp_path / "root")
        return
    address = f"memory://bucket-{uuid.uuid4().hex}/below"
    yield address
    fsspec.filesystem("memory").rm(address.rpartition("/")[0], recursive=True)


@pytest.fixture
def files(root: str) -> Files:
    files = files_below(root)
    files.write("kept/other.json", b"{}")
    return files


def test_a_file_is_read_as_it_was_written_whole_or_in_part(files: Files) -> None:
    content = bytes(range(256))
    assert files.look("job/round-0/a.bin") is None
    files.write("job/round-0/a.bin", content)
    stored = files.look("job/round-0/a.bin")
    assert stored is not None
    assert (stored.path, stored.n_bytes) == ("job/round-0/a.bin", 256)
    assert files.read("job/round-0/a.bin") == content
    assert files.read("job/round-0/a.bin", 3, 9) == content[3:9]
    assert files.read("job/round-0/a.bin", 250) == content[250:]
    files.write("job/round-0/a.bin", b"anew")
    again = files.look("job/round-0/a.bin")
    assert again is not None
    assert again.version != stored.version
    assert files.read("job/round-0/a.bin") == b"anew"


def test_what_is_deleted_is_gone_and_nothing_else(files: Files) -> None:
    for path in ("job/a", "job/round-0/b", "job/round-1/c"):
        files.write(path, path.encode())
    assert [(stored.path, stored.n_bytes) for stored in files.below("job")] == [
        ("job/a", 5), ("job/round-0/b", 13), ("job/round-1/c", 13)
    ]  # fmt: skip
    assert files.folders() == ["job", "kept"]
    files.delete("job/a")
    files.delete("job/a")
    with pytest.raises(FileNotFoundError):
        files.read("job/a")
    files.delete_folder("job")
    files.delete_folder("job")
    assert list(files.below("job")) == []
    assert files.folders() == ["kept"]


@pytest.mark.parametrize("path", ["", "/etc/passwd", "../kept/other.json", "job/../../kept"])
def test_no_path_leaves_the_root(files: Files, path: str) -> None:
    for do in (files.read, files.look, files.delete, files.delete_folder):
        with pytest.raises(ArtifactError, match="not a path below"):
            do(path)
    with pytest.raises(ArtifactError):
        files.write(path, b"")


def test_an_empty_root_has_nothing(tmp_path: Path) -> None:
    for root in (tmp_path / "none", f"memory://none-{uuid.uuid4().hex}"):
        assert files_below(root).folders() == []
        assert list(files_below(root).below("job")) == []


def test_an_address_is_none_of_a_folder_and_its_password_is_not_shown() -> None:
    assert is_address("s3://bucket")
    assert not is_address("/a/folder")
    assert not is_address(Path("s3:/bucket"))
    assert shown("ftp://ada:secret@host/x") == "ftp://***@host/x"


def test_whatever_a_store_raises_is_trouble_of_the_place(monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*_: Any, **__: Any) -> None:
        raise RuntimeError("EndpointConnectionError")

    files = files_below("memory://away")
    monkeypatch.setattr(fsspec.filesystem("memory").__class__, "pipe_file", away)
    with pytest.raises(OSError, match="EndpointConnectionError") as raised:
        files.write("job/a", b"")
    assert raised.value.errno == errno.EIO


def test_an_unknown_kind_of_address_is_named() -> None:
    with pytest.raises(ArtifactError, match="nosuch"):
        files_below("nosuch://bucket/x")
