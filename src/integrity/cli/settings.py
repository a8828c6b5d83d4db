"""A project's settings for a command: ``integrity.toml``, or ``[tool.integrity]`` of ``pyproject.toml``.

The command line wins over the environment, and that over the file. The file is the nearest one, from the current
folder upwards; in one folder `integrity.toml` wins. Its keys are the long options without their dashes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from integrity.cli.failure import Failure

#: Options that mean one run, and one whose value may hold a password: files of a project are committed.
_NOT_HERE = frozenset({"config", "help", "plan", "uri"})
_SEVERITY = "integrity.severity"


def option(command: Any) -> Any:
    """Add the option ``--config``, which makes the file's settings the command's defaults."""
    return click.option(
        "--config",
        metavar="FILE",
        type=click.Path(dir_okay=False, path_type=Path),
        is_eager=True,
        expose_value=False,
        callback=_configure,
        help="Take settings from this file; by default from the nearest integrity.toml, or pyproject.toml with "
        "[tool.integrity].",
    )(command)


def severities(given: tuple[str, ...]) -> dict[str, str]:
    """Return the levels by code: those of the file, and over them those that were `given` as ``CODE=LEVEL``."""
    context = click.get_current_context()
    found: dict[str, str] = dict(context.meta.get(_SEVERITY, {}))
    for each in (part for one in given for part in one.split(",")):
        code, equals, level = each.partition("=")
        if not equals:
            raise click.UsageError(f"--severity {each}: write CODE=LEVEL, with error, warn or off.")
        found[code.strip().upper()] = level.strip().lower()
    return found


def from_file(name: str) -> bool:
    """Whether a parameter of the current command has its value from the file, or none at all."""
    source = click.get_current_context().get_parameter_source(name)
    return source in {ParameterSource.DEFAULT_MAP, ParameterSource.DEFAULT, None}


def _configure(context: click.Context, _: click.Parameter, path: Path | None) -> None:
    found = _read(path) if path is not None else _nearest(Path.cwd())
    if found is not None:
        context.default_map = dict(_defaults(context, *found))


def _nearest(folder: Path) -> tuple[Path, Mapping[str, Any]] | None:
    for each in (folder, *folder.parents):
        for name in ("integrity.toml", "pyproject.toml"):
            if (path := each / name).is_file() and (found := _read(path, optional=True)) is not None:
                return found
    return None


def _read(path: Path, *, optional: bool = False) -> tuple[Path, Mapping[str, Any]] | None:
    import tomllib

    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise Failure(f"The settings {path} cannot be read: {error.strerror}.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise Failure(f"The settings {path} are no valid TOML: {error}.") from error
    if path.name != "pyproject.toml":
        return path, content
    tool = content.get("tool")
    table = tool.get("integrity") if isinstance(tool, dict) else None
    if table is None:
        if optional:
            return None
        raise Failure(f"{path} has no table [tool.integrity].")
    if not isinstance(table, dict):
        raise Failure(f"{path}: [tool.integrity] is no table.")
    return path, table


def _defaults(context: click.Context, path: Path, table: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield the parameters' names and defaults, each checked: a mistyped key that did nothing would be trusted."""
    options = {
        long.removeprefix("--"): each
        for each in context.command.params
        if isinstance(each, click.Option)
        for long in each.opts
        if long.startswith("--")
    }
    known = {name: each for name, each in options.items() if name not in _NOT_HERE}
    for name, value in table.items():
        if name == "severity":
            context.meta[_SEVERITY] = _levels(path, value)
        elif name == "uri":
            raise Failure(f"{path}: uri may hold a password, and is not taken from a file; set MONGODB_URI.")
        elif name not in known:
            raise Failure(f"{path}: there is no setting {name!r}; there are {', '.join(sorted(known))}.")
        else:
            yield str(known[name].name), _value(context, path, name, known[name], value)


def _levels(path: Path, table: Any) -> dict[str, str]:
    if not isinstance(table, dict) or not all(isinstance(each, str) for each in table.values()):
        raise Failure(f'{path}: severity is a table of codes, such as EMP001 = "warn".')
    return {code.upper(): level.lower() for code, level in table.items()}


def _value(context: click.Context, path: Path, name: str, declared: click.Option, value: Any) -> Any:
    if declared.multiple:
        values = [value] if isinstance(value, str) else value
        if not isinstance(values, list) or not all(isinstance(each, str) for each in values):
            raise Failure(f"{path}: {name} is a list of strings.")
        return values
    if declared.is_flag:
        if not isinstance(value, bool):
            raise Failure(f"{path}: {name} is true or false.")
        return value
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise Failure(f"{path}: {name} is one value, not {value!r}.")
    if isinstance(declared.type, click.Path) and not isinstance(value, str):
        raise Failure(f"{path}: {name} is a file's name, in quotes, not {value!r}.")
    if isinstance(declared.type, click.Path) and isinstance(value, str) and value != "-":
        value = str(path.parent / value)  # as the file means it, wherever the command is run
    if isinstance(declared.type, click.IntRange | click.types.IntParamType) and isinstance(value, float):
        raise Failure(f"{path}: {name} is a whole number, not {value!r}.")  # click would cut it off
    try:
        declared.type_cast_value(context, value)
    except click.BadParameter as error:
        raise Failure(f"{path}: {name}: {error.message}") from error
    return value
