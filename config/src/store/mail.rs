//! Records of mail domains and mailboxes, with the audit of their changes.

use std::{
    collections::HashMap,
    sync::{PoisonError, RwLock},
};

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension as _, TransactionBehavior, params};
use serde::{Serialize, de::DeserializeOwned};

use super::{
    Store, StoreError,
    audit::{self, By},
};
use crate::mail::{
    DomainRecord, DomainState, Look, MailStanding, MailboxEvent, MailboxRecord, MailboxState, domain_name,
};

/// Mailboxes that were routed before there were such records are taken for verified: their mail comes in already.
pub(super) const TABLES: &str = "
CREATE TABLE mail_domains (id TEXT PRIMARY KEY, record TEXT NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE mailboxes (id TEXT PRIMARY KEY, record TEXT NOT NULL) STRICT, WITHOUT ROWID;
INSERT INTO mailboxes SELECT lower(substr(id, 7)), json_object(
  'address', lower(substr(id, 7)), 'state', 'verified',
  'added', strftime('%Y-%m-%dT%H:%M:%SZ', 'now'), 'changed', strftime('%Y-%m-%dT%H:%M:%SZ', 'now'),
  'verified_by', json_object('how', 'start'), 'confirmations', json_array(), 'test', NULL)
  FROM objects WHERE kind = 'entry_points' AND until IS NULL AND id LIKE 'email/%@%';
INSERT INTO mail_domains SELECT DISTINCT substr(id, instr(id, '@') + 1), json_object(
  'domain', substr(id, instr(id, '@') + 1), 'state', 'verified', 'token', '', 'verified_by', 'start',
  'added', strftime('%Y-%m-%dT%H:%M:%SZ', 'now'), 'changed', strftime('%Y-%m-%dT%H:%M:%SZ', 'now'),
  'checked', NULL, 'missing_since', NULL, 'problem', NULL) FROM mailboxes;
UPDATE mail_domains SET record = json_set(record, '$.token', lower(hex(randomblob(16))));
";

/// What mail is taken for, without waiting for the database.
#[derive(Debug, Default)]
pub(super) struct Known {
    domains: RwLock<HashMap<String, DomainState>>,
    mailboxes: RwLock<HashMap<String, MailboxState>>,
}

/// The two kinds of records, each in a table of its own.
trait Record: Serialize + DeserializeOwned + Clone {
    const TABLE: &'static str;
    fn id(&self) -> &str;
}

impl Record for DomainRecord {
    const TABLE: &'static str = "mail_domains";

    fn id(&self) -> &str {
        &self.domain
    }
}

impl Record for MailboxRecord {
    const TABLE: &'static str = "mailboxes";

    fn id(&self) -> &str {
        &self.address
    }
}

impl Store {
    /// Mail domains behind `after` in their order, at most `limit`.
    ///
    /// # Errors
    /// The store fails.
    pub fn mail_domains(&self, after: &str, limit: u32) -> Result<Vec<DomainRecord>, StoreError> {
        list(&self.lock(), after, limit)
    }

    /// One mail domain.
    ///
    /// # Errors
    /// The store fails.
    pub fn mail_domain(&self, domain: &str) -> Result<Option<DomainRecord>, StoreError> {
        read(&self.lock(), domain)
    }

    /// Adds a mail domain, whose TXT record is to say `token`.
    ///
    /// # Errors
    /// It is there already, or the store fails.
    pub fn add_mail_domain(
        &self,
        domain: &str,
        token: String,
        actor: &str,
    ) -> Result<DomainRecord, StoreError> {
        let record = DomainRecord::new(domain.to_owned(), token, Timestamp::now());
        self.add_mail_record(record.clone(), "mail_domain.added", actor)?;
        self.note_domain(&record);
        Ok(record)
    }

    /// Writes what a look for a domain's record came to; whether its state changed.
    ///
    /// # Errors
    /// No such domain, or the store fails.
    pub fn note_look(
        &self,
        domain: &str,
        look: &Look,
        actor: &str,
    ) -> Result<(DomainRecord, bool), StoreError> {
        let connection = self.lock();
        let transaction = rusqlite::Transaction::new_unchecked(&connection, TransactionBehavior::Immediate)?;
        let before: DomainRecord = required(&transaction, domain)?;
        let after = before.after(look, Timestamp::now());
        let changed = after.state != before.state;
        // A look that changes nothing is no act of anybody.
        let audit = changed.then_some(("mail_domain.checked", self.by(actor)));
        write(&transaction, Some(&before), &after, audit)?;
        transaction.commit()?;
        drop(connection);
        self.note_domain(&after);
        Ok((after, changed))
    }

    /// Removes a mail domain that has no mailbox any more.
    ///
    /// # Errors
    /// No such domain, it has mailboxes, or the store fails.
    pub fn remove_mail_domain(&self, domain: &str, actor: &str) -> Result<(), StoreError> {
        let connection = self.lock();
        let transaction = rusqlite::Transaction::new_unchecked(&connection, TransactionBehavior::Immediate)?;
        let used: bool = transaction.query_row(
            "SELECT EXISTS(SELECT 1 FROM mailboxes WHERE substr(id, instr(id, '@') + 1) = ?1)",
            [domain],
            |row| row.get(0),
        )?;
        if used {
            return Err(StoreError::MailDomainUsed(domain.to_owned()));
        }
        remove::<DomainRecord>(&transaction, domain, "mail_domain.removed", self.by(actor))?;
        transaction.commit()?;
        self.mail.domains.write().unwrap_or_else(PoisonError::into_inner).remove(domain);
        Ok(())
    }

    /// Mailboxes behind `after` in their order, at most `limit`.
    ///
    /// # Errors
    /// The store fails.
    pub fn mailboxes(&self, after: &str, limit: u32) -> Result<Vec<MailboxRecord>, StoreError> {
        list(&self.lock(), after, limit)
    }

    /// One mailbox.
    ///
    /// # Errors
    /// The store fails.
    pub fn mailbox(&self, address: &str) -> Result<Option<MailboxRecord>, StoreError> {
        read(&self.lock(), address)
    }

    /// Adds a mailbox to a domain that has a record.
    ///
    /// # Errors
    /// The domain has none, the mailbox has one already, or the store fails.
    pub fn add_mailbox(&self, address: &str, actor: &str) -> Result<MailboxRecord, StoreError> {
        let domain = address.rsplit_once('@').map_or("", |(_, domain)| domain);
        if self.mail_domain(domain)?.is_none() {
            return Err(StoreError::NoMailRecord(domain.to_owned()));
        }
        let record = MailboxRecord::new(address.to_owned(), Timestamp::now());
        self.add_mail_record(record.clone(), "mailbox.added", actor)?;
        self.note_mailbox(&record);
        Ok(record)
    }

    /// Changes a mailbox; none when the event changes nothing.
    ///
    /// # Errors
    /// No such mailbox, or the store fails.
    pub fn change_mailbox(
        &self,
        address: &str,
        event: MailboxEvent,
        actor: &str,
    ) -> Result<Option<MailboxRecord>, StoreError> {
        let connection = self.lock();
        let transaction = rusqlite::Transaction::new_unchecked(&connection, TransactionBehavior::Immediate)?;
        let before: MailboxRecord = required(&transaction, address)?;
        let Some((after, action)) = before.after(event, Timestamp::now()) else { return Ok(None) };
        write(&transaction, Some(&before), &after, Some((action, self.by(actor))))?;
        transaction.commit()?;
        drop(connection);
        self.note_mailbox(&after);
        Ok(Some(after))
    }

    /// Removes a mailbox.
    ///
    /// # Errors
    /// No such mailbox, or the store fails.
    pub fn remove_mailbox(&self, address: &str, actor: &str) -> Result<(), StoreError> {
        let connection = self.lock();
        let transaction = rusqlite::Transaction::new_unchecked(&connection, TransactionBehavior::Immediate)?;
        remove::<MailboxRecord>(&transaction, address, "mailbox.removed", self.by(actor))?;
        transaction.commit()?;
        self.mail.mailboxes.write().unwrap_or_else(PoisonError::into_inner).remove(address);
        Ok(())
    }

    /// What an address is by its records. Never waits for the database.
    pub fn mail_standing(&self, address: &str) -> MailStanding {
        let domain = address.rsplit_once('@').map_or("", |(_, domain)| domain);
        let domain = self.mail.domains.read().unwrap_or_else(PoisonError::into_inner).get(domain).copied();
        let mailbox =
            self.mail.mailboxes.read().unwrap_or_else(PoisonError::into_inner).get(address).copied();
        match (domain, mailbox) {
            (None, _) | (_, None) => MailStanding::Unrecorded,
            (Some(DomainState::Failed), Some(_)) => MailStanding::Failed,
            (Some(DomainState::Verified), Some(MailboxState::Verified)) => MailStanding::Live,
            (Some(DomainState::Pending | DomainState::Verified), Some(_)) => MailStanding::Unproven,
        }
    }

    /// Makes the mailboxes of a first document verified: whoever starts a gateway with it says that they are.
    pub(super) fn seed_mailboxes(&self, addresses: &[String]) -> Result<(), StoreError> {
        for address in addresses {
            let Some(domain) = address.rsplit_once('@').and_then(|(_, domain)| domain_name(domain)) else {
                continue;
            };
            let now = Timestamp::now();
            let token: String =
                self.lock().query_row("SELECT lower(hex(randomblob(16)))", [], |row| row.get(0))?;
            let record = DomainRecord::of_the_start(domain, token, now);
            let mailbox = MailboxRecord::of_the_start(address.clone(), now);
            match self.add_mail_record(record.clone(), "mail_domain.added", "system") {
                Ok(()) => self.note_domain(&record),
                Err(StoreError::MailRecordExists(_)) => {}
                Err(error) => return Err(error),
            }
            self.add_mail_record(mailbox.clone(), "mailbox.added", "system")?;
            self.note_mailbox(&mailbox);
        }
        Ok(())
    }

    pub(super) fn load_mail(&self) -> Result<(), StoreError> {
        let (domains, mailboxes): (Vec<DomainRecord>, Vec<MailboxRecord>) = {
            let connection = self.lock();
            (list(&connection, "", u32::MAX)?, list(&connection, "", u32::MAX)?)
        };
        domains.iter().for_each(|record| self.note_domain(record));
        mailboxes.iter().for_each(|record| self.note_mailbox(record));
        Ok(())
    }

    fn note_domain(&self, record: &DomainRecord) {
        let mut domains = self.mail.domains.write().unwrap_or_else(PoisonError::into_inner);
        domains.insert(record.domain.clone(), record.state);
    }

    fn note_mailbox(&self, record: &MailboxRecord) {
        let mut mailboxes = self.mail.mailboxes.write().unwrap_or_else(PoisonError::into_inner);
        mailboxes.insert(record.address.clone(), record.state);
    }

    fn add_mail_record<R: Record>(
        &self,
        record: R,
        action: &'static str,
        actor: &str,
    ) -> Result<(), StoreError> {
        let connection = self.lock();
        let transaction = rusqlite::Transaction::new_unchecked(&connection, TransactionBehavior::Immediate)?;
        if read::<R>(&transaction, record.id())?.is_some() {
            return Err(StoreError::MailRecordExists(record.id().to_owned()));
        }
        write(&transaction, None, &record, Some((action, self.by(actor))))?;
        transaction.commit()?;
        Ok(())
    }
}

fn list<R: Record>(connection: &Connection, after: &str, limit: u32) -> Result<Vec<R>, StoreError> {
    let mut statement = connection
        .prepare_cached(&format!("SELECT record FROM {} WHERE id > ?1 ORDER BY id LIMIT ?2", R::TABLE))?;
    let rows = statement.query_map(params![after, limit], |row| row.get::<_, String>(0))?;
    rows.map(|text| parse(&text?)).collect()
}

fn read<R: Record>(connection: &Connection, id: &str) -> Result<Option<R>, StoreError> {
    let text: Option<String> = connection
        .prepare_cached(&format!("SELECT record FROM {} WHERE id = ?1", R::TABLE))?
        .query_row([id], |row| row.get(0))
        .optional()?;
    text.map(|text| parse(&text)).transpose()
}

fn required<R: Record>(connection: &Connection, id: &str) -> Result<R, StoreError> {
    read(connection, id)?.ok_or_else(|| StoreError::NoMailRecord(id.to_owned()))
}

fn remove<R: Record>(
    connection: &Connection,
    id: &str,
    action: &'static str,
    by: By<'_>,
) -> Result<(), StoreError> {
    let before: R = required(connection, id)?;
    connection.prepare_cached(&format!("DELETE FROM {} WHERE id = ?1", R::TABLE))?.execute([id])?;
    note(connection, id, (Some(&before), None), (action, by))
}

/// Writes a record, and who did what where somebody did.
fn write<R: Record>(
    connection: &Connection,
    before: Option<&R>,
    after: &R,
    act: Option<(&'static str, By<'_>)>,
) -> Result<(), StoreError> {
    connection
        .prepare_cached(&format!("INSERT OR REPLACE INTO {} (id, record) VALUES (?1, ?2)", R::TABLE))?
        .execute(params![after.id(), serde_json::to_string(after).unwrap_or_default()])?;
    match act {
        Some(act) => note(connection, after.id(), (before, Some(after)), act),
        None => Ok(()),
    }
}

fn note<R: Record>(
    connection: &Connection,
    subject: &str,
    (before, after): (Option<&R>, Option<&R>),
    (action, by): (&'static str, By<'_>),
) -> Result<(), StoreError> {
    let value = |record: &R| {
        let mut value = serde_json::to_value(record).unwrap_or_default();
        // The word of a test that goes on is a secret.
        if let Some(word) = value.pointer_mut("/test/word") {
            *word = serde_json::Value::Null;
        }
        value
    };
    let line = audit::Line {
        action,
        subject: subject.to_owned(),
        before: before.map(value),
        after: after.map(value),
    };
    audit::append(connection, by, &line)
}

fn parse<R: Record>(text: &str) -> Result<R, StoreError> {
    serde_json::from_str(text).map_err(|error| {
        let wrong = rusqlite::types::Type::Text;
        rusqlite::Error::FromSqlConversionFailure(0, wrong, Box::new(error)).into()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{Options, schema};

    #[test]
    fn mailboxes_that_were_routed_before_there_were_records_stay_live() {
        let folder = tempfile::tempdir().unwrap();
        {
            let connection = Connection::open(folder.path().join("config.db")).unwrap();
            connection.execute_batch(schema::first_version()).unwrap();
            connection
                .execute_batch(
                    "INSERT INTO objects VALUES ('entry_points', 'email/Help@example.com', 1, NULL, '{}');
                     INSERT INTO objects VALUES ('entry_points', 'email/sales@example.com', 1, NULL, '{}');
                     INSERT INTO objects VALUES ('entry_points', 'email/old@example.com', 1, 2, '{}');
                     INSERT INTO objects VALUES ('entry_points', 'sms/+14155550100', 1, NULL, '{}');
                     PRAGMA user_version = 1;",
                )
                .unwrap();
        }
        drop(schema::open(&folder.path().join("config.db")).unwrap());
        let connection = schema::open(&folder.path().join("config.db")).unwrap();
        let mailboxes: Vec<MailboxRecord> = list(&connection, "", 10).unwrap();
        let addresses: Vec<&str> = mailboxes.iter().map(|one| one.address.as_str()).collect();
        assert_eq!(addresses, ["help@example.com", "sales@example.com"]);
        assert!(mailboxes.iter().all(|one| one.state == MailboxState::Verified));
        let domains: Vec<DomainRecord> = list(&connection, "", 10).unwrap();
        assert_eq!((domains.len(), domains[0].state), (1, DomainState::Verified));
        assert_eq!(domains[0].token.len(), 32, "a word for a record that may still be written");
    }

    #[test]
    fn an_address_is_live_with_its_domain_and_every_act_is_audited() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path(), Options::default()).unwrap();
        let ours = "help@example.com";
        assert!(matches!(store.add_mailbox(ours, "ann"), Err(StoreError::NoMailRecord(_))));
        store.add_mail_domain("example.com", "t".into(), "ann").unwrap();
        assert!(matches!(
            store.add_mail_domain("example.com", "u".into(), "ann"),
            Err(StoreError::MailRecordExists(_))
        ));
        assert_eq!(store.mail_standing(ours), MailStanding::Unrecorded);
        store.add_mailbox(ours, "ann").unwrap();
        let by_hand = MailboxEvent::VerifiedByHand { note: "seen".into() };
        store.change_mailbox(ours, by_hand, "bob").unwrap();
        assert_eq!(store.mail_standing(ours), MailStanding::Unproven, "the domain is not proven");
        assert!(store.note_look("example.com", &Look::Found, "ann").unwrap().1);
        assert_eq!(store.mail_standing(ours), MailStanding::Live);
        assert!(matches!(store.remove_mail_domain("example.com", "ann"), Err(StoreError::MailDomainUsed(_))));
        drop(store);
        let store = Store::open(folder.path(), Options::default()).unwrap();
        assert_eq!(store.mail_standing(ours), MailStanding::Live, "after a restart");
        let audit = store.audit(ours, 10).unwrap();
        let acts: Vec<_> = audit.iter().map(|row| (row.actor.as_str(), row.action.as_str())).collect();
        assert_eq!(acts, [("bob", "mailbox.verified_by_hand"), ("ann", "mailbox.added")]);
        store.remove_mailbox(ours, "ann").unwrap();
        store.remove_mail_domain("example.com", "ann").unwrap();
        assert_eq!(store.mail_standing(ours), MailStanding::Unrecorded);
    }
}
