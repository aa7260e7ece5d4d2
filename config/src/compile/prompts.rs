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
pub const BUILTINS: [&str; 11] = [
    "welcome",
    "menu",
    "hours",
    "no_match",
    "no_input",
    "closed",
    "transfer",
    "goodbye",
    "queue_message",
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
        Self(BUILTINS.into_iter().map(builtin).collect())
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
                let known = BUILTINS.into_iter().find(|builtin| builtin == name);
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
