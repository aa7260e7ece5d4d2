//! What may be done with a live contact: take, transfer, hold, resume, hang up, record.

use axum::{Router, body::Bytes, extract::Path, http::Method, response::Response, routing::post};
use serde_json::{Value, json};

use crate::console::{Console, ask::Desk, form::Form, page, session::inside, words::encoded};

pub(super) fn routes() -> Router<Console> {
    Router::new()
        .route("/console/contacts/{id}/take", post(take))
        .route("/console/contacts/{id}/transfer", post(transfer))
        .route("/console/contacts/{id}/hold", post(hold))
        .route("/console/contacts/{id}/resume", post(resume))
        .route("/console/contacts/{id}/hang_up", post(hang_up))
        .route("/console/contacts/{id}/recording", post(record))
        .route("/console/contacts/{id}/recordings/{file}/delete", post(delete_recording))
}

/// Asks for something, and goes back to the page it was asked on, which says what came of it.
async fn act(
    desk: &Desk,
    (id, what): (&str, &str),
    body: Option<Value>,
    form: &Form,
    done: &str,
) -> Response {
    let back = match form.text("back") {
        "" => format!("/console/contacts/{}", encoded(id)),
        back => inside(Some(back)),
    };
    let path = format!("/api/v1/contacts/{}/{what}", encoded(id));
    let came = desk.send(Method::POST, &path, body.as_ref()).await.map(drop);
    page::after(&back, came, done)
}

async fn take(desk: Desk, Path(id): Path<String>, body: Bytes) -> Response {
    let form = Form::read(&body);
    let mut wanted = json!({});
    if !form.trimmed("target").is_empty() {
        wanted["target"] = form.trimmed("target").into();
    }
    let done = if form.trimmed("target").is_empty() { "It is yours." } else { "The telephone rings." };
    act(&desk, (&id, "take"), Some(wanted), &form, done).await
}

async fn transfer(desk: Desk, Path(id): Path<String>, body: Bytes) -> Response {
    let form = Form::read(&body);
    let wanted = match form.text("inbox") {
        "" => json!({"target": form.trimmed("target")}),
        inbox => json!({"inbox": inbox}),
    };
    act(&desk, (&id, "transfer"), Some(wanted), &form, "The call is being transferred.").await
}

async fn hold(desk: Desk, Path(id): Path<String>, body: Bytes) -> Response {
    act(&desk, (&id, "hold"), None, &Form::read(&body), "The caller hears hold music.").await
}

async fn resume(desk: Desk, Path(id): Path<String>, body: Bytes) -> Response {
    act(&desk, (&id, "resume"), None, &Form::read(&body), "They talk again.").await
}

async fn hang_up(desk: Desk, Path(id): Path<String>, body: Bytes) -> Response {
    act(&desk, (&id, "hang_up"), None, &Form::read(&body), "The contact is being ended.").await
}

async fn record(desk: Desk, Path(id): Path<String>, body: Bytes) -> Response {
    let form = Form::read(&body);
    let action = form.text("action").to_owned();
    act(&desk, (&id, "recording"), Some(json!({"action": action})), &form, "The recording is as you wished.")
        .await
}

async fn delete_recording(desk: Desk, Path((id, file)): Path<(String, String)>) -> Response {
    let back = format!("/console/contacts/{}", encoded(&id));
    let path = format!("/api/v1/contacts/{}/recordings/{}", encoded(&id), encoded(&file));
    let came = desk.send(Method::DELETE, &path, None).await.map(drop);
    page::after(&back, came, "The recording is deleted.")
}
