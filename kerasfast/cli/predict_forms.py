"""The files that `kerasfast predict` writes: which, where, under which names, and never over another unasked."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import typer

from kerasfast.cli.output_files import check_outputs
from kerasfast.data.annotations import VIDEO_SUFFIXES
from kerasfast.explain.sources import OVERLAY_ENDING, Source, is_camera, is_file, title
from kerasfast.explain.timelines.text_forms import FORMS, write_form
from kerasfast.explain.timelines.timeline import Timeline
from kerasfast.explain.timelines.truth import Truth

# In the order in which they are written: what takes longest comes last.
ENDINGS = {"json": ".json", "csv": ".csv", "srt": ".srt", "timeline": ".html", "overlay": OVERLAY_ENDING}
_OVERLAY_TOP = 5  # classes of each head; more cover the picture
_NAME_LENGTH = 48  # with four bytes a character and the longest ending, below the 255 bytes of a file name


@dataclass(frozen=True)
class Outputs:
    """What is written of each video.

    Args:
        forms: Names of `ENDINGS`.
        folder: Where to; None: text to standard output, other files to the current folder.
        force: Write over what exists.
        top: Classes of each head: the best ones in JSON, those of a subtitle, and at most five in the overlay.
        scores: Whether JSON takes the scores of every window.
        truth: Annotations to mark.
    """

    forms: Sequence[str]
    folder: Path | None
    force: bool
    top: int
    scores: bool
    truth: Truth | None = None

    def paths(self, sources: Sequence[Source]) -> list[dict[str, Path]]:
        """The files of each video, by form; text for standard output has none.

        Raises:
            ValueError: One exists, is one of the videos or cannot be written; several texts would go to standard
                output; or a form needs a video that can be read again.
        """
        texts = [form for form in self.forms if form in FORMS]
        if self.folder is None and texts and len(texts) * len(sources) > 1:
            raise ValueError(
                f"Standard output takes one text of one video. Received: {' and '.join('--' + t for t in texts)} of "
                f"{len(sources)} videos. Give a folder: --out DIR."
            )
        if self.folder is not None and self.folder.exists() and not self.folder.is_dir():
            raise ValueError(f"--out must be a folder. Received: {self.folder}, which is a file.")
        if "overlay" in self.forms and (streams := [source for source in sources if not is_file(source)]):
            raise ValueError(f"--overlay draws on the video again and needs a file. Received: {title(streams[0])}.")
        folder = self.folder or Path()
        filed = [form for form in ENDINGS if form in self.forms and (self.folder is not None or form not in texts)]
        found = [{form: folder / (name + ENDINGS[form]) for form in filed} for name in file_names(sources)]
        videos = {source.resolve() for source in sources if isinstance(source, Path)}
        for path in (path for of_video in found for path in of_video.values()):
            if path.resolve() in videos:
                raise ValueError(f"{path} is one of the videos and would be written over. Give another --out DIR.")
        check_outputs((path for of_video in found for path in of_video.values()), self.force)
        return found

    def write(
        self,
        timeline: Timeline,
        source: Source,
        paths: dict[str, Path],
        *,
        overlay: bool = True,
        progress: Callable[[int, int], None] | None = None,
    ) -> Iterator[Path]:
        """Write what is asked for, one form after the other.

        Args:
            timeline: What was seen.
            source: The video.
            paths: Its row of `paths`.
            overlay: Whether to draw the overlay, if it is asked for.
            progress: Of the overlay, the frames done and all frames.

        Yields:
            Each file as soon as it is whole.
        """
        text_options = {"json": {"top": self.top, "windows": self.scores}, "srt": {"top": self.top}}
        for form in self.forms:
            options = text_options.get(form, {})
            if form not in paths:
                # Bytes, because a terminal's encoding is no business of a file that this is redirected to.
                typer.echo(FORMS[form](timeline, **options).encode(), nl=False)
                continue
            path = paths[form]
            path.parent.mkdir(parents=True, exist_ok=True)
            if form in FORMS:
                write_form(timeline, path, form, **options)
            elif form == "timeline":
                from kerasfast.explain.timelines.page import write_page

                again = not is_camera(source) and (is_file(source) or isinstance(source, str))
                write_page(timeline, path, video=source if again and not isinstance(source, int) else None)
            elif overlay and isinstance(source, Path):
                from kerasfast.explain.timelines.overlay import write_overlay

                write_overlay(timeline, source, path, top=min(self.top, _OVERLAY_TOP), progress=progress)
            else:
                continue
            yield path


def file_names(sources: Sequence[Source]) -> list[str]:
    """A name for the files of each video, without an ending: that of the video, made safe for any file system.

    Where two videos have the same name, all but the first get eight digits of the hash of their place.
    """
    names: list[str] = []
    taken: set[str] = set()
    for source in sources:
        name = Path(title(source))
        kept = name.stem if name.suffix.lower() in VIDEO_SUFFIXES else name.name  # of an address "10.0.0.7"
        stem = re.sub(r"[^\w.-]+", "_", kept).strip("._-")[:_NAME_LENGTH] or "video"
        place = source.absolute() if isinstance(source, Path) else source
        digest = hashlib.sha256(os.fsencode(str(place))).hexdigest()
        # Upper and lower case are the same name on some file systems.
        choices = (stem, *(f"{stem}-{digest[at : at + 8]}" for at in range(0, 64, 8)))
        name = next(name for name in choices if name.casefold() not in taken)
        taken.add(name.casefold())
        names.append(name)
    return names
