//! Our own mail server, for mail that comes in (RFC 5321): it takes mail for addresses that have an entry point, and
//! says 250 when the mail is durable. It relays nothing, sends nothing, and knows no passwords.
//!
//! One way through: `connection` cuts lines out of the stream, [`session`] decides what may be said when, [`body`]
//! takes the mail in within bounds, and the [`Intake`] makes it durable.

pub mod body;
mod connection;
pub mod reply;
pub mod session;

use std::{
    collections::HashMap,
    io,
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use jiff::Timestamp;
use tokio::{
    io::AsyncWriteExt as _,
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    task::JoinSet,
};
use vestibule_config::{document::EntryPointRef, mail::MailStanding, settings, store::Store};
use vestibule_routing::{
    id::ProviderId,
    plan::{EntryPointKey, Plan},
};

use self::{
    body::{Body, Budget},
    connection::End,
    reply::Reply,
    session::{Bounds, Envelope, Session, Standing},
};
use crate::{
    api::{https::Https, readiness::Readiness},
    journal::Remembered,
    message::{Incoming, Intake, mail, webhook::Verified},
    telemetry::{MailResult, SmtpMetrics},
};

/// The mail server.
#[derive(Debug)]
pub struct Smtp {
    shared: Arc<Shared>,
    https: Option<Arc<Https>>,
    connections: Arc<Semaphore>,
    connections_max: usize,
    per_source_max: usize,
    sources: Mutex<HashMap<IpAddr, usize>>,
}

/// What every connection works with.
#[derive(Debug)]
pub(crate) struct Shared {
    host: String,
    bounds: Bounds,
    greeting_delay: Duration,
    command_within: Duration,
    data_within: Duration,
    budget: Arc<Budget>,
    routing: Arc<Store>,
    intake: Intake,
    readiness: Readiness,
    metrics: SmtpMetrics,
}

/// What connections and mails go on for after the process was told to stop.
const FINISH_WITHIN: Duration = Duration::from_secs(10);
/// A mail that is larger is read on a thread of its own.
const READ_HERE_MAX: usize = 128 << 10;

impl Smtp {
    /// A server that takes mail by `routing` into `intake`. With `https`, STARTTLS is offered with its certificates.
    pub fn new(
        settings: &settings::Smtp,
        (routing, intake): (Arc<Store>, Intake),
        https: Option<Arc<Https>>,
        (readiness, metrics): (Readiness, SmtpMetrics),
    ) -> Self {
        let bounds = Bounds {
            mail_bytes_max: settings.mail_bytes_max,
            recipients_max: settings.recipients_max,
            mails_max: settings.mails_max,
            errors_max: settings.errors_max,
        };
        Self {
            shared: Arc::new(Shared {
                host: settings.host.clone(),
                bounds,
                greeting_delay: Duration::from_millis(settings.greeting_delay_ms),
                command_within: Duration::from_secs(settings.command_seconds),
                data_within: Duration::from_secs(settings.mail_seconds),
                budget: Budget::new(settings.memory_bytes_max),
                routing,
                intake,
                readiness,
                metrics,
            }),
            https,
            connections: Arc::new(Semaphore::new(settings.connections_max)),
            connections_max: settings.connections_max,
            per_source_max: settings.connections_per_source_max,
            sources: Mutex::default(),
        }
    }

    /// Serves connections until the process stops; mails that are being taken in may still end.
    pub async fn serve(self: Arc<Self>, listener: TcpListener) {
        let mut tasks = JoinSet::new();
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                () = self.shared.readiness.stopping() => break,
            };
            match accepted {
                Ok((stream, peer)) => {
                    tasks.spawn(self.clone().connection(stream, peer));
                }
                Err(error) => {
                    // Out of descriptors, most likely: accepting again at once would spin.
                    tracing::warn!(%error, "a connection to the mail server could not be accepted");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            }
            while tasks.try_join_next().is_some() {}
        }
        drop(listener);
        let all = u32::try_from(self.connections_max).unwrap_or(u32::MAX);
        if tokio::time::timeout(FINISH_WITHIN, self.connections.acquire_many(all)).await.is_err() {
            tracing::warn!("connections to the mail server were cut off at the end");
        }
    }

    async fn connection(self: Arc<Self>, mut stream: TcpStream, peer: SocketAddr) {
        let permit = self.connections.clone().try_acquire_owned();
        let place = Place::take(self.clone(), peer.ip().to_canonical());
        let (Ok(_permit), Some(_place)) = (permit, place) else {
            self.shared.metrics.refused.inc();
            let mut line = Vec::new();
            reply::TOO_MANY_CONNECTIONS.write(&mut line);
            // Whoever does not hear it finds the connection closed.
            let _told = tokio::time::timeout(Duration::from_secs(1), stream.write_all(&line)).await;
            return;
        };
        self.shared.metrics.connections.inc();
        if let Err(error) = self.converse(stream, peer.ip().to_canonical()).await {
            tracing::debug!(%error, "a connection to the mail server ended badly");
        }
        self.shared.metrics.connections.dec();
    }

    async fn converse(&self, mut stream: TcpStream, peer: IpAddr) -> io::Result<()> {
        stream.set_nodelay(true)?;
        let shared = &*self.shared;
        // Until a certificate is there, STARTTLS would only fail.
        let secure = self.https.as_ref().is_some_and(|https| https.has_certificate());
        let mut session = Session::new(&shared.host, peer, shared.bounds, secure);
        if !shared.greet(&mut stream, peer).await? {
            return Ok(());
        }
        if connection::talk(&mut stream, &mut session, shared).await? == End::Over {
            return Ok(());
        }
        let Some(https) = &self.https else { return Ok(()) };
        let mut stream = https.accept(stream).await?;
        session.secured();
        connection::talk(&mut stream, &mut session, shared).await?;
        Ok(())
    }
}

/// A place among the connections of one address; an IPv6 network of 64 bits counts as one address.
struct Place {
    smtp: Arc<Smtp>,
    source: IpAddr,
}

impl Place {
    fn take(smtp: Arc<Smtp>, source: IpAddr) -> Option<Self> {
        let source = match source {
            IpAddr::V4(_) => source,
            IpAddr::V6(address) => IpAddr::V6((address.to_bits() >> 64 << 64).into()),
        };
        {
            let mut sources = smtp.sources.lock().unwrap_or_else(PoisonError::into_inner);
            let count = sources.entry(source).or_default();
            if *count >= smtp.per_source_max {
                return None;
            }
            *count += 1;
        }
        Some(Self { smtp, source })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut sources = self.smtp.sources.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = sources.get_mut(&self.source) {
            *count -= 1;
            if *count == 0 {
                sources.remove(&self.source);
            }
        }
    }
}

impl Shared {
    /// Greets a client, after a while in which it must not speak (RFC 5321 §4.3.1); false when it did.
    async fn greet(&self, stream: &mut TcpStream, peer: IpAddr) -> io::Result<bool> {
        if !self.greeting_delay.is_zero() && !peer.is_loopback() {
            let mut first = [0];
            if let Ok(seen) = tokio::time::timeout(self.greeting_delay, stream.peek(&mut first)).await {
                // It spoke, or went away.
                if seen? > 0 {
                    self.metrics.early.inc();
                    let mut line = Vec::new();
                    reply::SPOKE_FIRST.write(&mut line);
                    tokio::time::timeout(self.command_within, stream.write_all(&line)).await??;
                }
                return Ok(false);
            }
        }
        let greeting = format!("220 {} ESMTP\r\n", self.host);
        tokio::time::timeout(self.command_within, stream.write_all(greeting.as_bytes())).await??;
        Ok(true)
    }

    fn body(&self) -> Body {
        Body::new(self.bounds.mail_bytes_max, self.budget.clone())
    }

    fn count_refused(&self) {
        self.metrics.mails.of(MailResult::Refused).inc();
    }

    fn standing(&self, address: &str) -> Standing {
        let active = self.routing.active().load();
        let known = entry_point(&active.plan, address)
            .and_then(|(own, key)| Some((own, active.plan.resolve_message(&key)?)));
        let standing = match known {
            None => Standing::Unknown,
            Some((_, route)) if route.disarmed => Standing::NotNow,
            Some((own, _)) => match self.intake.mailboxes().standing(&own) {
                MailStanding::Live => Standing::Known,
                MailStanding::Unproven => Standing::Unproven,
                MailStanding::Unrecorded => Standing::Unrecorded,
                // Whoever sends to it must hear that it was never ours.
                MailStanding::Failed => Standing::Unknown,
            },
        };
        if !matches!(standing, Standing::Known | Standing::Unproven) {
            self.metrics.recipients_refused.inc();
        }
        standing
    }

    /// Makes a mail durable, for each of its recipients; what is to be said of it.
    async fn take(&self, envelope: Envelope, raw: Bytes) -> Reply {
        // Until the reply is known: `smtp.memory_bytes_max` counts what is read from it too, as long as that waits for the
        // journal or the disk.
        let _counted = raw.clone();
        let unproven = envelope.unproven;
        let told = if raw.len() > READ_HERE_MAX {
            let plan = self.routing.clone();
            tokio::task::spawn_blocking(move || Verified::of_mail(&envelope, |to| told_as(&plan, to), &raw))
                .await
        } else {
            Ok(Verified::of_mail(&envelope, |to| told_as(&self.routing, to), &raw))
        };
        let Ok(told) = told else { return self.not_kept("reading it met a fault in the gateway") };
        if unproven {
            return self.prove(told).await;
        }
        let from = (&ProviderId::from("smtp"), Remembered::Repeats);
        match self.intake.take(from, told, Timestamp::now()).await {
            Ok(_) => {
                self.metrics.mails.of(MailResult::Kept).inc();
                reply::KEPT
            }
            Err(error) => self.not_kept(&error.to_string()),
        }
    }

    /// A mail to an address that is not proven.
    async fn prove(&self, told: Verified<Vec<Incoming>>) -> Reply {
        match self.intake.prove(told).await {
            Ok(true) => {
                self.metrics.mails.of(MailResult::Proof).inc();
                reply::KEPT
            }
            Ok(false) => {
                self.metrics.mails.of(MailResult::Unproven).inc();
                reply::NOT_PROVEN
            }
            Err(error) => self.not_kept(&error.to_string()),
        }
    }

    fn not_kept(&self, why: &str) -> Reply {
        self.metrics.mails.of(MailResult::NotKept).inc();
        tracing::warn!(why, "a mail could not be kept; its sender keeps it");
        reply::NOT_KEPT
    }
}

/// Whether an address has an entry point, and its mail an inbox.
pub(crate) fn has_entry_point(routing: &Store, address: &str) -> bool {
    let active = routing.active().load();
    entry_point(&active.plan, address).is_some_and(|(_, key)| active.plan.resolve_message(&key).is_some())
}

/// The address that a mail to a recipient is told as: that of the entry point.
fn told_as(routing: &Store, recipient: &str) -> String {
    let active = routing.active().load();
    // Routing may have changed since the recipient was known: then the channel's default takes it.
    entry_point(&active.plan, recipient).map_or_else(|| mail::mailbox(recipient), |(address, _)| address)
}

/// The entry point of an address, and the address that it has there: the same, or without what stands behind a `+`
/// (RFC 5233).
fn entry_point(plan: &Plan, recipient: &str) -> Option<(String, EntryPointKey)> {
    let address = mail::mailbox(recipient);
    let plain = mail::tagged(recipient).map(|(plain, _)| plain);
    [Some(address), plain].into_iter().flatten().find_map(|address| {
        let key = EntryPointRef::parse(&format!("email/{address}")).ok()?.key();
        plan.has_entry_point(&key).then_some((address, key))
    })
}
