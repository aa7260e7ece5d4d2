//! What stands before and behind the pages: headers, the session, and pages of refusals.
//!
//! Who asks, and whether a form comes from a page of ours, is found out by the API's guard, which stands before this.

use axum::{
    extract::{Request, State},
    http::{HeaderName, HeaderValue, Method, header},
    middleware::Next,
    response::{IntoResponse, Redirect, Response},
};

use super::{
    Console,
    ask::{Desk, Refused},
    page::{self, Flash},
    session::SignedIn,
};

/// The policy of every page: nothing from elsewhere, nothing inline, shown in no frame.
pub(super) const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; \
     media-src 'self' blob:; connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'";

/// Headers for every answer.
pub(super) async fn every_answer(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        // Not `no-referrer`: it has browsers leave out the origin of forms, by which they are known to be ours.
        (header::REFERRER_POLICY, "same-origin"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}

/// Only those who are signed in go on; what is refused is drawn as a page.
pub(super) async fn need_session(State(console): State<Console>, request: Request, next: Next) -> Response {
    let Some(who) = SignedIn::of(request.extensions()) else {
        return away(&request);
    };
    let desk = Desk { console: console.clone(), who, flash: Flash::of(request.headers()) };
    let mut response = next.run(request).await;
    match response.extensions_mut().remove::<Refused>() {
        // Until somebody has set another password, that is all that they may do.
        Some(refused) if refused.code == "password_change_needed" => {
            Redirect::to("/console/account").into_response()
        }
        Some(refused) => page::of_refusal(refused, &console, Some(&desk)).await,
        None => response,
    }
}

/// To the sign-in page, and back from there; a script is told by the status.
fn away(request: &Request) -> Response {
    let path = request.uri().path_and_query().map_or("", |path| path.as_str());
    if path.ends_with("/stream") {
        return page::problem(&Refused::new(401, "not_signed_in", "Nobody is signed in.", "Sign in first."));
    }
    let next = if request.method() == Method::GET { path } else { super::HOME };
    let next: String = form_urlencoded::byte_serialize(next.as_bytes()).collect();
    Redirect::to(&format!("/console/sign-in?next={next}")).into_response()
}
