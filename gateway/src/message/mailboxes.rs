//! Which mailboxes are live: domains are proven by a record in the name service, forwarding by a mail that came.
//!
//! Mail to an address that is not proven yet is put off, but for two kinds of mail that help: a forwarder's question
//! whether the address wants its mail, signed by the forwarder, and the mail of a test that an administrator began. Both
//! are for whoever sets the address up, and go to no inbox. Nothing here opens a link.

use std::{sync::Arc, time::Duration};

use hickory_resolver::{
    TokioResolver,
    net::{DnsError, NetError},
    proto::{op::ResponseCode, rr::RData},
};
use jiff::{SignedDuration, Timestamp};
use rand::Rng;
use serde_json::json;
use vestibule_config::{
    mail::{Confirmation, DomainRecord, DomainState, Look, MailStanding, MailboxEvent, MailboxRecord, Test},
    settings,
    store::{Store, StoreError},
};
use vestibule_routing::{channel::Channel, id::ContactId};

use super::{Content, Incoming};
use crate::{
    journal::{Entry, Event, EventKind, Journal},
    names,
};

/// The records of mail domains and mailboxes, and what proves them; cheap to clone.
#[derive(Clone, Debug)]
pub struct Mailboxes {
    store: Arc<Store>,
    journal: Journal,
    names: Option<Arc<TokioResolver>>,
    host: Arc<str>,
    required: bool,
    check_every: Duration,
}

/// For how long a test waits for its mail.
const TEST_LASTS: SignedDuration = SignedDuration::from_hours(72);

/// Answers of the name service kept for it; each is asked for anew when it is looked at.
const ANSWERS_MAX: u64 = 16;

/// Domains read at once.
const PAGE: u32 = 500;

/// Who acts when nobody did.
const SYSTEM: &str = "system";

impl Mailboxes {
    /// Records of `store`; domains are looked up at the name servers of the settings. `host` is the name of our server.
    pub fn new(settings: &settings::Mail, host: &str, store: Arc<Store>, journal: Journal) -> Self {
        let names = names::resolver(&settings.dns_servers, ANSWERS_MAX).map(Arc::new);
        let check_every = Duration::from_secs(settings.domain_check_minutes.saturating_mul(60));
        Self { store, journal, names, host: host.into(), required: settings.require_verified, check_every }
    }

    /// The name of our mail server, which MX records name.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Whether mail to an address that has an entry point is taken.
    pub fn standing(&self, address: &str) -> MailStanding {
        if self.required { self.store.mail_standing(address) } else { MailStanding::Live }
    }

    /// Looks for a domain's record now.
    ///
    /// # Errors
    /// No such domain, or the store fails.
    pub async fn verify(&self, domain: &str, actor: &str) -> Result<DomainRecord, StoreError> {
        let name = domain.to_owned();
        let record = self.blocking(move |store| store.mail_domain(&name)).await?;
        let record = record.ok_or_else(|| StoreError::NoMailRecord(domain.to_owned()))?;
        let look = self.look(&record).await;
        let (name, actor) = (domain.to_owned(), actor.to_owned());
        let (record, changed) = self.blocking(move |store| store.note_look(&name, &look, &actor)).await?;
        if changed {
            self.tell_domain(&record).await;
        }
        Ok(record)
    }

    /// Begins a test of a mailbox: a mail with the word that this gives is to be sent along the way that is to be proven.
    ///
    /// # Errors
    /// No such mailbox, or the store fails.
    pub async fn begin_test(&self, address: &str, actor: &str) -> Result<Test, StoreError> {
        let expires = Timestamp::now().saturating_add(TEST_LASTS).unwrap_or(Timestamp::MAX);
        let test = Test { word: format!("vestibule-test-{}", word()), expires };
        self.change(address, MailboxEvent::TestBegins(test.clone()), actor).await?;
        Ok(test)
    }

    /// Changes a mailbox, and tells the feed of it; none when nothing changes.
    ///
    /// # Errors
    /// No such mailbox, or the store fails.
    pub async fn change(
        &self,
        address: &str,
        event: MailboxEvent,
        actor: &str,
    ) -> Result<Option<MailboxRecord>, StoreError> {
        let (name, actor) = (address.to_owned(), actor.to_owned());
        let record = self.blocking(move |store| store.change_mailbox(&name, event, &actor)).await?;
        if let Some(record) = &record {
            self.tell_mailbox(record).await;
        }
        Ok(record)
    }

    /// A mail to an address that is not proven: whether it is one that helps, and is kept with the address's record.
    ///
    /// # Errors
    /// The store fails: whoever sent it tries again.
    pub(crate) async fn prove(&self, incoming: &Incoming) -> Result<bool, StoreError> {
        let Some(content) = incoming.content() else { return Ok(false) };
        if self.note_question(incoming, content).await? {
            return Ok(true);
        }
        let address = incoming.address.clone();
        let record = self.blocking(move |store| store.mailbox(&address)).await?;
        let Some(word) = record.and_then(|record| record.test).map(|test| test.word) else {
            return Ok(false);
        };
        let subject = content.subject.as_deref().unwrap_or_default();
        if !subject.contains(&word) && !content.text.contains(&word) {
            return Ok(false);
        }
        let came = self.change(&incoming.address, MailboxEvent::TestCame { word }, SYSTEM).await?;
        Ok(came.is_some())
    }

    /// Notes a forwarder's question with the mailbox that it is about; whether it is one. The mail's signature was looked
    /// at before.
    pub(crate) async fn note_question(
        &self,
        incoming: &Incoming,
        content: &Content,
    ) -> Result<bool, StoreError> {
        let Some(link_or_code) = content.confirmation.clone() else { return Ok(false) };
        if incoming.channel != Channel::Email {
            return Ok(false);
        }
        let asks = Confirmation {
            at: Timestamp::now(),
            from: incoming.customer.clone(),
            subject: content.subject.clone(),
            link_or_code,
            mail: content.raw.clone(),
        };
        match self.change(&incoming.address, MailboxEvent::ForwarderAsks(asks), SYSTEM).await {
            Ok(_) => Ok(true),
            Err(StoreError::NoMailRecord(_)) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Looks for the records of all domains from time to time, for as long as the process runs.
    pub async fn go_on(self) {
        loop {
            tokio::time::sleep(self.check_every).await;
            if let Err(error) = self.look_at_all().await {
                tracing::warn!(%error, "mail domains could not be looked at");
            }
        }
    }

    async fn look_at_all(&self) -> Result<(), StoreError> {
        let mut after = String::new();
        loop {
            let behind = after.clone();
            let page = self.blocking(move |store| store.mail_domains(&behind, PAGE)).await?;
            let Some(last) = page.last() else { return Ok(()) };
            after.clone_from(&last.domain);
            for record in page.iter().filter(|record| record.state != DomainState::Failed) {
                self.verify(&record.domain, SYSTEM).await?;
            }
        }
    }

    async fn look(&self, record: &DomainRecord) -> Look {
        let Some(names) = &self.names else {
            return Look::Unknown("there is no name server to ask: set mail.dns_servers".to_owned());
        };
        // A record that was just made must not be hidden by an answer of before.
        names.clear_cache();
        let name = format!("{}.", record.challenge_name());
        match names.txt_lookup(name).await {
            Ok(found) => {
                let wanted = record.challenge_text();
                let says = found.answers().iter().any(|answer| match &answer.data {
                    RData::TXT(text) => text.txt_data.concat() == wanted.as_bytes(),
                    _ => false,
                });
                if says {
                    Look::Found
                } else {
                    Look::Missing(format!("{} says something else than {wanted}", record.challenge_name()))
                }
            }
            Err(NetError::Dns(DnsError::NoRecordsFound(none)))
                if matches!(none.response_code, ResponseCode::NXDomain | ResponseCode::NoError) =>
            {
                Look::Missing(format!("{} has no TXT record", record.challenge_name()))
            }
            Err(error) => Look::Unknown(format!("the name service did not answer: {error}")),
        }
    }

    async fn tell_domain(&self, record: &DomainRecord) {
        let data = json!({"domain": record.domain, "state": record.state, "problem": record.problem});
        self.tell(EventKind::MailDomainChanged, record.changed, &data).await;
    }

    async fn tell_mailbox(&self, record: &MailboxRecord) {
        // A link or code that opens somebody's forwarding is for administrators, not for all who read the feed.
        let data = json!({
            "address": record.address, "state": record.state, "confirmations": record.confirmations.len(),
        });
        self.tell(EventKind::MailboxChanged, record.changed, &data).await;
    }

    /// Tells the feed, after the record is changed: who missed it reads the record.
    async fn tell(&self, kind: EventKind, at: Timestamp, data: &serde_json::Value) {
        let mut entry = Entry::new(ContactId::from(""));
        entry.events.push(Event::new(kind, at, data));
        if let Err(error) = self.journal.append(entry).await {
            tracing::warn!(%error, "a change of a mailbox or a mail domain is in its record, and not in the feed");
        }
    }

    async fn blocking<T: Send + 'static>(
        &self,
        act: impl FnOnce(&Store) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let store = self.store.clone();
        match crate::blocking::blocking(move || act(&store)).await {
            Ok(done) => done,
            Err(_) => Err(StoreError::Interrupted),
        }
    }
}

/// A word that nobody guesses, in letters and digits that are read to others without mistakes.
pub(crate) fn word() -> String {
    const LETTERS: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
    let mut rng = rand::rng();
    (0..24).map(|_| char::from(LETTERS[rng.random_range(0..LETTERS.len())])).collect()
}
