//! The contact's task, as far as the talk is recorded.

use tokio::sync::mpsc;
use vestibule_routing::{
    id::PromptId,
    journey::{Playback, PlaybackId},
};

use super::ContactTask;
use crate::{
    api::live::{NotRecorded, RecordingAction},
    media::{self, Recording, RecordingSettings},
    recordings::{self, RecordingKind},
};

/// The playback of the prompt before a recording: a name that no journey gives.
const CONSENT: PlaybackId = PlaybackId(u32::MAX);

/// The recording of one contact's talk.
#[derive(Debug, Default)]
pub(super) struct TalkRecording {
    state: State,
    /// Files so far.
    count: u32,
}

#[derive(Debug, Default)]
enum State {
    #[default]
    Off,
    /// Both hear that it will be recorded.
    Asking {
        mute_digits: bool,
    },
    On(Recording),
}

impl ContactTask {
    /// Does what is wanted of the recording.
    pub(super) fn record(&mut self, action: RecordingAction) -> Result<(), NotRecorded> {
        match (action, &self.recording.state) {
            (RecordingAction::Start { .. }, State::Asking { .. } | State::On(_)) => Ok(()),
            (RecordingAction::Start { consent: Some(prompt), mute_digits }, State::Off) => {
                self.ask_consent(&prompt, mute_digits)
            }
            (RecordingAction::Start { consent: None, mute_digits }, State::Off) => {
                self.begin_recording(mute_digits)
            }
            (RecordingAction::Pause, State::On(recording)) => {
                recording.pause().map_err(|_| NotRecorded::Busy)
            }
            (RecordingAction::Resume, State::On(recording)) => {
                recording.resume();
                Ok(())
            }
            (RecordingAction::Stop, State::On(_) | State::Asking { .. }) => {
                // The file is made whole by the recorder, and the feed told.
                self.recording.state = State::Off;
                Ok(())
            }
            (RecordingAction::Pause | RecordingAction::Resume, State::Off | State::Asking { .. })
            | (RecordingAction::Stop, State::Off) => Err(NotRecorded::NotRecording),
        }
    }

    fn ask_consent(&mut self, prompt: &PromptId, mute_digits: bool) -> Result<(), NotRecorded> {
        let taker = self.takers.talking_mut().ok_or(NotRecorded::NotConnected)?;
        let audio = self.sounds.get(prompt).ok_or(NotRecorded::NoSuchPrompt)?;
        let sound = || vec![media::Sound::Audio(audio.clone())];
        let playback = Playback { id: CONSENT, sounds: Vec::new(), looped: false, resume: false };
        let heard = taker.media.play(&playback, sound()) && self.media.play(&playback, sound());
        if !heard {
            return Err(NotRecorded::Busy);
        }
        self.recording.state = State::Asking { mute_digits };
        Ok(())
    }

    /// A playback is over, or was cut off: whether it was the prompt before a recording.
    pub(super) fn consent_heard(&mut self, id: PlaybackId, whole: bool) -> bool {
        let State::Asking { mute_digits } = self.recording.state else { return false };
        if id != CONSENT {
            return false;
        }
        self.recording.state = State::Off;
        let begun = if whole { self.begin_recording(mute_digits) } else { Err(NotRecorded::NotConnected) };
        if let Err(why) = begun {
            tracing::warn!(contact = %self.id, %why, "a recording did not begin");
        }
        true
    }

    fn begin_recording(&mut self, mute_digits: bool) -> Result<(), NotRecorded> {
        let taker = self.takers.talking().ok_or(NotRecorded::NotConnected)?;
        self.recording.count += 1;
        let path = self.services.recordings.path(&self.id, RecordingKind::Talk, self.recording.count);
        let (events, told) = mpsc::channel(recordings::EVENTS_MAX);
        let max = self.services.recordings.longest();
        let settings = RecordingSettings { mute_digits, max, ..RecordingSettings::new(path, events) };
        let begun = self.media.record(&self.services.media, settings, &taker.media);
        let recording = begun.ok_or(NotRecorded::Busy)?;
        self.recording.state = State::On(recording);
        tokio::spawn(recordings::report(self.id.clone(), self.services.journal.clone(), told));
        Ok(())
    }

    /// Somebody else talks to the caller: the recording goes on with them.
    pub(super) fn record_next_taker(&mut self) {
        let State::On(recording) = &mut self.recording.state else { return };
        let followed = self.takers.talking().is_some_and(|taker| taker.media.is_followed_by(recording));
        if !followed {
            tracing::error!(contact = %self.id, "a recording could not follow a transfer");
        }
    }

    /// Nobody talks to the caller any more.
    pub(super) fn end_recording(&mut self) {
        self.recording.state = State::Off;
    }
}
