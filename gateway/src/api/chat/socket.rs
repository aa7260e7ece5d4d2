//! A visitor's socket: lines as they come, acknowledged when they are durable.
//!
//! ```text
//! visitor ► {"type":"message","id":…,"text":…,"files":[…]}   {"type":"typing"}
//! gateway ► {"type":"line",…}   {"type":"ack","id":…,"line":…}   {"type":"refused","id":…,"code":…}   {"type":"typing","by":…}
//! ```

use std::time::Duration;

use axum::{
    Extension,
    extract::{
        State,
        ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade},
    },
    http::{HeaderMap, header},
    response::Response,
};
use jiff::Timestamp;
use prometheus::IntGauge;
use rand::Rng as _;
use serde::{Deserialize, Serialize};
use tokio::{
    sync::OwnedSemaphorePermit,
    time::{Instant, timeout},
};

use super::{LineView, no_such_app, problem, told, too_many};
use crate::{
    api::{AppState, extract::Query, problem::ApiResult},
    chat::{
        App, LINES_AT_ONCE,
        rooms::{Member, Told},
        visitor::Visitor,
    },
};

/// The protocol that a socket speaks; the token follows it as a second one, since browsers let no header through.
const PROTOCOL: &str = "vestibule.chat.v1";
const TOKEN: &str = "token.";

/// Longest frame taken: the longest text with all of it escaped, and what stands around it.
const FRAME_BYTES_MAX: usize = 32 << 10;
/// Bytes that a socket reads at once, and keeps room for: most frames of people are shorter, others are read in pieces.
const READ_BUFFER: usize = 256;
/// How often a silent visitor is asked whether it is there.
const PING_EVERY: Duration = Duration::from_secs(25);
/// After this long without a word, not even to a ping, nobody is there.
const SILENT_MAX: Duration = Duration::from_secs(60);
/// How long a slow visitor may hold up what is to be told.
const SEND_WITHIN: Duration = Duration::from_secs(10);
/// Typing is passed on once in so long.
const TYPING_EVERY: Duration = Duration::from_secs(2);

/// Closed because the gateway stops (RFC 6455's registry: service restart): come again.
const RESTARTS: u16 = 1012;
/// A frame of a kind that we do not take.
const UNSUPPORTED: u16 = 1003;

#[derive(Debug, Deserialize)]
pub(super) struct Behind {
    /// The last line that the visitor has seen.
    #[serde(default)]
    after: u64,
}

pub(super) async fn open(
    State(state): State<AppState>,
    Extension(app): Extension<App>,
    Query(Behind { after }): Query<Behind>,
    headers: HeaderMap,
    upgrade: WebSocketUpgrade,
) -> ApiResult<Response> {
    let token = token_of(&headers).unwrap_or_default();
    let visitor = state
        .chats
        .visitor(&app, token, Timestamp::now())
        .map_err(|error| problem(&state.metrics.chat, error))?;
    let place = state.chats.place().ok_or_else(|| too_many(&state.metrics.chat))?;
    let upgrade = upgrade
        .protocols([PROTOCOL])
        .read_buffer_size(READ_BUFFER)
        .write_buffer_size(0)
        .max_message_size(FRAME_BYTES_MAX)
        .max_frame_size(FRAME_BYTES_MAX);
    let visit = Box::new(Visit {
        member: state.chats.join(visitor.thread()),
        _counted: Counted::new(state.metrics.chat.sockets.clone()),
        _place: place,
        state,
        visitor,
        after,
        heard: Instant::now(),
        typed: None,
    });
    Ok(upgrade.on_upgrade(move |socket| {
        // A task of its own: the one that waited keeps room for all that an upgrade takes, for as long as it lives.
        tokio::spawn(Talk::go_on(Box::new(Talk { socket, visit })));
        std::future::ready(())
    }))
}

/// Counts a socket for as long as it is there.
struct Counted(IntGauge);

impl Counted {
    fn new(gauge: IntGauge) -> Self {
        gauge.inc();
        Self(gauge)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.dec();
    }
}

fn token_of(headers: &HeaderMap) -> Option<&str> {
    let named = headers.get_all(header::SEC_WEBSOCKET_PROTOCOL).iter();
    named
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .find_map(|protocol| protocol.trim().strip_prefix(TOKEN))
}

/// What is known of who is connected.
struct Visit {
    state: AppState,
    visitor: Visitor,
    member: Member,
    after: u64,
    heard: Instant,
    typed: Option<Instant>,
    _counted: Counted,
    _place: OwnedSemaphorePermit,
}

struct Talk {
    socket: WebSocket,
    visit: Box<Visit>,
}

#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Said {
    Message {
        id: String,
        text: String,
        #[serde(default)]
        files: Vec<String>,
    },
    Typing,
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Tells<'a> {
    Line(LineView),
    Ack { id: &'a str, line: u64 },
    Refused { id: &'a str, code: &'a str, detail: &'a str },
    Typing { by: &'a str },
}

/// What a socket wakes up for.
enum Happened {
    Told(Told),
    Frame(Option<Result<Message, axum::Error>>),
    Silence,
    Stop,
}

impl Talk {
    /// What is seldom done is boxed, and all that is known is borrowed: thousands of sockets wait here, each with room
    /// for all that may happen to it.
    async fn go_on(mut self: Box<Self>) {
        // Sockets that were opened at once are not asked at once.
        let first = Instant::now() + PING_EVERY.mul_f64(rand::rng().random_range(0.5..1.0));
        let mut asks = Box::pin(tokio::time::sleep_until(first));
        if Box::pin(self.tell_lines()).await.is_none() {
            return;
        }
        loop {
            let visit = &mut *self.visit;
            let happened = tokio::select! {
                told = visit.member.told() => Happened::Told(told),
                frame = self.socket.recv() => Happened::Frame(frame),
                () = asks.as_mut() => Happened::Silence,
                () = visit.state.readiness.stopping() => Happened::Stop,
            };
            if matches!(happened, Happened::Silence) {
                asks.as_mut().reset(Instant::now() + PING_EVERY);
            }
            if Box::pin(self.answer(happened)).await.is_none() {
                return;
            }
        }
    }

    /// None when the socket ends.
    async fn answer(&mut self, happened: Happened) -> Option<()> {
        match happened {
            Happened::Told(Told::Lines) => self.tell_lines().await,
            Happened::Told(Told::Typing(Some(by))) => self.tell(&Tells::Typing { by: &by }).await,
            Happened::Told(Told::Typing(None)) => Some(()),
            Happened::Silence if self.visit.heard.elapsed() > SILENT_MAX => None,
            Happened::Silence => self.send(Message::Ping(Vec::new().into())).await,
            Happened::Stop => self.close(RESTARTS, "the gateway stops").await,
            Happened::Frame(frame) => {
                self.visit.heard = Instant::now();
                match frame {
                    Some(Ok(Message::Text(text))) => self.hear(&text).await,
                    Some(Ok(Message::Ping(_) | Message::Pong(_))) => Some(()),
                    Some(Ok(Message::Binary(_))) => self.close(UNSUPPORTED, "text only").await,
                    Some(Ok(Message::Close(_)) | Err(_)) | None => None,
                }
            }
        }
    }

    /// Tells all lines that the visitor has not seen.
    async fn tell_lines(&mut self) -> Option<()> {
        loop {
            let lines =
                match self.visit.state.chats.lines(self.visit.visitor.thread(), self.visit.after).await {
                    Ok(lines) => lines,
                    Err(error) => {
                        // The visitor comes again and goes on behind the last line.
                        tracing::error!(%error, "a chat's lines cannot be read");
                        return None;
                    }
                };
            let all = lines.len() < usize::try_from(LINES_AT_ONCE).unwrap_or(usize::MAX);
            for line in lines {
                let number = line.line;
                self.tell(&Tells::Line(line.into())).await?;
                self.visit.after = number;
            }
            if all {
                return Some(());
            }
        }
    }

    async fn hear(&mut self, text: &str) -> Option<()> {
        let visit = &mut *self.visit;
        match serde_json::from_str(text) {
            Ok(Said::Message { id, text, files }) => {
                // As the routing has it now: a socket that kept what there was when it was opened would keep all of an old
                // routing for as long as it lives.
                let Some(app) = visit.state.chats.app(visit.visitor.app()) else {
                    let problem = no_such_app(visit.visitor.app());
                    let refused = Tells::Refused { id: &id, code: problem.code, detail: &problem.detail };
                    return self.tell(&refused).await;
                };
                let said = (id.as_str(), text.as_str(), files.as_slice());
                match visit.state.chats.write(&app, &visit.visitor, said, Timestamp::now()).await {
                    Ok(line) => self.tell(&Tells::Ack { id: &id, line }).await,
                    Err(refused) => {
                        let problem = problem(&visit.state.metrics.chat, refused);
                        self.tell(&Tells::Refused { id: &id, code: problem.code, detail: &problem.detail })
                            .await
                    }
                }
            }
            Ok(Said::Typing) => {
                if visit.typed.is_none_or(|typed| typed.elapsed() >= TYPING_EVERY) {
                    visit.typed = Some(Instant::now());
                    visit.state.chats.types(&visit.visitor);
                }
                Some(())
            }
            Err(_) => {
                let (_, problem) = told(crate::chat::Refused::BadMessage("a frame that is no message"));
                self.tell(&Tells::Refused { id: "", code: problem.code, detail: &problem.detail }).await
            }
        }
    }

    async fn tell(&mut self, what: &Tells<'_>) -> Option<()> {
        let text = serde_json::to_string(what).ok()?;
        self.send(Message::Text(text.into())).await
    }

    /// None when the visitor is gone, or takes nothing in.
    async fn send(&mut self, message: Message) -> Option<()> {
        timeout(SEND_WITHIN, self.socket.send(message)).await.ok()?.ok()
    }

    /// Says why the socket ends; always none.
    async fn close(&mut self, code: u16, reason: &'static str) -> Option<()> {
        let frame = CloseFrame { code, reason: reason.into() };
        self.send(Message::Close(Some(frame))).await;
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a call gives back takes so many bytes.
    fn bytes_of<A, F: Future>(_: fn(A) -> F) -> usize {
        size_of::<F>()
    }

    /// Most bytes of what is ours of an idle socket, in the task, behind it, and in the room that it listens in. What the
    /// libraries hold for the connection (the kernel's handle, frames, the task's own head) and the allocator's rounding are
    /// the rest of the 4 kB that an idle socket may take; `load-tests/bench/chat_sockets.py` measures the whole.
    const IDLE_BYTES_MAX: usize = 1450;

    #[test]
    fn an_idle_socket_is_small() {
        let (task, talk, visit) = (bytes_of(Talk::go_on), size_of::<Talk>(), size_of::<Visit>());
        let (timer, names) = (size_of::<tokio::time::Sleep>(), 2 * size_of::<(String, String)>());
        let all = task + talk + visit + timer + names + READ_BUFFER;
        let parts = format!("task {task}, socket {talk}, visit {visit}, timer {timer}, names {names}: {all}");
        println!("{parts}");
        assert!(all <= IDLE_BYTES_MAX, "{parts}");
    }
}
