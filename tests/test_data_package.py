import subprocess
import sys

import pytest

import kerasfast.data


def test_importing_the_package_imports_no_tensorflow():
    code = (
        "import sys, kerasfast.data as data\n"
        "from kerasfast.data import ClipSpec, DataError, LabelSpace, read_charades_csv, read_charades_classes\n"
        "assert issubclass(DataError, ValueError)\n"
        "heavy = {'tensorflow', 'torch', 'keras', 'av'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr


def test_every_public_name_can_be_had():
    for name in kerasfast.data.__all__:
        assert getattr(kerasfast.data, name).__name__ == name
        assert name in dir(kerasfast.data)


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match=r"module 'kerasfast\.data' has no attribute 'bild_records'"):
        kerasfast.data.bild_records  # noqa: B018


def test_a_module_that_cannot_be_imported_says_why(tmp_path):
    """And not that the package has no such name, nor by recursion."""
    package = tmp_path / "lazy"
    package.mkdir()
    code = "from kerasfast._lazy import lazy_names\n__all__ = ['part']\n"
    (package / "__init__.py").write_text(f"{code}__getattr__, __dir__ = lazy_names(__name__, {{'part': 'part'}})\n")
    (package / "part.py").write_text("import no_such_package\n")
    code = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); import lazy; print(dir(lazy)); lazy.part"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.stdout.strip() == "['part']"
    assert result.stderr.strip().endswith("ModuleNotFoundError: No module named 'no_such_package'")


def test_reading_videos_is_loaded_when_it_is_asked_for():
    code = "import sys, kerasfast as kf\nassert 'av' not in sys.modules\nprint(kf.data.video.stream.__name__)"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.stdout.split() == ["stream"], result.stderr
