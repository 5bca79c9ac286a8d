"""Libraries that the base installation does not bring, by the extra that does."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec

_TRAIN = ("torch", "torchvision", "safetensors", "sklearn", "skops", "cmaes", "optuna")
_STORE = ("alembic", "psycopg", "pydantic", "pydantic_settings", "sqlalchemy")
EXTRAS: Mapping[str, tuple[str, ...]] = {
    "train": _TRAIN,
    "server": (*_STORE, "fastapi", "prometheus_client", "uvicorn"),
    "worker": (*_TRAIN, *_STORE, "ray", "structlog"),
    "data": ("pyarrow", "PIL"),
    "remote": ("fsspec",),
    "cleanlab": ("cleanlab",),
    "testing": ("hypothesis", "pytest"),
    "tune": ("ray", "pandas", "pyarrow"),
}
"""Extra -> the modules of its libraries, as pyproject.toml has them."""


@contextmanager
def needs(extra: str) -> Iterator[None]:
    """Around imports: a module of the extra that is not there is a MissingExtraError, which says how to install it."""
    try:
        yield
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] in EXTRAS[extra]:
            raise _missing(extra) from None
        raise


def require(extra: str) -> None:
    """Raise MissingExtraError where a module of the extra is not there. Imports nothing."""
    if any(find_spec(module) is None for module in EXTRAS[extra]):
        raise _missing(extra)


def _missing(extra: str) -> Exception:
    """The error, imported where there is one: every command goes through here."""
    from s2e.words import MissingExtraError

    return MissingExtraError(extra)
