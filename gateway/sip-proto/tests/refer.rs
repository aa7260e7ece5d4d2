//! REFER within a call, keys by INFO, and calls ended by a process that comes after: the other side by hand.
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
    endpoint::{
        CallKey, Command, Endpoint, Event, Listener, Outputs, Party, Path, SavedDialog, Settings, Target,
        Transport,
    },
    sdp::{Codec, Srtp},
};

const ANSWER: &str = "v=0\r\no=- 1 1 IN IP4 192.0.2.7\r\ns=-\r\nc=IN IP4 192.0.2.7\r\nt=0 0\r\n\
    m=audio 4000 RTP/AVP 0\r\n";

struct Bench {
    endpoint: Endpoint,
    now: Instant,
    path: Path,
    events: Vec<(CallKey, Event)>,
    call: CallKey,
    invite: String,
}

fn endpoint(now: Instant) -> Endpoint {
    let advertised = "198.51.100.9:5060".parse().unwrap();
    let listeners = vec![Listener { transport: Transport::Udp, advertised }];
    Endpoint::new(Settings { listeners, ..Settings::default() }, StdRng::seed_from_u64(5), now)
}

fn header<'a>(message: &'a str, name: &str) -> &'a str {
    let found = message.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
    found.unwrap_or_else(|| panic!("no {name} in {message}"))
}

impl Bench {
    /// A call of ours that was answered, over a route.
    fn established() -> Self {
        let now = Instant::now();
        let path = Path {
            transport: Transport::Udp,
            peer: "192.0.2.7:5070".parse().unwrap(),
            listener: 0,
            connection: None,
        };
        let mut endpoint = endpoint(now);
        let mut out = Outputs::default();
        let target = Target {
            path,
            uri: "sip:agent@192.0.2.7:5070".into(),
            from: Party { user: "+14155550101".into(), ..Party::default() },
            media: "198.51.100.9:30000".parse().unwrap(),
            codecs: vec![Codec::Pcmu],
            srtp: Srtp::Allowed,
            login: None,
            headers: Vec::new(),
            max_forwards: 69,
        };
        let call = endpoint.call(now, target, &mut out).unwrap();
        let invite = String::from_utf8(out.messages().next().unwrap().1.to_vec()).unwrap();
        let mut bench = Self { endpoint, now, path, events: Vec::new(), call, invite };
        let ok = format!(
            "SIP/2.0 200 OK\r\nVia: {}\r\nRecord-Route: <sip:192.0.2.8;lr>\r\nFrom: {}\r\nTo: {};tag=b1\r\n\
             Call-ID: {}\r\nCSeq: {}\r\nContact: <sip:agent@192.0.2.7:5070>\r\n\
             Content-Type: application/sdp\r\nContent-Length: {}\r\n\r\n{ANSWER}",
            header(&bench.invite, "Via"),
            header(&bench.invite, "From"),
            header(&bench.invite, "To"),
            header(&bench.invite, "Call-ID"),
            header(&bench.invite, "CSeq"),
            ANSWER.len()
        );
        assert!(bench.receive(&ok)[0].starts_with("ACK "));
        assert!(matches!(bench.events.pop(), Some((_, Event::Answered))));
        bench.events.clear();
        bench
    }

    fn collect(&mut self, mut out: Outputs) -> Vec<String> {
        self.events.append(&mut out.events);
        out.messages().map(|(_, bytes)| String::from_utf8(bytes.to_vec()).unwrap()).collect()
    }

    fn receive(&mut self, text: &str) -> Vec<String> {
        let mut out = Outputs::default();
        self.endpoint.receive(self.now, self.path, text.as_bytes(), &mut out);
        self.collect(out)
    }

    fn command(&mut self, command: Command) -> Vec<String> {
        let mut out = Outputs::default();
        self.endpoint.command(self.now, self.call, command, &mut out);
        self.collect(out)
    }

    fn request(&mut self, method: &str, cseq: u32, extra: &str) -> Vec<String> {
        let text = format!(
            "{method} sip:198.51.100.9 SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.7:5070;branch=z9hG4bK{method}{cseq}\r\n\
             Max-Forwards: 70\r\nFrom: {};tag=b1\r\nTo: {}\r\nCall-ID: {}\r\nCSeq: {cseq} {method}\r\n\
             Contact: <sip:agent@192.0.2.7:5070>\r\n{extra}Content-Length: 0\r\n\r\n",
            header(&self.invite, "To"),
            header(&self.invite, "From"),
            header(&self.invite, "Call-ID"),
        );
        self.receive(&text)
    }

    /// Lets time pass; what was sent.
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
}

fn status(messages: &[String]) -> u16 {
    messages[0].split(' ').nth(1).unwrap().parse().unwrap()
}

#[test]
fn a_refer_is_taken_told_to_try_and_told_what_came_of_it() {
    let mut bench = Bench::established();
    let sent = bench.request(
        "REFER",
        7,
        "Refer-To: Bob <sip:bob@192.0.2.9>\r\nReferred-By: <sip:ann@192.0.2.7>\r\n",
    );
    assert_eq!(status(&sent), 202);
    let trying = &sent[1];
    assert!(trying.starts_with("NOTIFY sip:agent@192.0.2.7:5070 SIP/2.0\r\n"), "{trying}");
    assert_eq!(header(trying, "Event"), "refer;id=7");
    assert!(header(trying, "Subscription-State").starts_with("active;expires="));
    assert!(trying.ends_with("\r\n\r\nSIP/2.0 100 Trying\r\n"), "{trying}");
    let Some((_, Event::Refer(refer))) = bench.events.pop() else { panic!("{:?}", bench.events) };
    assert_eq!((refer.target.as_str(), &refer.replaces), ("sip:bob@192.0.2.9", &None));
    assert_eq!(refer.by.as_deref(), Some("sip:ann@192.0.2.7"));
    assert_eq!(status(&bench.request("REFER", 8, "Refer-To: <sip:eve@192.0.2.9>\r\n")), 491, "one at a time");
    let done = bench.command(Command::Referred { status: 486 }).remove(0);
    assert!(done.ends_with("SIP/2.0 486 Busy Here\r\n"), "{done}");
    assert_eq!(header(&done, "Subscription-State"), "terminated;reason=noresource");
    assert!(bench.command(Command::Referred { status: 200 }).is_empty(), "it is over");
    assert_eq!(
        status(&bench.request("REFER", 9, "Refer-To: <sip:eve@192.0.2.9>\r\n")),
        202,
        "the next may come"
    );
}

#[test]
fn an_attended_transfer_names_the_call_to_be_replaced() {
    let mut bench = Bench::established();
    let to =
        "Refer-To: <sip:bob@192.0.2.9?Replaces=a84b4c%40host%3Bto-tag%3Dt1%3Bfrom-tag%3Df1&Subject=x>\r\n";
    assert_eq!(status(&bench.request("REFER", 2, to)), 202);
    let Some((_, Event::Refer(refer))) = bench.events.pop() else { panic!("{:?}", bench.events) };
    assert_eq!(refer.target, "sip:bob@192.0.2.9");
    assert_eq!(refer.replaces.as_deref(), Some("a84b4c@host;to-tag=t1;from-tag=f1"));
}

#[test]
fn a_refer_that_is_malformed_or_asks_for_other_things_is_refused() {
    for (extra, wanted) in [
        ("", 400),
        ("Refer-To: <sip:a@192.0.2.9>\r\nRefer-To: <sip:b@192.0.2.9>\r\n", 400),
        ("Refer-To: <nonsense\r\n", 400),
        ("Refer-To: <sip:a@192.0.2.9;method=BYE>\r\n", 403),
        ("Refer-To: <sip:a@192.0.2.9?Replaces=x%0D%0AEvil%3A1%3Bto-tag%3Da%3Bfrom-tag%3Db>\r\n", 400),
        ("Refer-To: <sip:a@192.0.2.9?Replaces=nothing>\r\n", 400),
    ] {
        let mut bench = Bench::established();
        let sent = bench.request("REFER", 2, extra);
        assert_eq!((status(&sent), sent.len()), (wanted, 1), "{extra}");
        assert!(bench.events.is_empty(), "{extra}");
    }
    // Outside of any call nobody is connected with anybody.
    let mut bench = Bench::established();
    let stranger = "REFER sip:198.51.100.9 SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.7:5070;branch=z9hG4bKx\r\n\
         Max-Forwards: 70\r\nFrom: <sip:a@192.0.2.7>;tag=q\r\nTo: <sip:198.51.100.9>\r\nCall-ID: other\r\n\
         CSeq: 1 REFER\r\nRefer-To: <sip:b@192.0.2.9>\r\nContent-Length: 0\r\n\r\n";
    assert!((400..700).contains(&status(&bench.receive(stranger))));
    assert!(bench.events.is_empty());
}

#[test]
fn who_wants_no_notices_gets_none() {
    let mut bench = Bench::established();
    let sent = bench.request("REFER", 2, "Refer-To: <sip:bob@192.0.2.9>\r\nRefer-Sub: false\r\n");
    assert_eq!((status(&sent), sent.len()), (202, 1));
    assert_eq!(header(&sent[0], "Refer-Sub"), "false");
    assert!(bench.command(Command::Referred { status: 200 }).is_empty());
}

#[test]
fn keys_and_notices_without_an_answer_end_no_call() {
    let mut bench = Bench::established();
    let info = bench.command(Command::Key { key: '#', duration_ms: 100 }).remove(0);
    assert!(info.starts_with("INFO "), "{info}");
    assert_eq!(header(&info, "Content-Type"), "application/dtmf-relay");
    assert!(info.ends_with("\r\n\r\nSignal=#\r\nDuration=100\r\n"));
    bench.request("REFER", 2, "Refer-To: <sip:bob@192.0.2.9>\r\n");
    bench.events.clear();
    let sent = bench.pass(Duration::from_secs(40));
    assert!(sent.iter().all(|message| message.starts_with("INFO ") || message.starts_with("NOTIFY ")));
    assert!(bench.events.is_empty(), "{:?}", bench.events);
    assert_eq!(bench.endpoint.sizes().calls, 1);
}

#[test]
fn a_call_of_a_process_before_is_ended_by_bye_with_what_was_kept() {
    let mut bench = Bench::established();
    let text = bench.endpoint.saved(bench.call).unwrap().to_text();
    let saved = SavedDialog::from_text(&text).unwrap();
    assert_eq!(saved.to_text(), text);
    let mut next = endpoint(bench.now);
    let mut out = Outputs::default();
    next.end_saved(bench.now, &saved, 503, &mut out);
    let (path, bye) = out.messages().map(|(path, bytes)| (path, bytes.to_vec())).next().unwrap();
    let bye = String::from_utf8(bye).unwrap();
    assert_eq!(path.peer, "192.0.2.8:5060".parse().unwrap(), "by its route");
    assert!(bye.starts_with("BYE sip:agent@192.0.2.7:5070 SIP/2.0\r\n"), "{bye}");
    assert_eq!(header(&bye, "Route"), "<sip:192.0.2.8;lr>");
    assert_eq!(header(&bye, "To"), format!("{};tag=b1", header(&bench.invite, "To")));
    assert_eq!(header(&bye, "From"), header(&bench.invite, "From"));
    assert!(header(&bye, "Reason").contains("cause=503"));
    let number = |cseq: &str| cseq.split(' ').next().unwrap().parse::<u32>().unwrap();
    assert!(number(header(&bye, "CSeq")) > number(header(&bench.invite, "CSeq")) + 100);
    // It is repeated like every request, and nothing is left of it in the end.
    assert_eq!(next.sizes().client_transactions, 1);
    let mut now = bench.now;
    while let Some(at) = next.deadline() {
        now = now.max(at);
        next.handle_timeout(now, &mut out);
    }
    assert_eq!(next.sizes().client_transactions, 0);
    for damaged in ["", "UDP", "UDP 192.0.2.7:5070 0 -", "UDP x 0 -\na\nb\nc\nd\ne\nf\n1"] {
        assert!(SavedDialog::from_text(damaged).is_none(), "{damaged:?}");
    }
}
