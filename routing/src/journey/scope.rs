//! What every part of a journey shares: the plan, the contact, its variables, keys and trace.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    action::{Action, Actions, FeedEvent, Playback, PlaybackId, Sound},
    prompting::Prompting,
    told::Told,
    trace::Trace,
};
use crate::{contact::Contact, digit::Digit, id::PromptId, plan::Plan, time::Now};

/// Keys kept while nobody asks for them.
const DIGITS_MAX: usize = 64;

/// Variables an IVR may set.
const VARIABLES_MAX: usize = 256;

/// Longest value of a variable, in bytes.
const VALUE_BYTES_MAX: usize = 4096;

/// The shared part of a journey.
#[derive(Debug)]
pub(super) struct Scope {
    pub(super) plan: Arc<Plan>,
    pub(super) contact: Contact,
    pub(super) trace: Trace,
    /// Keys pressed and not used yet.
    pub(super) digits: VecDeque<Digit>,
    variables: BTreeMap<String, String>,
    playbacks: u32,
    chance: u64,
    /// What is heard: the last playback begun, unless it was stopped.
    heard: Option<PlaybackId>,
    pub(super) requests: u32,
}

impl Scope {
    pub(super) fn new(plan: Arc<Plan>, contact: Contact) -> Self {
        let mut variables = BTreeMap::new();
        let number =
            contact.from.number.map_or_else(|| contact.from.text.clone(), |number| number.to_string());
        let company = match &contact.to {
            crate::address::Address::Number(number) => number.to_string(),
            crate::address::Address::Text(text) => text.to_string(),
        };
        variables.insert("customer_number".to_owned(), number);
        variables.insert("entry_point".to_owned(), company.clone());
        variables.insert("company_number".to_owned(), company);
        let chance = contact.seed;
        Self {
            plan,
            contact,
            chance,
            trace: Trace::default(),
            digits: VecDeque::new(),
            variables,
            playbacks: 0,
            heard: None,
            requests: 0,
        }
    }

    pub(super) fn note(&mut self, now: Now, what: impl Into<String>) {
        let since = now.mono.saturating_duration_since(self.contact.arrived.mono).as_millis();
        self.trace.push(u64::try_from(since).unwrap_or(u64::MAX), what);
    }

    pub(super) fn emit(&mut self, event: FeedEvent, out: &mut Actions) {
        out.push(Action::Emit(event));
    }

    /// Keeps a key for whoever asks next; the oldest stay when there are too many.
    pub(super) fn keep(&mut self, now: Now, digit: Digit) {
        if self.digits.len() < DIGITS_MAX {
            self.digits.push_back(digit);
        } else {
            self.note(now, "key dropped: too many unused keys");
        }
    }

    pub(super) fn play(
        &mut self,
        sounds: Vec<Sound>,
        looped: bool,
        resume: bool,
        out: &mut Actions,
    ) -> PlaybackId {
        self.playbacks = self.playbacks.wrapping_add(1);
        let id = PlaybackId(self.playbacks);
        self.heard = Some(id);
        out.push(Action::Play(Playback { id, sounds, looped, resume }));
        id
    }

    pub(super) fn stop(&mut self, out: &mut Actions) {
        self.heard = None;
        out.push(Action::StopPlayback);
    }

    /// Whether the playback is what is heard, or would be.
    pub(super) fn hears(&self, playback: PlaybackId) -> bool {
        self.heard == Some(playback)
    }

    pub(super) fn play_prompts(&mut self, now: Now, prompts: &[&PromptId], out: &mut Actions) -> Prompting {
        let sounds = prompts.iter().map(|prompt| Sound::Prompt((*prompt).clone())).collect();
        self.say(now, sounds, out)
    }

    /// Plays sounds once, one after the other.
    pub(super) fn say(&mut self, now: Now, sounds: Vec<Sound>, out: &mut Actions) -> Prompting {
        let count = sounds.len();
        Prompting::new(now, self.play(sounds, false, false, out), count)
    }

    /// Whether the prompt is over; one whose end was never told is stopped.
    pub(super) fn is_over(
        &mut self,
        now: Now,
        prompt: &Prompting,
        told: Told<'_>,
        out: &mut Actions,
    ) -> bool {
        match told {
            Told::PlaybackDone(done) => done == prompt.id,
            Told::Time if prompt.overdue <= now.mono => {
                self.note(now, "the end of a prompt was never told: taken for over");
                self.stop(out);
                true
            }
            Told::Time
            | Told::Digit(_)
            | Told::DataDip { .. }
            | Told::SmsSent { .. }
            | Told::Failure(_)
            | Told::ForwardFailed
            | Told::InQueue(_)
            | Told::RecordingSilent
            | Told::Recorded(_)
            | Told::CallbackStored(_) => false,
        }
    }

    /// A number from 0 to 99, each as likely as the others (SplitMix64, of which only the seed is chance).
    pub(super) fn percentile(&mut self) -> u64 {
        self.chance = self.chance.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.chance ^ (self.chance >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ (mixed >> 31)) % 100
    }

    pub(super) fn set(&mut self, now: Now, name: &str, mut value: String) {
        if value.len() > VALUE_BYTES_MAX {
            let end = (0..=VALUE_BYTES_MAX).rev().find(|end| value.is_char_boundary(*end)).unwrap_or(0);
            value.truncate(end);
        }
        if self.variables.len() < VARIABLES_MAX || self.variables.contains_key(name) {
            self.variables.insert(name.to_owned(), value);
        } else {
            self.note(now, format!("variable {name} not set: too many variables"));
        }
    }

    /// A template with its `{{names}}` replaced; an unknown name becomes nothing.
    pub(super) fn fill(&self, template: &str) -> String {
        let mut text = String::with_capacity(template.len());
        let mut rest = template;
        while let Some((before, after)) = rest.split_once("{{") {
            text.push_str(before);
            match after.split_once("}}") {
                Some((name, after)) => {
                    text.push_str(self.variables.get(name.trim()).map_or("", String::as_str));
                    rest = after;
                }
                None => {
                    text.push_str("{{");
                    rest = after;
                }
            }
        }
        text.push_str(rest);
        text
    }
}

/// A moment that many seconds on.
pub(super) fn in_seconds(now: Now, seconds: u32) -> Instant {
    now.after(Duration::from_secs(u64::from(seconds))).mono
}
