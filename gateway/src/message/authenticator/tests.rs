use std::{net::IpAddr, sync::Arc};

use bytes::Bytes;
use hickory_resolver::proto::rr::RData;
use mail_auth::{
    common::crypto::{RsaKey, Sha256},
    common::headers::HeaderWriter,
    dkim::DkimSigner,
};

use super::*;
use crate::{
    message::mail::authentication::{Origin, Upstream},
    names::testing::{deaf_name_server, name_server, txt},
    telemetry::Metrics,
};

const MAIL: &str =
    "From: Ann <ann@example.org>\r\nTo: help@example.com\r\nSubject: Hello\r\n\r\nHello there\r\n";

/// Signed by example.org with a key of its own.
fn signed(mail: &str) -> String {
    let key = RsaKey::<Sha256>::from_key_der(
        rustls::pki_types::PrivateKeyDer::try_from(include_bytes!("tests/key.der").to_vec()).unwrap(),
    )
    .unwrap();
    let signer = DkimSigner::from_key(key).domain("example.org").selector("one").headers(["From", "Subject"]);
    let header = signer.sign(mail.as_bytes()).unwrap().to_header();
    format!("{header}{mail}")
}

fn public_key() -> RData {
    txt(&format!("v=DKIM1; k=rsa; p={}", include_str!("tests/key.pub").trim()))
}

async fn authenticator(records: &[(&str, RData)]) -> Authenticator {
    with(name_server(records).await, 2000)
}

fn with(server: settings::DnsServer, authentication_ms: u64) -> Authenticator {
    let defaults = settings::Settings::load(None, [], &Default::default()).unwrap().settings.mail;
    let settings = settings::Mail { dns_servers: vec![server], authentication_ms, ..defaults };
    Authenticator::new(&settings, "mx.example.com", Metrics::new().unwrap().mail.clone())
}

async fn examined(authenticator: &Authenticator, raw: &str, address: [u8; 4]) -> Content {
    let origin = Origin {
        address: IpAddr::from(address),
        hello: "out.example.org".into(),
        from: "ann@example.org".into(),
    };
    let raw = Bytes::copy_from_slice(raw.as_bytes());
    let evidence = Evidence { raw, origin: Some(origin), upstream: Upstream::default() };
    let mut content = Content { evidence: Some(Arc::new(evidence)), ..Content::default() };
    authenticator.examine("ann@example.org", &mut content).await;
    content
}

fn results(content: &Content) -> [AuthResult; 4] {
    let Authentication { spf, dkim, dmarc, arc } = content.authentication.as_ref().unwrap();
    [spf.result, dkim.result, dmarc.result, arc.result]
}

#[tokio::test]
async fn a_signed_mail_of_the_domains_own_server_passes_and_an_altered_one_does_not() {
    use AuthResult::{Fail, None, Pass};
    let authenticator = authenticator(&[
        ("example.org.", txt("v=spf1 ip4:192.0.2.0/24 -all")),
        ("one._domainkey.example.org.", public_key()),
        ("_dmarc.example.org.", txt("v=DMARC1; p=reject")),
    ])
    .await;
    let good = signed(MAIL);
    let content = examined(&authenticator, &good, [192, 0, 2, 7]).await;
    assert_eq!(results(&content), [Pass, Pass, Pass, None], "{:?}", content.authentication);
    assert!(!content.spam.unwrap().marked);
    // By another server, the signature still tells whose it is.
    let content = examined(&authenticator, &good, [198, 51, 100, 7]).await;
    assert_eq!(results(&content), [Fail, Pass, Pass, None]);
    assert!(!content.spam.unwrap().marked);
    let altered = good.replace("Hello there", "Send money");
    let content = examined(&authenticator, &altered, [198, 51, 100, 7]).await;
    assert_eq!(results(&content), [Fail, Fail, Fail, None], "{:?}", content.authentication);
    let spam = content.spam.unwrap();
    assert!(spam.marked && spam.score >= 5, "{spam:?}");
    let authentication = content.authentication.unwrap();
    assert_eq!(authentication.dkim.domain.as_deref(), Some("example.org"));
    assert!(authentication.dmarc.reason.unwrap().contains("reject"));
}

#[tokio::test]
async fn a_domain_without_records_leaves_it_open() {
    let authenticator = authenticator(&[]).await;
    let content = examined(&authenticator, MAIL, [192, 0, 2, 7]).await;
    assert_eq!(results(&content), [AuthResult::None; 4]);
    let broken = signed(MAIL);
    let content = examined(&authenticator, &broken, [192, 0, 2, 7]).await;
    assert_eq!(results(&content)[1], AuthResult::Permerror, "a signature without a key");
}

#[tokio::test]
async fn a_name_server_that_says_nothing_holds_a_mail_for_the_set_time_at_most() {
    let authenticator = with(deaf_name_server().await, 300);
    let began = Instant::now();
    let content = examined(&authenticator, &signed(MAIL), [192, 0, 2, 7]).await;
    assert_eq!(results(&content), [AuthResult::Temperror; 4]);
    assert!(began.elapsed() < Duration::from_millis(900), "{:?}", began.elapsed());
    assert!(!content.spam.unwrap().marked, "what is not known is no spam");
}

#[tokio::test]
async fn a_check_holds_its_place_until_it_ends_and_ends_in_time_though_its_client_has_left() {
    let small = signed(MAIL);
    let large = signed(&format!("{MAIL}{}", "x".repeat(2 * LOOK_HERE_MAX)));
    for mail in [small, large] {
        let authenticator = with(deaf_name_server().await, 400);
        let all = authenticator.0.places.available_permits();
        let free = || authenticator.0.places.available_permits();
        let left =
            tokio::time::timeout(Duration::from_millis(150), examined(&authenticator, &mail, [192, 0, 2, 7]));
        assert!(left.await.is_err(), "the name server says nothing");
        assert_eq!(free(), all - 1, "{} bytes: it is still looked at", mail.len());
        tokio::time::sleep(Duration::from_millis(700)).await;
        assert_eq!(free(), all, "{} bytes: its time is over", mail.len());
    }
}

#[tokio::test]
async fn a_forwarders_question_is_believed_with_its_signature_only() {
    let authenticator = authenticator(&[("one._domainkey.example.org.", public_key())]).await;
    for (signature, believed) in
        [(vec!["google.com".to_owned()], true), (vec!["example.org".to_owned()], false)]
    {
        let seen = mail::is_of_forwarder("forwarding-noreply@google.com", &signature);
        assert_eq!(seen, believed, "{signature:?}");
    }
    let evidence = Evidence { raw: signed(MAIL).into(), origin: None, upstream: Upstream::default() };
    let mut content = Content {
        evidence: Some(Arc::new(evidence)),
        confirmation: Some("https://mail.google.com/mail/vf-x".into()),
        ..Content::default()
    };
    authenticator.examine("forwarding-noreply@google.com", &mut content).await;
    assert_eq!(content.confirmation, None, "it is signed by somebody else");
}
