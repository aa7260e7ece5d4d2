use rcgen::ExtendedKeyUsagePurpose;
use rustls::pki_types::{CertificateDer, pem::PemObject};

use super::{
    identity::not_after,
    testing::{Authority, Says},
    *,
};

fn opened(settings: &SipTls) -> Result<Tls, TlsError> {
    Tls::open(settings, SipMetrics::unregistered().unwrap())
}

fn identities(authority: &Authority, says: Says<'_>) -> Vec<String> {
    let certificate = CertificateDer::from_pem_file(authority.write("one.pem", says)).unwrap();
    Identities::of(&certificate).iter().map(str::to_owned).collect()
}

#[test]
fn sip_uris_name_the_holder_else_dns_names_and_never_the_common_name() {
    let authority = Authority::new();
    let names = ["Dns.example", "*.wild.example"];
    let uris = ["sip:Carrier.example", "sip:ann@user.example", "https://web.example", "sips:secure.example"];
    assert_eq!(
        identities(&authority, Says { uris: &uris, names: &names, ..Says::default() }),
        ["carrier.example"]
    );
    assert_eq!(identities(&authority, Says::name(&names)), ["dns.example"]);
    let common_name = "cn.example";
    assert!(identities(&authority, Says { common_name, ..Says::default() }).is_empty());
    let only_users = ["sip:ann@user.example"];
    let says = Says { uris: &only_users, names: &["dns.example"], ..Says::default() };
    assert_eq!(identities(&authority, says), ["dns.example"]);
}

#[test]
fn domains_are_compared_as_a_whole() {
    let own: Identities = ["Carrier.example".to_owned()].into_iter().collect();
    assert!(own.contains("carrier.EXAMPLE") && own.contains("carrier.example."));
    assert!(!own.contains("sip.carrier.example") && !own.contains("example") && !own.contains(""));
}

#[test]
fn the_end_of_a_certificate_is_read_in_both_forms_of_time() {
    let authority = Authority::new();
    for (expired, wanted) in [(true, "2021-01-01T00:00:00Z"), (false, "2051-06-01T00:00:00Z")] {
        let path = authority.write("one.pem", Says { expired, ..Says::name(&["a.example"]) });
        let certificate = CertificateDer::from_pem_file(path).unwrap();
        let wanted: jiff::Timestamp = wanted.parse().unwrap();
        assert_eq!(not_after(&certificate), Some(wanted.as_second()));
        for length in 0..certificate.len() {
            // Cut short, it may be unreadable, and nothing worse.
            let _read = not_after(&CertificateDer::from(&certificate[..length])).is_some();
        }
    }
}

#[test]
fn what_cannot_be_used_at_the_start_is_named_with_its_file() {
    let authority = Authority::new();
    let good = authority.write("good.pem", Says::name(&["a.example"]));
    let other = std::fs::read_to_string(authority.write("other.pem", Says::name(&["b.example"]))).unwrap();
    let text = std::fs::read_to_string(&good).unwrap();
    let (chain, key) = text.split_at(text.find("-----BEGIN PRIVATE").unwrap());
    let bad = authority.folder().join("bad.pem");
    let foreign_key = chain.to_owned() + other.split_at(other.find("-----BEGIN PRIVATE").unwrap()).1;
    for (content, wanted) in [
        ("", "no certificate"),
        (key, "no certificate"),
        (chain, "no private key"),
        (text.split_at(200).0, "no good PEM"),
        (&foreign_key, "cannot be used"),
    ] {
        std::fs::write(&bad, content).unwrap();
        let settings = authority.settings(vec![good.clone(), bad.clone()], ClientCertificates::None);
        let error = opened(&settings).unwrap_err().to_string();
        assert!(error.contains(wanted) && error.contains("bad.pem"), "{error}");
    }
    let mut settings = authority.settings(vec![good], ClientCertificates::Optional);
    settings.client_ca = Some("missing.crt".into());
    assert!(opened(&settings).unwrap_err().to_string().contains("missing.crt"));
}

#[test]
fn a_folder_stands_for_its_files_with_their_keys_beside_them() {
    let authority = Authority::new();
    let folder = authority.folder().join("pairs");
    std::fs::create_dir(&folder).unwrap();
    authority.write("pairs/b.pem", Says::name(&["b.example"]));
    let apart = std::fs::read_to_string(authority.write("apart", Says::name(&["a.example"]))).unwrap();
    let (chain, key) = apart.split_at(apart.find("-----BEGIN PRIVATE").unwrap());
    std::fs::write(folder.join("a.crt"), chain).unwrap();
    std::fs::write(folder.join("a.key"), key).unwrap();
    let settings = authority.settings(vec![folder.clone()], ClientCertificates::None);
    let names =
        |tls: &Tls| tls.files.lock().unwrap().pairs().map(|pair| pair.name().to_owned()).collect::<Vec<_>>();
    let tls = opened(&settings).unwrap();
    assert_eq!(names(&tls), ["a.example", "b.example"]);
    std::fs::write(folder.join("fullchain.pem"), chain).unwrap();
    std::fs::write(folder.join("privkey.pem"), key).unwrap();
    tls.reload(false);
    assert_eq!(names(&tls), ["a.example"], "the usual names mean one pair");
}

#[test]
fn a_broken_file_keeps_the_certificate_before_it_and_is_counted() {
    let authority = Authority::new();
    let path = authority.write("one.pem", Says::name(&["a.example"]));
    let tls = opened(&authority.settings(vec![path.clone()], ClientCertificates::None)).unwrap();
    let expiry = |name: &str| tls.metrics.tls_certificate_expiry.with_label_values(&[name]).get();
    assert_eq!(expiry("a.example"), 2_569_190_400);
    std::fs::write(&path, "half a fi").unwrap();
    tls.reload(false);
    assert_eq!(tls.metrics.tls_files_failed.get(), 1);
    assert_eq!(expiry("a.example"), 2_569_190_400, "it is still there");
    tls.reload(false);
    assert_eq!(tls.metrics.tls_files_failed.get(), 1, "said once");
    authority.write("one.pem", Says { expired: true, ..Says::name(&["b.example"]) });
    tls.reload(false);
    assert_eq!((tls.metrics.tls_files_failed.get(), expiry("b.example")), (1, 1_609_459_200));
}

#[test]
fn nothing_is_read_again_while_the_files_look_the_same_unless_asked() {
    let authority = Authority::new();
    let path = authority.write("one.pem", Says::name(&["a.example"]));
    let tls = opened(&authority.settings(vec![path], ClientCertificates::None)).unwrap();
    let first = tls.current.load_full();
    tls.reload(false);
    assert!(Arc::ptr_eq(&first, &tls.current.load_full()));
    tls.reload(true);
    assert!(!Arc::ptr_eq(&first, &tls.current.load_full()));
}

#[test]
fn a_certificate_for_servers_is_good_for_clients_but_one_for_neither_is_not() {
    let authority = Authority::new();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(authority.file()).unwrap()).unwrap();
    let verifier = SipClientVerifier::shared(roots.into(), false, &provider).unwrap();
    let judged = |purpose, expired| {
        let says = Says { purpose, expired, ..Says::name(&["a.example"]) };
        let certificate = CertificateDer::from_pem_file(authority.write("one.pem", says)).unwrap();
        verifier.verify_client_cert(&certificate, &[], rustls::pki_types::UnixTime::now()).is_ok()
    };
    assert!(judged(None, false) && judged(Some(ExtendedKeyUsagePurpose::ClientAuth), false));
    assert!(judged(Some(ExtendedKeyUsagePurpose::ServerAuth), false));
    assert!(!judged(Some(ExtendedKeyUsagePurpose::CodeSigning), false));
    assert!(!judged(Some(ExtendedKeyUsagePurpose::ServerAuth), true));
}
