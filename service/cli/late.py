"""Groups of commands whose module is imported when one of them is asked for."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import typer
from typer.core import TyperGroup
from typer.main import get_group


def late_group(module: str, summary: str) -> typer.Typer:
    """A group with the commands of ``module.app``. The module is not imported before the group is used."""

    class Late(TyperGroup):
        def list_commands(self, ctx: Any) -> list[str]:
            self._load()
            return super().list_commands(ctx)

        def get_command(self, ctx: Any, cmd_name: str) -> Any:
            self._load()
            return super().get_command(ctx, cmd_name)

        def _load(self) -> None:
            if not self.commands:
                self.commands.update(get_group(import_module(module).app).commands)

    return typer.Typer(cls=Late, help=summary, no_args_is_help=True)
