//! Takes in what was verified: resolves it, writes it to the journal, and gives back the proof.
//!
//! It also looks after what waits there: messages of disarmed entry points, and conversations that nobody goes on with.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::future::try_join_all;
use jiff::{SignedDuration, Timestamp};
use rand::{SeedableRng, rngs::StdRng};
use sha2::{Digest as _, Sha256};
use vestibule_config::{
    document::EntryPointRef,
    number::SmsUse,
    settings::Conversations,
    store::{Store, StoreError},
};
use vestibule_routing::{
    address::Address,
    channel::Channel,
    id::{ConversationId, ProviderId},
    plan::{EntryPointKey, Plan},
};

use super::{
    Attachment, Authenticator, Content, Incoming, Keyword, Mailboxes, MediaFetcher,
    mail::authentication::Evidence, webhook::Verified,
};
use crate::{
    contact_id::{new_contact_id, new_conversation_id},
    files::Files,
    journal::{Arrival, Journal, JournalError, MessageDone, MessageJob, MessageRoute, Remembered},
    telemetry::MessageMetrics,
};

/// Messages on their way into the journal.
#[derive(Clone, Debug)]
pub struct Intake {
    routing: Arc<Store>,
    journal: Journal,
    files: Files,
    mails: Mails,
    media: MediaFetcher,
    idle: Conversations,
    metrics: MessageMetrics,
}

/// What is done with mails.
#[derive(Clone, Debug)]
pub struct Mails {
    /// Finds out where they come from.
    pub authenticator: Authenticator,
    /// Which addresses they are taken for.
    pub mailboxes: Mailboxes,
    /// Where they are kept as they came; none: nowhere.
    pub kept: Option<Files>,
    /// Largest that is kept, bytes.
    pub bytes_max: usize,
}

/// Why something was not taken in. The provider sends it again.
#[derive(Clone, Debug, thiserror::Error)]
pub enum NotTaken {
    /// The journal did not take it, or did not in time.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The commit takes too long: whether it came about is found out by the repetition.
    #[error("the journal is slow")]
    Slow,
    /// What came with a message could not be kept, or not in time.
    #[error("attachments cannot be kept: {0}")]
    NotKept(Arc<std::io::Error>),
    /// There is no routing yet.
    #[error("the channel has no default inbox")]
    NoInbox,
}

/// Shorter than the shortest patience of a provider (2 s).
const COMMIT_WITHIN: Duration = Duration::from_millis(1500);
/// Longer, since only mail has attachments, and whoever sends mail is patient.
const KEEP_WITHIN: Duration = Duration::from_secs(10);
/// How often held messages and idle conversations are looked for.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// Most held messages of one entry point that are handed on at one look.
const RELEASED_AT_ONCE: usize = 500;

impl Intake {
    /// An intake that resolves by `routing`, writes to `journal`, keeps what comes with messages among `files` and has
    /// `media` fetch what lies elsewhere.
    pub fn new(
        routing: Arc<Store>,
        (journal, files, mails, media): (Journal, Files, Mails, MediaFetcher),
        idle: Conversations,
        metrics: MessageMetrics,
    ) -> Self {
        Self { routing, journal, files, mails, media, idle, metrics }
    }

    /// Takes in what one request told: all of it, or nothing. The ids that the provider gave are remembered for as long as
    /// `remembered` says: what comes again is left out.
    ///
    /// # Errors
    /// [`NotTaken`]: nothing may be acknowledged.
    pub async fn take(
        &self,
        (provider, remembered): (&ProviderId, Remembered),
        told: Verified<Vec<Incoming>>,
        now: Timestamp,
    ) -> Result<MessageDone, NotTaken> {
        let mut told = told.into_inner();
        self.examine(&mut told).await;
        self.note_questions(&told).await;
        self.keep_files(&mut told).await?;
        let active = self.routing.active().load();
        let mut rng = StdRng::from_os_rng();
        let mut arrivals = Vec::new();
        for mut incoming in told {
            untag(&active.plan, &mut incoming);
            let key = entry_point(&incoming);
            let route = self.route(&active.plan, &key).ok_or(NotTaken::NoInbox)?;
            arrivals.push(Arrival {
                contact: new_contact_id(now, &mut rng),
                conversation: new_conversation_id(now, &mut rng),
                fingerprint: fingerprint(provider, &incoming.id),
                provider: provider.clone(),
                arrived: now,
                keyword: Keyword::of(&incoming),
                media_max: self.media.per_message_max(),
                remembered,
                route,
                incoming,
            });
        }
        let count = arrivals.len();
        let has_media =
            |arrival: &Arrival| arrival.incoming.content().is_some_and(|content| !content.media.is_empty());
        let has_media = arrivals.iter().any(has_media);
        let written = self.journal.messages(MessageJob::Arrive(arrivals));
        let done = tokio::time::timeout(COMMIT_WITHIN, written).await.map_err(|_| NotTaken::Slow)??;
        if has_media {
            self.media.wake();
        }
        self.metrics.duplicates.inc_by(u64::try_from(done.duplicates).unwrap_or(0));
        self.metrics.received.inc_by(u64::try_from(count.saturating_sub(done.duplicates)).unwrap_or(0));
        Ok(done)
    }

    /// A mail to an address of ours that is not verified: whether it is one that helps to verify it, and is kept for that.
    ///
    /// # Errors
    /// The store fails: whoever sent it tries again.
    pub async fn prove(&self, told: Verified<Vec<Incoming>>) -> Result<bool, StoreError> {
        let mut told = told.into_inner();
        self.examine(&mut told).await;
        match told.as_slice() {
            [incoming] => self.mails.mailboxes.prove(incoming).await,
            _ => Ok(false),
        }
    }

    /// Which addresses mail is taken for.
    pub fn mailboxes(&self) -> &Mailboxes {
        &self.mails.mailboxes
    }

    /// Shows forwarders' questions to whoever sets addresses up.
    async fn note_questions(&self, told: &[Incoming]) {
        for incoming in told {
            let Some(content) = incoming.content() else { continue };
            if let Err(error) = self.mails.mailboxes.note_question(incoming, content).await {
                tracing::warn!(%error, "a forwarder's question is in the feed, and not in the mailbox's record");
            }
        }
    }

    /// Finds out where mails come from, and keeps them as they came. One mail to several of ours is looked at once.
    async fn examine(&self, told: &mut [Incoming]) {
        let mut seen: Vec<(Arc<Evidence>, Content)> = Vec::new();
        for incoming in told {
            let from = incoming.customer.clone();
            let Some(content) = incoming.content_mut() else { continue };
            let Some(evidence) = content.evidence.clone() else { continue };
            if let Some((_, known)) = seen.iter().find(|(known, _)| Arc::ptr_eq(known, &evidence)) {
                content.authentication.clone_from(&known.authentication);
                content.spam.clone_from(&known.spam);
                content.confirmation.clone_from(&known.confirmation);
                content.raw.clone_from(&known.raw);
            } else {
                self.mails.authenticator.examine(&from, content).await;
                content.raw = self.keep_mail(&evidence).await;
                let known = Content {
                    authentication: content.authentication.clone(),
                    spam: content.spam.clone(),
                    confirmation: content.confirmation.clone(),
                    raw: content.raw.clone(),
                    ..Content::default()
                };
                seen.push((evidence, known));
            }
            content.evidence = None;
        }
    }

    /// Keeps a mail as it came. What it says is kept elsewhere: that this one cannot be kept is no reason to refuse it.
    async fn keep_mail(&self, evidence: &Evidence) -> Option<String> {
        let kept = self.mails.kept.as_ref()?;
        if evidence.raw.is_empty() || evidence.raw.len() > self.mails.bytes_max {
            return None;
        }
        let writing = tokio::time::timeout(KEEP_WITHIN, kept.keep(vec![evidence.raw.clone()])).await;
        match writing.unwrap_or_else(|_| Err(std::io::ErrorKind::TimedOut.into())) {
            Ok(mut ids) => ids.pop(),
            Err(error) => {
                tracing::warn!(%error, "a mail cannot be kept as it came; what it says is kept");
                None
            }
        }
    }

    /// Keeps what came with messages before anything tells of it.
    async fn keep_files(&self, told: &mut [Incoming]) -> Result<(), NotTaken> {
        let to_keep = |attachment: &&Attachment| attachment.file.is_none();
        let attachments = || {
            told.iter().filter_map(Incoming::content).flat_map(|content| &content.attachments).filter(to_keep)
        };
        if attachments().next().is_none() {
            return Ok(());
        }
        let bytes = attachments().map(|attachment| attachment.data.clone()).collect();
        let kept = tokio::time::timeout(KEEP_WITHIN, self.files.keep(bytes)).await;
        let kept = kept.unwrap_or_else(|_| Err(std::io::ErrorKind::TimedOut.into()));
        let ids = kept.map_err(|error| NotTaken::NotKept(Arc::new(error)))?;
        let attachments = told
            .iter_mut()
            .filter_map(Incoming::content_mut)
            .flat_map(|content| &mut content.attachments)
            .filter(|attachment| attachment.file.is_none());
        for (attachment, id) in attachments.zip(ids) {
            attachment.file = Some(id);
            attachment.data = Bytes::new();
        }
        Ok(())
    }

    /// Hands on what was held when its entry point is armed, and closes idle conversations; for as long as the
    /// process runs.
    pub async fn go_on(self) {
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            if let Err(error) = self.look_after().await {
                tracing::warn!(%error, "conversations could not be looked after");
            }
        }
    }

    async fn look_after(&self) -> Result<(), JournalError> {
        self.release().await?;
        for channel in Channel::ALL {
            let idle = match channel {
                Channel::Chat => SignedDuration::from_mins(self.idle.chat_idle_minutes),
                Channel::Email => SignedDuration::from_hours(self.idle.email_idle_hours),
                _ => SignedDuration::from_hours(self.idle.idle_hours),
            };
            let Ok(before) = Timestamp::now().checked_sub(idle) else { continue };
            let name = channel_name(channel);
            for conversation in self.journal.reader().idle_conversations(name, before).await? {
                self.close(conversation, None).await?;
            }
        }
        Ok(())
    }

    /// Hands on what waited for entry points that are armed now: of each some, so that none waits for the others.
    async fn release(&self) -> Result<(), JournalError> {
        let active = self.routing.active().load();
        for name in self.journal.reader().held_at().await? {
            // One whose name is no entry point's (a short code) cannot be disarmed any more.
            let key = EntryPointRef::parse(&name).map(|reference| reference.key());
            let Some(route) = key.ok().and_then(|key| self.route(&active.plan, &key)) else { continue };
            if route.held {
                continue;
            }
            let waiting = self.journal.reader().held_messages(name, RELEASED_AT_ONCE).await?;
            let released = waiting
                .into_iter()
                .map(|contact| self.journal.messages(MessageJob::Release { contact, route: route.clone() }));
            // Asked for in their order, and written in it: those that share a commit do not wait for each other.
            try_join_all(released).await?;
        }
        Ok(())
    }

    fn route(&self, plan: &Plan, key: &EntryPointKey) -> Option<MessageRoute> {
        let route = plan.resolve_message(key)?;
        let sms = sms_use(&self.routing, key);
        Some(MessageRoute {
            entry_point: EntryPointRef { channel: key.0, address: key.1.clone() }.to_string(),
            inbox: route.inbox,
            sla_minutes: route.sla_minutes,
            revision: plan.revision,
            held: route.disarmed || sms == Some(SmsUse::Off),
            reply_refused: refusal_of(sms),
        })
    }

    async fn close(&self, conversation: ConversationId, by: Option<String>) -> Result<(), JournalError> {
        match self.journal.messages(MessageJob::Close { conversation, by }).await {
            // Closed by somebody else meanwhile.
            Ok(_) | Err(JournalError::NotOpenConversation) => Ok(()),
            Err(error) => Err(error),
        }
    }
}

/// What the registration of the number behind an entry point means; none where there is no such thing.
fn sms_use(store: &Store, (channel, address): &EntryPointKey) -> Option<SmsUse> {
    match (channel, address) {
        (Channel::Sms, Address::Number(number)) => store.sms_use(*number),
        _ => None,
    }
}

/// Why a number's messages may not be answered.
fn refusal_of(sms: Option<SmsUse>) -> Option<&'static str> {
    match sms {
        Some(SmsUse::Off | SmsUse::Receives) => Some("not_registered"),
        Some(SmsUse::Sends) | None => None,
    }
}

/// Why nobody may answer who wrote to this address of ours, as far as the number is concerned.
pub fn reply_refused(store: &Store, channel: Channel, address: &str) -> Option<&'static str> {
    let reference = EntryPointRef::parse(&format!("{}/{address}", channel_name(channel))).ok()?;
    refusal_of(sms_use(store, &reference.key()))
}

/// The entry point that something came to. Addresses of a form that documents do not know (short codes) are none that
/// could have an exception: they go to the channel's default.
fn entry_point(incoming: &Incoming) -> EntryPointKey {
    let text = format!("{}/{}", channel_name(incoming.channel), incoming.address);
    match EntryPointRef::parse(&text) {
        Ok(reference) => reference.key(),
        Err(_) => (incoming.channel, Address::Text(incoming.address.as_str().into())),
    }
}

/// A mail to an address with a tag (`help+order7@`) is one to the address without, where only that has an entry point.
fn untag(plan: &Plan, incoming: &mut Incoming) {
    if incoming.channel != Channel::Email || plan.has_entry_point(&entry_point(incoming)) {
        return;
    }
    let Some((plain, tag)) = super::mail::tagged(&incoming.address) else { return };
    let tagged = std::mem::replace(&mut incoming.address, plain);
    if plan.has_entry_point(&entry_point(incoming)) {
        if let Some(content) = incoming.content_mut() {
            content.tag = Some(tag);
        }
    } else {
        incoming.address = tagged;
    }
}

fn channel_name(channel: Channel) -> String {
    EntryPointRef { channel, address: Address::Text("".into()) }.to_string().trim_end_matches('/').to_owned()
}

/// Names a thing among all that were ever told: 128 bits of a hash of who said it and its id there.
fn fingerprint(provider: &ProviderId, id: &str) -> [u8; 16] {
    let mut hash = Sha256::new();
    // Ids of providers have no zero byte in them, so that no two pairs are alike.
    hash.update(provider.as_str().as_bytes());
    hash.update([0]);
    hash.update(id.as_bytes());
    let mut short = [0; 16];
    short.iter_mut().zip(hash.finalize()).for_each(|(to, from)| *to = from);
    short
}
