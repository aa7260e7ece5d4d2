//! Writes acts into the audit log that change nothing in the configuration store, and says for whom everything else is done.
//!
//! What is changed in `config.db` (routing, numbers, carriers, mail, users, roles, keys, sessions) writes its own line, with
//! before and after, in the transaction of the change. What is done elsewhere (calls, recordings, callbacks, consumers)
//! stands in [`TOLD`], and its line is written here, before the answer is given.

use axum::{
    body::{Body, Bytes, to_bytes},
    extract::{MatchedPath, Request, State},
    http::{Extensions, Method, StatusCode, request::Parts},
    middleware::Next,
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};
use vestibule_config::store::{Acting, AuditLine};

use super::{
    AppState,
    access::{ACCESS, Found},
    health::Peer,
    problem::Problem,
    routing::blocking,
};
use crate::{
    acting,
    identity::{Caller, CallerKind, NOBODY},
    journal::print_of,
};

/// Whose acts are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Whose {
    /// Everybody's.
    All,
    /// Those of people. What agent platforms do all day stands in the events of the contact.
    People,
}

/// Method, path, what the line calls it, whose acts are told.
type Told = (&'static str, &'static str, &'static str, Whose);

/// What is told here.
const TOLD: [Told; 25] = [
    ("DELETE", "/api/v1/callbacks/{id}", "callback.cancelled", Whose::All),
    ("POST", "/api/v1/carriers/{id}/test", "carrier.tested", Whose::All),
    ("DELETE", "/api/v1/consumers/{name}", "consumer.removed", Whose::All),
    ("POST", "/api/v1/contacts/{id}/hang_up", "contact.hung_up", Whose::People),
    ("POST", "/api/v1/contacts/{id}/hold", "contact.held", Whose::People),
    ("POST", "/api/v1/contacts/{id}/recording", "contact.recording", Whose::People),
    ("POST", "/api/v1/contacts/{id}/refuse", "contact.refused", Whose::People),
    ("POST", "/api/v1/contacts/{id}/resume", "contact.resumed", Whose::People),
    ("POST", "/api/v1/contacts/{id}/take", "contact.taken", Whose::People),
    ("POST", "/api/v1/contacts/{id}/transfer", "contact.transferred", Whose::People),
    ("DELETE", "/api/v1/contacts/{id}/recordings/{file}", "recording.deleted", Whose::All),
    ("POST", "/api/v1/conversations/{id}/close", "conversation.closed", Whose::People),
    ("GET", "/api/v1/customers/export", "customer.exported", Whose::All),
    ("POST", "/api/v1/customers/erasures", "customer.erasure_asked", Whose::All),
    ("PUT", "/api/v1/inboxes/{id}/availability", "availability.told", Whose::People),
    ("POST", "/api/v1/mailboxes/{address}/test", "mailbox.test_begun", Whose::All),
    ("POST", "/api/v1/message-media/retry", "message_media.retried", Whose::All),
    ("POST", "/api/v1/message-media/{id}/retry", "message_media.retried", Whose::All),
    ("POST", "/api/v1/numbers/{number}/test-call", "test_call.opened", Whose::All),
    ("DELETE", "/api/v1/numbers/{number}/test-call", "test_call.closed", Whose::All),
    ("POST", "/api/v1/recordings", "prompt_recording.added", Whose::All),
    ("PUT", "/api/v1/prompts/{id}/recording", "prompt_recording.added", Whose::All),
    ("POST", "/api/v1/trunks/{id}/test", "trunk.tested", Whose::All),
    ("POST", "/api/v1/webhook-consumers/{id}/replay", "delivery.replayed", Whose::All),
    ("POST", "/api/v1/webhook-consumers/{id}/test", "delivery.tested", Whose::All),
];

/// Does what a request asks on behalf of who asks, and tells of it where it stands in the table.
pub(super) async fn note(State(state): State<AppState>, request: Request, next: Next) -> Response {
    let who = acts_for(&state, request.extensions());
    let told = told(&request);
    acting::scope(who, async move {
        match told {
            Some(action) => noted(&state, action, request, next).await,
            None => next.run(request).await,
        }
    })
    .await
}

/// Who asks, and from where.
fn acts_for(state: &AppState, extensions: &Extensions) -> Acting {
    let address = extensions.get::<Peer>().map(|Peer(address)| address.ip().to_canonical().to_string());
    let caller = extensions.get::<Caller>();
    let by = caller.and_then(|caller| match &caller.kind {
        CallerKind::Key => Some(format!("key {}", caller.id)),
        CallerKind::User { session, .. } => Some(format!("session {session}")),
        CallerKind::Operator => None,
    });
    let from: Vec<String> = address.into_iter().chain(by).collect();
    Acting {
        actor: caller.map_or_else(|| NOBODY.to_owned(), |caller| caller.name.clone()),
        from: from.join(" "),
        person: caller.map(|caller| state.identity.person(caller)).unwrap_or_default(),
    }
}

/// What the log calls a request that is told here.
fn told(request: &Request) -> Option<&'static str> {
    let template = request.extensions().get::<MatchedPath>()?.as_str();
    let method = request.method().as_str();
    let (_, _, action, whose) = TOLD.iter().find(|(m, path, ..)| *m == method && *path == template)?;
    let person = request
        .extensions()
        .get::<Caller>()
        .is_some_and(|caller| matches!(caller.kind, CallerKind::User { .. }));
    (*whose == Whose::All || person).then_some(*action)
}

async fn noted(state: &AppState, action: &'static str, request: Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    // The guard before has read the body within its limits already.
    let Ok(body) = to_bytes(body, usize::MAX).await else {
        return Problem::bad_request("The body broke off.").into_response();
    };
    let before = if parts.method == Method::DELETE { before(state, &parts).await } else { None };
    let line = AuditLine { action, subject: subject(&parts), before, after: asked(&parts, &body) };
    let actor = acts_for(state, &parts.extensions).actor;
    let response = next.run(Request::from_parts(parts, Body::from(body))).await;
    if !response.status().is_success() {
        return response;
    }
    match blocking(state, move |store| store.note(&actor, &line)).await {
        Ok(()) => response,
        Err(problem) => {
            tracing::error!(
                detail = problem.detail,
                action,
                "an act was done, and could not be noted in the audit log"
            );
            not_noted().into_response()
        }
    }
}

/// What is to be removed, as it is read by whoever removes it.
async fn before(state: &AppState, parts: &Parts) -> Option<Value> {
    let template = parts.extensions.get::<MatchedPath>()?.as_str();
    if !matches!(ACCESS.of(&Method::GET, template), Found::Needs(_)) {
        return None;
    }
    let read = Request::get(parts.uri.path()).body(Body::empty()).ok()?;
    let answer = Box::pin(state.ask(&parts.extensions, read)).await;
    let kind = answer.headers().get(axum::http::header::CONTENT_TYPE)?.to_str().ok()?.to_owned();
    if !answer.status().is_success() || !kind.starts_with("application/json") {
        return None;
    }
    let bytes = to_bytes(answer.into_body(), SHOWN_BYTES_MAX).await.ok()?;
    serde_json::from_slice(&bytes).ok().map(masked)
}

/// What the request asks for, without what is secret.
fn asked(parts: &Parts, body: &Bytes) -> Option<Value> {
    if body.is_empty() {
        // Whose data was read stands in the query.
        let query = form_urlencoded::parse(parts.uri.query()?.as_bytes());
        let asked = query.map(|(name, value)| (name.into_owned(), Value::from(value.into_owned())));
        return Some(nameless(parts, masked(Value::Object(asked.collect()))));
    }
    if body.len() <= SHOWN_BYTES_MAX
        && let Ok(value) = serde_json::from_slice(body)
    {
        return Some(nameless(parts, masked(value)));
    }
    let kind = parts.headers.get(axum::http::header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    Some(json!({ "content_type": kind, "bytes": body.len() }))
}

/// What is asked for of a customer, told without the address: lines of the log stay when the customer is erased. Who knows
/// the address can tell by its print that it was meant.
fn nameless(parts: &Parts, mut asked: Value) -> Value {
    if parts.uri.path().starts_with("/api/v1/customers/")
        && let Some(fields) = asked.as_object_mut()
        && let Some(Value::String(address)) = fields.remove("address")
    {
        fields.insert("address_print".to_owned(), print_of(address.trim()).into());
    }
    asked
}

/// The part of the path that names what it is done to: `contacts/ct_1` of `/api/v1/contacts/ct_1/hold`.
fn subject(parts: &Parts) -> String {
    let template = parts.extensions.get::<MatchedPath>().map(MatchedPath::as_str).unwrap_or_default();
    let named = template.split('/').collect::<Vec<_>>();
    let last = named.iter().rposition(|part| part.starts_with('{')).unwrap_or(named.len());
    let path: Vec<String> = parts.uri.path().split('/').take(last + 1).skip(3).map(decoded).collect();
    path.join("/")
}

fn decoded(part: &str) -> String {
    // A `+` of a path is one.
    let part = part.replace('+', "%2B");
    form_urlencoded::parse(part.as_bytes()).next().map_or(String::new(), |(text, _)| text.into_owned())
}

/// The same with secrets covered.
fn masked(mut value: Value) -> Value {
    cover(&mut value);
    value
}

fn cover(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                let name = name.to_ascii_lowercase();
                if SECRET.iter().any(|secret| name.contains(secret)) && !value.is_null() {
                    *value = json!("…");
                } else {
                    cover(value);
                }
            }
        }
        Value::Array(values) => values.iter_mut().for_each(cover),
        _ => {}
    }
}

fn not_noted() -> Problem {
    Problem::new(
        StatusCode::SERVICE_UNAVAILABLE,
        "not_noted",
        "It was done, but could not be written into the audit log.",
        "Do not send it again. Look at the disk of the data folder and at the gateway's log.",
    )
}

/// Parts of names of fields whose values are never shown.
const SECRET: [&str; 5] = ["secret", "password", "token", "credential", "api_key"];
const SHOWN_BYTES_MAX: usize = 64 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    /// Changes in `config.db`, which write their lines themselves.
    const KEPT: [&str; 63] = [
        "delete /api/v1/blocked-callers/{number}",
        "delete /api/v1/carriers/{id}",
        "delete /api/v1/entry-points/{channel}/{address}",
        "delete /api/v1/keys/{id}",
        "delete /api/v1/mail-domains/{domain}",
        "delete /api/v1/mailboxes/{address}",
        "delete /api/v1/me/sessions/{id}",
        "delete /api/v1/prompts/{id}",
        "delete /api/v1/roles/{id}",
        "delete /api/v1/routing/draft",
        "delete /api/v1/routing/draft/{section}/{id}",
        "delete /api/v1/sessions/current",
        "delete /api/v1/test-numbers/{number}",
        "delete /api/v1/users/{id}",
        "delete /api/v1/users/{id}/sessions",
        "patch /api/v1/entry-points/{channel}/{address}",
        "patch /api/v1/routing/draft/{section}/{id}",
        "patch /api/v1/users/{id}",
        "post /api/v1/carriers/rotate-master-key",
        "post /api/v1/entry-points/arm",
        "post /api/v1/entry-points/exceptions",
        "post /api/v1/entry-points/import",
        "post /api/v1/ivrs/{id}/publish",
        "post /api/v1/ivrs/{id}/restore",
        "post /api/v1/keys",
        "post /api/v1/mail-domains",
        "post /api/v1/mail-domains/{domain}/verify",
        "post /api/v1/mailboxes",
        "post /api/v1/mailboxes/{address}/state",
        "post /api/v1/me/password",
        "post /api/v1/numbers",
        "post /api/v1/numbers/import",
        "post /api/v1/numbers/purchases",
        "post /api/v1/numbers/registrations",
        "post /api/v1/numbers/registrations/{id}/numbers",
        "post /api/v1/numbers/transfers",
        "post /api/v1/numbers/transfers/{id}/events",
        "post /api/v1/numbers/{number}/holding",
        "post /api/v1/numbers/{number}/registration",
        "post /api/v1/numbers/{number}/release",
        "post /api/v1/numbers/{number}/voice",
        "post /api/v1/prompts/{id}/rename",
        "post /api/v1/routing/publish",
        "post /api/v1/routing/publish-requests/{id}/approve",
        "post /api/v1/routing/publish-requests/{id}/refuse",
        "post /api/v1/routing/publish-requests/{id}/withdraw",
        "post /api/v1/routing/revisions/{number}/restore",
        "post /api/v1/sessions",
        "post /api/v1/sign-in-links/use",
        "post /api/v1/users",
        "post /api/v1/users/{id}/password-link",
        "put /api/v1/blocked-callers/{number}",
        "put /api/v1/carriers/{id}",
        "put /api/v1/channels/{channel}/default-inbox",
        "put /api/v1/entry-points/{channel}/{address}",
        "put /api/v1/inboxes/{id}/sla",
        "put /api/v1/ivrs/{id}",
        "put /api/v1/numbers/registrations/{id}",
        "put /api/v1/numbers/{number}/setup",
        "put /api/v1/roles/{id}",
        "put /api/v1/routing/draft",
        "put /api/v1/routing/draft/{section}/{id}",
        "put /api/v1/test-numbers/{number}",
    ];

    /// No changes; or traffic, which stands in the journal.
    const UNTOLD: [&str; 13] = [
        "delete /api/v1/consumers/{name}/lease",
        "put /api/v1/consumers/{name}/cursor",
        "post /api/v1/consumers/{name}/lease",
        "post /api/v1/conversations/{id}/messages",
        "post /api/v1/conversations/{id}/typing",
        "post /api/v1/files",
        "post /api/v1/ivrs/{id}/simulate",
        "post /api/v1/numbers/reviews",
        "post /api/v1/routing/convert",
        "post /api/v1/routing/draft/{section}/{id}/findings",
        "post /api/v1/routing/simulate",
        "post /api/v1/routing/validate",
        "post /api/v1/sign-in-links/read",
    ];

    #[test]
    fn every_route_that_changes_something_is_told_or_says_why_not() {
        let (_, api) = super::super::described().merge(super::super::open()).split_for_parts();
        let api = serde_json::to_value(api).unwrap();
        let mut unsorted = Vec::new();
        let mut known: Vec<String> = KEPT.iter().chain(&UNTOLD).map(|route| (*route).to_owned()).collect();
        // What only gives data away is told where that matters, but need not be sorted.
        let changing = TOLD.iter().filter(|(method, ..)| *method != "GET");
        known.extend(changing.map(|(method, path, ..)| format!("{} {path}", method.to_lowercase())));
        for (path, methods) in api["paths"].as_object().unwrap() {
            for method in methods.as_object().unwrap().keys().filter(|method| *method != "get") {
                let route = format!("{method} {path}");
                match known.iter().position(|known| *known == route) {
                    Some(at) => drop(known.swap_remove(at)),
                    None => unsorted.push(route),
                }
            }
        }
        assert!(unsorted.is_empty(), "put these into TOLD, KEPT or UNTOLD: {unsorted:#?}");
        assert!(known.is_empty(), "there are no such routes, or twice: {known:#?}");
    }

    #[test]
    fn secrets_are_covered_wherever_they_stand() {
        let body = json!({"name": "x", "list": [{"Auth_Token": "t", "secrets": ["a"], "password": null}]});
        let shown = json!({"name": "x", "list": [{"Auth_Token": "…", "secrets": "…", "password": null}]});
        assert_eq!(masked(body), shown);
    }
}
