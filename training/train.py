"""Train a recipe without the command line tool: `python training/train.py RECIPE --records DIR --out DIR`."""

import argparse

from kerasfast.train import train

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("recipe", help="name of a recipe, or path of a TOML file")
parser.add_argument("--records", required=True, help="folder of `kerasfast records build`")
parser.add_argument("--out", required=True, help="folder of the run")
parser.add_argument("--epochs", type=int, help="instead of the recipe's")
parser.add_argument("--smoke", action="store_true", help="the recipe's short version")
parser.add_argument("--overwrite", action="store_true", help="replace a run that is in --out")


def main() -> None:
    """Run it."""
    options = parser.parse_args()
    try:
        result = train(**vars(options))
    except (ValueError, FileNotFoundError) as error:
        parser.exit(2, f"{error}\n")
    print(f"{result.steps} steps in {result.seconds:.0f} s: {result.folder}")


if __name__ == "__main__":
    main()
