"""The documentation site as readers see it: built, served from this machine alone, and opened in headless Chromium.

SLTREES_SITE=docs/_build/html takes a site that is built; otherwise it is built first, every warning being an error.
"""

import html
import importlib.util
import os
import re
import shutil
import struct
import subprocess
import sys
from pathlib import Path

import pytest
from browser import WIDTHS, Browser, pages_of, programs, running_chromium, served

ROOT = Path(__file__).parents[2]


# ---------------------------------------------------------------------- the site, and a browser


@pytest.fixture(scope="session")
def site(tmp_path_factory):
    """The folder of the built site."""
    if "SLTREES_SITE" in os.environ:
        return Path(os.environ["SLTREES_SITE"]).resolve()
    for module in ("sphinx", "numpydoc", "pydata_sphinx_theme", "myst_parser", "sphinx_gallery", "latex2mathml"):
        pytest.importorskip(module)
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-n", "-q", "-b", "html", "docs", str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


@pytest.fixture(scope="session")
def chromium(tmp_path_factory):
    """A driver of headless Chromium for which there is no other machine than this one."""
    pytest.importorskip("selenium.webdriver")
    if None in programs():
        pytest.skip("needs chromium and chromedriver (Debian: chromium, chromium-driver)")
    with running_chromium(tmp_path_factory.mktemp("chromium")) as driver:
        yield driver


@pytest.fixture(scope="session")
def address(site):
    """Where the site is served until the tests end."""
    with served(site) as address:
        yield address


@pytest.fixture
def browser(chromium, address):
    return Browser(chromium, address)


# ---------------------------------------------------------------------- what was built


def public_things():
    """(full name, thing) of all that the package exports."""
    specification = importlib.util.spec_from_file_location("public_names", ROOT / "docs" / "public_names.py")
    public = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(public)
    return [
        (f"{module}.{name}", getattr(importlib.import_module(module), name))
        for module in public.public_modules()
        for name in public.exported_names(module)
    ]


@pytest.mark.docs
def test_every_public_name_is_in_the_api_reference(site):
    inventory = pytest.importorskip("sphinx.util.inventory").InventoryFile.loads(
        (site / "objects.inv").read_bytes(), uri=""
    )
    documented = {name for kind, names in inventory.data.items() if kind.startswith("py:") for name in names}
    things = public_things()
    # what several modules export is documented once
    shown = [thing for name, thing in things if name in documented]
    missing = [name for name, thing in things if name not in documented and not any(thing is other for other in shown)]
    assert missing == []
    # the list of what there has to be is not empty by mistake, and methods are there, too
    names = {name for name, _ in things}
    assert {
        "sltrees.ThresholdTree",
        "sltrees.estimators.NewtonRegressor",
        "sltrees.files.archive.write_archive",
    } < names
    assert {"sltrees.ThresholdTree.query", "sltrees.ThresholdTree.update", "sltrees.NewtonTrainer.fit"} < documented


@pytest.mark.docs
def test_signatures_of_compiled_classes_are_those_of_their_stubs(site):
    page = (site / "generated" / "sltrees.ThresholdTree.html").read_text(encoding="utf-8")
    signatures = [html.unescape(re.sub("<[^>]+>", "", part)) for part in re.findall("(?s)<dt class=.sig.*?</dt>", page)]
    said = {"".join(signature.split()).removesuffix("#") for signature in signatures}
    assert "classsltrees.ThresholdTree(values,*,orientation='max',copy=True)" in said
    assert "update(i,value,*,crossing=None)" in said


# ---------------------------------------------------------------------- what a browser makes of it


@pytest.mark.browser
def test_every_page_loads_from_this_server_alone(browser, site):
    troubles = {}
    for page in pages_of(site):
        browser.open(page)
        title = browser.script("return document.title")
        # of those in view at once or later: lazy ones are asked for
        pictures = browser.script("""
            const images = [...document.images];
            images.forEach(image => image.loading = 'eager');
            return Promise.all(images.map(image => image.decode().then(() => null, () => image.src)))
                .then(sources => sources.concat(images.map(image => image.naturalWidth > 0 ? null : image.src)))
                .then(sources => sources.filter(source => source !== null));
        """)
        found = browser.troubles() + [f"no picture at {source}" for source in pictures]
        if found or "sltrees" not in title:
            troubles[page] = [title, *found]
    assert troubles == {}


SHOWN = (
    "index.html",
    "start.html",
    "guide/threshold_trees.html",
    "guide/estimators.html",
    "background/experiment.html",
    "background/the_paper_and_what_we_changed.html",
    "generated/sltrees.ThresholdTree.html",
    "auto_gallery/training/plot_newton_by_hand.html",
)


@pytest.fixture
def as_wide_as(browser):
    """as_wide_as(pixels): the window of a desktop or a phone, until the test ends."""
    yield browser.as_wide_as
    browser.driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


@pytest.mark.browser
@pytest.mark.parametrize("pixels", WIDTHS)
def test_no_block_of_code_is_cut_and_no_page_scrolls_sideways(browser, as_wide_as, pixels):
    as_wide_as(pixels)
    wide = {}
    for page in SHOWN:
        browser.open(page)
        found = browser.script("""
            const blocks = [...document.querySelectorAll('article pre')];
            const cut = blocks.filter(block => block.scrollWidth > block.clientWidth + 1);
            const page = document.documentElement.scrollWidth > window.innerWidth + 1 ? ['the page'] : [];
            return page.concat(cut.map(block => block.innerText.slice(0, 60)));
        """)
        if found:
            wide[page] = found
    assert wide == {}


@pytest.mark.browser
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_text_stands_out_from_what_is_behind_it(browser, theme):
    """Contrast AA of WCAG 2: 4.5 to 1, and 3 to 1 for large text."""
    pale = {}
    for page in SHOWN:
        browser.open(page)
        browser.script(f"document.documentElement.dataset.theme = '{theme}'")
        found = browser.script("""
            // colours as bytes, whatever notation the browser computes
            const pixel = document.createElement('canvas').getContext('2d', {willReadFrequently: true});
            const bytes = colour => {
                pixel.clearRect(0, 0, 1, 1);
                pixel.fillStyle = colour;
                pixel.fillRect(0, 0, 1, 1);
                return [...pixel.getImageData(0, 0, 1, 1).data];
            };
            const linear = byte => byte <= 10 ? byte / 3294.6 : ((byte / 255 + 0.055) / 1.055) ** 2.4;
            const luminance = ([r, g, b]) => 0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b);
            const behind = element => {
                for (let at = element; at; at = at.parentElement) {
                    const style = getComputedStyle(at);
                    if (style.backgroundImage !== 'none') return null;
                    const colour = bytes(style.backgroundColor);
                    if (colour[3] === 255) return colour;
                    if (colour[3] > 0) return null;  // what shines through is not asked for
                }
                return [255, 255, 255, 255];
            };
            const walker = document.createTreeWalker(document.querySelector('article'), NodeFilter.SHOW_TEXT);
            const found = new Map();
            while (walker.nextNode()) {
                const element = walker.currentNode.parentElement, text = walker.currentNode.textContent.trim();
                const style = getComputedStyle(element);
                if (!text || element.closest('math, script, style') || !element.checkVisibility({opacityProperty: true,
                    visibilityProperty: true})) continue;
                const back = behind(element), front = bytes(style.color);
                if (back === null || front[3] < 255) continue;
                const [dark, light] = [luminance(front), luminance(back)].sort((a, b) => a - b);
                const size = parseFloat(style.fontSize);
                const large = size >= 24 || (size >= 18.66 && style.fontWeight >= 700);
                const ratio = (light + 0.05) / (dark + 0.05);
                if (ratio < (large ? 3 : 4.5)) found.set(style.color + ' on ' + back, text.slice(0, 40));
            }
            return [...found].map(([colours, text]) => colours + ': ' + text);
        """)
        if found:
            pale[page] = found
    assert pale == {}


# what readers ask for, and pages that answer: one of these is among the first three that are found
QUESTIONS = {
    "install": ["index.html", "start.html", "development/contributing.html"],
    "threshold": ["guide/threshold_trees.html", "generated/sltrees.ThresholdTree.html"],
    "load model": ["guide/estimators.html", "generated/sltrees.estimators.load_estimator.html"],
    "feature importance": ["guide/estimators.html", "generated/sltrees.estimators.NewtonRegressor.html"],
    "resume": ["guide/everyday_training.html", "generated/sltrees.NewtonTrainer.html"],
    "GPU": ["guide/when_not_to_use_this.html"],
    "categorical": ["guide/estimators.html", "start.html", "generated/sltrees.estimators.FrameEncoder.html"],
    "predict probability": ["guide/estimators.html", "generated/sltrees.estimators.NewtonClassifier.html"],
    "cite": ["index.html", "background/bibliography.html"],
    "benchmark": ["background/benchmarks.html"],
}


@pytest.mark.browser
@pytest.mark.parametrize("question", QUESTIONS)
def test_search_answers_what_readers_ask(browser, question):
    browser.open("search.html?q=" + question.replace(" ", "+"))
    # results come one by one, in their order, and are counted when all are there
    browser.wait("return /found|matching|no documents/i.test(document.querySelector('#search-results p')?.innerText)")
    found = browser.script("return [...document.querySelectorAll('#search-results li > a')].map(link => link.pathname)")
    first = [path.lstrip("/") for path in found[:3]]
    assert set(first) & set(QUESTIONS[question]), first


@pytest.mark.browser
def test_pictures_say_what_they_show(browser, site):
    silent = {}
    for page in pages_of(site):
        browser.open(page)
        found = browser.script("""
            const images = [...document.querySelectorAll('article img')];
            // those of the gallery's lists have the title of the example beside them
            const alone = images.filter(image => !image.closest('.sphx-glr-thumbcontainer'));
            return alone.filter(image => !image.alt.trim()).map(image => image.src);
        """)
        if found:
            silent[page] = found
    assert silent == {}


@pytest.mark.browser
def test_troubles_are_found(browser):
    browser.open("gone.html")
    assert any("404" in trouble for trouble in browser.troubles())
    browser.open("index.html")
    browser.script("console.error('trouble'); fetch('https://example.org/').catch(() => null);")
    browser.wait("return performance.getEntriesByName('https://example.org/').length > 0")
    found = browser.troubles()
    assert any("'trouble'" in trouble or '"trouble"' in trouble for trouble in found)
    assert "asks https://example.org/" in found


@pytest.mark.browser
def test_search_finds_a_class(browser):
    browser.open("search.html?q=ThresholdTree")
    link = "#search-results a[href*='sltrees.ThresholdTree.html']"
    browser.wait(f'return document.querySelector("{link}") !== null')
    browser.script(f'document.querySelector("{link}").click()')
    browser.wait("return document.querySelector('h1') !== null && document.title.includes('ThresholdTree')")
    assert "generated/sltrees.ThresholdTree.html" in browser.driver.current_url
    assert browser.script("return document.getElementById('sltrees.ThresholdTree.query') !== null")
    assert browser.troubles() == []


@pytest.mark.browser
@pytest.mark.parametrize(
    ("page", "least"),
    [
        ("background/how_it_stays_sublinear.html", 3),
        ("auto_gallery/index.html", 6),
        ("auto_gallery/training/plot_digits.html", 1),
        ("auto_gallery/trees/plot_stream_alerts.html", 1),
    ],
)
def test_figures_show(browser, page, least):
    browser.open(page)
    count = "return [...document.querySelectorAll('article img')].filter(image => image.naturalWidth > 50).length"
    browser.script("[...document.images].forEach(image => image.loading = 'eager')")
    assert browser.wait(f"{count.replace('.length', '.length >= ' + str(least))}")


@pytest.mark.browser
@pytest.mark.parametrize(
    "page", ["index.html", "background/symbols.html", "auto_gallery/training/plot_cost_against_width.html"]
)
def test_mathematics_is_drawn(browser, page):
    browser.open(page)
    sizes = browser.script("""
        return [...document.querySelectorAll('article math')]
            .map(math => math.getBoundingClientRect()).map(box => [box.width, box.height]);
    """)
    assert sizes
    assert all(width > 3 and height > 3 for width, height in sizes)
    assert browser.script("return document.querySelectorAll('merror').length") == 0
    text = browser.script("return document.querySelector('article').innerText")
    assert "\\frac" not in text
    assert "\\sqrt" not in text
    # the fraction of the model stands on two levels: it is laid out, not written in a line
    if page == "index.html":
        assert max(height for _, height in sizes) > 30


@pytest.mark.browser
@pytest.mark.parametrize("pixels", WIDTHS)
def test_pictures_of_pages_show_all_of_them(browser, as_wide_as, pixels):
    picture = browser.picture("guide/reliability.html", pixels)
    width, height = struct.unpack(">II", picture[16:24])  # of a PNG
    assert width == pixels
    end = browser.script("return document.querySelector('footer.bd-footer').getBoundingClientRect().bottom")
    assert height >= int(end) > 2000


# ---------------------------------------------------------------------- the history of the benchmarks


@pytest.fixture(scope="session")
def history(site):
    """The folder of the history within the site, where `.ci/site` has put it; else it is made first."""
    pytest.importorskip("asv")
    for program in ("git", "npm"):
        if shutil.which(program) is None:
            pytest.skip(f"needs {program}")
    if not (site / "history").exists():
        command = [sys.executable, "asv_benchmarks/history.py", "publish", str(site / "history")]
        subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True, timeout=300)
    return "history"


@pytest.mark.browser
def test_history_of_the_benchmarks_draws_its_commits(browser, history):
    browser.open("background/benchmarks.html")
    link = browser.script("return document.querySelector('article a[href$=\"history/index.html\"]').pathname")
    assert link == f"/{history}/index.html"
    browser.open(f"{history}/index.html#threshold_tree.Query.time_query")
    # flot keeps what it has drawn with the element that it draws on
    browser.wait("return document.querySelector('#main-graph canvas') !== null")
    points = browser.wait("""
        const plot = $('#main-graph').data('plot');
        return plot && Math.max(...plot.getData().map(series => series.data.length));
    """)
    assert points >= 8  # commits
    drawn = browser.script("""
        return [...document.querySelectorAll('#main-graph canvas')].some(canvas =>
            canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data.some(value => value !== 0));
    """)
    assert drawn
    assert browser.troubles() == []
