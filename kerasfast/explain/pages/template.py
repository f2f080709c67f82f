"""Self-contained HTML pages: one file that holds its styles and scripts, fetches nothing and runs nothing else."""

from __future__ import annotations

import base64
import hashlib
import json
import unicodedata
from collections.abc import Sequence
from functools import cache
from importlib import resources
from typing import Any

import jinja2
from markupsafe import Markup

from kerasfast import __version__
from kerasfast.data.words import clock

# Marks that turn the direction of the text around them: a file "photo_gpj.exe" must not read as "photo_exe.jpg".
_DIRECTION_MARKS = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def render(
    template: str,
    *,
    title: str,
    styles: Sequence[str] = (),
    scripts: Sequence[str] = (),
    data: Any = None,
    media: Sequence[str] = (),
    **values: Any,
) -> str:
    """Renders a template of `kerasfast/explain/pages` that extends `base.html`.

    Every value is escaped and passes through `plain_text`. The page's content security policy lets in its own styles
    and scripts by their hashes, pictures as `data:` addresses, and media from `media`; nothing else, so `style` and
    `onclick` attributes do nothing.

    Args:
        template: File name, such as "timeline.html".
        title: Title of the page.
        styles: File names of styles that follow "base.css".
        scripts: File names of scripts; they make up one module, in this order.
        data: Values for the scripts, which find them as JSON in the element "page-data".
        media: Sources of video and audio in the words of the policy, such as "'self'" or "https://example.org".
        values: What the template names.

    Returns:
        The page.
    """
    style = "\n".join(_read(name) for name in ("base.css", *styles))
    script = "\n".join(_read(name) for name in scripts)
    sources = {
        "default-src": ["'none'"],
        "style-src": [_hash(style)],
        "script-src": [_hash(script)] if scripts else [],
        "img-src": ["data:"],
        "media-src": list(media),
        "base-uri": ["'none'"],
        "form-action": ["'none'"],
    }
    policy = "; ".join(f"{name} {' '.join(found)}" for name, found in sources.items() if found)
    return (
        _environment()
        .get_template(template)
        .render(
            title=title,
            policy=policy,
            style=Markup(style),
            script=Markup(script),
            data=None if data is None else json_for_script(data),
            version=__version__,
            **values,
        )
    )


def json_for_script(values: Any) -> Markup:
    """JSON for the inside of a `<script type="application/json">`: nothing in it ends the element or opens another.

    Raises:
        ValueError: A number is infinite or not a number, which JSON does not know.
    """
    text = json.dumps(values, separators=(",", ":"), allow_nan=False)  # ASCII: U+2028 and lone surrogates are escaped
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Markup(text)


def plain_text(text: str, limit: int | None = 300) -> str:
    """Text as a page may show it, whoever wrote it: on one line, of at most `limit` characters, if any.

    Control characters and line breaks become spaces. What HTML forbids and what turns the direction of the text
    around it is left out; bytes of a file name that are no UTF-8 become a question mark.
    """
    line = text if text.isascii() and text.isprintable() else _cleaned(text)
    line = " ".join(line.split())
    return line if limit is None or len(line) <= limit else line[: limit - 1].rstrip() + "…"


def _cleaned(text: str) -> str:
    kept = []
    for character in text:
        category = unicodedata.category(character)
        if category in ("Cc", "Zl", "Zp"):
            kept.append(" ")
        elif category == "Cs":
            kept.append("?")
        elif not (character in _DIRECTION_MARKS or _is_noncharacter(ord(character))):
            kept.append(character)
    return "".join(kept)


def _is_noncharacter(code: int) -> bool:
    return 0xFDD0 <= code <= 0xFDEF or code & 0xFFFE == 0xFFFE


def _read(name: str) -> str:
    return resources.files("kerasfast.explain.pages").joinpath(name).read_text("utf-8").strip()


def _hash(text: str) -> str:
    """How the policy names an inline style or script."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


@cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(_read),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=lambda value: plain_text(value, limit=None) if type(value) is str else value,
    )
    environment.filters["clock"] = clock
    return environment
