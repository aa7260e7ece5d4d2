//! Where the sound of a prompt comes from.

use std::collections::BTreeMap;

use vestibule_routing::id::PromptId;

use super::Compiler;
use crate::{
    diagnostic::{Code, step},
    document::PromptDoc,
    settings::Tts,
};

/// The sounds that ship with the gateway, without their `builtin:`.
pub const BUILTINS: &[&str] = &[
    "welcome",
    "menu",
    "hours",
    "no_match",
    "no_input",
    "closed",
    "transfer",
    "goodbye",
    "queue_message",
    "voicemail_greeting",
    "voicemail_thanks",
    "position_next",
    "position_before",
    "position_after",
    "wait_under_a_minute",
    "wait_before",
    "wait_minute",
    "wait_minutes",
    "wait_over_an_hour",
    "callback_offer",
    "callback_number",
    "callback_keys",
    "callback_keys_or_other",
    "callback_enter",
    "callback_stored",
    "callback_greeting",
    "number_0",
    "number_1",
    "number_2",
    "number_3",
    "number_4",
    "number_5",
    "number_6",
    "number_7",
    "number_8",
    "number_9",
    "number_10",
    "number_11",
    "number_12",
    "number_13",
    "number_14",
    "number_15",
    "number_16",
    "number_17",
    "number_18",
    "number_19",
    "number_20",
    "number_30",
    "number_40",
    "number_50",
    "number_60",
    "number_70",
    "number_80",
    "number_90",
    "number_100",
    "closing",
    "queue_music",
    "hold_music",
];

/// The source of a prompt's sound.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PromptSource {
    /// One of [`BUILTINS`].
    Builtin(&'static str),
    /// A stored recording.
    File {
        /// SHA-256 of its bytes, hexadecimal, small letters.
        sha256: String,
    },
    /// Text to be spoken.
    Text {
        /// The text.
        text: String,
        /// The voice; none means the one of the settings.
        voice: Option<String>,
    },
}

/// Every prompt that may be played, with its source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PromptTable(BTreeMap<PromptId, PromptSource>);

impl Default for PromptTable {
    fn default() -> Self {
        let builtin =
            |name: &'static str| (PromptId::new(format!("builtin:{name}")), PromptSource::Builtin(name));
        Self(BUILTINS.iter().copied().map(builtin).collect())
    }
}

impl PromptTable {
    /// The source of a prompt.
    pub fn get(&self, id: &PromptId) -> Option<&PromptSource> {
        self.0.get(id)
    }

    /// Every prompt.
    pub fn iter(&self) -> impl Iterator<Item = (&PromptId, &PromptSource)> {
        self.0.iter()
    }

    /// The table's own copy of the id, so that plans share one.
    pub(super) fn shared_id(&self, id: &PromptId) -> Option<PromptId> {
        self.0.get_key_value(id).map(|(shared, _)| shared.clone())
    }
}

impl Compiler<'_> {
    pub(super) fn prompts(&mut self) {
        let mut table = PromptTable::default();
        let parts = self.next.parts.clone();
        for (id, doc) in &parts.prompts {
            let path = format!("/prompts/{}", step(id.as_str()));
            if let Some(source) = self.prompt_source(doc, &path) {
                table.0.insert(id.clone(), source);
            }
        }
        if *self.next.prompts != table {
            self.next.prompts = table.into();
        }
    }

    fn prompt_source(&mut self, doc: &PromptDoc, path: &str) -> Option<PromptSource> {
        match (&doc.file, &doc.text, &doc.builtin) {
            (Some(hash), None, None) if doc.voice.is_none() => {
                if !crate::store::is_sha256(hash) || !(self.context.recorded)(hash) {
                    let sentence = format!("no recording {hash} is stored");
                    self.findings.add(Code::MissingRecording, format!("{path}/file"), sentence);
                }
                Some(PromptSource::File { sha256: hash.clone() })
            }
            (None, Some(text), None) if !text.trim().is_empty() => {
                if !self.context.speech {
                    self.findings.add(
                        Code::NoSpeech,
                        format!("{path}/text"),
                        "there is no program that speaks texts",
                    );
                }
                if doc.voice.as_deref().is_some_and(|voice| !Tts::is_voice(voice)) {
                    self.findings.add(
                        Code::BadValue,
                        format!("{path}/voice"),
                        "a voice is at most 64 letters, digits and . _ + -, beginning with a letter or digit",
                    );
                }
                Some(PromptSource::Text { text: text.clone(), voice: doc.voice.clone() })
            }
            (None, None, Some(name)) if doc.voice.is_none() => {
                let known = BUILTINS.iter().copied().find(|builtin| builtin == name);
                if known.is_none() {
                    let sentence = format!("there is no builtin sound {name}");
                    self.findings.add(Code::MissingPrompt, format!("{path}/builtin"), sentence);
                }
                known.map(PromptSource::Builtin)
            }
            _ => {
                self.findings.add(
                    Code::BadValue,
                    path,
                    "a prompt has one of file, text (with a voice) and builtin",
                );
                None
            }
        }
    }
}
