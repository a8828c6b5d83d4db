"""`python -m integrity` is the command `integrity`, and so is the script of that name."""

import contextlib
import os
import signal
import sys

INTERRUPTED = 130
#: What ends a program from outside; Windows has no SIGHUP.
ENDING = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]


class _Ended(BaseException):
    """The process is told to end: what the command was writing is put away on the way out."""


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
        for number in ENDING:
            if signal.getsignal(number) is signal.SIG_DFL:
                signal.signal(number, _end)
        return command()
    except _Ended as ended:
        number = ended.args[0]
    except KeyboardInterrupt:  # outside of what the command itself does
        _say()
        return INTERRUPTED
    finally:
        if ours:
            signal.signal(signal.SIGINT, signal.SIG_DFL)  # while Python ends, a traceback would be of its own modules
    # When the exception is gone, and with it what its traceback holds open. By the signal itself, so that who sent it
    # sees that.
    os.kill(os.getpid(), number)
    return INTERRUPTED  # where that one is blocked


def _end(number: int, _: object) -> None:
    signal.signal(number, signal.SIG_DFL)  # the second one waits for nothing
    raise _Ended(number)


def _stop(*_: object) -> None:
    _say()
    os._exit(INTERRUPTED)


def _say() -> None:
    with contextlib.suppress(OSError):  # closed by who started this
        # Below the terminal's ^C, as click does it.
        os.write(2, b"\nintegrity: stopped by Ctrl-C before it began.\n")


if __name__ == "__main__":
    sys.exit(main())
