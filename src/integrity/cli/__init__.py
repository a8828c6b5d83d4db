"""The command `integrity`: one file per subcommand.

Exit 0: done, and nothing was found. 1: violations were found. 2: the job could not be done, or not everything
was seen. 130: Ctrl-C. What was found goes to stdout, everything else to stderr; an error is one sentence.
"""

from __future__ import annotations

import errno
import io
import logging
import os
import re
import sys
import traceback
from collections.abc import Sequence

import click

from integrity.cli.apply import apply
from integrity.cli.audit import audit
from integrity.cli.check import check
from integrity.cli.demo import demo
from integrity.cli.diff import diff
from integrity.cli.enforce import enforce
from integrity.cli.export import export
from integrity.cli.facts import facts
from integrity.cli.failure import Failure, told
from integrity.cli.infer import infer
from integrity.cli.plan_delete import plan_delete
from integrity.cli.pool import pool
from integrity.cli.quarantine import quarantine
from integrity.cli.recover import recover
from integrity.cli.repair import repair
from integrity.cli.roles import roles
from integrity.cli.rule import rule
from integrity.cli.status import status
from integrity.cli.sync import sync
from integrity.cli.undo import undo

INTERRUPTED = 130

_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EBADF})


def _version(context: click.Context, _: click.Parameter, wanted: bool) -> None:  # noqa: FBT001 - click's callback
    if wanted:
        from importlib.metadata import version

        click.echo(f"integrity {version('mongo-integrity')}")
        context.exit()


@click.group(
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Exit status: 0 nothing found, 1 violations found, 2 not done or not everything seen.",
)
@click.option(
    "--version", is_flag=True, is_eager=True, expose_value=False, callback=_version, help="Print the version and exit."
)
def integrity() -> None:
    """Schemas, references, uniqueness and ownership that hold, over MongoDB."""


integrity.add_command(audit)
integrity.add_command(rule)
integrity.add_command(check)
integrity.add_command(plan_delete)
integrity.add_command(recover)
integrity.add_command(sync)
integrity.add_command(roles)
integrity.add_command(facts)
integrity.add_command(pool)
integrity.add_command(demo)
integrity.add_command(diff)
integrity.add_command(apply)
integrity.add_command(enforce)
integrity.add_command(status)
integrity.add_command(infer)
integrity.add_command(export)
integrity.add_command(repair)
integrity.add_command(undo)
integrity.add_command(quarantine)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status.

    Args:
        arguments: What follows the command's name; None for the process's own.
    """
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # closed by who started this, as by `>&-`
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: PTH123, SIM115 - as long as the process
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # What a database holds can be written in every locale.
            stream.reconfigure(errors="backslashreplace")
    # PyMongo's threads log with a traceback that a server went away, which the command says in a sentence.
    logging.getLogger("pymongo").addHandler(logging.NullHandler())
    try:
        status = integrity.main(arguments, prog_name="integrity", standalone_mode=False)
        sys.stdout.flush()  # here, and not when Python ends, where the error would be nobody's
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        return error.exit_code
    except click.UsageError as error:
        shown = io.StringIO()
        error.show(shown)
        click.echo(_veiled(shown.getvalue()), err=True, nl=False)
        return error.exit_code
    except Failure as error:
        _say(error.message)
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        _say("stopped by Ctrl-C before the end; nothing is known of what was not seen.")
        return INTERRUPTED
    except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever it is, the exit status says what was not done
        if os.environ.get("INTEGRITY_TRACEBACK"):
            click.echo(_veiled(traceback.format_exc()), err=True)
        _say(_unwritten(error) or told(error))
        return Failure.exit_code
    return status if isinstance(status, int) else 0


def _unwritten(error: BaseException) -> str:
    """Return the sentence for output that nobody takes, or nothing for another error."""
    if isinstance(error, BrokenPipeError):
        return "the reader of the output went away before its end."
    if isinstance(error, OSError) and error.errno in _NO_ROOM:
        return f"the output cannot be written: {error.strerror}."
    return ""


def _veiled(text: str) -> str:
    """Return text without what may be a password: a URI that was given in another argument's place."""
    return re.sub(r"(mongodb(?:\+srv)?:/+)\S*@", r"\1***@", text, flags=re.IGNORECASE)


def _say(sentence: str) -> None:
    # A model's exception or a server's last words may hold what a terminal would obey.
    shown = "".join(each if each.isprintable() or each == "\n" else ascii(each)[1:-1] for each in _veiled(sentence))
    click.echo(f"integrity: {shown}", err=True)
