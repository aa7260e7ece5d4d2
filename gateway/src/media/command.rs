//! What crosses the two rings of a media thread.

use std::net::UdpSocket;

use rtp_proto::dtmf::Digit;

use super::{
    DigitSource, Remote,
    leg::{LegState, Secure},
    playback::Playback,
    recording::Tap,
};

/// Names a leg inside its thread. The generation makes a late command for a closed leg harmless.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LegKey {
    pub(crate) index: u32,
    pub(crate) generation: u32,
}

/// To the thread.
#[derive(Debug)]
pub(crate) enum Command {
    Add(Box<LegState>),
    SetRemote {
        key: LegKey,
        remote: Remote,
        secure: Option<Box<Secure>>,
    },
    /// The socket asked for by [`What::WantsRtcp`].
    SetRtcp {
        key: LegKey,
        socket: UdpSocket,
    },
    Play {
        key: LegKey,
        playback: Playback,
    },
    Stop {
        key: LegKey,
    },
    Bridge {
        one: LegKey,
        other: LegKey,
    },
    Unbridge {
        key: LegKey,
    },
    /// What the leg receives is handed to a recorder.
    Tap {
        key: LegKey,
        tap: Box<Tap>,
    },
    Untap {
        key: LegKey,
        recording: u64,
    },
    SendDigit {
        key: LegKey,
        digit: Digit,
        /// In timestamp units.
        duration: u16,
    },
}

/// From the thread. Whatever owns memory or a socket travels back, so that the thread never frees.
#[derive(Debug)]
pub(crate) struct Report {
    pub(crate) key: LegKey,
    pub(crate) what: What,
}

#[derive(Debug)]
pub(crate) enum What {
    Latched(std::net::SocketAddr),
    Digit {
        digit: Digit,
        source: DigitSource,
    },
    PlaybackDone(Playback),
    PlaybackStopped(Playback),
    /// A report is due, and RTCP has a port of its own: its socket is opened for calls that last, not for each.
    WantsRtcp,
    /// Nothing was heard for too long.
    Inactive {
        heard_before: bool,
    },
    /// Something was heard again after that.
    Active,
    /// The command it came with was too late.
    Discarded {
        #[expect(dead_code, reason = "carried home only to be freed there")]
        playback: Playback,
    },
    /// Keys that no leg uses any more.
    Unused {
        #[expect(dead_code, reason = "carried home only to be freed there")]
        secure: Box<Secure>,
    },
    /// No leg has it any more.
    Untapped {
        #[expect(dead_code, reason = "carried home only to be freed there")]
        tap: Box<Tap>,
    },
    Closed(Box<LegState>),
}
