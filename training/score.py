"""Evaluate a run without the command line tool: `python training/score.py RUN --records DIR`."""

import argparse
from pathlib import Path

from kerasfast.train.evaluate import evaluate
from kerasfast.train.run import evaluation_protocol, load_model

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("run", type=Path, help="folder that training/train.py wrote")
parser.add_argument("--records", required=True, help="folder of `kerasfast records build`")
parser.add_argument("--split", help="instead of the recipe's")


def main() -> None:
    """Run it; `metrics.json` goes into the run's folder."""
    options = parser.parse_args()
    try:
        protocol = evaluation_protocol(options.run)
        if options.split is not None:
            protocol["split"] = options.split
        metrics = evaluate(load_model(options.run), options.records, **protocol, out=options.run / "metrics.json")
    except (ValueError, FileNotFoundError) as error:
        parser.exit(2, f"{error}\n")
    for head, row in metrics["heads"].items():
        print(f"{head:10} mAP {row['map']:.4f}  chance {row['chance']:.4f}  ratio {row['map'] / row['chance']:.2f}")


if __name__ == "__main__":
    main()
