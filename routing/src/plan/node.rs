//! The nodes of an IVR.
//!
//! `Node<T>` is generic over what a transition points to: a [`NodeId`](crate::id::NodeId) in documents,
//! a [`NodeIndex`](super::NodeIndex) once compiled. [`Node::try_map`] is the only way from one to the
//! other, so a compiled node cannot hold a transition that leads nowhere.

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "questions about one trait of a node name the nodes that have it; try_map covers every variant"
)]

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::schedule::Period;
use crate::id::{CalendarId, InboxId, ListId, PromptId};

/// One step of an IVR.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
#[expect(
    missing_docs,
    reason = "the fields are documented with their defaults in the reference of documents"
)]
pub enum Node<T> {
    /// Where an IVR begins.
    Start { next: T },
    /// Opening hours: the first row that covers the moment leads on.
    Schedule {
        #[serde(default = "Vec::new")]
        rows: Vec<ScheduleRow<T>>,
        #[serde(default)]
        calendar: Option<CalendarId>,
        #[serde(default = "BTreeMap::new")]
        calendar_rows: BTreeMap<String, T>,
        default: T,
    },
    /// Plays a prompt.
    Message {
        prompt: PromptId,
        #[serde(default = "yes")]
        interruptible: bool,
        next: T,
    },
    /// Asks for one key.
    Menu {
        prompt: PromptId,
        #[serde(default = "five")]
        timeout_seconds: u32,
        #[serde(default = "two")]
        retries: u32,
        #[serde(default)]
        no_input_prompt: Option<PromptId>,
        #[serde(default)]
        no_match_prompt: Option<PromptId>,
        #[serde(default = "yes")]
        barge_in: bool,
        choices: BTreeMap<String, T>,
        default: T,
        #[serde(default = "none")]
        error: Option<T>,
    },
    /// Asks for several keys; they become the variable `node.<id>`.
    Input {
        prompt: PromptId,
        #[serde(default = "twenty")]
        digits_max: u32,
        #[serde(default = "hash")]
        terminator: String,
        #[serde(default = "star")]
        restart: String,
        #[serde(default = "five")]
        first_digit_seconds: u32,
        #[serde(default = "three")]
        between_digits_seconds: u32,
        #[serde(default)]
        secret: bool,
        next: T,
        timeout: T,
        #[serde(default = "none")]
        error: Option<T>,
    },
    /// Asks a web service.
    DataDip {
        url: String,
        #[serde(default)]
        post: bool,
        #[serde(default = "BTreeMap::new")]
        headers: BTreeMap<String, String>,
        #[serde(default)]
        body: Option<String>,
        #[serde(default = "dip_timeout")]
        timeout_ms: u32,
        #[serde(default = "BTreeMap::new")]
        captures: BTreeMap<String, String>,
        next: T,
        error: T,
    },
    /// Sets a variable to a constant or template.
    SetVariable { name: String, value: String, next: T },
    /// Compares a template with patterns (`*` any text, `?` any character).
    Match { value: String, patterns: Vec<Pattern<T>>, default: T },
    /// Looks at who calls.
    CallerMatch {
        #[serde(default)]
        list: Option<ListId>,
        #[serde(default)]
        prefixes: Vec<String>,
        #[serde(default)]
        anonymous: bool,
        /// STIR attestation wanted; unknown for every call until verification exists.
        #[serde(default)]
        attestation: Option<Attestation>,
        #[serde(rename = "match")]
        matched: T,
        no_match: T,
    },
    /// Looks the caller up in a shared list.
    BlockList { list: ListId, blocked: T, default: T },
    /// Sends a text message to the caller.
    SendSms { text: String, success: T, error: T },
    /// Records a message for an inbox.
    Voicemail {
        greeting: PromptId,
        inbox: InboxId,
        #[serde(default = "voicemail_max")]
        seconds_max: u32,
        #[serde(default = "two")]
        seconds_min: u32,
        #[serde(default = "none")]
        error: Option<T>,
    },
    /// Confirms a number to call back, and keeps the place in line.
    Callback {
        prompt: PromptId,
        #[serde(default = "three_times")]
        attempts: u8,
        #[serde(default = "ten")]
        gap_minutes: u32,
        #[serde(default = "a_day")]
        window_hours: u32,
        #[serde(default)]
        prefixes: Vec<String>,
        next: T,
        #[serde(default = "none")]
        declined: Option<T>,
        error: T,
    },
    /// Sends the call elsewhere.
    Forward {
        to: String,
        #[serde(default = "ring_time")]
        ring_seconds: u32,
        failed: T,
    },
    /// Sends a share of the contacts one way.
    PercentSplit { percent: u8, next: T, rest: T },
    /// Runs another IVR as a part of this one.
    SubIvr { ivr: crate::id::IvrId, next: T, error: T },
    /// Leads on at most so many times in one run of its IVR.
    LoopGuard { times_max: u32, next: T, exceeded: T },
    /// Says the place in the queue.
    Position { next: T },
    /// Says how long the wait is.
    EstimatedWait { next: T, unknown: T },
    /// Plays queue music for a while.
    WaitMusic { seconds: u32, next: T },
    /// Goes back to waiting.
    Continue {},
    /// Changes the place in the queue.
    ChangePriority { priority: u8, next: T },
    /// Goes on waiting in another inbox.
    MoveInbox { inbox: InboxId, next: T },
    /// Leaves the IVR for an inbox, as an entry point of the `ivr` section.
    Exit {},
    /// Ends the call.
    HangUp {
        #[serde(default = "decline")]
        sip_status: u16,
        #[serde(default)]
        prompt: Option<PromptId>,
    },
}

/// What the caller's provider vouches for (ATIS-1000074, the `attest` claim of RFC 8588).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Attestation {
    /// Full: the provider knows the caller, and that the number may be used.
    A,
    /// Partial: the provider knows the caller.
    B,
    /// Gateway: the provider only knows where the call came in.
    C,
    /// There is a signature, and it does not hold.
    #[serde(rename = "failed")]
    Failed,
    /// The call was not verified.
    #[serde(rename = "unknown")]
    Unknown,
}

/// One row of a schedule node.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScheduleRow<T> {
    /// When it holds.
    #[serde(rename = "when")]
    pub period: Period,
    /// Where it leads.
    pub next: T,
}

/// One pattern of a match node.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pattern<T> {
    /// `*` stands for any text, `?` for any one character; the rest for itself, in any case.
    pub pattern: String,
    /// Where it leads.
    pub next: T,
}

impl<T> Node<T> {
    /// The same node with every transition's target replaced; the first error ends it.
    ///
    /// # Errors
    /// What `map` returns. It is called with the transition's name and target.
    pub fn try_map<U, E>(&self, map: &mut impl FnMut(&str, &T) -> Result<U, E>) -> Result<Node<U>, E> {
        let mut to = |name: &str, target: &T| map(name, target);
        Ok(match self {
            Self::Start { next } => Node::Start { next: to("next", next)? },
            Self::Schedule { rows, calendar, calendar_rows, default } => Node::Schedule {
                rows: rows
                    .iter()
                    .map(|row| {
                        Ok(ScheduleRow { period: row.period.clone(), next: to(&row.period.name, &row.next)? })
                    })
                    .collect::<Result<_, E>>()?,
                calendar: calendar.clone(),
                calendar_rows: targets(calendar_rows, &mut to)?,
                default: to("default", default)?,
            },
            Self::Message { prompt, interruptible, next } => Node::Message {
                prompt: prompt.clone(),
                interruptible: *interruptible,
                next: to("next", next)?,
            },
            Self::Menu {
                prompt,
                timeout_seconds,
                retries,
                no_input_prompt,
                no_match_prompt,
                barge_in,
                choices,
                default,
                error,
            } => Node::Menu {
                prompt: prompt.clone(),
                timeout_seconds: *timeout_seconds,
                retries: *retries,
                no_input_prompt: no_input_prompt.clone(),
                no_match_prompt: no_match_prompt.clone(),
                barge_in: *barge_in,
                choices: targets(choices, &mut to)?,
                default: to("default", default)?,
                error: option(error, "error", &mut to)?,
            },
            Self::Input {
                prompt,
                digits_max,
                terminator,
                restart,
                first_digit_seconds,
                between_digits_seconds,
                secret,
                next,
                timeout,
                error,
            } => Node::Input {
                prompt: prompt.clone(),
                digits_max: *digits_max,
                terminator: terminator.clone(),
                restart: restart.clone(),
                first_digit_seconds: *first_digit_seconds,
                between_digits_seconds: *between_digits_seconds,
                secret: *secret,
                next: to("next", next)?,
                timeout: to("timeout", timeout)?,
                error: option(error, "error", &mut to)?,
            },
            other => return other.try_map_quiet(&mut to),
        })
    }

    /// The nodes that neither play nor listen.
    fn try_map_quiet<U, E>(&self, to: &mut impl FnMut(&str, &T) -> Result<U, E>) -> Result<Node<U>, E> {
        Ok(match self {
            Self::DataDip { url, post, headers, body, timeout_ms, captures, next, error } => Node::DataDip {
                url: url.clone(),
                post: *post,
                headers: headers.clone(),
                body: body.clone(),
                timeout_ms: *timeout_ms,
                captures: captures.clone(),
                next: to("next", next)?,
                error: to("error", error)?,
            },
            Self::SetVariable { name, value, next } => {
                Node::SetVariable { name: name.clone(), value: value.clone(), next: to("next", next)? }
            }
            Self::Match { value, patterns, default } => Node::Match {
                value: value.clone(),
                patterns: patterns
                    .iter()
                    .map(|p| Ok(Pattern { pattern: p.pattern.clone(), next: to(&p.pattern, &p.next)? }))
                    .collect::<Result<_, E>>()?,
                default: to("default", default)?,
            },
            Self::CallerMatch { list, prefixes, anonymous, attestation, matched, no_match } => {
                Node::CallerMatch {
                    list: list.clone(),
                    prefixes: prefixes.clone(),
                    anonymous: *anonymous,
                    attestation: *attestation,
                    matched: to("match", matched)?,
                    no_match: to("no_match", no_match)?,
                }
            }
            Self::BlockList { list, blocked, default } => Node::BlockList {
                list: list.clone(),
                blocked: to("blocked", blocked)?,
                default: to("default", default)?,
            },
            Self::LoopGuard { times_max, next, exceeded } => Node::LoopGuard {
                times_max: *times_max,
                next: to("next", next)?,
                exceeded: to("exceeded", exceeded)?,
            },
            Self::WaitMusic { seconds, next } => {
                Node::WaitMusic { seconds: *seconds, next: to("next", next)? }
            }
            Self::Continue {} => Node::Continue {},
            Self::Exit {} => Node::Exit {},
            Self::HangUp { sip_status, prompt } => {
                Node::HangUp { sip_status: *sip_status, prompt: prompt.clone() }
            }
            other => return other.try_map_reserved(to),
        })
    }

    /// The nodes that change a place in the queue, run elsewhere, or lead the call out of the gateway.
    fn try_map_reserved<U, E>(&self, to: &mut impl FnMut(&str, &T) -> Result<U, E>) -> Result<Node<U>, E> {
        Ok(match self {
            Self::SendSms { text, success, error } => Node::SendSms {
                text: text.clone(),
                success: to("success", success)?,
                error: to("error", error)?,
            },
            Self::Voicemail { greeting, inbox, seconds_max, seconds_min, error } => Node::Voicemail {
                greeting: greeting.clone(),
                inbox: inbox.clone(),
                seconds_max: *seconds_max,
                seconds_min: *seconds_min,
                error: option(error, "error", to)?,
            },
            Self::Callback {
                prompt,
                attempts,
                gap_minutes,
                window_hours,
                prefixes,
                next,
                declined,
                error,
            } => Node::Callback {
                prompt: prompt.clone(),
                attempts: *attempts,
                gap_minutes: *gap_minutes,
                window_hours: *window_hours,
                prefixes: prefixes.clone(),
                next: to("next", next)?,
                declined: option(declined, "declined", to)?,
                error: to("error", error)?,
            },
            Self::Forward { to: target, ring_seconds, failed } => Node::Forward {
                to: target.clone(),
                ring_seconds: *ring_seconds,
                failed: to("failed", failed)?,
            },
            Self::PercentSplit { percent, next, rest } => {
                Node::PercentSplit { percent: *percent, next: to("next", next)?, rest: to("rest", rest)? }
            }
            Self::SubIvr { ivr, next, error } => {
                Node::SubIvr { ivr: ivr.clone(), next: to("next", next)?, error: to("error", error)? }
            }
            Self::Position { next } => Node::Position { next: to("next", next)? },
            Self::EstimatedWait { next, unknown } => {
                Node::EstimatedWait { next: to("next", next)?, unknown: to("unknown", unknown)? }
            }
            Self::ChangePriority { priority, next } => {
                Node::ChangePriority { priority: *priority, next: to("next", next)? }
            }
            Self::MoveInbox { inbox, next } => {
                Node::MoveInbox { inbox: inbox.clone(), next: to("next", next)? }
            }
            // Every other node was mapped before this function was reached.
            _ => Node::Exit {},
        })
    }

    /// Every transition: its name and target.
    pub fn transitions(&self) -> Vec<(String, T)>
    where
        T: Clone,
    {
        let mut all = Vec::new();
        let mapped: Result<Node<()>, std::convert::Infallible> = self.try_map(&mut |name, target| {
            all.push((name.to_owned(), target.clone()));
            Ok(())
        });
        let _always_ok = mapped.is_ok();
        all
    }

    /// Whether the node may only stand in a Queue IVR.
    pub fn is_queue_only(&self) -> bool {
        matches!(
            self,
            Self::Position { .. }
                | Self::EstimatedWait { .. }
                | Self::WaitMusic { .. }
                | Self::Continue {}
                | Self::ChangePriority { .. }
                | Self::MoveInbox { .. }
                | Self::Callback { .. }
        )
    }

    /// Whether a cycle through this node is bounded by the caller or by time.
    pub fn waits(&self) -> bool {
        matches!(
            self,
            Self::Message { .. }
                | Self::Menu { .. }
                | Self::Input { .. }
                | Self::WaitMusic { .. }
                | Self::LoopGuard { .. }
                | Self::Voicemail { .. }
                | Self::Callback { .. }
                | Self::Forward { .. }
        )
    }

    /// Every prompt the node names.
    pub fn prompts(&self) -> Vec<&PromptId> {
        match self {
            Self::Message { prompt, .. } | Self::Input { prompt, .. } | Self::Callback { prompt, .. } => {
                vec![prompt]
            }
            Self::Menu { prompt, no_input_prompt, no_match_prompt, .. } => {
                [Some(prompt), no_input_prompt.as_ref(), no_match_prompt.as_ref()]
                    .into_iter()
                    .flatten()
                    .collect()
            }
            Self::Voicemail { greeting, .. } => vec![greeting],
            Self::HangUp { prompt, .. } => prompt.iter().collect(),
            _ => Vec::new(),
        }
    }
}

fn targets<T, U, E>(
    all: &BTreeMap<String, T>,
    to: &mut impl FnMut(&str, &T) -> Result<U, E>,
) -> Result<BTreeMap<String, U>, E> {
    all.iter().map(|(name, target)| Ok((name.clone(), to(name, target)?))).collect()
}

fn option<T, U, E>(
    target: &Option<T>,
    name: &str,
    to: &mut impl FnMut(&str, &T) -> Result<U, E>,
) -> Result<Option<U>, E> {
    target.as_ref().map(|target| to(name, target)).transpose()
}

fn none<T>() -> Option<T> {
    None
}

fn yes() -> bool {
    true
}

fn two() -> u32 {
    2
}

fn three() -> u32 {
    3
}

fn three_times() -> u8 {
    3
}

fn ten() -> u32 {
    10
}

fn a_day() -> u32 {
    24
}

fn five() -> u32 {
    5
}

fn twenty() -> u32 {
    20
}

fn hash() -> String {
    "#".to_owned()
}

fn star() -> String {
    "*".to_owned()
}

fn dip_timeout() -> u32 {
    1_900
}

fn voicemail_max() -> u32 {
    180
}

fn ring_time() -> u32 {
    45
}

fn decline() -> u16 {
    200
}
