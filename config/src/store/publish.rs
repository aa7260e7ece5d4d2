//! From changes to a revision that routes.

use std::collections::BTreeMap;

use rusqlite::{Connection, TransactionBehavior};
use serde_json::{Value, json};
use vestibule_routing::{
    address::{Address, E164},
    channel::Channel,
    id::ChatAppId,
};

use super::{
    Draft, Numbers, Published, Revision, Store, StoreError, audit::shown, draft, invalid, numbers, objects,
    read_changes,
};
use crate::{
    active::ActiveRouting,
    compile::{Change, Compiled, Context, compile},
    diagnostic::{Code, Diagnostic},
    document::{EntryPointRef, Key, Kind},
};

/// Longest note of a publish, in characters.
const NOTE_MAX: usize = 500;

/// How often sounds are made for one publish, when others change prompts all the while.
const ATTEMPTS_MAX: usize = 5;

/// Who publishes what for.
pub(super) struct Request<'a> {
    pub(super) author: &'a str,
    pub(super) note: &'a str,
    pub(super) restores: Option<u64>,
    /// Numbers that become ours with it: at the first start only.
    pub(super) seeds: &'a Numbers,
    /// It is what the draft says: the draft's edits of these objects are done with it.
    pub(super) of_draft: bool,
    /// Whether it may have to wait.
    pub(super) rule: Rule<'a>,
}

/// Whether a publish waits for a second person, where that is needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rule<'a> {
    /// It waits.
    Ordinary,
    /// An act of operation: it does not.
    AtOnce,
    /// Somebody else has approved it.
    Approved {
        /// The request.
        request: u64,
        /// By whom.
        by: &'a str,
    },
}

impl<'a> Request<'a> {
    /// A publish of something else than the draft.
    pub(super) fn of_changes(author: &'a str, note: &'a str, seeds: &'a Numbers) -> Self {
        Self { author, note, restores: None, seeds, of_draft: false, rule: Rule::Ordinary }
    }
}

pub(super) type Changes = BTreeMap<Key, Option<Value>>;

/// Changes with what comes of them.
struct Next {
    changes: Changes,
    compiled: Compiled,
    warnings: Vec<Diagnostic>,
}

impl Store {
    /// Publishes the draft.
    ///
    /// # Errors
    /// The draft is empty, has another version than `expected`, collides with what was published since, or
    /// does not compile; there is no note; or the store fails. Nothing is changed then.
    pub fn publish(&self, author: &str, note: &str, expected: Option<u64>) -> Result<Published, StoreError> {
        let nobody = Numbers::new();
        let request = Request { of_draft: true, ..Request::of_changes(author, note, &nobody) };
        self.publish_ready(&request, |connection| {
            let draft = draft::read(connection)?;
            if let Some(expected) = expected.filter(|expected| *expected != draft.version) {
                return Err(StoreError::VersionMismatch { found: draft.version, expected });
            }
            no_conflicts(connection, &draft)?;
            Ok(draft.changes)
        })
    }

    /// Publishes changes at once, past the draft, which stays as it is: what it holds of the same objects collides
    /// when it is published.
    ///
    /// # Errors
    /// As [`Store::publish`].
    pub fn publish_changes(
        &self,
        changes: Changes,
        author: &str,
        note: &str,
    ) -> Result<Published, StoreError> {
        self.publish_ready(&Request::of_changes(author, note, &Numbers::new()), |_| Ok(changes.clone()))
    }

    /// The same for what an operation of the gateway brings with it, which waits for no second person: a number that is bought
    /// or given back.
    ///
    /// # Errors
    /// As [`Store::publish`].
    pub fn publish_changes_at_once(
        &self,
        changes: Changes,
        author: &str,
        note: &str,
    ) -> Result<Published, StoreError> {
        let nobody = Numbers::new();
        let request = Request { rule: Rule::AtOnce, ..Request::of_changes(author, note, &nobody) };
        self.publish_ready(&request, |_| Ok(changes.clone()))
    }

    /// Restores an older revision as a new one. Numbers that are not ours any more are left out: a roll
    /// back neither buys nor releases.
    ///
    /// # Errors
    /// No such revision, nothing to restore, or as [`Store::publish`].
    pub fn roll_back(&self, to: u64, author: &str, note: &str) -> Result<Published, StoreError> {
        let nobody = Numbers::new();
        let request = Request { restores: Some(to), ..Request::of_changes(author, note, &nobody) };
        self.publish_ready(&request, |connection| changes_back_to(connection, to))
    }

    /// Publishes changes whose sounds are ready. Texts take time to be spoken, so sounds are made while others
    /// go on using the store; then the changes are read and compiled anew, and if they need other sounds by
    /// now, it begins again.
    pub(super) fn publish_ready(
        &self,
        request: &Request<'_>,
        changes: impl Fn(&Connection) -> Result<Changes, StoreError>,
    ) -> Result<Published, StoreError> {
        let mut ready = self.active.load().prompts.clone();
        for _ in 0..ATTEMPTS_MAX {
            let connection = self.lock();
            let mut next = self.next(&connection, changes(&connection)?, request)?;
            let active = self.active.load();
            if next.compiled.prompts == ready {
                // The very table whose sounds were made: they are found by it.
                next.compiled.prompts = ready;
                return self.make_active(&connection, next, request);
            }
            if next.compiled.prompts == active.prompts {
                return self.make_active(&connection, next, request);
            }
            drop(connection);
            self.make_ready(&next.compiled.prompts)?;
            ready = next.compiled.prompts;
        }
        let sentence =
            format!("prompts were changed by others {ATTEMPTS_MAX} times while this was published");
        Err(invalid(Code::Conflict, "/prompts", &sentence))
    }

    /// Compiles changes on top of what is active, without keeping them.
    pub(super) fn compile_changes(
        &self,
        connection: &Connection,
        changes: Changes,
        seeds: &Numbers,
    ) -> Result<(Changes, Compiled, Vec<Diagnostic>), StoreError> {
        self.compile_some(connection, changes, seeds, true)
    }

    /// The same, with or without the tests of the document.
    pub(super) fn compile_some(
        &self,
        connection: &Connection,
        mut changes: Changes,
        seeds: &Numbers,
        run_tests: bool,
    ) -> Result<(Changes, Compiled, Vec<Diagnostic>), StoreError> {
        let active = self.active.load();
        self.fill_armed(&active, &mut changes);
        let read: Vec<Change> = read_changes(&changes)?;
        // Many numbers: one table scan. Few: one look-up each.
        let many = read.iter().filter(|(key, _)| key.kind == Kind::Numbers).count() > 1000;
        let ours = if many { Some(numbers::all_ours(connection)?) } else { None };
        let owned = |number: E164| {
            seeds.contains(&number)
                || match &ours {
                    Some(ours) => ours.contains(&number),
                    None => numbers::is_ours(connection, number).unwrap_or(false),
                }
        };
        let recorded = |hash: &str| self.has_recording(hash);
        let context = Context {
            now: jiff::Timestamp::now(),
            owned: &owned,
            recorded: &recorded,
            speech: self.options.speech,
            provider_kinds: self.options.provider_kinds,
            event_types: self.options.event_types,
            run_tests,
        };
        let outcome = compile(active.compiled.clone(), read, &context);
        match outcome.compiled {
            Some(compiled) => Ok((changes, compiled, outcome.diagnostics)),
            None => Err(StoreError::Invalid(outcome.diagnostics)),
        }
    }

    /// Writes down whether an entry point is armed, where the document leaves it out: as it was, or as new
    /// ones are. A new number or chat app gets an entry point when new ones are not armed; an exit is a step of calls
    /// that were let in already, and always armed.
    pub(super) fn fill_armed(&self, active: &ActiveRouting, changes: &mut Changes) {
        if !self.options.arm_new {
            let new: Vec<Key> = changes
                .iter()
                .filter(|(_, body)| body.is_some())
                .filter_map(|(key, _)| new_entry_point(active, key))
                .filter(|key| !changes.contains_key(key) && !is_set_up(active, key))
                .collect();
            changes.extend(new.into_iter().map(|key| (key, Some(json!({"armed": false})))));
        }
        for (key, body) in changes.iter_mut().filter(|(key, _)| key.kind == Kind::EntryPoints) {
            let Some(Value::Object(fields)) = body else { continue };
            let Ok(reference) = EntryPointRef::parse(&key.id) else { continue };
            if fields.get("armed").is_some_and(|armed| !armed.is_null()) {
                continue;
            }
            let known = active.plan.entry_points.get(&reference.key());
            // A number or a chat app without settings of its entry point is armed already; so is every exit.
            let stands = match (reference.channel, &reference.address) {
                (Channel::Ivr, _) => true,
                (Channel::Voice, Address::Number(number)) => active.plan.numbers.contains_key(number),
                (Channel::Sms, Address::Number(number)) => self.sms_use(*number).is_some(),
                (Channel::Chat, Address::Text(id)) => active.chat_apps.contains_key(&ChatAppId::from(&**id)),
                _ => false,
            };
            let armed = match known {
                Some(known) => !known.disarmed,
                None => stands || self.options.arm_new,
            };
            fields.insert("armed".to_owned(), Value::Bool(armed));
        }
    }

    /// What would become active. The note is looked at first: it is cheap to be wrong about.
    fn next(
        &self,
        connection: &Connection,
        changes: Changes,
        request: &Request<'_>,
    ) -> Result<Next, StoreError> {
        check_note(request.note)?;
        if changes.is_empty() {
            return Err(invalid(Code::NothingToPublish, "", "nothing differs from what is active"));
        }
        let (changes, compiled, warnings) = self.compile_changes(connection, changes, request.seeds)?;
        Ok(Next { changes, compiled, warnings })
    }

    /// Writes a revision down, and makes it active once it is on the disk.
    fn make_active(
        &self,
        connection: &Connection,
        next: Next,
        request: &Request<'_>,
    ) -> Result<Published, StoreError> {
        let Next { changes, compiled, warnings } = next;
        if self.options.publish_needs_second && request.rule == Rule::Ordinary {
            let asked = self.ask_for(connection, &changes, request)?;
            return Err(StoreError::AwaitsSecond(Box::new(asked)));
        }
        let approved = match request.rule {
            Rule::Approved { request, by } => Some((request, by)),
            Rule::Ordinary | Rule::AtOnce => None,
        };
        let now = jiff::Timestamp::now();
        let revision = Revision {
            number: objects::newest_revision(connection)? + 1,
            author: request.author.to_owned(),
            note: request.note.trim().to_owned(),
            created: jiff::Timestamp::from_millisecond(now.as_millisecond()).unwrap_or(now),
            restores: request.restores,
            changes: u64::try_from(changes.len()).unwrap_or(u64::MAX),
            approved_by: approved.map(|(_, by)| by.to_owned()),
        };
        let transaction = rusqlite::Transaction::new_unchecked(connection, TransactionBehavior::Immediate)?;
        objects::insert_revision(&transaction, &revision)?;
        let told = shown::changes(&transaction, &changes)?;
        for (key, body) in &changes {
            objects::write(&transaction, key, body.as_ref(), revision.number)?;
        }
        for number in request.seeds {
            numbers::seed(&transaction, *number, self.by(request.author))?;
        }
        match approved {
            Some(approved) => {
                self.is_approved(&transaction, approved, revision.number)?;
                if request.of_draft {
                    self.settle_draft(&transaction, &changes, revision.number)?;
                }
            }
            None if request.of_draft => edits_are_done(&transaction, &changes)?,
            None => {}
        }
        objects::prune(&transaction, &revision, self.options.revisions_kept_max)?;
        self.tell(&transaction, request.author, &shown::published(&revision, told))?;
        transaction.commit()?;
        self.active.swap(ActiveRouting::new(revision.number, compiled));
        Ok(Published { revision, warnings })
    }
}

/// The draft's edits that a publish holds are done; others stay.
fn edits_are_done(connection: &Connection, changes: &Changes) -> Result<(), StoreError> {
    let mut done = connection.prepare_cached("DELETE FROM draft WHERE kind = ?1 AND id = ?2")?;
    let mut edits = 0;
    for key in changes.keys() {
        edits += done.execute(rusqlite::params![key.kind.as_str(), key.id])?;
    }
    if edits > 0 {
        draft::begin(connection, None)?;
    }
    Ok(())
}

/// That a note says something, and not too much.
pub(super) fn check_note(note: &str) -> Result<(), StoreError> {
    let note = note.trim();
    if note.is_empty() || note.chars().count() > NOTE_MAX {
        return Err(invalid(Code::NoNote, "", "a publish takes a note of 1 to 500 characters"));
    }
    Ok(())
}

/// That nobody has published what the draft edits since it was edited.
pub(super) fn no_conflicts(connection: &Connection, draft: &Draft) -> Result<(), StoreError> {
    let conflicts = draft::conflicts(connection, draft)?;
    if conflicts.is_empty() {
        return Ok(());
    }
    let say = |key: &Key| {
        let sentence = format!("{key} was published by somebody else since");
        Diagnostic::new(Code::Conflict, key.path(), sentence)
    };
    Err(StoreError::Invalid(conflicts.iter().map(say).collect()))
}

/// The entry point that comes with an object, when that is new.
fn new_entry_point(active: &ActiveRouting, key: &Key) -> Option<Key> {
    let id = match key.kind {
        Kind::Numbers => {
            let number = E164::parse(&key.id).ok()?;
            (!active.plan.numbers.contains_key(&number)).then(|| format!("voice/{}", key.id))
        }
        Kind::ChatApps => {
            let known = active.chat_apps.contains_key(&ChatAppId::from(key.id.as_str()));
            (!known).then(|| format!("chat/{}", key.id))
        }
        _ => None,
    };
    id.map(|id| Key::new(Kind::EntryPoints, id))
}

/// Whether an entry point has settings of its own already.
fn is_set_up(active: &ActiveRouting, key: &Key) -> bool {
    EntryPointRef::parse(&key.id)
        .is_ok_and(|reference| active.plan.entry_points.contains_key(&reference.key()))
}

/// What restores a revision, without the numbers that are not ours any more.
fn changes_back_to(connection: &Connection, to: u64) -> Result<Changes, StoreError> {
    objects::require_revision(connection, to)?;
    let newest = objects::newest_revision(connection)?;
    let mut changes = objects::as_changes(objects::diff(connection, newest, to)?);
    let mut left_out = Vec::new();
    for key in changes.iter().filter(|(_, body)| body.is_some()).map(|(key, _)| key) {
        if key.kind == Kind::Numbers
            && let Ok(number) = E164::parse(&key.id)
            && !numbers::is_ours(connection, number)?
        {
            left_out.push(key.clone());
        }
    }
    for key in left_out {
        changes.remove(&key);
    }
    Ok(changes)
}
