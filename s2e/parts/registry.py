"""Registries: the names a job may use, of one kind each.

The built-in parts are declared in modules of this package, imported on the first look-up. Those of other packages come
by entry points, or register themselves when their module is imported. A declaration that cannot be used is kept in
``broken`` with the reason, named in the log, and harms no other.
"""

from __future__ import annotations

import importlib
import logging
import pkgutil
import threading
from collections.abc import Iterator, Mapping
from functools import lru_cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any, NamedTuple, TypeVar

from s2e import __version__
from s2e.parts.part import Part, declare, missing_module, summary_of
from s2e.words.errors import Problem, SpecError
from s2e.words.fields import NAMES, Names

log = logging.getLogger("s2e.parts")
T = TypeVar("T")
P = TypeVar("P", bound=Part)


class Origin(NamedTuple):
    """The package that declares a part, and its version; no version for a module that no package brought."""

    package: str
    version: str

    def __str__(self) -> str:
        return f"{self.package} {self.version}".strip()


class Fault(NamedTuple):
    """A declaration that cannot be used, and why."""

    name: str
    reason: str
    origin: Origin


BUILT_IN = Origin("s2e", __version__)


class Registry(Mapping[str, T]):
    """Names of one kind, in alphabetical order: it does not depend on who was imported first."""

    def __init__(self, kind: str, declared: str) -> None:
        """``declared``: a module, a package whose modules all declare, or ``module:function`` to be called."""
        self.kind = kind
        self._declared = declared
        self._known: dict[str, T] = {}
        self._origins: dict[str, Origin] = {}
        self._faults: list[Fault] = []
        self._has_built_in = self._is_complete = False
        self._looking: set[int] = set()
        NAMES[kind] = Names(lambda: list(self.names()), lambda: self.broken)

    def __getitem__(self, name: str) -> T:
        self._complete()
        return self._known[name]

    def __iter__(self) -> Iterator[str]:
        self._complete()
        return iter(sorted(self._known))

    def __len__(self) -> int:
        self._complete()
        return len(self._known)

    def names(self) -> Iterator[str]:
        """The names a job may use as they are."""
        return iter(self)

    @property
    def faults(self) -> tuple[Fault, ...]:
        """Declarations that cannot be used."""
        self._complete()
        return tuple(self._faults)

    @property
    def broken(self) -> dict[str, str]:
        """Name -> reason of parts that cannot be used. A usable name is here too if another package wanted it."""
        return {fault.name: f"{fault.reason} ({fault.origin})" for fault in self.faults}

    def origin(self, name: str) -> Origin:
        """The package that declares ``name``."""
        self._complete()
        return self._origins[name]

    def find(self, name: str, field: str) -> T:
        """The part called ``name``. Raises SpecError, for the job's ``field``, where there is none."""
        if name in self:
            return self[name]
        raise self.unknown(name, field)

    def unknown(self, name: str, field: str) -> SpecError:
        """The refusal of a name, with the reason where it is declared somewhere."""
        return SpecError(Problem(field, name[:80], NAMES[self.kind].allowed(name)))

    def add(self, name: str, part: T, module: str) -> None:
        """Enter a part that ``module`` declares; declared again by the same module (a notebook's cell), it is
        replaced."""
        if self._is_built_in(module):
            origin = BUILT_IN
        else:
            origin = Origin(module.partition(".")[0], "")
            self._load_built_in()
        if name in self._known and not _is_again(self._known[name], part):
            self.refuse(name, f"the name is taken by {self._origins[name]}", origin)
            return
        self._known[name] = part
        self._origins[name] = origin

    def discard(self, name: str) -> None:
        """Forget a name, and its problem if it had one."""
        self._known.pop(name, None)
        self._origins.pop(name, None)
        self.forget_refusals(name)

    def forget_refusals(self, name: str) -> None:
        """Drop the problem of a name, once whoever declared it has been told."""
        self._faults = [fault for fault in self._faults if fault.name != name]

    def refuse(self, name: str, reason: str, origin: Origin) -> None:
        """Keep and log why a declaration cannot be used."""
        fault = Fault(name, reason, origin)
        if fault not in self._faults:
            self._faults.append(fault)
            log.warning("%s of %s cannot be used as one of the %s: %s", name, origin, self.kind, reason)

    def _complete(self) -> None:
        """Import all declarations, once. Without a lock: imports are idempotent, and a lock held while another thread
        imports a plug-in could stop both."""
        me = threading.get_ident()
        if self._is_complete or me in self._looking:
            return
        self._looking.add(me)
        try:
            self._load_built_in()
            self._load_others()
            self._is_complete = True
        finally:
            self._looking.discard(me)

    def _load_built_in(self) -> None:
        if not self._has_built_in:
            _import_all(self._declared)
            self._has_built_in = True

    def _load_others(self) -> None:
        """Load the declarations of other packages: none, where a kind is not open to them."""

    def _is_built_in(self, module: str) -> bool:
        own = self._declared.partition(":")[0]
        return module == own or module.startswith(own + ".")


class PartRegistry(Registry[type[P]]):
    """Parts of one kind, open to other packages by entry points of a group."""

    def __init__(self, kind: str, base: type[P], declared: str, group: str | None = None) -> None:
        super().__init__(kind, declared)
        self.base = base
        self._group = group

    def declare(self, cls: type[P], name: str, target: str, facts: Mapping[str, Any]) -> None:
        """Give a class its facts and enter it, or keep why it breaks the contract. Never raises."""
        module = getattr(cls, "__module__", "")
        try:
            reason = declare(cls, self.base, {"summary": summary_of(cls), **facts, "name": name, "target": target})
        except (Exception, SystemExit) as error:  # a class may do anything when it is looked at
            reason = f"{type(error).__name__}: {error}"
        if reason:
            self.refuse(str(name), reason, Origin(module.partition(".")[0], ""))
        else:
            self.add(name, cls, module)

    def _load_others(self) -> None:
        if self._group is not None:
            for point in _entry_points(self._group):
                self._load_point(point)

    def _load_point(self, point: EntryPoint) -> None:
        origin = Origin(point.dist.name, point.dist.version) if point.dist else Origin(point.module, "")
        try:
            part = point.load()
        except (Exception, SystemExit) as error:  # whatever a stranger's module does, the others must go on
            self.refuse(point.name, f"{type(error).__name__}: {error}", origin)
            return
        if reason := self._fault_of_point(point, part):
            self._faults = [fault for fault in self._faults if fault.name != point.name or fault.origin.version]
            self.refuse(point.name, reason, origin)
        else:
            self._origins[point.name] = origin

    def _fault_of_point(self, point: EntryPoint, part: Any) -> str:
        """Why the object of an entry point is not the part it should be."""
        known = self._known.get(point.name)
        if known is not None and known is part:
            if module := missing_module(known.target):
                self._known.pop(point.name)
                return f"its target {known.target} is in no module {module}"
            return ""
        noted = [fault.reason for fault in self._faults if fault.name == point.name and not fault.origin.version]
        if noted:
            return noted[-1]
        if isinstance(part, type) and issubclass(part, self.base) and part.name:
            return f"{point.value} declares {part.name!r}, but its entry point is called {point.name!r}"
        return f"{point.value} is not a declared {self.base.__name__}"


def _order(point: EntryPoint) -> tuple[str, str]:
    """By name; of two packages that want the same, the first in the alphabet gets it."""
    return point.name, point.dist.name if point.dist else ""


@lru_cache(maxsize=8)
def _entry_points(group: str) -> tuple[EntryPoint, ...]:
    """Those of all installed packages; reading them costs some milliseconds."""
    return tuple(sorted(entry_points(group=group), key=_order))


def _import_all(declared: str) -> None:
    """Import a module, all modules of a package, or call ``module:function``."""
    module, _, function = declared.partition(":")
    imported = importlib.import_module(module)
    if function:
        getattr(imported, function)()
    for _, name, _ in pkgutil.iter_modules(getattr(imported, "__path__", ())):
        importlib.import_module(f"{module}.{name}")


def _is_again(known: Any, part: Any) -> bool:
    """True if both are the same class of the same module, declared twice."""
    if not (isinstance(known, type) and isinstance(part, type)):
        return known is part
    return (known.__module__, known.__qualname__) == (part.__module__, part.__qualname__)
