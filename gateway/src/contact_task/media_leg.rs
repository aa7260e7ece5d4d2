//! The media of one leg: opened with the answer or the offer, told what SDP agreed, closed with the leg.

use std::{
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use rtp_proto::{
    g711::Law,
    rtp::PayloadType,
    srtp::{KeyIdentifier, MasterKey, Suite},
};
use sip_proto::sdp::{self, Codec, CryptoSuite, Direction, Negotiated};
use tokio::sync::mpsc;
use vestibule_routing::{
    digit::Digit,
    journey::{Playback, PlaybackId},
};

use crate::{
    hub::Services,
    media::{self, Leg, Media, MediaEvent, OpenLeg, Recording, RecordingSettings, Remote},
};

/// One leg's media.
#[derive(Debug)]
pub(super) struct MediaLeg {
    events: mpsc::Sender<MediaEvent>,
    leg: Option<Leg>,
    /// Where media goes when SDP names no address: the signalling's source, discard port.
    nowhere: SocketAddr,
    last: Option<SocketAddr>,
    agreed: Option<Negotiated>,
    /// The playback that may be resumed, and where it was left.
    resumable: Option<PlaybackId>,
    position: u64,
}

impl MediaLeg {
    /// Media that is not open yet; `signalling` is where the leg's signalling comes from.
    pub(super) fn new(events: mpsc::Sender<MediaEvent>, signalling: IpAddr) -> Self {
        let nowhere = SocketAddr::new(signalling, 9);
        Self { events, leg: None, nowhere, last: None, agreed: None, resumable: None, position: 0 }
    }

    /// Opens a port, on the thread of another leg when there is one; the address to put into SDP.
    pub(super) fn open(&mut self, services: &Services, beside: Option<&Self>) -> Option<SocketAddr> {
        let beside = beside.and_then(|other| other.leg.as_ref());
        let open = OpenLeg { events: self.events.clone() };
        let opened = match beside {
            Some(other) => services.media.open_beside(other, open),
            None => services.media.open(open),
        };
        let leg = opened.ok()?;
        let mut address = leg.local_addr();
        if let Some(ip) = services.media_address {
            address.set_ip(ip);
        }
        self.leg = Some(leg);
        Some(address)
    }

    /// SDP agreed on something, first or anew.
    pub(super) fn agreed(&mut self, agreed: &Negotiated) {
        self.agreed = Some(*agreed);
        let Some(leg) = &self.leg else { return };
        let address = agreed.remote.or(self.last).unwrap_or(self.nowhere);
        self.last = Some(address);
        let law = match agreed.codec {
            Codec::Pcmu => Law::Mu,
            Codec::Pcma => Law::A,
        };
        let remote = Remote {
            rtcp_mux: agreed.rtcp_mux,
            payload_type: PayloadType::new(agreed.payload_type).unwrap_or(PayloadType::PCMU),
            telephone_event: agreed.telephone_event.and_then(PayloadType::new),
            ptime_ms: agreed.ptime_ms,
            direction: match agreed.direction {
                Direction::SendRecv => media::Direction::SendReceive,
                Direction::SendOnly => media::Direction::SendOnly,
                Direction::RecvOnly => media::Direction::ReceiveOnly,
                Direction::Inactive => media::Direction::Inactive,
            },
            ..Remote::new(address, law)
        };
        let told = match agreed.srtp {
            None => leg.set_remote(remote),
            Some(keys) => match srtp_keys(&keys) {
                Some(keys) => leg.set_secure_remote(remote, keys),
                // Without its keys a stream stays silent rather than clear.
                None => return tracing::error!("keys that were agreed cannot be used"),
            },
        };
        if told.is_err() {
            tracing::error!("a media thread is too busy to take a change of address");
        }
    }

    /// Whether it has a port.
    pub(super) fn is_open(&self) -> bool {
        self.leg.is_some()
    }

    /// The codec that was agreed.
    pub(super) fn codec(&self) -> Option<Codec> {
        self.agreed.map(|agreed| agreed.codec)
    }

    /// Records this side left and another right; none when that cannot be done.
    pub(super) fn record(
        &self,
        media: &Media,
        settings: RecordingSettings,
        other: &Self,
    ) -> Option<Recording> {
        let (own, other) = (self.leg.as_ref()?, other.leg.as_ref()?);
        media.record(settings, own, Some(other)).ok()
    }

    /// Records this side alone; none when that cannot be done.
    pub(super) fn record_alone(&self, media: &Media, settings: RecordingSettings) -> Option<Recording> {
        media.record(settings, self.leg.as_ref()?, None).ok()
    }

    /// Whether a recording has this leg on its right from now on.
    pub(super) fn is_followed_by(&self, recording: &mut Recording) -> bool {
        self.leg.as_ref().is_some_and(|leg| recording.follow(leg).is_ok())
    }

    /// Whether the other side takes telephone events.
    pub(super) fn takes_events(&self) -> bool {
        self.agreed.is_some_and(|agreed| agreed.telephone_event.is_some())
    }

    /// Lets this leg and another hear each other. False when the media thread is too busy.
    pub(super) fn bridge(&self, other: &Self) -> bool {
        match (&self.leg, &other.leg) {
            (Some(own), Some(other)) => own.bridge(other).is_ok(),
            (None, _) | (_, None) => false,
        }
    }

    pub(super) fn unbridge(&self) {
        if let Some(leg) = &self.leg
            && leg.unbridge().is_err()
        {
            tracing::error!("a media thread is too busy to part two legs");
        }
    }

    /// Sends a key as a telephone event.
    pub(super) fn send_digit(&self, digit: Digit) {
        if let Some(leg) = &self.leg
            && leg.send_digit(digit, KEY_PRESS).is_err()
        {
            tracing::error!("a media thread is too busy to send a key");
        }
    }

    /// Whether the playback was handed over.
    pub(super) fn play(&mut self, playback: &Playback, sounds: Vec<media::Sound>) -> bool {
        let Some(leg) = &self.leg else { return false };
        let start = if playback.resume { self.position } else { 0 };
        self.resumable = playback.resume.then_some(playback.id).or(self.resumable);
        leg.play(playback.id, sounds, playback.looped, start).is_ok()
    }

    /// A playback was replaced: queue music goes on from there next time.
    pub(super) fn stopped(&mut self, id: PlaybackId, position_samples: u64) {
        if self.resumable == Some(id) {
            self.position = position_samples;
        }
    }

    pub(super) fn stop_playback(&self) {
        if let Some(leg) = &self.leg
            && leg.stop_playback().is_err()
        {
            tracing::error!("a media thread is too busy to stop a playback");
        }
    }
}

/// Keys of SDP as the media threads want them.
fn srtp_keys(keys: &sdp::SrtpKeys) -> Option<media::SrtpKeys> {
    let key = |key: &sdp::CryptoKey| {
        let suite = match key.suite() {
            CryptoSuite::AeadAes256Gcm => Suite::AeadAes256Gcm,
            CryptoSuite::AeadAes128Gcm => Suite::AeadAes128Gcm,
            CryptoSuite::AesCm128HmacSha1Tag80 => Suite::AesCm128HmacSha1Tag80,
            CryptoSuite::AesCm128HmacSha1Tag32 => Suite::AesCm128HmacSha1Tag32,
        };
        MasterKey::new(suite, key.key_and_salt())
    };
    let key_identifier = match keys.key_identifier {
        Some(identifier) => Some(KeyIdentifier::new(identifier.value, identifier.len)?),
        None => None,
    };
    Some(media::SrtpKeys { ours: key(&keys.ours)?, theirs: key(&keys.theirs)?, key_identifier })
}

/// How long a key is pressed that came without a length.
const KEY_PRESS: Duration = Duration::from_millis(100);
