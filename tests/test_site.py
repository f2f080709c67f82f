"""The site that `make docs` built: it works from the disk, asks no other machine for anything, its notebooks ran."""

import re

import pytest
from documentation import ROOT
from page_case import assert_valid_html, open_page

SITE = ROOT / "site"
pytestmark = pytest.mark.docs
# Elements that fetch when a page is opened; a link (`a`) does not.
_FETCHING = re.compile(r"<(?:script|link|img|iframe|source|video|object)\b[^>]*?\s(?:src|href|data)=[\"']?([^\"'\s>]+)")


@pytest.fixture(scope="module")
def html():
    """Pages by their place in the site."""
    found = {path.relative_to(SITE).as_posix(): path.read_text("utf-8") for path in sorted(SITE.rglob("*.html"))}
    assert "index.html" in found, "make docs builds the site"
    return found


def test_every_page_is_there(html):
    expected = {
        *("index.html", "quickstart.html", "finetune.html", "charades_training.html", "data.html", "training.html"),
        *("predict.html", "porting.html", "serving.html", "runtimes.html", "architecture.html", "zoo/index.html"),
        *("recipes.html", "charades.html", "performance.html", "formats.html", "scale.html", "api/models.html"),
        *("notebooks/quick_start.html", "notebooks/fine_tuning.html", "notebooks/explaining.html"),
        *("CONTRIBUTING.html", "CHANGELOG.html"),
    }
    assert expected <= set(html)
    assert "slowfast_r50_8x8.charades" in html["zoo/index.html"]
    assert (SITE / "zoo" / "cards" / "slowfast_nano.miniature.json").is_file()


def test_no_page_fetches_from_another_machine(html):
    for page, text in html.items():
        addresses = _FETCHING.findall(text)
        assert page == "404.html" or addresses, page
        assert [address for address in addresses if address.startswith(("http:", "https:", "//"))] == [], page


def test_every_page_is_valid(html):
    assert_valid_html(*(SITE / page for page in html))


def test_examples_of_docstrings_are_code(html):
    for page in ("api/models.html", "api/data.html"):
        prose = re.sub(r"(?s)<(pre|code)\b.*?</\1>", "", html[page])
        assert "&gt;&gt;&gt;" not in prose, page
        assert "&gt;&gt;&gt;" in html[page]


@pytest.mark.parametrize("name", ["quick_start", "fine_tuning", "explaining"])
def test_notebooks_ran(html, name):
    page = html[f"notebooks/{name}.html"]
    assert "Traceback" not in page
    pictures = re.findall(rf'src="({name}_files/[^"]+)"', page)
    assert pictures
    for picture in pictures:
        assert (SITE / "notebooks" / picture).stat().st_size > 2_000
    assert (SITE / "notebooks" / f"{name}.ipynb").is_file()


@pytest.mark.parametrize("dark", [False, True])
def test_a_reader_searches_and_follows(browser, dark):
    """From the disk and without a network; the search runs in a frame there (docs/assets/iframe-worker.js)."""
    with open_page(browser, SITE / "index.html", dark=dark) as opened:
        page = opened.page
        page.keyboard.press("/")
        page.keyboard.type("time_to_channel_concat", delay=5)
        result = page.locator(".md-search-result__link").first
        result.wait_for(timeout=20_000)
        result.click()
        page.wait_for_url("**/*.html*")
        assert "time_to_channel_concat" in page.locator("article").inner_text()
        opened.assert_quiet()


@pytest.mark.parametrize("name", ["index.html", "architecture.html", "api/models.html", "notebooks/quick_start.html"])
def test_pages_fit_a_telephone(browser, name):
    with open_page(browser, SITE / name, width=400) as opened:
        opened.page.wait_for_load_state("networkidle")
        assert opened.page.evaluate("document.scrollingElement.scrollWidth") <= 400
        opened.assert_quiet()


@pytest.mark.parametrize(
    ("target", "source", "page", "link"),
    [
        ("finetune.md", "docs/index.md", "index.md", "finetune.md"),
        ("../zoo/README.md", "docs/index.md", "index.md", "zoo/README.md"),
        ("../../zoo/README.md", "docs/api/models.md", "api/models.md", "../zoo/README.md"),
        ("../../README.md", "docs/api/models.md", "api/models.md", "../index.md"),
        ("parity/a.json", "zoo/README.md", "zoo/README.md", "parity/a.json"),
        ("docs/data.md", "CONTRIBUTING.md", "CONTRIBUTING.md", "data.md"),
        ("fine_tuning.ipynb", "docs/notebooks/quick_start.md", "notebooks/quick_start.md", "fine_tuning.md"),
        ("notebooks/quick_start.ipynb", "docs/index.md", "index.md", "notebooks/quick_start.md"),
    ],
)
def test_links_of_the_repository_hold_on_the_site(target, source, page, link):
    import docs_hooks

    assert docs_hooks.site_link(target, source, page) == link


def test_a_notebook_runs_and_one_that_fails_stops_the_build(tmp_path):
    import docs_hooks
    import nbformat
    from nbclient.exceptions import CellExecutionError

    said = "import sys\nprint(6 * 7, file=sys.stderr)\nprint(6 * 9)"
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(said, id="a")])
    nbformat.write(notebook, tmp_path / "right.ipynb")
    body, _ = docs_hooks.as_page(tmp_path / "right.ipynb")
    assert "    54\n" in body and "42" not in body

    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("print(6 * 7)\n1 / 0", id="a")])
    nbformat.write(notebook, tmp_path / "wrong.ipynb")
    with pytest.raises(CellExecutionError, match="ZeroDivisionError"):
        docs_hooks.as_page(tmp_path / "wrong.ipynb")
    body, pictures = docs_hooks.as_page(tmp_path / "wrong.ipynb", run=False)
    assert "6 * 7" in body and "42" not in body and not pictures


def test_examples_get_a_section():
    from docs_examples import with_section

    assert with_section("Says a.\n\n>>> f(1)\n2\n") == "Says a.\n\nExamples:\n    >>> f(1)\n    2\n"
    assert with_section("No `>>>` here.") == "No `>>>` here."
