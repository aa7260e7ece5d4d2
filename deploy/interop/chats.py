"""Cases about chats: the window in a real browser on a strict page, agents by the API, cuts and restarts in between."""

import http.server
import json
import threading
import time

from browser import Browser
from cases import case, publish
from gateway import Gateway, check

HOSTILE = "<img src=x onerror=\"document.title='owned'\"> </script><script>document.title='owned'</script> 👋 ü \u202e &amp;"


class Site:
    """A site of its own origin that has the chat on its pages, under a strict policy. `with Site(gate) as site:`."""

    def __init__(self, gate, more=""):
        base = f"http://127.0.0.1:{gate.http}"
        policy = (f"default-src 'none'; script-src {base} 'unsafe-inline'; style-src 'unsafe-inline'; connect-src {base} ws://127.0.0.1:{gate.http}")
        page = (f"<!doctype html><html lang=en><title>A site</title><style>button, ol, section {{ display: none }}</style>{more}"
                f"<body><p>Words.</p><script src={base}/chat/site/widget.js async></script>").encode()

        class Page(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                self.send_response(200)
                self.send_header("Content-Type", "text/html; charset=utf-8")
                self.send_header("Content-Security-Policy", policy)
                self.send_header("Content-Length", str(len(page)))
                self.end_headers()
                self.wfile.write(page)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Page)
        self.port = self.server.server_address[1]
        self.origin = f"http://127.0.0.1:{self.port}"

    def __enter__(self):
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()


def set_up(gate, site, **more):
    app = {"name": "Help", "origins": [site.origin], "greeting": "What can we do for you?", "consent": "We keep chats.", **more}
    publish(gate, lambda document: document.update(chat_apps={"site": app}), "A chat app")


def conversation(gate):
    found = gate.ask("GET", "/api/v1/conversations?open=true")["conversations"]
    return found[0]["id"] if found else None


def said(gate, thread):
    return [(m.get("by"), m["text"]) for m in gate.ask("GET", f"/api/v1/conversations/{thread}/messages")["messages"]]


def opens(browser, site):
    from selenium.webdriver.common.keys import Keys
    browser.open(site.origin)
    browser.until(lambda: browser.seen("button.open"), "the button")
    browser.keys(Keys.TAB)
    browser.keys(Keys.ENTER)
    browser.until(lambda: browser.seen("textarea") == [""], "the window")


def writes(browser, text):
    from selenium.webdriver.common.keys import Keys
    browser.driver.execute_cdp_cmd("Input.insertText", {"text": text})
    browser.keys(Keys.ENTER)


def acknowledged(browser):
    return browser.seen("li.own:not(.waits)")


@case(alone=True)
def chat_in_a_browser(gate):
    """A visitor and an agent talk by keyboard on a page with a strict policy; hostile text stays text on both sides."""
    own = Gateway(gate.binary, name="chat")
    own.start()
    try:
        with Site(own) as site, Browser() as browser:
            set_up(own, site)
            opens(browser, site)
            check(browser.seen("li") == ["What can we do for you?"], f"{browser.seen('li')}")
            check(browser.seen(".consent") == ["We keep chats."], "no consent line")
            writes(browser, HOSTILE)
            browser.until(lambda: acknowledged(browser) == [HOSTILE], "what was written")
            thread = conversation(own)
            check(said(own, thread) == [(None, HOSTILE)], f"{said(own, thread)}")
            own.ask("POST", f"/api/v1/conversations/{thread}/typing")
            browser.until(lambda: any("is typing" in text for text in browser.seen(".notice")), "that somebody types")
            own.ask("POST", f"/api/v1/conversations/{thread}/messages", {"text": HOSTILE, "by": HOSTILE[:40]})
            browser.until(lambda: browser.seen("li")[-1:] == [HOSTILE[:40] + HOSTILE], "the answer")
            check(browser.inside("img, script") == [], "text became markup")
            check(browser.driver.title == "A site", f"a script ran: {browser.driver.title}")
            browser.picture("chat")
            browser.open(site.origin)
            browser.until(lambda: len(browser.seen("li")) == 3, "what was said, after the page was loaded again")
            logged = [line for line in browser.console() if "favicon" not in line]
            check(not logged, f"the page logged {logged}")
            kinds = [event["type"] for event in own.events()]
            check(kinds.count("contact.started") == 1 and kinds.count("contact.taken") == 1, f"{kinds}")
        return "by keyboard, under a strict policy, loaded again"
    finally:
        own.stop()


@case(alone=True)
def chat_over_cuts(gate):
    """kill -9 and a drain in the middle of a chat: both sides read every line once and in order."""
    own = Gateway(gate.binary, name="chat")
    own.start()
    try:
        with Site(own) as site, Browser() as browser:
            set_up(own, site)
            opens(browser, site)
            writes(browser, "v1")
            browser.until(lambda: acknowledged(browser) == ["v1"], "v1")
            thread = conversation(own)
            answer = lambda text: own.ask("POST", f"/api/v1/conversations/{thread}/messages", {"text": text, "by": "Ann"})
            own.kill()
            writes(browser, "v2")
            writes(browser, "v3")
            browser.until(lambda: browser.seen("li.waits") == ["v2", "v3"], "what waits")
            own.start()
            answer("a1")
            browser.until(lambda: set(acknowledged(browser)) == {"v1", "v2", "v3"}, "what waited", 40)
            writes(browser, "v4")
            browser.until(lambda: acknowledged(browser)[-1:] == ["v4"], "v4")
            own.process.terminate()
            own.process.wait(20)
            writes(browser, "v5")
            own.start()
            browser.until(lambda: acknowledged(browser)[-1:] == ["v5"], "v5", 40)
            answer("a2")
            browser.until(lambda: browser.seen("li")[-1:] == ["Anna2"], "a2")
            lines = said(own, thread)
            visitor, agent = [t for by, t in lines if not by], [t for by, t in lines if by]
            check(visitor == ["v1", "v2", "v3", "v4", "v5"] and agent == ["a1", "a2"], f"{lines}")
            shown = [text.removeprefix("Ann") for text in browser.seen("li")[1:]]
            check(sorted(shown) == sorted(t for _, t in lines), f"shown {shown}, kept {lines}")
            browser.open(site.origin)
            browser.until(lambda: len(browser.seen("li")) == 8, "all of it, after the page was loaded again")
            check([t.removeprefix("Ann") for t in browser.seen("li")[1:]] == [t for _, t in lines], "another order")
        return f"{len(lines)} lines over a kill and a restart"
    finally:
        own.stop()


@case(alone=True)
def chat_without_sockets(gate):
    """Where no socket gets through, requests carry both sides; other pages get no chat at all."""
    own = Gateway(gate.binary, name="chat")
    own.start()
    blocked = "<script>WebSocket = class { constructor() { setTimeout(() => this.onclose(), 5); } };</script>"
    try:
        with Site(own, blocked) as site, Browser() as browser:
            set_up(own, site)
            opens(browser, site)
            writes(browser, "one")
            browser.until(lambda: acknowledged(browser) == ["one"], "what was written", 30)
            own.ask("POST", f"/api/v1/conversations/{conversation(own)}/messages", {"text": "two", "by": "Ann"})
            browser.until(lambda: browser.seen("li")[-1:] == ["Anntwo"], "the answer")
            writes(browser, "three")
            browser.until(lambda: acknowledged(browser) == ["one", "three"], "what was written then")
            browser.open(f"http://localhost:{site.port}")
            time.sleep(1.5)
            check(browser.seen("button.open") == [], "a page of another origin shows the chat")
        return "both ways; nothing on another origin"
    finally:
        own.stop()


@case(alone=True)
def chat_with_files(gate):
    """A visitor sends a picture with a hostile name by the window, an agent answers with one; each gets the other's bytes."""
    own = Gateway(gate.binary, name="chat")
    own.start()
    picture = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR" + bytes(range(256)) * 20
    name = "<img src=x onerror=alert(1)>.png"
    try:
        with Site(own) as site, Browser() as browser:
            set_up(own, site)
            (own.folder / name).write_bytes(picture)
            (own.folder / "page.png").write_bytes(b"<html><script>alert(1)</script>")
            saved = own.folder / "saved"
            saved.mkdir()
            browser.save_in(saved)
            opens(browser, site)
            browser.choose("input[type=file]", own.folder / name)
            label = f"{name} (6 kB)"
            browser.until(lambda: acknowledged(browser) == [label], "the picture")
            browser.choose("input[type=file]", own.folder / "page.png")
            browser.until(lambda: browser.seen("li.failed"), "the refusal of a page that calls itself a picture")
            thread = conversation(own)
            line = own.ask("GET", f"/api/v1/conversations/{thread}/messages")["messages"][0]["files"][0]
            check((line["name"], line["media_type"]) == (name, "image/png"), f"{line}")
            key = {"Authorization": f"Bearer {own.key()}"}
            check(own.raw("GET", f"/api/v1/files/{line['file']}", headers=key)[1] == picture, "other bytes")
            answer = picture[::-1]
            status, body, _ = own.raw("POST", "/api/v1/files?name=plan.txt", b"Plan: " + answer.hex().encode(), key)
            check(status == 201, f"{status} {body}")
            upload = json.loads(body)["upload"]
            own.ask("POST", f"/api/v1/conversations/{thread}/messages", {"files": [upload], "by": "Ann"})
            browser.until(lambda: any("plan.txt" in text for text in browser.seen("button.file")), "the answer")
            own.kill()
            own.start()
            browser.open(site.origin)
            browser.until(lambda: len(browser.seen("button.file")) == 2, "both files, after the page was loaded again", 40)
            browser.inside("button.file", "function() { this.click(); }")
            browser.until(lambda: len(list(saved.glob("*.png"))) == 1 and (saved / "plan.txt").exists(), "both downloads")
            check(next(saved.glob("*.png")).read_bytes() == picture, "the visitor's file has other bytes")
            check((saved / "plan.txt").read_bytes() == b"Plan: " + answer.hex().encode(), "the agent's file has other bytes")
            check(browser.inside("img, script") == [], "a name became markup")
            logged = [line for line in browser.console() if "favicon" not in line and "415" not in line
                      and "ERR_CONNECTION" not in line and "WebSocket" not in line]
            check(not logged, f"the page logged {logged}")
        return "both ways, over a kill; a page that calls itself a picture is refused"
    finally:
        own.stop()
