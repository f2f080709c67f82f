"""Lets the API pages show the examples of docstrings as code.

They end the docstrings here, without a heading; mkdocstrings takes only what stands in a section `Examples:` for code.
"""

from __future__ import annotations

import re
from typing import Any

import griffe

_EXAMPLES = re.compile(r"(?m)^>>> (?:.|\n)*\Z")


class Examples(griffe.Extension):
    """Puts the closing `>>>` lines of a docstring into a section."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Change the docstring of a module, class, function or attribute."""
        if obj.docstring is not None:
            obj.docstring.value = with_section(obj.docstring.value)


def with_section(docstring: str) -> str:
    """The docstring with its closing examples in a section of their own."""
    return _EXAMPLES.sub(lambda found: "Examples:\n" + re.sub(r"(?m)^(?=.)", "    ", found[0]), docstring)
