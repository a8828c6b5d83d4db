r"""What no value may be, unless its field says so: the guardrails that hold without being written down.

A policy judges values, not types: it holds for the string ``"\N"`` in a field that is declared ``int`` too,
since that is where importers leave it.
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from typing import Literal

#: What stands for "nothing" in the files and programs that data comes from; compared with the whole value.
PLACEHOLDERS = frozenset(
    {
        "\\N",
        "N/A",
        "n/a",
        "#N/A",
        "null",
        "NULL",
        "undefined",
        "None",
        "nan",
        "NaN",
        "-",
        "--",
        "?",
        "[object Object]",
    }
)

#: Letters and marks by category that draw nothing: the Hangul fillers, the Khmer inherent vowels, the Braille
#: blank, the combining grapheme joiner. Unicode's Default_Ignorable_Code_Point and "blank" glyphs.
BLANK = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0")
# Selectors change the glyph before them and draw nothing of their own.
_SELECTORS = (range(0x180B, 0x1810), range(0xFE00, 0xFE10), range(0xE0000, 0xE1000))
# Unicode reserves these for pictographs to come: an emoji younger than this Python is not a fault.
_PICTOGRAPHS = range(0x1F000, 0x1FB00)
_DRAW_NOTHING = frozenset({"Cc", "Cf", "Cs", "Zs", "Zl", "Zp", "Mn", "Me", "Mc"})
_TEXT_CONTROLS = frozenset("\t\n\r")


@dataclass(frozen=True)
class Policy:
    """The default guardrails of a model or a database; a value, replaced as a whole or by `dataclasses.replace`.

    Args:
        placeholders: Whole strings that stand for "nothing" (FRB001).
        allow_empty_strings: Let ``""`` through (EMP001).
        allow_white_space: Let strings without a visible character through (EMP002).
        allow_empty_containers: Let ``[]`` and ``{}`` through (EMP003).
        allow_nan: Let NaN and the infinities through (EMP005).
        allow_control_characters: Let control and unassigned characters through (FRB003). Tab, line feed and
            carriage return are always let through. True by default: names of the real world carry them.
        copies: What a hand-written copy that differs from its owner gets: ``"refuse"`` or ``"fill"`` (replaced).
        undeclared_filters: What a filter on an undeclared path gets: ``"warn"``, ``"refuse"`` or ``"ignore"``.
    """

    placeholders: frozenset[str] = PLACEHOLDERS
    allow_empty_strings: bool = False
    allow_white_space: bool = False
    allow_empty_containers: bool = False
    allow_nan: bool = False
    allow_control_characters: bool = True
    copies: Literal["refuse", "fill"] = "refuse"
    undeclared_filters: Literal["warn", "refuse", "ignore"] = "warn"

    def __post_init__(self) -> None:
        # The empty string is a rule of its own (EMP001), that `allow_empty_strings` lets through.
        object.__setattr__(self, "placeholders", frozenset(self.placeholders) - {""})


#: The policy of a model that names none, in a database that names none.
DEFAULT = Policy()


def visible(text: str) -> bool:
    """Whether `text` has a character that draws something of its own: no space, control, format, blank or mark."""
    return any(map(_draws, text))


def _draws(character: str) -> bool:
    if "!" <= character <= "~":
        return True
    if character in BLANK or character.isspace():
        return False
    if any(ord(character) in each for each in _SELECTORS):
        return False
    # Cc control, Cf format, Cs surrogate, Zs/Zl/Zp separators; Mn/Me/Mc marks change the letter before them and are
    # none. Cn (unassigned) and Co (private use) may draw.
    return unicodedata.category(character) not in _DRAW_NOTHING


def unprintable(text: str) -> str | None:
    """Return the first control or unassigned character of `text`, or None.

    Format characters, such as the joiner inside an emoji, are text and are let through.
    """
    if text.isprintable():
        return None
    for character in text:
        category = unicodedata.category(character)
        if category == "Cc" and character not in _TEXT_CONTROLS:
            return character
        if category in {"Cn", "Cs"} and ord(character) not in _PICTOGRAPHS:
            return character
    return None
