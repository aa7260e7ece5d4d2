// The gateway's API as pages of the console reach it: by the cookie of the one who is signed in. Refusals are errors that carry the
// problem document.

const BASE = "/api/v1/";

/** A refusal: `status`, and what the gateway says in `detail`, `remedy`, `more`. */
export class Refused extends Error {
  constructor(status, problem) {
    super([problem.detail ?? `The gateway answered ${status}.`, problem.remedy].filter(Boolean).join(" "));
    this.status = status;
    this.problem = problem;
  }

  /** Findings of the compiler, where there are any. */
  get diagnostics() {
    return this.problem.more?.diagnostics ?? this.problem.diagnostics ?? [];
  }
}

/** Asks; gives `{body, tag}`. `body` may be an object, text, or a file. */
export async function ask(method, path, body = undefined, { tag = null, accept = "application/json" } = {}) {
  const headers = { accept };
  if (tag) headers["if-match"] = tag;
  let sent = body;
  if (body !== undefined && typeof body !== "string" && !(body instanceof Blob)) {
    headers["content-type"] = "application/json";
    sent = JSON.stringify(body);
  } else if (typeof body === "string") {
    headers["content-type"] = "application/yaml";
  } else if (body instanceof Blob) {
    headers["content-type"] = body.type || "application/octet-stream";
  }
  let response = null;
  try {
    response = await fetch(BASE + path, { method, headers, body: sent, credentials: "same-origin" });
  } catch {
    throw new Refused(0, { detail: "The gateway cannot be reached.", remedy: "Look at the network, then try again." });
  }
  const text = await response.text();
  const json = (response.headers.get("content-type") ?? "").includes("json");
  const answer = json && text !== "" ? JSON.parse(text) : text;
  if (!response.ok) throw new Refused(response.status, json ? answer : {});
  return { body: answer, tag: response.headers.get("etag") };
}

/** A part of a path, encoded. */
export function part(text) {
  return encodeURIComponent(text);
}

/** Where a file of the API is, for players and links. */
export function address(path) {
  return BASE + path;
}
