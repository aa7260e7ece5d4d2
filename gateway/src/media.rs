//! The media engine: one RTP stream for each call leg, paced by a few operating-system threads.
//!
//! A contact task opens a [`Leg`], tells it the other side's SDP ([`Leg::set_remote`]), plays sounds and gets
//! [`MediaEvent`]s on its channel: digits, the end of a playback, silence of the caller. Dropping the leg ends
//! the stream. The engine decodes nothing but in-band digits: prompts come encoded ([`rtp_proto::frames`]).
//!
//! Inside (`thread`), every leg belongs to one thread and one slot of a wheel of 20 slots of a millisecond.
//! In its slot the leg's socket is polled and, when a packet is due, one packet sent; the sockets of bridged
//! legs are looked at every millisecond. Commands come in over a ring, events leave over another; a tick
//! takes no lock, allocates and frees nothing, and writes no log.
//!
//! RFC 3550 and 3551 (RTP, RTCP), RFC 4733 (digits), RFC 4961 (symmetric RTP), RFC 5761 (RTCP on the
//! same port). Two legs of one thread can be bridged ([`Leg::bridge`]): what one hears the other says, with
//! its own SSRC and clock and without a jitter buffer. What legs hear is recorded by a thread of its own
//! ([`Media::record`]). A leg may be encrypted (RFC 3711, [`Leg::set_secure_remote`]), whatever its partner is. No
//! codec but G.711.

mod command;
mod engine;
mod leg;
mod metrics;
mod playback;
mod port;
mod recording;
mod rtcp;
mod seats;
mod thread;

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    ops::RangeInclusive,
    time::Duration,
};

use rtp_proto::{
    g711::Law,
    rtp::PayloadType,
    srtp::{KeyIdentifier, MasterKey},
};
use vestibule_routing::{digit::Digit, journey::PlaybackId};

pub use self::{
    engine::{Leg, Media, OpenLeg},
    metrics::{LATENESS_BOUNDS_US, MediaSnapshot, RecorderSnapshot, ThreadSnapshot},
    playback::Sound,
    port::{PortError, PortUse},
    recording::{
        RecordError, Recording, RecordingEnd, RecordingEvent, RecordingPause, RecordingSettings,
        RecordingSummary, Salvaged, salvage,
    },
};

/// How the engine is set up.
#[derive(Clone, Debug)]
pub struct MediaSettings {
    /// The local address that sockets are bound to; never the wildcard behind a public address.
    pub local_ip: IpAddr,
    /// UDP ports for media: even ones for RTP, the odd one above for RTCP.
    pub ports: RangeInclusive<u16>,
    /// Calls expected at once; sizes the number of threads (one for each 2,000, at most cores − 1).
    pub calls_expected: usize,
    /// Threads; 0 chooses by `calls_expected` and cores.
    pub threads: usize,
    /// Differentiated services code point of what is sent, 0 to 63.
    pub dscp: u8,
    /// Try real-time scheduling; without it, or when it is not allowed, the threads run at nice −11.
    pub realtime: bool,
    /// A leg that never heard anything is reported after so long.
    pub never_heard: Duration,
    /// A leg that heard something before is reported after so long without any packet.
    pub silence: Duration,
}

impl Default for MediaSettings {
    fn default() -> Self {
        Self {
            local_ip: IpAddr::V4(Ipv4Addr::LOCALHOST),
            ports: 20_000..=39_999,
            calls_expected: 2000,
            threads: 0,
            dscp: 46,
            realtime: true,
            never_heard: Duration::from_secs(15),
            silence: Duration::from_secs(30),
        }
    }
}

/// Which way media flows, seen from us (the negation of what the other side's SDP says of itself).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Direction {
    /// Both ways.
    #[default]
    SendReceive,
    /// We only send; nothing is expected back.
    SendOnly,
    /// We only listen: the caller holds us. Playbacks go on unheard, so that their ends stay on time.
    ReceiveOnly,
    /// Neither.
    Inactive,
}

impl Direction {
    /// Whether we send.
    pub fn sends(self) -> bool {
        matches!(self, Self::SendReceive | Self::SendOnly)
    }

    /// Whether we expect packets.
    pub fn receives(self) -> bool {
        matches!(self, Self::SendReceive | Self::ReceiveOnly)
    }
}

/// What was agreed by SDP with the other side of a leg.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Remote {
    /// Where RTP goes until the other side's real source is learnt.
    pub address: SocketAddr,
    /// Where RTCP goes (`a=rtcp`, RFC 3605); the port above RTP's when absent.
    pub rtcp_address: Option<SocketAddr>,
    /// RTCP shares the RTP port (RFC 5761).
    pub rtcp_mux: bool,
    /// The codec.
    pub law: Law,
    /// Its payload type.
    pub payload_type: PayloadType,
    /// The payload type of telephone events; without one, digits are heard by their tones.
    pub telephone_event: Option<PayloadType>,
    /// Milliseconds of audio in a packet we send; brought to 10, 20, … 60.
    pub ptime_ms: u8,
    /// Who sends.
    pub direction: Direction,
}

impl Remote {
    /// Both ways at 20 ms with telephone events as payload type 101, RTCP on its own port.
    pub fn new(address: SocketAddr, law: Law) -> Self {
        let payload_type = match law {
            Law::Mu => PayloadType::PCMU,
            Law::A => PayloadType::PCMA,
        };
        Self {
            address,
            rtcp_address: None,
            rtcp_mux: false,
            law,
            payload_type,
            telephone_event: PayloadType::new(101),
            ptime_ms: 20,
            direction: Direction::SendReceive,
        }
    }
}

/// The keys of an encrypted leg.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SrtpKeys {
    /// Protects what we send. Never one that another leg has.
    pub ours: MasterKey,
    /// Protects what the other side sends.
    pub theirs: MasterKey,
    /// What each packet of the other side carries besides.
    pub key_identifier: Option<KeyIdentifier>,
}

/// How a digit came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DigitSource {
    /// As a telephone event.
    Rfc4733,
    /// As tones.
    Inband,
}

/// What a leg tells the task that opened it.
#[derive(Clone, Debug, PartialEq)]
pub enum MediaEvent {
    /// The other side's source was learnt; from now on nobody else is heard.
    Latched {
        /// Where its packets come from.
        source: SocketAddr,
    },
    /// A key was pressed.
    Digit {
        /// Which.
        digit: Digit,
        /// How it came.
        source: DigitSource,
    },
    /// A playback came to its end. Never for a looped one.
    PlaybackDone {
        /// Which.
        id: PlaybackId,
        /// Frames of 20 ms played, the last one counted whole.
        frames_played: u64,
    },
    /// A playback was stopped or replaced before its end.
    PlaybackStopped {
        /// Which.
        id: PlaybackId,
        /// Frames of 20 ms played, over all rounds.
        frames_played: u64,
        /// The start offset (samples of 8 kHz) with which the same sounds would go on.
        position_samples: u64,
    },
    /// No packet came for too long. Said once for each silence; never while we do not expect any.
    Inactive {
        /// Whether any packet came before; if not, the way to us is probably blocked.
        heard_before: bool,
    },
    /// Packets came again after [`MediaEvent::Inactive`].
    Active,
    /// The leg is closed; nothing follows.
    Closed {
        /// What it counted.
        stats: LegStats,
    },
}

/// What a leg counted over its life.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct LegStats {
    /// RTP packets sent.
    pub sent: u64,
    /// RTP packets accepted.
    pub received: u64,
    /// RTP packets missing by sequence number (RFC 3550 §A.3).
    pub lost: u64,
    /// Interarrival jitter in milliseconds (RFC 3550 §A.8).
    pub jitter_ms: f64,
    /// Datagrams from others than the peer.
    pub wrong_source: u64,
    /// Frames we left out because the thread was late.
    pub skipped_frames: u64,
    /// Round trip measured by RTCP, in milliseconds.
    pub round_trip_ms: Option<f64>,
    /// Packets the other side missed, as its last report says.
    pub remote_lost: Option<i32>,
}

/// Why the engine did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The range has no even port with its odd neighbour.
    #[error("the media port range {first}-{last} holds no port pair")]
    NoPorts {
        /// Its first port.
        first: u16,
        /// Its last port.
        last: u16,
    },
    /// The kernel refused a thread or an event descriptor.
    #[error("cannot start a media thread")]
    Thread(#[source] std::io::Error),
}

/// Why no leg was opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// There is no port.
    #[error(transparent)]
    Port(#[from] PortError),
    /// The thread has as many legs as it can name, or its ring is full.
    #[error("the media threads take no more legs")]
    Full,
}

/// Why a command was not given to the leg's thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CommandError {
    /// The ring to the thread is full: the thread is overloaded or stuck.
    #[error("the ring to the media thread is full")]
    RingFull,
    /// The two legs are not on one thread, or are one and the same.
    #[error("the legs are not beside each other on one media thread")]
    Apart,
}
