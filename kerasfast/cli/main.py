"""Entry point of the `kerasfast` command."""

from __future__ import annotations

import os
import sys

from kerasfast.cli import (
    bench,
    calibrate,
    demo,
    embed,
    evaluate,
    explain,
    port,
    predict,
    records,
    report,
    serving,
    training,
    verify,
    zoo,
)
from kerasfast.cli.console import err, sub_app
from kerasfast.data.memory import keep_freed_memory

app = sub_app("SlowFast video networks for Keras: load, train, evaluate and serve.")
app.command("demo", epilog=demo.EXAMPLE)(demo.demo)
app.command("list", epilog=zoo.LIST_EXAMPLE)(zoo.list_)
app.command("info", epilog=zoo.INFO_EXAMPLE)(zoo.info)
app.command("port", epilog=port.EXAMPLE)(port.port)
app.command("verify", epilog=verify.EXAMPLE)(verify.verify)
app.command("predict", epilog=predict.EXAMPLE)(predict.predict)
app.command("explain", epilog=explain.EXAMPLE)(explain.explain)
app.command("embed", epilog=embed.EXAMPLE)(embed.embed)
app.add_typer(records.app, name="records")
app.command("train", epilog=training.TRAIN_EXAMPLE)(training.train)
app.command("evaluate", epilog=evaluate.EXAMPLE)(evaluate.evaluate)
app.command("calibrate", epilog=calibrate.EXAMPLE)(calibrate.calibrate)
app.command("report", epilog=report.EXAMPLE)(report.report)
app.command("bench", epilog=bench.EXAMPLE)(bench.bench)
app.command("export", epilog=serving.EXAMPLE)(serving.export)

# Windows of a long video come and go for hours. Freed memory that glibc keeps is cut up meanwhile, by 15 kB a window of
# 1080p, and makes nothing faster there.
_WINDOWED = {"predict", "explain", "embed"}


def main() -> None:
    """Run the command line: exit code 0, or 2 with one sentence where the input is bad."""
    if not _WINDOWED & set(sys.argv[1:2]):
        keep_freed_memory()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # TensorFlow greets on standard error otherwise
    try:
        app(prog_name="kerasfast")
    except (ValueError, OSError) as error:
        if os.environ.get("KERASFAST_TRACEBACK"):
            raise
        err.print("error:", " ".join(str(error).split()), style="red", markup=False, soft_wrap=True)
        sys.exit(2)


if __name__ == "__main__":
    main()
