"""`python -m integrity` is the command `integrity`, and so is the script of that name."""

import contextlib
import os
import signal
import sys

INTERRUPTED = 130


def main() -> int:
    """Run the command and return its exit status; Ctrl-C is a sentence and exit 130 from here on, imports included."""
    ours = signal.getsignal(signal.SIGINT) is signal.default_int_handler  # it may be ignored, as by nohup
    if ours:
        # While modules are imported a KeyboardInterrupt may end in any of them; nothing is there yet to be tidied up.
        signal.signal(signal.SIGINT, _stop)
    from integrity.cli import main as command  # noqa: PLC0415 - this is what takes the time

    try:
        if ours:
            signal.signal(signal.SIGINT, signal.default_int_handler)
        return command()
    except KeyboardInterrupt:  # outside of what the command itself does
        _say()
        return INTERRUPTED
    finally:
        if ours:
            signal.signal(signal.SIGINT, signal.SIG_DFL)  # while Python ends, a traceback would be of its own modules


def _stop(*_: object) -> None:
    _say()
    os._exit(INTERRUPTED)


def _say() -> None:
    with contextlib.suppress(OSError):  # closed by who started this
        # Below the terminal's ^C, as click does it.
        os.write(2, b"\nintegrity: stopped by Ctrl-C before it began.\n")


if __name__ == "__main__":
    sys.exit(main())
