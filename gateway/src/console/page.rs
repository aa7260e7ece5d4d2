//! From a template to an answer; and the one sentence that a page leaves to the next.

use askama::Template;
use axum::{
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{Html, IntoResponse, Redirect, Response},
};

use super::{
    Console,
    ask::{Desk, Refused},
    session::cookie,
    shell::{Door, Shell},
};

/// A page, drawn when it is answered.
pub(super) struct Page<T>(pub(super) T);

impl<T: Template> IntoResponse for Page<T> {
    fn into_response(self) -> Response {
        match self.0.render() {
            Ok(text) => Html(text).into_response(),
            Err(error) => {
                tracing::error!(%error, "a page of the console could not be drawn");
                StatusCode::INTERNAL_SERVER_ERROR.into_response()
            }
        }
    }
}

/// A page of those who are signed in. It takes the sentence of the page before with it.
pub(super) fn shown(template: impl Template) -> Response {
    let mut response = Page(template).into_response();
    let gone =
        HeaderValue::from_static("vestibule_flash=; Path=/console; HttpOnly; SameSite=Strict; Max-Age=0");
    response.headers_mut().append(header::SET_COOKIE, gone);
    response
}

const FLASH: &str = "vestibule_flash";

/// Longest sentence that is left to the next page, in characters.
const FLASH_MAX: usize = 600;

/// One sentence about what was just done.
#[derive(Clone, Debug)]
pub(super) struct Flash {
    pub(super) good: bool,
    pub(super) text: String,
}

impl Flash {
    /// What the page before left.
    pub(super) fn of(headers: &HeaderMap) -> Option<Self> {
        let value = cookie(headers, FLASH)?;
        let (kind, text) = form_urlencoded::parse(value.as_bytes()).next()?;
        (!text.is_empty())
            .then(|| Self { good: kind == "good", text: text.chars().take(FLASH_MAX).collect() })
    }
}

/// On to another page (after a form), which says that it is done.
pub(super) fn done(to: &str, sentence: &str) -> Response {
    onwards(to, "good", sentence)
}

/// On to another page, which says why it is not done.
pub(super) fn not_done(to: &str, refused: &Refused) -> Response {
    onwards(to, "bad", &refused.sentence())
}

/// On to another page, which says what came of it.
pub(super) fn after(to: &str, came: Result<(), Refused>, sentence: &str) -> Response {
    match came {
        Ok(()) => done(to, sentence),
        Err(refused) => not_done(to, &refused),
    }
}

fn onwards(to: &str, kind: &str, sentence: &str) -> Response {
    let text: String = sentence.chars().take(FLASH_MAX).collect();
    let value = form_urlencoded::Serializer::new(String::new()).append_pair(kind, &text).finish();
    let cookie = format!("{FLASH}={value}; Path=/console; HttpOnly; SameSite=Strict; Max-Age=60");
    ([(header::SET_COOKIE, cookie)], Redirect::to(to)).into_response()
}

/// A refusal for scripts: the problem document as it is.
pub(super) fn problem(refused: &Refused) -> Response {
    let status = StatusCode::from_u16(refused.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let body = serde_json::to_vec(refused).unwrap_or_default();
    (status, [(header::CONTENT_TYPE, "application/problem+json")], body).into_response()
}

#[derive(Template)]
#[template(path = "refused.html")]
struct RefusedPage {
    shell: Shell,
    refused: Refused,
    heading: &'static str,
}

#[derive(Template)]
#[template(path = "refused_outside.html")]
struct RefusedOutside {
    door: Door,
    refused: Refused,
    heading: &'static str,
}

/// A refusal as a page: inside the shell for those who are signed in.
pub(super) async fn of_refusal(refused: Refused, console: &Console, desk: Option<&Desk>) -> Response {
    let status = StatusCode::from_u16(refused.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let heading = match refused.status {
        401 | 403 => "You may not see this",
        404 => "Nothing is here",
        409 | 412 => "It has changed meanwhile",
        400..=499 => "That did not work",
        503 => "Not now",
        _ => "Something went wrong",
    };
    let shell = match desk {
        Some(desk) => desk.shell(None, heading).await.ok(),
        None => None,
    };
    let page = match shell {
        Some(shell) => Page(RefusedPage { shell, refused, heading }).into_response(),
        None => Page(RefusedOutside { door: Door::new(console), refused, heading }).into_response(),
    };
    (status, page).into_response()
}
