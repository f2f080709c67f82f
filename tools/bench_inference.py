"""A view through SlowFast, against every other way to run it: benchmarks/inference.json.

    python tools/bench_inference.py                                   # all; about 25 minutes on two cores
    python tools/bench_inference.py --only contenders --rounds 7      # a part; the others stay as they are
    python tools/bench_inference.py --only models --models slowfast_nano --out out/inference.json

Each contender is a process of its own that holds the network and waits; they take turns, one call at a time, so that a
slow minute of the machine hits all alike. `idle_cpu` says what each computed while another had its turn. Who needs a
package that is missing, or longer than `--limit` for its first call, is listed with the reason. Needs torch 2.13.0,
pytorchvideo 0.1.5, openvino, onnxruntime and onnxscript beside kerasfast.
"""

from __future__ import annotations

import argparse
import json
import subprocess
from collections.abc import Container, Iterable
from pathlib import Path
from typing import Any

from contest import ROOT, Entrant, contest, script, write_result
from inference_contenders import CONTENDERS
from matrix_multiply import LIBRARIES, PRECISIONS
from performance_figures import best

from kerasfast.models.classifier import build
from kerasfast.models.cost import multiply_adds
from kerasfast.models.variants import variant
from kerasfast.serving.fold import fold_batch_norm
from kerasfast.serving.winograd import multiply_adds_left_out

RESULT = ROOT / "benchmarks" / "inference.json"
MAIN, MAIN_SIZE = "slowfast_r50_8x8", 256
# PyTorchVideo has no builder for the nano.
OTHERS = ("slowfast_r50_4x16", "slowfast_r101_8x8", "x3d_s_13x6", "slowfast_nano")
OURS = ("kerasfast_float32", "kerasfast_float32_plain", "kerasfast_bfloat16")
PARTS = ("contenders", "models", "growth", "scores")
_MAKING_SECONDS = 240.0  # an export checks itself with a clip, which takes minutes in a type without kernels
_PACKAGES = (
    *("tensorflow", "keras", "numpy", "torch", "pytorchvideo", "openvino", "onnxruntime", "onnx", "onnxscript"),
)


def size_of(name: str, largest: int) -> int:
    """Side of a view in pixels: 256 as in the paper, or that of testing where it is smaller."""
    return min(largest, variant(name).test_crop_size)


def entrants(
    name: str, work: Path, chosen: Iterable[str], size: int, largest: int, too_slow: Container[str] = ()
) -> list[Entrant]:
    """The contenders with what they need, and the matrix multiplications; `too_slow` need not try."""
    folder = work / f"{name}-{size}"
    refused: dict[str, str] = {}
    chosen = list(chosen)
    for kind in sorted({CONTENDERS[one].needs for one in chosen if one not in too_slow} - {""}):
        if (folder / kind / ("torch.onnx" if kind == "onnx" else "1")).exists():
            continue
        command = script("inference_contenders.py", f"make={kind}", name, folder, size)
        try:
            made = subprocess.run(command, capture_output=True, text=True, timeout=_MAKING_SECONDS)
        except subprocess.TimeoutExpired:
            refused[kind] = f"to export it took longer than {_MAKING_SECONDS:g} s"
            continue
        if made.returncode:
            refused[kind] = made.stderr.strip().splitlines()[-1]
    found = []
    for one in chosen:
        contender = CONTENDERS[one]
        without = name.endswith("_nano") and "torch" in (contender.family, contender.needs.removeprefix("onnx"))
        reason = "PyTorchVideo has no such network" if without else refused.get(contender.needs, "")
        if one in too_slow:
            reason = f"cut off on {MAIN} already"
        found.append(Entrant(one, script("inference_contenders.py", one, name, folder, size), reason))
    for library in LIBRARIES:
        for precision in PRECISIONS:
            command = script("matrix_multiply.py", library, precision, largest)
            found.append(Entrant(f"matmul_{library}_{precision}", command))
    return found


def of_model(name: str, size: int, found: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """What a contest gave: the contenders, and the rates of multiplication apart."""
    model = build(name)
    rates = {}
    for key in [key for key in found if key.startswith("matmul_")]:
        result = found.pop(key)
        if "median_seconds" in result:
            result["giga_per_second"] = result["facts"]["multiply_adds"] / result["median_seconds"] / 1e9
        rates[key.removeprefix("matmul_")] = result
    for key, result in found.items():
        result |= {"title": CONTENDERS[key].title, "precision": CONTENDERS[key].precision}
        result["family"] = CONTENDERS[key].family
        given = result.get("facts", {}).get("precision", "")
        if "float32" in given and result["precision"] != "float32":
            result["computed"] = "float32"  # the processor or the library has no such arithmetic
    total = multiply_adds(model, size)
    return {
        "size": size,
        "frames": model.clip.frames,
        "giga_multiply_adds": total / 1e9,
        "winograd_giga_multiply_adds": (total - multiply_adds_left_out(fold_batch_norm(model)[0], size)) / 1e9,
        "parameters": sum(weight.value.shape.num_elements() for weight in model.trainable_weights),
        "contenders": found,
        "matmul": rates,
    }


def cut_off(main: dict[str, Any] | None, name: str, size: int) -> set[str]:
    """Contenders that took too long on the main network, where this one is no much smaller."""
    if main is None or 10 * multiply_adds(build(name), size) < 1e9 * main["giga_multiply_adds"]:
        return set()
    return {key for key, found in main["contenders"].items() if "longer_than_seconds" in found}


def _child(name: str, *arguments: object) -> Any:
    """The JSON of the last line that a script prints, or why there is none."""
    made = subprocess.run(script(name, *arguments), capture_output=True, text=True)
    if made.returncode:
        return {"skipped": made.stderr.strip().splitlines()[-1]}
    return json.loads(made.stdout.splitlines()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, default=ROOT / "out" / "bench_inference", help="folder of artefacts")
    parser.add_argument("--out", type=Path, default=RESULT)
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--main", default=MAIN, help="network of all contenders, and the first that grows")
    parser.add_argument("--models", nargs="+", default=OTHERS, help="networks of the few")
    parser.add_argument("--contenders", nargs="+", choices=CONTENDERS, default=list(CONTENDERS))
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--size", type=int, default=MAIN_SIZE, help="largest side of a view in pixels")
    parser.add_argument("--limit", type=float, default=60.0, help="seconds of a first call")
    parser.add_argument("--largest", type=int, default=3072, help="side of the largest matrices that are multiplied")
    parser.add_argument("--records", default="-", help="records of the miniature's test videos, if they are there")
    parser.add_argument("--clips", type=int, default=10, help="clips of a test video")
    parser.add_argument("--videos", type=int, default=400, help="test videos to generate")
    arguments = parser.parse_args()
    work = arguments.work.absolute()
    result = json.loads(arguments.out.read_text("utf-8")) if arguments.out.is_file() else {}

    def run(name: str, chosen: Iterable[str], too_slow: Container[str] = ()) -> dict[str, Any]:
        print(name, flush=True)
        size = size_of(name, arguments.size)
        taking_part = entrants(name, work, chosen, size, arguments.largest, too_slow)
        return of_model(name, size, contest(taking_part, arguments.rounds, limit=arguments.limit))

    if "contenders" in arguments.only:
        result["main"] = {"model": arguments.main, **run(arguments.main, arguments.contenders)}
        write_result(arguments.out, result, *_PACKAGES)
    if "models" in arguments.only:
        contenders = result.get("main", {}).get("contenders", {})
        fastest = [best(contenders, "torch", precision) for precision in PRECISIONS]
        few = dict.fromkeys([*OURS, "torch_eager", *(name for name in fastest if name)])
        for name in arguments.models:
            chosen = [one for one in few if one in arguments.contenders]
            found = run(name, chosen, cut_off(result.get("main"), name, size_of(name, arguments.size)))
            result.setdefault("models", {})[name] = found
            write_result(arguments.out, result, *_PACKAGES)
    if "growth" in arguments.only:
        names = list(dict.fromkeys([arguments.main, "slowfast_nano"]))
        result["growth"] = _child("growth_points.py", work / "growth", max(3, arguments.rounds // 2), *names)
        write_result(arguments.out, result, *_PACKAGES)
    if "scores" in arguments.only:
        result["scores"] = _child("bfloat16_scores.py", work, arguments.records, arguments.clips, arguments.videos)
        write_result(arguments.out, result, *_PACKAGES)


if __name__ == "__main__":
    main()
