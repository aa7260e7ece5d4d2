//! Publishing by two people: what one wants to publish waits until another has approved it (`routing.publish_needs_second`).
//!
//! What is wanted is compiled before it is kept, and frozen: what is approved is what was asked for. When somebody else has
//! changed the same objects by then, it collides and is not published. Who asked is remembered as a person: the keys that
//! somebody made are his.

use std::collections::BTreeMap;

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension as _, Row, TransactionBehavior, params};
use serde::Serialize;
use serde_json::{Value, json};

use super::{
    Numbers, Published, Store, StoreError,
    audit::{self, Line, shown},
    draft, invalid, objects,
    publish::{Changes, Request, Rule},
};
use crate::{
    diagnostic::{Code, Diagnostic},
    document::{Key, Kind},
};

pub(super) const TABLES: &str = "
ALTER TABLE revisions ADD COLUMN approved_by TEXT;
-- `base` is the revision that was active when it was asked for; `changes` is a list of [kind, id, body].
CREATE TABLE publish_requests (
  id INTEGER PRIMARY KEY AUTOINCREMENT, author TEXT NOT NULL, person TEXT NOT NULL, note TEXT NOT NULL,
  created_ms INTEGER NOT NULL, base INTEGER NOT NULL, restores INTEGER, of_draft INTEGER NOT NULL, changes TEXT NOT NULL,
  count INTEGER NOT NULL, state TEXT NOT NULL, decided_by TEXT, decided_ms INTEGER, reason TEXT, revision INTEGER
) STRICT;
CREATE INDEX publish_requests_open ON publish_requests (id) WHERE state = 'open';
";

/// What became of a request to publish.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RequestState {
    /// It waits.
    Open,
    /// It is published.
    Approved,
    /// Somebody said no.
    Refused,
    /// Who asked for it does not want it any more.
    Withdrawn,
}

impl RequestState {
    fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Approved => "approved",
            Self::Refused => "refused",
            Self::Withdrawn => "withdrawn",
        }
    }

    fn parse(text: &str) -> Self {
        let all = [Self::Open, Self::Approved, Self::Refused];
        all.into_iter().find(|state| state.as_str() == text).unwrap_or(Self::Withdrawn)
    }
}

/// Something that somebody wants to publish.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PublishRequest {
    /// Counts from 1.
    pub id: u64,
    /// Who asked: the author of the revision.
    pub author: String,
    /// The person who asked, or made the key that asked.
    pub person: String,
    /// What for.
    pub note: String,
    /// When it was asked for.
    pub created: Timestamp,
    /// The revision that was active then.
    pub base: u64,
    /// The revision that it restores.
    pub restores: Option<u64>,
    /// How many objects change.
    pub changes: u64,
    /// What became of it.
    pub state: RequestState,
    /// Who decided.
    pub decided_by: Option<String>,
    /// When.
    pub decided: Option<Timestamp>,
    /// Why, when it was refused.
    pub reason: Option<String>,
    /// The revision that it became.
    pub revision: Option<u64>,
}

/// Who decides about a request.
#[derive(Clone, Copy, Debug)]
pub struct Decider<'a> {
    /// His name in the audit log.
    pub name: &'a str,
    /// The person.
    pub person: &'a str,
}

const COLUMNS: &str = "id, author, person, note, created_ms, base, restores, count, state, decided_by, decided_ms, \
                       reason, revision";

fn row(row: &Row<'_>) -> rusqlite::Result<PublishRequest> {
    let number = |column| row.get::<_, i64>(column).map(i64::unsigned_abs);
    let perhaps = |column| row.get::<_, Option<i64>>(column);
    let moment = |ms| Timestamp::from_millisecond(ms).unwrap_or_default();
    Ok(PublishRequest {
        id: number(0)?,
        author: row.get(1)?,
        person: row.get(2)?,
        note: row.get(3)?,
        created: moment(row.get(4)?),
        base: number(5)?,
        restores: perhaps(6)?.map(i64::unsigned_abs),
        changes: number(7)?,
        state: RequestState::parse(&row.get::<_, String>(8)?),
        decided_by: row.get(9)?,
        decided: perhaps(10)?.map(moment),
        reason: row.get(11)?,
        revision: perhaps(12)?.map(i64::unsigned_abs),
    })
}

impl Store {
    /// Requests to publish before one, the newest first, at most `limit`; those that wait only, if that is wanted.
    ///
    /// # Errors
    /// The store fails.
    pub fn publish_requests(
        &self,
        open_only: bool,
        before: Option<u64>,
        limit: u32,
    ) -> Result<Vec<PublishRequest>, StoreError> {
        let wanted = if open_only { "AND state = 'open'" } else { "" };
        let connection = self.lock();
        let mut statement = connection.prepare_cached(&format!(
            "SELECT {COLUMNS} FROM publish_requests WHERE id < ?1 {wanted} ORDER BY id DESC LIMIT ?2"
        ))?;
        let rows = statement.query_map(params![before.map_or(i64::MAX, objects::signed), limit], row)?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// A request with the objects that it changes, each beside what is published now.
    ///
    /// # Errors
    /// There is none, or the store fails.
    pub fn publish_request(&self, id: u64) -> Result<(PublishRequest, Value), StoreError> {
        let connection = self.lock();
        let request = read(&connection, id)?;
        let changes = shown::changes(&connection, &changes_of(&connection, id)?)?;
        Ok((request, changes))
    }

    /// Keeps what an ordinary publish has come to, in place of making it active.
    pub(super) fn ask_for(
        &self,
        connection: &Connection,
        changes: &Changes,
        request: &Request<'_>,
    ) -> Result<PublishRequest, StoreError> {
        let transaction = rusqlite::Transaction::new_unchecked(connection, TransactionBehavior::Immediate)?;
        let open: i64 = transaction.query_row(
            "SELECT count(*) FROM publish_requests WHERE state = 'open'",
            [],
            |row| row.get(0),
        )?;
        if open.unsigned_abs() >= self.options.publish_requests_max {
            let most = self.options.publish_requests_max;
            return Err(StoreError::InTheWay(format!(
                "{most} requests to publish wait already: decide about them first"
            )));
        }
        let rows: Vec<_> =
            changes.iter().map(|(key, body)| json!([key.kind.as_str(), key.id, body])).collect();
        let who = audit::now();
        transaction
            .prepare_cached(
                "INSERT INTO publish_requests
                   (author, person, note, created_ms, base, restores, of_draft, changes, count, state)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, 'open')",
            )?
            .execute(params![
                request.author,
                if who.person.is_empty() { request.author } else { who.person.as_str() },
                request.note.trim(),
                Timestamp::now().as_millisecond(),
                objects::signed(objects::newest_revision(&transaction)?),
                request.restores.map(objects::signed),
                request.of_draft,
                Value::from(rows).to_string(),
                i64::try_from(changes.len()).unwrap_or(i64::MAX),
            ])?;
        let asked = read(&transaction, transaction.last_insert_rowid().unsigned_abs())?;
        let after = json!({"note": asked.note, "objects": shown::changes(&transaction, changes)?});
        self.tell(&transaction, request.author, &line("publish.requested", asked.id, Some(after)))?;
        self.forget_decided(&transaction)?;
        transaction.commit()?;
        Ok(asked)
    }

    /// Publishes what was asked for. Somebody else must do it than who asked.
    ///
    /// # Errors
    /// There is no such request, it is decided, the same person asked, it collides with what was published since, or it
    /// does not compile any more; or the store fails. It waits on then.
    pub fn approve_publish(&self, id: u64, decider: Decider<'_>) -> Result<Published, StoreError> {
        let (asked, of_draft) = {
            let connection = self.lock();
            let of_draft: Option<bool> = connection
                .query_row(
                    "SELECT of_draft FROM publish_requests WHERE id = ?1",
                    [objects::signed(id)],
                    |row| row.get(0),
                )
                .optional()?;
            (may_decide(read(&connection, id)?, decider)?, of_draft.unwrap_or_default())
        };
        let nobody = Numbers::new();
        let request = Request {
            restores: asked.restores,
            of_draft,
            rule: Rule::Approved { request: id, by: decider.name },
            ..Request::of_changes(&asked.author, &asked.note, &nobody)
        };
        self.publish_ready(&request, |connection| {
            must_be_open(&read(connection, id)?)?;
            let changes = changes_of(connection, id)?;
            no_collision(connection, changes.keys(), asked.base)?;
            Ok(changes)
        })
    }

    /// Says no to a request, and why.
    ///
    /// # Errors
    /// There is none, it is decided, the same person asked; or the store fails.
    pub fn refuse_publish(
        &self,
        id: u64,
        decider: Decider<'_>,
        reason: &str,
    ) -> Result<PublishRequest, StoreError> {
        self.decide(id, (decider.name, RequestState::Refused, Some(reason)), |asked| {
            may_decide(asked, decider)
        })
    }

    /// Takes a request back; who asked may.
    ///
    /// # Errors
    /// There is none, it is decided, somebody else asked; or the store fails.
    pub fn withdraw_publish(&self, id: u64, decider: Decider<'_>) -> Result<PublishRequest, StoreError> {
        self.decide(id, (decider.name, RequestState::Withdrawn, None), |asked| {
            if !is_his(&asked, decider) {
                return Err(StoreError::InTheWay(
                    "only who asked for it takes it back; others refuse it".into(),
                ));
            }
            must_be_open(&asked)?;
            Ok(asked)
        })
    }

    fn decide(
        &self,
        id: u64,
        (name, state, reason): (&str, RequestState, Option<&str>),
        allowed: impl FnOnce(PublishRequest) -> Result<PublishRequest, StoreError>,
    ) -> Result<PublishRequest, StoreError> {
        let mut connection = self.lock();
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        allowed(read(&transaction, id)?)?;
        transaction.execute(
            "UPDATE publish_requests SET state = ?2, decided_by = ?3, decided_ms = ?4, reason = ?5 WHERE id = ?1",
            params![objects::signed(id), state.as_str(), name, Timestamp::now().as_millisecond(), reason],
        )?;
        let action = if state == RequestState::Refused { "publish.refused" } else { "publish.withdrawn" };
        self.tell(&transaction, name, &line(action, id, Some(json!({ "reason": reason }))))?;
        let decided = read(&transaction, id)?;
        transaction.commit()?;
        Ok(decided)
    }

    /// Marks a request as published, in the transaction of its revision.
    pub(super) fn is_approved(
        &self,
        connection: &Connection,
        (id, by): (u64, &str),
        revision: u64,
    ) -> Result<(), StoreError> {
        connection.execute(
            "UPDATE publish_requests SET state = 'approved', decided_by = ?2, decided_ms = ?3, revision = ?4 WHERE id = ?1",
            params![objects::signed(id), by, Timestamp::now().as_millisecond(), objects::signed(revision)],
        )?;
        self.tell(connection, by, &line("publish.approved", id, Some(json!({ "revision": revision }))))
    }

    /// What was edited in the draft since it was asked for stays, on top of what is published now.
    pub(super) fn settle_draft(
        &self,
        connection: &Connection,
        changes: &Changes,
        revision: u64,
    ) -> Result<(), StoreError> {
        let edits = draft::read(connection)?.changes;
        let active = self.active.load();
        for (key, published) in changes {
            let Some(edit) = edits.get(key) else { continue };
            // The draft may leave out whether an entry point is armed; what is published says it.
            let mut same = Changes::from([(key.clone(), edit.clone())]);
            if key.kind == Kind::EntryPoints {
                self.fill_armed(&active, &mut same);
            }
            let (kind, id) = (key.kind.as_str(), &key.id);
            if same.get(key) == Some(published) {
                connection.execute("DELETE FROM draft WHERE kind = ?1 AND id = ?2", params![kind, id])?;
            } else {
                connection.execute(
                    "UPDATE draft SET base = ?3 WHERE kind = ?1 AND id = ?2",
                    params![kind, id, objects::signed(revision)],
                )?;
            }
        }
        draft::begin(connection, None).map(|_| ())
    }

    /// Decided requests are kept as many as revisions.
    fn forget_decided(&self, connection: &Connection) -> Result<(), StoreError> {
        connection.execute(
            "DELETE FROM publish_requests WHERE state <> 'open' AND id <= (SELECT max(id) FROM publish_requests) - ?1",
            [objects::signed(self.options.revisions_kept_max)],
        )?;
        Ok(())
    }
}

fn read(connection: &Connection, id: u64) -> Result<PublishRequest, StoreError> {
    let query = format!("SELECT {COLUMNS} FROM publish_requests WHERE id = ?1");
    let found = connection.prepare_cached(&query)?.query_row([objects::signed(id)], row).optional()?;
    found.ok_or_else(|| StoreError::NoRecord { kind: "publish request", id: id.to_string() })
}

fn changes_of(connection: &Connection, id: u64) -> Result<Changes, StoreError> {
    let text: String = connection
        .prepare_cached("SELECT changes FROM publish_requests WHERE id = ?1")?
        .query_row([objects::signed(id)], |row| row.get(0))?;
    let rows: Vec<(String, String, Option<Value>)> = serde_json::from_str(&text).map_err(|error| {
        rusqlite::Error::FromSqlConversionFailure(0, rusqlite::types::Type::Text, Box::new(error))
    })?;
    let key = |kind: &str, id| Kind::parse(kind).map(|kind| Key::new(kind, id));
    Ok(rows
        .into_iter()
        .filter_map(|(kind, id, body)| Some((key(&kind, id)?, body)))
        .collect::<BTreeMap<_, _>>())
}

/// Whether the same person asked, under whatever name.
fn is_his(asked: &PublishRequest, decider: Decider<'_>) -> bool {
    [asked.person.as_str(), &asked.author].iter().any(|name| [decider.name, decider.person].contains(name))
}

fn may_decide(asked: PublishRequest, decider: Decider<'_>) -> Result<PublishRequest, StoreError> {
    must_be_open(&asked)?;
    if is_his(&asked, decider) { Err(StoreError::SamePerson(asked.id)) } else { Ok(asked) }
}

fn must_be_open(asked: &PublishRequest) -> Result<(), StoreError> {
    if asked.state == RequestState::Open {
        return Ok(());
    }
    Err(StoreError::InTheWay(format!("request {} is {} already", asked.id, asked.state.as_str())))
}

fn no_collision<'a>(
    connection: &Connection,
    keys: impl Iterator<Item = &'a Key>,
    base: u64,
) -> Result<(), StoreError> {
    let mut found = Vec::new();
    for key in keys {
        if objects::changed_after(connection, key, base)? {
            let sentence = format!("{key} was published by somebody else since this was asked for");
            found.push(Diagnostic::new(Code::Conflict, key.path(), sentence));
        }
    }
    if found.is_empty() { Ok(()) } else { Err(StoreError::Invalid(found)) }
}

/// That a publish of very many objects is not asked for where nobody could look at it.
pub(super) fn no_import() -> StoreError {
    invalid(
        Code::NeedsSecond,
        "",
        "a publish needs a second person, and an import cannot wait for one: put the document into the draft",
    )
}

fn line(action: &'static str, id: u64, after: Option<Value>) -> Line {
    Line { action, subject: format!("publish-request/{id}"), before: None, after }
}

#[cfg(test)]
mod tests;
