//! The default inboxes of channels, and how many entry points follow them.

use std::{collections::BTreeMap, sync::Arc};

use axum::{
    extract::State,
    http::HeaderMap,
    response::{IntoResponse, Response},
};
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};
use vestibule_config::{
    active::ActiveRouting,
    document::{Key, Kind, channel as channel_named, channel_name},
    store::Store,
};
use vestibule_routing::{address::Address, channel::Channel, id::IvrId, plan::node::Node};

use crate::api::{
    AppState,
    acts::{How, act, if_unchanged, with_tag},
    extract::{Actor, Json, Path, Query},
    problem::{ApiResult, Problem},
    routing::blocking,
};

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(list_channels)).routes(routes!(read_default_inbox, put_default_inbox))
}

/// A channel's section of the entry points.
#[derive(Debug, Serialize, ToSchema)]
struct ChannelView {
    /// The channel.
    channel: &'static str,
    /// Its default inbox.
    default_inbox: Option<String>,
    /// Whether it names that itself; otherwise it is the document's `settings.default_inbox`.
    own: bool,
    /// Its entry points.
    entry_points: usize,
    /// Those that follow the default: what is left for exceptions.
    left: usize,
    /// Exceptions by inbox.
    exceptions: Vec<ExceptionView>,
}

/// Entry points that lead to another inbox than the channel's default.
#[derive(Debug, Serialize, ToSchema)]
struct ExceptionView {
    /// The inbox.
    inbox: String,
    /// How many lead there.
    entry_points: usize,
}

/// All channels.
#[derive(Debug, Serialize, ToSchema)]
struct ChannelList {
    /// In the order of the reference.
    channels: Vec<ChannelView>,
}

/// A channel's default inbox.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct DefaultInbox {
    /// The inbox, `ib_…`.
    inbox: String,
}

/// List the channels: their default inboxes, and how many of their entry points are exceptions.
#[utoipa::path(get, path = "/api/v1/channels", security(("key" = ["routing.read"])), tag = "entry-points", responses(
    (status = 200, description = "Every channel.", body = ChannelList),
))]
async fn list_channels(State(state): State<AppState>) -> ApiResult<axum::Json<ChannelList>> {
    let channels = blocking(&state, |store| Ok(count(store))).await?;
    Ok(axum::Json(ChannelList { channels }))
}

/// Read a channel's default inbox.
#[utoipa::path(get, path = "/api/v1/channels/{channel}/default-inbox", security(("key" = ["routing.read"])), tag = "entry-points",
    params(("channel" = String, Path, description = "`voice`, `sms`, `chat`, `email`, `ivr` …")),
    responses(
        (status = 200, description = "The inbox; the ETag names the revision that changed it last.", body = DefaultInbox),
        (status = 404, description = "There is no such channel.", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn read_default_inbox(
    State(state): State<AppState>,
    Path(channel): Path<String>,
) -> ApiResult<Response> {
    let (channel, key) = parse(&channel)?;
    let live = blocking(&state, move |store| store.live(&key)).await?;
    let active = state.store.active().load();
    let inbox = active.plan.default_inboxes.get(&channel).map(ToString::to_string).unwrap_or_default();
    Ok(with_tag(live.since, axum::Json(DefaultInbox { inbox }).into_response()))
}

/// Name a channel's default inbox.
#[utoipa::path(put, path = "/api/v1/channels/{channel}/default-inbox", security(("key" = ["routing.publish"])), tag = "entry-points",
    params(
        ("channel" = String, Path, description = "The channel"), How,
        ("If-Match" = Option<String>, Header, description = "The ETag that was read"),
    ),
    request_body = DefaultInbox,
    responses(
        (status = 200, description = "What came of it.", body = Object),
        (status = 404, description = "There is no such channel.", body = Problem, content_type = "application/problem+json"),
        (status = 412, description = "Somebody else changed it since it was read.", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "There is no such inbox; nothing was changed.", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn put_default_inbox(
    State(state): State<AppState>,
    Actor(author): Actor,
    Path(channel): Path<String>,
    Query(how): Query<How>,
    headers: HeaderMap,
    Json(DefaultInbox { inbox }): Json<DefaultInbox>,
) -> ApiResult<axum::Json<serde_json::Value>> {
    let (channel, key) = parse(&channel)?;
    let expected = if_unchanged(&headers)?;
    let note = format!("Default inbox of {}: {inbox}", channel_name(channel));
    let done = act(&state, author, (how, note), move |reader| {
        reader.live_at(&key, expected)?;
        Ok(BTreeMap::from([(key.clone(), Some(json!({ "inbox": inbox })))]))
    })
    .await?;
    Ok(axum::Json(json!({ "done": done.value() })))
}

fn parse(name: &str) -> ApiResult<(Channel, Key)> {
    let channel = channel_named(name).ok_or_else(|| {
        Problem::new(
            axum::http::StatusCode::NOT_FOUND,
            "no_such_channel",
            format!("There is no channel {name}."),
            "List the channels to find it.",
        )
    })?;
    Ok((channel, Key::new(Kind::Channels, name)))
}

/// How many entry points there are, and how many lead elsewhere than the default.
#[derive(Default)]
struct Count {
    all: usize,
    exceptions: BTreeMap<String, usize>,
}

fn count(store: &Arc<Store>) -> Vec<ChannelView> {
    let active = store.active().load();
    let mut counts: BTreeMap<Channel, Count> = BTreeMap::new();
    for ((channel, address), entry_point) in &active.plan.entry_points {
        let count = counts.entry(*channel).or_default();
        if !counted_below(&active, store, *channel, address) {
            count.all += 1;
        }
        if let Some(inbox) = &entry_point.inbox {
            *count.exceptions.entry(inbox.to_string()).or_default() += 1;
        }
    }
    let voices = active.plan.numbers.values().filter(|voice| voice.active).count();
    counts.entry(Channel::Voice).or_default().all += voices;
    counts.entry(Channel::Sms).or_default().all += store.sms_numbers();
    counts.entry(Channel::Chat).or_default().all += active.chat_apps.len();
    let exits = active.plan.ivrs.values().flat_map(|ivr| ivr.nodes());
    counts.entry(Channel::Ivr).or_default().all +=
        exits.filter(|(_, node)| matches!(node, Node::Exit {})).count();
    let view = |channel: Channel| {
        let Count { all, exceptions } = counts.remove(&channel).unwrap_or_default();
        let excepted: usize = exceptions.values().sum();
        ChannelView {
            channel: channel_name(channel),
            default_inbox: active.plan.default_inboxes.get(&channel).map(ToString::to_string),
            own: active.names_default_inbox(channel),
            entry_points: all,
            left: all.saturating_sub(excepted),
            exceptions: exceptions
                .into_iter()
                .map(|(inbox, entry_points)| ExceptionView { inbox, entry_points })
                .collect(),
        }
    };
    Channel::ALL.into_iter().map(view).collect()
}

/// Whether an entry point that was set up is also there by itself, and so counted with those.
fn counted_below(active: &ActiveRouting, store: &Store, channel: Channel, address: &Address) -> bool {
    match (channel, address) {
        (Channel::Voice, Address::Number(number)) => {
            active.plan.numbers.get(number).is_some_and(|voice| voice.active)
        }
        (Channel::Sms, Address::Number(number)) => store.carries_sms(*number),
        (Channel::Chat, Address::Text(id)) => active.chat_apps.contains_key(&(&**id).into()),
        (Channel::Ivr, Address::Text(text)) => text.split_once('/').is_some_and(|(ivr, exit)| {
            let mut nodes = active.plan.ivrs.get(&IvrId::from(ivr)).into_iter().flat_map(|ivr| ivr.nodes());
            nodes.any(|(id, node)| id.as_str() == exit && matches!(node, Node::Exit {}))
        }),
        _ => false,
    }
}
