//! What a journey asks for.

use std::time::Duration;

use super::hand_off::{Callee, HoldBy, Refusal, RequestId, TargetIndex};
use crate::{
    address::E164,
    id::{InboxId, IvrId, NodeId, PromptId},
    outcome::Outcome,
};

/// Where actions go; reused by the caller, so that a wake-up allocates nothing in the common case.
pub type Actions = Vec<Action>;

/// Names one playback of a contact, so that a late "done" cannot be taken for another's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PlaybackId(pub u32);

/// One thing to be heard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sound {
    /// A prompt or piece of music.
    Prompt(PromptId),
    /// Ringing tone.
    Ringback,
    /// The short tone after which a message is recorded.
    Beep,
    /// Silence.
    Silence(Duration),
}

/// A playback: sounds one after the other, once or for ever.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Playback {
    /// Its name in `PlaybackDone`.
    pub id: PlaybackId,
    /// What is heard.
    pub sounds: Vec<Sound>,
    /// Start again at the end.
    pub looped: bool,
    /// Go on where the same sounds were last left (queue music after a Queue IVR).
    pub resume: bool,
}

/// Something the contact task is to do. Order matters; nothing follows [`Action::End`].
#[derive(Clone, Debug)]
pub enum Action {
    /// Tell the caller it rings (180), without answering.
    Ring,
    /// Answer the call (200); the contact task waits for the journal's receipt first.
    Answer,
    /// Replace what is heard.
    Play(Playback),
    /// Be silent.
    StopPlayback,
    /// Write an event to the journal and the feed.
    Emit(FeedEvent),
    /// Take a place in an inbox's queue (keeping the arrival time), or move to another one.
    EnterQueue {
        /// The inbox.
        inbox: InboxId,
        /// 0 (lowest) to 9.
        priority: u8,
        /// Longest queue allowed; [`super::Event::QueueFull`] is the answer when it is full.
        length_max: Option<u32>,
    },
    /// Give the place in the queue up.
    LeaveQueue,
    /// Send the caller a text; answered by [`super::Event::SmsSent`].
    SendSms {
        /// Number of this request within the contact.
        request: u32,
        /// The text, variables filled in.
        text: String,
    },
    /// Ask a web service for values; answered by [`super::Event::DataDip`].
    DataDip(DataDip),
    /// Look at the queue; answered by [`super::Event::InQueue`].
    LookAtQueue,
    /// Record what the caller says; [`super::Event::Recorded`] tells what came of it.
    Record(Message),
    /// End the recording.
    EndRecording,
    /// Have the caller called back, and keep the place in the queue for that; answered by
    /// [`super::Event::CallbackStored`].
    StoreCallback(Callback),
    /// Call somebody; [`super::Event::CallAnswered`] or [`super::Event::CallFailed`] tells what came of it.
    Call {
        /// The request it is for.
        request: RequestId,
        /// Whom.
        callee: Callee,
    },
    /// Take the calls of a request back, or hang up what was answered meanwhile.
    GiveUp(RequestId),
    /// Let the caller and whom that request called hear each other. Whoever talked to the caller before is
    /// hung up; the request's other calls are taken back.
    Connect(RequestId, TargetIndex),
    /// Caller and taker hear each other no more; both calls go on.
    Separate,
    /// They hear each other again.
    Join,
    /// Hang up whoever talks to the caller.
    Release,
    /// The answer to [`super::Event::Requested`].
    Reply {
        /// The request.
        request: RequestId,
        /// Whether it was granted.
        result: Result<(), Refusal>,
    },
    /// The contact is over. The call is ended with `sip`: a status before the answer, a reason after it.
    End {
        /// How it ended.
        outcome: Outcome,
        /// SIP status for a refusal, or the cause carried by the BYE's Reason header.
        sip_status: u16,
    },
}

/// A message that a caller leaves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// The inbox it is for.
    pub inbox: InboxId,
    /// The longest message, in seconds.
    pub seconds_max: u32,
    /// What is shorter is not kept, in seconds.
    pub seconds_min: u32,
}

/// A callback that a caller asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Callback {
    /// The number to call.
    pub number: E164,
    /// How often it is tried.
    pub attempts: u8,
    /// Minutes between two attempts.
    pub gap_minutes: u32,
    /// Hours after which it is tried no more.
    pub window_hours: u32,
}

/// A request to a web service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DataDip {
    /// Number of this request within the contact.
    pub request: u32,
    /// `GET` or `POST`.
    pub post: bool,
    /// The URL, variables filled in.
    pub url: String,
    /// Header names and values, variables filled in.
    pub headers: Vec<(String, String)>,
    /// JSON body, variables filled in.
    pub body: Option<String>,
    /// Longest wait.
    pub timeout: Duration,
    /// Variables to take out of the answer: name, and JSON pointer (RFC 6901).
    pub captures: Vec<(String, String)>,
}

/// An event for the feed, without the envelope (id, time, sequence) which the journal adds.
#[derive(Clone, Debug, PartialEq)]
pub enum FeedEvent {
    /// `contact.started`.
    Started,
    /// `contact.ivr_entered`.
    IvrEntered {
        /// Which IVR.
        ivr: IvrId,
        /// Whether it runs in the queue.
        queue: bool,
    },
    /// `contact.node_entered`.
    NodeEntered {
        /// Which IVR.
        ivr: IvrId,
        /// Which node.
        node: NodeId,
        /// The transition that led here, `default`, `1`, `timeout`…; none for the first node.
        by: Option<String>,
        /// Digits consumed by that transition; masked for secret inputs.
        digits: String,
    },
    /// `contact.ivr_exited`.
    IvrExited {
        /// Which IVR.
        ivr: IvrId,
        /// The exit or hang-up node; none when it failed.
        node: Option<NodeId>,
        /// The inbox it resolved to.
        inbox: Option<InboxId>,
        /// Why it failed, when it did.
        failure: Option<&'static str>,
    },
    /// `contact.queued`.
    Queued {
        /// The inbox.
        inbox: InboxId,
        /// When an answer is due under the SLA.
        sla_due: jiff::Timestamp,
    },
    /// `contact.moved`: to another inbox, keeping the arrival time.
    Moved {
        /// From where.
        from: InboxId,
        /// To where.
        to: InboxId,
    },
    /// `contact.taken`.
    Taken {
        /// The inbox it waited in.
        inbox: InboxId,
        /// Who took it.
        by: String,
        /// Whom we called for that.
        target: String,
    },
    /// `contact.refused`.
    Refused {
        /// The inbox it waits in.
        inbox: InboxId,
        /// Who refused, or had somebody called.
        by: String,
        /// Who was called; none when nobody was.
        target: Option<String>,
        /// The SIP status of the refusal.
        status: Option<u16>,
    },
    /// `contact.take_timed_out`.
    TakeTimedOut {
        /// The inbox it waits in.
        inbox: InboxId,
        /// Who had somebody called.
        by: String,
        /// Who did not answer.
        target: String,
    },
    /// `contact.connected`.
    Connected {
        /// The inbox it waited in.
        inbox: InboxId,
        /// Who talks to the caller.
        target: String,
    },
    /// `contact.held`.
    Held {
        /// Who did it.
        by: HoldBy,
    },
    /// `contact.resumed`.
    Resumed {
        /// Who did it.
        by: HoldBy,
    },
    /// `contact.transferred`: to an inbox's queue, or to somebody who was called.
    Transferred {
        /// The inbox.
        to_inbox: Option<InboxId>,
        /// Who talks to the caller now.
        to_target: Option<String>,
        /// Who did it.
        by: String,
    },
    /// `contact.ended`.
    Ended(Outcome),
}
