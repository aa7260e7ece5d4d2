//! Recordings of calls: where the files are, and what the feed says of them.
//!
//! A file is `<contact>-<number>.wav` in a folder of its own, or `<contact>-voicemail-<number>.wav` for a message that a
//! caller left. It is made by the recorder of the media engine; when it is whole the feed has `recording.stored` or
//! `voicemail.recorded`, and `recording.failed` when there will be none.

use std::{
    collections::HashSet,
    fs, io,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use jiff::Timestamp;
use serde::Serialize;
use serde_json::json;
use tokio::sync::mpsc;
use vestibule_config::settings;
use vestibule_routing::{
    id::{ContactId, InboxId},
    journey::{Event as JourneyEvent, Message, Recorded},
};

use crate::{
    journal::{Entry, Event, EventKind, Journal},
    media::{self, RecordingEnd, RecordingEvent, RecordingSummary, Salvaged},
};

/// Events of one recording that wait: there are two kinds.
pub const EVENTS_MAX: usize = 4;

/// The folder of recordings; cheap to clone.
#[derive(Clone, Debug)]
pub struct Recordings {
    folder: PathBuf,
    longest: Duration,
}

/// What was recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum RecordingKind {
    /// A talk: the caller left, the taker right.
    Talk,
    /// A message that the caller left.
    Voicemail,
}

/// A recording that is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct StoredRecording {
    /// The name of its file.
    pub file: String,
    /// What it is.
    pub kind: RecordingKind,
    /// Its length in bytes.
    pub bytes: u64,
}

impl Recordings {
    /// The folder below the data folder, made when it is missing.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn open(data: &Path, settings: settings::Recordings) -> io::Result<Self> {
        let folder = data.join("recordings");
        fs::create_dir_all(&folder)?;
        Ok(Self { folder, longest: Duration::from_secs(settings.seconds_max) })
    }

    /// The longest recording of one call.
    pub fn longest(&self) -> Duration {
        self.longest
    }

    /// Where the next recording of a contact goes.
    pub fn path(&self, contact: &ContactId, kind: RecordingKind, number: u32) -> PathBuf {
        self.folder.join(match kind {
            RecordingKind::Talk => format!("{contact}-{number}.wav"),
            RecordingKind::Voicemail => format!("{contact}-{VOICEMAIL}{number}.wav"),
        })
    }

    /// The recordings of a contact, in their order.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn of(&self, contact: &str) -> io::Result<Vec<StoredRecording>> {
        let prefix = format!("{contact}-");
        let mut found = Vec::new();
        for entry in fs::read_dir(&self.folder)? {
            let entry = entry?;
            let Ok(file) = entry.file_name().into_string() else { continue };
            let Some(name) = file.strip_prefix(&prefix).and_then(|rest| rest.strip_suffix(".wav")) else {
                continue;
            };
            let (kind, number) = match name.strip_prefix(VOICEMAIL) {
                Some(number) => (RecordingKind::Voicemail, number),
                None => (RecordingKind::Talk, name),
            };
            if let Ok(number) = number.parse::<u32>() {
                found.push((number, StoredRecording { kind, bytes: entry.metadata()?.len(), file }));
            }
        }
        found.sort_by_key(|(number, recording)| (recording.kind, *number));
        Ok(found.into_iter().map(|(_, recording)| recording).collect())
    }

    /// The file of a recording of a contact; none when there is no such recording.
    pub fn find(&self, contact: &str, file: &str) -> Option<PathBuf> {
        let known = self.of(contact).ok()?.into_iter().any(|recording| recording.file == file);
        known.then(|| self.folder.join(file))
    }

    /// Makes whole what the process before has left that was cut off, and says what there is.
    ///
    /// # Errors
    /// When the folder cannot be read. A file that cannot be made whole stays as it is.
    pub fn salvage(&self) -> io::Result<Vec<Entry>> {
        let mut entries = Vec::new();
        for entry in fs::read_dir(&self.folder)? {
            let part = entry?.path();
            if part.extension().is_none_or(|end| end != "part") {
                continue;
            }
            match media::salvage(&part) {
                Ok(Some(salvaged)) => entries.extend(self.found(&salvaged)),
                Ok(None) => {}
                Err(error) => {
                    tracing::warn!(%error, path = %part.display(), "a recording could not be made whole");
                }
            }
        }
        Ok(entries)
    }

    /// What the feed is told of a recording that was made whole at the start.
    fn found(&self, salvaged: &Salvaged) -> Option<Entry> {
        let file = salvaged.path.file_name()?.to_str()?;
        let (contact, number) = file.strip_suffix(".wav")?.rsplit_once('-')?;
        number.parse::<u32>().ok()?;
        let voicemail =
            contact.strip_suffix(VOICEMAIL.trim_end_matches('-')).and_then(|id| id.strip_suffix('-'));
        let kind =
            if voicemail.is_some() { EventKind::VoicemailRecorded } else { EventKind::RecordingStored };
        let inbox = inbox_of(&salvaged.path);
        let known = fs::read_to_string(&inbox).ok();
        if voicemail.is_some() && fs::remove_file(&inbox).is_err() {
            tracing::warn!(path = %inbox.display(), "the inbox of a message could not be removed");
        }
        let data = json!({
            "inbox": known, "file": file, "bytes": salvaged.bytes, "duration_ms": salvaged.duration_ms,
            "lost_ms": 0, "pauses": [], "cut_off": true,
        });
        let mut entry = Entry::new(ContactId::from(voicemail.unwrap_or(contact)));
        entry.events.push(Event::new(kind, Timestamp::now(), &data));
        Some(entry)
    }

    /// Removes whatever was recorded of some contacts, also what is not whole; how many files that were.
    ///
    /// # Errors
    /// When the folder cannot be read, or a file not be removed.
    pub fn erase(&self, contacts: &HashSet<String>) -> io::Result<u64> {
        let mut removed = 0;
        for entry in fs::read_dir(&self.folder)? {
            let entry = entry?;
            let Ok(name) = entry.file_name().into_string() else { continue };
            // `ct_…-1.wav`, `ct_…-voicemail-1.wav.part`: no id has a hyphen in it.
            let contact = name.split('-').next().unwrap_or_default();
            if name.contains('-') && contacts.contains(contact) {
                fs::remove_file(entry.path())?;
                removed += 1;
            }
        }
        Ok(removed)
    }

    /// Removes what is older; how many files that were.
    ///
    /// # Errors
    /// When the folder cannot be read, or a file not be removed.
    pub fn prune(&self, before: SystemTime) -> io::Result<u64> {
        let mut removed = 0;
        for entry in fs::read_dir(&self.folder)? {
            let entry = entry?;
            let ours = |path: &Path| {
                path.extension().is_some_and(|end| end == "wav" || end == "part" || end == "inbox")
            };
            if ours(&entry.path()) && entry.metadata()?.modified()? < before {
                fs::remove_file(entry.path())?;
                removed += 1;
            }
        }
        Ok(removed)
    }
}

/// What stands between the contact and the number of a message.
const VOICEMAIL: &str = "voicemail-";

/// Where it is noted for which inbox a message is, while it is recorded.
fn inbox_of(recording: &Path) -> PathBuf {
    recording.with_extension("inbox")
}

/// A message that is being recorded: who is told of it, and what makes it one.
#[derive(Debug)]
pub struct MessageReport {
    /// Whose message it is.
    pub contact: ContactId,
    /// What was asked for.
    pub message: Message,
    /// The file that is to be.
    pub path: PathBuf,
    /// Where the feed is written.
    pub journal: Journal,
}

impl MessageReport {
    /// Waits for the end of the recording, keeps it or not, and tells the feed. `told` hears of silence, and at last
    /// what came of it; the feed has the message before.
    pub async fn run(self, mut events: mpsc::Receiver<RecordingEvent>, told: impl AsyncFn(JourneyEvent)) {
        // For the next process, should this one be cut off.
        let inbox = inbox_of(&self.path);
        if let Err(error) = tokio::fs::write(&inbox, self.message.inbox.as_str()).await {
            tracing::warn!(%error, path = %inbox.display(), "the inbox of a message could not be noted");
        }
        while let Some(event) = events.recv().await {
            match event {
                RecordingEvent::Silence { .. } => told(JourneyEvent::RecordingSilent).await,
                RecordingEvent::Ended(summary) => {
                    let recorded = self.ended(summary).await;
                    if let Err(error) = tokio::fs::remove_file(&inbox).await {
                        tracing::warn!(%error, path = %inbox.display(), "the inbox of a message could not be removed");
                    }
                    return told(JourneyEvent::Recorded(recorded)).await;
                }
            }
        }
        told(JourneyEvent::Recorded(Recorded::Failed)).await;
    }

    async fn ended(&self, summary: RecordingSummary) -> Recorded {
        let failed = matches!(summary.end, RecordingEnd::Failed { .. });
        let least = u64::from(self.message.seconds_min).saturating_mul(1000);
        if !failed && (summary.voice_ms == 0 || summary.duration_ms < least) {
            if let Some(Err(error)) = summary.path.as_ref().map(fs::remove_file) {
                tracing::warn!(%error, "a message that is none could not be removed");
            }
            return Recorded::TooShort;
        }
        let mut entry = Entry::new(self.contact.clone());
        let inbox = Some(&self.message.inbox);
        entry.events.push(event_of(&summary, (EventKind::VoicemailRecorded, inbox)));
        match self.journal.append(entry).await {
            Ok(_receipt) if !failed => Recorded::Kept,
            Ok(_receipt) => Recorded::Failed,
            Err(error) => {
                tracing::error!(contact = %self.contact, %error, "a message could not be journalled");
                Recorded::Failed
            }
        }
    }
}

/// Waits for the end of a recording, and tells the feed.
pub async fn report(contact: ContactId, journal: Journal, mut events: mpsc::Receiver<RecordingEvent>) {
    while let Some(event) = events.recv().await {
        let RecordingEvent::Ended(summary) = event else { continue };
        let mut entry = Entry::new(contact.clone());
        entry.events.push(event_of(&summary, (EventKind::RecordingStored, None)));
        if let Err(error) = journal.append_later(entry) {
            tracing::error!(%contact, %error, "the end of a recording could not be journalled");
        }
        return;
    }
}

fn event_of(summary: &RecordingSummary, (kind, inbox): (EventKind, Option<&InboxId>)) -> Event {
    let file = summary.path.as_ref().and_then(|path| path.file_name()).map(|name| name.to_string_lossy());
    if let RecordingEnd::Failed { error } = &summary.end {
        let data = json!({"inbox": inbox, "file": file, "reason": error.to_string()});
        return Event::new(EventKind::RecordingFailed, Timestamp::now(), &data);
    }
    let pauses: Vec<_> = summary
        .pauses
        .iter()
        .map(|pause| json!({"at_ms": pause.at_ms, "lasted_ms": pause.lasted_ms}))
        .collect();
    let data = json!({
        "inbox": inbox,
        "file": file,
        "bytes": summary.bytes,
        "duration_ms": summary.duration_ms,
        "lost_ms": summary.lost_ms,
        "pauses": pauses,
    });
    Event::new(kind, Timestamp::now(), &data)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SETTINGS: settings::Recordings = settings::Recordings { days_kept: 1, seconds_max: 60 };

    #[test]
    fn recordings_are_found_by_their_contact_and_go_when_they_are_old() {
        let folder = tempfile::tempdir().unwrap();
        let recordings = Recordings::open(folder.path(), SETTINGS).unwrap();
        for (contact, kind, number) in [
            ("ct_a", RecordingKind::Voicemail, 1),
            ("ct_a", RecordingKind::Talk, 10),
            ("ct_a", RecordingKind::Talk, 2),
            ("ct_ab", RecordingKind::Talk, 1),
        ] {
            fs::write(recordings.path(&contact.into(), kind, number), b"RIFF").unwrap();
        }
        fs::write(folder.path().join("recordings/ct_a-x.wav"), b"").unwrap();
        let files: Vec<String> = recordings.of("ct_a").unwrap().into_iter().map(|one| one.file).collect();
        assert_eq!(files, ["ct_a-2.wav", "ct_a-10.wav", "ct_a-voicemail-1.wav"]);
        assert!(recordings.find("ct_a", "ct_a-2.wav").is_some());
        for (contact, file) in
            [("ct_a", "ct_ab-1.wav"), ("ct_a", "../recordings/ct_a-2.wav"), ("", "ct_a-2.wav")]
        {
            assert_eq!(recordings.find(contact, file), None, "{file}");
        }
        assert_eq!(recordings.salvage().unwrap().len(), 0, "whole files are left alone");
        assert_eq!(recordings.prune(SystemTime::now() - Duration::from_secs(60)).unwrap(), 0);
        assert_eq!(recordings.prune(SystemTime::now() + Duration::from_secs(60)).unwrap(), 5);
    }

    #[test]
    fn what_a_process_left_behind_is_made_whole_and_told() {
        let folder = tempfile::tempdir().unwrap();
        let recordings = Recordings::open(folder.path(), SETTINGS).unwrap();
        let part = |kind, number| {
            let whole = recordings.path(&"ct_a".into(), kind, number);
            PathBuf::from(format!("{}.part", whole.display()))
        };
        let wav = rtp_proto::wav::write(
            &[0; 16_000],
            8000,
            rtp_proto::wav::Encoding::G711(rtp_proto::g711::Law::Mu),
        );
        // The header lags behind what was written.
        let mut long = wav.clone();
        long.extend([0; 8000]);
        fs::write(part(RecordingKind::Talk, 1), &long).unwrap();
        fs::write(part(RecordingKind::Voicemail, 1), &wav).unwrap();
        let path = recordings.path(&"ct_a".into(), RecordingKind::Voicemail, 1);
        fs::write(inbox_of(&path), "ib_sales").unwrap();
        fs::write(part(RecordingKind::Talk, 2), &wav[..1000]).unwrap();
        fs::write(part(RecordingKind::Talk, 3), b"RIFF").unwrap();
        let mut entries = recordings.salvage().unwrap();
        entries.sort_by_key(|entry| entry.events[0].kind);
        let told: Vec<_> =
            entries.iter().map(|entry| (entry.contact.as_str(), entry.events[0].kind)).collect();
        assert_eq!(told, [("ct_a", EventKind::VoicemailRecorded), ("ct_a", EventKind::RecordingStored)]);
        assert!(
            entries[0].events[0].data().contains(r#""inbox":"ib_sales""#),
            "{}",
            entries[0].events[0].data()
        );
        assert!(
            entries[1].events[0].data().contains(r#""duration_ms":3000"#),
            "{}",
            entries[1].events[0].data()
        );
        let files: Vec<String> = recordings.of("ct_a").unwrap().into_iter().map(|one| one.file).collect();
        assert_eq!(files, ["ct_a-1.wav", "ct_a-voicemail-1.wav"]);
        let left = fs::read_dir(folder.path().join("recordings")).unwrap().count();
        assert_eq!(left, 2, "what is no recording is removed");
        let whole =
            rtp_proto::wav::Wav::parse(&fs::read(recordings.find("ct_a", "ct_a-1.wav").unwrap()).unwrap());
        assert_eq!(whole.unwrap().duration_ms(), 3000);
    }
}
