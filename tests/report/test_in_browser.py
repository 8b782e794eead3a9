"""The page in a real browser: nothing runs or loads that should not, and it fits on a phone."""

import itertools

import pytest

from cuelight.report import write_report
from support.browser import CHROMIUM, browser
from support.run_files import make_hostile_run, make_run, metric_rows, write_metrics

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed: apt install chromium")
SIZES = pytest.mark.parametrize("width", [1400, 390])
SCHEMES = pytest.mark.parametrize("scheme", ["light", "dark"])


@pytest.fixture(scope="module")
def chromium(tmp_path_factory):
    with browser(tmp_path_factory.mktemp("chromium")) as started:
        yield started


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """An ordinary run with many devices, and one in which everything is hostile."""
    folder = tmp_path_factory.mktemp("pages")
    run = make_run(folder / "ordinary")
    devices = [{"step": step, f"device_id: {gpu}/memory.used (MB)": step} for gpu in range(8) for step in range(9)]
    write_metrics(run, [*metric_rows(), *devices])
    return {"ordinary": write_report(run), "hostile": write_report(make_hostile_run(folder / "hostile"))}


@SIZES
@SCHEMES
@pytest.mark.parametrize("kind", ["ordinary", "hostile"])
def test_page_is_quiet_alone_and_fits(chromium, pages, kind, scheme, width) -> None:
    chromium.open(pages[kind], width, scheme)
    assert chromium.complaints() == []
    assert chromium.requested() == [pages[kind].absolute().as_uri()]
    assert chromium.evaluate("document.documentElement.scrollWidth") <= width
    assert chromium.evaluate("window.hacked") is None


def test_dark_is_dark(chromium, pages) -> None:
    def brightness(scheme):
        chromium.open(pages["ordinary"], scheme=scheme)
        color = chromium.evaluate("getComputedStyle(document.body).backgroundColor")
        return sum(map(int, color.removeprefix("rgb(").removesuffix(")").split(",")))

    assert brightness("light") > 600
    assert brightness("dark") < 150


def test_pictures_are_there(chromium, pages) -> None:
    chromium.open(pages["ordinary"])
    assert chromium.evaluate("[...document.images].every((image) => image.naturalWidth > 0)")


CUT = """
[...document.querySelectorAll("svg[role]")].flatMap((drawing) => {
  const outer = drawing.getBoundingClientRect();
  return [...drawing.querySelectorAll("text")].filter((text) => {
    const own = text.getBoundingClientRect();
    return own.left < outer.left || own.right > outer.right || own.top < outer.top || own.bottom > outer.bottom;
  }).map((text) => text.textContent);
})
"""


@SIZES
def test_no_text_of_a_chart_is_cut(chromium, tmp_path, width) -> None:
    run = make_run(tmp_path / "run")
    labels = ("W" * 12, "mmmmmmmm", "学习率学习率学习率", "AdamW/pg1")
    ranges = {"tiny": 1.3e-4, "small": 1e-3, "thousand": 1000.0, "vast": 1.25e17, "diverged": 1e300}
    rows = [{"step": step, f"lr-{label}": step} for step in range(40) for label in labels]
    rows += [{"step": step, f"device_id: {gpu}/used (MB)": step} for step in range(9) for gpu in range(24)]
    rows += [{"step": step, name: -at - at * step / 1e4} for step in range(9) for name, at in ranges.items()]
    write_metrics(run, [*metric_rows(), *rows])
    chromium.open(write_report(run), width)
    assert chromium.evaluate("document.querySelectorAll('.chart .label').length") >= len(labels)
    assert chromium.evaluate(CUT) == []


def test_pointer_shows_the_values_below_it(chromium, pages) -> None:
    chromium.open(pages["ordinary"])
    left, top, right, bottom = chromium.evaluate(
        "(() => { const b = document.querySelector('.chart .surface').getBoundingClientRect();"
        "return [b.left, b.top, b.right, b.bottom]; })()"
    )
    middle = left + (right - left) * 29 / 39
    chromium.call("Input.dispatchMouseEvent", type="mouseMoved", x=middle, y=(top + bottom) / 2)
    tip = chromium.evaluate("document.querySelector('.chart .tip:not([hidden])').innerText")
    assert "step 29" in tip
    assert "val 0.05" in tip


def test_without_scripts_everything_is_shown(chromium, pages) -> None:
    chromium.open(pages["ordinary"], script=False)
    text = pages["ordinary"].read_text()
    assert text.count('<path class="line" d="M') > 4
    chromium.call("Emulation.setScriptExecutionDisabled", value=False)
    assert chromium.evaluate("document.querySelectorAll('.chart .line').length") > 4
    assert chromium.complaints() == []


def test_headings_go_down_by_one(chromium, pages) -> None:
    chromium.open(pages["ordinary"])
    levels = chromium.evaluate("[...document.querySelectorAll('h1,h2,h3,h4')].map((one) => Number(one.tagName[1]))")
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(below <= above + 1 for above, below in itertools.pairwise(levels))


CONTRAST = """
(() => {
  const luminance = (text) => {
    const [r, g, b] = text.match(/[0-9.]+/g).map(Number).map((v) => v / 255)
      .map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const ground = (one) => {
    for (; one; one = one.parentElement) {
      const color = getComputedStyle(one).backgroundColor;
      if (color !== "rgba(0, 0, 0, 0)") return color;
    }
    return "rgb(255, 255, 255)";
  };
  const poor = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const one = walker.currentNode.parentElement;
    const other = one.closest("script, title, desc, .hit, .miss");  // in no color of its own, or on a cell
    if (other || !walker.currentNode.textContent.trim() || !one.checkVisibility()) continue;
    const style = getComputedStyle(one);
    const [a, b] = [luminance(one.closest("svg") ? style.fill : style.color), luminance(ground(one))];
    const contrast = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (contrast < 4.5) poor.push([walker.currentNode.textContent.trim(), contrast]);
  }
  return poor;
})()
"""


@SCHEMES
def test_text_can_be_read(chromium, pages, scheme) -> None:
    chromium.open(pages["ordinary"], scheme=scheme)
    assert chromium.evaluate(CONTRAST) == []
