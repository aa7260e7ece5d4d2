//! Chats with the visitors of web pages.
//!
//! The one channel whose socket the gateway itself holds: what visitors write goes the way of every message (proven,
//! journalled, acknowledged), what agents answer is journalled too, and every socket reads the thread's lines from the
//! journal, behind the last that it has shown. So nothing is lost or doubled by a cut connection or a restart.

pub mod limits;
pub mod opening;
pub mod rooms;
pub mod visitor;

use std::{
    collections::HashMap,
    net::IpAddr,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use arc_swap::ArcSwap;
use bytes::Bytes;
use jiff::Timestamp;
use rand::{SeedableRng, rngs::StdRng};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use vestibule_config::{active::ActiveRouting, document::ChatAppDoc, settings, store::Store};
use vestibule_routing::{
    address::Address,
    channel::Channel,
    id::{ChatAppId, InboxId, ProviderId},
};

use self::{
    limits::PerMinute,
    opening::Opening,
    rooms::{Member, Rooms, Told},
    visitor::{Sealer, Visitor},
};
use crate::{
    availability::Availability,
    journal::{ChatLine, ChatQueue, Journal, JournalError, MessageJob, Remembered},
    message::{Content, Incoming, Intake, What, intake::NotTaken, webhook::Verified},
    uploads::{NotUploaded, Owner, Upload, Uploads},
};

/// All chats; cheap to clone.
#[derive(Clone, Debug)]
pub struct Chats {
    inner: Arc<Inner>,
}

struct Inner {
    routing: Arc<Store>,
    journal: Journal,
    intake: Intake,
    rooms: Rooms,
    sealer: Sealer,
    /// What sites sign with, read when routing changes.
    secrets: ArcSwap<HashMap<ChatAppId, Vec<String>>>,
    sessions: PerMinute<IpAddr>,
    messages: PerMinute<String>,
    uploads_of: PerMinute<IpAddr>,
    uploads: Uploads,
    sockets: Arc<Semaphore>,
    availability: Availability,
    queues: Mutex<HashMap<InboxId, (Instant, ChatQueue)>>,
}

impl std::fmt::Debug for Inner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Chats").field("rooms", &self.rooms).finish_non_exhaustive()
    }
}

/// A chat app as the routing has it now.
#[derive(Clone, Debug)]
pub struct App {
    /// Its id, which is the address that visitors write to.
    pub id: ChatAppId,
    /// Its document.
    pub doc: Arc<ChatAppDoc>,
    routing: Arc<ActiveRouting>,
}

/// Who asks for a session.
#[derive(Clone, Copy, Debug)]
pub struct Asks<'a> {
    /// The token of an earlier session.
    pub token: Option<&'a str>,
    /// The JWT by which the site says who it is.
    pub identity: Option<&'a str>,
    /// Where from.
    pub from: IpAddr,
}

/// A visitor's way in.
#[derive(Debug)]
pub struct Session {
    /// Who it is.
    pub visitor: Visitor,
    /// What proves that from now on.
    pub token: String,
    /// Whether anything may be written.
    pub opening: Opening,
    /// What was said last.
    pub lines: Vec<ChatLine>,
}

/// Why a visitor is not served.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// No token, or not one of ours, or too old.
    #[error("the session is not known, or over")]
    NoSession,
    /// The site's word for who it is cannot be believed.
    #[error("the site's token is not believed: {0}")]
    Identity(String),
    /// The site must say who it is.
    #[error("this chat is for visitors whom the site names")]
    IdentityNeeded,
    /// Too much in a minute.
    #[error("too much in a minute")]
    TooMuch,
    /// A file is not taken.
    #[error(transparent)]
    NotUploaded(#[from] NotUploaded),
    /// A message names a file that is not there, or not its writer's.
    #[error("a file is named that this visitor has not uploaded, or not lately")]
    NoUpload,
    /// A message without text or with too much of it, or an id of another form.
    #[error("{0}")]
    BadMessage(&'static str),
    /// No chat may be begun now.
    #[error("the chat is not open")]
    NotOpen(Opening),
    /// It could not be made durable.
    #[error(transparent)]
    NotTaken(#[from] NotTaken),
    /// The journal could not be read.
    #[error(transparent)]
    Journal(#[from] JournalError),
}

/// Longest message, bytes.
pub const TEXT_BYTES_MAX: usize = 4000;
/// Lines that a session begins with.
const LINES_SHOWN: u32 = 50;
/// Lines read at once.
pub const LINES_AT_ONCE: u32 = 100;
/// How long a look at the queue of an inbox is good for.
const QUEUE_KNOWN_FOR: Duration = Duration::from_secs(2);

impl Chats {
    /// Chats whose visitors are remembered by a key in the data folder, which is made at the first start.
    ///
    /// # Errors
    /// When the key cannot be read or made.
    pub fn open(
        folder: &Path,
        routing: Arc<Store>,
        journal: Journal,
        (intake, uploads, availability): (Intake, Uploads, Availability),
        limits: settings::Chat,
    ) -> std::io::Result<Self> {
        let inner = Inner {
            routing,
            journal,
            intake,
            rooms: Rooms::default(),
            sealer: Sealer::open(&folder.join("chat-key"))?,
            secrets: ArcSwap::default(),
            sessions: PerMinute::new(limits.sessions_per_minute),
            messages: PerMinute::new(limits.messages_per_minute),
            uploads_of: PerMinute::new(limits.uploads_per_minute),
            uploads,
            sockets: Arc::new(Semaphore::new(limits.sockets_max)),
            availability,
            queues: Mutex::default(),
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Reads what sites sign with: while routing changes, not while visitors come.
    pub fn set(&self, routing: &ActiveRouting) {
        let secrets = routing.chat_apps.iter().filter_map(|(id, doc)| {
            let known = doc.identity.as_ref()?.secrets.iter().filter_map(|secret| match secret.reveal() {
                Ok(secret) => Some(secret).filter(|secret| !secret.is_empty()),
                Err(error) => {
                    tracing::error!(chat_app = %id, %error, "a secret of a chat app cannot be read");
                    None
                }
            });
            Some((id.clone(), known.collect()))
        });
        self.inner.secrets.store(Arc::new(secrets.collect()));
    }

    /// The chat app of that id.
    pub fn app(&self, id: &str) -> Option<App> {
        let routing = self.inner.routing.active().load();
        let id = ChatAppId::from(id);
        let doc = routing.chat_apps.get(&id)?.clone();
        Some(App { id, doc, routing })
    }

    /// A place for one socket, or one who waits for lines; none when there are as many as there may be.
    pub fn place(&self) -> Option<OwnedSemaphorePermit> {
        self.inner.sockets.clone().try_acquire_owned().ok()
    }

    /// Lets a visitor in: the one of the token, the one whom the site names, or a new one.
    ///
    /// # Errors
    /// [`Refused`].
    pub async fn begin(&self, app: &App, asks: Asks<'_>, now: Timestamp) -> Result<Session, Refused> {
        if !self.inner.sessions.allows(&network(asks.from)) {
            return Err(Refused::TooMuch);
        }
        let known = asks.token.and_then(|token| self.inner.sealer.open_token(token, &app.id, now));
        let mut visitor = match (asks.identity, &app.doc.identity) {
            (Some(token), Some(_)) => {
                let secrets = self.inner.secrets.load();
                let secrets = secrets.get(&app.id).map(Vec::as_slice).unwrap_or_default();
                Visitor::named(token, secrets, &app.id, now).map_err(Refused::Identity)?
            }
            (Some(_), None) => return Err(Refused::Identity("this chat app has no identity".to_owned())),
            (None, Some(identity)) if identity.required => {
                known.clone().filter(Visitor::is_named).ok_or(Refused::IdentityNeeded)?
            }
            (None, _) => known.clone().unwrap_or_else(|| Visitor::stranger(app.id.clone(), now, &mut rng())),
        };
        if let Some(before) = &known {
            visitor.keeps_draw_of(before);
        }
        visitor.draw_again(now, &mut rng());
        if let Some(before) = known.filter(|before| visitor.is_named() && !before.is_named()) {
            self.identified(&before, &visitor).await?;
        }
        let (lines, goes_on) = self.inner.journal.reader().chat(visitor.thread(), LINES_SHOWN).await?;
        let opening = if goes_on { Opening::Open } else { self.opening(app, &visitor, now).await? };
        Ok(Session { token: self.inner.sealer.token(&visitor), visitor, opening, lines })
    }

    /// What a stranger said becomes what a known visitor said, if there is anything.
    async fn identified(&self, before: &Visitor, visitor: &Visitor) -> Result<(), JournalError> {
        let thread = before.thread();
        let (lines, goes_on) = self.inner.journal.reader().chat(thread.clone(), 1).await?;
        if lines.is_empty() && !goes_on {
            return Ok(());
        }
        let (app, was) = thread.clone();
        let customer = visitor.customer().to_owned();
        self.inner.journal.messages(MessageJob::Identified { app, was, customer }).await?;
        self.tell_lines(thread);
        self.tell_lines(visitor.thread());
        Ok(())
    }

    /// The visitor of a token.
    ///
    /// # Errors
    /// [`Refused::NoSession`], also for a stranger where none is served (any more).
    pub fn visitor(&self, app: &App, token: &str, now: Timestamp) -> Result<Visitor, Refused> {
        let known_only = app.doc.identity.as_ref().is_some_and(|identity| identity.required);
        let visitor = self.inner.sealer.open_token(token, &app.id, now);
        visitor.filter(|visitor| visitor.is_named() || !known_only).ok_or(Refused::NoSession)
    }

    async fn opening(&self, app: &App, visitor: &Visitor, now: Timestamp) -> Result<Opening, JournalError> {
        let key = (Channel::Chat, Address::Text(app.id.as_str().into()));
        let Some(route) = app.routing.plan.resolve_message(&key) else { return Ok(Opening::Off) };
        if route.disarmed {
            return Ok(Opening::Off);
        }
        let hours = app.doc.hours.as_ref().and_then(|hours| app.routing.plan.calendars.get(hours));
        if hours.is_some_and(|hours| hours.row_at(now).is_none()) {
            return Ok(Opening::Closed);
        }
        let wait = match app.doc.throttle {
            Some(throttle) if opening::asks_for_wait(throttle) => {
                let agents = self.inner.availability.agents(&route.inbox);
                opening::wait_seconds(self.queue(&route.inbox).await?, agents, now)
            }
            _ => 0,
        };
        Ok(opening::of_throttle(app.doc.throttle, visitor.draw(), wait))
    }

    /// The chats of an inbox; looked at now and then only.
    async fn queue(&self, inbox: &InboxId) -> Result<ChatQueue, JournalError> {
        let queues = || self.inner.queues.lock().unwrap_or_else(PoisonError::into_inner);
        let known =
            queues().get(inbox).filter(|(at, _)| at.elapsed() < QUEUE_KNOWN_FOR).map(|(_, queue)| *queue);
        if let Some(queue) = known {
            return Ok(queue);
        }
        let queue = self.inner.journal.reader().chat_queue(inbox.to_string()).await?;
        queues().insert(inbox.clone(), (Instant::now(), queue));
        Ok(queue)
    }

    /// Takes a file that a visitor will name in a message.
    ///
    /// # Errors
    /// [`Refused`]: nothing was taken.
    pub async fn upload(
        &self,
        (app, visitor): (&App, &Visitor),
        from: IpAddr,
        (name, claimed): (Option<&str>, Option<&str>),
        bytes: Bytes,
        now: Timestamp,
    ) -> Result<Upload, Refused> {
        if !self.inner.uploads_of.allows(&network(from)) {
            return Err(Refused::TooMuch);
        }
        let opening = self.opening(app, visitor, now).await?;
        if opening != Opening::Open && !self.inner.journal.reader().chat(visitor.thread(), 0).await?.1 {
            return Err(Refused::NotOpen(opening));
        }
        if !self.inner.journal.is_ready() {
            return Err(JournalError::DiskFull.into());
        }
        Ok(self.inner.uploads.put(owner(app, visitor), (name, claimed), bytes).await?)
    }

    /// Takes what a visitor wrote; its line in the thread, once it is durable. What has an id that was there before is
    /// left out, and has the line that it had.
    ///
    /// # Errors
    /// [`Refused`]: nothing was taken.
    pub async fn write(
        &self,
        app: &App,
        visitor: &Visitor,
        (message_id, text, files): (&str, &str, &[String]),
        now: Timestamp,
    ) -> Result<u64, Refused> {
        check(message_id, text, !files.is_empty())?;
        if files.len() > self.inner.uploads.per_message_max() {
            return Err(Refused::BadMessage("too many files: chat.files_per_message_max"));
        }
        let of_id =
            || self.inner.journal.reader().chat_line_of(visitor.thread(), message_id.to_owned(), false);
        let opening = self.opening(app, visitor, now).await?;
        if opening != Opening::Open {
            if let Some(line) = of_id().await? {
                return Ok(line);
            }
            if !self.inner.journal.reader().chat(visitor.thread(), 0).await?.1 {
                return Err(Refused::NotOpen(opening));
            }
        }
        if !self.inner.messages.allows(&format!("{}/{}", app.id, visitor.customer())) {
            return Err(Refused::TooMuch);
        }
        let attachments = match self.inner.uploads.keep(owner(app, visitor), files).await {
            Ok(Some(attachments)) => attachments,
            // What was acknowledged before may have waited for its answer longer than the upload was there.
            Ok(None) => return of_id().await?.ok_or(Refused::NoUpload),
            Err(error) => return Err(NotTaken::NotKept(Arc::new(error)).into()),
        };
        let content = Content {
            message_id: message_id.to_owned(),
            attachments,
            text: text.to_owned(),
            name: visitor.name().map(str::to_owned),
            ..Content::default()
        };
        let incoming = Incoming {
            id: format!("{}/{}/{message_id}", app.id, visitor.customer()),
            channel: Channel::Chat,
            customer: visitor.customer().to_owned(),
            address: app.id.to_string(),
            at: None,
            what: What::Message(Box::new(content)),
        };
        self.inner
            .intake
            .take(
                (&ProviderId::from("chat"), Remembered::Repeats),
                Verified::of_visitor(visitor, incoming),
                now,
            )
            .await?;
        self.tell_lines(visitor.thread());
        of_id().await?.ok_or(Refused::Journal(JournalError::Down))
    }

    /// A visitor writes something just now.
    pub fn types(&self, visitor: &Visitor) {
        self.inner.rooms.tell(&visitor.thread(), Told::Typing(None));
    }

    /// An agent writes something just now.
    pub fn agent_types(&self, thread: &(String, String), by: &str) {
        self.inner.rooms.tell(thread, Told::Typing(Some(by.into())));
    }

    /// There are new lines in a thread.
    pub fn tell_lines(&self, thread: (String, String)) {
        self.inner.rooms.tell(&thread, Told::Lines);
    }

    /// Hears of what happens in a thread from now on.
    pub fn join(&self, thread: (String, String)) -> Member {
        self.inner.rooms.join(thread)
    }

    /// Lines behind a line, at most [`LINES_AT_ONCE`].
    ///
    /// # Errors
    /// When the journal cannot be read.
    pub async fn lines(&self, thread: (String, String), after: u64) -> Result<Vec<ChatLine>, JournalError> {
        self.inner.journal.reader().chat_lines(thread, after, LINES_AT_ONCE).await
    }
}

impl App {
    /// Whether pages of this origin may show the chat.
    pub fn allows(&self, origin: &str) -> bool {
        self.doc.origins.iter().any(|allowed| is_below(origin, allowed))
    }
}

/// Whether an origin is the allowed one, or lies below its domain where that says so.
fn is_below(origin: &str, allowed: &str) -> bool {
    let Some((scheme, domain)) = allowed.split_once("://*.") else { return origin == allowed };
    let host = origin.strip_prefix(scheme).and_then(|rest| rest.strip_prefix("://"));
    let below = host.and_then(|host| host.strip_suffix(domain)).and_then(|rest| rest.strip_suffix('.'));
    below.is_some_and(|name| !name.is_empty() && !name.contains(['/', '@']))
}

fn owner<'a>(app: &'a App, visitor: &'a Visitor) -> Owner<'a> {
    Owner::Visitor { app: app.id.as_str(), customer: visitor.customer() }
}

fn check(message_id: &str, text: &str, has_files: bool) -> Result<(), Refused> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
    if message_id.is_empty() || message_id.len() > 64 || !message_id.bytes().all(plain) {
        return Err(Refused::BadMessage("an id is 1 to 64 letters, digits, - and _"));
    }
    if text.trim().is_empty() && !has_files {
        return Err(Refused::BadMessage("a message has some text, or a file"));
    }
    if text.len() > TEXT_BYTES_MAX {
        return Err(Refused::BadMessage("a message has at most 4000 bytes"));
    }
    Ok(())
}

/// The address that sessions are counted for: a household has a whole IPv6 network.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            IpAddr::V6([a, b, c, d, 0, 0, 0, 0].into())
        }
    }
}

fn rng() -> StdRng {
    StdRng::from_os_rng()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_allowed_as_it_is_or_below_a_domain() {
        assert!(is_below("https://www.example.com", "https://www.example.com"));
        assert!(is_below("https://a.b.example.com", "https://*.example.com"));
        for (origin, allowed) in [
            ("https://example.com", "https://*.example.com"),
            ("http://a.example.com", "https://*.example.com"),
            ("https://evilexample.com", "https://*.example.com"),
            ("https://a.example.com.evil.org", "https://*.example.com"),
            ("https://a.example.com:8443", "https://*.example.com"),
            ("null", "https://*.example.com"),
            ("https://www.example.com:444", "https://www.example.com"),
        ] {
            assert!(!is_below(origin, allowed), "{origin} {allowed}");
        }
    }

    #[test]
    fn a_message_has_an_id_and_some_text() {
        assert!(check("a-1_B", "x", false).is_ok());
        assert!(check("a-1_B", "", true).is_ok());
        assert!(check(&"a".repeat(64), &"ü".repeat(2000), false).is_ok());
        for (id, text) in [("", "x"), ("a b", "x"), ("a", " \n"), ("a", "")] {
            assert!(check(id, text, false).is_err(), "{id:?} {text:?}");
        }
        assert!(check(&"a".repeat(65), "x", false).is_err());
        assert!(check("a", &"x".repeat(4001), true).is_err());
    }

    #[test]
    fn a_household_is_counted_once() {
        let at = |text: &str| network(text.parse().unwrap());
        assert_eq!(at("2001:db8:1:2:3::4"), at("2001:db8:1:2:ffff::"));
        assert_ne!(at("2001:db8:1:2::"), at("2001:db8:1:3::"));
        assert_eq!(at("::ffff:192.0.2.1"), at("192.0.2.1"));
        assert_ne!(at("192.0.2.1"), at("192.0.2.2"));
    }
}
