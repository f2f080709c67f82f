"""What a user installs: the wheel made from the sdist, used from an empty folder."""

import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest
from fresh_python import run_python

from kerasfast.registry import list_models

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The sdist and the wheel that is built from it, without network."""
    out = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(out), str(ROOT)]
    process = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert process.returncode == 0, process.stdout + process.stderr
    (wheel,), (sdist,) = out.glob("*.whl"), out.glob("*.tar.gz")
    return wheel, sdist


@pytest.fixture(scope="module")
def installed(built, tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    with zipfile.ZipFile(built[0]) as wheel:
        wheel.extractall(folder)
    return folder


def files_below(folder):
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_wheel_holds_one_package(built):
    names = zipfile.ZipFile(built[0]).namelist()
    tops = {name.partition("/")[0] for name in names}
    (info,) = tops - {"kerasfast"}
    assert info.endswith(".dist-info") and "kerasfast" in tops
    assert f"{info}/licenses/LICENSE" in names and f"{info}/entry_points.txt" in names


def test_wheel_holds_every_file_of_code_and_data(installed):
    shipped = (".py", ".html", ".css", ".js")  # templates of pages lie beside the code that renders them
    code = {name for name in files_below(ROOT / "kerasfast") if name.endswith(shipped) or name == "py.typed"}
    got = files_below(installed / "kerasfast")
    data = {name for name in got if name.startswith(("_zoo/", "_recipes/"))}
    assert got - data == code
    assert {name.removeprefix("_zoo/") for name in data if name.startswith("_zoo/")} == files_below(ROOT / "zoo")
    recipes = {name.removeprefix("_recipes/") for name in data if name.startswith("_recipes/")}
    assert recipes == files_below(ROOT / "training" / "recipes") and recipes
    assert "index.toml" in files_below(ROOT / "zoo")


def test_sdist_is_small_and_whole(built):
    with tarfile.open(built[1]) as sdist:
        members = {member.name.partition("/")[2]: member.size for member in sdist.getmembers()}
    assert {"pyproject.toml", "README.md", "LICENSE", "zoo/index.toml", "kerasfast/__init__.py"} <= set(members)
    unwanted = ("out/", "runs/", "dist/", ".venv/", ".git/", "shared/")
    assert not [name for name in members if name.startswith(unwanted) or name.endswith((".pyc", ".partial"))]
    assert sum(members.values()) < 20e6


USE = """
import os
import sys
import kerasfast

assert os.listdir() == [], "an empty folder"
assert kerasfast.__file__.startswith(sys.argv[1]), kerasfast.__file__
from kerasfast._data_folders import recipes_dir, zoo_dir
from kerasfast.registry import entry

assert str(zoo_dir()).startswith(sys.argv[1]) and str(recipes_dir()).startswith(sys.argv[1])
names = kerasfast.list_models()
for name in names:
    for head in (entry(name).head_rows() or {}).values():
        assert len(head.labels) == head.classes, name
shipped = [name for name in names if entry(name).card]
for name in shipped:
    assert kerasfast.load(name).load_report.new == ()
model = kerasfast.load("slowfast_nano", heads={"verb": 3})
print(model.name, *shipped)
print(*names)
"""


def test_wheel_works_from_an_empty_folder(installed, tmp_path):
    printed = run_python(USE, installed, cwd=tmp_path, PYTHONPATH=str(installed), PYTHONDONTWRITEBYTECODE="1")
    loaded, names = (line.split() for line in printed.splitlines()[-2:])
    assert loaded == ["slowfast_nano", "slowfast_nano.miniature"]
    assert names == list_models()  # of the checkout


def test_command_of_the_wheel(installed, tmp_path):
    script = "import sys; from kerasfast.cli.main import main; sys.argv = ['kerasfast', 'list']; main()"
    printed = run_python(script, cwd=tmp_path, PYTHONPATH=str(installed), PYTHONDONTWRITEBYTECODE="1")
    assert "slowfast_nano" in printed
