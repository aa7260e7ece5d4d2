//! IVRs: the list, new ones, and the page around the editor, which is a module of its own (`assets/console/ivr/`).

use askama::Template;
use axum::{
    Router,
    body::Bytes,
    extract::Path,
    response::Response,
    routing::{get, post},
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    Console, Refused,
    ask::{Desk, Shown},
    form::Form,
    page,
    shell::{Section, Shell},
    words::{When, encoded},
};
use crate::identity::permission::Permission;

pub(super) fn routes() -> Router<Console> {
    Router::new()
        .route("/console/ivrs", get(list).post(add))
        .route("/console/ivrs/{id}", get(show))
        .route("/console/ivrs/{id}/delete", post(delete))
}

/// An IVR as the list shows it.
#[derive(Clone, Debug, Deserialize)]
struct Ivr {
    id: String,
    name: String,
    kind: String,
    state: String,
    nodes: usize,
    errors: usize,
    warnings: usize,
    number_count: usize,
    numbers: Vec<String>,
    revision: Option<u64>,
    published_by: Option<String>,
    published_at: Option<When>,
}

impl Ivr {
    fn is_queue(&self) -> bool {
        self.kind == "queue"
    }

    /// The state as people read it, and its tone.
    fn state_words(&self) -> (&'static str, &'static str) {
        match self.state.as_str() {
            "published" => ("published", "good"),
            "edited" => ("edited in the draft", "draft"),
            "new" => ("not published yet", "draft"),
            _ => ("removed in the draft", "bad"),
        }
    }

    fn more_numbers(&self) -> usize {
        self.number_count.saturating_sub(self.numbers.len())
    }
}

#[derive(Deserialize)]
struct Ivrs {
    ivrs: Vec<Ivr>,
}

#[derive(Template)]
#[template(path = "ivrs.html")]
struct IvrsPage {
    shell: Shell,
    ivrs: Vec<Ivr>,
    /// What was written into the form for a new one, when that was refused.
    name: String,
    fault: Option<String>,
    may_edit: bool,
}

async fn list(desk: Desk) -> Shown {
    drawn(&desk, String::new(), None).await
}

async fn drawn(desk: &Desk, name: String, fault: Option<String>) -> Shown {
    let Ivrs { mut ivrs } = desk.get("/api/v1/routing/draft/ivrs").await?;
    ivrs.sort_by(|a, b| a.name.to_lowercase().cmp(&b.name.to_lowercase()).then_with(|| a.id.cmp(&b.id)));
    let shell = desk.shell(Some(Section::Ivrs), "IVRs").await?;
    Ok(page::shown(IvrsPage { shell, ivrs, name, fault, may_edit: desk.may(Permission::RoutingEdit) }))
}

async fn add(desk: Desk, body: Bytes) -> Shown {
    let form = Form::read(&body);
    let name = form.trimmed("name").to_owned();
    let id = id_of(&name);
    let document = beginning(&name, form.text("begin"));
    match desk.put_draft("ivrs", &id, &document, "").await {
        Ok(()) => Ok(page::done(
            &format!("/console/ivrs/{}", encoded(&id)),
            "The IVR is in the draft. No call comes here before a number links to it and it is published.",
        )),
        Err(refused) => drawn(&desk, name, Some(refused.sentence())).await,
    }
}

/// What a new IVR begins with.
fn beginning(name: &str, begin: &str) -> Value {
    match begin {
        "menu" => json!({"name": name, "kind": "initial", "nodes": {
            "start": {"type": "start", "next": "greeting"},
            "greeting": {"type": "message", "prompt": "builtin:welcome", "next": "menu"},
            "menu": {"type": "menu", "prompt": "builtin:menu", "no_input_prompt": "builtin:no_input",
                "no_match_prompt": "builtin:no_match", "choices": {"1": "exit_sales", "2": "exit_support"},
                "default": "exit_general"},
            "exit_sales": {"type": "exit"}, "exit_support": {"type": "exit"}, "exit_general": {"type": "exit"},
        }}),
        "queue" => json!({"name": name, "kind": "queue", "nodes": {
            "start": {"type": "start", "next": "message"},
            "message": {"type": "message", "prompt": "builtin:queue_message", "next": "keep_waiting"},
            "keep_waiting": {"type": "continue"},
        }}),
        _ => json!({"name": name, "kind": "initial", "nodes": {
            "start": {"type": "start", "next": "exit"}, "exit": {"type": "exit"},
        }}),
    }
}

#[derive(Template)]
#[template(path = "ivr.html")]
struct IvrPage {
    shell: Shell,
    id: String,
    name: String,
    is_queue: bool,
    numbers: Vec<String>,
    more_numbers: usize,
    published: bool,
    may_edit: bool,
    may_publish: bool,
}

async fn show(desk: Desk, Path(id): Path<String>) -> Shown {
    let Ivrs { ivrs } = desk.get("/api/v1/routing/draft/ivrs").await?;
    let found = ivrs.into_iter().find(|ivr| ivr.id == id && ivr.state != "removed");
    let ivr = found.ok_or_else(|| {
        let detail = format!("The draft has no IVR {id}.");
        Refused::new(404, "no_such_ivr", detail, "The list of IVRs shows those there are.")
    })?;
    let (is_queue, more_numbers) = (ivr.is_queue(), ivr.more_numbers());
    Ok(page::shown(IvrPage {
        shell: desk.shell(Some(Section::Ivrs), ivr.name.clone()).await?,
        is_queue,
        more_numbers,
        id,
        name: ivr.name,
        numbers: ivr.numbers,
        published: ivr.revision.is_some(),
        may_edit: desk.may(Permission::RoutingEdit),
        may_publish: desk.may(Permission::RoutingPublish),
    }))
}

async fn delete(desk: Desk, Path(id): Path<String>) -> Response {
    let was = match desk.draft_object("ivrs", &id).await {
        Ok(object) => object.map_or_else(String::new, |object| object.was),
        Err(refused) => return page::not_done("/console/ivrs", &refused),
    };
    match desk.remove_draft("ivrs", &id, &was).await {
        Ok(()) => page::done(
            "/console/ivrs",
            "Removed in the draft. Publishing is refused while a number links to it.",
        ),
        Err(refused) => page::not_done(&format!("/console/ivrs/{}", encoded(&id)), &refused),
    }
}

/// An id out of a name: `Main line & more` becomes `ivr_main_line_more`.
fn id_of(name: &str) -> String {
    let words = name.to_lowercase();
    let words: Vec<&str> =
        words.split(|letter: char| !letter.is_ascii_alphanumeric()).filter(|word| !word.is_empty()).collect();
    let id: String = words.join("_").chars().take(48).collect();
    if id.is_empty() { "ivr_new".to_owned() } else { format!("ivr_{id}") }
}

#[cfg(test)]
mod tests {
    use vestibule_config::document::{self, Key, Kind};

    #[test]
    fn what_a_new_ivr_begins_with_can_be_read() {
        for begin in ["", "menu", "queue"] {
            let body = super::beginning("New", begin);
            document::read(&Key::new(Kind::Ivrs, "ivr_new"), &body)
                .unwrap_or_else(|fault| panic!("{begin}: {fault}"));
        }
    }

    #[test]
    fn ids_come_out_of_names() {
        assert_eq!(super::id_of("Main line & more"), "ivr_main_line_more");
        assert_eq!(super::id_of("☎"), "ivr_new");
    }
}
