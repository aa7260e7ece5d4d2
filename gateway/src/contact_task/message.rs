//! The contact's task, as far as the caller leaves a message.

use std::time::Duration;

use tokio::sync::mpsc;
use vestibule_routing::journey::{Event, Message, Recorded};

use super::{Answer, ContactTask};
use crate::{
    media::RecordingSettings,
    recordings::{self, MessageReport, RecordingKind},
};

/// How long a caller is silent who has said all.
const SILENCE: Duration = Duration::from_secs(10);

impl ContactTask {
    /// Begins to record what the caller says.
    pub(super) fn record_message(&mut self, message: Message) {
        self.messages += 1;
        let path = self.services.recordings.path(&self.id, RecordingKind::Voicemail, self.messages);
        let file = path.clone();
        let (events, heard) = mpsc::channel(recordings::EVENTS_MAX);
        let settings = RecordingSettings {
            max: Duration::from_secs(u64::from(message.seconds_max)),
            silence: Some(SILENCE),
            trim_silence: true,
            ..RecordingSettings::new(path, events)
        };
        self.message = self.media.record_alone(&self.services.media, settings);
        if self.message.is_none() {
            tracing::error!(contact = %self.id, "a message could not be recorded");
            return self.pending.push_back(Event::Recorded(Recorded::Failed));
        }
        let report = MessageReport {
            contact: self.id.clone(),
            message,
            path: file,
            journal: self.services.journal.clone(),
        };
        let answers = self.answers.clone();
        tokio::spawn(report.run(heard, async move |event| {
            // The contact may be gone by now; its message is kept all the same.
            answers.send(Answer::Event(event)).await.unwrap_or_default();
        }));
    }

    /// Ends the recording; what came of it is told when the file is whole.
    pub(super) fn end_message(&mut self) {
        self.message = None;
    }
}
