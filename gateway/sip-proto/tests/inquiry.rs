//! Requests outside calls: one endpoint in virtual time, the other side's answers written by hand.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "helpers of tests may fail loudly"
)]

use std::time::{Duration, Instant};

use rand::{SeedableRng, rngs::StdRng};
use sip_proto::{
    digest::{Algorithm, Authenticator, Login},
    endpoint::{CallError, Endpoint, Inquiry, Listener, Outputs, Path, Reply, Settings, Transport},
    message::Method,
};

struct Bench {
    endpoint: Endpoint,
    now: Instant,
    path: Path,
    replies: Vec<Reply>,
}

impl Bench {
    fn new(transactions_max: usize) -> Self {
        let now = Instant::now();
        let advertised = "198.51.100.9:5060".parse().unwrap();
        let listeners = vec![Listener { transport: Transport::Udp, advertised }];
        let settings = Settings { listeners, transactions_max, ..Settings::default() };
        let peer = "192.0.2.7:5070".parse().unwrap();
        Self {
            endpoint: Endpoint::new(settings, StdRng::seed_from_u64(3), now),
            now,
            path: Path { transport: Transport::Udp, peer, listener: 0, connection: None },
            replies: Vec::new(),
        }
    }

    fn ping(&self) -> Inquiry {
        Inquiry {
            id: 7,
            path: self.path,
            method: Method::Options,
            uri: "sip:carrier.example.net".into(),
            from: String::new(),
            to: "sip:carrier.example.net".into(),
            contact_user: None,
            headers: vec![("Accept", "application/sdp\r\nEvil: yes".into())],
            login: None,
            series: None,
            patience: Duration::from_secs(60),
        }
    }

    fn registration(&self) -> Inquiry {
        Inquiry {
            method: Method::Register,
            from: "sip:edge@carrier.example.net".into(),
            to: "sip:edge@carrier.example.net".into(),
            contact_user: Some("edge".into()),
            headers: vec![("Expires", "600".into())],
            login: Some(Login::new("edge", "secret")),
            ..self.ping()
        }
    }

    fn collect(&mut self, mut out: Outputs) -> Vec<String> {
        self.replies.append(&mut out.replies);
        out.messages().map(|(_, bytes)| String::from_utf8(bytes.to_vec()).unwrap()).collect()
    }

    fn inquire(&mut self, inquiry: Inquiry) -> String {
        let mut out = Outputs::default();
        self.endpoint.inquire(self.now, inquiry, &mut out).unwrap();
        self.collect(out).remove(0)
    }

    fn receive(&mut self, text: &str) -> Vec<String> {
        let mut out = Outputs::default();
        self.endpoint.receive(self.now, self.path, text.as_bytes(), &mut out);
        self.collect(out)
    }

    fn pass(&mut self, by: Duration) -> Vec<String> {
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

    fn reply(&mut self) -> Reply {
        assert_eq!(self.replies.len(), 1, "exactly one reply: {:?}", self.replies);
        self.replies.remove(0)
    }
}

fn header<'a>(message: &'a str, name: &str) -> &'a str {
    let prefix = format!("{name}: ");
    message.lines().find_map(|line| line.strip_prefix(&prefix)).unwrap_or_default()
}

/// The answer to a request, with further header lines.
fn answer(request: &str, status: &str, further: &str) -> String {
    let copied: String = ["Via", "From", "Call-ID", "CSeq"]
        .map(|name| format!("{name}: {}\r\n", header(request, name)))
        .concat();
    let to = header(request, "To");
    format!("SIP/2.0 {status}\r\n{copied}To: {to};tag=x\r\n{further}Content-Length: 0\r\n\r\n")
}

#[test]
fn a_ping_is_repeated_until_its_answer_and_leaves_nothing() {
    let mut bench = Bench::new(100);
    let sent = bench.inquire(bench.ping());
    assert!(sent.starts_with("OPTIONS sip:carrier.example.net SIP/2.0\r\nVia: SIP/2.0/UDP "), "{sent}");
    assert!(header(&sent, "From").starts_with("<sip:198.51.100.9:5060>;tag="), "{sent}");
    assert_eq!(header(&sent, "Accept"), "application/sdp  Evil: yes");
    assert_eq!(header(&sent, "Max-Forwards"), "70");
    assert_eq!(bench.pass(Duration::from_secs(2)), [sent.clone(), sent.clone()], "timer E: 0.5 s and 1.5 s");
    bench.receive(&answer(&sent, "404 Not Found", ""));
    bench.receive(&answer(&sent, "404 Not Found", ""));
    let reply = bench.reply();
    assert_eq!((reply.id, reply.status), (7, 404));
    assert!(bench.pass(Duration::from_secs(40)).is_empty());
    assert_eq!(bench.endpoint.sizes().client_transactions, 0);
    assert!(bench.replies.is_empty());
}

#[test]
fn nobody_answers_and_the_reply_comes_when_patience_ends_but_never_after_timer_f() {
    for (patience, waited) in [(4_000, 4_000), (600_000, 32_000)] {
        let mut bench = Bench::new(100);
        let patience = Duration::from_millis(patience);
        bench.inquire(Inquiry { patience, ..bench.ping() });
        bench.pass(Duration::from_millis(waited - 1));
        assert!(bench.replies.is_empty());
        bench.pass(Duration::from_millis(30));
        assert_eq!(bench.reply().status, 408);
        assert_eq!(bench.endpoint.sizes().client_transactions, 0);
    }
}

#[test]
fn a_peer_that_cannot_be_reached_is_told_at_once() {
    let mut bench = Bench::new(100);
    bench.inquire(bench.ping());
    let mut out = Outputs::default();
    bench.endpoint.unreachable(bench.path, &mut out);
    bench.collect(out);
    assert_eq!(bench.reply().status, 503);
    assert_eq!(bench.endpoint.sizes().client_transactions, 0);
}

#[test]
fn without_room_or_with_another_kind_of_method_nothing_is_sent() {
    let mut bench = Bench::new(1);
    let mut out = Outputs::default();
    let invite = Inquiry { method: Method::Invite, ..bench.ping() };
    assert_eq!(bench.endpoint.inquire(bench.now, invite, &mut out), Err(CallError::Kind));
    bench.inquire(bench.ping());
    assert_eq!(bench.endpoint.inquire(bench.now, bench.ping(), &mut out), Err(CallError::Full));
    assert_eq!(out.messages().len(), 0);
}

#[test]
fn a_registration_proves_itself_and_the_next_one_of_the_series_does_so_at_once() {
    for algorithm in [Algorithm::Md5, Algorithm::Sha256] {
        let mut bench = Bench::new(100);
        let server = Authenticator::new("carrier", [7; 32], 300, &[algorithm]);
        let first = bench.inquire(bench.registration());
        assert_eq!(header(&first, "Contact"), "<sip:edge@198.51.100.9:5060>");
        assert_eq!(header(&first, "Authorization"), "");
        let challenge = server.challenges(10, 1, false).remove(0);
        let refusal = answer(&first, "401 Unauthorized", &format!("WWW-Authenticate: {challenge}\r\n"));
        let second = bench.receive(&refusal).remove(0);
        assert!(bench.replies.is_empty(), "the application does not see it");
        let verified = |request: &str, uri: &str| {
            let text = header(request, "Authorization").to_owned();
            let secret = |user: &str| (user == "edge").then(|| "secret".to_owned());
            server.verify(text.as_bytes(), (b"REGISTER", uri.as_bytes()), secret, 20).is_ok()
        };
        assert!(verified(&second, "sip:carrier.example.net"));
        let number =
            |request: &str| header(request, "CSeq").split(' ').next().unwrap().parse::<u32>().unwrap();
        assert_eq!(header(&second, "Call-ID"), header(&first, "Call-ID"));
        assert_eq!(header(&second, "From"), header(&first, "From"));
        assert_eq!(number(&second), number(&first) + 1);
        let contacts = "Contact: <sip:edge@203.0.113.1>;expires=60\r\n\
             Contact: <sip:edge@198.51.100.9:5060>;expires=540\r\nExpires: 600\r\n";
        bench.receive(&answer(&second, "200 OK", contacts));
        let reply = bench.reply();
        assert_eq!((reply.status, reply.granted_seconds), (200, Some(540)), "that of our own contact");
        let again = Inquiry { login: reply.login, series: Some(reply.series), ..bench.registration() };
        let third = bench.inquire(again);
        assert!(verified(&third, "sip:carrier.example.net"), "proven without being asked");
        assert_eq!(header(&third, "Call-ID"), header(&first, "Call-ID"));
        assert_eq!(number(&third), number(&second) + 1);
        let fresh = server.challenges(500, 2, true).remove(0);
        let stale = answer(&third, "401 Unauthorized", &format!("WWW-Authenticate: {fresh}\r\n"));
        assert_eq!(bench.receive(&stale).len(), 1, "a stale nonce is answered anew");
    }
}

#[test]
fn a_wrong_secret_ends_with_the_refusal() {
    let mut bench = Bench::new(100);
    let server = Authenticator::new("carrier", [7; 32], 300, &[Algorithm::Md5]);
    let refusal = |request: &str, nonce| {
        let challenge = server.challenges(10, nonce, false).remove(0);
        answer(request, "401 Unauthorized", &format!("WWW-Authenticate: {challenge}\r\n"))
    };
    let first = bench.inquire(bench.registration());
    let second = bench.receive(&refusal(&first, 1)).remove(0);
    assert!(bench.receive(&refusal(&second, 2)).is_empty());
    assert_eq!(bench.reply().status, 401);
}

#[test]
fn what_a_refusal_asks_for_is_told() {
    let mut bench = Bench::new(100);
    let sent = bench.inquire(bench.registration());
    bench.receive(&answer(&sent, "423 Interval Too Brief", "Min-Expires: 1800\r\n"));
    assert_eq!(bench.reply().min_expires_seconds, Some(1800));
    let sent = bench.inquire(bench.registration());
    bench.receive(&answer(&sent, "503 Service Unavailable", "Retry-After: 120 (soon)\r\n"));
    assert_eq!(bench.reply().retry_after_seconds, Some(120));
}
