//! Numbers that we hold: what calls do there, where their set-up was left, and how they are given back.

use std::collections::BTreeMap;

use axum::extract::State;
use serde::{Deserialize, Deserializer, Serialize};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};
use vestibule_config::number::SetupStep;

use super::number_in;
use crate::{
    api::{
        AppState,
        extract::{Actor, Json, Path},
        problem::{ApiResult, Problem},
        routing::numbers::{NumberView, view},
    },
    numbers::{release::Notice, voice::Voice},
};

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(set_voice))
        .routes(routes!(set_setup))
        .routes(routes!(read_release, release_number))
}

/// What calls are to do at a number; what is left out stays as it is, and null returns it to the default.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ToSetVoice {
    /// Calls are taken. A number that takes none answers with 480.
    active: Option<bool>,
    /// The Initial IVR: a published one.
    #[serde(default, deserialize_with = "said")]
    #[schema(value_type = Option<String>)]
    initial_ivr: Option<Option<String>>,
    /// The Queue IVR: a published one.
    #[serde(default, deserialize_with = "said")]
    #[schema(value_type = Option<String>)]
    queue_ivr: Option<Option<String>>,
    /// Seconds before the Queue IVR or the music, 5 to 600; 30 when it was never said.
    #[schema(minimum = 5, maximum = 600)]
    queue_wait_seconds: Option<u32>,
    /// The inbox of the number itself.
    #[serde(default, deserialize_with = "said")]
    #[schema(value_type = Option<String>)]
    inbox: Option<Option<String>>,
    /// Inboxes of exits of IVRs: `{"ivr_main/exit_sales": "ib_sales"}`.
    #[serde(default)]
    #[schema(value_type = Object)]
    exits: BTreeMap<String, Option<String>>,
}

/// Tells null from nothing.
fn said<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Option<String>>, D::Error> {
    Option::<String>::deserialize(deserializer).map(Some)
}

/// What was changed.
#[derive(Debug, Serialize, ToSchema)]
struct VoiceSet {
    /// The number as it is now.
    number: NumberView,
    /// The revision that was published; null when nothing changed.
    revision: Option<u64>,
    /// Findings that did not stop it: a waiting time outside 30 to 45 seconds, for example.
    #[schema(value_type = Vec<Object>)]
    warnings: Vec<vestibule_config::diagnostic::Diagnostic>,
}

/// Set what calls do at a number, in one step: this change alone is published, and the draft stays as it is.
#[utoipa::path(post, path = "/api/v1/numbers/{number}/voice", tag = "numbers", request_body = ToSetVoice,
    security(("key" = ["numbers.edit"])),
    params(("number" = String, Path, description = "The number, `+14155550100`")),
    responses(
        (status = 200, description = "The number as it is now.", body = VoiceSet),
        (status = 400, description = "Something cannot be read.", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "The number is not ours.", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "The draft has an unpublished edit of the same.", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "Routing does not allow it: see the diagnostics. Nothing was changed.", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn set_voice(
    State(state): State<AppState>,
    Actor(actor): Actor,
    Path(number): Path<String>,
    Json(wanted): Json<ToSetVoice>,
) -> ApiResult<axum::Json<VoiceSet>> {
    let number = number_in(&number)?;
    let ToSetVoice { active, initial_ivr, queue_ivr, queue_wait_seconds, inbox, exits } = wanted;
    let voice = Voice { active, initial_ivr, queue_ivr, queue_wait_seconds, inbox, exits };
    let published = state.numbers.set_voice(number, voice, actor).await?;
    let record = state.numbers.record(number).await?;
    let (revision, warnings) = match published {
        Some(published) => (Some(published.revision.number), published.warnings),
        None => (None, Vec::new()),
    };
    Ok(axum::Json(VoiceSet { number: view(&state, record), revision, warnings }))
}

/// Where a set-up was left.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ToSetUp {
    /// `registration`, `activate_voice`, `link_ivr`, `pick_ivr`, `link_inboxes` or `test_call`; null when it is done.
    #[schema(value_type = Option<String>)]
    step: Option<SetupStep>,
}

/// Keep where the set-up of a number was left, so that it can be gone on with.
#[utoipa::path(put, path = "/api/v1/numbers/{number}/setup", tag = "numbers", request_body = ToSetUp,
    security(("key" = ["numbers.edit"])),
    params(("number" = String, Path, description = "The number, `+14155550100`")),
    responses(
        (status = 200, description = "The number as it is now.", body = NumberView),
        (status = 400, description = "There is no such step.", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "The number is not ours.", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn set_setup(
    State(state): State<AppState>,
    Actor(actor): Actor,
    Path(number): Path<String>,
    Json(ToSetUp { step }): Json<ToSetUp>,
) -> ApiResult<axum::Json<NumberView>> {
    let record = state.numbers.set_setup(number_in(&number)?, step, actor).await?;
    Ok(axum::Json(view(&state, record)))
}

/// Say what callers will notice when a number is given back.
#[utoipa::path(get, path = "/api/v1/numbers/{number}/release", tag = "numbers",
    security(("key" = ["numbers.read"])),
    params(("number" = String, Path, description = "The number, `+14155550100`")),
    responses(
        (status = 200, description = "What goes with it, and what callers will notice.", body = Notice),
        (status = 404, description = "The number is not ours.", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn read_release(
    State(state): State<AppState>,
    Path(number): Path<String>,
) -> ApiResult<axum::Json<Notice>> {
    Ok(axum::Json(state.numbers.release_notice(number_in(&number)?).await?))
}

/// Giving back.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ToRelease {
    /// The number once more, so that none is given back by mistake.
    confirm: String,
    /// Also while calls go on.
    #[serde(default)]
    force: bool,
}

/// Give a number back. It is routed no more at once; the carrier takes it back; for 30 days it is not bought again.
#[utoipa::path(post, path = "/api/v1/numbers/{number}/release", tag = "numbers", request_body = ToRelease,
    security(("key" = ["numbers.release"])),
    params(("number" = String, Path, description = "The number, `+14155550100`")),
    responses(
        (status = 200, description = "It is being given back.", body = NumberView),
        (status = 400, description = "`confirm` is not the number.", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "The number is not ours.", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "Calls go on, or its state does not allow it.", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "Routing cannot do without it.", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn release_number(
    State(state): State<AppState>,
    Actor(actor): Actor,
    Path(number): Path<String>,
    Json(ToRelease { confirm, force }): Json<ToRelease>,
) -> ApiResult<axum::Json<NumberView>> {
    let number = number_in(&number)?;
    if confirm != number.to_string() {
        return Err(Problem::bad_request("`confirm` is not the number that is to be given back."));
    }
    let record = state.numbers.release(number, force, actor).await?;
    Ok(axum::Json(view(&state, record)))
}
