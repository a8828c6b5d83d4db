"""Ctrl-C at each moment at which Python lets one come: after a call, and where a function begins."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import integrity

OURS = str(Path(integrity.__file__).parent)
#: Its context managers and stacks run between two of our steps.
BETWEEN = "contextlib.py"


class Moment:
    """A profiler that raises one KeyboardInterrupt in the library's own code.

    Args:
        number: At which of its moments.
    """

    def __init__(self, number: int) -> None:
        self._left = number
        self.where = ""

    def __call__(self, frame: FrameType, event: str, _: Any) -> None:
        if event not in {"call", "c_return"} or self.where or frame.f_code.co_name == "__del__":
            return  # what is raised in the last, nobody hears of
        name = frame.f_code.co_filename
        if not name.startswith(OURS) and not name.endswith(BETWEEN):
            return
        if event == "call" and frame.f_code.co_name == "<genexpr>":
            return  # it may be closed only, which nothing interrupts
        self._left -= 1
        if not self._left:
            self.where = f"{frame.f_code.co_filename}:{frame.f_lineno} in {frame.f_code.co_name}"
            raise KeyboardInterrupt


def each_moment(act: Callable[[], object], most: int = 5000) -> Iterator[str]:
    """Run `act` again and again, interrupted one moment later each time; yield where that was.

    The last run is not interrupted, and nothing is yielded for it.
    """
    for number in range(1, most):
        moment = Moment(number)
        sys.setprofile(moment)
        try:
            act()
        except KeyboardInterrupt:
            pass
        finally:
            sys.setprofile(None)
        if not moment.where:
            return
        yield moment.where
    raise AssertionError(f"there is no end of {most} moments")
