"""MODELS: a dotted module or a .py file, imported and made a registry."""

from __future__ import annotations

import importlib
import importlib.util
import sys
import traceback
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from integrity.cli.failure import Failure

if TYPE_CHECKING:
    from integrity.declare.registry import Registry


def registry(name: str) -> Registry:
    """Return the registry of the models in a module.

    Args:
        name: A dotted module, or the path of a .py file. As with ``python -m`` and ``python FILE``, modules of the
            current folder, and those beside the file, can be imported.

    Raises:
        Failure: It is not there, does not import, or its declarations contradict each other.
    """
    from integrity.declare.registry import Registry
    from integrity.errors import DeclarationError

    try:
        return Registry(_file(Path(name)) if is_file(name) else _dotted(name))
    except DeclarationError as error:
        raise Failure(f"{name}: {error}") from error


def is_file(name: str) -> bool:
    """Whether MODELS names a file, and no dotted module."""
    return name.endswith(".py") or "/" in name or "\\" in name


def _dotted(name: str) -> ModuleType:
    sys.path.insert(0, "")
    if not all(part.isidentifier() for part in name.split(".")):
        raise Failure(f"{name} is neither a dotted module nor a .py file.")
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is not None and (name == error.name or name.startswith(f"{error.name}.")):
            beside = f"; did you mean {name}.py?" if Path(f"{name}.py").is_file() else "."
            raise Failure(f"There is no module {name}{beside}") from error
        raise _broken(name, error) from error
    except (Exception, SystemExit) as error:
        raise _broken(name, error) from error


def _file(path: Path) -> ModuleType:
    if not path.is_file():
        raise Failure(f"There is no file {path}.")
    sys.path.insert(0, str(path.parent.resolve()))
    sys.path.append("")  # for a file of a package that is imported from the current folder
    # Its own name, so that what is imported beside it may import it too; never that of a module already there.
    name = path.stem if path.stem not in sys.modules else f"integrity_models_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise Failure(f"{path} is not a .py file.")
    module = importlib.util.module_from_spec(spec)
    # Entered before it runs: pydantic looks a model's annotations up by the name of its module.
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        raise _broken(str(path), error) from error
    return module


def _broken(name: str, error: BaseException) -> Failure:
    """Say which line of the models raised what."""
    from integrity.errors import DeclarationError

    if isinstance(error, SyntaxError):
        return Failure(f"{name} does not import: line {error.lineno}: {error.msg}.")
    if isinstance(error, ImportError) and "relative import" in str(error):
        return Failure(f"{name} is part of a package (it imports relatively); give its dotted module instead.")
    frames = traceback.extract_tb(error.__traceback__)
    own = [each for each in frames if "importlib" not in each.filename and each.filename != __file__]
    at = next((each for each in reversed(own) if Path(each.filename).stem == Path(name).stem), None)
    line = f"line {at.lineno}: " if at is not None else ""
    text = " ".join(str(error).split())
    if isinstance(error, DeclarationError):
        return Failure(f"{name}: {line}{text}")
    return Failure(f"{name} does not import: {line}{type(error).__name__}{f': {text}' if text else ''}.")
