//! Where providers send messages to: `/webhooks/{provider}`. No key is asked for: requests prove themselves.

use axum::{
    Extension, Router,
    body::Bytes,
    extract::{Path, RawQuery, State},
    http::{HeaderMap, HeaderValue, Method, StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use jiff::Timestamp;

use super::{AppState, health::Peer, problem::Problem};
use crate::{
    message::{
        Incoming, NotFetched,
        providers::Provider,
        webhook::{self, Answer, Arrived, Credentials, Received, Refused, Verified},
    },
    telemetry::WebhookResult,
};

/// The path's beginning.
pub(super) const PREFIX: &str = "/webhooks/";

pub(super) fn routes() -> Router<AppState> {
    Router::new().route("/webhooks/{provider}", get(take).post(take))
}

async fn take(
    State(state): State<AppState>,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
    peer: Option<Extension<Peer>>,
    method: Method,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let count = |result| state.metrics.message.webhooks.of(result).inc();
    let Some(provider) = state.providers.get(&id) else {
        count(WebhookResult::Unknown);
        return unknown(&id).into_response();
    };
    let Some(credentials) = provider.credentials() else {
        count(WebhookResult::NotTaken);
        return no_secret().into_response();
    };
    let arrived = Arrived {
        method: &method,
        url: &provider.url,
        query: query.as_deref().unwrap_or_default(),
        headers: &headers,
        body: &body,
        now: Timestamp::now(),
    };
    let told = match proven(&state, &provider, &arrived, &credentials).await {
        Ok(Proven::Tells(told)) => told,
        Ok(Proven::Answered(answer)) => {
            count(WebhookResult::Asked);
            return answer.into_response();
        }
        Err(Unproven::NotFetched(error)) => {
            count(WebhookResult::NotTaken);
            tracing::warn!(provider = %provider.id, %error, "nothing could be fetched from a provider");
            return not_taken(&error.to_string()).into_response();
        }
        Err(Unproven::Refused(refused)) => {
            count(WebhookResult::Refused);
            let from = peer.map(|Extension(Peer(address))| address.ip());
            tracing::warn!(provider = %provider.id, ?from, %refused, "a request to a webhook was refused");
            return not_believed(refused).into_response();
        }
    };
    match state.intake.take((&provider.id, provider.kind.remembered()), told, arrived.now).await {
        Ok(_) => {
            count(WebhookResult::Taken);
            webhook::accepted(provider.kind).into_response()
        }
        Err(error) => {
            count(WebhookResult::NotTaken);
            tracing::warn!(provider = %provider.id, %error, "messages could not be taken in");
            not_taken(&error.to_string()).into_response()
        }
    }
}

/// What is left of a request when all that it needed was fetched.
enum Proven {
    Tells(Verified<Vec<Incoming>>),
    Answered(Answer),
}

/// Why a request is not believed, or not yet.
#[derive(Debug, thiserror::Error)]
enum Unproven {
    #[error(transparent)]
    Refused(#[from] Refused),
    #[error(transparent)]
    NotFetched(#[from] NotFetched),
}

/// Proves a request, with what must be fetched for that.
async fn proven(
    state: &AppState,
    provider: &Provider,
    arrived: &Arrived<'_>,
    credentials: &Credentials<'_>,
) -> Result<Proven, Unproven> {
    let certificates = state.providers.certificates();
    let mut received = webhook::receive(provider.kind, arrived, credentials)?;
    if let Received::NeedsCertificate(link) = &received {
        let certificate = certificates.at(link).await?;
        received = webhook::receive_with(provider.kind, arrived, credentials, Some(&certificate))?;
    }
    match received {
        Received::Tells(told) => Ok(Proven::Tells(told)),
        Received::Asks(answer) => Ok(Proven::Answered(answer)),
        Received::Confirms(link) => {
            certificates.open(&link.into_inner()).await?;
            tracing::info!(provider = %provider.id, "a subscription was confirmed");
            Ok(Proven::Answered(Answer::OK))
        }
        // With a certificate none is asked for.
        Received::NeedsCertificate(_) => Err(Refused::Unsigned.into()),
    }
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        let mut response = (self.status, self.body).into_response();
        match self.media_type {
            Some(media_type) => {
                response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
            }
            None => drop(response.headers_mut().remove(header::CONTENT_TYPE)),
        }
        response
    }
}

fn unknown(id: &str) -> Problem {
    Problem::new(
        StatusCode::NOT_FOUND,
        "no_such_provider",
        format!("No provider is called {}.", id.chars().take(64).collect::<String>()),
        "Add it to the section `providers` of the routing document, and publish.",
    )
}

fn not_believed(refused: Refused) -> Problem {
    Problem::new(
        StatusCode::UNAUTHORIZED,
        "not_proven",
        format!("Nothing was taken in: {refused}."),
        "Compare the provider's secret, and the address that it sends to with `url` of the provider.",
    )
}

fn no_secret() -> Problem {
    Problem::new(
        StatusCode::SERVICE_UNAVAILABLE,
        "no_secret",
        "No secret of this provider can be read, so nothing can be believed.",
        "Set the variable or file that `secrets` refers to, restart or publish; the log says which.",
    )
}

fn not_taken(why: &str) -> Problem {
    Problem::new(
        StatusCode::SERVICE_UNAVAILABLE,
        "not_taken",
        format!("Nothing is acknowledged: {why}."),
        "Send it again in a moment; what comes twice is left out.",
    )
}
