use std::{cell::RefCell, net::SocketAddr, sync::mpsc::Receiver};

use vestibule_config::settings::{ClientCertificates, SipTls};

use super::*;
use crate::{
    sip::{
        gate::Guest,
        tls::testing::{Authority, Says},
    },
    telemetry::TlsFailure,
};

/// One side: its connections, and what the SIP thread would hear.
struct Side {
    connections: Connections,
    items: Receiver<Item>,
    metrics: SipMetrics,
    tls: Option<Arc<Tls>>,
    /// What keeps the connections open.
    writers: RefCell<Vec<mpsc::Sender<Bytes>>>,
    _guest: Guest,
}

impl Side {
    fn new(settings: Option<SipTls>, per_source_max: usize) -> Self {
        let metrics = SipMetrics::unregistered().unwrap();
        let tls = settings.map(|settings| Arc::new(Tls::open(&settings, metrics.clone()).unwrap()));
        let (inbox, items, _) = SipInbox::new(64, metrics.rings_full.clone()).unwrap();
        let gate = Arc::new(Gate::default());
        let guest = gate.invite("127.0.0.1".parse().unwrap());
        let limits = TcpLimits { connections_max: 8, per_source_max, idle: Duration::from_secs(60) };
        let connections = Connections::new(inbox, gate, tls.clone(), limits, metrics.clone());
        Self { connections, items, metrics, tls, writers: RefCell::default(), _guest: guest }
    }

    async fn listen(&self, transport: Transport) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(listen(listener, transport, 0, self.connections.clone()));
        address
    }

    /// Connects by TLS; the connection's writer and whom it leads to, or none when it was refused.
    async fn dial(&self, peer: SocketAddr, domain: &str) -> Option<(mpsc::Sender<Bytes>, Vec<String>)> {
        let connection = Some(self.connections.next_id());
        let path = Path { transport: Transport::Tls, peer, listener: 0, connection };
        self.connections.clone().dial(path, Some(domain.into())).await;
        match self.item().await {
            Item::Opened(_, writer, proven) => Some((writer, proven.iter().map(str::to_owned).collect())),
            Item::Unreachable(other) => {
                assert_eq!(other, path);
                None
            }
            other => panic!("{other:?}"),
        }
    }

    async fn item(&self) -> Item {
        for _ in 0..1000 {
            if let Ok(item) = self.items.try_recv() {
                if let Item::Opened(_, writer, _) = &item {
                    self.writers.borrow_mut().push(writer.clone());
                }
                return item;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        panic!("nothing came");
    }

    /// Whom the next connection to us comes from.
    async fn taken(&self) -> (mpsc::Sender<Bytes>, Vec<String>) {
        match self.item().await {
            Item::Opened(_, writer, proven) => (writer, proven.iter().map(str::to_owned).collect()),
            other => panic!("{other:?}"),
        }
    }

    async fn message(&self) -> Bytes {
        loop {
            match self.item().await {
                Item::Message(_, bytes) => return bytes,
                Item::Opened(..) => {}
                other => panic!("{other:?}"),
            }
        }
    }

    fn failed(&self, reason: TlsFailure) -> u64 {
        self.metrics.tls_handshakes_failed.of(reason).get()
    }
}

fn server(authority: &Authority, says: Says<'_>) -> Side {
    let certificate = authority.write("server.pem", says);
    Side::new(Some(authority.settings(vec![certificate], ClientCertificates::None)), 8)
}

fn client(authority: &Authority) -> Side {
    Side::new(Some(authority.settings(Vec::new(), ClientCertificates::None)), 8)
}

const OPTIONS: &[u8] = b"OPTIONS sip:a@b SIP/2.0\r\nContent-Length: 0\r\n\r\n";

#[tokio::test]
async fn we_believe_a_certificate_that_names_the_domain_of_the_target_and_no_other() {
    let authority = Authority::new();
    let good = ["sip.carrier.example"];
    let uri = ["sip:carrier.example"];
    for (says, domain, wanted) in [
        (Says::name(&good), "sip.carrier.example", None),
        (Says { uris: &uri, names: &good, ..Says::default() }, "carrier.example", None),
        // The URI says who it is; the DNS name counts no more (RFC 5922 §7.1).
        (
            Says { uris: &uri, names: &good, ..Says::default() },
            "sip.carrier.example",
            Some(TlsFailure::WrongName),
        ),
        (Says::name(&good), "other.example", Some(TlsFailure::WrongName)),
        (Says { expired: true, ..Says::name(&good) }, "sip.carrier.example", Some(TlsFailure::Expired)),
        (
            Says { common_name: "sip.carrier.example", ..Says::default() },
            "sip.carrier.example",
            Some(TlsFailure::WrongName),
        ),
        (Says::name(&["*.carrier.example"]), "sip.carrier.example", Some(TlsFailure::WrongName)),
    ] {
        let (server, client) = (server(&authority, says), client(&authority));
        let address = server.listen(Transport::Tls).await;
        let made = client.dial(address, domain).await;
        assert_eq!(made.is_some(), wanted.is_none(), "{domain}, {wanted:?}");
        if let Some(reason) = wanted {
            assert_eq!(client.failed(reason), 1, "{reason:?}");
            assert_eq!(client.metrics.connections.get(), 0, "its place is free again");
        }
    }
}

#[tokio::test]
async fn nobody_is_believed_whom_no_authority_of_ours_knows() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    let server = server(&stranger, Says::name(&["sip.carrier.example"]));
    let client = client(&authority);
    let address = server.listen(Transport::Tls).await;
    assert!(client.dial(address, "sip.carrier.example").await.is_none());
    assert_eq!(client.failed(TlsFailure::Untrusted), 1);
}

#[tokio::test]
async fn messages_and_pings_pass_both_ways_over_tls() {
    let authority = Authority::new();
    let (server, client) = (server(&authority, Says::name(&["a.example"])), client(&authority));
    let address = server.listen(Transport::Tls).await;
    let (to_server, _) = client.dial(address, "a.example").await.unwrap();
    let (to_client, _) = server.taken().await;
    to_server.send(Bytes::from_static(b"\r\n\r\n")).await.unwrap();
    to_server.send(Bytes::from_static(OPTIONS)).await.unwrap();
    assert_eq!(server.message().await, OPTIONS);
    to_client.send(Bytes::from_static(OPTIONS)).await.unwrap();
    assert_eq!(client.message().await, OPTIONS, "the pong before it is none");
    drop((to_server, to_client));
    client.writers.borrow_mut().clear();
    assert!(matches!(server.item().await, Item::Closed(_)));
}

#[tokio::test]
async fn who_connects_is_known_by_the_certificate_where_one_is_asked_for() {
    let authority = Authority::new();
    let uri = ["sip:carrier.example"];
    for (asked, says, wanted) in [
        (
            ClientCertificates::Required,
            Some(Says { uris: &uri, ..Says::default() }),
            Ok(vec!["carrier.example"]),
        ),
        (ClientCertificates::Optional, Some(Says::name(&["b.example"])), Ok(vec!["b.example"])),
        (ClientCertificates::Optional, None, Ok(vec![])),
        (
            ClientCertificates::Required,
            Some(Says { common_name: "carrier.example", ..Says::default() }),
            Ok(vec![]),
        ),
        (ClientCertificates::None, Some(Says { uris: &uri, ..Says::default() }), Ok(vec![])),
        (ClientCertificates::Required, None, Err(TlsFailure::NoCertificate)),
        (
            ClientCertificates::Optional,
            Some(Says { uris: &uri, expired: true, ..Says::default() }),
            Err(TlsFailure::Expired),
        ),
    ] {
        let certificate = authority.write("server.pem", Says::name(&["a.example"]));
        let server = Side::new(Some(authority.settings(vec![certificate], asked)), 8);
        let own = says.map(|says| authority.write("client.pem", says)).into_iter().collect();
        let client = Side::new(Some(authority.settings(own, ClientCertificates::None)), 8);
        let address = server.listen(Transport::Tls).await;
        let made = client.dial(address, "a.example").await;
        match wanted {
            Ok(wanted) => assert_eq!(server.taken().await.1, wanted),
            Err(reason) => {
                // By TLS 1.3 the client has its connection first, and loses it then.
                assert!(made.is_none() || matches!(client.item().await, Item::Closed(_)));
                assert_eq!(server.failed(reason), 1, "{reason:?}");
            }
        }
    }
}

#[tokio::test]
async fn a_caller_gets_the_certificate_of_the_name_that_it_asks_for_else_the_first() {
    let authority = Authority::new();
    let both = vec![
        authority.write("a.pem", Says::name(&["a.example"])),
        authority.write("b.pem", Says { uris: &["sip:b.example"], ..Says::default() }),
    ];
    let server = Side::new(Some(authority.settings(both, ClientCertificates::None)), 8);
    let client = client(&authority);
    let address = server.listen(Transport::Tls).await;
    for domain in ["a.example", "b.example", "A.Example"] {
        assert!(client.dial(address, domain).await.is_some(), "{domain}");
    }
    assert!(client.dial(address, "c.example").await.is_none(), "the first is another's");
}

#[tokio::test]
async fn a_new_certificate_serves_new_connections_and_the_old_ones_go_on() {
    let authority = Authority::new();
    let server = server(&authority, Says::name(&["old.example"]));
    let client = client(&authority);
    let address = server.listen(Transport::Tls).await;
    let (old, _) = client.dial(address, "old.example").await.unwrap();
    authority.write("server.pem", Says::name(&["new.example"]));
    let running = tokio::spawn(Tls::go_on(server.tls.clone()));
    let mut found = None;
    for _ in 0..200 {
        found = client.dial(address, "new.example").await;
        if found.is_some() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let (_, domains) = found.expect("the new certificate is in use");
    assert_eq!(domains, ["new.example"]);
    old.send(Bytes::from_static(OPTIONS)).await.unwrap();
    assert_eq!(server.message().await, OPTIONS, "by the connection from before");
    running.abort();
}

#[tokio::test]
async fn a_place_is_taken_before_the_handshake_and_one_too_many_leaves_nothing_behind() {
    let authority = Authority::new();
    let certificate = authority.write("server.pem", Says::name(&["a.example"]));
    let server = Side::new(Some(authority.settings(vec![certificate], ClientCertificates::None)), 1);
    let address = server.listen(Transport::Tls).await;
    let silent = TcpStream::connect(address).await.unwrap();
    let mut second = TcpStream::connect(address).await.unwrap();
    let read = tokio::time::timeout(Duration::from_secs(2), second.read_u8()).await;
    assert!(read.expect("it is closed at once").is_err());
    assert_eq!(server.metrics.connections.get(), 1);
    drop(silent);
    for _ in 0..400 {
        if server.metrics.connections.get() == 0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(server.failed(TlsFailure::Disconnected), 1);
    let open = server.connections.open.lock().unwrap();
    assert!(open.total == 0 && open.by_source.is_empty(), "{open:?}");
}

#[tokio::test]
async fn a_peer_that_is_gone_without_a_word_is_noticed_by_the_kernel() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    prepare(&stream).unwrap();
    assert!(stream.nodelay().unwrap() && sockopt::socket_keepalive(&stream).unwrap());
    assert_eq!(sockopt::tcp_keepidle(&stream).unwrap(), PROBED_AFTER);
    assert_eq!(sockopt::tcp_user_timeout(&stream).unwrap(), 10_000);
}

#[tokio::test]
async fn a_connection_ends_with_a_word_of_tls() {
    let authority = Authority::new();
    let (server, client) = (server(&authority, Says::name(&["a.example"])), client(&authority));
    let address = server.listen(Transport::Tls).await;
    let stream = TcpStream::connect(address).await.unwrap();
    let mut stream = client.tls.as_ref().unwrap().connect(stream, "a.example").await.unwrap();
    drop(server.taken().await);
    server.writers.borrow_mut().clear();
    // Without close_notify this is an error: somebody may have cut the stream.
    assert_eq!(stream.read(&mut [0; 1]).await.unwrap(), 0);
}

#[test]
fn a_refused_source_leaves_no_entry() {
    let open = Arc::new(Mutex::new(Open::default()));
    let metrics = SipMetrics::unregistered().unwrap();
    let limits = TcpLimits { connections_max: 1, per_source_max: 1, idle: Duration::from_secs(1) };
    let first = Place::take(&open, "127.0.0.1".parse().unwrap(), limits, &metrics);
    assert!(first.is_some());
    assert!(Place::take(&open, "127.0.0.2".parse().unwrap(), limits, &metrics).is_none());
    assert_eq!(open.lock().unwrap().by_source.len(), 1);
    drop(first);
    assert!(Place::take(&open, "127.0.0.2".parse().unwrap(), limits, &metrics).is_some());
}

/// A peer that reads nothing and writes pings.
struct Deaf(usize);

impl AsyncRead for Deaf {
    fn poll_read(
        mut self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
        buffer: &mut tokio::io::ReadBuf<'_>,
    ) -> std::task::Poll<std::io::Result<()>> {
        if self.0 == 0 {
            return std::task::Poll::Pending;
        }
        self.0 -= 1;
        buffer.put_slice(b"\r\n\r\n");
        std::task::Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Deaf {
    fn poll_write(
        self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
        _: &[u8],
    ) -> std::task::Poll<std::io::Result<usize>> {
        std::task::Poll::Pending
    }

    fn poll_flush(
        self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<std::io::Result<()>> {
        std::task::Poll::Pending
    }

    fn poll_shutdown(
        self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<std::io::Result<()>> {
        std::task::Poll::Ready(Ok(()))
    }
}

#[tokio::test(start_paused = true)]
async fn who_pings_and_does_not_read_the_pong_loses_the_connection() {
    let side = Side::new(None, 1);
    let peer = "127.0.0.1:5060".parse().unwrap();
    let path = Path { transport: Transport::Tcp, peer, listener: 0, connection: Some(1) };
    let (_writer, writes) = mpsc::channel(1);
    let inbox = side.connections.inbox.clone();
    let mut deaf = Deaf(1);
    let ended = converse(&mut deaf, path, &inbox, writes, Duration::from_secs(600));
    let ended = tokio::time::timeout(WRITTEN_WITHIN + Duration::from_secs(5), ended).await;
    assert!(ended.expect("not for ever").unwrap_err().to_string().contains("does not read"));
}
