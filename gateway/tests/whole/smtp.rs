//! The mail server on a real socket: what it holds in memory is bounded until it is kept.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader},
    net::{TcpListener, TcpStream},
};
use vestibule::smtp::Smtp;
use vestibule_config::settings;

use crate::support::gateway::Gateway;

/// A mail server of so much memory.
async fn serve(gateway: &Gateway, memory_bytes_max: usize) -> SocketAddr {
    let settings = settings::Smtp { memory_bytes_max, ..Gateway::settings().smtp };
    let state = &gateway.state;
    let works = (state.store.clone(), state.intake.clone());
    let smtp = Smtp::new(&settings, works, None, (state.readiness.clone(), state.metrics.smtp.clone()));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(Arc::new(smtp).serve(listener));
    address
}

struct Client {
    stream: BufReader<TcpStream>,
}

impl Client {
    async fn connect(address: SocketAddr) -> Self {
        let mut client = Self { stream: BufReader::new(TcpStream::connect(address).await.unwrap()) };
        assert_eq!(client.hear().await, "220");
        client
    }

    /// The code of a reply.
    async fn hear(&mut self) -> String {
        loop {
            let mut line = String::new();
            self.stream.read_line(&mut line).await.unwrap();
            if line.as_bytes().get(3) == Some(&b' ') {
                return line.chars().take(3).collect();
            }
            assert!(!line.is_empty(), "the server has gone");
        }
    }

    async fn say(&mut self, text: &str) -> String {
        self.stream.write_all(text.as_bytes()).await.unwrap();
        self.hear().await
    }

    /// Sends a mail to our address; the code of the last reply.
    async fn mail(&mut self, subject: &str) -> String {
        self.mail_to(&["help@example.com"], subject).await
    }

    async fn mail_to(&mut self, recipients: &[&str], subject: &str) -> String {
        assert_eq!(self.say("EHLO a.example\r\n").await, "250");
        assert_eq!(self.say("MAIL FROM:<ann@example.org>\r\n").await, "250");
        for recipient in recipients {
            assert_eq!(self.say(&format!("RCPT TO:<{recipient}>\r\n")).await, "250");
        }
        assert_eq!(self.say("DATA\r\n").await, "354");
        self.say(&format!("From: ann@example.org\r\nSubject: {subject}\r\n\r\nHello\r\n.\r\n")).await
    }
}

#[tokio::test]
async fn a_mail_counts_against_the_memory_for_mails_until_it_is_kept() {
    let gateway = Gateway::new();
    // Of one mail, however small.
    let address = serve(&gateway, 64 << 10).await;
    let (mut one, mut other) = (Client::connect(address).await, Client::connect(address).await);
    // Nothing is committed meanwhile.
    let journal = rusqlite::Connection::open(gateway.folder.path().join("journal.sqlite")).unwrap();
    journal.execute_batch("BEGIN IMMEDIATE").unwrap();
    let first = tokio::spawn(async move { one.mail("one").await });
    tokio::time::sleep(Duration::from_millis(400)).await;
    assert!(!first.is_finished(), "it waits for the journal");
    assert_eq!(other.mail("two").await, "452", "the first one is still there");
    journal.execute_batch("ROLLBACK").unwrap();
    assert_eq!(first.await.unwrap(), "250");
    assert_eq!(other.mail("two").await, "250");
}

#[tokio::test]
async fn many_tags_of_one_address_make_one_message() {
    let gateway = Gateway::new();
    let mut client = Client::connect(serve(&gateway, 1 << 20).await).await;
    let to = ["help+one@example.com", "help+two@example.com", "Help@example.com"];
    assert_eq!(client.mail_to(&to, "tags").await, "250");
    let (_, page) = gateway.get("/api/v1/events?after=0&limit=100&type=message.received").await;
    let [event] = page["events"].as_array().unwrap().as_slice() else { panic!("{page}") };
    assert_eq!(event["data"]["address"], "help@example.com");
    assert_eq!(event["data"]["message"]["tag"], "one");
    assert_eq!(gateway.state.metrics.message.duplicates.get(), 0, "it was read once");
}
