//! Acts on many entry points: arming, disarming, exceptions; new addresses, and the default inboxes of channels.

use axum::{Router, body::Bytes, http::Method, response::Response, routing::post};
use serde_json::{Value, json};

use super::{
    came_of, comes_by_itself,
    list::{self, Sought, Typed, section},
    told,
};
use crate::console::{
    Console, Refused,
    ask::{Desk, Shown},
    form::Form,
    page,
    session::inside,
    words::{encoded, waits},
};

pub(super) fn routes() -> Router<Console> {
    Router::new()
        .route("/console/entry-points/many", post(act))
        .route("/console/entry-points/exceptions", post(add_exceptions))
        .route("/console/entry-points/new", post(add))
        .route("/console/entry-points/default-inbox", post(set_default))
}

/// Does what was chosen with the entry points that are ticked.
async fn act(desk: Desk, body: Bytes) -> Response {
    let form = Form::read(&body);
    let back = inside(Some(form.text("back")));
    let came = match form.text("act") {
        act @ ("arm" | "disarm") => arm(&desk, &form, act == "arm").await,
        "except" => {
            except(&desk, form.text("inbox"), &form.all("entry_points"), form.ticked("replace")).await
        }
        _ => Err(Refused::new(
            400,
            "nothing_chosen",
            "Nothing was chosen to be done.",
            "Choose what to do with them.",
        )),
    };
    match came {
        Ok(sentence) => page::done(&back, &sentence),
        Err(refused) => page::not_done(&back, &told(refused)),
    }
}

async fn arm(desk: &Desk, form: &Form, armed: bool) -> Result<String, Refused> {
    let named = form.all("entry_points");
    if named.iter().any(|id| id.starts_with("ivr/")) {
        let detail = "An exit of an IVR cannot be armed or disarmed: who reaches it was let in before.";
        return Err(Refused::new(
            422,
            "exit_not_armed",
            detail,
            "Disarm the numbers that lead into its IVR.",
        ));
    }
    let body = json!({"entry_points": named, "armed": armed});
    let answer = desk.send(Method::POST, "/api/v1/entry-points/arm", Some(&body)).await?;
    let done = if armed { "They are armed." } else { "They are disarmed." };
    Ok(came_of(&answer, done))
}

async fn except(
    desk: &Desk,
    inbox: &str,
    named: &[impl AsRef<str>],
    replace: bool,
) -> Result<String, Refused> {
    if inbox.is_empty() {
        return Err(Refused::new(422, "no_inbox", "No inbox was chosen.", "Choose where they are to lead."));
    }
    let named: Vec<&str> = named.iter().map(AsRef::as_ref).collect();
    let body = json!({"inbox": inbox, "entry_points": named, "replace": replace});
    let answer = desk.send(Method::POST, "/api/v1/entry-points/exceptions", Some(&body)).await?;
    Ok(came_of(&answer, "The exception is made."))
}

async fn add_exceptions(desk: Desk, body: Bytes) -> Shown {
    let form = Form::read(&body);
    let (channel, inbox) = (form.text("channel"), form.text("inbox"));
    let named: Vec<String> = form.lines("addresses").iter().map(|line| format!("{channel}/{line}")).collect();
    match except(&desk, inbox, &named, form.ticked("replace")).await {
        Ok(sentence) => Ok(page::done(&section(channel), &sentence)),
        Err(refused) => again(&desk, &form, refused).await,
    }
}

/// A new entry point of a channel whose addresses are written down by hand.
async fn add(desk: Desk, body: Bytes) -> Shown {
    let form = Form::read(&body);
    let (channel, address) = (form.text("channel"), form.trimmed("addresses"));
    if comes_by_itself(channel) || address.is_empty() {
        let detail = "There is no address, or the channel's addresses come by themselves.";
        return again(&desk, &form, Refused::new(422, "no_address", detail, "Write the address.")).await;
    }
    let path = format!("/api/v1/entry-points/{}/{}", encoded(channel), encoded(address));
    match desk.find::<Value>(&path).await {
        Ok(None) => {}
        Ok(Some(_)) => {
            let detail = format!("{address} is an entry point already.");
            let remedy = "Find it in the list, and change it on its page.";
            return again(&desk, &form, Refused::new(409, "exists_already", detail, remedy)).await;
        }
        Err(refused) => return again(&desk, &form, refused).await,
    }
    let settings = json!({"inbox": form.optional("inbox"), "sla_minutes": form.number("sla_minutes")});
    // A patch leaves out what is null: it is inherited then.
    match desk.send(Method::PATCH, &path, Some(&settings)).await {
        Ok(answer) => match waits(&answer) {
            Some(waits) => Ok(page::done(&section(channel), &waits)),
            None => {
                let to = format!("/console/entry-points/{}/{}", encoded(channel), encoded(address));
                Ok(page::done(&to, "It is an entry point now."))
            }
        },
        Err(refused) => again(&desk, &form, refused).await,
    }
}

/// The page once more, with what was typed and why it was refused.
async fn again(desk: &Desk, form: &Form, refused: Refused) -> Shown {
    if refused.status == 403 {
        return Err(refused);
    }
    let typed = Typed {
        addresses: form.text("addresses").to_owned(),
        inbox: form.text("inbox").to_owned(),
        sla_minutes: form.text("sla_minutes").to_owned(),
        fault: Some(told(refused).sentence()),
    };
    list::drawn(desk, Sought::channel(form.text("channel")), typed).await
}

async fn set_default(desk: Desk, body: Bytes) -> Response {
    let form = Form::read(&body);
    let channel = form.text("channel");
    let path = format!("/api/v1/channels/{}/default-inbox", encoded(channel));
    let named = json!({"inbox": form.text("inbox")});
    let back = section(channel);
    match desk.send(Method::PUT, &path, Some(&named)).await {
        Ok(answer) => page::done(&back, &came_of(&answer, "The channel has another default inbox.")),
        Err(refused) => page::not_done(&back, &told(refused)),
    }
}
