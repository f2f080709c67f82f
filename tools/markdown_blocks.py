"""Figures in a page that is written by hand: what stands between the marker of a result file and the next end."""

from __future__ import annotations

END = "<!-- end -->"


def replace_block(text: str, source: str, content: str) -> str:
    """A page with the block of a result file replaced.

    Args:
        text: The page, which has `<!-- source -->` on a line of its own and `<!-- end -->` on a later one.
        source: The result file, as the marker names it.
        content: The Markdown between the two.

    Raises:
        ValueError: The page has no such marker, or it is not closed.
    """
    before, begin, rest = text.partition(f"<!-- {source} -->\n")
    old, end, after = rest.partition(END)
    if not begin or not end or "<!--" in old:
        raise ValueError(f"The page has no block of {source}: write <!-- {source} --> and {END} where it belongs.")
    return f"{before}{begin}{content.strip()}\n{end}{after}"
