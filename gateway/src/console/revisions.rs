//! What is not published, and what was: review, publish, discard, compare, roll back.

use askama::Template;
use axum::{
    Router,
    body::Bytes,
    extract::{Path, Query},
    http::{Method, StatusCode},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use serde::Deserialize;
use serde_json::{Value, json};

mod requests;

use super::{
    Console, Refused,
    ask::{Desk, Shown},
    form::{Faults, Finding, Form},
    page,
    shell::Shell,
    words::When,
};
use crate::identity::permission::Permission;

pub(super) fn routes() -> Router<Console> {
    Router::new()
        .route("/console/revisions", get(show))
        .route("/console/revisions/publish", post(publish))
        .route("/console/revisions/discard", post(discard))
        .route("/console/revisions/{number}", get(show_one))
        .route("/console/revisions/{number}/restore", post(restore))
        .merge(requests::routes())
}

/// Changes of the draft shown with their bodies; more are counted.
const CHANGES_SHOWN: usize = 200;

#[derive(Deserialize)]
struct Changes {
    version: u64,
    changes: Vec<RawChange>,
}

#[derive(Deserialize)]
struct RawChange {
    key: Key,
    body: Value,
    #[serde(default)]
    active: Value,
}

#[derive(Clone, Debug, Deserialize)]
struct Key {
    kind: String,
    id: String,
}

/// One object that differs.
struct Change {
    section: String,
    id: String,
    /// `added`, `changed` or `removed`.
    what: &'static str,
    before: String,
    after: String,
}

#[derive(Deserialize)]
struct Verdict {
    publishable: bool,
    diagnostics: Vec<Finding>,
}

#[derive(Clone, Debug, Deserialize)]
struct Revision {
    number: u64,
    author: String,
    note: String,
    created: When,
    restores: Option<u64>,
    #[serde(default)]
    changes: u64,
    #[serde(default)]
    approved_by: Option<String>,
}

#[derive(Deserialize)]
struct Revisions {
    revisions: Vec<Revision>,
    next: Option<u64>,
}

#[derive(Deserialize)]
struct Page {
    before: Option<u64>,
}

#[derive(Template)]
#[template(path = "revisions.html")]
struct RevisionsPage {
    shell: Shell,
    changes: Vec<Change>,
    more: usize,
    version: u64,
    publishable: bool,
    errors: Vec<Finding>,
    warnings: Vec<Finding>,
    impact: Vec<String>,
    note: String,
    faults: Faults,
    revisions: Vec<Revision>,
    older: Option<u64>,
    active: u64,
    may_publish: bool,
    waiting: requests::Waiting,
}

async fn show(desk: Desk, Query(page): Query<Page>) -> Shown {
    drawn(&desk, page.before, "", Faults::default()).await
}

async fn drawn(desk: &Desk, before: Option<u64>, note: &str, faults: Faults) -> Shown {
    let shell = desk.shell(None, "Revisions").await?;
    let draft: Changes = desk.get("/api/v1/routing/draft/changes").await?;
    let total = draft.changes.len();
    let mut changes = Vec::new();
    for change in draft.changes.into_iter().take(CHANGES_SHOWN) {
        changes.push(change.into());
    }
    let verdict = match total {
        0 => Verdict { publishable: false, diagnostics: Vec::new() },
        _ => {
            let said = desk.send(Method::POST, "/api/v1/routing/validate", None).await?;
            serde_json::from_value(said).map_err(|error| {
                Refused::new(500, "answer_unreadable", error.to_string(), "Report it with the gateway's log.")
            })?
        }
    };
    let path = match before {
        Some(before) => format!("/api/v1/routing/revisions?limit=20&before={before}"),
        None => "/api/v1/routing/revisions?limit=20".to_owned(),
    };
    let list: Revisions = desk.get(&path).await?;
    let full = list.revisions.len() >= 20;
    let waiting = requests::waiting(desk).await?;
    let (errors, warnings) = verdict.diagnostics.into_iter().partition(Finding::is_error);
    let status = if faults.any() { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK };
    let page = page::shown(RevisionsPage {
        impact: if total == 0 { Vec::new() } else { impact(desk, &changes).await? },
        active: shell.revision,
        shell,
        more: total - changes.len(),
        changes,
        version: draft.version,
        publishable: verdict.publishable,
        errors,
        warnings,
        note: note.to_owned(),
        faults,
        revisions: list.revisions,
        older: list.next.filter(|_| full),
        may_publish: desk.may(Permission::RoutingPublish),
        waiting,
    });
    Ok((status, page).into_response())
}

impl From<RawChange> for Change {
    fn from(RawChange { key, body, active }: RawChange) -> Self {
        let what = match (active.is_null(), body.is_null()) {
            (_, true) => "removed",
            (true, false) => "added",
            (false, false) => "changed",
        };
        Self { section: key.kind, id: key.id, what, before: pretty(&active), after: pretty(&body) }
    }
}

/// A body as text; nothing for none.
fn pretty(value: &Value) -> String {
    if value.is_null() { String::new() } else { serde_json::to_string_pretty(value).unwrap_or_default() }
}

/// Who will notice a publish: calls that go on, and those who wait.
async fn impact(desk: &Desk, changes: &[Change]) -> Result<Vec<String>, Refused> {
    #[derive(Deserialize)]
    struct Inbox {
        name: String,
        waiting: usize,
    }
    #[derive(Deserialize)]
    struct Inboxes {
        inboxes: Vec<Inbox>,
    }
    #[derive(Deserialize)]
    struct Live {
        contacts: Vec<Value>,
    }
    let live: Option<Live> = desk.find("/api/v1/contacts?state=live&channel=voice&limit=500").await?;
    let calls = live.map_or(0, |live| live.contacts.len());
    let inboxes: Option<Inboxes> = desk.find("/api/v1/inboxes").await?;
    let waiting = inboxes.map_or_else(Vec::new, |list| list.inboxes);
    let mut said = vec![match calls {
        0 => "No call is in progress: nobody notices the moment of the change.".to_owned(),
        1 => "1 call is in progress. It keeps the routing that it arrived under until it ends.".to_owned(),
        calls => format!(
            "{calls} calls are in progress. They keep the routing that they arrived under until they end."
        ),
    }];
    for inbox in waiting.iter().filter(|inbox| inbox.waiting > 0) {
        said.push(match inbox.waiting {
            1 => format!("1 caller waits in {}, and stays in the queue.", inbox.name),
            waiting => format!("{waiting} callers wait in {}, and stay in their queue.", inbox.name),
        });
    }
    let of = |kind: &str| changes.iter().filter(|change| change.section == kind).count();
    for (kind, one, many) in [
        ("numbers", "number is", "numbers are"),
        ("ivrs", "IVR is", "IVRs are"),
        ("entry_points", "entry point is", "entry points are"),
        ("inboxes", "inbox is", "inboxes are"),
        ("trunks", "trunk is", "trunks are"),
    ] {
        match of(kind) {
            0 => {}
            1 => said.push(format!("1 {one} different for contacts that arrive afterwards.")),
            count => said.push(format!("{count} {many} different for contacts that arrive afterwards.")),
        }
    }
    Ok(said)
}

async fn publish(desk: Desk, body: Bytes) -> Shown {
    let form = Form::read(&body);
    let note = form.trimmed("note").to_owned();
    let tag = format!("\"{}\"", form.trimmed("version"));
    let wanted = json!({"note": note});
    match desk.send_if(Method::POST, "/api/v1/routing/publish", Some(&wanted), &tag).await {
        Ok(published) => Ok(page::done("/console/revisions", &requests::words(&published, "is active"))),
        Err(refused) => {
            let faults = Faults::of(&refused, "", "", &["note"]);
            drawn(&desk, None, &note, faults).await
        }
    }
}

async fn discard(desk: Desk, body: Bytes) -> Response {
    let tag = format!("\"{}\"", Form::read(&body).trimmed("version"));
    let came = desk.send_if(Method::DELETE, "/api/v1/routing/draft", None, &tag).await.map(drop);
    page::after("/console/revisions", came, "The draft is empty: everything is as published.")
}

#[derive(Template)]
#[template(path = "revision.html")]
struct RevisionPage {
    shell: Shell,
    number: u64,
    revision: Option<Revision>,
    changes: Vec<Change>,
    active: u64,
    may_publish: bool,
}

#[derive(Deserialize)]
struct Differences {
    differences: Vec<Difference>,
}

#[derive(Deserialize)]
struct Difference {
    key: Key,
    #[serde(default)]
    before: Value,
    #[serde(default)]
    after: Value,
}

async fn show_one(desk: Desk, Path(number): Path<u64>) -> Shown {
    let shell = desk.shell(None, format!("Revision {number}")).await?;
    let list: Revisions =
        desk.get(&format!("/api/v1/routing/revisions?limit=1&before={}", number.saturating_add(1))).await?;
    let revision = list.revisions.into_iter().find(|revision| revision.number == number);
    let before = number.saturating_sub(1);
    let path = format!("/api/v1/routing/diff?from={before}&to={number}");
    let differences = match before {
        0 => Vec::new(),
        _ => desk.find::<Differences>(&path).await?.map_or_else(Vec::new, |found| found.differences),
    };
    let changes = differences.into_iter().take(CHANGES_SHOWN).map(|one| Change {
        section: one.key.kind,
        id: one.key.id,
        what: match (one.before.is_null(), one.after.is_null()) {
            (true, _) => "added",
            (_, true) => "removed",
            _ => "changed",
        },
        before: pretty(&one.before),
        after: pretty(&one.after),
    });
    let active = shell.revision;
    let changes = changes.collect();
    let page = RevisionPage {
        shell,
        number,
        revision,
        changes,
        active,
        may_publish: desk.may(Permission::RoutingPublish),
    };
    Ok(page::shown(page))
}

async fn restore(desk: Desk, Path(number): Path<u64>, body: Bytes) -> Response {
    let note = Form::read(&body).trimmed("note").to_owned();
    let path = format!("/api/v1/routing/revisions/{number}/restore");
    match desk.send(Method::POST, &path, Some(&json!({"note": note}))).await {
        Ok(came) => {
            page::done("/console/revisions", &requests::words(&came, &format!("restores revision {number}")))
        }
        Err(refused) => page::not_done("/console/revisions", &refused),
    }
}
