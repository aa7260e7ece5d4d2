//! Numbers and treatments.

use std::sync::Arc;

use vestibule_routing::{
    address::E164,
    plan::{AnswerMode, IvrKind, NumberVoice, Treatment},
};

use super::{Compiler, Parts, PromptTable};
use crate::{
    diagnostic::Code,
    document::{Key, NumberDoc, TreatmentDoc},
};

impl Compiler<'_> {
    pub(super) fn number(&mut self, key: &Key, number: E164, body: Option<NumberDoc>) {
        let Some(body) = body else {
            self.next.plan.numbers.remove(&number);
            return;
        };
        let path = key.path();
        if !(self.context.owned)(number) {
            self.findings.add(Code::NotOurNumber, &path, format!("{number} is not ours"));
        }
        self.number_ranges(&body, &path);
        let initial = body
            .initial_ivr
            .and_then(|id| self.ivr_of_kind(&id, IvrKind::Initial, &format!("{path}/initial_ivr")));
        let queue =
            body.queue_ivr.and_then(|id| self.ivr_of_kind(&id, IvrKind::Queue, &format!("{path}/queue_ivr")));
        if body.answer == AnswerMode::Taken && (initial.is_some() || queue.is_some()) {
            self.findings.add(
                Code::AnswerWithIvr,
                format!("{path}/answer"),
                "an IVR is heard in an answered call",
            );
        }
        let voice = NumberVoice {
            active: body.voice,
            initial_ivr: initial,
            queue_ivr: queue,
            queue_wait_seconds: body.queue_wait_seconds,
            repeat_every_seconds: body.repeat_every_seconds,
            initial_sound: body.initial_sound,
            queue_music: body.queue_music.and_then(|id| self.prompt(&id, &format!("{path}/queue_music"))),
            hold_music: body.hold_music.and_then(|id| self.prompt(&id, &format!("{path}/hold_music"))),
            answer: body.answer,
            fallback: body.fallback.and_then(|doc| self.treatment(&doc, &format!("{path}/fallback"))),
        };
        if *self.last_voice != voice {
            self.last_voice = Arc::new(voice);
        }
        self.next.plan.numbers.insert(number, self.last_voice.clone());
    }

    fn number_ranges(&mut self, body: &NumberDoc, path: &str) {
        let wait = body.queue_wait_seconds;
        let wait_path = format!("{path}/queue_wait_seconds");
        if !(5..=600).contains(&wait) {
            self.findings.add(
                Code::QueueWaitRange,
                wait_path,
                format!("{wait} seconds lie outside 5 to 600"),
            );
        } else if !(30..=45).contains(&wait) {
            self.findings.add(
                Code::QueueWaitUnusual,
                wait_path,
                format!("{wait} seconds lie outside 30 to 45"),
            );
        }
        if let Some(every) = body.repeat_every_seconds.filter(|every| !(5..=3600).contains(every)) {
            let path = format!("{path}/repeat_every_seconds");
            self.findings.add(Code::OutOfRange, path, format!("{every} seconds lie outside 5 to 3600"));
        }
    }

    pub(super) fn treatment(&mut self, doc: &TreatmentDoc, path: &str) -> Option<Treatment> {
        match doc {
            TreatmentDoc::PromptThenHangUp(id) => self.prompt(id, path).map(Treatment::PromptThenHangUp),
            TreatmentDoc::Inbox(id) => self.inbox(id, path).map(Treatment::Inbox),
            TreatmentDoc::Ivr(id) => self.ivr_of_kind(id, IvrKind::Initial, path).map(Treatment::Ivr),
            TreatmentDoc::Voicemail(id) => self.inbox(id, path).map(Treatment::Voicemail),
            TreatmentDoc::Forward(to) => {
                if is_forward_target(to) {
                    return Some(Treatment::Forward(to.clone()));
                }
                let sentence = format!("\"{to}\" is neither a number nor a SIP URI");
                self.findings.add(Code::BadTreatment, path, sentence);
                None
            }
            TreatmentDoc::SipCode(code) => {
                self.sip_code(*code, path);
                Some(Treatment::SipCode(*code))
            }
        }
    }

    pub(super) fn sip_code(&mut self, code: u16, path: &str) {
        if !(400..=699).contains(&code) {
            self.findings.add(Code::BadSipCode, path, format!("{code} is no refusal"));
        }
    }
}

/// Whether a call may be forwarded there: to a number, or a SIP URI.
pub(super) fn is_forward_target(to: &str) -> bool {
    // Templates are filled in when a call comes.
    to.contains("{{") || super::shared::is_sip_uri(to) || E164::parse(to).is_ok()
}

/// What a number uses that is not there.
pub(super) fn broken(voice: &NumberVoice, parts: &Parts, prompts: &PromptTable) -> Vec<(String, Code)> {
    let mut all = Vec::new();
    for (ivr, kind) in [(&voice.initial_ivr, IvrKind::Initial), (&voice.queue_ivr, IvrKind::Queue)] {
        let Some(id) = ivr else { continue };
        match parts.ivrs.get(id) {
            None => all.push((format!("the IVR {id}"), Code::StillUsed)),
            Some(doc) if doc.kind != kind => {
                all.push((format!("the IVR {id}, which changed its kind"), Code::WrongIvrKind));
            }
            Some(_) => {}
        }
    }
    for id in [&voice.queue_music, &voice.hold_music].into_iter().flatten() {
        if prompts.get(id).is_none() {
            all.push((format!("the prompt {id}"), Code::StillUsed));
        }
    }
    let gone = match &voice.fallback {
        Some(Treatment::PromptThenHangUp(id)) if prompts.get(id).is_none() => {
            Some(format!("the prompt {id}"))
        }
        Some(Treatment::Inbox(id) | Treatment::Voicemail(id)) if !parts.inboxes.contains_key(id) => {
            Some(format!("the inbox {id}"))
        }
        Some(Treatment::Ivr(id)) if !parts.ivrs.contains_key(id) => Some(format!("the IVR {id}")),
        _ => None,
    };
    all.extend(gone.map(|what| (what, Code::StillUsed)));
    all
}

/// The document of compiled settings.
pub(super) fn export(voice: &NumberVoice) -> NumberDoc {
    NumberDoc {
        voice: voice.active,
        initial_ivr: voice.initial_ivr.clone(),
        queue_ivr: voice.queue_ivr.clone(),
        queue_wait_seconds: voice.queue_wait_seconds,
        repeat_every_seconds: voice.repeat_every_seconds,
        initial_sound: voice.initial_sound,
        queue_music: voice.queue_music.clone(),
        hold_music: voice.hold_music.clone(),
        answer: voice.answer,
        fallback: voice.fallback.as_ref().map(export_treatment),
    }
}

fn export_treatment(treatment: &Treatment) -> TreatmentDoc {
    match treatment {
        Treatment::PromptThenHangUp(id) => TreatmentDoc::PromptThenHangUp(id.clone()),
        Treatment::Inbox(id) => TreatmentDoc::Inbox(id.clone()),
        Treatment::Ivr(id) => TreatmentDoc::Ivr(id.clone()),
        Treatment::Voicemail(id) => TreatmentDoc::Voicemail(id.clone()),
        Treatment::Forward(to) => TreatmentDoc::Forward(to.clone()),
        Treatment::SipCode(code) => TreatmentDoc::SipCode(*code),
    }
}
