"""Whether maps lie on the object that moves, on miniature Charades: benchmarks/explain.json.

    python tools/bench_explain.py --clips 100

The clips are cut from the middle of actions in test videos of a development seed, which the shipped weights were not
trained on and whose subjects no training video shows. A clip counts where the network gives its action the highest
score of all. Of each map the share of its mass that lies on the object of the action is compared with the share of the
pixels that the object covers, which is what a map without knowledge would have there by chance. Three controls stand
beside: the same maps held against the object of another clip, which tells what looking at the usual places is worth;
the other objects of the clip, whose actions are not the one explained; and a network with random weights.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import platform
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import numpy as np

from kerasfast.data.miniature.generate import encode
from kerasfast.data.miniature.render import object_masks, render
from kerasfast.data.miniature.scripts import write_scripts
from kerasfast.data.video import read_video
from kerasfast.data.views import crops_of, scaled_clips
from kerasfast.explain.maps.attention_maps import METHODS, attention_maps
from kerasfast.models.classifier import build
from kerasfast.registry import load

RESULT = Path(__file__).resolve().parent.parent / "benchmarks" / "explain.json"
MODEL = "slowfast_nano.miniature"
BOOTSTRAPS = 2000


@dataclass(frozen=True, eq=False)
class Case:
    """A clip whose action the network recognises.

    Args:
        frames: uint8 `(T, S, S, 3)`, as the network sees them.
        action: Number of the action.
        on: `(T, S, S)` share of each pixel that the action's object covers.
        others: The same of all other objects, without what lies on the first.
    """

    frames: np.ndarray
    action: int
    on: np.ndarray
    others: np.ndarray


def cases(model: Any, seed: int, wanted: int, videos: int = 400) -> Iterator[Case]:
    """The first `wanted` clips of test videos whose action the network recognises, each read from an mp4 file."""
    span, size, found = model.clip.span, model.variant.test_crop_size, 0
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "video.mp4"
        for script in write_scripts("test", videos, seed):
            encode(file, render(script, seed))
            video = crops_of(read_video(file, model.clip.fps, size), 1, size)[0]
            masks = object_masks(script, seed)
            for number, part in enumerate(script.parts):
                start = (part.start + part.end - span) // 2
                frames = video[start : start + span]
                if model.predict_on_batch(frames[None])["action"].argmax() != part.number:
                    continue
                on, others = (_as_seen(mask[start : start + span], model) for mask in _split(masks, number))
                yield Case(frames, part.number, on, others)
                found += 1
                if found == wanted:
                    return


def _split(masks: np.ndarray, number: int) -> tuple[np.ndarray, np.ndarray]:
    others = np.delete(masks, number, axis=0).max(axis=0, initial=0.0)
    return masks[number], np.maximum(others - masks[number], 0)


def _as_seen(mask: np.ndarray, model: Any) -> np.ndarray:
    """A mask scaled and cropped as the frames are."""
    pictures = np.repeat(np.round(mask * 255).astype(np.uint8)[..., None], 3, axis=-1)
    size = model.variant.test_crop_size
    scaled = next(scaled_clips(pictures, model.clip, 1, size))
    return crops_of(scaled, 1, size)[0][..., 0] / np.float32(255)


def on_object(maps: np.ndarray, mask: np.ndarray) -> float:
    """Share of a map's mass that lies on a mask."""
    return float((maps * mask).sum() / maps.sum())


def measure(model: Any, all_cases: list[Case], method: str) -> dict[str, dict[str, Any]]:
    """By pathway how much of the maps lies on the objects, with the controls."""
    maps = [attention_maps(model, case.frames, "action", case.action, method) for case in all_cases]
    return {path: _summary([one[path] for one in maps], all_cases) for path in maps[0]}


def _summary(maps: list[np.ndarray], all_cases: list[Case]) -> dict[str, Any]:
    kept = [(one, case) for one, case in zip(maps, all_cases, strict=True) if one.any()]
    mass = np.array([on_object(one, case.on) for one, case in kept])
    share = np.array([case.on.mean() for _, case in kept])
    peaks = [case.on.ravel()[one.argmax()] > 0.5 for one, case in kept]
    # The object of the next clip, at the same place of the picture and time of the clip.
    elsewhere = np.array([on_object(one, kept[i - 1][1].on) for i, (one, _) in enumerate(kept)])
    crowded = [(one, case) for one, case in kept if case.others.mean() > 0.01]
    beside = np.array([on_object(one, case.others) for one, case in crowded])
    beside_share = np.array([case.others.mean() for _, case in crowded])
    low, high = _interval(mass, share)
    return {
        "clips": len(kept),
        "maps_without_evidence": len(maps) - len(kept),
        "mass_on_object": round(float(mass.mean()), 4),
        "share_of_pixels": round(float(share.mean()), 4),
        "ratio": round(float(mass.mean() / share.mean()), 3),
        "ratio_95": [round(low, 3), round(high, 3)],
        "clips_above_chance": round(float((mass > share).mean()), 3),
        "peak_on_object": round(float(np.mean(peaks)), 3),
        "ratio_on_object_of_another_clip": round(float(elsewhere.mean() / share.mean()), 3),
        "ratio_on_other_objects": round(float(beside.mean() / beside_share.mean()), 3) if crowded else None,
        "clips_with_other_objects": len(crowded),
    }


def _interval(mass: np.ndarray, share: np.ndarray) -> tuple[float, float]:
    """95 % of the ratio of the means, by drawing clips anew."""
    drawn = np.random.default_rng(0).integers(0, len(mass), (BOOTSTRAPS, len(mass)))
    low, high = np.quantile(mass[drawn].mean(axis=1) / share[drawn].mean(axis=1), [0.025, 0.975])
    return float(low), float(high)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=int, default=100, help="recognised clips")
    parser.add_argument("--seed", type=int, default=1, help="seed of the miniature")
    parser.add_argument("--out", type=Path, default=RESULT, help="JSON to write")
    arguments = parser.parse_args()
    began = time.perf_counter()
    trained = load(MODEL)
    all_cases = list(cases(trained, arguments.seed, arguments.clips))
    keras.utils.set_random_seed(0)
    networks: Mapping[str, Any] = {
        "trained": trained,
        "random_weights": build(trained.variant, heads=trained.heads),
    }
    result = {
        "command": f"python tools/bench_explain.py --clips {arguments.clips} --seed {arguments.seed}",
        "machine": {"cores": os.cpu_count(), "architecture": platform.machine(), "python": platform.python_version()},
        "versions": {name: importlib.metadata.version(name) for name in ("tf-keras-vis", "keras", "tensorflow")},
        "model": MODEL,
        "data": {"miniature_seed": arguments.seed, "split": "test", "clips": len(all_cases)},
        "networks": {
            name: {method: measure(model, all_cases, method) for method in METHODS} for name, model in networks.items()
        },
    }
    result["seconds"] = round(time.perf_counter() - began)
    arguments.out.parent.mkdir(exist_ok=True)
    arguments.out.write_text(json.dumps(result, indent=1) + "\n", "utf-8")
    print(arguments.out)


if __name__ == "__main__":
    main()
