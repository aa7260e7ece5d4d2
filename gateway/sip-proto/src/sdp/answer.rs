//! Offer and answer (RFC 3264).

use std::{
    fmt::Write,
    net::{IpAddr, SocketAddr},
};

use rand::CryptoRng;

use super::{
    Codec, Connection, Direction, LocalMedia, Media, Session, Srtp, SrtpKeys,
    crypto::{self, Crypto},
};

/// What an offer and its answer agree on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Negotiated {
    /// Where the other side wants its media; none when it is on hold in the old way (0.0.0.0), or named
    /// a host instead of an address (media is then latched to where it comes from).
    pub remote: Option<SocketAddr>,
    /// Where the other side wants RTCP; none where `remote` is none.
    pub rtcp: Option<SocketAddr>,
    /// The codec both ways.
    pub codec: Codec,
    /// The payload type of the codec, both ways.
    pub payload_type: u8,
    /// The payload type of telephone-event; none means digits come in-band or by INFO.
    pub telephone_event: Option<u8>,
    /// Milliseconds of audio we put into a packet, 10 to 60.
    pub ptime_ms: u8,
    /// The direction from our side.
    pub direction: Direction,
    /// RTCP comes on the RTP port.
    pub rtcp_mux: bool,
    /// The keys of an encrypted stream; without them it is clear.
    pub srtp: Option<SrtpKeys>,
}

/// Why an offer cannot be taken; each is a 488 with this Warning text (RFC 3261 §20.43).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NegotiationError {
    /// There is no audio section that is not refused.
    #[error("no usable audio stream")]
    NoAudio,
    /// None of the offered codecs is allowed here.
    #[error("no common codec: PCMU or PCMA is needed")]
    NoCommonCodec,
    /// Encrypted streams only, but none has a key that we can use.
    #[error(
        "no usable key: a=crypto with AEAD_AES_256_GCM, AEAD_AES_128_GCM or AES_CM_128_HMAC_SHA1 is needed"
    )]
    NoUsableKey,
    /// Clear streams only, which are not allowed here.
    #[error("clear RTP is not allowed: RTP/SAVP with a=crypto is needed")]
    Clear,
}

/// A stream that can be taken.
#[derive(Clone, Copy)]
struct Usable<'m, 'a> {
    index: usize,
    media: &'m Media<'a>,
    /// The line that we answer; none on a clear stream.
    crypto: Option<Crypto>,
}

/// Answers an offer: the description to send, and what was agreed. An encrypted stream goes before a clear one.
/// Within a session, `in_use` are the keys of now: ours stays as long as theirs does.
///
/// # Errors
/// [`NegotiationError`] when no stream can be taken.
pub fn answer(
    offer: &Session<'_>,
    local: &LocalMedia,
    in_use: Option<SrtpKeys>,
    rng: &mut impl CryptoRng,
) -> Result<(String, Negotiated), NegotiationError> {
    let mut streams = usable_streams(offer, local.srtp)?;
    streams.sort_by_key(|stream| stream.crypto.is_none());
    let chosen = streams.iter().find_map(|stream| Some((stream, choose(stream.media, &local.codecs)?)));
    let (taken, (payload_type, codec)) = chosen.ok_or(NegotiationError::NoCommonCodec)?;
    let keys = taken.crypto.map(|theirs| (theirs.tag, crypto::answer(&theirs, in_use, rng)));
    let agreed =
        Negotiated { srtp: keys.map(|(_, keys)| keys), ..agree(offer, taken.media, payload_type, codec) };
    let mut text = head(local, offer.timing);
    for (index, media) in offer.media.iter().enumerate() {
        if index == taken.index {
            audio_section(&mut text, local.address.port(), media, &agreed);
            text.extend(keys.map(|(tag, keys)| Crypto::write(tag, &keys.ours)));
        } else {
            refuse(&mut text, media);
        }
    }
    Ok((text, agreed))
}

/// An offer of our own, for an INVITE that came without one (RFC 3261 §13.2.1) or one that we send: encrypted
/// where that is required.
pub fn offer(local: &LocalMedia, rng: &mut impl CryptoRng) -> String {
    let mut text = head(local, "0 0");
    offered_section(&mut text, local, protocol_of(local.srtp), rng);
    text
}

/// An offer of our own within a session: every stream of our `last` description keeps its place, what
/// was refused stays refused (RFC 3264 §8). An encrypted stream stays encrypted, by new keys: who answers may
/// be somebody else than before.
pub fn offer_again(last: &Session<'_>, local: &LocalMedia, rng: &mut impl CryptoRng) -> String {
    let Some(audio) = live_audio(last) else { return offer(local, rng) };
    let mut text = head(local, "0 0");
    for (index, media) in last.media.iter().enumerate() {
        if index != audio {
            refuse(&mut text, media);
        } else if media.crypto.is_empty() {
            offered_section(&mut text, local, protocol_of(local.srtp), rng);
        } else {
            offered_section(&mut text, local, Offered { protocol: media.protocol, keys: true }, rng);
        }
    }
    text
}

/// How a stream is offered.
#[derive(Clone, Copy)]
struct Offered<'a> {
    protocol: &'a str,
    keys: bool,
}

fn protocol_of(srtp: Srtp) -> Offered<'static> {
    match srtp {
        Srtp::Off | Srtp::Allowed => Offered { protocol: "RTP/AVP", keys: false },
        Srtp::Required => Offered { protocol: "RTP/SAVP", keys: true },
    }
}

fn offered_section(text: &mut String, local: &LocalMedia, offered: Offered<'_>, rng: &mut impl CryptoRng) {
    write!(text, "m=audio {} {}", local.address.port(), offered.protocol).ok();
    for codec in &local.codecs {
        write!(text, " {}", codec.static_payload_type()).ok();
    }
    text.push_str(" 101\r\n");
    for codec in &local.codecs {
        write!(text, "a=rtpmap:{} {}/8000\r\n", codec.static_payload_type(), codec.name()).ok();
    }
    text.push_str("a=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-15\r\na=ptime:20\r\na=sendrecv\r\n");
    if offered.keys {
        text.push_str(&crypto::offer(rng));
    }
}

/// Reads the answer to an offer of ours, made by [`offer`] or [`offer_again`], which holds one audio stream that
/// is not refused.
///
/// # Errors
/// [`NegotiationError`] when it takes none of what we offered.
pub fn accept_answer(
    answer: &Session<'_>,
    offer: &Session<'_>,
    local: &LocalMedia,
) -> Result<Negotiated, NegotiationError> {
    let offered = live_audio(offer).and_then(|index| offer.media.get(index));
    let offered = offered.ok_or(NegotiationError::NoAudio)?;
    let taken = live_audio(answer).and_then(|index| answer.media.get(index));
    let taken = taken.ok_or(NegotiationError::NoAudio)?;
    let srtp = crypto::agreed(offered, taken);
    match (profile(offered), profile(taken)) {
        (Some(Profile::Clear), Some(Profile::Clear)) if local.srtp == Srtp::Required => {
            return Err(NegotiationError::Clear);
        }
        (Some(Profile::Encrypted), Some(Profile::Encrypted)) if srtp.is_none() => {
            return Err(NegotiationError::NoUsableKey);
        }
        (Some(offered), Some(taken)) if offered == taken => {}
        (Some(_), Some(Profile::Clear)) => return Err(NegotiationError::Clear),
        (Some(_) | None, Some(_) | None) => return Err(NegotiationError::NoAudio),
    }
    let (payload_type, codec) = choose(taken, &local.codecs).ok_or(NegotiationError::NoCommonCodec)?;
    Ok(Negotiated { srtp, ..agree(answer, taken, payload_type, codec) })
}

/// What a stream's protocol says of its encryption.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Profile {
    /// RFC 3551, RFC 4585. With keys it is encrypted where both sides want it (RFC 8643).
    Clear,
    /// RFC 3711, RFC 5124.
    Encrypted,
}

fn profile(media: &Media<'_>) -> Option<Profile> {
    let is = |protocol: &str| media.protocol.eq_ignore_ascii_case(protocol);
    if is("RTP/AVP") || is("RTP/AVPF") {
        Some(Profile::Clear)
    } else if is("RTP/SAVP") || is("RTP/SAVPF") {
        Some(Profile::Encrypted)
    } else {
        None
    }
}

/// The streams of an offer that may be taken.
fn usable_streams<'m, 'a>(
    offer: &'m Session<'a>,
    srtp: Srtp,
) -> Result<Vec<Usable<'m, 'a>>, NegotiationError> {
    let mut streams = Vec::new();
    let mut refusal = NegotiationError::NoAudio;
    for (index, media) in offer.media.iter().enumerate().filter(|(_, media)| is_live_audio(offer, media)) {
        let key = crypto::choose(media);
        let crypto = match (profile(media), srtp) {
            (Some(Profile::Clear), Srtp::Off) => None,
            (Some(Profile::Clear), Srtp::Allowed) => key,
            (Some(Profile::Encrypted), Srtp::Allowed | Srtp::Required) if key.is_some() => key,
            (Some(Profile::Encrypted), Srtp::Allowed | Srtp::Required) => {
                refusal = NegotiationError::NoUsableKey;
                continue;
            }
            (Some(Profile::Clear), Srtp::Required) => {
                if refusal == NegotiationError::NoAudio {
                    refusal = NegotiationError::Clear;
                }
                continue;
            }
            (Some(Profile::Encrypted), Srtp::Off) | (None, _) => continue,
        };
        streams.push(Usable { index, media, crypto });
    }
    if streams.is_empty() { Err(refusal) } else { Ok(streams) }
}

/// The first audio stream that is not refused.
fn live_audio(session: &Session<'_>) -> Option<usize> {
    session.media.iter().position(|media| is_live_audio(session, media) && profile(media).is_some())
}

fn is_live_audio(session: &Session<'_>, media: &Media<'_>) -> bool {
    let connection = media.connection.or(session.connection);
    !matches!(connection, Some(Connection::Unusable(_)))
        && media.kind.eq_ignore_ascii_case("audio")
        && media.port != 0
}

/// The first offered payload type that we may speak: the offerer's preference decides (RFC 3264 §6.1).
fn choose(media: &Media<'_>, allowed: &[Codec]) -> Option<(u8, Codec)> {
    media
        .payload_types()
        .find_map(|pt| media.codec(pt).filter(|codec| allowed.contains(codec)).map(|c| (pt, c)))
}

fn agree(session: &Session<'_>, media: &Media<'_>, payload_type: u8, codec: Codec) -> Negotiated {
    let connection = media.connection.or(session.connection);
    let ip = match connection {
        Some(Connection::Ip(ip)) => Some(ip),
        Some(Connection::Name(_) | Connection::Unusable(_)) | None => None,
    };
    // RFC 3264 §8.4: the old way to hold is an address of all zeros.
    let old_hold = ip.is_some_and(|ip| ip.is_unspecified());
    let offered = media.direction.or(session.direction).unwrap_or_default();
    let direction = match offered.reversed() {
        Direction::SendRecv if old_hold => Direction::RecvOnly,
        Direction::SendOnly if old_hold => Direction::Inactive,
        other @ (Direction::SendRecv | Direction::SendOnly | Direction::RecvOnly | Direction::Inactive) => {
            other
        }
    };
    let wanted = media.ptime_ms.unwrap_or(20).min(media.maxptime_ms.unwrap_or(u32::MAX));
    let ptime_ms = u8::try_from(wanted.clamp(10, 60)).unwrap_or(20);
    // Media goes to one host: nobody makes us send to many.
    let remote = ip.filter(is_one_host).map(|ip| SocketAddr::new(ip, media.port));
    Negotiated {
        remote,
        rtcp: remote.and_then(|remote| rtcp_of(media, remote)),
        codec,
        payload_type,
        telephone_event: media.telephone_event(),
        // Whole multiples of 10 ms only, as frames are cut that way.
        ptime_ms: ptime_ms.saturating_sub(ptime_ms.checked_rem(10).unwrap_or(0)),
        direction,
        rtcp_mux: media.rtcp_mux,
        srtp: None,
    }
}

/// Where RTCP goes: to the RTP port, to where `a=rtcp` says (RFC 3605), else to the port after RTP's.
fn rtcp_of(media: &Media<'_>, rtp: SocketAddr) -> Option<SocketAddr> {
    match media.rtcp {
        _ if media.rtcp_mux => Some(rtp),
        Some((port, ip)) if port != 0 => {
            Some(SocketAddr::new(ip.filter(is_one_host).unwrap_or(rtp.ip()), port))
        }
        Some(_) | None => rtp.port().checked_add(1).map(|port| SocketAddr::new(rtp.ip(), port)),
    }
}

fn is_one_host(ip: &IpAddr) -> bool {
    !ip.is_unspecified() && !ip.is_multicast() && *ip != IpAddr::V4(std::net::Ipv4Addr::BROADCAST)
}

fn head(local: &LocalMedia, timing: &str) -> String {
    let family = family(local.address.ip());
    let ip = local.address.ip();
    format!(
        "v=0\r\no=- {} {} IN {family} {ip}\r\ns=-\r\nc=IN {family} {ip}\r\nt={timing}\r\n",
        local.session_id, local.version
    )
}

fn family(ip: IpAddr) -> &'static str {
    if ip.is_ipv4() { "IP4" } else { "IP6" }
}

fn audio_section(text: &mut String, port: u16, media: &Media<'_>, agreed: &Negotiated) {
    let Media { kind, protocol, .. } = media;
    let (payload_type, name) = (agreed.payload_type, agreed.codec.name());
    write!(text, "m={kind} {port} {protocol} {payload_type}").ok();
    if let Some(event) = agreed.telephone_event {
        write!(text, " {event}").ok();
    }
    write!(text, "\r\na=rtpmap:{payload_type} {name}/8000\r\n").ok();
    if let Some(event) = agreed.telephone_event {
        write!(text, "a=rtpmap:{event} telephone-event/8000\r\na=fmtp:{event} 0-15\r\n").ok();
    }
    write!(text, "a=ptime:{}\r\n", agreed.ptime_ms).ok();
    if agreed.rtcp_mux {
        text.push_str("a=rtcp-mux\r\n");
    }
    write!(text, "a={}\r\n", agreed.direction.as_str()).ok();
}

/// RFC 3264 §6: a refused stream keeps its m= line with port 0 and at least one format.
fn refuse(text: &mut String, media: &Media<'_>) {
    write!(text, "m={} 0 {}", media.kind, media.protocol).ok();
    for format in &media.formats {
        write!(text, " {format}").ok();
    }
    if media.formats.is_empty() {
        text.push_str(" 0");
    }
    text.push_str("\r\n");
}

#[cfg(test)]
mod tests {
    use rand::{SeedableRng, rngs::StdRng};

    use super::*;
    use crate::sdp::read;

    fn local() -> LocalMedia {
        LocalMedia {
            address: "198.51.100.7:30000".parse().unwrap(),
            codecs: vec![Codec::Pcmu, Codec::Pcma],
            srtp: Srtp::Off,
            session_id: 1,
            version: 1,
        }
    }

    fn rng() -> StdRng {
        StdRng::seed_from_u64(1)
    }

    fn answered(offer: &str) -> Result<(String, Negotiated), NegotiationError> {
        answer(&read(offer.as_bytes()).unwrap(), &local(), None, &mut rng())
    }

    const CARRIER: &str = "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\n\
        m=audio 4000 RTP/AVP 18 8 0 101\r\na=rtpmap:18 G729/8000\r\na=rtpmap:101 telephone-event/8000\r\n\
        a=ptime:30\r\n";

    #[test]
    fn the_offerers_first_codec_that_we_speak_is_taken() {
        let (text, agreed) = answered(CARRIER).unwrap();
        assert_eq!((agreed.codec, agreed.payload_type, agreed.telephone_event), (Codec::Pcma, 8, Some(101)));
        assert_eq!((agreed.remote, agreed.ptime_ms), (Some("192.0.2.1:4000".parse().unwrap()), 30));
        assert!(text.contains("m=audio 30000 RTP/AVP 8 101\r\n"), "{text}");
        assert!(text.ends_with("a=sendrecv\r\n"));
    }

    #[test]
    fn fax_and_video_are_refused_in_their_place() {
        let offer = format!(
            "{}m=image 5000 udptl t38\r\nc=IN IP4 192.0.2.99\r\na=inactive\r\nm=video 6000 RTP/AVP 96\r\n",
            CARRIER.replace("m=audio", "m=video 7000 RTP/AVP 97\r\nm=audio")
        );
        let (text, agreed) = answered(&offer).unwrap();
        let lines: Vec<&str> = text.lines().filter(|l| l.starts_with("m=")).collect();
        assert_eq!(
            lines,
            [
                "m=video 0 RTP/AVP 97",
                "m=audio 30000 RTP/AVP 8 101",
                "m=image 0 udptl t38",
                "m=video 0 RTP/AVP 96"
            ]
        );
        assert_eq!(agreed.remote, Some("192.0.2.1:4000".parse().unwrap()), "the fax address is not ours");
    }

    #[test]
    fn hold_is_understood_in_all_its_forms() {
        let with = |line: &str| answered(&format!("{CARRIER}{line}\r\n")).unwrap().1.direction;
        assert_eq!(with("a=sendonly"), Direction::RecvOnly);
        assert_eq!(with("a=inactive"), Direction::Inactive);
        assert_eq!(with("a=recvonly"), Direction::SendOnly);
        let (_, old) = answered(&CARRIER.replace("c=IN IP4 192.0.2.1", "c=IN IP4 0.0.0.0")).unwrap();
        assert_eq!((old.remote, old.direction), (None, Direction::RecvOnly));
    }

    #[test]
    fn a_dynamic_payload_type_and_ipv6_are_taken() {
        let (_, agreed) = answered(
            "v=0\r\no=- 99999999999999999999999 1 IN IP6 2001:db8::1\r\ns= \r\nt=0 0\r\n\
             m=audio 4000 RTP/AVP 96 97\r\nc=IN IP6 2001:db8::1\r\na=rtpmap:96 opus/48000/2\r\na=rtpmap:97 pcmu/8000/1\r\n",
        )
        .unwrap();
        assert_eq!((agreed.codec, agreed.payload_type), (Codec::Pcmu, 97));
        assert_eq!(agreed.remote, Some("[2001:db8::1]:4000".parse().unwrap()));
    }

    #[test]
    fn no_common_codec_and_no_audio_are_told_apart() {
        let g729 = CARRIER.replace("18 8 0 101", "18");
        assert_eq!(answered(&g729), Err(NegotiationError::NoCommonCodec));
        let secure = CARRIER.replace("RTP/AVP", "RTP/SAVP");
        assert_eq!(answered(&secure), Err(NegotiationError::NoAudio));
    }

    #[test]
    fn our_own_offer_reads_back_and_its_answer_is_accepted() {
        let text = offer(&local(), &mut rng());
        let back = read(text.as_bytes()).unwrap();
        let far = LocalMedia { address: "192.0.2.5:6000".parse().unwrap(), ..local() };
        let (reply, theirs) = answer(&back, &far, None, &mut rng()).unwrap();
        let ours = accept_answer(&read(reply.as_bytes()).unwrap(), &back, &local()).unwrap();
        assert_eq!((ours.codec, theirs.codec, ours.telephone_event), (Codec::Pcmu, Codec::Pcmu, Some(101)));
        assert_eq!(ours.remote, Some("192.0.2.5:6000".parse().unwrap()));
    }
}
