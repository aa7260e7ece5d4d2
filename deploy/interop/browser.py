"""A real browser, headless: what stands in shadow trees is reached by the DevTools protocol, as no script of a page can."""

import pathlib
import shutil
import sys
import tempfile
import time

import cases
from gateway import check


def selenium():
    """Selenium, which deploy/setup installs beside the build."""
    folders = list((cases.ROOT / "target" / "interop-venv").glob("lib/python3*/site-packages"))
    check(folders, "selenium is not installed: run deploy/setup")
    if str(folders[0]) not in sys.path:
        sys.path.append(str(folders[0]))
    from selenium import webdriver
    return webdriver


class Browser:
    """One window with a profile of its own. `with Browser() as browser:`."""

    def __init__(self):
        webdriver = selenium()
        self.folder = tempfile.mkdtemp(prefix="vestibule-browser-")
        options = webdriver.ChromeOptions()
        options.binary_location = shutil.which("chromium") or "chromium"
        for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
                         "--disable-background-networking", "--disable-component-update", "--disable-sync",
                         "--disable-dev-shm-usage", "--window-size=1200,900", f"--user-data-dir={self.folder}"):
            options.add_argument(argument)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        service = webdriver.ChromeService(executable_path=shutil.which("chromedriver") or "chromedriver")
        self.driver = webdriver.Chrome(options=options, service=service)
        self.driver.set_page_load_timeout(20)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.driver.quit()
        shutil.rmtree(self.folder, ignore_errors=True)

    def open(self, url):
        self.driver.get(url)

    def keys(self, *what):
        """Real key strokes to what has the focus."""
        from selenium.webdriver import ActionChains
        ActionChains(self.driver).send_keys(*what).perform()

    def console(self):
        """Errors that the page has logged since the last look."""
        return [line["message"] for line in self.driver.get_log("browser") if line["level"] == "SEVERE"]

    # -- inside of shadow trees ---------------------------------------------------------------------------------

    def _cdp(self, command, **arguments):
        return self.driver.execute_cdp_cmd(command, arguments)

    def _roots(self):
        """Node ids of all shadow trees, closed ones too."""
        roots, waiting = [], [self._cdp("DOM.getDocument", depth=-1, pierce=True)["root"]]
        while waiting:
            node = waiting.pop()
            roots += [root["nodeId"] for root in node.get("shadowRoots", []) if root["shadowRootType"] != "user-agent"]
            waiting += node.get("children", []) + node.get("shadowRoots", [])
        return roots

    def inside(self, selector, function="function() { return this.textContent; }"):
        """What a function gives for each element of the shadow trees that the selector names.

        The page goes on while it is looked at: when a node is gone by the time it is asked, the look begins anew. The
        function may run again then, so one that acts should be for a page at rest.
        """
        from selenium.common.exceptions import WebDriverException
        for attempt in range(10):
            try:
                return self._inside_once(selector, function)
            except WebDriverException as error:
                gone = ("No node", "Could not find", "Cannot find", "does not belong to the document", "not been pushed")
                if attempt == 9 or not any(words in str(error) for words in gone):
                    raise
                time.sleep(0.05)

    def _inside_once(self, selector, function):
        found = []
        for root in self._roots():
            for node in self._cdp("DOM.querySelectorAll", nodeId=root, selector=selector)["nodeIds"]:
                handle = self._cdp("DOM.resolveNode", nodeId=node)["object"]["objectId"]
                answer = self._cdp("Runtime.callFunctionOn", objectId=handle, functionDeclaration=function, returnByValue=True)
                found.append(answer["result"].get("value"))
        return found

    def choose(self, selector, path):
        """Gives a file to an input of the shadow trees, as the system's dialogue would."""
        for root in self._roots():
            for node in self._cdp("DOM.querySelectorAll", nodeId=root, selector=selector)["nodeIds"]:
                self._cdp("DOM.setFileInputFiles", nodeId=node, files=[str(path)])

    def save_in(self, folder):
        """What is downloaded goes there."""
        self._cdp("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(folder))

    def seen(self, selector):
        """Texts of those that can be seen."""
        seen = "function() { return this.getClientRects().length ? this.textContent : null; }"
        return [text for text in self.inside(selector, seen) if text is not None]

    def until(self, holds, what, seconds=10.0):
        """Waits for something, and gives it back."""
        end = time.monotonic() + seconds
        while True:
            got = holds()
            if got:
                return got
            check(time.monotonic() < end, f"{what}: not within {seconds:.0f} s; the page logged {self.console()}")
            time.sleep(0.05)

    def picture(self, name):
        """Keeps a picture of the window, for people to look at."""
        folder = pathlib.Path(cases.ROOT / "target" / "checks")
        folder.mkdir(parents=True, exist_ok=True)
        self.driver.save_screenshot(str(folder / f"{name}.png"))
