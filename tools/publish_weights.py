"""Put the weights of a run into the zoo, with a card that says where they come from and what they score.

python tools/publish_weights.py RUN slowfast_nano.miniature --origin COMMAND
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
from pathlib import Path

from kerasfast.train.run import load_model

ZOO = Path(__file__).resolve().parent.parent / "zoo"


def publish(run: Path, name: str, origin: str) -> None:
    model = load_model(run)
    weights = Path("weights") / f"{name}.weights.h5"
    (ZOO / weights).parent.mkdir(exist_ok=True)
    model.save_weights(ZOO / weights)
    metrics = json.loads((run / "metrics.json").read_text("utf-8"))
    card = {
        "file": weights.as_posix(),
        "sha256": hashlib.sha256((ZOO / weights).read_bytes()).hexdigest(),
        "parameters": sum(math.prod(weight.shape) for weight in model.trainable_weights),
        "origin": origin,
        "metrics": {
            **{
                f"{head} mAP": {key: round(values[key], 4) for key in ("map", "chance")}
                for head, values in metrics["heads"].items()
            },
            "protocol": metrics["protocol"],
        },
        "versions": metrics["versions"],
    }
    path = ZOO / "cards" / f"{name}.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(card, indent=1) + "\n", "utf-8")
    print(f"{path}: {(ZOO / weights).stat().st_size / 1e6:.2f} MB of weights")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, help="folder that `kerasfast train` and `kerasfast evaluate` filled")
    parser.add_argument("name", help="architecture.tag")
    parser.add_argument("--origin", required=True, help="the command that made the run")
    arguments = parser.parse_args()
    publish(arguments.run, arguments.name, arguments.origin)
