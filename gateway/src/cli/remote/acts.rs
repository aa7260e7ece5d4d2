//! The acts, each one or a few requests.

use std::{io::Write as _, path::Path};

use anyhow::Context as _;
use jiff::Timestamp;
use reqwest::Method;
use serde_json::{Map, Value, json};

use super::{
    ContactAct, IvrAct, NotDone, Remote, RoutingAct,
    api::Api,
    table::{cell, print},
};
use crate::cli::{identity_tools::KeysCommand, say};

type Done = Result<(), NotDone>;

/// Carries an act out.
pub(super) async fn carry_out(api: &Api, act: Remote) -> Done {
    match act {
        Remote::Status => status(api).await,
        Remote::Numbers => {
            let rows = api.all("/api/v1/numbers", "numbers").await?;
            listed(api, rows, &["number", "state", "initial_ivr", "queue_ivr", "inbox", "sms/state"])
        }
        Remote::Routing(act) => routing(api, act).await,
        Remote::Ivrs(act) => ivrs(api, act).await,
        Remote::Contacts(act) => contacts(api, act).await,
        Remote::Arm { entry_points } => arm(api, entry_points, true).await,
        Remote::Disarm { entry_points } => arm(api, entry_points, false).await,
    }
}

/// Rows in columns named by their fields; or as they are.
fn listed(api: &Api, rows: Vec<Value>, fields: &[&str]) -> Done {
    if api.json {
        return raw(&Value::from(rows));
    }
    let heads: Vec<String> = fields.iter().map(|field| field.to_uppercase().replace('/', "_")).collect();
    let heads: Vec<&str> = heads.iter().map(String::as_str).collect();
    let rows: Vec<Vec<String>> =
        rows.iter().map(|row| fields.iter().map(|field| cell(row, field)).collect()).collect();
    print(&heads, &rows);
    Ok(())
}

fn raw(value: &Value) -> Done {
    say(&serde_json::to_string_pretty(value).context("the answer cannot be written")?);
    Ok(())
}

async fn status(api: &Api) -> Done {
    let routing = api.get("/api/v1/routing").await?;
    let inboxes = api.get("/api/v1/inboxes").await?;
    let live = api.get("/api/v1/contacts?state=live&limit=500").await?;
    // It answers 503 with a reason while no calls are taken.
    let ready = match api.ask(Method::GET, "/readyz", ("*/*", None)).await {
        Ok(_) => None,
        Err(NotDone::Refused { sentence, .. }) => Some(sentence),
        Err(error) => return Err(error),
    };
    let contacts = live["contacts"].as_array().map_or(0, Vec::len);
    let rows = inboxes["inboxes"].as_array().cloned().unwrap_or_default();
    if api.json {
        raw(&json!({
            "ready": ready.is_none(), "not_ready_because": ready, "routing": routing, "contacts_live": contacts,
            "inboxes": rows,
        }))?;
    } else {
        say(&format!("calls      {}", ready.as_deref().unwrap_or("taken")));
        say(&format!("revision   {}, {} unpublished changes", routing["revision"], routing["draft_changes"]));
        let more = if live["next"].is_null() { "" } else { " or more" };
        say(&format!("contacts   {contacts}{more} go on"));
        say("");
        listed(api, rows, &["id", "name", "waiting", "agents_available"])?;
    }
    if ready.is_some() { Err(NotDone::Unsound) } else { Ok(()) }
}

async fn routing(api: &Api, act: RoutingAct) -> Done {
    match act {
        RoutingAct::Validate { document } => validate(api, document.as_deref()).await,
        RoutingAct::Diff { from, to } => diff(api, from.zip(to)).await,
        RoutingAct::Export { revision } => {
            let revision = match revision {
                Some(revision) => revision.to_string(),
                None => api.get("/api/v1/routing").await?["revision"].to_string(),
            };
            yaml(api, &format!("/api/v1/routing/revisions/{revision}")).await
        }
        RoutingAct::Import { document } => {
            let body = Some(("application/yaml", read(&document)?));
            api.ask(Method::PUT, "/api/v1/routing/draft", ("application/json", body)).await?;
            say("it stands in the draft; `vestibule routing publish --note …` makes it active");
            Ok(())
        }
        RoutingAct::Publish { note } => published(
            api,
            &api.send(Method::POST, "/api/v1/routing/publish", &json!({ "note": note })).await?,
        ),
        RoutingAct::Revisions { limit } => {
            let mut page = api.get(&format!("/api/v1/routing/revisions?limit={limit}")).await?;
            let rows = page["revisions"].as_array_mut().map(std::mem::take).unwrap_or_default();
            listed(api, rows, &["number", "created", "author", "changes", "note"])
        }
        RoutingAct::Rollback { revision, note } => {
            let path = format!("/api/v1/routing/revisions/{revision}/restore");
            published(api, &api.send(Method::POST, &path, &json!({ "note": note })).await?)
        }
        RoutingAct::Simulate { to, from, at, keys, revision } => {
            simulate(api, (to, from), (at, &keys), revision).await
        }
    }
}

async fn validate(api: &Api, document: Option<&Path>) -> Done {
    let body = document.map(read).transpose()?.unwrap_or_default();
    let body = Some(("application/yaml", body));
    let answer = api.ask(Method::POST, "/api/v1/routing/validate", ("application/json", body)).await?;
    let answer: Value = serde_json::from_slice(&answer).context("the answer is no JSON")?;
    if api.json {
        raw(&answer)?;
    } else {
        for finding in answer["diagnostics"].as_array().into_iter().flatten() {
            let [severity, code, path, sentence] =
                ["severity", "code", "path", "sentence"].map(|field| cell(finding, field));
            say(&format!("{severity} {code} {path}: {sentence}"));
        }
        say(if answer["publishable"] == true { "it can be published" } else { "it cannot be published" });
    }
    if answer["publishable"] == true { Ok(()) } else { Err(NotDone::Unsound) }
}

async fn diff(api: &Api, revisions: Option<(u64, u64)>) -> Done {
    let (path, rows) = match revisions {
        Some((from, to)) => (format!("/api/v1/routing/diff?from={from}&to={to}"), "differences"),
        None => ("/api/v1/routing/draft/changes".to_owned(), "changes"),
    };
    let answer = api.get(&path).await?;
    if api.json {
        return raw(&answer);
    }
    let changes = answer[rows].as_array().cloned().unwrap_or_default();
    if changes.is_empty() {
        say("nothing differs");
    }
    for change in &changes {
        // The draft's changes say `active` and `body` for what two revisions call `before` and `after`.
        let side = |names: [&str; 2]| names.iter().map(|name| &change[*name]).find(|value| !value.is_null());
        let (before, after) = (side(["before", "active"]), side(["after", "body"]));
        let what = match (before, after) {
            (None, _) => "added",
            (_, None) => "removed",
            _ => "changed",
        };
        say(&format!("{what} {}/{}", cell(change, "key/kind"), cell(change, "key/id")));
        let none = json!({});
        let differs = vestibule_config::store::differences(before.unwrap_or(&none), after.unwrap_or(&none));
        for one in differs.iter().filter(|_| what == "changed") {
            let text = |value: &Option<Value>| value.as_ref().map_or("nothing".to_owned(), Value::to_string);
            say(&format!("  {}: {} -> {}", one.path, text(&one.before), text(&one.after)));
        }
    }
    Ok(())
}

async fn simulate(
    api: &Api,
    (to, from): (String, Option<String>),
    (at, keys): (Option<Timestamp>, &str),
    revision: Option<u64>,
) -> Done {
    let mut pressed = Map::new();
    for pair in keys.split(',').filter(|pair| !pair.trim().is_empty()) {
        let (second, key) = pair
            .trim()
            .split_once(':')
            .with_context(|| format!("\"{pair}\" is not SECOND:KEY, such as 7:2"))?;
        pressed.insert(second.to_owned(), key.into());
    }
    let mut call = json!({"to": to, "keys": pressed});
    if let Some(from) = from {
        call["from"] = from.into();
    }
    if let Some(at) = at {
        call["at"] = at.to_string().into();
    }
    let revision = revision.map(|revision| format!("?revision={revision}")).unwrap_or_default();
    let answer = api.send(Method::POST, &format!("/api/v1/routing/simulate{revision}"), &call).await?;
    raw(&answer)
}

async fn ivrs(api: &Api, act: IvrAct) -> Done {
    match act {
        IvrAct::List => {
            let mut answer = api.get("/api/v1/ivrs").await?;
            let rows = answer["ivrs"].as_array_mut().map(std::mem::take).unwrap_or_default();
            listed(api, rows, &["id", "status", "kind", "errors", "warnings", "numbers", "calls", "name"])
        }
        IvrAct::Export { id, draft } => {
            let draft = if draft { "?draft=true" } else { "" };
            yaml(api, &format!("/api/v1/ivrs/{}{draft}", encoded(&id))).await
        }
        IvrAct::Import { id, document } => {
            let body = Some(("application/yaml", read(&document)?));
            let path = format!("/api/v1/ivrs/{}", encoded(&id));
            api.ask(Method::PUT, &path, ("application/json", body)).await?;
            say("it stands in the draft; `vestibule routing publish --note …` makes it active");
            Ok(())
        }
    }
}

async fn contacts(api: &Api, act: ContactAct) -> Done {
    match act {
        ContactAct::List { live, channel, address, limit } => {
            let mut query = form_urlencoded::Serializer::new(String::new());
            query.append_pair("limit", &limit.to_string());
            if live {
                query.append_pair("state", "live");
            }
            for (name, value) in [("channel", channel), ("address", address)] {
                if let Some(value) = value {
                    query.append_pair(name, &value);
                }
            }
            let mut page = api.get(&format!("/api/v1/contacts?{}", query.finish())).await?;
            let rows = page["contacts"].as_array_mut().map(std::mem::take).unwrap_or_default();
            listed(api, rows, &["id", "state", "channel", "from", "to", "arrived", "inbox", "outcome/reason"])
        }
        ContactAct::Show { id } => {
            let answer = api.get(&format!("/api/v1/contacts/{}", encoded(&id))).await?;
            if api.json {
                return raw(&answer);
            }
            let fields = [
                "id",
                "state",
                "channel",
                "from",
                "to",
                "arrived",
                "answered",
                "ended",
                "entry_point",
                "ivr",
                "inbox",
                "revision",
                "outcome/side",
                "outcome/reason",
            ];
            // The facts of a contact stand in the answer itself, or under its name.
            let facts = if answer["contact"].is_object() { &answer["contact"] } else { &answer };
            let rows: Vec<Vec<String>> =
                fields.iter().map(|field| vec![(*field).to_owned(), cell(facts, field)]).collect();
            print(&["FIELD", "VALUE"], &rows);
            say("");
            raw(&answer["trace"])
        }
    }
}

async fn arm(api: &Api, entry_points: Vec<String>, armed: bool) -> Done {
    let wanted = json!({"entry_points": entry_points, "armed": armed});
    let answer = api.send(Method::POST, "/api/v1/entry-points/arm", &wanted).await?;
    if api.json {
        return raw(&answer);
    }
    let words = if armed { "armed" } else { "disarmed" };
    let done = &answer["done"];
    say(&match done["revision"].as_u64() {
        Some(revision) => format!("{words} by revision {revision}"),
        None => format!("they were {words} already"),
    });
    Ok(())
}

/// The keys of a gateway that is elsewhere.
pub(super) async fn keys(api: &Api, act: KeysCommand) -> Done {
    match act {
        KeysCommand::List => {
            let rows = api.all("/api/v1/keys", "keys").await?;
            listed(api, rows, &["id", "name", "roles", "created_by", "expires", "last_used"])
        }
        KeysCommand::Revoke { id } => {
            api.send(Method::DELETE, &format!("/api/v1/keys/{}", encoded(&id)), &Value::Null).await?;
            Ok(())
        }
        KeysCommand::Add { name, role, permission, days } => {
            let expires = days
                .map(|days| {
                    Timestamp::now().checked_add(jiff::SignedDuration::from_hours(24 * i64::from(days)))
                })
                .transpose()
                .context("so many days are too many")?;
            let wanted = json!({"name": name, "roles": role, "permissions": permission, "expires": expires});
            let made = api.send(Method::POST, "/api/v1/keys", &wanted).await?;
            if api.json {
                return raw(&made);
            }
            say(&cell(&made, "secret"));
            Ok(())
        }
    }
}

fn published(api: &Api, answer: &Value) -> Done {
    if let Some(request) = answer["request"]["id"].as_u64() {
        return Err(NotDone::AwaitsSecond(request));
    }
    if api.json {
        return raw(answer);
    }
    say(&format!("revision {} is active", answer["revision"]["number"]));
    Ok(())
}

/// Writes a document as it is.
async fn yaml(api: &Api, path: &str) -> Done {
    let accept = if api.json { "application/json" } else { "application/yaml" };
    let document = api.ask(Method::GET, path, (accept, None)).await?;
    Ok(std::io::stdout().write_all(&document).context("the standard output is closed")?)
}

fn read(path: &Path) -> Result<Vec<u8>, NotDone> {
    Ok(std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?)
}

/// A name as a part of a path.
fn encoded(name: &str) -> String {
    form_urlencoded::byte_serialize(name.as_bytes()).collect::<String>().replace('+', "%20")
}
