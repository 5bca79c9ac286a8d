"""The log of a training reaches its readers: bounded, numbered, without secrets, and before the event that follows."""

from __future__ import annotations

import logging
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from s2e.words import Population, to_json
from workers.backend import EpochReported, PopulationFinished, PopulationKey, PopulationLogged, PopulationLost
from workers.logged import LONGEST, MOST_LINES, Lines, without_secrets
from workers.trainer import run_population
from workers.wire import decode

KEY = PopulationKey("job", 0, 0, 1)
log = logging.getLogger("s2e.mine")


@pytest.mark.parametrize(
    ("text", "secret"),
    [("postgresql://ada:hunter22@db/s2e", "hunter22"), ("Authorization: Bearer abc.def-123456", "abc.def"),
     ("HF_TOKEN=hf_abcdefghijkl failed", "abcdefgh"), ('{"password": "hunter22"}', "hunter22"),
     ("aws_secret_access_key: wJalrXUtnFEMI", "wJalrXUtnFEMI"), ("sent whsec_0123456789abcdef", "0123456789")],
)  # fmt: skip
def test_no_secret_is_kept(text: str, secret: str) -> None:
    assert secret not in without_secrets(text)
    assert "***" in without_secrets(text)


def test_what_is_no_secret_stays() -> None:
    text = "round 0: 12 tokens a row, loss 0.25 at https://example.org/a?b=1"
    assert without_secrets(text) == text


def test_the_last_lines_are_kept_and_numbered() -> None:
    lines = Lines(KEY)
    log.warning("nobody listens")
    with lines.listening():
        for i in range(MOST_LINES + 5):
            log.warning("line %d", i)
        log.warning("x" * 5_000)
    told = lines.take()
    assert told is not None
    assert told.first == 6
    assert len(told.lines) == MOST_LINES
    assert told.lines[0].text == "line 6"
    assert (told.lines[0].level, told.lines[0].logger) == ("warning", "s2e.mine")
    assert len(told.lines[-1].text) == LONGEST
    assert lines.take() is None
    with lines.listening():
        log.warning("one\ntwo")
    told = lines.take()
    assert told is not None
    assert (told.first, [line.text for line in told.lines]) == (MOST_LINES + 6, ["one", "two"])


def test_a_message_that_does_not_fit_its_arguments_harms_nobody() -> None:
    lines = Lines(KEY)
    with lines.listening():
        lines.emit(logging.LogRecord("mine", logging.INFO, "", 0, "%d of %d", ("a",), None))
    told = lines.take()
    assert told is not None
    assert told.lines[0].text == "%d of %d"


def test_a_lost_training_tells_its_traceback_first(
    tmp_path: Path, make_population: Callable[..., Population], monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("torch")
    import s2e.train.keep

    whole = s2e.train.keep.train_population

    def breaks(*arguments: Any, **more: Any) -> Iterator[Any]:
        steps = whole(*arguments, **more)
        yield next(steps)
        log.warning("password=hunter22 of the second epoch")
        raise ValueError("the second epoch broke")

    monkeypatch.setattr(s2e.train.keep, "train_population", breaks)
    population = to_json(make_population(ks=(0,), n_epochs=3))
    _, *told = [decode(event) for event in run_population(to_json(KEY), population, str(tmp_path), None)]
    epoch, logged, lost = [event for event in told if not isinstance(event, PopulationFinished)]
    assert isinstance(epoch, EpochReported)
    assert isinstance(logged, PopulationLogged)
    assert isinstance(lost, PopulationLost)
    texts = [line.text for line in logged.lines]
    assert texts[0] == "password=*** of the second epoch"
    assert "ValueError: the second epoch broke" in texts
    assert any("test_logged.py" in text for text in texts)


def test_prints_and_warnings_of_a_training_process_are_lines_of_its_log() -> None:
    program = (
        "import logging, warnings\n"
        "from workers.backend import PopulationKey\n"
        "from workers.logged import Lines, log_this_process\n"
        "log_this_process()\n"
        "lines = Lines(PopulationKey('job', 0, 0, 1))\n"
        "with lines.listening():\n"
        "    print('epoch 3:', 0.5, '100 %s')\n"
        "    print('half', end=''); print(' a line')\n"
        "    warnings.warn('this is slow')\n"
        "    logging.getLogger('s2e.train').info('told')\n"
        "    logging.getLogger('theirs').info('not told')\n"
        "import sys\n"
        "sys.stderr.write('|'.join(f'{line.logger} {line.text}' for line in lines.take().lines))\n"
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    told = ran.stderr.splitlines()[-1] if "\n" in ran.stderr else ran.stderr
    for line in ("print epoch 3: 0.5 100 %s", "print half a line", "s2e.train told"):
        assert line in ran.stderr.rpartition("INFO s2e.train: told\n")[2], told
    assert "this is slow" in ran.stderr
    assert "not told" not in ran.stderr
    assert ran.stdout == ""
