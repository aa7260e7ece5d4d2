//! What arrives: left out when it came before, told of, and put into its conversation.

use jiff::{SignedDuration, Timestamp};
use rusqlite::{Connection, OptionalExtension, params};
use serde_json::{Value, json};
use vestibule_routing::{
    channel::Channel,
    id::{ContactId, ConversationId, InboxId},
};

use super::{Arrival, Pen, Remembered, day, name, time, window};
use crate::{
    journal::{
        ContactStart, Event, EventKind,
        chat::{self, ChatFile, NewLine},
        erasure,
        media::{self, Home},
    },
    message::{Content, Incoming, Keyword, What},
};

impl Pen<'_, '_> {
    /// Whether it is new.
    pub(super) fn arrive(&mut self, arrival: &Arrival) -> rusqlite::Result<bool> {
        let fresh = self
            .transaction
            .prepare_cached("INSERT OR IGNORE INTO dedup(fingerprint, day, lasting) VALUES(?,?,?)")?
            .execute(params![
                arrival.fingerprint,
                day(arrival.arrived),
                arrival.remembered == Remembered::Records
            ])?;
        if fresh == 0 {
            return Ok(false);
        }
        let (incoming, at) = (&arrival.incoming, arrival.arrived);
        erasure::recall(self.transaction, &name(incoming.channel), &incoming.address, &incoming.customer)?;
        if chat::is_there(self.transaction, incoming)? {
            // Said before the visitor was known: it comes again under another name.
            return Ok(false);
        }
        let base = |more: Value| {
            let mut data = json!({
                "provider": arrival.provider, "channel": incoming.channel,
                "customer": incoming.customer, "address": incoming.address, "at": incoming.at,
            });
            if let (Value::Object(data), Value::Object(more)) = (&mut data, more) {
                data.extend(more);
            }
            data
        };
        match &incoming.what {
            What::Message(content) => self.message(arrival, content, base)?,
            What::Changed { message, change } => {
                let mut data = base(json!({"message_id": message}));
                if let (Value::Object(data), Ok(Value::Object(change))) =
                    (&mut data, serde_json::to_value(change))
                {
                    data.extend(change);
                }
                self.write("", &[Event::new(EventKind::MessageUpdated, at, &data)])?;
            }
            What::Delivery { message, status, error } => {
                let data = base(json!({"message_id": message, "status": status, "error": error}));
                self.write("", &[Event::new(EventKind::MessageDeliveryReported, at, &data)])?;
            }
            What::OptOut { out } => {
                let change = self.opt_out(arrival, *out, "provider", "")?;
                self.write("", change.as_slice())?;
            }
            What::Other { kind, raw } => {
                let data = base(json!({"kind": kind, "raw": raw}));
                self.write("", &[Event::new(EventKind::MessageUnparsed, at, &data)])?;
            }
        }
        Ok(true)
    }

    fn message(
        &mut self,
        arrival: &Arrival,
        content: &Content,
        base: impl Fn(Value) -> Value,
    ) -> rusqlite::Result<()> {
        let (incoming, at) = (&arrival.incoming, arrival.arrived);
        let thread = self.join(arrival)?;
        let goes_on = match incoming.channel {
            // A chat is one contact, however much is said in it.
            Channel::Chat => chat::contact(self.transaction, thread.id.as_str())?,
            _ => None,
        };
        let contact = goes_on.as_ref().unwrap_or(&arrival.contact);
        if goes_on.is_none() {
            self.begin(arrival, &thread)?;
        }
        let line = match incoming.channel {
            Channel::Chat => self.line(arrival, content, contact)?,
            _ => None,
        };
        let changed = match arrival.keyword {
            Some(Keyword::Stop) => self.opt_out(arrival, true, content.text.trim(), contact.as_str())?,
            Some(Keyword::Start) => self.opt_out(arrival, false, content.text.trim(), contact.as_str())?,
            Some(Keyword::Help) | None => None,
        };
        let opted_out = opted_out(self.transaction, incoming)?;
        let refused = opted_out.then_some("opted_out").or(arrival.route.reply_refused);
        let mut received = base(json!({
            "conversation": thread.id, "number": thread.number, "message": content, "keyword": arrival.keyword,
            "reply_allowed": refused.is_none(), "reply_refused_for": refused,
            "window_expires_at": window(incoming.channel, at), "held": arrival.route.held,
        }));
        if let (Value::Object(received), Some(line)) = (&mut received, line) {
            received.insert("line".to_owned(), line.into());
        }
        let home = Home { contact, conversation: &thread.id, provider: &arrival.provider, arrived: at };
        media::begin(self.transaction, &home, (content, arrival.media_max), &mut received)?;
        let mut events = Vec::with_capacity(4);
        if goes_on.is_none() {
            events.push(Event::new(EventKind::ContactStarted, at, &start_of(arrival)));
        }
        events.push(Event::new(EventKind::MessageReceived, at, &received));
        events.extend(changed);
        if goes_on.is_none() && !arrival.route.held {
            let queued = json!({"inbox": thread.inbox, "sla_due": thread.sla_due});
            events.push(Event::new(EventKind::ContactQueued, at, &queued));
        }
        let contact = contact.clone();
        self.write(contact.as_str(), &events)
    }

    /// The record of a new contact.
    fn begin(&self, arrival: &Arrival, thread: &Thread) -> rusqlite::Result<()> {
        let incoming = &arrival.incoming;
        self.transaction
            .prepare_cached(
                "INSERT INTO contact(id, channel, from_address, to_address, arrived_us, entry_point, inbox, revision, \
                 conversation, held) VALUES(?,?,?,?,?,?,?,?,?,?)",
            )?
            .execute(params![
                arrival.contact.as_str(),
                name(incoming.channel),
                incoming.customer,
                incoming.address,
                arrival.arrived.as_microsecond(),
                arrival.route.entry_point,
                thread.inbox.as_str(),
                i64::try_from(arrival.route.revision).unwrap_or(i64::MAX),
                thread.id.as_str(),
                arrival.route.held,
            ])?;
        Ok(())
    }

    /// Writes what a visitor said where the agents' answers stand too.
    fn line(
        &self,
        arrival: &Arrival,
        content: &Content,
        contact: &ContactId,
    ) -> rusqlite::Result<Option<u64>> {
        let incoming = &arrival.incoming;
        chat::write(
            self.transaction,
            &NewLine {
                thread: (&incoming.address, &incoming.customer),
                contact,
                at: arrival.arrived,
                by: None,
                message_id: &content.message_id,
                text: &content.text,
                files: &ChatFile::of(&content.attachments),
            },
        )
    }

    /// Finds the open conversation of a message, or begins one.
    fn join(&self, arrival: &Arrival) -> rusqlite::Result<Thread> {
        let (incoming, at) = (&arrival.incoming, arrival.arrived);
        let due =
            at.checked_add(SignedDuration::from_mins(i64::from(arrival.route.sla_minutes))).unwrap_or(at);
        // An earlier due date stays; an older message never moves the conversation's time back.
        let joined = self
            .transaction
            .prepare_cached(
                "UPDATE conversation SET messages = messages + 1, last_us = max(last_us, ?4), \
                 sla_due_us = min(coalesce(sla_due_us, ?5), ?5) \
                 WHERE channel = ?1 AND address = ?2 AND customer = ?3 AND closed_us IS NULL \
                 RETURNING id, inbox, messages, sla_due_us",
            )?
            .query_row(
                params![
                    name(incoming.channel),
                    incoming.address,
                    incoming.customer,
                    at.as_microsecond(),
                    due.as_microsecond()
                ],
                |row| {
                    Ok(Thread {
                        id: ConversationId::from(row.get_ref(0)?.as_str()?),
                        inbox: InboxId::from(row.get_ref(1)?.as_str()?),
                        number: row.get(2)?,
                        sla_due: time(row.get(3)?),
                    })
                },
            )
            .optional()?;
        if let Some(thread) = joined {
            return Ok(thread);
        }
        self.transaction
            .prepare_cached("INSERT INTO conversation VALUES(?,?,?,?,?,?,?,1,?,NULL,NULL)")?
            .execute(params![
                arrival.conversation.as_str(),
                name(incoming.channel),
                incoming.address,
                incoming.customer,
                arrival.route.inbox.as_str(),
                at.as_microsecond(),
                at.as_microsecond(),
                due.as_microsecond(),
            ])?;
        Ok(Thread {
            id: arrival.conversation.clone(),
            inbox: arrival.route.inbox.clone(),
            number: 1,
            sla_due: due,
        })
    }

    /// Notes a customer's wish, and gives the event when it is a new one.
    fn opt_out(
        &self,
        arrival: &Arrival,
        out: bool,
        word: &str,
        contact: &str,
    ) -> rusqlite::Result<Option<Event>> {
        let Incoming { channel, address, customer, .. } = &arrival.incoming;
        // Nobody is in the ledger until the first wish: an opt-in of somebody who never left changes nothing.
        if opted_out(self.transaction, &arrival.incoming)? == out {
            return Ok(None);
        }
        self.transaction.prepare_cached("INSERT OR REPLACE INTO opt_out VALUES(?,?,?,?,?,?,?)")?.execute(
            params![name(*channel), address, customer, out, arrival.arrived.as_microsecond(), word, contact],
        )?;
        let data = json!({
            "channel": channel, "address": address, "customer": customer, "opted_out": out, "word": word,
        });
        Ok(Some(Event::new(EventKind::OptoutChanged, arrival.arrived, &data)))
    }
}

fn start_of(arrival: &Arrival) -> ContactStart {
    ContactStart {
        channel: arrival.incoming.channel,
        from: arrival.incoming.customer.clone(),
        to: arrival.incoming.address.clone(),
        arrived: arrival.arrived,
        entry_point: Some(arrival.route.entry_point.clone()),
        revision: Some(arrival.route.revision),
        trunk: None,
        call_id: None,
        diverted_from: None,
        callback: None,
    }
}

struct Thread {
    id: ConversationId,
    inbox: InboxId,
    number: i64,
    sla_due: Timestamp,
}

fn opted_out(connection: &Connection, incoming: &Incoming) -> rusqlite::Result<bool> {
    let out = connection
        .prepare_cached("SELECT out FROM opt_out WHERE channel = ? AND address = ? AND customer = ?")?
        .query_row(params![name(incoming.channel), incoming.address, incoming.customer], |row| row.get(0))
        .optional()?;
    Ok(out.unwrap_or(false))
}
