//! Records of mail domains and mailboxes: whether a domain is ours, and whether a mailbox's mail comes to us.
//!
//! They stand beside the documents, as the records of numbers do: a roll back must never make an address live whose
//! domain nobody has proven. Which inbox its mail goes to is a matter of the documents.

use serde::{Deserialize, Serialize};

/// What we know of a domain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DomainRecord {
    /// The domain, in lower case.
    pub domain: String,
    /// Whether it is proven to be ours.
    pub state: DomainState,
    /// What its TXT record must say.
    pub token: String,
    /// What proved it.
    pub verified_by: Option<DomainProof>,
    /// When it was added.
    pub added: jiff::Timestamp,
    /// When its state last changed.
    pub changed: jiff::Timestamp,
    /// When the name service was last asked, and answered.
    pub checked: Option<jiff::Timestamp>,
    /// Since when the record is not found, of a domain that was verified.
    pub missing_since: Option<jiff::Timestamp>,
    /// What is wrong, as of the last look.
    pub problem: Option<String>,
}

/// Whether a domain is proven to be ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DomainState {
    /// Not yet: senders are asked to try again.
    Pending,
    /// It is.
    Verified,
    /// It was not for too long: its mail is refused.
    Failed,
}

/// What proved a domain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DomainProof {
    /// Its TXT record.
    Record,
    /// A mailbox of it stood in the document of the first start, or was in use before there were such records: it
    /// needs no TXT record.
    Start,
}

/// What a look for a domain's record came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Look {
    /// It is there.
    Found,
    /// The name service says that it is not, or another.
    Missing(String),
    /// Nobody answered: nothing is known.
    Unknown(String),
}

/// For how many days a domain may be without its record: one that is pending fails then, one that was verified too.
pub const DOMAIN_DAYS: i64 = 14;

impl DomainRecord {
    /// A new one.
    pub fn new(domain: String, token: String, now: jiff::Timestamp) -> Self {
        Self {
            domain,
            state: DomainState::Pending,
            token,
            verified_by: None,
            added: now,
            changed: now,
            checked: None,
            missing_since: None,
            problem: None,
        }
    }

    /// The name whose TXT record proves it.
    pub fn challenge_name(&self) -> String {
        format!("_vestibule.{}", self.domain)
    }

    /// What that record says.
    pub fn challenge_text(&self) -> String {
        format!("vestibule-verification={}", self.token)
    }

    /// A verified one of the first start.
    pub fn of_the_start(domain: String, token: String, now: jiff::Timestamp) -> Self {
        let (state, verified_by) = (DomainState::Verified, Some(DomainProof::Start));
        Self { state, verified_by, ..Self::new(domain, token, now) }
    }

    /// As it is after a look.
    pub fn after(&self, look: &Look, now: jiff::Timestamp) -> Self {
        let mut next = self.clone();
        match look {
            Look::Found => {
                next.checked = Some(now);
                next.missing_since = None;
                next.problem = None;
                next.state = DomainState::Verified;
                next.verified_by = Some(DomainProof::Record);
            }
            Look::Missing(problem) => {
                next.checked = Some(now);
                next.problem = Some(problem.clone());
                let since = match self.state {
                    DomainState::Pending => Some(self.added),
                    DomainState::Verified if self.verified_by == Some(DomainProof::Start) => None,
                    DomainState::Verified => Some(*next.missing_since.get_or_insert(now)),
                    DomainState::Failed => None,
                };
                let days = since.map_or(0, |since| now.duration_since(since).as_secs() / 86_400);
                if days >= DOMAIN_DAYS {
                    next.state = DomainState::Failed;
                }
            }
            Look::Unknown(problem) => next.problem = Some(problem.clone()),
        }
        if next.state != self.state {
            next.changed = now;
        }
        next
    }
}

/// What we know of a mailbox: an address of ours that mail is to be taken for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MailboxRecord {
    /// The address, in lower case.
    pub address: String,
    /// Whether its mail is known to come to us.
    pub state: MailboxState,
    /// When it was added.
    pub added: jiff::Timestamp,
    /// When it last changed.
    pub changed: jiff::Timestamp,
    /// What verified it.
    pub verified_by: Option<VerifiedBy>,
    /// Questions of forwarders whether the address wants their mail, the newest first.
    pub confirmations: Vec<Confirmation>,
    /// The test that an administrator has begun.
    pub test: Option<Test>,
}

/// Whether a mailbox's mail is known to come to us.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MailboxState {
    /// Not yet.
    Unverified,
    /// A forwarder has asked whether the address wants its mail: a person has to say yes there.
    ForwardingRequested,
    /// It does.
    Verified,
}

/// What verified a mailbox.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "how")]
pub enum VerifiedBy {
    /// A mail with the word of a test came in.
    Test,
    /// An administrator says so.
    Hand {
        /// Why.
        note: String,
    },
    /// It stood in the document of the first start, or was in use before there were such records.
    Start,
}

/// A forwarder's question, signed by it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Confirmation {
    /// When it came.
    pub at: jiff::Timestamp,
    /// Who asks.
    pub from: String,
    /// Its subject, which often names the address that is to be forwarded.
    pub subject: Option<String>,
    /// The link or code that a person confirms by. Nothing here opens it.
    pub link_or_code: String,
    /// Under which id the mail is kept as it came.
    pub mail: Option<String>,
}

/// A test: a mail with this word is expected.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Test {
    /// The word, for one mail.
    pub word: String,
    /// Until when.
    pub expires: jiff::Timestamp,
}

/// What happens to a mailbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MailboxEvent {
    /// A forwarder asks.
    ForwarderAsks(Confirmation),
    /// An administrator begins a test.
    TestBegins(Test),
    /// Its mail came.
    TestCame {
        /// The word in it.
        word: String,
    },
    /// An administrator says that its mail comes.
    VerifiedByHand {
        /// Why.
        note: String,
    },
    /// An administrator takes that back.
    Withdrawn,
}

/// Questions of forwarders that are kept of one mailbox.
const CONFIRMATIONS_MAX: usize = 10;

impl MailboxRecord {
    /// A new one.
    pub fn new(address: String, now: jiff::Timestamp) -> Self {
        Self {
            address,
            state: MailboxState::Unverified,
            added: now,
            changed: now,
            verified_by: None,
            confirmations: Vec::new(),
            test: None,
        }
    }

    /// One of the first start.
    pub fn of_the_start(address: String, now: jiff::Timestamp) -> Self {
        let (state, verified_by) = (MailboxState::Verified, Some(VerifiedBy::Start));
        Self { state, verified_by, ..Self::new(address, now) }
    }

    /// As it is after an event, with the name of what was done; none when nothing changes.
    pub fn after(&self, event: MailboxEvent, now: jiff::Timestamp) -> Option<(Self, &'static str)> {
        let mut next = Self { changed: now, ..self.clone() };
        let action = match event {
            MailboxEvent::ForwarderAsks(confirmation) => {
                if self.confirmations.iter().any(|known| known.link_or_code == confirmation.link_or_code) {
                    return None;
                }
                next.confirmations.insert(0, confirmation);
                next.confirmations.truncate(CONFIRMATIONS_MAX);
                if self.state == MailboxState::Unverified {
                    next.state = MailboxState::ForwardingRequested;
                }
                "mailbox.forwarder_asked"
            }
            MailboxEvent::TestBegins(test) => {
                next.test = Some(test);
                "mailbox.test_begun"
            }
            MailboxEvent::TestCame { word } => {
                let good = self.test.as_ref().is_some_and(|test| test.word == word && now < test.expires);
                if !good {
                    return None;
                }
                next.test = None;
                next.state = MailboxState::Verified;
                next.verified_by = Some(VerifiedBy::Test);
                "mailbox.test_came"
            }
            MailboxEvent::VerifiedByHand { note } => {
                next.state = MailboxState::Verified;
                next.verified_by = Some(VerifiedBy::Hand { note });
                "mailbox.verified_by_hand"
            }
            MailboxEvent::Withdrawn => {
                next.state = MailboxState::Unverified;
                next.verified_by = None;
                "mailbox.withdrawn"
            }
        };
        Some((next, action))
    }
}

/// What an address is as far as its records go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MailStanding {
    /// Its domain and its forwarding are verified.
    Live,
    /// One of both is not yet; mails that help with it are taken.
    Unproven,
    /// It has no record.
    Unrecorded,
    /// Its domain was not proven in time.
    Failed,
}

/// The domain of an address or name as records have it; none for what is no host name with a dot in it.
pub fn domain_name(text: &str) -> Option<String> {
    let name = text.trim().trim_end_matches('.').to_ascii_lowercase();
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    (name.len() <= 253 && name.contains('.') && name.split('.').all(label)).then_some(name)
}

#[cfg(test)]
mod tests {
    use jiff::ToSpan as _;

    use super::*;

    fn at(days: i64) -> jiff::Timestamp {
        jiff::Timestamp::UNIX_EPOCH + (days * 24).hours()
    }

    #[test]
    fn a_domain_is_verified_by_its_record_and_fails_when_that_is_missing_for_long() {
        let new = DomainRecord::new("example.com".into(), "t".into(), at(0));
        let missing = Look::Missing("no record".into());
        assert_eq!(new.after(&missing, at(13)).state, DomainState::Pending);
        assert_eq!(new.after(&missing, at(14)).state, DomainState::Failed);
        let verified = new.after(&Look::Found, at(20));
        assert_eq!((verified.state, verified.changed), (DomainState::Verified, at(20)));
        let gone = verified.after(&missing, at(30));
        assert_eq!((gone.state, gone.missing_since), (DomainState::Verified, Some(at(30))));
        assert_eq!(gone.after(&missing, at(43)).state, DomainState::Verified);
        assert_eq!(gone.after(&missing, at(44)).state, DomainState::Failed);
        assert_eq!(gone.after(&Look::Found, at(50)).missing_since, None);
        // That nobody answers says nothing of the record.
        assert_eq!(gone.after(&Look::Unknown("silence".into()), at(90)).state, DomainState::Verified);
        let first = DomainRecord::of_the_start("example.com".into(), "t".into(), at(0));
        assert_eq!(first.after(&missing, at(1)).after(&missing, at(99)).state, DomainState::Verified);
    }

    #[test]
    fn a_mailbox_is_verified_by_the_word_of_its_test_and_by_hand_and_not_by_a_question() {
        let new = MailboxRecord::new("help@example.com".into(), at(0));
        let asks = Confirmation {
            at: at(1),
            from: "forwarding-noreply@google.com".into(),
            subject: None,
            link_or_code: "123456".into(),
            mail: None,
        };
        let (asked, _) = new.after(MailboxEvent::ForwarderAsks(asks.clone()), at(1)).unwrap();
        assert_eq!(asked.state, MailboxState::ForwardingRequested);
        assert_eq!(asked.after(MailboxEvent::ForwarderAsks(asks), at(1)), None, "once is enough");
        assert_eq!(asked.after(MailboxEvent::TestCame { word: "w".into() }, at(1)), None, "no test");
        let test = Test { word: "w".into(), expires: at(3) };
        let (tested, _) = asked.after(MailboxEvent::TestBegins(test), at(1)).unwrap();
        assert_eq!(tested.after(MailboxEvent::TestCame { word: "x".into() }, at(2)), None);
        assert_eq!(tested.after(MailboxEvent::TestCame { word: "w".into() }, at(3)), None, "too late");
        let (verified, _) = tested.after(MailboxEvent::TestCame { word: "w".into() }, at(2)).unwrap();
        assert_eq!((verified.state, &verified.test), (MailboxState::Verified, &None));
        let (withdrawn, _) = verified.after(MailboxEvent::Withdrawn, at(4)).unwrap();
        assert_eq!((withdrawn.state, withdrawn.verified_by), (MailboxState::Unverified, None));
    }

    #[test]
    fn only_host_names_are_domains() {
        assert_eq!(domain_name(" Mail.Example.COM. ").as_deref(), Some("mail.example.com"));
        for text in ["", "com", "a..b", "-a.b", "a b.c", "a@b.c", "é.example"] {
            assert_eq!(domain_name(text), None, "{text}");
        }
    }
}
