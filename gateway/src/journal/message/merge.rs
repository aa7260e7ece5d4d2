//! A visitor of chats who turns out to be somebody that the site knows: what was said is theirs from then on.

use rusqlite::{OptionalExtension, params};
use serde_json::json;
use vestibule_routing::{channel::Channel, id::ConversationId};

use super::Pen;
use crate::journal::{Event, EventKind, chat};

/// A conversation that is open.
struct Open {
    id: String,
    messages: i64,
    sla_due_us: Option<i64>,
}

impl Pen<'_, '_> {
    /// Gives all that `from` said in a chat app to `to`, whose lines go before. A chat that goes on goes on as `to`'s; if
    /// `to` has one of their own, it ends in that one.
    pub(super) fn merge(&mut self, app: &str, from: &str, to: &str) -> rusqlite::Result<()> {
        let moved = self
            .transaction
            .prepare_cached(
                "UPDATE OR IGNORE chat_line SET visitor = ?3, line = line + \
                 (SELECT coalesce(max(line), 0) FROM chat_line WHERE app = ?1 AND visitor = ?3) \
                 WHERE app = ?1 AND visitor = ?2",
            )?
            .execute(params![app, from, to])?;
        let (theirs, own) = (self.open_chat(app, from)?, self.open_chat(app, to)?);
        if moved == 0 && theirs.is_none() {
            return Ok(());
        }
        let contact = match &theirs {
            Some(theirs) => chat::contact(self.transaction, &theirs.id)?,
            None => None,
        };
        let data = json!({
            "channel": Channel::Chat, "address": app, "customer": to, "was": from, "lines": moved,
            "conversation": theirs.as_ref().map(|open| &open.id), "into": own.as_ref().map(|open| &open.id),
        });
        let event = Event::new(EventKind::CustomerIdentified, self.now, &data);
        self.write(contact.as_ref().map_or("", |contact| contact.as_str()), &[event])?;
        match (theirs, own) {
            (Some(theirs), None) => self.rename(&theirs.id, to),
            (Some(theirs), Some(own)) => self.end_in(&theirs, &own),
            (None, _) => Ok(()),
        }
    }

    fn open_chat(&self, app: &str, visitor: &str) -> rusqlite::Result<Option<Open>> {
        self.transaction
            .prepare_cached(
                "SELECT id, messages, sla_due_us FROM conversation \
                 WHERE channel = 'chat' AND address = ? AND customer = ? AND closed_us IS NULL",
            )?
            .query_row([app, visitor], |row| {
                Ok(Open { id: row.get(0)?, messages: row.get(1)?, sla_due_us: row.get(2)? })
            })
            .optional()
    }

    /// The conversation is another customer's now, and so are its contacts that are open.
    fn rename(&self, id: &str, to: &str) -> rusqlite::Result<()> {
        self.transaction
            .prepare_cached("UPDATE conversation SET customer = ?2 WHERE id = ?1")?
            .execute([id, to])?;
        self.transaction
            .prepare_cached(
                "UPDATE contact SET from_address = ?2 WHERE conversation = ?1 AND ended_us IS NULL",
            )?
            .execute([id, to])?;
        Ok(())
    }

    /// What was due in the one that ends is due in the other.
    fn end_in(&mut self, theirs: &Open, own: &Open) -> rusqlite::Result<()> {
        let due = [theirs.sla_due_us, own.sla_due_us].into_iter().flatten().min();
        self.transaction
            .prepare_cached(
                "UPDATE conversation SET messages = messages + ?2, sla_due_us = ?3 WHERE id = ?1",
            )?
            .execute(params![own.id, theirs.messages, due])?;
        // It was read as open just now, and has one contact: it is closed by this.
        let _closed = self.close(&ConversationId::from(theirs.id.as_str()), None)?;
        Ok(())
    }
}
