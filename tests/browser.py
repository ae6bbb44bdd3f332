"""A built site in headless Chromium, served from this machine alone; and pictures of its pages, to be looked at.

    python tests/browser.py docs/_build/html screenshots

writes a PNG of every page as a desktop (1280 pixels) and a phone (390) show it. It needs Chromium and the extra
"browser"; the workflow "docs" keeps what it writes beside the site.
"""

import base64
import contextlib
import functools
import http.server
import json
import shutil
import sys
import tempfile
import threading
from pathlib import Path

SECONDS = 20  # to wait for what a page does by itself
WIDTHS = (1280, 390)  # pixels of a desktop and a phone
TALLEST = 16_000  # pixels of a picture: Chromium draws no more at a time
ARGUMENTS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--window-size=1400,1000",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
)


def programs():
    """Paths of Chromium and its driver, None for what is missing."""
    return shutil.which("chromium"), shutil.which("chromedriver")


@contextlib.contextmanager
def running_chromium(folder):
    """A driver of Chromium, for which there is no other machine than this one; `folder` is for what it keeps."""
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location, service = programs()
    for argument in (*ARGUMENTS, f"--user-data-dir={folder}"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(service))
    driver.set_page_load_timeout(60)
    try:
        yield driver
    finally:
        driver.quit()


class QuietHandler(http.server.SimpleHTTPRequestHandler):
    """Serves files, and says nothing."""

    def log_message(self, *arguments):
        pass


@contextlib.contextmanager
def served(folder):
    """The address at which a folder is served."""
    handler = functools.partial(QuietHandler, directory=folder)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}/"
        finally:
            server.shutdown()


class Browser:
    """Opens pages of one server, and finds out what went wrong with them."""

    def __init__(self, driver, address):
        self.driver, self.address = driver, address

    def open(self, page):
        """Open a page of the server; troubles of pages before are forgotten."""
        self.troubles()
        self.driver.get(self.address + page)

    def troubles(self):
        """Errors in the console, requests that failed, and requests to other servers, since this was last asked."""
        found = [entry["message"] for entry in self.driver.get_log("browser") if entry["level"] == "SEVERE"]
        asked = {}  # by this page: what Chromium asks for as it starts does not count
        for entry in self.driver.get_log("performance"):
            event = json.loads(entry["message"])["message"]
            values = event["params"]
            if event["method"] == "Network.requestWillBeSent":
                url = asked[values["requestId"]] = values["request"]["url"]
                if not url.startswith((self.address, "data:", "blob:", "about:", "chrome:")):
                    found.append(f"asks {url}")
            elif event["method"] == "Network.responseReceived" and values["response"]["status"] >= 400:
                found.append(f"{values['response']['status']} {values['response']['url']}")
            elif event["method"] == "Network.loadingFailed" and values["requestId"] in asked:
                found.append(f"{values['errorText']} {asked[values['requestId']]}")
        return found

    def script(self, text, *arguments):
        """What JavaScript returns."""
        return self.driver.execute_script(text, *arguments)

    def wait(self, condition):
        """Wait until JavaScript returns something true, and return that."""
        from selenium.webdriver.support.ui import WebDriverWait

        return WebDriverWait(self.driver, SECONDS).until(lambda driver: driver.execute_script(condition))

    def as_wide_as(self, pixels):
        """Show pages as a desktop does, or, below 600 pixels, a phone."""
        metrics = {"width": pixels, "height": 900, "deviceScaleFactor": 1, "mobile": pixels < 600}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)

    def picture(self, page, pixels):
        """A page from its top to its end, as PNG, with all its images and fonts."""
        self.as_wide_as(pixels)
        self.open(page)
        self.script("""
            const images = [...document.images];
            images.forEach(image => image.loading = 'eager');
            const ready = images.map(image => image.decode().catch(() => null));
            return Promise.all([document.fonts.ready, ...ready]).then(() => null);
        """)
        height = min(self.script("return document.documentElement.scrollHeight"), TALLEST)
        clip = {"x": 0, "y": 0, "width": pixels, "height": height, "scale": 1}
        options = {"format": "png", "captureBeyondViewport": True, "clip": clip}
        return base64.b64decode(self.driver.execute_cdp_cmd("Page.captureScreenshot", options)["data"])


def pages_of(site):
    """Pages for readers: not the history, which asv makes, nor listings of source code, of which there are two."""
    paths = sorted(path.relative_to(site) for path in site.rglob("*.html"))
    pages = [str(path) for path in paths if path.parts[0] not in ("_static", "history")]
    source = [page for page in pages if page.startswith("_modules/")]
    return [page for page in pages if page not in source] + source[:2]


def take_pictures(site, folder, pages=None):
    """Write PNG files of pages, of all by default, in folders named by their width."""
    with tempfile.TemporaryDirectory() as scratch, served(site) as address, running_chromium(scratch) as driver:
        browser = Browser(driver, address)
        for pixels in WIDTHS:
            for page in pages or pages_of(site):
                path = folder / str(pixels) / Path(page).with_suffix(".png")
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(browser.picture(page, pixels))


if __name__ == "__main__":
    site, folder, *pages = sys.argv[1:]
    take_pictures(Path(site), Path(folder), pages)
