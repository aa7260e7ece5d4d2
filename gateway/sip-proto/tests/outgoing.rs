//! Calls of our own: one endpoint in virtual time, the other side's answers written by hand.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "helpers of tests may fail loudly"
)]

use std::time::{Duration, Instant};

use rand::{SeedableRng, rngs::StdRng};
use sip_proto::{
    digest::{Accepted, Algorithm, Authenticator, Login, Refusal},
    endpoint::{
        CallError, CallKey, Command, Endpoint, Event, HangUpCause, Listener, Outputs, Party, Path,
        SavedDialog, Settings, Target, Transport,
    },
    sdp::{Codec, Srtp},
};

const ANSWER: &str = "v=0\r\no=- 1 1 IN IP4 192.0.2.7\r\ns=-\r\nc=IN IP4 192.0.2.7\r\nt=0 0\r\n\
    m=audio 4000 RTP/AVP 8 101\r\na=rtpmap:101 telephone-event/8000\r\n";

struct Bench {
    endpoint: Endpoint,
    now: Instant,
    path: Path,
    events: Vec<(CallKey, Event)>,
}

impl Bench {
    fn new() -> Self {
        let now = Instant::now();
        let listen = |transport, port| Listener {
            transport,
            advertised: format!("198.51.100.9:{port}").parse().unwrap(),
        };
        let listeners =
            vec![listen(Transport::Udp, 5060), listen(Transport::Tcp, 5062), listen(Transport::Tls, 5063)];
        let settings = Settings { listeners, ..Settings::default() };
        let peer = "192.0.2.7:5070".parse().unwrap();
        Self {
            endpoint: Endpoint::new(settings, StdRng::seed_from_u64(3), now),
            now,
            path: Path { transport: Transport::Udp, peer, listener: 0, connection: None },
            events: Vec::new(),
        }
    }

    fn target(&self) -> Target {
        Target {
            path: self.path,
            uri: "sip:agent@192.0.2.7:5070".into(),
            from: Party {
                user: "+14155550101".into(),
                host: String::new(),
                display: "A \"B\"\r\nX: y".into(),
            },
            media: "198.51.100.9:30000".parse().unwrap(),
            codecs: vec![Codec::Pcmu, Codec::Pcma],
            srtp: Srtp::Allowed,
            login: None,
            headers: vec![("Subject", "queue\r\nEvil: yes".into())],
            max_forwards: 69,
        }
    }

    fn collect(&mut self, mut out: Outputs) -> Vec<(Path, String)> {
        self.events.append(&mut out.events);
        out.messages().map(|(path, bytes)| (path, String::from_utf8(bytes.to_vec()).unwrap())).collect()
    }

    fn call(&mut self, target: Target) -> (CallKey, String) {
        let mut out = Outputs::default();
        let call = self.endpoint.call(self.now, target, &mut out).unwrap();
        (call, self.collect(out).remove(0).1)
    }

    fn receive(&mut self, text: &str) -> Vec<(Path, String)> {
        let mut out = Outputs::default();
        self.endpoint.receive(self.now, self.path, text.as_bytes(), &mut out);
        self.collect(out)
    }

    fn hang_up(&mut self, call: CallKey) -> Vec<(Path, String)> {
        let mut out = Outputs::default();
        self.endpoint.command(self.now, call, Command::HangUp { cause: 200 }, &mut out);
        self.collect(out)
    }

    fn pass(&mut self, by: Duration) -> Vec<(Path, String)> {
        let end = self.now + by;
        let mut sent = Vec::new();
        while let Some(at) = self.endpoint.deadline().filter(|at| *at <= end) {
            self.now = self.now.max(at);
            let mut out = Outputs::default();
            self.endpoint.handle_timeout(self.now, &mut out);
            sent.extend(self.collect(out));
        }
        self.now = end;
        sent
    }

    fn established(&mut self, extra: &str) -> (CallKey, String) {
        let (call, invite) = self.call(self.target());
        let ok = response(&invite, "200 OK", "b1", extra, ANSWER);
        assert!(self.receive(&ok).remove(0).1.starts_with("ACK "));
        assert!(matches!(self.events.pop(), Some((_, Event::Answered))));
        (call, invite)
    }

    fn failed(&mut self) -> (u16, Vec<String>) {
        match self.events.pop() {
            Some((_, Event::Failed(failure))) => (failure.status, failure.contacts),
            other => panic!("wanted a failure, got {other:?}"),
        }
    }

    fn is_empty(&self) -> bool {
        let sizes = self.endpoint.sizes();
        sizes.calls == 0 && sizes.client_transactions == 0
    }
}

fn line<'a>(message: &'a str, name: &str) -> &'a str {
    let prefix = format!("{name}: ");
    message
        .lines()
        .find_map(|line| line.strip_prefix(&prefix))
        .unwrap_or_else(|| panic!("{name} in {message}"))
}

fn response(request: &str, status: &str, tag: &str, extra: &str, body: &str) -> String {
    let tag = if tag.is_empty() { String::new() } else { format!(";tag={tag}") };
    let kind = if body.is_empty() { "" } else { "Content-Type: application/sdp\r\n" };
    format!(
        "SIP/2.0 {status}\r\nVia: {}\r\nFrom: {}\r\nTo: {}{tag}\r\nCall-ID: {}\r\nCSeq: {}\r\n{extra}{kind}\
         Content-Length: {}\r\n\r\n{body}",
        line(request, "Via"),
        line(request, "From"),
        line(request, "To"),
        line(request, "Call-ID"),
        line(request, "CSeq"),
        body.len()
    )
}

const CONTACT: &str = "Contact: <sip:agent@192.0.2.7:5070>\r\n";

#[test]
fn an_invite_carries_our_offer_and_nothing_that_was_smuggled_in() {
    let mut bench = Bench::new();
    let (_, invite) = bench.call(bench.target());
    assert!(invite.starts_with("INVITE sip:agent@192.0.2.7:5070 SIP/2.0\r\n"), "{invite}");
    assert_eq!(line(&invite, "Max-Forwards"), "69");
    assert!(line(&invite, "From").starts_with("\"A \\\"B\\\"  X: y\" <sip:+14155550101@198.51.100.9>;tag="));
    assert_eq!(line(&invite, "Subject"), "queue  Evil: yes");
    assert!(invite.contains("m=audio 30000 RTP/AVP 0 8 101\r\n"));
    assert!(!invite.contains("\nX:") && !invite.contains("\nEvil:"), "{invite}");
}

#[test]
fn targets_that_are_none_are_refused_before_anything_is_sent() {
    let mut bench = Bench::new();
    let mut out = Outputs::default();
    for (uri, hops) in [("agent", 70), ("http://a/", 70), ("sip:a@b?Replaces=x", 70), ("sip:a@b", 0)] {
        let target = Target { uri: uri.into(), max_forwards: hops, ..bench.target() };
        let error = bench.endpoint.call(bench.now, target, &mut out).unwrap_err();
        assert_eq!(error == CallError::TooManyHops, hops == 0, "{uri}: {error}");
    }
    assert_eq!(out.messages().len(), 0);
    assert!(bench.is_empty());
}

#[test]
fn nobody_there_is_408_after_32_seconds_and_unreachable_503_at_once() {
    let mut bench = Bench::new();
    bench.call(bench.target());
    assert_eq!(bench.pass(Duration::from_secs(31)).len(), 5, "at 0.5, 1.5, 3.5, 7.5 and 15.5 s");
    bench.pass(Duration::from_secs(2));
    assert_eq!(bench.failed().0, 408);
    bench.call(bench.target());
    let mut out = Outputs::default();
    bench.endpoint.unreachable(bench.path, &mut out);
    bench.collect(out);
    assert_eq!(bench.failed().0, 503);
    assert!(bench.is_empty());
}

#[test]
fn a_repeated_200_gets_the_same_ack_again() {
    let mut bench = Bench::new();
    let (_, invite) = bench.call(bench.target());
    let ok = response(&invite, "200 OK", "b1", CONTACT, ANSWER);
    let first = bench.receive(&ok).remove(0).1;
    assert_eq!(bench.receive(&ok).remove(0).1, first);
    assert_eq!(bench.events.iter().filter(|(_, event)| matches!(event, Event::Answered)).count(), 1);
}

#[test]
fn the_second_place_that_answers_is_acknowledged_and_ended() {
    let mut bench = Bench::new();
    let (call, invite) = bench.established(CONTACT);
    let other = "Contact: <sip:other@192.0.2.8>\r\n";
    let sent = bench.receive(&response(&invite, "200 OK", "b2", other, ANSWER));
    assert!(
        sent[0].1.starts_with("ACK sip:other@192.0.2.8 ")
            && sent[1].1.starts_with("BYE sip:other@192.0.2.8 ")
    );
    assert!(line(&sent[1].1, "To").ends_with(";tag=b2"));
    assert!(
        bench.hang_up(call).remove(0).1.starts_with("BYE sip:agent@192.0.2.7:5070 "),
        "the first goes on"
    );
}

#[test]
fn taking_back_waits_for_something_to_come_back_and_ends_with_487() {
    let mut bench = Bench::new();
    let (call, invite) = bench.call(bench.target());
    assert!(bench.hang_up(call).is_empty(), "no CANCEL before a provisional response");
    let cancel = bench.receive(&response(&invite, "100 Trying", "", "", "")).remove(0).1;
    assert!(cancel.starts_with("CANCEL sip:agent@192.0.2.7:5070 "));
    assert_eq!(line(&cancel, "Via"), line(&invite, "Via"));
    bench.receive(&response(&cancel, "200 OK", "b1", "", ""));
    let ack = bench.receive(&response(&invite, "487 Request Terminated", "b1", "", "")).remove(0).1;
    assert!(ack.starts_with("ACK "));
    assert!(bench.events.is_empty(), "whoever hung up is told nothing");
    bench.pass(Duration::from_secs(40));
    assert!(bench.is_empty());
}

#[test]
fn an_answer_that_crosses_the_cancel_is_ended_with_bye() {
    let mut bench = Bench::new();
    let (call, invite) = bench.call(bench.target());
    bench.receive(&response(&invite, "180 Ringing", "b1", CONTACT, ""));
    assert!(bench.hang_up(call).remove(0).1.starts_with("CANCEL "));
    let sent = bench.receive(&response(&invite, "200 OK", "b1", CONTACT, ANSWER));
    assert!(sent[0].1.starts_with("ACK ") && sent[1].1.starts_with("BYE "));
    bench.receive(&response(&sent[1].1, "200 OK", "", "", ""));
    bench.pass(Duration::from_secs(40));
    assert!(bench.is_empty());
}

#[test]
fn a_cancel_that_is_never_answered_is_given_up() {
    let mut bench = Bench::new();
    let (call, invite) = bench.call(bench.target());
    bench.receive(&response(&invite, "180 Ringing", "b1", CONTACT, ""));
    bench.hang_up(call);
    bench.pass(Duration::from_secs(33));
    assert!(bench.is_empty());
}

#[test]
fn reliable_progress_is_acknowledged_in_order_and_its_media_counts() {
    let mut bench = Bench::new();
    let (_, invite) = bench.call(bench.target());
    let reliable = |rseq: u32| format!("{CONTACT}Require: 100rel\r\nRSeq: {rseq}\r\n");
    let prack = bench.receive(&response(&invite, "183 Progress", "b1", &reliable(9), ANSWER)).remove(0).1;
    assert!(prack.starts_with("PRACK "));
    let cseq = line(&invite, "CSeq").split(' ').next().unwrap();
    assert_eq!(line(&prack, "RAck"), format!("9 {cseq} INVITE"));
    assert!(matches!(bench.events[..], [(_, Event::Media(_)), (_, Event::Progress(183))]));
    assert!(bench.receive(&response(&invite, "180 Ringing", "b1", &reliable(11), "")).is_empty(), "a gap");
    assert_eq!(bench.receive(&response(&invite, "180 Ringing", "b1", &reliable(10), "")).len(), 1);
    // The 200 need not repeat the answer (RFC 3262 §5).
    bench.receive(&response(&invite, "200 OK", "b1", CONTACT, ""));
    assert!(matches!(bench.events.last(), Some((_, Event::Answered))));
}

#[test]
fn an_answer_without_usable_media_is_ended_with_488() {
    let mut bench = Bench::new();
    let (_, invite) = bench.call(bench.target());
    let sent = bench.receive(&response(&invite, "200 OK", "b1", CONTACT, ""));
    assert!(sent[0].1.starts_with("ACK ") && sent[1].1.starts_with("BYE "));
    assert_eq!(bench.failed().0, 488);
}

fn judged(request: &str, server: &Authenticator, name: &str) -> Result<Accepted, Refusal> {
    let mut words = request.split(' ');
    let (method, uri) = (words.next().unwrap().as_bytes(), words.next().unwrap().as_bytes());
    let secret = |user: &str| (user == "edge").then(|| "s3cret".to_owned());
    server.verify(line(request, name).as_bytes(), (method, uri), secret, 1_000)
}

#[test]
fn challenges_are_answered_by_proxies_and_servers_and_a_wrong_secret_is_tried_once() {
    for (code, status, asks, proves, algorithm) in [
        (401, "401 Unauthorized", "WWW-Authenticate", "Authorization", Algorithm::Sha256),
        (
            407,
            "407 Proxy Authentication Required",
            "Proxy-Authenticate",
            "Proxy-Authorization",
            Algorithm::Md5,
        ),
    ] {
        let server = Authenticator::new("carrier", [1; 32], 300, &[algorithm]);
        let challenge = format!("{asks}: {}\r\n", server.challenges(1_000, 5, false)[0]);
        let mut bench = Bench::new();
        let login = Some(Login::new("edge", "s3cret"));
        let (call, invite) = bench.call(Target { login, ..bench.target() });
        let sent = bench.receive(&response(&invite, status, "b0", &challenge, ""));
        assert!(sent[0].1.starts_with("ACK "));
        let again = &sent[1].1;
        assert_eq!(judged(again, &server, proves).unwrap().nonce_count, 1);
        assert_eq!(line(again, "Call-ID"), line(&invite, "Call-ID"));
        assert_ne!(line(again, "CSeq"), line(&invite, "CSeq"));
        bench.receive(&response(again, "200 OK", "b1", CONTACT, ANSWER));
        let bye = bench.hang_up(call).remove(0).1;
        assert_eq!(judged(&bye, &server, proves).unwrap().nonce_count, 2);

        let mut bench = Bench::new();
        let login = Some(Login::new("edge", "wrong"));
        let (_, invite) = bench.call(Target { login, ..bench.target() });
        let again = bench.receive(&response(&invite, status, "b0", &challenge, "")).remove(1).1;
        assert_eq!(judged(&again, &server, proves), Err(Refusal::Wrong));
        bench.receive(&response(&again, status, "b0", &challenge, ""));
        assert_eq!(bench.failed().0, code);
    }
}

#[test]
fn a_longer_session_interval_is_taken_from_a_422() {
    let mut bench = Bench::new();
    let (_, invite) = bench.call(bench.target());
    let sent =
        bench.receive(&response(&invite, "422 Session Interval Too Small", "b0", "Min-SE: 3600\r\n", ""));
    assert_eq!((line(&sent[1].1, "Session-Expires"), line(&sent[1].1, "Min-SE")), ("3600", "3600"));
}

#[test]
fn a_422_to_a_refresh_raises_the_interval_at_once() {
    let mut bench = Bench::new();
    bench.established(&format!("{CONTACT}Allow: UPDATE\r\nSession-Expires: 100;refresher=uac\r\n"));
    let update = bench.pass(Duration::from_secs(51)).remove(0).1;
    assert!(update.starts_with("UPDATE "));
    let refused = response(&update, "422 Session Interval Too Small", "", "Min-SE: 500\r\n", "");
    let again = bench.receive(&refused).remove(0).1;
    assert_eq!((line(&again, "Session-Expires"), line(&again, "Min-SE")), ("500;refresher=uac", "500"));
}

#[test]
fn glare_waits_two_to_four_seconds_on_the_callers_side() {
    let mut bench = Bench::new();
    bench.established(&format!("{CONTACT}Session-Expires: 100;refresher=uac\r\n"));
    let refresh = bench.pass(Duration::from_secs(51)).remove(0).1;
    assert!(refresh.starts_with("INVITE "));
    assert!(
        bench.receive(&response(&refresh, "491 Request Pending", "", "", "")).remove(0).1.starts_with("ACK ")
    );
    assert!(bench.pass(Duration::from_millis(2_090)).is_empty());
    let again = bench.pass(Duration::from_millis(1_930)).remove(0).1;
    assert!(again.starts_with("INVITE ") && line(&again, "CSeq") != line(&refresh, "CSeq"));
}

#[test]
fn redirections_are_told_by_falling_preference() {
    let mut bench = Bench::new();
    let (_, invite) = bench.call(bench.target());
    let contacts = "Contact: <sip:b@192.0.2.8>;q=0.2, <sip:a@192.0.2.9>;q=0.9\r\n";
    bench.receive(&response(&invite, "302 Moved Temporarily", "b0", contacts, ""));
    assert_eq!(bench.failed(), (302, vec!["sip:a@192.0.2.9".into(), "sip:b@192.0.2.8".into()]));
}

#[test]
fn a_strict_router_is_named_by_the_request_uri() {
    let mut bench = Bench::new();
    let routes = "Record-Route: <sip:192.0.2.20;lr>, <sip:192.0.2.10>\r\n";
    let (call, _) = bench.established(&format!("{CONTACT}{routes}"));
    let (path, bye) = bench.hang_up(call).remove(0);
    assert_eq!(path.peer, "192.0.2.10:5060".parse().unwrap());
    assert!(bye.starts_with("BYE sip:192.0.2.10 "), "{bye}");
    let route: Vec<&str> = bye.lines().filter(|line| line.starts_with("Route: ")).collect();
    assert_eq!(route, ["Route: <sip:192.0.2.20;lr>", "Route: <sip:agent@192.0.2.7:5070>"]);
}

#[test]
fn the_transport_that_a_contact_names_is_used() {
    let mut bench = Bench::new();
    let (call, _) = bench.established("Contact: <sip:agent@192.0.2.7:5080;transport=tcp>\r\n");
    let (path, bye) = bench.hang_up(call).remove(0);
    assert_eq!((path.transport, path.listener), (Transport::Tcp, 1));
    assert_eq!(path.peer, "192.0.2.7:5080".parse().unwrap());
    assert!(line(&bye, "Via").starts_with("SIP/2.0/TCP 198.51.100.9:5062;"));
}

/// A bench whose calls go over TLS.
fn over_tls() -> Bench {
    let mut bench = Bench::new();
    bench.path = Path { transport: Transport::Tls, listener: 2, connection: Some(7), ..bench.path };
    bench
}

#[test]
fn a_call_to_a_sips_uri_says_so_in_contact_and_one_over_tls_alone_does_not() {
    let mut bench = over_tls();
    let (_, invite) = bench.call(bench.target());
    assert_eq!(line(&invite, "Contact"), "<sip:198.51.100.9:5063;transport=tls>");
    assert!(line(&invite, "Via").starts_with("SIP/2.0/TLS 198.51.100.9:5063;"));
    let (_, invite) = bench.call(Target { uri: "sips:agent@pbx.example".into(), ..bench.target() });
    assert!(invite.starts_with("INVITE sips:agent@pbx.example "), "{invite}");
    assert_eq!(line(&invite, "Contact"), "<sips:198.51.100.9:5063>");
}

#[test]
fn what_began_over_tls_stays_there_whatever_the_contact_names() {
    for (contact, peer) in [
        ("sip:agent@192.0.2.7:5080;transport=udp", "192.0.2.7:5080"),
        ("sip:agent@192.0.2.7", "192.0.2.7:5061"),
        ("sips:agent@192.0.2.7", "192.0.2.7:5061"),
        ("sip:agent@pbx.example", "192.0.2.7:5070"),
    ] {
        let mut bench = over_tls();
        let (call, _) = bench.established(&format!("Contact: <{contact}>\r\n"));
        let (path, _) = bench.hang_up(call).remove(0);
        assert_eq!((path.transport, path.connection), (Transport::Tls, Some(7)), "{contact}");
        assert_eq!(path.peer, peer.parse().unwrap(), "{contact}");
    }
}

#[test]
fn a_saved_dialog_knows_the_domain_that_a_new_connection_has_to_prove() {
    for (uri, domain) in [("sips:agent@PBX.example", Some("pbx.example")), ("sips:agent@192.0.2.7", None)] {
        let mut bench = over_tls();
        let (call, invite) = bench.call(Target { uri: uri.into(), ..bench.target() });
        bench.receive(&response(&invite, "200 OK", "b1", "Contact: <sips:a@192.0.2.7>\r\n", ANSWER));
        let text = bench.endpoint.saved(call).unwrap().to_text();
        let saved = SavedDialog::from_text(&text).unwrap();
        assert_eq!(saved.peer_domain().as_deref(), domain);
        assert_eq!(saved.path().transport, Transport::Tls);
    }
}

#[test]
fn a_sips_contact_leads_to_tls_from_any_transport() {
    let mut bench = Bench::new();
    let (call, _) = bench.established("Contact: <sips:agent@192.0.2.7>\r\n");
    let (path, bye) = bench.hang_up(call).remove(0);
    assert_eq!((path.transport, path.listener, path.connection), (Transport::Tls, 2, None));
    assert_eq!(path.peer, "192.0.2.7:5061".parse().unwrap());
    assert!(line(&bye, "Via").starts_with("SIP/2.0/TLS 198.51.100.9:5063;"));
}

#[test]
fn a_connection_that_is_lost_fails_the_calls_that_wait_for_a_first_answer_by_it() {
    let mut bench = over_tls();
    let (_, waiting) = bench.call(bench.target());
    let (_, ringing) = bench.call(bench.target());
    bench.receive(&response(&ringing, "180 Ringing", "b1", CONTACT, ""));
    bench.events.clear();
    let mut out = Outputs::default();
    let elsewhere = Path { connection: Some(8), ..bench.path };
    bench.endpoint.unreachable(elsewhere, &mut out);
    // The far end of the same connection may have been known by another address.
    let peer = "192.0.2.99:5061".parse().unwrap();
    bench.endpoint.unreachable(Path { peer, ..bench.path }, &mut out);
    bench.collect(out);
    assert_eq!(bench.failed().0, 503);
    assert!(bench.events.is_empty(), "the one that rings goes on");
    assert_eq!(bench.endpoint.sizes().calls, 1, "{waiting}");
}

#[test]
fn the_other_side_may_hang_up() {
    let mut bench = Bench::new();
    let (_, invite) = bench.established(CONTACT);
    let bye = format!(
        "BYE sip:198.51.100.9 SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.7:5070;branch=z9hG4bKx\r\nFrom: {};tag=b1\r\n\
         To: {}\r\nCall-ID: {}\r\nCSeq: 1 BYE\r\nContent-Length: 0\r\n\r\n",
        line(&invite, "To"),
        line(&invite, "From"),
        line(&invite, "Call-ID")
    );
    assert!(bench.receive(&bye).remove(0).1.starts_with("SIP/2.0 200 "));
    assert!(matches!(bench.events.pop(), Some((_, Event::HungUp(HangUpCause::Bye)))));
}
