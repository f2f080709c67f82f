"""What MkDocs does here beside its plugins: it publishes files of the repository that lie outside of docs, and runs the
notebooks.

A page is written once, with links that work in the repository; on the site they point to the same file.
"""

from __future__ import annotations

import posixpath
import re
import tempfile
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parent.parent
# Files outside of docs that the site has too, at the same place below its root.
PUBLISHED = (
    *("CHANGELOG.md", "CONTRIBUTING.md", "LICENSE", "zoo/README.md", "zoo/cards/*.json", "zoo/parity/*.json"),
    *("training/recipes/*.toml", "benchmarks/*.json"),
)
_LINK = re.compile(r"(?<=\]\()(?![a-z]+:|#|/)([^)#\s]+)")
_DOWNLOAD = '<a href="{}" download>This page as a notebook</a>'
CELL_SECONDS = 900  # on two cores that others use too


def on_files(files: Files, config: MkDocsConfig) -> Files:
    for pattern in PUBLISHED:
        for path in sorted(ROOT.glob(pattern)):
            files.append(File.generated(config, path.relative_to(ROOT).as_posix(), abs_src_path=str(path)))
    for notebook in [file for file in files if file.src_uri.endswith(".ipynb")]:
        body, pictures = as_page(Path(str(notebook.abs_src_path)), bool(config.extra["run_notebooks"]))
        page = notebook.src_uri.removesuffix(".ipynb")
        name = posixpath.basename(notebook.src_uri)
        files.append(File.generated(config, f"{page}.md", content=f"{body}\n\n{_DOWNLOAD.format(name)}\n"))
        for picture, content in pictures.items():
            files.append(File.generated(config, f"{posixpath.dirname(page)}/{picture}", content=content))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    here = page.file.src_uri
    if (ROOT / "docs" / here).is_file() or here.startswith("notebooks/"):
        here = f"docs/{here}"
    return _LINK.sub(lambda found: site_link(found[1], here, page.file.src_uri), markdown)


def on_post_page(output: str, page: Page, config: MkDocsConfig) -> str:
    return as_html_has_it(output)


def on_post_template(output_content: str, template_name: str, config: MkDocsConfig) -> str:
    return as_html_has_it(output_content) if template_name.endswith(".html") else output_content


def as_html_has_it(page: str) -> str:
    """A page without the three attributes of the theme that the Nu Html Checker calls errors."""
    page = re.sub(r'(<input\b[^>]*type="checkbox"[^>]*?) autocomplete="off"', r"\1", page)
    return re.sub(r'(<(?:input|label)\b[^>]*?) (?:autocorrect="off"|tabindex="")', r"\1", page)


def site_link(target: str, source: str, page: str) -> str:
    """A link of a file of the repository, as it has to be on the site.

    Args:
        target: The link, relative to the file.
        source: The file, from the root of the repository.
        page: Its page, from the root of the site.
    """
    path = posixpath.normpath(posixpath.join(posixpath.dirname(source), target))
    path = {"README.md": "index.md"}.get(path, path.removeprefix("docs/"))
    path = re.sub(r"\.ipynb$", ".md", path)
    return posixpath.relpath(path, posixpath.dirname(page) or ".")


def as_page(path: Path, run: bool = True) -> tuple[str, dict[str, bytes]]:
    """A notebook as Markdown, and its pictures by name.

    Args:
        path: The notebook, without outputs.
        run: Run its cells first, in an empty folder; an error in one is an error here.
    """
    import nbformat
    from nbclient import NotebookClient
    from nbconvert import MarkdownExporter

    notebook = nbformat.read(path, as_version=4)
    with tempfile.TemporaryDirectory() as folder:
        where = {"metadata": {"path": folder}}
        if run:
            NotebookClient(notebook, timeout=CELL_SECONDS, kernel_name="python3", resources=where).execute()
        for cell in notebook.cells:
            if "outputs" in cell:  # what libraries tell a terminal is not for the reader
                cell.outputs = [output for output in cell.outputs if output.get("name") != "stderr"]
        names: dict[str, Any] = {"unique_key": path.stem, "output_files_dir": f"{path.stem}_files"}
        body, resources = MarkdownExporter().from_notebook_node(notebook, resources=names)
    return body, resources["outputs"]
