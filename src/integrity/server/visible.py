"""White space and control characters as PCRE classes: spelled out, so that no server's version of Unicode matters."""

from __future__ import annotations

from integrity.server.ranges import Ranges, span

#: Every character that draws nothing, in every version of Unicode that a supported Python knows (14 and later):
#: a character that only a newer one calls a format character counts as visible here, which refuses less.
INVISIBLE: Ranges = (
    (0x00, 0x20), (0x7F, 0xA0), (0xAD, 0xAD), (0x34F, 0x34F), (0x600, 0x605), (0x61C, 0x61C), (0x6DD, 0x6DD),
    (0x70F, 0x70F), (0x890, 0x891), (0x8E2, 0x8E2), (0x115F, 0x1160), (0x1680, 0x1680), (0x17B4, 0x17B5),
    (0x180B, 0x180F), (0x2000, 0x200F), (0x2028, 0x202F), (0x205F, 0x2064), (0x2066, 0x206F), (0x2800, 0x2800),
    (0x3000, 0x3000), (0x3164, 0x3164), (0xFE00, 0xFE0F), (0xFEFF, 0xFEFF), (0xFFA0, 0xFFA0), (0xFFF9, 0xFFFB),
    (0x110BD, 0x110BD), (0x110CD, 0x110CD), (0x13430, 0x13438), (0x1BCA0, 0x1BCA3), (0x1D173, 0x1D17A),
    (0xE0000, 0xE0FFF),
)  # fmt: skip

_CONTROLS: Ranges = ((0x00, 0x08), (0x0B, 0x0C), (0x0E, 0x1F), (0x7F, 0x9F))

#: Matches a text with at least one character that draws something.
VISIBLE = f"[^{span(INVISIBLE)}]"
#: Matches the same, and the empty text.
VISIBLE_OR_EMPTY = rf"\A\z|{VISIBLE}"
#: Matches a text with a control character besides tab, line feed and carriage return.
CONTROL = f"[{span(_CONTROLS)}]"
