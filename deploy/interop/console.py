"""Cases about the console in a real browser: the first sign-in, live calls, a contact with its ladder, the keyboard alone."""

import re

from browser import Browser
from caller import Call
from cases import BOTH, DIRECT, case
from gateway import Gateway, check

HOSTILE = "<img src=x onerror=document.title='owned'>"


def first_link(gate):
    """The link that a start prints while nobody can sign in."""
    found = re.findall(r"(http://\S+/console/sign-in\?token=\S+)", gate.last_words())
    check(found, f"the start printed no link: {gate.last_words()}")
    return found[-1]


def types(browser, *words):
    """Fills one field after the other by the keyboard, the first being in focus."""
    from selenium.webdriver.common.keys import Keys
    for index, text in enumerate(words):
        if index:
            browser.keys(Keys.TAB)
        browser.driver.execute_cdp_cmd("Input.insertText", {"text": text})
    browser.keys(Keys.ENTER)


def sign_in(browser, gate):
    browser.open(first_link(gate))
    types(browser, "Ann Example", "ann@example.com", "a long password of mine", "a long password of mine")
    browser.until(lambda: browser.driver.current_url.endswith("/console/live"), "the live page")


def find(browser, selector):
    return browser.driver.find_elements("css selector", selector)


def text(browser, selector):
    return " ".join(element.text for element in find(browser, selector))


def is_clean(browser):
    logged = [line for line in browser.console() if "favicon" not in line]
    check(not logged, f"the page logged {logged}")
    requests = browser.driver.execute_script("return performance.getEntriesByType('resource').map(entry => entry.name)")
    origin = browser.driver.execute_script("return location.origin")
    check(all(name.startswith(origin) for name in requests), f"something came from elsewhere: {requests}")


def with_gateway(run):
    gate = Gateway(run.binary, name="console")
    gate.start()
    return gate


@case(alone=True)
def console_live(gate):
    """Calls appear, move and end on the live page without it being read again; a contact has its ladder; an administrator hangs up."""
    own = with_gateway(gate)
    try:
        with Browser() as browser:
            sign_in(browser, own)
            check("No call is in progress" in text(browser, "#live-calls"), text(browser, "#live-calls"))
            with Call(own.sip, BOTH, caller="+12125550142") as waits, Call(own.sip, DIRECT, caller="+12125550143") as direct:
                waits.wait_answer()
                direct.wait_answer()
                browser.until(lambda: "+12125550142" in text(browser, "#live-calls"), "the caller on the live page")
                browser.until(lambda: "+12125550143" in text(browser, "#live-queues .waiting"), "who waits in the queue")
                before = text(browser, "#live-queues time[data-since]")
                browser.until(lambda: text(browser, "#live-queues time[data-since]") != before, "a clock that ticks")
                browser.picture("console-live")
                contact = own.contact_of(direct.call_id)
                browser.open(f"http://127.0.0.1:{own.http}/console/contacts/{contact}")
                browser.until(lambda: find(browser, ".ladder .rung"), "the ladder")
                rungs = len(find(browser, ".ladder .rung"))
                check(rungs >= 3, f"{rungs} messages in the ladder")
                browser.driver.execute_script("location.hash = 'message-1'")
                browser.until(lambda: "INVITE sip:" in text(browser, "#message-1 pre"), "the text of the INVITE")
                browser.picture("console-contact")
                is_clean(browser)
                browser.driver.execute_script("scrollTo(0, 0)")
                for button in find(browser, ".page-head .pop summary"):
                    if button.text == "Hang up":
                        button.click()
                browser.until(lambda: any(b.is_displayed() for b in find(browser, ".page-head .pop[open] button.danger")), "the question")
                find(browser, ".page-head .pop[open] button.danger")[0].click()
                direct.wait(lambda: direct.ended_at, 5, "the BYE")
                check(direct.ended_by != "caller", f"ended by {direct.ended_by}")
                browser.open(f"http://127.0.0.1:{own.http}/console/contacts/{contact}")
                check("Ended on request" in text(browser, ".page-head"), text(browser, ".page-head"))
                browser.open(f"http://127.0.0.1:{own.http}/console/live")
                browser.until(lambda: "+12125550143" not in text(browser, "#live-calls"), "the live page without the call")
            browser.until(lambda: "No call is in progress" in text(browser, "#live-calls"), "the live page without calls")
            is_clean(browser)
        return f"{rungs} messages in the ladder"
    finally:
        own.stop()


@case(alone=True)
def console_by_keyboard(gate):
    """An inbox is added and published with the keyboard alone; hostile words stay words; signed out is signed out."""
    from selenium.webdriver.common.keys import Keys
    own = with_gateway(gate)
    try:
        with Browser() as browser:
            sign_in(browser, own)
            browser.keys("?")
            browser.until(lambda: find(browser, "dialog[open]"), "the help")
            browser.keys(Keys.ESCAPE)
            browser.keys("g", "b")
            browser.until(lambda: browser.driver.current_url.endswith("/console/inboxes"), "the inboxes")
            browser.keys("j")
            check(browser.driver.switch_to.active_element.tag_name == "a", "the first row has no focus")
            browser.open(f"http://127.0.0.1:{own.http}/console/inboxes/new")
            find(browser, "input[name=name]")[0].send_keys(HOSTILE)
            browser.keys(Keys.ENTER)
            browser.until(lambda: "in the draft" in text(browser, ".flash"), "that it is in the draft")
            check(HOSTILE in text(browser, "h1"), f"the heading is {text(browser, 'h1')}")
            check(not find(browser, "main img"), "text became markup")
            browser.keys("g", "r")
            browser.until(lambda: find(browser, "textarea[name=note]"), "the review")
            find(browser, "textarea[name=note]")[0].send_keys("An inbox of a stranger")
            browser.keys(Keys.TAB)
            browser.keys(Keys.ENTER)
            browser.until(lambda: "Revision 2 is active" in text(browser, ".flash"), "the publish")
            check("owned" not in browser.driver.title, f"a script ran: {browser.driver.title}")
            is_clean(browser)
            find(browser, ".user summary")[0].send_keys(Keys.ENTER)
            form = find(browser, ".user form button")[0]
            browser.until(form.is_displayed, "the menu")
            form.send_keys(Keys.ENTER)
            browser.until(lambda: "/console/sign-in" in browser.driver.current_url, "the door")
            browser.open(f"http://127.0.0.1:{own.http}/console/live")
            browser.until(lambda: "/console/sign-in?next=" in browser.driver.current_url, "the door again")
        return "added, published, signed out"
    finally:
        own.stop()
