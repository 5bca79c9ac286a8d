"""A part: the one declaration of something a job may name, without torch and without its implementation.

A declaration is a class. Its fields, made with :func:`s2e.words.param`, are the settings that a job may give; the first
paragraph of its docstring says what it is; an instance holds the settings, complete and checked:

    @method("coteaching", rule="s2e.methods.coteaching:CoTeaching", scheduled=True)
    class CoTeaching(MethodPart):
        \"\"\"Two networks, each trained on the small-loss samples that the other selects (Han et al. 2018).\"\"\"

        official_double_division: bool = param(False, doc="divide the mean loss once more")

The decorator makes the class a frozen dataclass and enters it in its registry.
"""

from __future__ import annotations

import dataclasses
import importlib
import importlib.util
import inspect
import re
import sys
from collections.abc import Mapping
from typing import Any, ClassVar, Self

from s2e.parts.facts import set_facts
from s2e.words.errors import Problem, S2EError, SpecError, UnreadableError
from s2e.words.fields import field_lines, idle, json_schema, parse, to_json
from s2e.words.job import JobSpec
from s2e.words.reading import read

NAME = re.compile(r"[a-z][a-z0-9_-]{0,39}")
TARGET = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*")
FieldLine = tuple[str, Any, str, str]
"""Name, default, allowed values and documentation of one setting."""


class Part:
    """Base of all declarations."""

    name: ClassVar[str] = ""
    summary: ClassVar[str] = ""
    target: ClassVar[str] = ""
    """Location of the implementation, ``package.module:attribute``; imported on first use."""
    makes: ClassVar[str] = ""
    """Type of the objects that the implementation makes, located likewise."""
    field: ClassVar[str] = ""
    """Field of a job that names such a part, such as ``train.method``."""
    section: ClassVar[str] = ""
    """Field of a job that holds the settings, such as ``train.params``."""
    per_dataset: ClassVar[Mapping[str, Mapping[str, Any]]] = {}
    """Defaults that differ from the fields' own, by name of the data set."""

    @classmethod
    def of(cls, settings: Any, path: str = "", *, dataset: str = "") -> Self:
        """The part with these settings; where one is missing, the default for ``dataset``, else the field's own.

        Raises SpecError with every unknown name and every value out of its range, and where a class of another package
        fails on settings that are in theirs.
        """
        path = path or cls.section
        if not isinstance(settings, Mapping):
            raise SpecError(Problem(path, repr(settings)[:80], "must be an object"))
        try:
            return parse(cls, {**cls.per_dataset.get(dataset, {}), **settings}, path)
        except SpecError:
            raise
        except (Exception, SystemExit) as error:
            raise cls.failed(path, "that takes these settings", error) from error

    @classmethod
    def stored(cls, settings: Mapping[str, Any], *, dataset: str = "") -> Self:
        """The part with the settings of a stored job, which were checked once already: read, not judged again.

        Raises UnreadableError for anything but a mapping.
        """
        if not isinstance(settings, Mapping):
            raise UnreadableError("an object", settings, cls.section)
        return read(cls, {**cls.per_dataset.get(dataset, {}), **settings})

    @classmethod
    def load(cls) -> Any:
        """The implementation. Raises S2EError where its module has no such attribute."""
        module, _, attribute = cls.target.partition(":")
        loaded = importlib.import_module(module)
        try:
            return getattr(loaded, attribute)
        except AttributeError as error:
            raise S2EError(f"{cls.name} is declared as {cls.target}, and {module} has no {attribute}") from error

    def built(self, *arguments: Any, **settings: Any) -> Any:
        """The object that the implementation makes. Raises S2EError where that is no function, or makes anything but
        ``makes`` says."""
        implementation = self.load()
        if not callable(implementation):
            raise S2EError(f"{self.origin()}: {self.target} is {repr(implementation)[:80]}, which cannot be called")
        return self.required(implementation(*arguments, **settings))

    @classmethod
    def required(cls, made: Any) -> Any:
        """``made``. Raises S2EError where it is not of the type ``makes``."""
        module, _, kind = cls.makes.partition(":")
        if not isinstance(made, getattr(importlib.import_module(module), kind)):
            raise S2EError(f"{cls.origin()}: {cls.target} gives {repr(made)[:80]}, not a {module}.{kind}")
        return made

    @classmethod
    def origin(cls) -> str:
        """The part and its package, for people: ``train.method quiet of outside``."""
        return f"{cls.field} {cls.name} of {cls.__module__.partition('.')[0]}"

    @classmethod
    def failed(cls, field: str, doing: str, error: BaseException) -> SpecError:
        """The refusal of a part whose own code failed; for a part of this package, raises ``error`` itself."""
        if cls.is_ours():
            raise error
        return SpecError(Problem(field, cls.name, f"one {doing}: {type(error).__name__}: {error}"))

    @classmethod
    def is_ours(cls) -> bool:
        """True if this package declares the part."""
        return cls.__module__.partition(".")[0] == __name__.partition(".")[0]

    @classmethod
    def field_lines(cls) -> list[FieldLine]:
        """The settings for people."""
        return field_lines(cls)

    @classmethod
    def notes(cls) -> list[str]:
        """The facts of the part that a user should know, in words."""
        return []

    def settings(self) -> dict[str, Any]:
        """The settings by name, as plain values."""
        return {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}  # type: ignore[arg-type]

    def without_effect(self, dataset: str) -> list[Problem]:
        """Settings that differ from their default and change nothing beside the others."""
        settings, default = self.settings(), self.of({}, dataset=dataset).settings()
        return [
            Problem(f"{self.section}.{name}", settings[name], f"{default[name]}, its default: only {condition} uses it")
            for name, condition in idle(type(self), settings).items()
            if settings[name] != default[name]
        ]

    def problems(self, job: JobSpec) -> list[Problem]:
        """Everything about ``job`` that this part refuses; a check of another package that fails is a refusal too."""
        try:
            return self.rules(job)
        except SpecError as error:
            return list(error.problems)
        except (Exception, SystemExit) as error:
            return list(self.failed(self.field, "whose check works", error).problems)

    def rules(self, job: JobSpec) -> list[Problem]:
        """The rules of its kind, then the part's own."""
        return self.check(job)

    def check(self, job: JobSpec) -> list[Problem]:  # noqa: ARG002
        """The part's own rules, for an author to override: what the settings, each in range, ask that ``job`` lacks."""
        return []


def summary_of(cls: type) -> str:
    """The first paragraph of a docstring on one line."""
    return " ".join(inspect.cleandoc(cls.__doc__ or "").partition("\n\n")[0].split())


def declare(cls: Any, base: type[Part], facts: Mapping[str, Any]) -> str:
    """Make ``cls`` a declaration: a frozen dataclass with its ``facts``. The contract it breaks, or nothing."""
    if not (isinstance(cls, type) and issubclass(cls, base)):
        return f"not a {base.__name__}"
    own = {name for name, kind in vars(cls).get("__annotations__", {}).items() if "ClassVar" not in str(kind)}
    if taken := sorted(name for name in own if hasattr(base, name)):
        return f"parameter {taken[0]} has a name that every {base.__name__} uses itself"
    if wrong := set_facts(cls, base, facts):
        return wrong
    if not NAME.fullmatch(cls.name):
        return f"the name {cls.name!r} is not made of a-z, 0-9, _ and -"
    if not TARGET.fullmatch(cls.target):
        return f"no target: {cls.target!r} is not 'package.module:attribute'"
    if not cls.summary and sys.flags.optimize < 2:  # python -OO drops docstrings
        return "no docstring that says what it is"
    try:
        dataclasses.dataclass(frozen=True)(cls)
    except (TypeError, ValueError) as error:
        return f"{type(error).__name__}: {error}"
    return _fault_of_fields(cls) or _fault_of_notes(cls)


def _fault_of_fields(cls: type[Part]) -> str:
    for field in dataclasses.fields(cls):  # type: ignore[arg-type]
        if "doc" not in field.metadata:
            return f"parameter {field.name} is not made with param(..., doc=...)"
        if field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
            return f"parameter {field.name} has no default"
    try:
        json_schema(cls)
        for dataset in ("", *cls.per_dataset):
            cls.of(to_json(cls.of({}, cls.name, dataset=dataset)), cls.name)
    except SpecError as error:
        return f"a default out of its range: {error}"
    except Exception as error:  # a type that is not plain JSON fails in many ways
        return f"a parameter that is not plain JSON: {type(error).__name__}: {error}"
    return ""


def _fault_of_notes(cls: type[Part]) -> str:
    """Everybody who lists the parts reads the notes of all."""
    try:
        notes = cls.notes()
    except (Exception, SystemExit) as error:
        return f"its notes() fails: {type(error).__name__}: {error}"
    is_list = isinstance(notes, list | tuple) and all(isinstance(note, str) for note in notes)
    return "" if is_list else f"its notes() gives {repr(notes)[:80]}, not a list of texts"


def missing_module(target: str) -> str:
    """The module of ``target`` where there is none; parents are imported on the way."""
    module = target.partition(":")[0]
    try:
        return "" if importlib.util.find_spec(module) else module
    except (ImportError, ValueError):
        return module
