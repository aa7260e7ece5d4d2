// The chat window of Vestibule: one script tag on a page, no framework, nothing loaded from anywhere else.
//
// Everything stands in a closed shadow tree, so that neither the page's styles reach it nor its styles the page. Text of
// either side is only ever set as text. What is written is kept in the browser until the gateway has acknowledged it, and
// sent again with the same id after a cut: the gateway leaves out what it has.
(() => {
  "use strict";

  const own = document.currentScript;
  const base = new URL(".", own.src).href; // …/chat/{app}/
  const storeName = `vestibule:${base}`;
  if (window[storeName]) return;
  window[storeName] = true;

  const PROTOCOL = "vestibule.chat.v1";
  const RETRY_MS = [1000, 2000, 4000, 8000, 16000, 30000];
  const SOCKET_TRIES = 2; // before the way without sockets is taken
  const TYPING_MS = 3000;

  // ---- what the browser keeps -------------------------------------------------------------------------------------

  const kept = { token: null, unsent: [], open: false };

  function load() {
    try {
      Object.assign(kept, JSON.parse(localStorage.getItem(storeName)) || {});
    } catch {
      // Storage may be switched off: the chat works for as long as the page is open.
    }
    if (!Array.isArray(kept.unsent)) kept.unsent = [];
  }

  function save() {
    try {
      localStorage.setItem(storeName, JSON.stringify(kept));
    } catch {
      // As above.
    }
  }

  function newId() {
    const bytes = crypto.getRandomValues(new Uint8Array(16));
    return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
  }

  // ---- the line to the gateway ------------------------------------------------------------------------------------

  let identity = null;
  let session = null;
  let last = 0; // the last line that is shown
  let socket = null;
  let failures = 0; // sockets that did not come about, one after the other
  let attempt = 0;
  let timer = 0;
  let polling = false;
  let over = false;

  async function post(path, body) {
    const headers = { "content-type": "application/json" };
    if (session) headers.authorization = `Bearer ${session.token}`;
    const options = { method: "POST", headers, body: JSON.stringify(body), credentials: "omit", mode: "cors" };
    const response = await fetch(base + path, options);
    if (response.status === 204) return null;
    const answer = await response.json().catch(() => ({}));
    if (!response.ok) throw Object.assign(new Error(answer.detail || response.statusText), { answer, status: response.status });
    return answer;
  }

  // A file goes up alone, as the whole body; a message names it then.
  async function upload(file) {
    const headers = { "content-type": file.type || "application/octet-stream", authorization: `Bearer ${session.token}` };
    const options = { method: "POST", headers, body: file, credentials: "omit", mode: "cors" };
    const response = await fetch(`${base}files?name=${encodeURIComponent(file.name)}`, options);
    const answer = await response.json().catch(() => ({}));
    if (!response.ok) throw new Error(answer.detail || response.statusText);
    return answer;
  }

  // Saves a file: it is asked for with the token, so it has no address that a link could have.
  async function fetchFile(file) {
    const headers = { "content-type": "application/json", authorization: `Bearer ${session.token}` };
    const options = { method: "POST", headers, body: JSON.stringify({ file: file.file }), credentials: "omit", mode: "cors" };
    const response = await fetch(base + "file", options);
    if (!response.ok) throw new Error(response.statusText);
    const address = URL.createObjectURL(await response.blob());
    const link = element("a", { href: address, download: file.name || "file" });
    link.click();
    setTimeout(() => URL.revokeObjectURL(address), 60000);
  }

  async function begin() {
    clearTimeout(timer);
    if (over) return;
    try {
      session = null;
      session = await post("session", identity ? { identity, token: kept.token } : { token: kept.token });
    } catch (error) {
      if (error.status === 401 || error.status === 403 || error.status === 404) {
        view.hide();
        return;
      }
      again();
      return;
    }
    if (!identity) kept.token = session.token;
    save();
    view.show(session);
    for (const line of session.lines) take(line);
    if (session.state === "open") connect();
    else timer = setTimeout(begin, 60000);
  }

  function again() {
    if (over) return;
    view.offline(true);
    const longest = RETRY_MS[Math.min(attempt, RETRY_MS.length - 1)];
    attempt += 1;
    clearTimeout(timer);
    timer = setTimeout(begin, Math.random() * longest + 200);
  }

  function connect() {
    if (failures >= SOCKET_TRIES) {
      poll();
      return;
    }
    const url = new URL(`socket?after=${last}`, base);
    url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
    let opened = false;
    socket = new WebSocket(url, [PROTOCOL, `token.${session.token}`]);
    socket.onopen = () => {
      opened = true;
      failures = 0;
      attempt = 0;
      view.offline(false);
      sendUnsent();
    };
    socket.onmessage = ({ data }) => hear(JSON.parse(data));
    socket.onclose = () => {
      socket = null;
      if (!opened) failures += 1;
      again();
    };
  }

  // Where a network lets no socket through: one request waits for lines, others carry what is written.
  async function poll() {
    if (polling) return;
    polling = true;
    view.offline(false);
    sendUnsent();
    try {
      while (!over && session) {
        const happened = await post("lines", { after: last });
        attempt = 0;
        for (const line of happened.lines) take(line);
        if (happened.typing) view.typing(happened.typing);
      }
    } catch {
      again();
    }
    polling = false;
  }

  function hear(message) {
    if (message.type === "line") take(message);
    else if (message.type === "ack") acknowledged(message.id);
    else if (message.type === "refused") refused(message.id, message.code, message.detail);
    else if (message.type === "typing") view.typing(message.by);
  }

  function take(line) {
    if (line.line <= last) return;
    last = line.line;
    if (!line.by) acknowledged(line.id);
    view.line(line);
  }

  function acknowledged(id) {
    kept.unsent = kept.unsent.filter((message) => message.id !== id);
    save();
    view.sent(id);
  }

  function refused(id, code, detail) {
    if (code === "too_much" || code === "not_taken") {
      setTimeout(sendUnsent, 5000 + Math.random() * 5000);
      return;
    }
    kept.unsent = kept.unsent.filter((message) => message.id !== id);
    save();
    view.failed(id, detail);
  }

  function write(text, files) {
    const message = { id: newId(), text };
    if (files) Object.assign(message, { files: files.map((file) => file.upload), names: files.map((file) => file.name) });
    kept.unsent.push(message);
    save();
    view.own(message);
    send(message);
  }

  async function attach(file) {
    const item = view.uploading(file.name);
    try {
      if (file.size > session.file_bytes_max) throw new Error(`A file has at most ${size(session.file_bytes_max)}.`);
      const done = await upload(file);
      item.remove();
      write("", [{ upload: done.upload, name: done.name || file.name }]);
    } catch (error) {
      view.notUploaded(item, error.message);
    }
  }

  // What the gateway is told of a message: the names of its files it knows.
  function wire({ id, text, files }) {
    return files ? { id, text, files } : { id, text };
  }

  function size(bytes) {
    return bytes < 1e6 ? `${Math.ceil(bytes / 1000)} kB` : `${(bytes / 1e6).toFixed(1)} MB`;
  }

  function send(message) {
    if (socket && socket.readyState === WebSocket.OPEN) {
      socket.send(JSON.stringify({ type: "message", ...wire(message) }));
    } else if (polling) {
      post("messages", wire(message)).then(
        (answer) => acknowledged(answer.id),
        (error) => refused(message.id, error.answer ? error.answer.code : "not_taken", error.message),
      );
    }
  }

  function sendUnsent() {
    for (const message of kept.unsent) send(message);
  }

  let typedAt = 0;
  function types() {
    if (Date.now() - typedAt < TYPING_MS) return;
    typedAt = Date.now();
    if (socket && socket.readyState === WebSocket.OPEN) socket.send('{"type":"typing"}');
    else if (polling) post("typing", {}).catch(() => {});
  }

  // ---- what is seen -----------------------------------------------------------------------------------------------

  const STYLE = `
    :host { all: initial; position: fixed; right: 1rem; bottom: 1rem; z-index: 2147483000; color-scheme: light dark;
      font: 15px/1.45 system-ui, sans-serif; --ink: light-dark(#1c2733, #e8edf2); --paper: light-dark(#ffffff, #18212b);
      --soft: light-dark(#eef2f6, #243140); --accent: light-dark(#0b5cad, #7db8f5); --on-accent: light-dark(#ffffff, #0d1a26);
      --dim: light-dark(#566472, #a7b4c1); --warn: light-dark(#9c2b10, #ffb39c); }
    * { box-sizing: border-box; font: inherit; }
    [hidden] { display: none !important; }
    button { cursor: pointer; border: 0; border-radius: 1.5rem; padding: .65rem 1.1rem; background: var(--accent);
      color: var(--on-accent); font-weight: 600; }
    :focus-visible { outline: 3px solid var(--accent); outline-offset: 2px; }
    .open { box-shadow: 0 2px 10px rgb(0 0 0 / .3); }
    .panel { display: flex; flex-direction: column; width: min(23rem, calc(100vw - 2rem)); height: min(34rem, calc(100vh - 2rem));
      background: var(--paper); color: var(--ink); border-radius: .9rem; box-shadow: 0 6px 30px rgb(0 0 0 / .35); overflow: hidden; }
    header { display: flex; align-items: center; gap: .5rem; padding: .7rem .6rem .7rem 1rem; background: var(--accent);
      color: var(--on-accent); }
    header h2 { flex: 1; margin: 0; font-weight: 600; overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
    header button { padding: .2rem .7rem; font-size: 1.2rem; }
    .notice { padding: .4rem 1rem; background: var(--soft); color: var(--dim); font-size: .87rem; }
    ol { flex: 1; list-style: none; margin: 0; padding: 1rem; overflow-y: auto; display: flex; flex-direction: column; gap: .6rem;
      overflow-wrap: anywhere; }
    li { max-width: 85%; padding: .5rem .8rem; border-radius: .9rem; background: var(--soft); white-space: pre-wrap; align-self: flex-start; }
    li.own { align-self: flex-end; background: var(--accent); color: var(--on-accent); }
    li.waits { opacity: .65; }
    li.failed { background: transparent; color: var(--warn); border: 1px solid var(--warn); }
    li button.file { display: block; padding: 0; border-radius: .2rem; background: none; color: inherit; text-align: left;
      text-decoration: underline; font-weight: 400; }
    form .attach { padding: .55rem .8rem; background: var(--soft); color: var(--ink); }
    li small { display: block; font-size: .78rem; opacity: .85; }
    form { display: flex; gap: .5rem; padding: .7rem; border-top: 1px solid var(--soft); align-items: flex-end; }
    textarea { flex: 1; resize: none; border: 1px solid var(--dim); border-radius: .8rem; padding: .5rem .7rem; min-height: 2.6rem;
      max-height: 8rem; background: var(--paper); color: var(--ink); }
    .consent { padding: 0 1rem .7rem; color: var(--dim); font-size: .8rem; }
    @media (prefers-reduced-motion: no-preference) { li { animation: come .15s ease-out; } @keyframes come { from { opacity: 0; } } }
  `;

  function element(name, attributes, ...children) {
    const made = document.createElement(name);
    for (const [key, value] of Object.entries(attributes || {})) made.setAttribute(key, value);
    made.append(...children); // strings become text, never markup
    return made;
  }

  const view = (() => {
    const host = element("vestibule-chat");
    const shadow = host.attachShadow({ mode: "closed" });
    const sheet = new CSSStyleSheet();
    sheet.replaceSync(STYLE);
    shadow.adoptedStyleSheets = [sheet];

    const opener = element("button", { type: "button", class: "open", "aria-expanded": "false" }, "Chat");
    const title = element("h2", { id: "title" });
    const closer = element("button", { type: "button", "aria-label": "Close the chat" }, "×");
    const notice = element("div", { class: "notice", role: "status", hidden: "" });
    const list = element("ol", { role: "log", "aria-live": "polite", "aria-label": "What was said", tabindex: "0" });
    const typing = element("div", { class: "notice", role: "status", hidden: "" });
    const text = element("textarea", { rows: "1", maxlength: "2000", "aria-label": "Your message", placeholder: "Write a message" });
    const sender = element("button", { type: "submit" }, "Send");
    const picker = element("input", { type: "file", hidden: "" });
    const attacher = element("button", { type: "button", class: "attach", "aria-label": "Send a file", hidden: "" }, "+");
    const form = element("form", {}, attacher, picker, text, sender);
    const consent = element("div", { class: "consent", hidden: "" });
    const head = element("header", {}, title, closer);
    const panel = element("section", { class: "panel", role: "dialog", "aria-labelledby": "title", hidden: "" },
      head, notice, list, typing, form, consent);
    shadow.append(opener, panel);

    const waiting = new Map(); // by id: what is not acknowledged
    const failed = new Map();
    let greeted = false;
    let typingTimer = 0;

    function unfold(open) {
      kept.open = open;
      save();
      panel.hidden = !open;
      opener.hidden = open;
      opener.setAttribute("aria-expanded", String(open));
      if (open) {
        (form.hidden ? closer : text).focus();
        list.scrollTop = list.scrollHeight;
      } else {
        opener.focus();
      }
    }

    function add(item) {
      const atEnd = list.scrollHeight - list.scrollTop - list.clientHeight < 60;
      list.append(item);
      if (atEnd) list.scrollTop = list.scrollHeight;
    }

    function submit() {
      const said = text.value.trim();
      if (!said || form.hidden) return;
      text.value = "";
      list.scrollTop = list.scrollHeight;
      write(said);
    }

    opener.addEventListener("click", () => unfold(true));
    closer.addEventListener("click", () => unfold(false));
    panel.addEventListener("keydown", (event) => {
      if (event.key === "Escape") unfold(false);
    });
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      submit();
    });
    text.addEventListener("keydown", (event) => {
      if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
        event.preventDefault();
        submit();
      }
    });
    text.addEventListener("input", types);
    attacher.addEventListener("click", () => picker.click());
    picker.addEventListener("change", () => {
      for (const file of picker.files) attach(file);
      picker.value = "";
    });

    // What a line says: its text, and each file as something to press.
    function content(line) {
      const files = (line.files || []).map((file) => {
        const label = `${file.name || file.media_type} (${size(file.bytes)})`;
        const button = element("button", { type: "button", class: "file" }, label);
        button.addEventListener("click", () => {
          fetchFile(file).catch(() => button.replaceChildren(`${label}: cannot be fetched now`));
        });
        return button;
      });
      return line.text ? [line.text, ...files] : files;
    }

    return {
      show(session) {
        if (!host.isConnected) document.body.append(host);
        host.hidden = session.hidden;
        host.style.display = session.hidden ? "none" : "";
        title.textContent = session.title;
        opener.textContent = session.title;
        const shut = session.state !== "open";
        attacher.hidden = !session.file_bytes_max;
        form.hidden = shut;
        consent.textContent = session.consent || "";
        consent.hidden = shut || !session.consent;
        notice.textContent = shut ? session.closed_text || "The chat is closed at the moment." : "";
        notice.hidden = !shut;
        if (session.greeting && !greeted) {
          greeted = true;
          list.prepend(element("li", {}, session.greeting));
        }
        for (const message of kept.unsent) if (!waiting.has(message.id)) this.own(message);
        if (kept.open && panel.hidden && !session.hidden) unfold(true);
      },
      hide() {
        host.remove();
      },
      clear() {
        list.replaceChildren();
        waiting.clear();
        failed.clear();
        greeted = false;
      },
      open: () => unfold(true),
      close: () => unfold(false),
      offline(is) {
        if (form.hidden) return;
        notice.textContent = is ? "Connecting…" : "";
        notice.hidden = !is;
      },
      own(message) {
        const item = element("li", { class: "own waits" }, message.text || (message.names || []).join("\n"));
        waiting.set(message.id, item);
        add(item);
      },
      uploading(name) {
        const item = element("li", { class: "own waits" }, name);
        add(item);
        return item;
      },
      notUploaded(item, why) {
        item.className = "failed";
        item.append(element("small", {}, `Not sent: ${why}`));
      },
      sent(id) {
        const item = waiting.get(id);
        if (item) item.className = "own";
      },
      failed(id, why) {
        const item = waiting.get(id);
        if (!item) return;
        waiting.delete(id);
        failed.set(id, item);
        item.className = "failed";
        item.append(element("small", {}, `Not sent: ${why}`));
      },
      line(line) {
        if (!line.by && waiting.has(line.id)) {
          // It stands there already; lines that came before it are put before it.
          const item = waiting.get(line.id);
          waiting.delete(line.id);
          item.className = "own";
          if (line.files) item.replaceChildren(...content(line));
          list.append(item);
          for (const later of waiting.values()) list.append(later);
          return;
        }
        const item = element("li", line.by ? {} : { class: "own" }, ...content(line));
        if (line.by) item.prepend(element("small", {}, line.by));
        typing.hidden = true;
        add(item);
      },
      typing(by) {
        typing.textContent = `${by} is typing…`;
        typing.hidden = false;
        clearTimeout(typingTimer);
        typingTimer = setTimeout(() => { typing.hidden = true; }, 5000);
      },
    };
  })();

  // ---- what the page may ask --------------------------------------------------------------------------------------

  function anew() {
    last = 0;
    view.clear();
    if (socket) {
      socket.onclose = null;
      socket.close();
      socket = null;
    }
    begin();
  }

  window.Vestibule = Object.freeze({
    open: () => view.open(),
    close: () => view.close(),
    // The site says who the visitor is, by a JWT that its own server made.
    identify(jwt) {
      identity = String(jwt);
      anew();
    },
    // Forgets the visitor: for a log-out.
    shutdown() {
      over = true;
      clearTimeout(timer);
      if (socket) socket.close();
      Object.assign(kept, { token: null, unsent: [], open: false });
      try {
        localStorage.removeItem(storeName);
      } catch {
        // As above.
      }
      view.hide();
    },
  });

  addEventListener("online", () => {
    if (!socket && !polling) begin();
  });
  document.addEventListener("visibilitychange", () => {
    if (document.visibilityState === "visible" && !socket && !polling && session && session.state === "open") begin();
  });

  load();
  if (document.body) begin();
  else addEventListener("DOMContentLoaded", begin);
})();
