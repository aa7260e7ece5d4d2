//! What is wrong with a document: a code, a place, a sentence and a remedy.
//!
//! The catalogue is closed: every code stands here and, with an explanation, in `docs/diagnostics.md`.

use std::fmt;

use serde::Serialize;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Worth a look; does not stop a publish.
    Warning,
    /// Stops a publish.
    Error,
}

/// One finding.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Diagnostic {
    /// The kind of finding.
    #[serde(serialize_with = "code_text")]
    pub code: Code,
    /// How bad it is.
    pub severity: Severity,
    /// Where in the document, as a JSON pointer (RFC 6901).
    pub path: String,
    /// What is wrong.
    pub sentence: String,
    /// What to do.
    pub remedy: &'static str,
}

impl Diagnostic {
    /// A finding at a place.
    pub fn new(code: Code, path: impl Into<String>, sentence: impl Into<String>) -> Self {
        Self {
            code,
            severity: code.severity(),
            path: path.into(),
            sentence: sentence.into(),
            remedy: code.remedy(),
        }
    }

    /// Whether it stops a publish.
    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}: {} ({})", self.code.as_str(), self.path, self.sentence, self.remedy)
    }
}

fn code_text<S: serde::Serializer>(code: &Code, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(code.as_str())
}

macro_rules! catalogue {
    ($($(#[$doc:meta])* $name:ident = $text:literal, $severity:ident, $remedy:literal;)*) => {
        /// The kinds of findings.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Code { $($(#[$doc])* $name,)* }

        impl Code {
            /// Every code, in the order of their numbers.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// The stable text, such as `R-1204`.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }

            /// Whether it stops a publish.
            pub fn severity(self) -> Severity {
                match self { $(Self::$name => Severity::$severity,)* }
            }

            /// What to do about it.
            pub fn remedy(self) -> &'static str {
                match self { $(Self::$name => $remedy,)* }
            }
        }
    };
}

catalogue! {
    /// The text is neither YAML nor JSON.
    NotReadable = "R-1001", Error, "correct the YAML or JSON at the place named";
    /// A section that does not exist.
    UnknownSection = "R-1002", Error, "use one of the sections named in the reference of documents";
    /// A value has the wrong form, or a key is unknown or missing.
    BadValue = "R-1003", Error, "give the value the form that the sentence names; texts such as numbers need quotes";
    /// A name that cannot be used.
    BadName = "R-1004", Error, "use letters, digits, '_', '-' and '.', at most 64 of them";
    /// The document was written for another version of the format.
    UnknownVersion = "R-1005", Error, "write version: 1";
    /// A channel without a default inbox.
    NoDefaultInbox = "R-1101", Error, "name an inbox under channels, or settings.default_inbox for all";
    /// An inbox that does not exist.
    UnknownInbox = "R-1102", Error, "create the inbox, or name one that exists";
    /// An IVR that does not exist.
    UnknownIvr = "R-1103", Error, "create the IVR, or name one that exists";
    /// A calendar that does not exist.
    UnknownCalendar = "R-1104", Error, "create the calendar, or name one that exists";
    /// A list that does not exist.
    UnknownList = "R-1105", Error, "create the list, or name one that exists";
    /// A prompt that does not exist.
    MissingPrompt = "R-1106", Error, "create the prompt, or use one of the builtin: sounds";
    /// The recording of a prompt is not stored.
    MissingRecording = "R-1107", Error, "upload the recording, then name the hash that the upload returned";
    /// Text prompts without a speech program.
    NoSpeech = "R-1108", Error, "set tts.command, or use a recording";
    /// Something still in use would be removed.
    StillUsed = "R-1109", Error, "first change what uses it, or remove that too";
    /// The sound of a prompt cannot be made.
    NoSound = "R-1110", Error, "correct the text or the voice, see that the speech command runs, or upload a recording";
    /// A transition that leads to no node.
    DanglingTransition = "R-1201", Error, "lead the transition to a node that exists";
    /// A node that nothing leads to.
    UnreachableNode = "R-1202", Warning, "remove the node, or lead a transition to it";
    /// An exit that nothing leads to.
    UnreachableExit = "R-1203", Error, "remove the exit, or lead a transition to it";
    /// An exit that resolves to no inbox.
    ExitWithoutInbox = "R-1204", Error, "give the exit an exception, or the ivr section a default inbox";
    /// A cycle in which the caller neither waits nor decides.
    BusyCycle = "R-1205", Error, "put a menu, an input, a message or a loop guard into the cycle";
    /// A pattern that matches everything.
    CatchAllPattern = "R-1206", Error, "use the default transition for everything else";
    /// A schedule with rows of a calendar that lead nowhere.
    UncoveredSchedule = "R-1207", Error, "lead every row of the calendar somewhere";
    /// Every date of a schedule's row has passed.
    PastDate = "R-1208", Warning, "remove the row, or give it new dates";
    /// A node that belongs in a queue stands in an Initial IVR.
    QueueOnlyNode = "R-1209", Error, "use it in a Queue IVR";
    /// An IVR that starts with something else than it should.
    BadStart = "R-1210", Error, "name one node as the start, and let no start node stand elsewhere";
    /// A node's number lies outside its range.
    OutOfRange = "R-1211", Error, "choose a value in the range that the sentence names";
    /// A menu key that is no telephone key.
    BadKey = "R-1212", Error, "use the keys 0 to 9, * and #";
    /// A schedule row that can never hold.
    EmptyRow = "R-1213", Error, "give the row days of the week, or dates that end after they begin";
    /// Two nodes of one IVR, or two rows of one schedule, share a name.
    DuplicateName = "R-1214", Error, "give each its own name";
    /// A node that sends a text, and nobody who does.
    NoSender = "R-1215", Error, "give a provider of texts a `send`, or remove the node";
    /// A data dip that cannot be made.
    DataDipTarget = "R-1216", Error, "give the data dip an http or https URL";
    /// An IVR that is a part of itself, or of too many others.
    IvrWithinItself = "R-1217", Error, "let no IVR lead into itself by sub_ivr, and no more than 8 lie within each other";
    /// A Queue IVR linked as an Initial IVR, or the other way round.
    WrongIvrKind = "R-1301", Error, "link an Initial IVR as initial_ivr and a Queue IVR as queue_ivr";
    /// The wait before the Queue IVR is out of range.
    QueueWaitRange = "R-1302", Error, "choose 5 to 600 seconds; 30 to 45 suit most callers";
    /// The wait before the Queue IVR is unusual.
    QueueWaitUnusual = "R-1303", Warning, "30 to 45 seconds suit most callers";
    /// A number that is not ours.
    NotOurNumber = "R-1304", Error, "buy or register the number first, or remove it from the document";
    /// Answering late does not go with an IVR.
    AnswerWithIvr = "R-1305", Error, "use answer: arrival, or unlink the IVRs";
    /// An address that does not fit its channel.
    BadAddress = "R-1306", Error, "write channel/address, such as voice/+14155550100 or ivr/ivr_main/sales";
    /// An entry point for something that does not exist.
    UnusedEntryPoint = "R-1307", Warning, "remove the entry point, or create what it names";
    /// A treatment that cannot be carried out.
    BadTreatment = "R-1308", Error, "name one treatment whose parts exist";
    /// A SIP status that is no refusal.
    BadSipCode = "R-1309", Error, "use a status from 400 to 699";
    /// A telephone of an inbox that cannot be called.
    BadTarget = "R-1310", Error, "write it as sip:user@host:port, with ;transport=tcp for TCP, or as sips:user@host for TLS";
    /// A network that cannot be read.
    BadNetwork = "R-1401", Error, "write address/length, such as 203.0.113.0/24, with no bits set after the length";
    /// Two trunks claim one network.
    SharedNetwork = "R-1402", Error, "give each network to one trunk";
    /// A secret written into a document.
    PlainSecret = "R-1403", Error, "refer to the secret as env:NAME or file:PATH";
    /// A trunk that nobody can use.
    EmptyTrunk = "R-1404", Error, "list at least one allowed network and one codec";
    /// A TLS identity that no certificate can prove.
    BadIdentity = "R-1405", Error, "write the domain that stands in the certificate's subjectAltName, such as sip.carrier.example";
    /// A registration at a carrier that cannot be made.
    BadRegistration = "R-1406", Error, "write the registrar as sip:host, a user without @ and spaces, and expires_seconds from 60 to 86400";
    /// A provider that speaks a form we do not know.
    UnknownProviderKind = "R-1407", Error, "name one of the kinds in the reference of providers";
    /// A provider whose requests could not be believed.
    BadProvider = "R-1408", Error, "name 1 to 4 secrets as env:NAME or file:PATH, and the address that the provider sends to";
    /// A consumer that could not be told of anything.
    BadConsumer = "R-1409", Error, "name 1 to 4 secrets, the address that events are posted to, and types of the reference of events";
    /// A chat window that could be on no page.
    BadChatApp = "R-1410", Error, "name the origins of its pages, 1 to 4 secrets of its identity, and a throttle within its range";
    /// A routing test failed.
    TestFailed = "R-1501", Error, "correct the routing, or what the test expects";
    /// Somebody else published a change of the same object.
    Conflict = "R-1601", Error, "look at the published form, then edit again";
    /// Nothing was changed.
    NothingToPublish = "R-1602", Error, "change something first";
    /// A publish without a note.
    NoNote = "R-1603", Error, "say in a few words what changes";
    /// A publish needs a second person, and cannot wait for one.
    NeedsSecond = "R-1604", Error, "put the change into the draft, and publish that";
}

/// Escapes one step of a JSON pointer (RFC 6901 §3).
pub(crate) fn step(text: &str) -> String {
    text.replace('~', "~0").replace('/', "~1")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_stands_once_and_in_order() {
        let texts: Vec<_> = Code::ALL.iter().map(|code| code.as_str()).collect();
        assert!(texts.windows(2).all(|pair| pair[0] < pair[1]), "{texts:?}");
    }

    #[test]
    fn the_reference_explains_every_code_and_no_other() {
        let reference = include_str!("../docs/diagnostics.md");
        for code in Code::ALL {
            let severity = if code.severity() == Severity::Error { "error" } else { "warning" };
            let heading = format!("## {} ({severity})", code.as_str());
            let section = reference.split(&heading).nth(1).unwrap_or_else(|| panic!("{heading} is missing"));
            let body = section.split("\n## ").next().unwrap();
            assert!(body.contains(code.remedy()), "{} does not give its remedy", code.as_str());
        }
        assert_eq!(reference.matches("\n## R-").count(), Code::ALL.len());
    }
}
