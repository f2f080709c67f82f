"""Names and times of videos as words. Standard library alone."""

from __future__ import annotations

import re
from pathlib import Path

# Of "scheme://name:password@"; also after a `Path` made one slash of two, but not in "C:/me@home".
_PASSWORD = re.compile(r"((?<=\w\w):/{1,2})[^/\s]*@")


def shown(source: str | Path | int) -> str:
    """A source in words that any file and any terminal takes, also within a message.

    What is no printable character is escaped, and the name and password of an address are left out.
    """
    name = f"/dev/video{source}" if isinstance(source, int) else _PASSWORD.sub(r"\1", str(source))
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in name)


def clock(seconds: float) -> str:
    """Seconds as people read them: `0:04.2`, `12:30.0`, `1:05:00.0`."""
    tenths = round(max(seconds, 0.0) * 10)
    minutes, tenths = divmod(tenths, 600)
    hours, minutes = divmod(minutes, 60)
    lead = f"{hours}:{minutes:02d}" if hours else f"{minutes}"
    return f"{lead}:{tenths // 10:02d}.{tenths % 10}"
