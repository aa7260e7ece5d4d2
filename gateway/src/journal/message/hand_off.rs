//! Who takes a message's contact, answers, or does not; and how contacts and conversations end.

use jiff::SignedDuration;
use rusqlite::{OptionalExtension, params};
use serde_json::json;
use vestibule_routing::{
    channel::Channel,
    id::{ContactId, ConversationId},
    outcome::{Outcome, Reason, Side},
};

use super::{MessageRoute, Pen, time};
use crate::{
    journal::{
        ContactEnd, Entry, Event, EventKind, JournalError,
        chat::{self, ChatFile, NewLine},
        writer::apply_entry,
    },
    message::Attachment,
};

/// Most contacts ended with one conversation in one transaction; a conversation that has more is closed in steps.
const CLOSED_AT_ONCE: u32 = 500;

impl Pen<'_, '_> {
    /// Whether it is new.
    pub(super) fn say(
        &mut self,
        id: &ConversationId,
        by: &str,
        (message_id, text, files): (&str, &str, &[Attachment]),
    ) -> rusqlite::Result<Result<bool, JournalError>> {
        // Whoever answers keeps the chat open.
        let thread = self
            .transaction
            .prepare_cached(
                "UPDATE conversation SET last_us = max(last_us, ?2) \
                 WHERE id = ?1 AND channel = 'chat' AND closed_us IS NULL RETURNING address, customer",
            )?
            .query_row(params![id.as_str(), self.now.as_microsecond()], |row| {
                Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?))
            })
            .optional()?;
        let contact = chat::contact(self.transaction, id.as_str())?;
        let (Some((app, visitor)), Some(contact)) = (thread, contact) else {
            return Ok(Err(JournalError::NotOpenConversation));
        };
        let new = NewLine {
            thread: (&app, &visitor),
            contact: &contact,
            at: self.now,
            by: Some(by),
            message_id,
            text,
            files: &ChatFile::of(files),
        };
        let Some(line) = chat::write(self.transaction, &new)? else { return Ok(Ok(false)) };
        // Who answers has taken it, if nobody had.
        match self.take(&contact, by)? {
            Ok(()) | Err(JournalError::TakenBy { .. } | JournalError::NotOpen(_)) => {}
            Err(error) => return Ok(Err(error)),
        }
        let data = json!({
            "channel": Channel::Chat, "customer": visitor, "address": app, "conversation": id,
            "message_id": message_id, "text": text, "by": by, "line": line, "attachments": files,
        });
        self.write(contact.as_str(), &[Event::new(EventKind::MessageSent, self.now, &data)])?;
        Ok(Ok(true))
    }

    pub(super) fn take(
        &mut self,
        contact: &ContactId,
        by: &str,
    ) -> rusqlite::Result<Result<(), JournalError>> {
        let Some(open) = self.open(contact)? else { return Ok(Err(JournalError::NotOpen(contact.clone()))) };
        match open.taken_by {
            Some(other) if other == by => return Ok(Ok(())),
            Some(by) => return Ok(Err(JournalError::TakenBy { by })),
            None => {}
        }
        self.transaction
            .prepare_cached("UPDATE contact SET taken_by = ?2, taken_us = ?3 WHERE id = ?1")?
            .execute(params![contact.as_str(), by, self.now.as_microsecond()])?;
        // What nobody has taken yet is still due.
        self.transaction
            .prepare_cached(
                "UPDATE conversation SET taken_by = ?2, sla_due_us = CASE WHEN EXISTS(SELECT 1 FROM contact WHERE \
                 conversation = ?1 AND ended_us IS NULL AND taken_by IS NULL) THEN sla_due_us END WHERE id = ?1",
            )?
            .execute(params![open.conversation, by])?;
        let data = json!({"inbox": open.inbox, "by": by, "target": null});
        self.write(contact.as_str(), &[Event::new(EventKind::ContactTaken, self.now, &data)])?;
        Ok(Ok(()))
    }

    pub(super) fn refuse(
        &mut self,
        contact: &ContactId,
        by: &str,
    ) -> rusqlite::Result<Result<(), JournalError>> {
        match self.open(contact)? {
            None => Ok(Err(JournalError::NotOpen(contact.clone()))),
            Some(Open { taken_by: Some(by), .. }) => Ok(Err(JournalError::TakenBy { by })),
            Some(open) => {
                let data = json!({"inbox": open.inbox, "by": by, "target": null, "status": null});
                self.write(contact.as_str(), &[Event::new(EventKind::ContactRefused, self.now, &data)])?;
                Ok(Ok(()))
            }
        }
    }

    pub(super) fn release(
        &mut self,
        contact: &ContactId,
        route: &MessageRoute,
    ) -> rusqlite::Result<Result<(), JournalError>> {
        let released = self
            .transaction
            .prepare_cached(
                "UPDATE contact SET held = 0 WHERE id = ?1 AND held = 1 AND ended_us IS NULL \
                 RETURNING inbox, arrived_us, conversation",
            )?
            .query_row([contact.as_str()], |row| {
                Ok((row.get::<_, String>(0)?, time(row.get(1)?), row.get::<_, Option<String>>(2)?))
            })
            .optional()?;
        let Some((inbox, arrived, conversation)) = released else { return Ok(Ok(())) };
        // It is seen from now on: a conversation that was silent while it was held is not idle yet.
        self.transaction
            .prepare_cached("UPDATE conversation SET last_us = max(last_us, ?2) WHERE id = ?1")?
            .execute(params![conversation, self.now.as_microsecond()])?;
        let due = arrived.checked_add(SignedDuration::from_mins(i64::from(route.sla_minutes))).ok();
        let data = json!({"inbox": inbox, "sla_due": due});
        self.write(contact.as_str(), &[Event::new(EventKind::ContactQueued, self.now, &data)])?;
        Ok(Ok(()))
    }

    pub(super) fn close(
        &mut self,
        id: &ConversationId,
        by: Option<&str>,
    ) -> rusqlite::Result<Result<(), JournalError>> {
        let contacts: Vec<ContactId> = self
            .transaction
            .prepare_cached("SELECT id FROM contact WHERE conversation = ? AND ended_us IS NULL LIMIT ?")?
            .query_map(params![id.as_str(), CLOSED_AT_ONCE], |row| {
                Ok(ContactId::from(row.get_ref(0)?.as_str()?))
            })?
            .collect::<rusqlite::Result<_>>()?;
        let full = u32::try_from(contacts.len()).unwrap_or(u32::MAX) >= CLOSED_AT_ONCE;
        let side = if by.is_some() { Side::Inbox } else { Side::Gateway };
        for contact in contacts {
            let entry =
                Entry::ended(contact, ContactEnd::new(self.now, Outcome::new(side, Reason::Completed)));
            // Read as open just now, by the only writer: the end is always written.
            let _receipt = apply_entry(self.transaction, &entry, self.run, self.now, self.seq)?;
        }
        if full {
            return Ok(Ok(()));
        }
        let closed = self
            .transaction
            .prepare_cached("UPDATE conversation SET closed_us = ?2 WHERE id = ?1 AND closed_us IS NULL")?
            .execute(params![id.as_str(), self.now.as_microsecond()])?;
        Ok(if closed == 0 { Err(JournalError::NotOpenConversation) } else { Ok(()) })
    }

    /// A message's contact that is open, with its inbox.
    fn open(&self, contact: &ContactId) -> rusqlite::Result<Option<Open>> {
        self.transaction
            .prepare_cached(
                "SELECT conversation, inbox, taken_by FROM contact \
                 WHERE id = ? AND ended_us IS NULL AND conversation IS NOT NULL AND held = 0",
            )?
            .query_row([contact.as_str()], |row| {
                Ok(Open { conversation: row.get(0)?, inbox: row.get(1)?, taken_by: row.get(2)? })
            })
            .optional()
    }
}

struct Open {
    conversation: String,
    inbox: String,
    taken_by: Option<String>,
}
