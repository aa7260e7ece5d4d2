"""A case about the set-up of voice in a real browser, by the keyboard alone, that ends in a real call."""

from browser import Browser
from caller import Call
from cases import case
from console import find, is_clean, sign_in, text, with_gateway
from gateway import check

TABS_MAX = 120


def words(element):
    """What somebody hears of an element that has the focus."""
    return (element.text or element.get_attribute("name") or "").strip()


def tab_to(browser, wanted):
    """Goes on by the Tab key until what is wanted of the page has the focus: a link or button that begins so, or a field."""
    from selenium.webdriver.common.keys import Keys
    passed = []
    for _ in range(TABS_MAX):
        browser.keys(Keys.TAB)
        element = browser.driver.switch_to.active_element
        name = element.get_attribute("name") or ""
        inside = browser.driver.execute_script("return arguments[0].closest('main') !== null", element)
        if inside and (words(element).startswith(wanted) or name == wanted):
            return element
        passed.append(words(element) or element.tag_name)
    check(False, f"{wanted} is not reached by the keyboard; passed {passed}")
    return None


def enter(browser, wanted):
    """Goes to a link or button and presses it."""
    from selenium.webdriver.common.keys import Keys
    tab_to(browser, wanted)
    before = browser.driver.find_element("tag name", "html").id
    browser.keys(Keys.ENTER)
    browser.until(lambda: browser.driver.find_element("tag name", "html").id != before, f"another page after {wanted}")


def choose(browser, field, beginning, value):
    """Goes to a list and types how the choice begins."""
    element = tab_to(browser, field)
    browser.keys(*beginning)
    browser.until(lambda: element.get_attribute("value") == value, f"{value} chosen of {field}")


def at_step(browser, step):
    browser.until(lambda: step in text(browser, ".steps [aria-current]"), f"the step {step}")


def buys(browser):
    """Finds a number and buys it; the number."""
    from selenium.webdriver.common.keys import Keys
    enter(browser, "Set up voice")
    enter(browser, "Find a number")
    browser.keys("j")
    # Those that end so are gone when they are bought.
    while browser.driver.switch_to.active_element.text.endswith("0000"):
        browser.keys("j")
    shown = browser.driver.switch_to.active_element.text
    browser.picture("numbers-search")
    browser.keys(Keys.ENTER)
    browser.until(lambda: "Monthly fee" in text(browser, ".facts"), "the review")
    browser.picture("numbers-review")
    enter(browser, "Buy")
    browser.until(lambda: "is yours" in text(browser, ".flash"), "the number")
    return shown


def links(browser, shown):
    """Goes on with the set-up, to a Queue IVR after 45 seconds and its inboxes."""
    browser.keys("g", "n")
    browser.until(lambda: "Numbers" == text(browser, "h1"), "the list of numbers")
    browser.picture("numbers-list")
    enter(browser, "Set up voice")
    enter(browser, shown)
    if "SMS registration" in text(browser, ".steps [aria-current]"):
        browser.picture("numbers-registration")
        enter(browser, "Skip")
    at_step(browser, "Activate voice")
    enter(browser, "Activate voice")
    # The first of this name is the link to the step before.
    at_step(browser, "IVR or direct line")
    enter(browser, "Link an IVR")
    at_step(browser, "Pick IVRs")
    wait = find(browser, "[name=queue_wait_seconds]")[0]
    check(not wait.is_displayed(), "the wait is shown without a Queue IVR")
    choose(browser, "queue_ivr", "While", "ivr_waiting")
    browser.until(wait.is_displayed, "the wait of the Queue IVR")
    tab_to(browser, "queue_wait_seconds")
    browser.keys("45")
    check(wait.get_attribute("value") == "45", f"the wait is {wait.get_attribute('value')}")
    browser.picture("numbers-pick")
    enter(browser, "Link and go on")
    at_step(browser, "Link inboxes")
    choose(browser, "inbox", "Supp", "ib_support")
    choose(browser, "inbox of ivr_waiting/exit_sales", "Sal", "ib_sales")
    browser.picture("numbers-inboxes")
    enter(browser, "Publish and go on")
    at_step(browser, "Test call")


@case(alone=True)
def numbers_by_wizard(gate):
    """A number is bought, left, set up and linked by the keyboard alone; its test call hears a real one, and its digits."""
    own = with_gateway(gate)
    try:
        with Browser() as browser:
            sign_in(browser, own)
            browser.keys("g", "n")
            browser.until(lambda: browser.driver.current_url.endswith("/console/numbers"), "the numbers")
            shown = buys(browser)
            links(browser, shown)
            enter(browser, "Wait for a call")
            browser.until(lambda: "Waiting" in text(browser, "#test-call"), "that a call is waited for")
            number = shown.replace(" ", "")
            with Call(own.sip, number, caller="+12125550177") as call:
                call.wait_answer()
                browser.until(lambda: "Heard you" in text(browser, "#test-call"), "that the caller is heard")
                call.press("123")
                browser.until(lambda: "Digits 1 2 3 OK" in text(browser, "#test-call"), "the digits")
                check("+12125550177" in text(browser, "#test-call"), text(browser, "#test-call"))
                browser.picture("numbers-test-call")
                waiting = own.ask("GET", "/api/v1/contacts?state=live&channel=voice")
                check(waiting["contacts"][0]["inbox"] == "ib_support", f"{waiting}")
                call.hang_up()
            browser.until(lambda: "It is over" in text(browser, "#test-call"), "the end of the call")
            is_clean(browser)
            enter(browser, "Done")
            browser.until(lambda: "ready for calls" in text(browser, ".flash"), "the end of the set-up")
            browser.picture("numbers-one")
            is_clean(browser)
        return f"{shown} by the keyboard, digits 1 2 3 heard"
    finally:
        own.stop()
