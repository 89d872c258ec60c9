"""A real browser, for the pages."""

import contextlib
import shutil

import pytest


@pytest.fixture(scope="module")
def browser():
    """A real Chromium without a network; skipped if Chromium is not installed."""
    webdriver = pytest.importorskip("selenium.webdriver")
    service = pytest.importorskip("selenium.webdriver.chrome.service")
    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if chromium is None or driver is None:
        pytest.skip("needs chromium and chromedriver, as Debian has them")
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for argument in ("headless", "no-sandbox", "disable-gpu", "no-first-run", "hide-scrollbars"):
        options.add_argument(f"--{argument}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    with contextlib.closing(_Browser(webdriver.Chrome(options, service.Service(driver)))) as opened:
        yield opened


class _Browser:
    def __init__(self, driver):
        self.driver = driver
        self.run("Network.enable")
        # No network, so that a page that needs one stays empty.
        offline = {"offline": True, "latency": 0, "downloadThroughput": 0, "uploadThroughput": 0}
        self.run("Network.emulateNetworkConditions", **offline)

    def run(self, command, **parameters):
        self.driver.execute_cdp_cmd(command, parameters)

    def open(self, path, *, width=1280, scheme="light"):
        scheme = {"name": "prefers-color-scheme", "value": scheme}
        self.run("Emulation.setEmulatedMedia", features=[scheme])
        size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600}
        self.run("Emulation.setDeviceMetricsOverride", **size)
        self.driver.get(path.as_uri())
        self.until("return document.body.dataset.drawn !== undefined")
        return self

    def until(self, condition):
        from selenium.webdriver.support.ui import WebDriverWait

        WebDriverWait(self.driver, 30, 0.05).until(lambda driver: driver.execute_script(condition))

    def ask(self, expression):
        return self.driver.execute_script(f"return {expression}")

    def find(self, selector):
        return self.driver.find_element("css selector", selector)

    def close(self):
        self.driver.quit()
