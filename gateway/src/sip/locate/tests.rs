use std::{collections::HashMap, net::Ipv4Addr};

use hickory_resolver::proto::rr::{
    Name, RData,
    rdata::{A, NAPTR, SRV},
};
use rand::SeedableRng;
use tokio::net::UdpSocket;

use super::{dns::Server, *};
use crate::names::testing::name_server;

fn name(text: &str) -> Name {
    Name::from_ascii(text).unwrap()
}

fn a(last: u8) -> RData {
    RData::A(A(Ipv4Addr::new(192, 0, 2, last)))
}

fn srv(priority: u16, port: u16, host: &str) -> RData {
    RData::SRV(SRV::new(priority, 10, port, name(host)))
}

fn naptr(order: u16, service: &str, replacement: &str) -> RData {
    let (flags, service) = (b"s"[..].into(), service.as_bytes().into());
    RData::NAPTR(NAPTR::new(order, 10, flags, service, Box::default(), name(replacement)))
}

fn locator(server: settings::DnsServer, transports: &[Transport]) -> Locator {
    let listeners = transports.iter().map(|transport| (*transport, true)).collect();
    Locator::with(Dns::new(&[server]), Vec::new(), listeners)
}

async fn places(locator: &Locator, target: &str) -> Vec<String> {
    let found = locator.locate_named(target).await.unwrap();
    found.iter().map(|to| format!("{} {}", to.transport.as_str(), to.peer)).collect()
}

const ALL: [Transport; 3] = [Transport::Udp, Transport::Tcp, Transport::Tls];

#[tokio::test]
async fn a_domain_says_by_naptr_and_srv_where_it_is_called() {
    let server = name_server(&[
        ("carrier.example.", naptr(20, "SIP+D2U", "_sip._udp.carrier.example.")),
        ("carrier.example.", naptr(10, "SIP+D2T", "_other._tcp.carrier.example.")),
        ("carrier.example.", naptr(5, "E2U+sip", "nowhere.example.")),
        ("_sip._udp.carrier.example.", srv(2, 5072, "b.carrier.example.")),
        ("_sip._udp.carrier.example.", srv(1, 5071, "a.carrier.example.")),
        ("_other._tcp.carrier.example.", srv(1, 5073, "a.carrier.example.")),
        ("_sips._tcp.carrier.example.", srv(1, 5074, "a.carrier.example.")),
        ("a.carrier.example.", a(1)),
        ("b.carrier.example.", a(2)),
        ("b.carrier.example.", a(3)),
        ("carrier.example.", a(9)),
    ])
    .await;
    let all = locator(server, &ALL);
    let udp = ["UDP 192.0.2.1:5071", "UDP 192.0.2.2:5072", "UDP 192.0.2.3:5072"];
    let mut both = vec!["TCP 192.0.2.1:5073"];
    both.extend(udp);
    assert_eq!(places(&all, "sip:carrier.example").await.len(), 4);
    assert_eq!(sorted(places(&all, "sip:carrier.example").await), sorted(both.clone()));
    assert_eq!(places(&all, "sip:carrier.example").await[0], both[0], "the order of NAPTR");
    assert_eq!(places(&locator(server, &[Transport::Udp]), "sip:carrier.example").await[0], udp[0]);
    // A transport that is named is taken, by the domain's own name.
    assert_eq!(sorted(places(&all, "sip:x@carrier.example;transport=udp").await), sorted(udp.to_vec()));
    let secure = all.locate_named("sips:carrier.example").await.unwrap();
    assert_eq!(secure[0].peer.to_string(), "192.0.2.1:5074");
    assert_eq!(secure[0].domain.as_deref(), Some("carrier.example"), "the domain, not the server, is proven");
    // A port leaves nothing to ask for but addresses.
    assert_eq!(places(&all, "sip:carrier.example:5090").await, ["UDP 192.0.2.9:5090"]);
}

fn sorted<T: Into<String>>(list: Vec<T>) -> Vec<String> {
    let mut list: Vec<String> = list.into_iter().map(Into::into).collect();
    list.sort();
    list
}

#[tokio::test]
async fn without_srv_records_the_domain_itself_is_called_and_a_dot_says_that_nobody_is() {
    let server = name_server(&[
        ("plain.example.", a(1)),
        ("none.example.", a(2)),
        ("_sip._udp.none.example.", srv(0, 0, ".")),
        ("tcp.example.", a(3)),
        ("_sip._tcp.tcp.example.", srv(0, 5075, "gone.example.")),
        ("_sip._tcp.tcp.example.", srv(1, 5076, "plain.example.")),
    ])
    .await;
    let all = locator(server, &ALL);
    assert_eq!(places(&all, "sip:plain.example").await, ["UDP 192.0.2.1:5060"]);
    assert_eq!(places(&all, "sips:plain.example").await, ["TLS 192.0.2.1:5061"]);
    assert!(matches!(all.locate_named("sip:none.example").await, Err(LocateError::NoAddress { .. })));
    assert_eq!(
        places(&all, "sip:tcp.example").await,
        ["TCP 192.0.2.1:5076"],
        "a server without address is passed over"
    );
    assert!(matches!(all.locate_named("sip:absent.example").await, Err(LocateError::NoAddress { .. })));
}

#[tokio::test]
async fn destinations_are_bounded() {
    let names: Vec<String> = (1..=20).map(|n| format!("h{n}.many.example.")).collect();
    let mut records: Vec<(&str, RData)> = (1..).zip(&names).map(|(n, host)| (host.as_str(), a(n))).collect();
    records.extend(names.iter().map(|host| ("_sip._udp.many.example.", srv(1, 5060, host))));
    let found = places(&locator(name_server(&records).await, &ALL), "sip:many.example").await;
    assert_eq!(found.len(), DESTINATIONS_MAX);
}

#[tokio::test]
async fn a_name_server_that_says_nothing_costs_two_seconds_at_most() {
    let deaf = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let locator = locator(settings::DnsServer(deaf.local_addr().unwrap()), &ALL);
    let began = std::time::Instant::now();
    assert!(matches!(locator.locate_named("sip:x.example").await, Err(LocateError::NoAddress { .. })));
    assert!(began.elapsed() < Duration::from_millis(2500), "{:?}", began.elapsed());
    let own = places(&locator, "sip:x@localhost:5070").await;
    assert_eq!(own[0], "UDP 127.0.0.1:5070", "nobody needs to be asked for this one");
}

#[test]
fn servers_are_tried_by_priority_and_at_random_by_weight() {
    let server = |priority, weight, port| Server { priority, weight, host: "h.".into(), port };
    let all = vec![server(2, 0, 4), server(1, 60, 1), server(1, 20, 2), server(1, 0, 3)];
    let mut rng = StdRng::seed_from_u64(7);
    let mut first = HashMap::new();
    for _ in 0..8000 {
        let ordered = by_weight(all.clone(), &mut rng);
        assert_eq!(ordered.len(), 4);
        assert_eq!(ordered[3].port, 4, "the second priority comes last");
        *first.entry(ordered[0].port).or_insert(0_i32) += 1;
    }
    assert!((5600..6400).contains(&first[&1]), "{first:?}");
    assert!((1700..2300).contains(&first[&2]), "{first:?}");
    assert!((1..300).contains(&first[&3]), "seldom, but not never: {first:?}");
}

async fn found(target: &str) -> Result<Vec<Destination>, LocateError> {
    let allowed = ["127.0.0.0/8", "::1", "localhost"].map(|text| text.parse().unwrap());
    Locator::of_the_system(allowed.to_vec()).locate(target).await
}

#[tokio::test]
async fn addresses_are_taken_as_they_stand() {
    for (target, transport, peer) in [
        ("sip:ann@127.0.0.1", Transport::Udp, "127.0.0.1:5060"),
        ("sip:ann@127.0.0.1:5070;transport=tcp", Transport::Tcp, "127.0.0.1:5070"),
        ("sip:[::1]:5080;transport=UDP", Transport::Udp, "[::1]:5080"),
        ("sip:ann@127.0.0.1;transport=tls", Transport::Tls, "127.0.0.1:5061"),
        ("sips:ann@127.0.0.1;transport=tcp", Transport::Tls, "127.0.0.1:5061"),
        ("sips:ann@127.0.0.1:5070", Transport::Tls, "127.0.0.1:5070"),
    ] {
        let wanted = Destination { transport, peer: peer.parse().unwrap(), domain: None };
        assert_eq!(found(target).await.unwrap(), [wanted], "{target}");
    }
}

#[tokio::test]
async fn an_allowed_name_is_looked_up() {
    let all = found("sip:ann@localhost:5070").await.unwrap();
    assert!(all.iter().all(|one| one.peer.ip().is_loopback() && one.peer.port() == 5070), "{all:?}");
}

#[tokio::test]
async fn a_name_over_tls_is_kept_for_the_certificate() {
    let all = found("sips:ann@Localhost").await.unwrap();
    assert!(all.iter().all(|one| one.peer.port() == 5061 && one.domain.as_deref() == Some("localhost")));
    let all = found("sip:ann@localhost;transport=tcp").await.unwrap();
    assert!(all.iter().all(|one| one.peer.port() == 5060 && one.domain.is_none()), "{all:?}");
}

#[tokio::test]
async fn what_must_not_or_cannot_be_called_is_told_apart() {
    assert!(matches!(found("sip:ann@192.0.2.1").await, Err(LocateError::NotAllowed)));
    assert!(matches!(found("sip:ann@example.net").await, Err(LocateError::NotAllowed)));
    assert!(matches!(found("tel:+14155550100").await, Err(LocateError::Kind)));
    assert!(matches!(found("sips:ann@127.0.0.1;transport=udp").await, Err(LocateError::Transport)));
    assert!(matches!(found("sip:ann@127.0.0.1?Subject=x").await, Err(LocateError::Kind)));
    assert!(matches!(found("sip:ann@127.0.0.1;transport=ws").await, Err(LocateError::Transport)));
    assert!(matches!(found("ann").await, Err(LocateError::Uri(_))));
    assert!(matches!(found(&format!("sip:{}@127.0.0.1", "a".repeat(600))).await, Err(LocateError::TooLong)));
}
