"""`Failure`: a command ends with one sentence and exit status 2."""

from __future__ import annotations

import click


class Failure(click.ClickException):
    """The job could not be done, or not everything was seen.

    Args:
        message: One sentence with the object, the place and the way out.
    """

    exit_code = 2


def told(error: BaseException) -> str:
    """Return the sentence for an error that nobody expected; INTEGRITY_TRACEBACK=1 shows where it comes from."""
    return (
        f"an unexpected {type(error).__name__} stopped the command; "
        "run it again with INTEGRITY_TRACEBACK=1 in the environment to see where."
    )
