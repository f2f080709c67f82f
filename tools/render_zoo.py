"""Write zoo/README.md from the index, the parity certificates and the result files.

python tools/render_zoo.py          # writes
python tools/render_zoo.py --check  # exit code 1 where zoo/README.md is behind
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from markdown_table import table

from kerasfast.models.variants import VARIANTS
from kerasfast.registry import Entry, index
from kerasfast.verify import Certificate, find_certificate

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "zoo" / "README.md"
STAGES = ("stem", "res2", "res3", "res4", "res5")

INTRODUCTION = """\
# The zoo

`kerasfast.load("slowfast_r50_8x8.k400")` builds a network, fetches the checkpoint that its library publishes, checks
it, ports it once and keeps it in the cache (`KERASFAST_HOME`, by default `~/.cache/kerasfast`). `kerasfast list` and
`kerasfast info NAME` show what stands here. This page is written by `tools/render_zoo.py`: change `index.toml`, not it.
"""

CERTIFICATES = """\
## What is proven

A certificate compares the Keras network with the PyTorch one on the same frames and the same seeded random weights,
which travel through a checkpoint file as the library writes it. It says that the graph, the names and the layout are
right: the largest difference at every stage, relative to the largest value of that stage, in float32 on a CPU. It says
nothing about the published file, which none of us could fetch: "not reached" stands until somebody runs
`kerasfast verify NAME --file FILE` on it. `kerasfast verify NAME` repeats the comparison offline, without torch.
"""


def published(row: Entry) -> tuple[str, str]:
    """The first published result of a row, and its protocol."""
    if not row.metrics:
        return "", ""
    metric = row.metrics[0]
    accuracies = " / ".join(f"{value:g}" for value in (metric.top1, metric.top5) if value is not None)
    score = accuracies if metric.map is None else f"mAP {metric.map:g}"
    return score, f"{metric.clips} x {metric.crops} of {metric.crop_size}, {metric.merge}"


def weights(rows: Iterable[Entry]) -> str:
    """The table of published weights."""
    lines = []
    for row in rows:
        clip, (score, protocol) = row.variant.clip, published(row)
        certificate = find_certificate(row.name)
        lines.append(
            (
                f"`{row.name}`",
                f"{clip.frames}x{clip.stride} at {clip.fps:g}",
                row.dataset,
                score,
                protocol,
                row.license,
                f"[{largest(certificate):.1e}](parity/{certificate.name}.json)",
                certificate.published_file,
            )
        )
    header = ("name", "frames x stride, fps", "trained on", "published top-1 / top-5", "clips x crops", "licence")
    return table((*header, "largest difference", "published file"), lines)


def largest(certificate: Certificate) -> float:
    """The largest difference of any stage at any crop."""
    return max(value for stages in certificate.differences.values() for value in stages.values())


def differences(certificates: Iterable[Certificate]) -> str:
    """One row an architecture and form: the largest difference of each stage over both pathways and crops."""
    lines = []
    for certificate in certificates:
        cells = []
        for stage in (*STAGES, "logits"):
            found = [
                value
                for stages in certificate.differences.values()
                for name, value in stages.items()
                if name.endswith(stage)
            ]
            cells.append(f"{max(found):.1e}" if found else "")
        crops = " and ".join(certificate.differences)
        lines.append((f"`{certificate.name}`", f"{certificate.parameters:,}", crops, *cells))
    return table(("network and form", "parameters", "crops", *STAGES, "logits"), lines)


def multiply_adds(result: Mapping[str, Any]) -> str:
    """The paper's figures beside ours."""
    lines = []
    for row in result["rows"]:
        fields = ", ".join(f"`{key}={_short(value)}`" for key, value in row["fields"].items())
        ours, paper = row["giga_multiply_adds"], row["paper"]
        lines.append((f"`{row['network']}`", fields, f"{paper:g}", f"{ours:.2f}", f"{100 * (ours / paper - 1):+.1f} %"))
    notes = [
        f"\n`{row['network']}`{' with ' if row['fields'] else ''}{', '.join(row['fields'])}: {row['mismatch']}."
        for row in result["rows"]
        if row["mismatch"]
    ]
    return table(("network", "fields", "paper", "counted", "difference"), lines) + "\n".join(notes) + "\n"


def _short(value: Any) -> str:
    """A share such as 1/6 as the paper writes it."""
    return f"1/{round(1 / value)}" if isinstance(value, float) else str(value)


def porting(result: Mapping[str, Any]) -> str:
    """Seconds and memory of porting."""
    lines = []
    for name in (name for name in result if name in VARIANTS):
        row = result[name]
        peak = max(row["peak_above_build_in_weights"]["port"].values())
        lines.append(
            (
                f"`{name}`",
                f"{row['parameters'] / 1e6:.1f} M",
                f"{max(row['port_seconds'].values()):.1f}",
                f"{max(row['peak_mib']['port'].values()):,.0f}",
                f"{row['peak_mib']['build']:,.0f}",
                f"{peak:.2f}",
                f"{row['cached_load_seconds']:.1f}",
                f"{row['second_cached_load_seconds']:.1f}",
            )
        )
    header = ("network", "parameters", "seconds to port", "peak, MiB", "peak of the bare model, MiB")
    header = (*header, "difference in weights", "load from the cache, s", "again, s")
    machine = result["machine"]
    versions = ", ".join(f"{name} {version}" for name, version in result["versions"].items())
    return (
        table(header, lines)
        + f"\nMedians of {result['repeats']} processes on {machine['cores']} cores of {machine['cpu']}"
        f" ({versions}); the slower of torch's two containers, with the optimizer's state in the file. A process that"
        " has loaded one model loads the next one sooner.\n"
    )


def certificates() -> list[Certificate]:
    """All of them, in the order of the table of architectures."""
    found = [Certificate.read(path) for path in sorted((ROOT / "zoo" / "parity").glob("*.json"))]
    order = list(VARIANTS)
    return sorted(found, key=lambda certificate: (order.index(certificate.architecture), certificate.form))


def page() -> str:
    """The whole page."""
    rows = [row for row in index().values() if row.source]
    shipped = [row for row in index().values() if row.card]
    result = {
        name: json.loads((ROOT / "benchmarks" / f"{name}.json").read_text("utf-8"))
        for name in ("multiply_adds", "porting")
    }
    own = [
        (f"`{row.name}`", row.summary, row.license, f"{row.card['parameters']:,}", f"[card](cards/{row.name}.json)")
        for row in shipped
    ]
    parts = [
        INTRODUCTION,
        f"## Weights of other libraries ({len(rows)})\n",
        weights(rows),
        "## Weights that come with kerasfast\n",
        table(("name", "what", "licence", "parameters", "figures"), own),
        CERTIFICATES,
        differences(certificates()),
        "## Multiply-adds\n",
        f"Of a view of {result['multiply_adds']['size']} pixels in 10^9, counted from the built graph, beside those of"
        " Feichtenhofer et al. 2019 (arXiv:1812.03982), tables 2 to 5.\n",
        multiply_adds(result["multiply_adds"]),
        "## Porting\n",
        porting(result["porting"]),
    ]
    return "\n".join(parts)


def main() -> None:
    rendered = page()
    if "--check" in sys.argv:
        sys.exit(not PAGE.exists() or PAGE.read_text("utf-8") != rendered)
    PAGE.write_text(rendered, "utf-8")


if __name__ == "__main__":
    main()
