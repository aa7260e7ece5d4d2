//! Erases what is kept of a customer: a job that goes on until nothing is left, also over a restart.
//!
//! It is asked for by an address and journalled before that is acknowledged. From then on [`go_on`] takes one bounded step
//! after the other, each of which may come twice: what goes on of the customer is ended or waited for; what is theirs is
//! found; records, lines and wishes are emptied; events become tombstones; files go that nothing else names; and the
//! database's log is written back and cut, so that no older page of it is left. Decision 0033.

use std::{collections::HashSet, io, time::Duration};

use jiff::Timestamp;
use serde_json::json;
use vestibule_config::store::{AuditLine, StoreError};

use crate::{
    api::AppState,
    journal::{
        ContactFilter, ContactRow, ERASED_AT_ONCE, Erase, EraseStep, ErasureRow, ErasureState, FoundKind,
        JournalError, MessageJob,
    },
    places::Places,
};

/// How often it is looked whether there is something to erase, and whether what was waited for is over.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Why a step was not done. It is tried again.
#[derive(Debug, thiserror::Error)]
enum NotErased {
    #[error(transparent)]
    Journal(#[from] JournalError),
    #[error("a file cannot be removed")]
    File(#[from] io::Error),
    #[error("the audit log cannot be written")]
    Store(#[from] StoreError),
    #[error("the file of idempotency keys cannot be written")]
    Idempotency(#[from] rusqlite::Error),
    #[error("it met a fault in the gateway")]
    Fault,
}

/// Whether there is more to do at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Came {
    Further,
    Waits,
}

/// Erases whatever was asked for, for as long as the process runs.
pub async fn go_on(state: AppState, places: Places) {
    loop {
        match state.journal.reader().erasures_open().await {
            Ok(open) => {
                state.metrics.journal.erasures_open.set(i64::try_from(open.len()).unwrap_or(i64::MAX));
                for row in open {
                    go_through(&state, &places, row).await;
                }
            }
            Err(error) => tracing::warn!(%error, "erasures cannot be read"),
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// One erasure, as far as it comes now.
async fn go_through(state: &AppState, places: &Places, mut row: ErasureRow) {
    loop {
        match step(state, places, &row).await {
            Ok(Came::Further) => {}
            Ok(Came::Waits) => return,
            Err(error) => {
                let error: &dyn std::error::Error = &error;
                tracing::error!(erasure = row.id, error, "a step of an erasure failed; it is tried again");
                return;
            }
        }
        row = match state.journal.reader().erasure(row.id.clone()).await {
            Ok(Some(row)) if row.state != ErasureState::Done => row,
            _ => return,
        };
    }
}

async fn step(state: &AppState, places: &Places, row: &ErasureRow) -> Result<Came, NotErased> {
    let Some(address) = row.address.as_deref() else {
        // Everything is erased; only when the log is cut, too, is nothing left.
        state.journal.cut_log().await?;
        write(state, row, Erase::Done).await?;
        state.metrics.journal.erasures_done.inc();
        tracing::info!(erasure = row.id, "what was kept of a customer is erased");
        return Ok(Came::Waits);
    };
    match row.state {
        ErasureState::Settling => settle(state, row, address).await,
        ErasureState::Finding => find(state, row, address).await,
        ErasureState::Records => {
            let ledger = state.journal.reader().opt_outs(address.to_owned()).await?;
            let wishes = ledger.into_iter().filter(|wish| wish.customer == address);
            let wishes = wishes.map(|wish| (wish.channel, wish.address)).collect();
            write(state, row, Erase::Records { wishes }).await
        }
        ErasureState::Events => {
            let (rows, upto) = state.journal.reader().erasure_events(row.clone()).await?;
            write(state, row, Erase::Events { rows, upto }).await
        }
        ErasureState::Files => finish(state, places, row, address).await,
        ErasureState::Done => Ok(Came::Waits),
    }
}

async fn write(state: &AppState, row: &ErasureRow, what: Erase) -> Result<Came, NotErased> {
    state.journal.messages(MessageJob::Erase(EraseStep { id: row.id.clone(), what })).await?;
    Ok(Came::Further)
}

/// Ends what can be ended, and counts what is waited for: calls are not cut for it.
async fn settle(state: &AppState, row: &ErasureRow, address: &str) -> Result<Came, NotErased> {
    let mut waits_for = 0;
    for callback in state.callbacks.list().into_iter().filter(|callback| callback.number == address) {
        if state.callbacks.cancel(&callback.id).is_none() {
            waits_for += 1;
        }
    }
    loop {
        let customer = Some(address.to_owned());
        let open = state.journal.reader().conversations(None, true, customer, ERASED_AT_ONCE).await?;
        if open.is_empty() {
            break;
        }
        for conversation in open {
            let close = MessageJob::Close { conversation: conversation.id, by: None };
            match state.journal.messages(close).await {
                Ok(_) | Err(JournalError::NotOpenConversation) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
    waits_for += state.journal.reader().calls_of(address.to_owned()).await?;
    write(state, row, Erase::Settled { waits_for }).await?;
    Ok(if waits_for == 0 { Came::Further } else { Came::Waits })
}

async fn find(state: &AppState, row: &ErasureRow, address: &str) -> Result<Came, NotErased> {
    if let Some(before) = row.place.strip_prefix("conversation ") {
        let before = (!before.is_empty()).then(|| before.to_owned());
        let customer = Some(address.to_owned());
        let rows = state.journal.reader().conversations(before, false, customer, ERASED_AT_ONCE).await?;
        let next = rows.last().filter(|_| rows.len() == ERASED_AT_ONCE).map(|row| row.id.to_string());
        // One that is open began after everything was settled.
        let ids = rows.iter().filter(|row| row.closed.is_some()).map(|row| row.id.to_string()).collect();
        return write(state, row, Erase::Found { kind: FoundKind::Conversation, ids, next }).await;
    }
    let filter = ContactFilter {
        before: row.place.strip_prefix("contact ").map(str::to_owned),
        address: Some(address.to_lowercase()),
        ..ContactFilter::default()
    };
    let (rows, next) = state.journal.reader().contacts(filter, ERASED_AT_ONCE).await?;
    let theirs = |one: &ContactRow| one.from == address || one.to == address;
    let rows: Vec<ContactRow> =
        rows.into_iter().filter(|one| theirs(one) && one.arrived <= row.settled).collect();
    if rows.iter().any(|one| one.ended.is_none()) {
        // It arrived while everything was being settled.
        write(state, row, Erase::Settled { waits_for: 1 }).await?;
        return Ok(Came::Waits);
    }
    for one in &rows {
        for story in one.call_id.iter().chain([&one.id]) {
            state.capture.forget(story);
        }
    }
    let ids = rows.into_iter().map(|one| one.id).collect();
    write(state, row, Erase::Found { kind: FoundKind::Contact, ids, next }).await
}

/// What is not in the database goes, then the record forgets whose it was.
async fn finish(
    state: &AppState,
    places: &Places,
    row: &ErasureRow,
    address: &str,
) -> Result<Came, NotErased> {
    let begun = std::time::SystemTime::now();
    let reader = state.journal.reader();
    let contacts: HashSet<String> =
        reader.erasure_found(row.id.clone(), FoundKind::Contact, true).await?.into_iter().collect();
    let mut doomed: HashSet<String> = HashSet::new();
    for kind in [FoundKind::File, FoundKind::Mail] {
        doomed.extend(reader.erasure_found(row.id.clone(), kind, false).await?);
    }
    // The same file of somebody else is kept once: it stays as long as anything names it.
    let mut after = (!doomed.is_empty()).then_some(0);
    while let Some(from) = after {
        let (named, next) = reader.files_named(doomed.clone(), from).await?;
        for file in &named {
            doomed.remove(file);
        }
        after = next;
    }
    let (recordings, kept, uploads) =
        (state.recordings.clone(), [state.files.clone(), state.mails.clone()], state.uploads.clone());
    let owner = address.to_owned();
    let removing = move || -> io::Result<u64> {
        let mut gone = recordings.erase(&contacts)?;
        for file in &doomed {
            for files in &kept {
                gone += u64::from(files.remove(file, begun)?);
            }
        }
        Ok(gone + uploads.erase(&owner)?)
    };
    let files = tokio::task::spawn_blocking(removing).await.map_err(|_| NotErased::Fault)??;
    places.forget(address);
    state.idempotency.erase(address.to_owned()).await?;
    note(state, row, files).await?;
    write(state, row, Erase::Forget { files }).await
}

/// That it was done, and by whom, without saying whose it was.
async fn note(state: &AppState, row: &ErasureRow, files: u64) -> Result<(), NotErased> {
    let line = AuditLine {
        action: "customer.erased",
        subject: format!("customers/erasures/{}", row.id),
        before: None,
        after: Some(json!({
            "address_print": row.print, "asked": row.asked, "done": Timestamp::now(), "contacts": row.contacts,
            "conversations": row.conversations, "lines": row.lines, "events": row.events, "files": files,
        })),
    };
    let (store, by) = (state.store.clone(), row.asked_by.clone());
    let noting = tokio::task::spawn_blocking(move || store.note(&by, &line));
    Ok(noting.await.map_err(|_| NotErased::Fault)??)
}
