"""Compare networks with the PyTorch reference and write the certificates of `zoo/parity`.

python tools/make_parity.py                                  # all, which takes an hour on two cores
python tools/make_parity.py 'x3d_*' slow_r50_4x16.mmaction2  # some
"""

from __future__ import annotations

import argparse
import dataclasses
import datetime
import fnmatch
import json
import logging
import sys
import tempfile
import warnings
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))

from parity.cases import CASES, Case
from parity.literal_keys import fixtures_of

from kerasfast.verify.certificates import Certificate, Sample, parity_dir
from kerasfast.verify.graph import TOLERANCE

if TYPE_CHECKING:  # torch is for the comparison alone
    from parity.compare import Comparison

LIBRARIES = ("kerasfast", "torch", "pytorchvideo", "tensorflow", "keras", "numpy")


def certificate(case: Case, found: Comparison) -> Certificate:
    return Certificate(
        architecture=case.architecture,
        form=case.form,
        overrides=case.overrides,
        reference=case.reference,
        names=fixtures_of(case.architecture, case.form),
        parameters=found.parameters[1],
        moving_values=found.moving_values[1],
        differences={side: {s: _digits(d, 2) for s, d in crop.items()} for side, crop in found.differences.items()},
        activations={stage: Sample.of(values) for stage, values in found.tiny.items()},
        versions={library: version(library) for library in LIBRARIES},
        date=datetime.date.today().isoformat(),
    )


def write_json(found: Certificate, path: Path) -> None:
    row = dataclasses.asdict(found)
    for sample in row["activations"].values():
        sample |= {key: _digits(sample[key], 9) for key in ("mean", "largest")}
        sample["values"] = [_digits(value, 9) for value in sample["values"]]
    path.parent.mkdir(exist_ok=True)
    path.write_text(_json(row, levels=2) + "\n", "utf-8")


def _digits(value: float, digits: int) -> float:
    return float(f"{value:.{digits}g}")


def _json(value: Any, *, levels: int, indent: str = "") -> str:
    """JSON with a line for each key of the outer levels: a stage stays on one line."""
    if not levels or not isinstance(value, dict) or not value:
        return json.dumps(value)
    inner = indent + " "
    lines = [f"{inner}{json.dumps(key)}: {_json(v, levels=levels - 1, indent=inner)}" for key, v in value.items()]
    return "{\n" + ",\n".join(lines) + f"\n{indent}}}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", default=["*"], help="shell patterns of architecture.form")
    parser.add_argument("--missing", action="store_true", help="only those without a certificate")
    arguments = parser.parse_args()
    from parity.compare import compare

    logging.getLogger("tensorflow").setLevel(logging.ERROR)  # every network is traced anew, which is reported
    warnings.filterwarnings("ignore", message=".*torch.jit", category=DeprecationWarning)
    for name, case in CASES.items():
        if not any(fnmatch.fnmatchcase(name, pattern) for pattern in arguments.names):
            continue
        if arguments.missing and (parity_dir() / f"{name}.json").exists():
            continue
        with tempfile.TemporaryDirectory() as folder:
            found = compare(case, Path(folder))
        if not found.within(TOLERANCE) or not found.containers_agree:
            raise SystemExit(f"{name} differs from the reference: {found.differences}")
        write_json(certificate(case, found), parity_dir() / f"{name}.json")
        print(found.line(name), flush=True)


if __name__ == "__main__":
    main()
