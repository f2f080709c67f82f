"""`kerasfast demo`: the whole path on generated data, from video files to a model that another process serves."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from kerasfast.cli.console import example, out, progress, start_tensorflow

EXAMPLE = example("kerasfast demo out/demo", "kerasfast demo /tmp/small --smoke")
RECIPE = "miniature_slowfast_nano"
SMOKE_VIDEOS = 48
SERVED_TOLERANCE = 1e-4  # of a probability; on one machine the two differ by 1e-6
# Any folder with this file was made by the demo and may be made anew.
MARK = "made-by-kerasfast-demo.txt"

# Runs in a process of its own that knows TensorFlow and nothing of kerasfast.
_CLIENT = """
import json, sys
import tensorflow as tf
clip = json.load(open(sys.argv[2]))
frames = tf.constant([[tf.io.read_file(name).numpy() for name in clip["frames"]]])
served = tf.saved_model.load(sys.argv[1]).signatures["jpeg_frames"](frames=frames)
loaded = sorted(name for name in sys.modules if name.split(".")[0] == "kerasfast")
print(json.dumps({"kerasfast": loaded, "scores": {key: value[0].numpy().tolist() for key, value in served.items()}}))
"""


def demo(
    folder: Annotated[Path, typer.Argument(help="Folder to fill; one that an earlier demo made is made anew.")],
    videos: Annotated[int, typer.Option(min=16, help="Training videos.")] = 1200,
    seed: Annotated[int, typer.Option(help="Seed of the generated videos.")] = 0,
    smoke: Annotated[bool, typer.Option(help="A few videos and steps: shows that everything runs.")] = False,
) -> None:
    """Watch the whole job: videos, records, training, evaluation, export, serving."""
    start_tensorflow()
    from kerasfast.cli.evaluate import metrics_table
    from kerasfast.data.miniature.generate import motion_actions
    from kerasfast.serving.saved_model import export
    from kerasfast.train.evaluate import evaluate, score_videos
    from kerasfast.train.fit import train
    from kerasfast.train.recipes.recipe import load

    _make_room(folder)
    records = build_miniature_records(folder, SMOKE_VIDEOS if smoke else videos, seed)

    out.rule("Training")
    recipe = load(RECIPE).smoked() if smoke else load(RECIPE)
    run = train(recipe, records, folder, verbose=1 if out.is_terminal else 2)
    out.print(f"{run.steps} steps of {recipe.training.batch_size} clips in {run.seconds:.0f} s")

    out.rule("Evaluation")
    protocol = recipe.evaluation_args()
    rule = protocol.pop("rule")
    with progress("Views") as report:
        scores = score_videos(run.model, records, **protocol, progress=report)
    metrics = evaluate(
        run.model,
        records,
        **protocol,
        rule=rule,
        scores=scores,
        subsets={"motion": motion_actions()},
        out=folder / "metrics.json",
    )
    _plot(records, scores, folder / "predictions.png")

    out.rule("Export and serving")
    exported = export(run.model, folder / "serving" / "slowfast_nano" / "1")
    out.print(f"{exported.path}: {exported.bytes / 1e6:.1f} MB, signatures {', '.join(exported.signatures)}")
    _serve(exported.path, folder, records, run.model)

    out.rule("Result")
    out.print(metrics_table(metrics))
    out.print(f"{folder} holds the records, the run, the SavedModel, metrics.json, curves.png and predictions.png.")


def build_miniature_records(folder: Path, videos: int, seed: int, test_videos: int | None = None) -> Path:
    """Generate miniature Charades in `folder/miniature` and its records in `folder/records`; reuse equal ones.

    The test videos are a third of the training videos unless `test_videos` says how many.
    """
    from kerasfast.data.annotations import find_videos, read_charades_csv
    from kerasfast.data.labels import read_charades_classes
    from kerasfast.data.miniature.generate import generate, is_generated, settings
    from kerasfast.data.records.build import build_records
    from kerasfast.models.variants import variant

    source, records = folder / "miniature", folder / "records"
    row = variant("slowfast_nano")
    if not is_generated(source, settings(videos, test_videos, seed)):
        with progress("Generating videos") as report:
            generate(source, train_videos=videos, test_videos=test_videos, seed=seed, progress=report)
    labels = read_charades_classes(source)
    for split in ("train", "test"):
        annotations = read_charades_csv(source / f"Miniature_v1_{split}.csv", labels)
        with progress(f"Records of {split}") as report:
            build_records(
                annotations,
                find_videos(annotations.rows, source / "videos"),
                labels,
                records,
                clip=row.clip,
                split=split,
                # Training scales clips down from here; a test clip needs no more than the test crop.
                short_side=row.short_side[1] if split == "train" else row.test_crop_size,
                rounds=1,  # videos of seconds: one segment holds the whole of each
                progress=report,
            )
    return records


def _make_room(folder: Path) -> None:
    if folder.exists() and any(folder.iterdir()):
        if not (folder / MARK).is_file():
            raise ValueError(f"{folder} holds files that no demo made. Give a new or empty folder.")
        shutil.rmtree(folder)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / MARK).write_text("`kerasfast demo` may replace everything here.\n", "utf-8")


def _plot(records: Path, scores: dict[str, Any], path: Path, videos: int = 4) -> None:
    """Frames, true and predicted actions of the first test videos."""
    import numpy as np

    from kerasfast.data.pipeline.testing import video_labels
    from kerasfast.data.records.read import read_manifest
    from kerasfast.data.video import read_video
    from kerasfast.train.plots import predictions

    manifest = read_manifest(records, "test")
    shown = manifest.videos[:videos]
    sources = [records.parent / "miniature" / "videos" / f"{video['id']}.mp4" for video in shown]
    frames = [read_video(source) for source in sources]
    frames = [clip[np.linspace(0, len(clip) - 1, 6).astype(int)] for clip in frames]
    predictions(
        frames,
        video_labels(records, "test")["action"][:videos],
        scores["action"][:videos],
        manifest.labels.heads["action"],
        path,
        titles=[str(video["id"]) for video in shown],
    )


def _serve(saved_model: Path, folder: Path, records: Path, model: Any) -> None:
    """Query the SavedModel from a process without kerasfast, with the JPEG frames of one clip."""
    import numpy as np
    import tensorflow as tf

    from kerasfast.data.pipeline import transforms
    from kerasfast.data.pipeline.testing import testing_views
    from kerasfast.data.records.jpeg import JpegEncoder

    query = folder / "query"
    query.mkdir(exist_ok=True)
    side = model.variant.test_crop_size
    clips, _, _ = next(
        iter(testing_views(records, model.clip, crops=1, crop_size=side, short_side=side, batch_size=10))
    )
    # Of the first video's clips the one in which the model is surest: in some nothing happens.
    surest = int(np.argmax(model.predict_on_batch(clips)["action"].max(axis=1)))
    frames = clips[surest].numpy()
    names = []
    for index, jpeg in JpegEncoder(quality=95)(enumerate(frames)):
        path = query / f"{index:03d}.jpg"
        path.write_bytes(jpeg)
        names.append(path.name)
    (query / "clip.json").write_text(json.dumps({"frames": names}), "utf-8")
    # Decoded again: a JPEG differs from the frame that it was made of.
    sent = transforms.decode(tf.stack([(query / name).read_bytes() for name in names]))
    expected = model.predict(sent[None], verbose=0)
    answer = subprocess.run(
        [sys.executable, "-c", _CLIENT, str(saved_model.resolve()), "clip.json"],
        capture_output=True,
        text=True,
        check=False,
        cwd=query,
    )
    if answer.returncode:
        reason = answer.stderr.strip().splitlines()[-1:] or [f"exit code {answer.returncode}"]
        raise ValueError(f"The exported model does not answer: {reason[0]}")
    served = json.loads(answer.stdout)
    if served["kerasfast"]:
        raise ValueError(f"The serving process must know TensorFlow alone. Received: {', '.join(served['kerasfast'])}.")
    largest = 0.0
    for head, values in served["scores"].items():
        largest = max(largest, float(np.max(np.abs(values - expected[head][0]))))
        best = int(np.argmax(values))
        out.print(f"served {head}: {model.heads[head].labels[best]} {values[best]:.2f}")
    if not largest <= SERVED_TOLERANCE:
        raise ValueError(f"Served scores must be the model's within {SERVED_TOLERANCE:g}. Received: {largest:g} apart.")
    out.print(f"A process without kerasfast gave the model's scores, {largest:.1e} apart at most.")
