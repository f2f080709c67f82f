"""What the doctor can find, and the report of what it found. Standard library alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from kerasfast.data.checks.throughput import Throughput

Severity = Literal["error", "warning", "note"]
SEVERITIES: tuple[Severity, ...] = ("error", "warning", "note")

# Code -> severity, and what it means and what to do. An error stops a build, leaves something out of it or spoils a
# result; a warning is read as it is, but may not be what was meant; a note is dealt with.
KINDS: dict[str, tuple[Severity, str]] = {
    # Annotations.
    "bad_row": ("error", "A row breaks the format. Correct it; the build refuses the file."),
    "duplicate_id": ("error", "A video comes twice in a split. Keep one of the two."),
    "unknown_label": ("error", "A label is no class of the label space. Give the classes that belong to the labels."),
    "shared_video": ("error", "A video is in a training and in a test split. Take it out of one of them."),
    "label_after_end": ("error", "A label begins when the video is over: wrong times, or the wrong file."),
    # Video files.
    "missing": ("error", "A video has no file. Add it, or build with --skip-bad, which leaves it out."),
    "two_files": ("error", "A video has two files. Keep one of them."),
    "undecodable": ("error", "A video cannot be decoded. Copy it again, or build with --skip-bad."),
    "truncated": ("error", "A video ends before its header says. Copy it again, or build with --skip-bad."),
    # Records.
    "bad_manifest": ("error", "A manifest cannot be read. Build the split again."),
    "unfinished": ("error", "A build has not ended. Run it again; it goes on where it was."),
    "missing_shard": ("error", "A shard is not there. Copy it again, or delete the manifest and build again."),
    "damaged_shard": ("error", "A shard differs from its manifest. Copy it again, or delete both and build again."),
    "wrong_counts": ("error", "A manifest contradicts itself. Build the split again."),
    # What may not be meant.
    "shared_subject": ("warning", "A subject is in a training and in a test split: the test knows the person."),
    "skipped": ("warning", "A video was left out of the records, because it could not be read."),
    "lost_frames": ("warning", "Frames of a video decode to nothing; their neighbours are shown in their place."),
    "short": ("warning", "A video is shorter than a clip: its last frame is repeated."),
    "variable_rate": ("warning", "Frames come at an uneven rate: they are placed by their times, not by counting."),
    "label_past_end": ("warning", "A label ends after the video. What is past the end labels nothing."),
    "other_length": ("warning", "The file is longer or shorter than listed. Check that it is the right one."),
    "reversed_segment": ("warning", "A segment ends where it starts or before: it labels the video, but no clip."),
    "late_segment": ("warning", "A segment starts after the listed length: it labels the video, but no clip."),
    "no_positive": ("warning", "A class has no video in a split: it cannot be learnt there, or scored."),
    "other_clip": ("warning", "Splits of one folder are stored for different clips."),
    "input_bound": ("warning", "Training will wait for its input."),
    # What is dealt with.
    "clipped_end": ("note", "Segments end past the listed length. They are cut there."),
    "no_labels": ("note", "A video has no label: a negative example of every class."),
    "low_rate": ("note", "A video has fewer frames than a clip samples: some come several times in a clip."),
    "rotated": ("note", "A video is stored turned. It is turned back."),
    "odd_size": ("note", "A video has an odd width or height."),
    "deep_colour": ("note", "A video has more than 8 bits a colour. Frames are brought to 8."),
    "anamorphic": ("note", "Pixels are not square. Frames are not stretched, so things look wide or narrow."),
    "unlisted": ("note", "A file is in no split."),
    "other_labels": ("note", "Splits of one folder have different classes."),
    "input_fast": ("note", "Training will not wait for its input."),
}


@dataclass(frozen=True)
class Item:
    """One case of a finding: what has it ("train/46GP8") and in which way."""

    subject: str
    detail: str


@dataclass(frozen=True)
class Finding:
    """A kind of trouble, with all its cases.

    Args:
        severity: "error", "warning" or "note".
        code: A key of `KINDS`.
        message: What it means and what to do.
        items: The cases, in the order of the data.
    """

    severity: Severity
    code: str
    message: str
    items: tuple[Item, ...]


@dataclass(frozen=True)
class ClassCounts:
    """Videos of each class of a head in a split.

    Args:
        split: Name of the split.
        head: Name of the head.
        classes: Names of its classes.
        videos: Number of videos of each.
    """

    split: str
    head: str
    classes: tuple[str, ...]
    videos: tuple[int, ...]


@dataclass(frozen=True)
class Report:
    """What a check found.

    Args:
        checked: What was looked at, such as {"videos": 1814}.
        findings: Errors first; one for each code at most.
        class_counts: For each split and head.
        throughput: Rates of input and model, where they were measured.
    """

    checked: dict[str, int]
    findings: tuple[Finding, ...]
    class_counts: tuple[ClassCounts, ...]
    throughput: Throughput | None = None

    def count(self, severity: Severity) -> int:
        """Cases of a severity."""
        return sum(len(finding.items) for finding in self.findings if finding.severity == severity)

    def passed(self, strict: bool = False) -> bool:
        """Whether there are no errors and, if `strict`, no warnings either."""
        return not self.count("error") and not (strict and self.count("warning"))

    def with_throughput(self, throughput: Throughput) -> Report:
        """The report with the rates of a machine, and what they mean among the findings."""
        findings = Findings({finding.code: [*finding.items] for finding in self.findings})
        code = "input_bound" if throughput.input_bound else "input_fast"
        findings.add(code, f"{throughput.model} at batch {throughput.batch_size}", throughput.verdict())
        return replace(self, findings=findings.sorted(), throughput=throughput)

    def to_dict(self) -> dict[str, Any]:
        """The report in plain types, for JSON; complete, whatever a terminal shows of it."""
        values: dict[str, Any] = {
            "checked": self.checked,
            "counts": {severity: self.count(severity) for severity in SEVERITIES},
            "findings": [
                {
                    "severity": finding.severity,
                    "code": finding.code,
                    "message": finding.message,
                    "count": len(finding.items),
                    "items": [{"subject": item.subject, "detail": item.detail} for item in finding.items],
                }
                for finding in self.findings
            ],
            "class_counts": [
                {
                    "split": counts.split,
                    "head": counts.head,
                    "classes": [
                        {"class": name, "videos": videos}
                        for name, videos in zip(counts.classes, counts.videos, strict=True)
                    ],
                }
                for counts in self.class_counts
            ],
        }
        if self.throughput is not None:
            values["throughput"] = self.throughput.to_dict()
        return values


@dataclass
class Findings:
    """Collects cases under their codes."""

    _items: dict[str, list[Item]] = field(default_factory=dict)

    def add(self, code: str, subject: str, detail: str = "") -> None:
        """Notes one case of a code of `KINDS`."""
        if code not in KINDS:
            raise ValueError(f"code must be one of KINDS. Received: {code!r}.")
        self._items.setdefault(code, []).append(Item(subject, detail))

    def sorted(self) -> tuple[Finding, ...]:
        """The findings, errors first, else in the order of `KINDS`."""
        order = sorted(KINDS, key=lambda code: SEVERITIES.index(KINDS[code][0]))
        return tuple(Finding(*_kind(code), tuple(self._items[code])) for code in order if code in self._items)


def add_shared(findings: Findings, code: str, splits: Mapping[str, tuple[bool, Mapping[str, Sequence[str]]]]) -> None:
    """Notes what a training split shares with one that is not.

    Args:
        findings: Where to note it.
        code: "shared_video" or "shared_subject".
        splits: For each split whether it is for training, and the ids of its videos by what must not be shared.
    """
    for name, (training, ids) in splits.items():
        for other, (other_training, other_ids) in splits.items():
            for key in ids if training and not other_training else ():
                if key in other_ids:
                    here, there = f"{name}/{_some(ids[key])}", f"{other}/{_some(other_ids[key])}"
                    subject = here if code == "shared_video" else key
                    findings.add(code, subject, there if code == "shared_video" else f"{here}; {there}")


def count_classes(
    findings: Findings, split: str, heads: Mapping[str, Sequence[str]], counts: Mapping[str, Sequence[int]]
) -> list[ClassCounts]:
    """The class counts of a split; notes the classes without a video.

    Args:
        findings: Where to note them.
        split: Name of the split.
        heads: Class names by head.
        counts: Videos of each class, by head.
    """
    for head, names in heads.items():
        for name, videos in zip(names, counts[head], strict=True):
            if not videos:
                findings.add("no_positive", f"{split}/{head}", name)
    return [ClassCounts(split, head, tuple(names), tuple(counts[head])) for head, names in heads.items()]


def _kind(code: str) -> tuple[Severity, str, str]:
    severity, message = KINDS[code]
    return severity, code, message


def _some(ids: Sequence[str]) -> str:
    """The first ids, so that a subject of a hundred videos does not fill the page."""
    return ", ".join(ids[:3]) + (f" and {len(ids) - 3} more" if len(ids) > 3 else "")
