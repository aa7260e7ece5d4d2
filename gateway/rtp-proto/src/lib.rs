//! Media protocol code without IO: RTP and RTCP (RFC 3550), their protection (SRTP, RFC 3711 and RFC 7714),
//! telephone events (RFC 4733), in-band DTMF (ITU-T Q.23, Q.24), G.711, tones, WAV files, shared pre-encoded
//! frames, symmetric-RTP latching and the renumbering of relayed packets.
//!
//! It is not a media engine: there is no socket, clock, thread or random number here. The media threads
//! of the gateway own those and hand in datagrams and the time. What runs for each packet allocates nothing,
//! and no input from a peer makes it panic.
#![deny(
    clippy::disallowed_methods,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::wildcard_enum_match_arm
)]

pub mod dtmf;
pub mod frames;
pub mod g711;
pub mod inband;
pub mod latch;
pub mod relay;
pub mod rtcp;
pub mod rtp;
pub mod srtp;
pub mod stats;
pub mod tone;
pub mod wav;

/// Samples a second of every audio format and clock here: G.711 and telephone events (RFC 3551 §4.5.14).
pub const SAMPLE_RATE: u32 = 8000;

/// Samples, and so G.711 bytes, in one frame of 20 ms.
pub const FRAME_SAMPLES: usize = 160;
