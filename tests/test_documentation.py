"""Every block of code of README.md and docs runs, or says why it cannot; names and flags in them exist."""

import contextlib
import importlib
import inspect
import json
import re
import shutil

import documentation
import documentation_world
import keras
import matplotlib
import pytest
from documentation import ROOT, blocks, check_kerasfast, command_of, commands, pages, run_bash, run_python

import kerasfast as kf
from kerasfast.explain.maps.attention_maps import METHODS
from kerasfast.registry import index
from kerasfast.train.recipes.toml_tables import read_toml

PAGES = pages()
# Page and beginning of every block that does not run. A new one belongs here, with its reason above it on the page.
SKIPPED = {
    ("docs/data.md", "kerasfast records build kinetics.csv --v"),
    ("docs/data.md", "aws s3 sync records/charades s3://bucket"),
    ("docs/data.md", 'train = kf.data.training_clips("s3://buc'),
    ("docs/porting.md", "kerasfast port SLOWFAST_8x8_R50.pyth --a"),
    ("docs/porting.md", "kerasfast verify slowfast_r50_8x8.k400 -"),
    ("docs/quickstart.md", "kerasfast records miniature out/miniatur"),
    ("docs/runtimes.md", "kerasfast export slowfast_nano.miniature"),
    ("docs/serving.md", "docker run --rm -p 8500:8500 -p 8501:850"),
}
# Pages that ask a server about a model in the folder that they export it to.
SERVED = {"docs/serving.md": {"slowfast": "serving/slowfast"}}
# Languages that need no running. Everything else of a fence has to be python or bash.
PLAIN = {"text", "toml"}
RUNNABLE = [page for page in PAGES if any(block.skipped is None for block in blocks(page))]


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """A folder with the files that the pages speak of."""
    folder = tmp_path_factory.mktemp("world")
    documentation_world.make(folder)
    documentation_world.make_miniature(folder)
    return folder


@pytest.mark.parametrize("page", RUNNABLE)
def test_blocks_run(page, world, tmp_path, monkeypatch):
    shutil.copytree(world, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("KERASFAST_HOME", str(tmp_path / "home"))
    matplotlib.use("Agg")
    namespace = {"__name__": page}
    with served(SERVED.get(page, {})) as addresses:
        for block in blocks(page):
            if block.skipped is not None:
                continue
            if block.language == "bash":
                run_bash(block, addresses)
            else:
                for written, address in addresses:
                    monkeypatch.setattr(documentation, "STAND_INS", documentation.STAND_INS | {written: address})
                run_python(block, namespace)
    namespace.clear()
    keras.backend.clear_session()


@contextlib.contextmanager
def served(folders):
    """Pairs of an address in the text and that of a running server; none where there is nothing to serve."""
    if not folders:
        yield ()
        return
    from serving_server import rest_server

    with rest_server(folders) as (address, _):
        yield (("localhost:8501", address),)


def test_what_does_not_run_is_listed():
    found = [(page, block) for page in PAGES for block in blocks(page) if block.skipped is not None]
    assert {(page, block.beginning) for page, block in found} == SKIPPED
    assert all(len(block.skipped) > 5 for _, block in found)


def test_fences_name_a_language_that_runs():
    for page in PAGES:
        fences = re.findall(r"(?m)^ *```(.*)$", (ROOT / page).read_text("utf-8"))
        opening = fences[::2]
        assert len(fences) % 2 == 0 and set(fences[1::2]) <= {""}, page
        assert set(opening) <= {"python", "bash", *PLAIN}, page


def test_every_page_with_code_is_found():
    assert len(RUNNABLE) >= 10
    assert sum(len(blocks(page)) for page in PAGES) >= 40


@pytest.mark.parametrize("page", PAGES)
def test_commands_and_flags_exist(page):
    """In blocks, those that do not run included, and within sentences."""
    for block in blocks(page, ("bash",)):
        for words in commands(block.text):
            if words[0] == "kerasfast":
                check_kerasfast(words[1:])
    for line in re.findall(r"`kerasfast ([^`\n]+)`", (ROOT / page).read_text("utf-8")):
        command, _ = command_of([word for word in line.split() if word[0].islower() or word[0] == "-"])
        known = {flag for parameter in command.params for flag in (*parameter.opts, *parameter.secondary_opts)}
        assert {word.split("=")[0] for word in line.split() if word.startswith("--")} <= {*known, "--help"}, line


@pytest.mark.parametrize(
    ("line", "wrong"),
    [
        ("predict a.mp4 --model slow_nano", False),
        ("predict a.mp4 --model slow_nano --tpo 3", True),
        ("predict --model slow_nano", True),
        ("predikt a.mp4", True),
        ("records build clips --out records", False),
        ("records biuld clips --out records", True),
    ],
)
def test_a_wrong_command_is_seen(line, wrong):
    with pytest.raises(documentation.UsageError) if wrong else contextlib.nullcontext():
        check_kerasfast(line.split())


# What the names of networks look like in code, with or without weights; endpoints such as fast_res2 do not.
NETWORK = re.compile(
    r"\b(?:(?:slowfast|slow|fast|c2d|i3d)_(?:r\d|nano|nopool)\w*|x3d_\w+)(?:\.(?:k\d|ssv2|charades|miniature)\w*)?"
)


def test_models_and_recipes_of_blocks_exist():
    """A stand-in must not hide that a name is wrong."""
    names = {*index(), *(name.partition(".")[0] for name in index())}
    for page in PAGES:
        for block in blocks(page):
            for name in NETWORK.findall(block.text):
                assert name in names, f"{page}:{block.line}: {name}"
            for name in re.findall(r"\b(?:charades|kinetics\d*|miniature)_(?:slow|fast)\w+", block.text):
                assert name in kf.recipes.list(), f"{page}:{block.line}: {name}"


def test_extras_of_pages_exist():
    extras = read_toml(ROOT / "pyproject.toml")["project"]["optional-dependencies"]
    for page in PAGES:
        named = re.findall(r"kerasfast\[([\w,]+)\]", (ROOT / page).read_text("utf-8"))
        assert {extra for group in named for extra in group.split(",")} <= set(extras), page


def test_stand_ins_are_used():
    """One that no block needs any more would be a riddle."""
    running = [block for page in PAGES for block in blocks(page) if block.skipped is None]
    counts = [documentation.replaced(block.text)[1] for block in running]
    unused = [written for written in documentation.STAND_INS if not sum(count[written] for count in counts)]
    assert unused == []


def references():
    """What the pages of the API document: heading -> name in the package."""
    pattern = re.compile(r"(?m)^::: (\S+)(?:\n    options:\n      heading: (\S+))?")
    found = {}
    for path in sorted((ROOT / "docs" / "api").glob("*.md")):
        for target, heading in pattern.findall(path.read_text("utf-8")):
            found[heading or target] = target
    return found


def test_the_methods_of_explanations_are_those_there_are():
    table = (ROOT / "docs" / "predict.md").read_text("utf-8").partition("| method | shows |\n")[2].partition("\n\n")[0]
    named = [name for row in table.splitlines()[1:] for name in re.findall(r"`([^`]+)`", row.split("|")[1])]
    assert named == list(METHODS)
    notebook = (ROOT / "docs" / "notebooks" / "explaining.ipynb").read_text("utf-8")
    assert set(re.findall(r'method=\\?"([^"\\]+)', notebook)) <= set(METHODS)


def test_the_api_pages_have_every_public_name():
    documented = references()
    assert "## kf.CHARADES" in (ROOT / "docs" / "api" / "models.md").read_text("utf-8")  # a dict has no docstring
    for name in set(kf._PUBLIC) - {"CHARADES"}:
        value = getattr(kf, name)
        if not inspect.ismodule(value):
            assert f"kf.{name}" in documented, name
            continue
        for inner in getattr(value, "__all__", ()):
            also_above = getattr(kf, inner, None) is getattr(value, inner)
            assert f"kf.{name}.{inner}" in documented or also_above, f"kf.{name}.{inner}"


def test_the_api_pages_name_what_there_is():
    for heading, target in references().items():
        module, _, name = target.rpartition(".")
        value = getattr(importlib.import_module(module), name)
        assert (value.__doc__ or "").strip(), target
        if heading.startswith("kf."):
            shown = kf
            for part in heading.split(".")[1:]:
                shown = getattr(shown, part)
            assert shown is value, heading


def test_notebooks_are_committed_without_outputs():
    found = sorted((ROOT / "docs" / "notebooks").glob("*.ipynb"))
    assert [path.stem for path in found] == ["explaining", "fine_tuning", "quick_start"]
    for path in found:
        cells = json.loads(path.read_text("utf-8"))["cells"]
        assert not any(cell.get("outputs") or cell.get("execution_count") for cell in cells), path.name
        assert path.stat().st_size < 20_000
