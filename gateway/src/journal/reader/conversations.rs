//! What is read of conversations, of messages that are held, of opt-outs, and of chats.

use jiff::Timestamp;
use vestibule_routing::id::{ContactId, ConversationId};

use super::Reader;
use crate::journal::{ChatLine, ChatQueue, ConversationRow, JournalError, OptOutRow, chat, conversation};

impl Reader {
    /// Conversations before `before` (an id), the newest first: open ones only, or of one customer, if so wanted.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn conversations(
        &self,
        before: Option<String>,
        open_only: bool,
        customer: Option<String>,
        limit: usize,
    ) -> Result<Vec<ConversationRow>, JournalError> {
        self.with(move |connection| {
            let wanted = (before.as_deref(), open_only, customer.as_deref());
            Ok(conversation::conversations(connection, wanted, limit)?)
        })
        .await
    }

    /// One conversation.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn conversation(&self, id: String) -> Result<Option<ConversationRow>, JournalError> {
        self.with(move |connection| Ok(conversation::one_conversation(connection, &id)?)).await
    }

    /// Some open conversations of a channel in which the customer has not written since `before`.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn idle_conversations(
        &self,
        channel: String,
        before: Timestamp,
    ) -> Result<Vec<ConversationId>, JournalError> {
        self.with(move |connection| Ok(conversation::idle(connection, &channel, before)?)).await
    }

    /// The names of entry points at which messages wait for them to be armed.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn held_at(&self) -> Result<Vec<String>, JournalError> {
        self.with(|connection| Ok(conversation::held_at(connection)?)).await
    }

    /// Some of the messages that wait at an entry point, the oldest first.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn held_messages(
        &self,
        entry_point: String,
        limit: usize,
    ) -> Result<Vec<ContactId>, JournalError> {
        self.with(move |connection| Ok(conversation::held(connection, &entry_point, limit)?)).await
    }

    /// What the ledger of opt-outs has of one customer.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn opt_outs(&self, customer: String) -> Result<Vec<OptOutRow>, JournalError> {
        self.with(move |connection| Ok(conversation::opt_outs(connection, &customer)?)).await
    }

    /// What was said in a chat after a line, the oldest first.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn chat_lines(
        &self,
        (app, visitor): (String, String),
        after: u64,
        limit: u32,
    ) -> Result<Vec<ChatLine>, JournalError> {
        self.with(move |connection| Ok(chat::after(connection, (&app, &visitor), after, limit)?)).await
    }

    /// What was said last in a chat, the oldest first; and whether its conversation goes on.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn chat(
        &self,
        (app, visitor): (String, String),
        limit: u32,
    ) -> Result<(Vec<ChatLine>, bool), JournalError> {
        self.with(move |connection| {
            let thread = (app.as_str(), visitor.as_str());
            Ok((chat::newest(connection, thread, limit)?, chat::goes_on(connection, thread)?))
        })
        .await
    }

    /// The line that a visitor (or an agent) gave an id to.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn chat_line_of(
        &self,
        (app, visitor): (String, String),
        message_id: String,
        by_agent: bool,
    ) -> Result<Option<u64>, JournalError> {
        self.with(move |connection| Ok(chat::of_id(connection, (&app, &visitor), &message_id, by_agent)?))
            .await
    }

    /// Whether a file came with a line of a thread.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn chat_has_file(
        &self,
        (app, visitor): (String, String),
        file: String,
    ) -> Result<bool, JournalError> {
        self.with(move |connection| Ok(chat::has_file(connection, (&app, &visitor), &file)?)).await
    }

    /// The chats of an inbox that wait, and how long others lasted lately.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn chat_queue(&self, inbox: String) -> Result<ChatQueue, JournalError> {
        self.with(move |connection| Ok(chat::queue(connection, &inbox, Timestamp::now())?)).await
    }
}
