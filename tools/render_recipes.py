"""Write docs/recipes.md from the recipes in training/recipes.

python tools/render_recipes.py          # writes
python tools/render_recipes.py --check  # exit code 1 where docs/recipes.md is behind
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable
from pathlib import Path

from markdown_table import table

from kerasfast.train.recipes import recipe as recipes
from kerasfast.train.recipes.recipe import Recipe
from kerasfast.train.recipes.sections import Published

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "recipes.md"

# Beginning of the names -> heading, in the order of the page.
FAMILIES = {
    "charades": "Charades",
    "kinetics": "Kinetics-400",
    "kinetics600": "Kinetics-600",
    "miniature": "Miniature Charades",
}

OPTIMIZERS = {"sgd": "SGD", "adamw": "AdamW"}

INTRODUCTION = """\
# Recipes

`kerasfast train RECIPE --records RECORDS --out RUN` trains one of these, `--smoke` its short version;
`kerasfast.recipes.load(name)` gives it to a program. Each file states its command lines, what it takes, the published
number that it is after, and what its source leaves open. This page is written by `tools/render_recipes.py`: change the
files in `training/recipes`, not it.
"""

DETAILS = """\
## Protocols, sources and what is open
"""


def linked(text: str) -> str:
    """Addresses as Markdown links, named by their last part."""

    def link(match: re.Match[str]) -> str:
        address = match[0].rstrip(".,;)")
        name = address.rsplit("/", 1)[-1]
        name = f"arXiv:{name}" if "arxiv.org" in address else name
        return f"[{name}]({address})" + match[0][len(address) :]

    return re.sub(r"https?://\S+", link, text)


def start(recipe: Recipe) -> str:
    """Where the weights come from."""
    weights = recipe.model.weights
    if weights is None or weights is False:
        return f"`{recipe.model.name}`" if "." in recipe.model.name else "scratch"
    return f"`{weights}`"


def schedule(recipe: Recipe) -> str:
    """Length, batch and learning rate in words."""
    rate, training = recipe.schedule, recipe.training
    length = _epochs(training.epochs) if training.epochs is not None else f"{training.steps:,} steps"
    highest = f"{rate.learning_rate:g}"
    if rate.base_batch_size is not None:
        scaled = rate.learning_rate * training.batch_size / rate.base_batch_size
        highest = f"{scaled:g} ({highest} at {rate.base_batch_size:,})"
    factor = f"times {rate.decay_factor:g}"
    decays = " and ".join(f"{epoch:g}" for epoch in rate.decay_epochs)
    shape = {
        "constant": "",
        "cosine": ", half a period of the cosine",
        "step": f", {factor} at epoch {decays}",
        "plateau": f", {factor} after {_epochs(rate.patience)} without improvement",
    }[rate.name]
    parts = [f"{length} of batch {training.batch_size}", f"{OPTIMIZERS[recipe.optimizer.name]} at {highest}{shape}"]
    if rate.warmup_epochs or rate.warmup_steps:
        warmup = _epochs(rate.warmup_epochs) if rate.warmup_epochs else f"{rate.warmup_steps:,} steps"
        parts.append(f"warm-up {warmup} from {rate.warmup_from:g}")
    parts += [f"{layers} at {share:g} of it" for layers, share in recipe.optimizer.rates.items()]
    if recipe.multigrid is not None:
        parts.append(f"multigrid, {recipe.multigrid.epoch_factor:g} times the epochs")
    return "; ".join(parts)


def _epochs(count: float) -> str:
    return f"{count:g} epoch" if count == 1 else f"{count:g} epochs"


def metrics(published: Published | None) -> str:
    """The published metrics in percent, and `none` where the source states none."""
    if published is None:
        return ""
    shown = (f"{_spoken(key)} {100 * value:.4g}" for key, value in published.metrics.items())
    return ", ".join(shown) or "none"


def _spoken(key: str) -> str:
    """`action_map` as `action mAP`, `action_top1` as `top-1`."""
    head, _, metric = key.rpartition("_")
    return f"{head} mAP" if metric == "map" else metric.replace("top", "top-")


def overview(rows: Iterable[Recipe]) -> str:
    """One row a recipe."""
    lines = [
        (
            f"[`{recipe.name}`](../training/recipes/{recipe.name}.toml)",
            f"`{recipe.model.name.partition('.')[0]}`",
            start(recipe),
            schedule(recipe),
            metrics(recipe.published),
            recipe.published.hardware if recipe.published else "2 CPU cores",
        )
        for recipe in rows
    ]
    return table(("recipe", "network", "from", "schedule", "published", "hardware"), lines)


def details(recipe: Recipe) -> str:
    """Protocol, source, whether it is reached, and notes."""
    published = recipe.published
    if published is None:
        return ""
    lines = {
        "Protocol": published.protocol,
        "Source": linked(published.source),
        "Reached": published.reached,
        "Notes": linked(published.notes),
    }
    return f"**`{recipe.name}`**\n\n" + "".join(f"- {key}: {text}\n" for key, text in lines.items() if text)


def page() -> str:
    """The whole page."""
    rows = [recipes.load(name) for name in recipes.list()]
    parts = [INTRODUCTION]
    for family, heading in FAMILIES.items():
        parts += [f"## {heading}\n", overview(row for row in rows if row.name.partition("_")[0] == family)]
    parts += [DETAILS, *filter(None, map(details, rows))]
    return "\n".join(parts)


def main() -> None:
    rendered = page()
    if "--check" in sys.argv:
        sys.exit(not PAGE.exists() or PAGE.read_text("utf-8") != rendered)
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text(rendered, "utf-8")


if __name__ == "__main__":
    main()
