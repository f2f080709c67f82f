"""Write the report on a run: one HTML file that needs no network and no other file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from markupsafe import Markup, escape

from kerasfast.data.files import write_text
from kerasfast.explain.pages.template import render
from kerasfast.explain.report import figures
from kerasfast.explain.report.classes import stale
from kerasfast.explain.report.mistakes import FALSE_ALARM
from kerasfast.explain.report.read import Run, read_run
from kerasfast.explain.report.sections import (
    Commands,
    DataSection,
    Missing,
    data_section,
    head_sections,
    mistake_pictures,
    pairs_section,
)
from kerasfast.explain.report.thumbnails import Thumbnail

REPORT_FILE = "report.html"


@dataclass(frozen=True)
class Written:
    """A report that was written.

    Attributes:
        path: The file.
        bytes: Its size.
        missing: What it lacks, by section, with the command that makes it.
        problems: Files that were there and could not be used, in sentences.
    """

    path: Path
    bytes: int
    missing: Mapping[str, Missing]
    problems: tuple[str, ...]


def write_report(
    run: str | Path,
    out: str | Path | None = None,
    *,
    records: str | Path | None = None,
    metrics: str | Path | None = None,
    mistakes: int = 6,
    force: bool = False,
) -> Written:
    """Write a report on a run, of the files that its folder holds; what is missing is said, and how to make it.

    Args:
        run: Folder of the run.
        out: HTML file to write; None: `report.html` in the run.
        records: Folder of the records that it was evaluated on, or their address in a store, for facts of the data and
            for pictures of the mistakes; None: without both.
        metrics: The evaluation to report on; None: `metrics.json` of the run, or another where there is none.
        mistakes: Mistakes of each kind and head to list.
        force: Replace a file that is there.

    Returns:
        Where the report is and what it lacks.

    Raises:
        FileNotFoundError: There is no such run or evaluation.
        FileExistsError: The file is there, and `force` is not given.
        ValueError: The evaluation cannot be read.
        DataError: Records that are missing, damaged or of other videos.
    """
    path = Path(out) if out is not None else Path(run) / REPORT_FILE
    if path.exists() and not force:
        raise FileExistsError(f"{path} is there already. Give another file, or --force to replace it.")
    found = read_run(run, metrics)
    given = None if records is None else str(records)
    commands, missing, problems = Commands(found, given), {}, [*found.problems]
    evaluation, scored, heads = found.evaluation, None, []
    if evaluation is not None:
        scored = evaluation.scored
        if why := stale(evaluation):
            problems.append(f"{evaluation.path.with_suffix('.npz').name} is not what the figures were made of: {why}.")
            scored = None
        heads = head_sections(evaluation, scored, mistakes)
    pictures: dict[int, Thumbnail] = {}
    data: DataSection | None = None
    if given is not None:
        data = data_section(given)
        if scored is not None and evaluation is not None:
            pictures = mistake_pictures(heads, scored, given, evaluation.protocol.get("split", "test"))
    missing = _missing(found, commands, scored is not None, given is not None)
    page = render(
        "report.html",
        title=f"Run {_name(found.folder)}",
        styles=("report.css",),
        scripts=("report.js",),
        run=found,
        facts=_facts(found),
        evaluation=evaluation,
        overview=_overview(found),
        training=figures.training(found.history) if found.history else [],
        heads=heads,
        pairs=pairs_section(scored),
        reliability=_reliability(found),
        thumbnails=pictures,
        data=None,
        dataset=data,
        recipe=None if found.recipe_text is None else exact(found.recipe_text),
        environment=_environment(found),
        false_alarm=FALSE_ALARM,
        missing=missing,
        problems=problems,
        made=datetime.now().astimezone().strftime("%Y-%m-%d %H:%M %Z"),
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, page)
    return Written(path, path.stat().st_size, missing, tuple(problems))


def exact(text: str) -> Markup:
    """Text for a `<pre>`, each line as it is; characters that nobody sees become the escapes of TOML."""
    shown = (c if c in "\n\t" or c.isprintable() else f"\\u{ord(c):04x}" for c in text.replace("\r\n", "\n"))
    return escape("".join(shown))


def _name(folder: Path) -> str:
    return folder.resolve().name or str(folder)


def _missing(run: Run, commands: Commands, scored: bool, records: bool) -> dict[str, Missing]:
    """What the run lacks, by the section that it belongs to."""
    found = {}
    if run.history is None:
        what = "The training has not ended." if run.unfinished else "The folder holds no history of a training."
        found["training"] = Missing(what, commands.train())
    elif run.unfinished:
        found["training"] = Missing("The training has not ended. The same command goes on with it.", commands.train())
    if run.evaluation is None:
        found["result"] = Missing("No video has been scored yet.", commands.evaluate())
    elif not scored:
        what = "Counts, chance, curves, confusion and mistakes need the scores of every video, which are not there."
        if run.evaluation.protocol["name"] == "localize":
            what = "Scores of single frames are not kept: counts, curves, confusion and mistakes are of whole videos."
        found["scores"] = Missing(what, commands.evaluate())
    if run.points is None:
        found["reliability"] = Missing("Nothing is calibrated: that takes a validation split.", commands.calibrate())
    if not records:
        found["data"] = Missing("The report was made without the records.", commands.report())
    return found


def _facts(run: Run) -> dict[str, str]:
    """What a run is, in a few words."""
    recipe, environment, evaluation = run.recipe or {}, run.environment or {}, run.evaluation
    model, history = recipe.get("model", {}), run.history
    found = {"recipe": recipe.get("name"), "model": model.get("name")}
    if found["model"] is None and run.model:
        found["model"] = run.model.get("variant", {}).get("name")
    if weights := model.get("weights"):
        found["begun from"] = "/".join(Path(weights).parts[-3:])  # the recipe has all of it
    if history is not None:
        seconds = environment.get("seconds") or float(history["seconds"].sum() if "seconds" in history else 0)
        took = f" in {duration(seconds)}" if seconds else ""
        found["trained"] = f"{len(history['epoch'])} epochs{took}"
    if evaluation is not None:
        protocol = evaluation.protocol
        split = f" of {protocol['split']}" if "split" in protocol else ""
        found["scored"] = f"{protocol['videos']:,} videos{split}, {protocol['clips']} x {protocol['crops']} views"
    return {key: str(value) for key, value in found.items() if value}


def duration(seconds: float) -> str:
    """Seconds as people say them: `42 s`, `3 min 40 s`, `2 h 5 min`."""
    minutes, rest = divmod(round(seconds), 60)
    hours, left = divmod(minutes, 60)
    if hours:
        return f"{hours} h {left} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def _environment(run: Run) -> dict[str, str]:
    """What the run was made and scored with, line by line."""
    found: dict[str, str] = {}
    environment = run.environment or {}
    machine = environment.get("machine", {})
    found |= {key: str(machine[key]) for key in ("processor", "cores", "system", "architecture") if key in machine}
    if memory := machine.get("memory_bytes"):
        found["memory"] = f"{memory / 2**30:.1f} GiB"
    if machine:
        found["accelerators"] = ", ".join(machine.get("accelerators", ())) or "none"
    if steps := environment.get("steps"):
        found["training"] = f"{steps:,} steps in {duration(environment.get('seconds', 0))}"
    if resumed := environment.get("resumed_at_step"):
        found["training"] += f" since step {resumed:,}, where it was taken up again"
    trained, scored = (
        environment.get("versions", {}),
        (run.evaluation.metrics if run.evaluation else {}).get("versions", {}),
    )
    for name in {**trained, **scored}:
        versions = [one[name] for one in (trained, scored) if name in one]
        found[name] = versions[0] if len(set(versions)) == 1 else f"{versions[0]} trained, {versions[-1]} scored"
    return found


def _overview(run: Run) -> figures.Picture | None:
    """The mAP of all heads, and of all together."""
    if run.evaluation is None:
        return None
    heads: dict[str, Mapping[str, Any]] = dict(run.evaluation.heads)
    metrics = run.evaluation.metrics
    if len(heads) > 1:
        together = {"map": metrics["overall_map"], "chance": metrics["overall_chance"]}
        heads["overall"] = {**together, "interval": metrics.get("overall_interval")}
    return figures.map_intervals(heads)


def _reliability(run: Run) -> dict[str, figures.Picture | None]:
    """A picture for each head with operating points; None where calibration was not measured."""
    if run.points is None:
        return {}
    return {
        head: figures.reliability_plot(head, point.reliability) if point.reliability else None
        for head, point in run.points.heads.items()
    }
