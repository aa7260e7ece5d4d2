//! What is shown of an entry point, and the list of all.

use std::sync::Arc;

use axum::extract::State;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;
use vestibule_config::{
    active::ActiveRouting,
    document::{EntryPointDoc, EntryPointRef, channel as channel_named},
    store::EntryPointFilter,
};
use vestibule_routing::{address::Address, channel::Channel, plan::node::Node};

use crate::api::{
    AppState,
    extract::Query,
    problem::{ApiResult, Problem},
    routing::blocking,
};

/// Entry points that one request looks at when it filters: a longer search goes on with the next page.
const LOOKED_AT_MAX: usize = 20_000;

/// Entry points read from the store at once.
const READ_AT_ONCE: usize = 1_000;

/// What can be set of an entry point.
#[derive(Debug, Deserialize, ToSchema)]
#[expect(dead_code, reason = "describes the body; the store reads it")]
pub(in crate::api) struct EntryPointBody {
    /// The exception: this inbox in place of the channel's default.
    inbox: Option<String>,
    /// SLA in minutes, in place of the inbox's.
    #[schema(minimum = 1)]
    sla_minutes: Option<u32>,
    /// Whether contacts are let in.
    armed: Option<bool>,
}

/// An entry point.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(in crate::api) struct EntryPointView {
    /// Its name, `voice/+14155550100`.
    id: String,
    /// The channel.
    channel: Channel_,
    /// The address; for exits of IVRs `ivr/exit`.
    address: String,
    /// What people call it: of an exit its IVR, of a chat app its name.
    label: Option<String>,
    /// The inbox that it leads to; null when the channel has no default.
    inbox: Option<String>,
    /// What people call the inbox.
    inbox_name: Option<String>,
    /// `exception` or `default`.
    because: &'static str,
    /// The SLA that holds, in minutes.
    sla_minutes: Option<u32>,
    /// `entry_point` or `inbox`: whose SLA that is.
    sla_of: &'static str,
    /// Whether contacts are let in.
    armed: bool,
    /// The Initial IVR that calls to it enter first.
    initial_ivr: Option<String>,
    /// The Queue IVR that its callers hear.
    queue_ivr: Option<String>,
}

type Channel_ = String;

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ListQuery {
    /// Entry points behind this one: the `next` of the page before.
    after: Option<String>,
    /// At most so many.
    #[serde(default = "fifty")]
    #[param(minimum = 1, maximum = 500, default = 50)]
    limit: usize,
    /// Of this channel only.
    channel: Option<String>,
    /// Those that lead to this inbox.
    inbox: Option<String>,
    /// Those that are armed, or are not.
    armed: Option<bool>,
    /// Those whose inbox is an exception, or is the channel's default.
    exception: Option<bool>,
    /// Those whose name or label holds this text, in any case.
    text: Option<String>,
}

/// List entry points: those that somebody set up, and those that are there by themselves.
#[utoipa::path(get, path = "/api/v1/entry-points", security(("key" = ["routing.read"])), tag = "entry-points", params(ListQuery), responses(
    (status = 200, description = "A page of entry points. A page of a search may be short, and still have a `next`.", body = Object),
    (status = 400, description = "A parameter is wrong.", body = Problem, content_type = "application/problem+json"),
))]
pub(super) async fn list_entry_points(
    State(state): State<AppState>,
    Query(query): Query<ListQuery>,
) -> ApiResult<axum::Json<Value>> {
    if !(1..=500).contains(&query.limit) {
        return Err(Problem::bad_request(format!("`limit` is {}, not 1 to 500.", query.limit)));
    }
    let channel = match query.channel.as_deref() {
        Some(name) => Some(
            channel_named(name)
                .ok_or_else(|| Problem::bad_request(format!("There is no channel {name}.")))?,
        ),
        None => None,
    };
    let active = state.store.active().load();
    let (entry_points, next) = blocking(&state, move |store| {
        let wanted = Wanted::new(&query);
        let (mut found, mut looked_at) = (Vec::new(), 0);
        let mut after = query.after.clone().unwrap_or_default();
        let at_once = if wanted.is_all() { query.limit } else { READ_AT_ONCE };
        loop {
            let rows = store.entry_points(&after, EntryPointFilter { channel }, at_once)?;
            let ended = rows.len() < at_once;
            for row in rows {
                looked_at += 1;
                after.clone_from(&row.id);
                let Ok(reference) = EntryPointRef::parse(&row.id) else { continue };
                let body: EntryPointDoc =
                    row.body.and_then(|body| serde_json::from_value(body).ok()).unwrap_or_default();
                let view = view(&active, &reference, &body);
                if wanted.holds(&view) {
                    found.push(view);
                    if found.len() == query.limit {
                        return Ok((found, Some(after)));
                    }
                }
            }
            if ended {
                return Ok((found, None));
            }
            if looked_at >= LOOKED_AT_MAX {
                return Ok((found, Some(after)));
            }
        }
    })
    .await?;
    Ok(axum::Json(json!({ "entry_points": entry_points, "next": next })))
}

struct Wanted {
    inbox: Option<String>,
    armed: Option<bool>,
    exception: Option<bool>,
    text: Option<String>,
}

impl Wanted {
    fn new(query: &ListQuery) -> Self {
        Self {
            inbox: query.inbox.clone(),
            armed: query.armed,
            exception: query.exception,
            text: query.text.as_deref().map(str::to_lowercase),
        }
    }

    fn is_all(&self) -> bool {
        self.inbox.is_none() && self.armed.is_none() && self.exception.is_none() && self.text.is_none()
    }

    fn holds(&self, view: &EntryPointView) -> bool {
        let has = |text: &str| {
            let label = view.label.as_deref().unwrap_or_default();
            view.id.to_lowercase().contains(text) || label.to_lowercase().contains(text)
        };
        self.inbox.as_ref().is_none_or(|inbox| view.inbox.as_ref() == Some(inbox))
            && self.armed.is_none_or(|armed| view.armed == armed)
            && self.exception.is_none_or(|exception| (view.because == "exception") == exception)
            && self.text.as_deref().is_none_or(has)
    }
}

/// An entry point under a routing.
pub(super) fn view(
    active: &ActiveRouting,
    reference: &EntryPointRef,
    body: &EntryPointDoc,
) -> EntryPointView {
    let plan = &active.plan;
    let inbox = body.inbox.as_ref().or_else(|| plan.default_inboxes.get(&reference.channel));
    let settings = inbox.and_then(|inbox| plan.inbox(inbox));
    let number = match (&reference.address, reference.channel) {
        (Address::Number(number), Channel::Voice) => plan.numbers.get(number),
        _ => None,
    };
    let id = reference.to_string();
    let (channel, address) = id.split_once('/').unwrap_or((id.as_str(), ""));
    EntryPointView {
        channel: channel.to_owned(),
        address: address.to_owned(),
        label: label(active, reference),
        inbox: inbox.map(ToString::to_string),
        inbox_name: settings.map(|inbox| inbox.name.clone()),
        because: if body.inbox.is_some() { "exception" } else { "default" },
        sla_minutes: body.sla_minutes.or_else(|| settings.map(|inbox| inbox.sla_minutes)),
        sla_of: if body.sla_minutes.is_some() { "entry_point" } else { "inbox" },
        armed: body.armed != Some(false),
        initial_ivr: number.and_then(|voice| voice.initial_ivr.as_ref()).map(ToString::to_string),
        queue_ivr: number.and_then(|voice| voice.queue_ivr.as_ref()).map(ToString::to_string),
        id,
    }
}

fn label(active: &ActiveRouting, reference: &EntryPointRef) -> Option<String> {
    if let Some((ivr, exit)) = reference.exit() {
        return active.plan.ivrs.get(&ivr).map(|ivr| format!("{}: {exit}", ivr.name));
    }
    match (&reference.address, reference.channel) {
        (Address::Text(id), Channel::Chat) => {
            active.chat_apps.get(&(&**id).into()).map(|app| app.name.clone())
        }
        _ => None,
    }
}

/// Whether an entry point is there without that anybody set it up.
pub(super) fn is_by_itself(state: &AppState, reference: &EntryPointRef) -> bool {
    let active: Arc<ActiveRouting> = state.store.active().load();
    match (&reference.address, reference.channel) {
        (Address::Number(number), Channel::Voice) => {
            active.plan.numbers.get(number).is_some_and(|voice| voice.active)
        }
        (Address::Number(number), Channel::Sms) => state.store.carries_sms(*number),
        (Address::Text(id), Channel::Chat) => active.chat_apps.get(&(&**id).into()).is_some(),
        _ => reference.exit().is_some_and(|(ivr, exit)| {
            let mut nodes = active.plan.ivrs.get(&ivr).into_iter().flat_map(|ivr| ivr.nodes());
            nodes.any(|(id, node)| *id == exit && matches!(node, Node::Exit {}))
        }),
    }
}

fn fifty() -> usize {
    50
}
