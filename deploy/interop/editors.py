"""Cases about the editor of IVRs: a real browser, driven by keys alone, and a real call to what was made."""

import subprocess

from browser import Browser
from caller import Call
from cases import case
from gateway import Gateway, check

PASSWORD = "correct horse battery"
HOSTILE = "<img src=x onerror=\"document.title='owned'\">"


def signs_in(own, browser):
    """The first one who signs in, by the link that the command prints."""
    said = subprocess.run([own.binary, "sign-in-link", "--data-dir", str(own.data)], capture_output=True, text=True, cwd=own.folder, check=True)
    link = [word for word in said.stdout.split() if "/console/" in word][0]
    browser.open(f"http://127.0.0.1:{own.http}/console/{link.split('/console/')[1]}")
    for name, text in (("name", "Ann"), ("login", "ann@example.com"), ("password", PASSWORD), ("again", PASSWORD)):
        browser.driver.find_element("css selector", f"[name={name}]").send_keys(text)
    browser.driver.find_element("css selector", "[name=again]").submit()
    browser.until(lambda: "/console/live" in browser.driver.current_url, "the first page after the sign-in")


class Editor:
    """The page of an IVR, by keys."""

    def __init__(self, browser, base, ivr):
        from selenium.webdriver.common.keys import Keys
        self.browser, self.keys = browser, Keys
        browser.open(f"{base}/console/ivrs/{ivr}")
        browser.until(lambda: self.texts(".ivr-card .ivr-name"), "the graph")
        browser.until(lambda: "Saved" in self.state(), "the draft")

    def script(self, code, *values):
        return self.browser.driver.execute_script(code, *values)

    def texts(self, selector):
        return self.script("return [...document.querySelectorAll(arguments[0])].map((one) => one.textContent)", selector)

    def state(self):
        return self.script("return document.querySelector('[data-state]').textContent")

    def document(self):
        return self.script("return document.querySelector('ivr-editor').document")

    def focused(self):
        return self.script("return document.activeElement.dataset.id ?? document.activeElement.dataset.at ?? document.activeElement.textContent")

    def press(self, *what):
        self.browser.keys(*what)

    def shift(self, what):
        from selenium.webdriver import ActionChains
        ActionChains(self.browser.driver).key_down(self.keys.SHIFT).send_keys(what).key_up(self.keys.SHIFT).perform()

    def to_graph(self):
        """The card with the focus, reached with Tab alone from the top of the page."""
        self.script("document.querySelector('#main').focus()")
        for _ in range(40):
            self.press(self.keys.TAB)
            if self.script("return document.activeElement.classList.contains('ivr-card')"):
                return
        check(False, "Tab never comes to the graph")

    def choose(self, text):
        self.browser.until(lambda: self.texts("dialog[open] .ivr-option"), "the list to choose from")
        self.press(text)
        self.press(self.keys.ENTER)

    def errors(self):
        return self.script("return document.querySelector('.ivr-told').textContent")


@case(alone=True)
def ivr_by_keyboard(gate):
    """An IVR is made by keys alone, an error is seen and mended, keys are simulated, it is published and called."""
    own = Gateway(gate.binary, name="editor")
    own.start()
    try:
        with Browser() as browser:
            signs_in(own, browser)
            base = f"http://127.0.0.1:{own.http}"
            own.ask("PUT", "/api/v1/routing/draft/ivrs/ivr_keys", {"name": HOSTILE, "kind": "initial", "nodes": {
                "start": {"type": "start", "next": "bye"}, "bye": {"type": "exit"}}})
            editor = Editor(browser, base, "ivr_keys")
            editor.to_graph()
            check(editor.focused() == "start", f"the focus is on {editor.focused()}")
            editor.press("a")
            editor.choose("message")
            browser.until(lambda: "message" in editor.document()["nodes"], "the message")
            editor.press(editor.keys.ESCAPE)
            browser.until(lambda: editor.focused() == "message", "the new card has the focus")
            editor.press("a")
            editor.choose("menu")
            browser.until(lambda: "menu" in editor.document()["nodes"], "the menu")
            nodes = editor.document()["nodes"]
            check(nodes["message"]["next"] == "menu" and nodes["menu"]["default"] == "bye", f"{nodes}")
            # Key 1 leads nowhere, and both prompts are missing.
            browser.until(lambda: "3 errors" in editor.errors(), "the errors")
            check(editor.script("return document.querySelector('[data-id=menu] .ivr-loose .ivr-port-target').textContent") == "nowhere", "no red port")
            editor.press(editor.keys.ESCAPE)
            browser.until(lambda: editor.focused() == "menu", "the menu has the focus")
            browser.picture("editor-errors")
            editor.press(editor.keys.HOME)
            for node, sound in (("message", "builtin:welcome"), ("menu", "builtin:menu")):
                editor.press(editor.keys.ARROW_RIGHT)
                browser.until(lambda: editor.focused() == node, f"the arrow leads to {node}")
                editor.press(editor.keys.ENTER)
                browser.until(lambda: editor.focused() == "field-0", "the inspector has the focus")
                editor.press(sound)
                browser.until(lambda: editor.document()["nodes"][node]["prompt"] == sound, f"the prompt of {node}")
                editor.press(editor.keys.ESCAPE)
            # The chosen transition is the one that leads somewhere; the one above it does not.
            editor.shift(editor.keys.ARROW_UP)
            editor.press("c")
            browser.until(lambda: editor.texts("dialog[open] h2") == ["1 of menu leads to"], "the question where key 1 leads")
            editor.choose("new: exit")
            browser.until(lambda: "exit" in editor.document()["nodes"], "the exit")
            editor.press(editor.keys.ESCAPE)
            browser.until(lambda: "error" not in editor.errors(), "nothing is wrong any more")
            editor.press("r")
            browser.until(lambda: editor.texts("dialog[open] h2") == ["Rename exit"], "the question for a name")
            editor.press("sales", editor.keys.ENTER)
            browser.until(lambda: editor.document()["nodes"]["menu"]["choices"] == {"1": "sales"}, "the new name")
            editor.press("z")
            browser.until(lambda: "exit" in editor.document()["nodes"], "the undo")
            editor.shift("z")
            browser.until(lambda: "sales" in editor.document()["nodes"], "the redo")
            browser.until(lambda: editor.state() == "Saved in the draft", "the draft is kept")
            check("sales" in own.ask("GET", "/api/v1/routing/draft/ivrs/ivr_keys")["nodes"], "the gateway has another draft")
            simulates(editor, browser)
            publishes(editor, browser)
            calls(own)
            check(browser.driver.title.startswith("<img"), f"the title is {browser.driver.title}")
            logged = [line for line in browser.console() if "favicon" not in line]
            check(not logged, f"the page logged {logged}")
        return "made, mended, simulated, published and called; a hostile name stayed text"
    finally:
        own.stop()


def acts(editor, name):
    """A button of the page's head, by its focus and Enter."""
    editor.script("document.querySelector(`[data-act=${arguments[0]}]`).focus()", name)
    editor.press(editor.keys.ENTER)


def simulates(editor, browser):
    acts(editor, "simulate")
    browser.until(lambda: editor.texts(".sim-end") and "Answered" in editor.texts(".sim-end")[0], "the simulated call")
    editor.script("document.querySelector('.sim-keypad button').focus()")
    editor.press("1")
    browser.until(lambda: "sales" in editor.texts(".sim-end")[0], "key 1 leads to sales")
    walked = editor.script("return [...document.querySelectorAll('.ivr-walked')].map((card) => card.dataset.id).sort()")
    check(walked == ["menu", "message", "sales", "start"], f"the way in the graph is {walked}")
    browser.picture("editor-simulated")


def publishes(editor, browser):
    acts(editor, "publish")
    browser.until(lambda: editor.texts("dialog[open] textarea") == [""], "what is touched, and the note")
    check(any("ivrs/ivr_keys" in text for text in editor.texts("dialog[open] li")), "what changes is not listed")
    editor.press("By keys", editor.keys.TAB, editor.keys.ENTER)
    browser.until(lambda: "is active" in editor.texts("[data-notice]")[0], "the publish")


def calls(own):
    number = "+14155550100"  # its stored test holds for the new IVR too
    own.ask("PATCH", f"/api/v1/routing/draft/numbers/{number.replace('+', '%2B')}", {"initial_ivr": "ivr_keys"})
    own.ask("POST", "/api/v1/routing/publish", {"note": "A number leads there"})
    with Call(own.sip, number) as call:
        contact = own.contact_of(call.wait_answer().call_id)
        call.wait(lambda: len(call.packets) >= 50, 5, "audio")
        call.press("1")
        left = own.wait_event(contact, "contact.ivr_exited")
        check(left["data"]["node"] == "sales", f"the call left by {left['data']}")
        call.hang_up()
