"""Write docs/charades.md and its plots: the claims about training, from benchmarks/charades.json.

python tools/render_charades.py          # writes
python tools/render_charades.py --check  # exit code 1 where the page is behind
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from charades_lines import LOSSES, NAMES, f1_lines, line, lines_table, verdict
from matplotlib.figure import Figure

ROOT = Path(__file__).resolve().parent.parent
RESULT = ROOT / "benchmarks" / "charades.json"
PAGE = ROOT / "docs" / "charades.md"
PLOTS = ROOT / "docs" / "charades"

_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")  # Okabe and Ito


FROZEN = (
    "Heads alone, trained from their random start on the frozen features of the pretrained network of the same seed: so"
    " many trainings of whole networks would take hours."
)


def transfer(result: Mapping[str, Any]) -> list[str]:
    """Pretrained on the single-label videos against from scratch."""
    metrics = {
        "verb": "verb mAP",
        "object": "object mAP",
        "action": "action mAP",
        "overall": "overall mAP",
        "novel_verb": "verb mAP, novel pairs",
        "novel_object": "object mAP, novel pairs",
        "novel_action": "action mAP, novel pairs",
    }
    parts = []
    for metric, title in metrics.items():
        pair = [line(result, run, metric) for run in ("transfer", "scratch")]
        parts += [lines_table(result, title, pair), verdict(*pair), ""]
    return parts


def speeds(result: Mapping[str, Any]) -> list[str]:
    """Both pathways against one of them, and laterals against none; all from scratch."""
    runs = ("scratch", "slow", "fast", "no_lateral")
    both, slow, fast, none = overall = [line(result, run, "overall") for run in runs]
    motion = [line(result, run, "motion") for run in runs]
    verdicts = [verdict(both, slow), "", verdict(slow, fast), "", verdict(both, none), ""]
    return [
        lines_table(result, "overall mAP", overall),
        *verdicts,
        lines_table(result, "action mAP, told by fast motion alone", motion),
        *longer(result, runs),
    ]


def longer(result: Mapping[str, Any], runs: Sequence[str]) -> list[str]:
    """The same networks trained for longer, on the seeds that have them."""
    seeds = {seed: found for seed, found in result["seeds"].items() if f"{runs[0]}_longer" in found["networks"]}
    if not seeds:
        return []
    part = {"seeds": seeds}
    runs = [run for run in runs if all(f"{run}_longer" in found["networks"] for found in seeds.values())]
    tables = []
    for metric, title in (("overall", "overall mAP"), ("motion", "action mAP, told by fast motion alone")):
        lines = [line(part, f"{run}_longer", metric, name=NAMES[run]) for run in runs]
        tables += [lines_table(part, f"{title}, {result['epochs']['longer']} epochs", lines)]
    return [f"Trained for {result['epochs']['longer']} epochs in place of {result['epochs']['others']}:", "", *tables]


def thresholds(result: Mapping[str, Any]) -> list[str]:
    """Thresholds of the validation videos against 0.5, on the test videos."""
    found = [seed["thresholds"] for seed in result["seeds"].values()]
    half, fitted = f1_lines(found)
    maps = ", ".join(f"{f['map']:.3f}" for f in found)
    return [
        lines_table(result, "macro F1 of actions", [fitted, half]),
        verdict(fitted, half),
        "",
        f"The scores stay what they are, and so does their mAP: {maps}.",
    ]


def losses(result: Mapping[str, Any]) -> list[str]:
    """Each loss against BCE on the rarest third of the actions; heads alone, on the features of one network."""
    bce = line(result, "bce", "rarest", "heads")
    others = [line(result, run, "rarest", "heads") for run in LOSSES]
    best = max(others, key=lambda one: one.mean)
    whole = [line(result, run, "action", "heads") for run in ("bce", *LOSSES)]
    return [
        FROZEN,
        "",
        lines_table(result, "action mAP, rarest third", [bce, *others]),
        verdict(best, bce),
        "",
        lines_table(result, "action mAP", whole),
        "Class-balanced BCE multiplies all of a class's loss by one number. Adam divides the gradient of a weight by"
        " its own size, and a weight of these heads belongs to one class: the number cancels, and what is left is BCE."
        " It acts where classes share weights, as in a whole network.",
    ]


def composition(result: Mapping[str, Any]) -> list[str]:
    """The compositional head against the independent one."""
    parts = [FROZEN, ""]
    titles = {"rarest": "action mAP, rarest third", "novel_action": "action mAP, novel pairs", "action": "action mAP"}
    for metric, title in titles.items():
        pair = [
            line(result, "composed", metric, "heads"),
            line(result, "bce", metric, "heads", name="independent heads"),
        ]
        more = [line(result, "composed_scaled", metric, "heads")] if metric.startswith("novel") else []
        parts += [lines_table(result, title, [*pair, *more]), verdict(*pair), ""]
    return parts


def views(result: Mapping[str, Any]) -> list[str]:
    """Ten clips against one, and how they are merged."""
    one, most, mean = lines = [
        line(result, way, "overall", "views") for way in ("1 clip", "10 clips, max", "10 clips, mean")
    ]
    actions = [line(result, way, "action", "views") for way in ("1 clip", "10 clips, max", "10 clips, mean")]
    return [
        lines_table(result, "overall mAP", lines),
        verdict(most, one),
        "",
        verdict(mean, one),
        "",
        lines_table(result, "action mAP", actions),
    ]


SECTIONS = {
    "Transfer beats scratch": transfer,
    "Two speeds matter": speeds,
    "Thresholds mend recall": thresholds,
    "Losses for the tail": losses,
    "Composition": composition,
    "Views": views,
}
# Plot of a section: the metric of each run.
_PLOTTED = {
    "transfer": ("overall", "networks", ("scratch", "transfer"), "overall mAP"),
    "speeds": ("overall", "networks", ("scratch", "no_lateral", "slow", "fast"), "overall mAP"),
    "losses": ("rarest", "heads", ("bce", *LOSSES), "action mAP, rarest third"),
    "composition": ("novel_action", "heads", ("bce", "composed"), "action mAP, novel pairs"),
    "views": ("overall", "views", ("1 clip", "10 clips, max", "10 clips, mean"), "overall mAP"),
}


def plot(result: Mapping[str, Any], key: str, path: Path) -> None:
    """Bars of the means, dots of the seeds, a dashed line at chance."""
    if key == "thresholds":
        lines = list(f1_lines([seed["thresholds"] for seed in result["seeds"].values()]))
        label = "macro F1 of actions"
    else:
        metric, group, runs, label = _PLOTTED[key]
        lines = [line(result, run, metric, group) for run in runs]
    figure = Figure(figsize=(7, 0.5 * len(lines) + 1.4), layout="constrained")
    axes = figure.subplots()
    for place, one in enumerate(lines):
        axes.barh(place, one.mean, color=_COLOURS[place], alpha=0.7)
        axes.plot(one.values, [place] * len(one.values), "o", color="black", markersize=4)
    if lines[0].chance is not None:
        axes.axvline(lines[0].chance, color="black", linestyle="--", linewidth=1, label="chance")
        figure.legend(frameon=False, loc="outside upper right")
    axes.set_yticks(range(len(lines)), [one.name for one in lines])
    axes.invert_yaxis()
    axes.set(xlabel=f"{label} (bar: mean, dots: seeds)", xlim=(0, None))
    figure.savefig(path, dpi=120, metadata={"Software": None})


def page(result: Mapping[str, Any]) -> str:
    """The whole page."""
    seeds = result["seeds"].values()
    runs = [run for seed in seeds for name, run in seed["seconds"].items() if not name.endswith("_longer")]
    longer_too = any(name.endswith("_longer") for seed in seeds for name in seed["seconds"])
    unless = " (without the trainings that are called longer)" if longer_too else ""
    minutes, cpu = sum(run["all"] for run in runs) / 60, sum(run["cpu"] for run in runs) / 60
    videos = next(iter(seeds))["videos"]
    rarest = max(seed["rarest_third"]["most_training_videos"] for seed in seeds)
    versions = ", ".join(f"{name} {version}" for name, version in result["versions"].items())
    text = [
        "# What training shows, on miniature Charades",
        "",
        "Written by `tools/render_charades.py` from `benchmarks/charades.json`. The command"
        f" `{result['command']}` generated the data of each seed, trained every network on them and scored it on their"
        f" test videos, on {result['machine']['cores']} cores ({versions}). It took {minutes:.0f} minutes in all, of"
        f" the 75 that it may take, and {cpu:.0f} minutes of one core{unless}.",
        "",
        f"A seed has {videos['train']} videos to train, {videos['val']} of other subjects to fit thresholds on and"
        f" {videos['test']} of yet other subjects to test. Networks that are compared had the same number of epochs on"
        " them (the pretrained one has seen the single-label videos before), and every mAP is of 10 clips merged by"
        " their maximum unless a row says otherwise. The spread is the largest less the smallest of the seeds. A claim"
        " holds where it does with every seed and by more on average than either side spreads. Each seed is a data set"
        " of its own, harder or easier for both sides; its gain stands in parentheses. The rarest third of the"
        f" actions is in at most {rarest} training videos each. Novel pairs are a verb and an object that no training"
        " video shows together; for every network and head their score is the sum of the logits of verb and object, and"
        " where it says so by the scales that the compositional head has learned. Chance for F1 is what naming every"
        " action of every video gives. The best loss is picked on the test videos, so its lead is flattered.",
        "",
    ]
    for title, section in SECTIONS.items():
        picture = f"![{title}](charades/{section.__name__}.png)"
        text += [f"## {title}", "", *section(result), "", picture, ""]
    return "\n".join(text).rstrip() + "\n"


def main() -> None:
    result = json.loads(RESULT.read_text("utf-8"))
    rendered = page(result)
    if "--check" in sys.argv:
        sys.exit(not PAGE.exists() or PAGE.read_text("utf-8") != rendered)
    PLOTS.mkdir(parents=True, exist_ok=True)
    PAGE.write_text(rendered, "utf-8")
    for section in SECTIONS.values():
        plot(result, section.__name__, PLOTS / f"{section.__name__}.png")


if __name__ == "__main__":
    main()
