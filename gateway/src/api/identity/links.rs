//! One-time links: what they are for, and using them.

use axum::{extract::State, response::Response};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{Origin, blocking, sessions::SignedIn, signed_in};
use crate::{
    api::{
        AppState,
        extract::Json,
        problem::{ApiResult, Problem},
    },
    identity::{NewLink, Promised, record::Purpose},
};

pub(super) fn open_routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(read_link)).routes(routes!(use_link))
}

/// A link that was just made.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct LinkView {
    /// What the link ends in; it is shown once.
    token: String,
    /// The console's page with it: the whole address where identity.public_url is set, else its path.
    url: String,
    /// When it ends.
    #[schema(value_type = String, format = DateTime)]
    expires: Timestamp,
}

impl LinkView {
    pub(super) fn of(state: &AppState, link: &NewLink) -> Self {
        let public = state.identity.settings().public_url.as_ref().map(|url| url.as_str());
        let url = format!("{}{}", public.unwrap_or_default(), link.path());
        Self { token: link.token.clone(), url, expires: link.expires }
    }
}

/// The token of a link.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Token {
    /// What the link ends in.
    token: String,
}

/// What a link is for.
#[derive(Debug, Serialize, ToSchema)]
struct LinkPurpose {
    /// `administrator`: whoever uses it becomes one, under a login of his choice; `password`: it sets a user's password.
    #[schema(value_type = String)]
    purpose: Purpose,
    /// Whose password it sets.
    login: Option<String>,
    /// When it ends.
    #[schema(value_type = String, format = DateTime)]
    expires: Timestamp,
    /// Shortest password, characters.
    password_chars_min: usize,
}

/// Say what a one-time link is for; it holds still.
#[utoipa::path(post, path = "/api/v1/sign-in-links/read", security(()), tag = "identity", request_body = Token, responses(
    (status = 200, description = "What it is for.", body = LinkPurpose),
    (status = 404, description = "It was used, or its time is over.", body = Problem, content_type = "application/problem+json"),
))]
async fn read_link(
    State(state): State<AppState>,
    Json(Token { token }): Json<Token>,
) -> ApiResult<axum::Json<LinkPurpose>> {
    let says = blocking(&state, move |identity| identity.read_link(&token, Timestamp::now())).await?;
    let password_chars_min = state.identity.settings().password_chars_min;
    let (purpose, login, expires) = (says.purpose, says.login, says.expires);
    Ok(axum::Json(LinkPurpose { purpose, login, expires, password_chars_min }))
}

/// What somebody chooses who uses a link.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Chosen {
    /// What the link ends in.
    token: String,
    /// The password from now on.
    password: String,
    /// A new administrator's login.
    login: Option<String>,
    /// A new administrator's name.
    name: Option<String>,
}

/// Use a one-time link: the password is set, and the answer signs in.
#[utoipa::path(post, path = "/api/v1/sign-in-links/use", security(()), tag = "identity", request_body = Chosen, responses(
    (status = 201, description = "Signed in; the cookie is set.", body = SignedIn),
    (status = 403, description = "The request comes from another site.", body = Problem, content_type = "application/problem+json"),
    (status = 404, description = "It was used, or its time is over.", body = Problem, content_type = "application/problem+json"),
    (status = 409, description = "The login is taken.", body = Problem, content_type = "application/problem+json"),
    (status = 422, description = "The password may not be chosen, or the login is missing.", body = Problem, content_type = "application/problem+json"),
))]
async fn use_link(
    State(state): State<AppState>,
    from: Origin,
    Json(Chosen { token, password, login, name }): Json<Chosen>,
) -> ApiResult<Response> {
    let promised = Promised { password, login, name };
    let begun = state.identity.use_link(token, promised, &from.agent, Timestamp::now()).await?;
    Ok(signed_in(&begun, from.secure))
}
