"""Registered data sets over the API and the command line: looked at in a process of their own, named by jobs, refused
when their files change; and files from strangers."""

from __future__ import annotations

import io
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from s2e.client import S2EClient
from s2e.client.errors import ApiError, InvalidSpec
from s2e.data.own.look import look
from s2e.data.own.unpack import unpack
from s2e.door import parse_job, read_job
from s2e.local import run
from s2e.words import DataError, SpecError, parse, replace, to_json
from s2e.words.datasets import DatasetIn
from service.api import registered
from service.cli.main import main
from service.cli.settings import in_options
from service.settings import Settings
from service.store import datasets, rounds
from service.store.engine import Database
from service.uploads import UPLOADS

ROWS = "".join(f"{i % 7}.5,{i % 2 + i / 90},{'yes' if i < 8 else 'no'},{'ab'[i % 2]}\n" for i in range(60))


@pytest.fixture
def root(tmp_path: Path, settings: Settings) -> Path:
    """The data root of the service: one table with a row twice, under two labels."""
    settings.data_root = tmp_path / "data"
    settings.data_root.mkdir()
    (settings.data_root / "t.csv").write_text(f"x,z,sure,y\n{ROWS}0.5,0.0,no,b\n")
    return settings.data_root


@pytest.fixture
def quick_look(monkeypatch: pytest.MonkeyPatch) -> None:
    """Looks in this process: the other one is tested once."""

    def here(section: Any, settings: Settings) -> Any:
        try:
            return look(parse_job({"data": section, "report": {"tau": 0}}).data, str(settings.data_root))
        except DataError as error:
            raise SpecError(registered.Problem("data", section["name"], str(error))) from error

    monkeypatch.setattr(registered, "look", here)


JOB = {"data": {"registered": "mine"}, "report": {"tau": 0.1}, "train": {"n_epochs": 2}}


def test_a_set_is_added_shown_listed_and_named_by_a_job(
    root: Path, service: Any, database: Database, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("S2E_URL", service.url)
    monkeypatch.setenv("S2E_DATA_ROOT", str(root))
    monkeypatch.setenv("A_SECRET_TOKEN", "x")
    for name in ("s2e", "json"):  # the service was started in a folder of the user's own
        (root.parent / f"{name}.py").write_text(f"raise RuntimeError('the user\\'s own {name}.py was imported')\n")
    monkeypatch.chdir(root.parent)
    main_ends(["data", "add", "mine", str(root / "t.csv"), "--label", "y", "--trusted-column", "sure"])
    said = " ".join(capsys.readouterr().out.split())
    assert "mine: table, 61 rows of 2" in said
    assert "1 row repeats an earlier one, 1 with another label" in said
    assert "8 trusted rows are too few to rank schedules" in said
    assert "network mlp_tabular with 256 hidden units: rows of 2 features" in said
    main_ends(["data", "list"])
    assert "mine 61 rows of 2 classes, table" in " ".join(capsys.readouterr().out.split())
    with S2EClient(service.url) as client:
        kept = client.dataset("mine")
        assert [one.name for one in client.datasets() if one.registered] == ["mine"]
        job = client.submit(JOB)
        for job_, field, allowed in (
            ({"data": {"registered": "yours"}}, "data.registered", "one of mine"),
            ({"data": {"registered": "mine", "name": "csv"}}, "data.name", "it comes with the registered data set"),
        ):
            with pytest.raises(InvalidSpec) as refused:
                client.submit(job_)
            assert allowed in {problem.field: problem.allowed for problem in refused.value.problems}[field]
    assert [(one["name"], one["n_rows"]) for one in kept.preview["classes"]] == [("a", 30), ("b", 31)]
    with database.write() as session:
        spec, row = rounds.load_spec(session, job.id), datasets.get(session, "mine")
        row.data = {**row.data, "params": {**row.data["params"]}}
        assert row.data["params"].pop("row_numbers") == "leave_out"  # as an earlier release stored it
    assert (spec.data.name, spec.data.registered, spec.data.fingerprint) == ("table", "mine", kept.fingerprint)
    assert (spec.data.trusted.column, spec.train.batch_size, spec.train.n_epochs) == ("sure", 12, 2)  # 49 // 4
    assert spec.data.n_validation == kept.proposed["data"]["n_validation"]
    assert read_job(to_json(spec), 2) == spec
    with S2EClient(service.url) as client, database.read() as session:
        before = rounds.load_spec(session, client.submit(JOB | {"name": "before"}).id)
    assert before.data.params == spec.data.params | {"row_numbers": "keep"}
    (root / "t.csv").write_text(f"x,z,sure,y\n{ROWS}0.5,0.0,no,a\n")
    with pytest.raises(DataError, match=r"data set 'mine' has changed: .* register the data anew"):
        run(spec, data_root=root, progress=False, workers=1)


def test_the_kind_of_a_set_is_what_its_files_look_like(
    root: Path, service: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    for i, (topic, word) in enumerate([("trees", "oak"), ("birds", "owl")] * 3):
        (root / "notes" / topic).mkdir(parents=True, exist_ok=True)
        (root / "notes" / topic / f"{i}.txt").write_text(f"an {word} number{i} here")
    main_ends(["data", "add", "notes", str(root / "notes"), "--url", service.url])
    assert "notes: text, 6 rows" in capsys.readouterr().out


def test_settings_that_a_refusal_names_are_said_as_options() -> None:
    said = in_options("data.name = 'text' with data.params.text = 'mail'; or say header = false, or write the names")
    assert said == "--kind text with --set text=mail; or say --set header=false, or write the names"


def test_a_refusal_says_how_the_command_line_does_what_it_asks(
    quick_look: None, root: Path, service: Any, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("S2E_URL", service.url)
    monkeypatch.setenv("S2E_DATA_ROOT", str(root))
    rows = "".join(f"P-{i},{i % 7}.5,{'ab'[i % 2]}\n" for i in range(60))
    (root / "ids.csv").write_text(f"patient,x,y\n{rows}")
    main_ends(["data", "add", "ids", str(root / "absent.csv")], 2)
    assert "a file or folder that is here" in capsys.readouterr().err
    main_ends(["data", "add", "ids", str(root / "ids.csv")], 2)
    assert "leave them out: --set exclude=patient, or say --set id_column=patient" in capsys.readouterr().err
    main_ends(["data", "add", "ids", str(root / "ids.csv"), "--set", "exclude=patient"])
    assert "60 rows of 1" in capsys.readouterr().out


def main_ends(arguments: list[str], code: int = 0) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == code


def test_what_was_read_before_is_refused_too_once_it_changed(root: Path) -> None:
    data = parse_job({"data": {"name": "table", "params": {"path": "t.csv"}}, "report": {"tau": 0.1}}).data
    from s2e.prepare import counted

    known = replace(data, fingerprint=look(data, str(root))["fingerprint"])
    assert counted(known, str(root)) == known
    with (root / "t.csv").open("a") as file:
        file.write("1.5,1,no,a\n")
    with pytest.raises(DataError, match="the data of table has changed"):
        counted(known, str(root))


@pytest.mark.parametrize(
    ("body", "field", "allowed"),
    [
        ({"name": "digits", "params": {"path": "t.csv"}}, "name", "the package has a data set digits"),
        ({"name": "A b", "params": {"path": "t.csv"}}, "name", "a name of your own"),
        ({"name": "mine", "kind": "mnist"}, "kind", "data of your own: arrays"),
        ({"name": "mine"}, "data.params.path", "required for data set table"),
        ({"name": "mine", "params": {"path": "../t.csv"}}, "data.params.path", "without '..'"),
        ({"name": "mine", "params": {"path": "u.csv"}}, "data", "expected the file or folder 'u.csv'"),
        ({"name": "mine", "params": {"path": "t.csv", "label": "w"}}, "data", "t.csv has no such column; known: x, z"),
    ],
)
def test_what_cannot_train_is_not_registered(
    root: Path, quick_look: None, settings: Settings, body: Any, field: str, allowed: str
) -> None:
    with pytest.raises(SpecError) as refused:
        registered.look(registered.section_of(parse(DatasetIn, body)), settings)
    assert allowed in {problem.field: problem.allowed for problem in refused.value.problems}[field]


# --- files that are sent ----------------------------------------------------------------------------------------------


def zipped(**files: bytes) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return content.getvalue()


def linked() -> bytes:
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as archive:
        info = tarfile.TarInfo("inner")
        info.type, info.linkname = tarfile.SYMTYPE, "/etc"
        archive.addfile(info)
    return content.getvalue()


def test_a_folder_is_sent_unpacked_and_registered(root: Path, quick_look: None, service: Any, tmp_path: Path) -> None:
    for kind, words in (("ham", "see you"), ("spam", "great prize")):
        (tmp_path / "mail" / kind).mkdir(parents=True)
        for i in range(5):
            (tmp_path / "mail" / kind / f"{i}.txt").write_text(f"{words} {i}")
    with S2EClient(service.url) as client:
        sent = client.upload(tmp_path / "mail")
        kept = client.register("mail", "text", {"path": sent.path, "n_vectors": 2})
        alone = client.upload(root / "t.csv")
    assert (sent.n_files, kept.preview["n_rows"], alone.path.rpartition("/")[2]) == (10, 10, "t.csv")
    assert sent.path.startswith("uploads/")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.zip", zipped(**{"../evil.txt": b"x"}), "leaves the archive's folder"),
        ("a.zip", zipped(**{"/etc/evil": b"x"}), "leaves the archive's folder"),
        ("a.tar", linked(), "'inner' is a link"),
        ("a.zip", zipped(zeros=bytes(8 * 2**20)), "unpacks to more than"),
        ("a.zip", zipped(**{"model.pkl": b"\x80\x04."}), "model.pkl is a pickle"),
        ("a.zip", zipped(**{"table.csv": b"\x80\x05."}), "table.csv is a pickle"),
        ("t.csv", b"\x80\x04\x95", "t.csv is a pickle"),
        ("a.zip", zipped(), "a.zip is empty"),
        ("t.csv", b"", "t.csv is empty"),
        ("..", b"x", "a plain file name"),
    ],
    ids=["up", "absolute", "link", "bomb", "pickle", "disguised", "pickle alone", "empty", "nothing", "name"],
)
def test_files_that_could_do_harm_are_refused_and_leave_nothing(
    root: Path, settings: Settings, name: str, content: bytes, message: str
) -> None:
    def send() -> None:
        file = registered.new_upload(settings, name)
        file.write_bytes(content)
        registered.finish_upload(settings, file)

    with pytest.raises(SpecError) as refused:
        send()
    assert message in refused.value.problems[0].allowed
    assert [file for file in root.rglob("*") if file.is_file()] == [root / "t.csv"]


def test_a_header_that_lies_about_its_size_is_found_out(tmp_path: Path) -> None:
    raw = bytearray(zipped(big=np.random.default_rng(0).bytes(5_000)))
    for at in (22, raw.index(b"PK\x01\x02") + 24):
        raw[at : at + 4] = (10).to_bytes(4, "little")
    (tmp_path / "lie.zip").write_bytes(raw)
    (tmp_path / "out").mkdir()
    with pytest.raises(DataError, match=r"lie\.zip"):
        unpack(tmp_path / "lie.zip", tmp_path / "out", 100)


def test_a_file_over_the_limit_and_a_service_without_data_root(
    root: Path, settings: Settings, start_server: Any, assert_problem: Any
) -> None:
    settings.max_upload_bytes = 1_000
    with start_server(settings) as running:
        large = running.http.post("/uploads", params={"name": "a.csv"}, content=bytes(1_001))
        assert "S2E_MAX_UPLOAD_BYTES" in assert_problem(large, 413, "too_large")["detail"]
        assert running.http.post("/uploads", params={"name": "a.csv"}, content=b"x" * 999).status_code == 201
        harmful = running.http.post("/uploads", params={"name": "a.zip"}, content=zipped(**{"../evil": b"x"}))
        assert "leaves the archive" in assert_problem(harmful, 422, "invalid_spec")["errors"][0]["allowed"]
        assert_problem(running.http.get("/datasets/mine"), 404, "not_found")
        settings.data_root = None
        problem = assert_problem(running.http.post("/uploads", params={"name": "a.csv"}, content=b"x"), 409, "conflict")
        assert "no data root" in problem["detail"]


def test_without_a_service_nothing_is_registered() -> None:
    with pytest.raises(SpecError, match=r"data\.registered = 'mine': null without a service"):
        parse_job({"data": {"registered": "mine"}})


def test_only_its_owner_replaces_a_set(root: Path, quick_look: None, settings: Settings, start_server: Any) -> None:
    from pydantic import SecretStr

    settings.api_key = SecretStr("admin-key")
    with start_server(settings) as running:
        with S2EClient(running.url, "admin-key") as admin:
            ada, bob = (admin.create_key("laptop", owner).secret for owner in ("ada", "bob"))
        with S2EClient(running.url, ada) as client:
            assert client.register("mine", "table", {"path": "t.csv"}).owner == "ada"
        with S2EClient(running.url, bob) as client, pytest.raises(ApiError, match="data set mine is ada's"):
            client.register("mine", "table", {"path": "t.csv"})


def test_what_is_refused_after_it_was_sent_is_deleted_again(
    root: Path, service: Any, quick_look: None, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: Any
) -> None:
    monkeypatch.setenv("S2E_URL", service.url)
    mine = tmp_path / "mine.csv"
    mine.write_text((root / "t.csv").read_text().replace(",a\n", ",\n"))
    main_ends(["data", "add", "mine", str(mine)], 2)
    assert "has no label" in capsys.readouterr().err
    assert list((root / UPLOADS).iterdir()) == []
    mine.write_text((root / "t.csv").read_text())
    main_ends(["data", "add", "mine", str(mine)])
    with S2EClient(service.url) as client:
        path = client.dataset("mine").data["params"]["path"]
        for other, status in (
            (path, 409),
            ("t.csv", 422),
            ("uploads/../t.csv", 422),
            (path[:23] + "/../../t.csv", 422),
        ):
            with pytest.raises(ApiError) as refused:
                client.remove_upload(other)
            assert refused.value.status == status
        client.remove_upload(client.upload(mine).path)
    assert [path.startswith(f"uploads/{one.name}/") for one in (root / UPLOADS).iterdir()] == [True]


# --- removed ----------------------------------------------------------------------------------------------------------


def test_a_set_is_removed_with_what_was_sent_for_it_once_no_job_uses_it(
    root: Path, service: Any, quick_look: None, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: Any
) -> None:
    monkeypatch.setenv("S2E_URL", service.url)
    mine = tmp_path / "mine.csv"
    mine.write_text((root / "t.csv").read_text())
    with S2EClient(service.url) as client:
        sent = client.upload(mine)
        client.register("mine", "table", {"path": sent.path, "label": "y"})
        client.register("twin", "table", {"path": sent.path, "label": "y"})
        job = client.submit(JOB)
        assert client.dataset("mine").jobs == (job.id,)
        with pytest.raises(ApiError, match=f"used by jobs that have not ended: {job.id}") as refused:
            client.remove_dataset("mine")
        assert refused.value.status == 409
        client.cancel(job.id)
        assert client.job(job.id).data_gone == ""
        client.remove_dataset("mine")
        assert client.job(job.id).data_gone == "its data are gone: the data set mine was removed"
        assert next(iter(client.jobs())).data_gone
        assert (root / sent.path).exists()  # the twin uses it
        main_ends(["data", "remove", "twin", "--yes"])
        assert not (root / sent.path).parent.exists()
        with pytest.raises(ApiError, match="twin"):
            client.remove_dataset("twin")
        client.register("mine", "table", {"path": "t.csv", "label": "y", "exclude": ["sure"]})
        assert client.job(job.id).data_gone == "its data have changed: the data set mine was registered anew"
        client.remove_dataset("mine")
    assert (root / "t.csv").exists()  # nobody sent it
    main_ends(["show", job.id])
    assert "its data are gone" in capsys.readouterr().out


def test_another_owner_removes_nothing(database: Database) -> None:
    from service.errors import Forbidden
    from service.store import datasets

    seen: dict[str, Any] = {"fingerprint": "f", "n_bytes": 1, "preview": {}, "proposed": {}}
    with database.write() as session:
        datasets.put(session, "hers", "table", {"params": {"path": "a.csv"}}, seen, "her", any_owner=False)
        with pytest.raises(Forbidden, match="is her's"):
            datasets.remove(session, "hers", "him", any_owner=False)
        datasets.remove(session, "hers", "root", any_owner=True)
        assert datasets.find(session, "hers") is None
