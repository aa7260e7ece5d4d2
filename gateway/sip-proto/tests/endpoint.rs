//! The endpoint in virtual time: one scripted caller, one endpoint, every message seen.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests may fail loudly"
)]

use std::time::{Duration, Instant};

use rand::{SeedableRng, rngs::StdRng};
use sip_proto::{
    digest::{Authenticator, Refusal},
    endpoint::{
        CallKey, Command, Endpoint, Event, HangUpCause, Listener, Outputs, Path, Settings, Transport,
    },
    header::HeaderName,
    message::{Message, StartLine},
    sdp::{Codec, Srtp},
};

#[path = "endpoint/crossings.rs"]
mod crossings;

struct Bench {
    endpoint: Endpoint,
    now: Instant,
    path: Path,
    out: Outputs,
    sent: Vec<String>,
    events: Vec<(CallKey, Event)>,
}

const OFFER: &str = "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\n\
    m=audio 4000 RTP/AVP 0 101\r\na=rtpmap:101 telephone-event/8000\r\n";

impl Bench {
    fn new(transport: Transport) -> Self {
        let now = Instant::now();
        let settings = Settings {
            listeners: vec![Listener {
                transport: Transport::Udp,
                advertised: "198.51.100.9:5060".parse().unwrap(),
            }],
            ..Settings::default()
        };
        let connection = transport.is_reliable().then_some(1);
        Self {
            endpoint: Endpoint::new(settings, StdRng::seed_from_u64(1), now),
            now,
            path: Path { transport, peer: "192.0.2.1:5060".parse().unwrap(), listener: 0, connection },
            out: Outputs::default(),
            sent: Vec::new(),
            events: Vec::new(),
        }
    }

    fn collect(&mut self) -> Vec<String> {
        let sent: Vec<String> =
            self.out.messages().map(|(_, bytes)| String::from_utf8_lossy(bytes).into_owned()).collect();
        self.events.append(&mut self.out.events);
        self.out.clear();
        self.sent.extend(sent.iter().cloned());
        sent
    }

    fn receive(&mut self, text: &str) -> Vec<String> {
        self.endpoint.receive(self.now, self.path, text.as_bytes(), &mut self.out);
        self.collect()
    }

    fn command(&mut self, call: CallKey, command: Command) -> Vec<String> {
        self.endpoint.command(self.now, call, command, &mut self.out);
        self.collect()
    }

    /// Lets time pass, waking the endpoint exactly when it asks for it.
    fn pass(&mut self, by: Duration) -> Vec<String> {
        let end = self.now + by;
        let mut sent = Vec::new();
        while let Some(deadline) = self.endpoint.deadline().filter(|at| *at <= end) {
            self.now = self.now.max(deadline);
            self.endpoint.handle_timeout(self.now, &mut self.out);
            sent.extend(self.collect());
        }
        self.now = end;
        sent
    }

    fn call(&mut self) -> CallKey {
        self.invite(&[], OFFER);
        self.incoming()
    }

    fn incoming(&mut self) -> CallKey {
        match self.events.pop() {
            Some((call, Event::Incoming(_))) => call,
            other => panic!("wanted a call, got {other:?}"),
        }
    }

    fn invite(&mut self, extra: &[&str], body: &str) -> Vec<String> {
        let text = request("INVITE", "z9hG4bKinvite", 1, None, extra, body);
        self.receive(&text)
    }

    fn answer(&mut self, call: CallKey) -> String {
        let answer = Command::Answer {
            media: "198.51.100.9:30000".parse().unwrap(),
            codecs: vec![Codec::Pcmu, Codec::Pcma],
            srtp: Srtp::Allowed,
        };
        self.command(call, answer).pop().unwrap()
    }

    /// An answered and acknowledged call, and our tag in it.
    fn established(&mut self, extra: &[&str]) -> (CallKey, String) {
        self.invite(extra, OFFER);
        let call = self.incoming();
        let ok = self.answer(call);
        let tag = to_tag(&ok);
        self.receive(&request("ACK", "z9hG4bKack", 1, Some(&tag), &[], ""));
        assert!(matches!(self.events.pop(), Some((_, Event::Acknowledged))));
        assert!(matches!(self.events.pop(), Some((_, Event::Media(_)))));
        (call, tag)
    }

    fn hung_up(&mut self) -> Option<HangUpCause> {
        self.events.drain(..).find_map(|(_, event)| match event {
            Event::HungUp(cause) => Some(cause),
            _ => None,
        })
    }
}

fn request(method: &str, branch: &str, cseq: u32, tag: Option<&str>, extra: &[&str], body: &str) -> String {
    let transport = "UDP";
    let tag = tag.map(|tag| format!(";tag={tag}")).unwrap_or_default();
    let cseq_method = method;
    let mut text = format!(
        "{method} sip:+14155550100@198.51.100.9 SIP/2.0\r\nVia: SIP/2.0/{transport} 192.0.2.1:5060;branch={branch};rport\r\n\
         From: <sip:+12125550199@192.0.2.1>;tag=caller\r\nTo: <sip:+14155550100@198.51.100.9>{tag}\r\n\
         Call-ID: one\r\nCSeq: {cseq} {cseq_method}\r\nContact: <sip:c@192.0.2.1>\r\nMax-Forwards: 70\r\n"
    );
    for line in extra {
        text.push_str(line);
        text.push_str("\r\n");
    }
    if !body.is_empty() && !extra.iter().any(|line| line.starts_with("Content-Type")) {
        text.push_str("Content-Type: application/sdp\r\n");
    }
    text.push_str(&format!("Content-Length: {}\r\n\r\n{body}", body.len()));
    text
}

fn status(text: &str) -> u16 {
    match Message::parse(text.as_bytes()).unwrap().start {
        StartLine::Response { status, .. } => status,
        StartLine::Request { .. } => 0,
    }
}

fn header(text: &str, name: HeaderName) -> Option<String> {
    let message = Message::parse(text.as_bytes()).unwrap();
    message.header(name).map(|value| String::from_utf8_lossy(value).into_owned())
}

fn to_tag(text: &str) -> String {
    let message = Message::parse(text.as_bytes()).unwrap();
    String::from_utf8(message.to().unwrap().tag().unwrap().to_vec()).unwrap()
}

#[test]
fn a_call_is_answered_acknowledged_and_ended_by_the_caller() {
    let mut bench = Bench::new(Transport::Udp);
    let (_, tag) = bench.established(&[]);
    let replies = bench.receive(&request("BYE", "z9hG4bKbye", 2, Some(&tag), &[], ""));
    assert_eq!(status(&replies[0]), 200);
    assert_eq!(bench.hung_up(), Some(HangUpCause::Bye));
    assert_eq!(bench.endpoint.sizes().calls, 0);
    assert!(bench.pass(Duration::from_secs(60)).is_empty());
    assert_eq!(bench.endpoint.sizes().server_transactions, 0, "finished transactions are forgotten");
}

#[test]
fn the_answer_is_repeated_until_the_ack_comes() {
    let mut bench = Bench::new(Transport::Udp);
    let call = bench.call();
    let ok = bench.answer(call);
    let again = bench.pass(Duration::from_millis(3700));
    assert_eq!(again, vec![ok.clone(), ok.clone(), ok.clone()], "at 0.5, 1.5 and 3.5 s");
    let tag = to_tag(&ok);
    bench.receive(&request("ACK", "z9hG4bKack", 1, Some(&tag), &[], ""));
    assert!(bench.pass(Duration::from_secs(40)).is_empty());
}

#[test]
fn without_any_ack_the_call_ends_with_bye_after_32_seconds() {
    let mut bench = Bench::new(Transport::Udp);
    let call = bench.call();
    bench.answer(call);
    let sent = bench.pass(Duration::from_secs(33));
    let bye = sent.iter().find(|text| text.starts_with("BYE ")).expect("BYE");
    assert!(sent.iter().filter(|text| text.starts_with("SIP/2.0 200")).count() >= 9);
    assert_eq!(bench.hung_up(), Some(HangUpCause::NoAck));
    assert_eq!(header(bye, HeaderName::Reason).unwrap(), "SIP;cause=408;text=\"Request Timeout\"");
}

#[test]
fn a_repeated_invite_makes_no_second_call() {
    let mut bench = Bench::new(Transport::Udp);
    let call = bench.call();
    assert!(bench.invite(&[], OFFER).is_empty());
    let ringing = bench.command(call, Command::Progress { status: 180 }).pop().unwrap();
    assert_eq!(bench.invite(&[], OFFER), vec![ringing]);
    bench.answer(call);
    assert!(bench.invite(&[], OFFER).is_empty(), "absorbed in Accepted");
    assert_eq!(bench.endpoint.sizes().calls, 1);
}

#[test]
fn cancel_before_the_answer_ends_the_invite_with_487() {
    let mut bench = Bench::new(Transport::Udp);
    bench.call();
    let replies = bench.receive(&request("CANCEL", "z9hG4bKinvite", 1, None, &[], ""));
    assert_eq!(replies.iter().map(|text| status(text)).collect::<Vec<_>>(), [200, 487]);
    assert_eq!(bench.hung_up(), Some(HangUpCause::Cancelled));
    assert_eq!(bench.pass(Duration::from_millis(600)).len(), 1, "487 is repeated until its ACK");
    bench.receive(&request("ACK", "z9hG4bKinvite", 1, None, &[], ""));
    assert!(bench.pass(Duration::from_secs(60)).is_empty());
    assert_eq!(bench.endpoint.sizes().server_transactions, 0);
}

#[test]
fn cancel_after_the_answer_changes_nothing() {
    let mut bench = Bench::new(Transport::Udp);
    let call = bench.call();
    bench.answer(call);
    let replies = bench.receive(&request("CANCEL", "z9hG4bKinvite", 1, None, &[], ""));
    assert_eq!(replies.iter().map(|text| status(text)).collect::<Vec<_>>(), [200]);
    assert_eq!(bench.hung_up(), None);
}

#[test]
fn hanging_up_before_the_ack_waits_for_it() {
    let mut bench = Bench::new(Transport::Udp);
    let call = bench.call();
    let ok = bench.answer(call);
    assert!(bench.command(call, Command::HangUp { cause: 200 }).is_empty());
    let tag = to_tag(&ok);
    let sent = bench.receive(&request("ACK", "z9hG4bKack", 1, Some(&tag), &[], ""));
    assert!(sent[0].starts_with("BYE sip:c@192.0.2.1 SIP/2.0"), "{}", sent[0]);
}

#[test]
fn a_bye_of_ours_is_repeated_until_it_is_answered() {
    let mut bench = Bench::new(Transport::Udp);
    let (call, _) = bench.established(&[]);
    let bye = bench.command(call, Command::HangUp { cause: 200 }).pop().unwrap();
    assert_eq!(bench.pass(Duration::from_millis(1600)), vec![bye.clone(), bye.clone()]);
    let reply = bye.replacen("BYE sip:c@192.0.2.1 SIP/2.0", "SIP/2.0 200 OK", 1);
    bench.receive(&reply);
    assert!(bench.pass(Duration::from_secs(40)).is_empty());
    assert_eq!(
        bench.endpoint.sizes(),
        sip_proto::endpoint::Sizes { calls: 0, server_transactions: 0, client_transactions: 0 }
    );
}

#[test]
fn hold_by_reinvite_is_answered_and_told() {
    let mut bench = Bench::new(Transport::Udp);
    let (_, tag) = bench.established(&[]);
    let hold = format!("{OFFER}a=sendonly\r\n");
    let reply = bench.receive(&request("INVITE", "z9hG4bKhold", 2, Some(&tag), &[], &hold)).pop().unwrap();
    assert_eq!(status(&reply), 200);
    assert!(reply.contains("a=recvonly") && reply.contains("m=audio 30000"), "{reply}");
    assert!(matches!(bench.events.pop(), Some((_, Event::Media(m))) if m.direction.as_str() == "recvonly"));
    assert_eq!(bench.pass(Duration::from_millis(600)).len(), 1, "repeated until its ACK");
    bench.receive(&request("ACK", "z9hG4bKack2", 2, Some(&tag), &[], ""));
    assert!(bench.pass(Duration::from_secs(40)).is_empty());
}

#[test]
fn a_late_offer_is_answered_in_the_ack() {
    let mut bench = Bench::new(Transport::Udp);
    bench.invite(&[], "");
    let call = bench.incoming();
    let ok = bench.answer(call);
    assert!(ok.contains("m=audio 30000 RTP/AVP 0 8 101"), "{ok}");
    let tag = to_tag(&ok);
    bench.receive(&request("ACK", "z9hG4bKack", 1, Some(&tag), &[], OFFER));
    assert!(matches!(bench.events.last(), Some((_, Event::Media(m))) if m.remote.unwrap().port() == 4000));
}

#[test]
fn no_common_codec_is_488_and_told() {
    let mut bench = Bench::new(Transport::Udp);
    bench.invite(&[], &OFFER.replace("0 101", "18"));
    let call = bench.incoming();
    let reply = bench.answer(call);
    assert_eq!(status(&reply), 488);
    assert_eq!(bench.hung_up(), Some(HangUpCause::MediaRefused));
}

#[test]
fn a_required_reliable_ringing_is_repeated_until_its_prack() {
    let mut bench = Bench::new(Transport::Udp);
    bench.invite(&["Require: 100rel"], OFFER);
    let call = bench.incoming();
    let ringing = bench.command(call, Command::Progress { status: 180 }).pop().unwrap();
    let rseq = header(&ringing, HeaderName::RSeq).unwrap();
    assert_eq!(bench.pass(Duration::from_millis(600)), vec![ringing.clone()]);
    let tag = to_tag(&ringing);
    let rack = format!("RAck: {rseq} 1 INVITE");
    let reply = bench.receive(&request("PRACK", "z9hG4bKprack", 2, Some(&tag), &[&rack], ""));
    assert_eq!(status(&reply[0]), 200);
    assert!(bench.pass(Duration::from_secs(10)).is_empty());
    let wrong = bench.receive(&request("PRACK", "z9hG4bKprack2", 3, Some(&tag), &[&rack], ""));
    assert_eq!(status(&wrong[0]), 481);
}

#[test]
fn a_session_that_its_caller_never_refreshes_ends_in_time() {
    let mut bench = Bench::new(Transport::Udp);
    bench.established(&["Supported: timer", "Session-Expires: 90;refresher=uac"]);
    assert!(bench.pass(Duration::from_secs(59)).is_empty());
    let sent = bench.pass(Duration::from_secs(2));
    assert!(sent[0].starts_with("BYE "), "a third before the end");
    assert_eq!(bench.hung_up(), Some(HangUpCause::SessionExpired));
}

#[test]
fn a_session_that_we_refresh_goes_on_when_the_update_is_answered() {
    let mut bench = Bench::new(Transport::Udp);
    bench.established(&["Supported: timer", "Allow: UPDATE", "Session-Expires: 90;refresher=uas"]);
    let update = bench.pass(Duration::from_millis(45_050)).pop().unwrap();
    assert!(update.starts_with("UPDATE sip:c@192.0.2.1"), "{update}");
    let first = update.lines().next().unwrap().to_owned();
    let reply = update.replacen(&first, "SIP/2.0 200 OK", 1);
    bench.receive(&reply);
    let next = bench.pass(Duration::from_secs(46));
    assert!(next.iter().all(|text| text.starts_with("UPDATE ")) && !next.is_empty());
    assert_eq!(bench.hung_up(), None);
}

#[test]
fn a_session_interval_that_is_too_small_is_422() {
    let mut bench = Bench::new(Transport::Udp);
    let reply = bench.invite(&["Supported: timer", "Session-Expires: 30"], OFFER).pop().unwrap();
    assert_eq!((status(&reply), header(&reply, HeaderName::MinSe).unwrap().as_str()), (422, "90"));
}

#[test]
fn digits_by_info_are_heard_in_both_forms() {
    let mut bench = Bench::new(Transport::Udp);
    let (_, tag) = bench.established(&[]);
    let relay = ["Content-Type: application/dtmf-relay"];
    bench.receive(&request("INFO", "z9hG4bKi1", 2, Some(&tag), &relay, "Signal=5\r\nDuration=160\r\n"));
    bench.receive(&request("INFO", "z9hG4bKi1", 2, Some(&tag), &relay, "Signal=5\r\nDuration=160\r\n"));
    bench.receive(&request("INFO", "z9hG4bKi2", 3, Some(&tag), &["Content-Type: application/dtmf"], "#"));
    let digits: Vec<char> = bench
        .events
        .drain(..)
        .filter_map(|(_, event)| match event {
            Event::Digit(digit) => Some(digit),
            _ => None,
        })
        .collect();
    assert_eq!(digits, ['5', '#'], "a retransmission is not a second digit");
}

#[test]
fn trying_is_sent_only_when_the_answer_takes_long() {
    let mut bench = Bench::new(Transport::Udp);
    bench.call();
    assert!(bench.pass(Duration::from_millis(190)).is_empty());
    let sent = bench.pass(Duration::from_millis(50));
    assert_eq!(sent.iter().map(|text| status(text)).collect::<Vec<_>>(), [100]);
}

#[test]
fn requests_of_unknown_calls_get_481() {
    let mut bench = Bench::new(Transport::Udp);
    for method in ["BYE", "INFO", "UPDATE", "INVITE", "OPTIONS", "PRACK"] {
        let branch = format!("z9hG4bKx{method}");
        let reply = bench.receive(&request(method, &branch, 5, Some("nobody"), &[], "")).pop().unwrap();
        assert_eq!(status(&reply), 481, "{method}");
    }
}

#[test]
fn on_tcp_nothing_is_repeated_but_the_200() {
    let mut bench = Bench::new(Transport::Tcp);
    let call = bench.call();
    let reply = bench.command(call, Command::Reject { status: 404, retry_after_seconds: None });
    assert_eq!(status(&reply[0]), 404);
    assert!(bench.pass(Duration::from_secs(10)).is_empty());
    bench.receive(&request("ACK", "z9hG4bKinvite", 1, None, &[], ""));
    assert_eq!(bench.endpoint.sizes().server_transactions, 0);
}

#[test]
fn a_caller_who_asks_for_sips_gets_a_sips_contact() {
    for (uri, extra, wanted) in [
        ("sip:+14155550100@198.51.100.9", "", "<sip:198.51.100.9:5060;transport=tls>"),
        ("sips:+14155550100@198.51.100.9", "", "<sips:198.51.100.9:5060>"),
        (
            "sip:+14155550100@198.51.100.9",
            "Record-Route: <sips:192.0.2.20;lr>\r\n",
            "<sips:198.51.100.9:5060>",
        ),
    ] {
        let mut bench = Bench::new(Transport::Tls);
        let invite = request("INVITE", "z9hG4bKinvite", 1, None, &[], OFFER);
        let (_, rest) = invite.split_once("\r\n").unwrap();
        bench.receive(&format!("INVITE {uri} SIP/2.0\r\n{extra}{rest}"));
        let call = bench.incoming();
        let ok = bench.answer(call);
        assert_eq!(header(&ok, HeaderName::Contact).as_deref(), Some(wanted), "{uri} {extra}");
    }
}

#[test]
fn every_torture_message_gets_the_answer_its_rfc_wants() {
    let folder = std::path::PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/torture");
    let index: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(folder.join("index.json")).unwrap()).unwrap();
    let mut differing = Vec::new();
    for entry in index.as_array().unwrap() {
        let file = entry["file"].as_str().unwrap();
        let bytes = std::fs::read(folder.join(file)).unwrap();
        let mut bench = Bench::new(Transport::Udp);
        bench.endpoint.receive(bench.now, bench.path, &bytes, &mut bench.out);
        let mut codes: Vec<u16> = bench.collect().iter().map(|text| status(text)).collect();
        while let Some((call, event)) = bench.events.pop() {
            if matches!(event, Event::Incoming(_)) {
                let reply = bench.command(call, Command::Reject { status: 404, retry_after_seconds: None });
                codes.extend(reply.iter().map(|text| status(text)));
            }
        }
        let want = entry["uas"].as_str().unwrap();
        let allowed = |code: &u16| want.contains(&code.to_string());
        let good = match entry["kind"].as_str().unwrap() {
            "response" => codes.is_empty(),
            _ if want.starts_with("process") => {
                !codes.is_empty() && codes.iter().all(|code| ![400, 500, 505].contains(code) || allowed(code))
            }
            _ => codes.iter().any(allowed) || (entry["liberal_ok"] == true && !codes.is_empty()),
        };
        if !good {
            differing.push(format!("{file}: wanted {want}, got {codes:?}"));
        }
    }
    assert!(differing.is_empty(), "{}", differing.join("\n"));
}

#[test]
fn a_challenged_caller_comes_again_with_credentials() {
    let authenticator = Authenticator::new(
        "vestibule",
        [1; 32],
        300,
        &[sip_proto::digest::Algorithm::Sha256, sip_proto::digest::Algorithm::Md5],
    );
    let mut bench = Bench::new(Transport::Udp);
    let call = bench.call();
    let challenges = authenticator.challenges(1000, 1, false);
    let refused = bench.command(call, Command::Challenge { challenges }).pop().unwrap();
    assert_eq!(status(&refused), 401);
    let asked: Vec<&str> =
        refused.lines().filter(|line| line.starts_with("WWW-Authenticate: Digest")).collect();
    assert_eq!(asked.len(), 2, "{refused}");
    bench.receive(&request("ACK", "z9hG4bKinvite", 1, Some(&to_tag(&refused)), &[], ""));
    // The hash is wrong on purpose: what counts here is that everything needed to check it arrives.
    let nonce = asked[0].split("nonce=\"").nth(1).and_then(|rest| rest.split('"').next()).unwrap();
    let credentials = format!(
        "Authorization: Digest username=\"t\", realm=\"vestibule\", nonce=\"{nonce}\", \
         uri=\"sip:+14155550100@198.51.100.9\", response=\"00\", algorithm=SHA-256, qop=auth, nc=00000001, \
         cnonce=\"c\""
    );
    bench.receive(&request("INVITE", "z9hG4bKagain", 2, None, &[&credentials], OFFER));
    let Some((_, Event::Incoming(invite))) = bench.events.pop() else { panic!("no second call") };
    let verdict = authenticator.verify(
        invite.authorization[0].as_bytes(),
        (b"INVITE", invite.request_uri.as_bytes()),
        |_| Some("secret".to_owned()),
        1001,
    );
    assert_eq!(verdict, Err(Refusal::Wrong));
}

#[test]
fn a_stateless_refusal_says_the_same_to_a_retransmission_and_other_things_to_others() {
    let mut bench = Bench::new(Transport::Udp);
    let refused = |bench: &mut Bench, branch: &str, cseq: u32| {
        let text = request("INVITE", branch, cseq, None, &["Require: unknown"], OFFER);
        let reply = bench.receive(&text).pop().unwrap();
        assert_eq!(status(&reply), 420);
        reply
    };
    let first = refused(&mut bench, "z9hG4bKone", 1);
    assert_eq!(refused(&mut bench, "z9hG4bKone", 1), first);
    assert_ne!(to_tag(&refused(&mut bench, "z9hG4bKtwo", 2)), to_tag(&first));
}

#[test]
fn a_refused_fax_keeps_its_place_in_offers_and_refreshes_of_ours() {
    let fax = format!("{OFFER}m=image 4002 udptl t38\r\n");
    let mut bench = Bench::new(Transport::Udp);
    bench.invite(&["Supported: timer", "Session-Expires: 100;refresher=uas"], &fax);
    let call = bench.incoming();
    let ok = bench.answer(call);
    let tag = to_tag(&ok);
    bench.receive(&request("ACK", "z9hG4bKack", 1, Some(&tag), &[], ""));
    let description = ok.split("\r\n\r\n").nth(1).unwrap();
    assert!(description.contains("m=image 0 udptl t38\r\n"), "{description}");
    // Nothing says that the caller takes UPDATE: the refresh is a re-INVITE with the same words.
    let refresh = bench.pass(Duration::from_secs(51)).remove(0);
    assert!(refresh.starts_with("INVITE "), "{refresh}");
    assert_eq!(refresh.split("\r\n\r\n").nth(1), Some(description));
    let busy = bench.receive(&request("INVITE", "z9hG4bKlate", 2, Some(&tag), &[], ""));
    assert_eq!(status(&busy[0]), 491, "our own is under way");
    let answer = OFFER.replace("4000", "4444") + "m=image 0 udptl t38\r\n";
    let head: Vec<&str> = refresh
        .lines()
        .filter(|l| ["Via", "From", "To", "Call-ID", "CSeq"].iter().any(|n| l.starts_with(&format!("{n}:"))))
        .collect();
    let agreed = format!(
        "SIP/2.0 200 OK\r\n{}\r\nSession-Expires: 100;refresher=uac\r\nContent-Length: {}\r\n\r\n{answer}",
        head.join("\r\n"),
        answer.len()
    );
    bench.events.clear();
    assert!(bench.receive(&agreed)[0].starts_with("ACK "));
    let Some((_, Event::Media(media))) = bench.events.pop() else { panic!("the caller moved its media") };
    assert_eq!(media.remote, Some("192.0.2.1:4444".parse().unwrap()));
    let late = bench.receive(&request("INVITE", "z9hG4bKlater", 3, Some(&tag), &[], ""));
    let offer = late[0].split("\r\n\r\n").nth(1).unwrap();
    assert!(
        offer.contains("m=audio 30000 RTP/AVP 0 8 101\r\n") && offer.ends_with("m=image 0 udptl t38\r\n"),
        "{offer}"
    );
}
