"""Names of videos as words of a message. Standard library alone."""

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
