"""Pages: what their templates are given is escaped, and the policy lets nothing else in."""

import json

import pytest
from page_case import assert_self_contained, assert_valid_html, open_page

from kerasfast.explain.pages.template import json_for_script, plain_text, render

HOSTILE = [
    "<script>alert(1)</script>",
    "</script><script>alert(2)</script>",
    '"><img src=x onerror=alert(3)>',
    "</title></style><svg onload=alert(4)>",
    "{{ 7 * 7 }} {% raw %}",
    "line\u2028separator\u2029paragraph\nbreak\0nul\x07bell",
    "gpj.\u202eexe\u2066",
    "lone \udcff surrogate \ud800 \ufffe\U0001fffe",
    "<!-- <script>",
]


@pytest.fixture
def page(tmp_path):
    path = tmp_path / "page.html"
    path.write_text(render("base.html", title=" ".join(HOSTILE), data=HOSTILE), "utf-8")
    return path


def test_hostile_values_are_inert(page, browser):
    assert_valid_html(page)
    assert_self_contained(page, limit_bytes=20_000)
    with open_page(browser, page) as opened:
        opened.assert_quiet()
        opened.assert_fits()
        heading = opened.page.inner_text("h1")
        assert heading == opened.page.title() == plain_text(" ".join(HOSTILE), limit=None)
        assert "<script>alert(1)</script>" in heading and "{{ 7 * 7 }}" in heading
        assert opened.page.locator("script").count() == 1 and opened.page.locator("img, svg").count() == 0
        received = opened.page.evaluate("JSON.parse(document.getElementById('page-data').textContent)")
        assert received[:6] == HOSTILE[:6]


def test_the_policy_stops_what_is_not_of_the_page(page, browser):
    """The second wall: were an escape forgotten, nothing would run and nothing would be fetched."""
    with open_page(browser, page) as opened:
        opened.page.evaluate(
            """() => {
                const script = document.createElement("script");
                script.textContent = "window.ran = true";
                const button = document.createElement("button");
                button.setAttribute("onclick", "window.ran = true");
                const image = document.createElement("img");
                image.src = "https://example.org/x.png";
                document.body.append(script, button, image);
                button.click();
            }"""
        )
        assert opened.page.evaluate("window.ran") is None
        assert len(opened.console) == 3 and all("Content Security Policy" in line for line in opened.console)
        with pytest.raises(AssertionError):
            opened.assert_quiet()


def test_json_ends_no_script():
    text = json_for_script({"a": HOSTILE, "b": 0.5})
    assert not set(text) & set("<>&\u2028\u2029") and text.isascii()
    assert json.loads(text) == {"a": HOSTILE, "b": 0.5}
    with pytest.raises(ValueError, match="not JSON compliant"):
        json_for_script([float("nan")])


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Holding a bag", "Holding a bag"),
        ("  a\n\tb\u2028c ", "a b c"),
        ("gpj.\u202eexe", "gpj.exe"),
        ("video_\udce9.mp4", "video_?.mp4"),
        ("\ufdd0a\uffff", "a"),
        ("می\u200cخواهم 拿着 👩\u200d🍳", "می\u200cخواهم 拿着 👩\u200d🍳"),  # joiners belong to the words
        ("x" * 301, "x" * 299 + "…"),
        ("ü" * 301, "ü" * 299 + "…"),
    ],
)
def test_plain_text(text, shown):
    assert plain_text(text) == shown
    assert "…" not in plain_text(text, limit=None)


def test_long_addresses_stay_whole():
    """A picture of the page and a long list of hosts: cut, they would be another address."""
    hosts = [f"https://host{number}.example.org" for number in range(40)]
    page = render("base.html", title="x", media=hosts)
    assert " ".join(hosts) in page


def test_a_template_names_all_it_needs(tmp_path):
    with pytest.raises(Exception, match="undefined"):
        render("timeline.html", title="x", data={})
