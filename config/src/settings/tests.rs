//! The layers, their errors, and the reference.

use std::io::Write as _;

use super::*;

fn load(file: &str, environment: &[(&str, &str)], overrides: &Overrides) -> Result<Loaded, SettingsError> {
    let mut written = tempfile::NamedTempFile::new().unwrap();
    written.write_all(file.as_bytes()).unwrap();
    let environment = environment.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
    Settings::load(Some(written.path()), environment, overrides)
}

#[test]
fn the_defaults_alone_are_good_and_name_no_listener() {
    let loaded = Settings::load(None, [], &Overrides::default()).unwrap();
    let settings = loaded.settings;
    let listeners: Vec<String> = settings.sip.listen.iter().map(ToString::to_string).collect();
    assert_eq!(listeners, ["udp:127.0.0.1:5060", "tcp:127.0.0.1:5060"]);
    assert!(settings.sip.listen.iter().all(|listener| !listener.named));
    assert!(!settings.http.listen_named);
    assert_eq!((settings.media.port_first, settings.media.port_last), (20_000, 52_000));
    assert_eq!(settings.journal.commit_window_ms, 5);
    assert_eq!(settings.sip.advertised_address, None);
    assert!(loaded.sources.values().all(|source| *source == Source::Default));
}

#[test]
fn a_flag_beats_a_variable_beats_the_file_and_each_is_remembered() {
    let file = "data_dir = 'from-file'\n[sip.limits]\ncalls_max = 7\n[http]\nlisten = '127.0.0.1:1111'\n";
    let overrides = Overrides { http: Some("127.0.0.1:3333".parse().unwrap()), ..Overrides::default() };
    let environment =
        [("VESTIBULE_SIP_LIMITS_CALLS_MAX", "8"), ("VESTIBULE_HTTP_LISTEN", "127.0.0.1:2222"), ("HOME", "x")];
    let Loaded { settings, sources } = load(file, &environment, &overrides).unwrap();
    assert_eq!(settings.data_dir, PathBuf::from("from-file"));
    assert_eq!(settings.sip.limits.calls_max, 8);
    assert_eq!(settings.http.listen.port(), 3333);
    assert!(settings.http.listen_named);
    assert!(matches!(sources["data_dir"], Source::File(_)));
    assert_eq!(
        sources["sip.limits.calls_max"],
        Source::Environment("VESTIBULE_SIP_LIMITS_CALLS_MAX".to_owned())
    );
    assert_eq!(sources["http.listen"], Source::Flag("--http"));
    assert_eq!(sources["log.level"], Source::Default);
}

#[test]
fn the_sip_flag_opens_both_transports_and_names_them() {
    let overrides = Overrides { sip: Some("127.0.0.1:5070".parse().unwrap()), ..Overrides::default() };
    let settings = Settings::load(None, [], &overrides).unwrap().settings;
    assert_eq!(settings.sip.listen.len(), 2);
    assert!(settings.sip.listen.iter().all(|l| l.named && l.address.port() == 5070));
}

#[test]
fn a_list_in_a_variable_is_separated_by_commas() {
    let settings =
        load("", &[("VESTIBULE_SIP_LISTEN", "udp:0.0.0.0:5060, tcp:[::1]:5062")], &Overrides::default())
            .unwrap()
            .settings;
    assert_eq!(settings.sip.listen[1].to_string(), "tcp:[::1]:5062");
}

#[test]
fn an_unknown_key_is_an_error_that_names_the_nearest_one() {
    let error = load("[sip]\ndcsp = 3\n", &[], &Overrides::default()).unwrap_err().to_string();
    assert!(error.contains("sip.dcsp") && error.contains("did you mean sip.dscp?"), "{error}");
    let error = load("", &[("VESTIBULE_LOG_LEVELL", "info")], &Overrides::default()).unwrap_err().to_string();
    assert!(error.contains("did you mean VESTIBULE_LOG_LEVEL?"), "{error}");
    let error = load("[quux]\nfrobnicate = 3\n", &[], &Overrides::default()).unwrap_err().to_string();
    assert!(error.contains("quux.frobnicate") && error.contains("remove it"), "{error}");
}

#[test]
fn plain_http_to_other_machines_has_to_be_asked_for() {
    let asked = "[http]\nlisten = '0.0.0.0:8080'\nplain_beyond_loopback = true\n";
    load(asked, &[], &Overrides::default()).unwrap();
    load("[http]\nlisten = '[::1]:8080'\n", &[], &Overrides::default()).unwrap();
}

#[test]
fn a_certificate_by_acme_needs_no_file() {
    let loaded = load(&acme("domains = ['gw.example.com']\nagree_terms = true"), &[], &Overrides::default());
    assert!(loaded.unwrap().settings.http.tls.has_certificates());
}

/// A listener with a certificate by ACME.
fn acme(settings: &str) -> String {
    let certificates = if settings.starts_with("contacts") { "certificates = ['a.pem']\n" } else { "" };
    format!("[http.tls]\nlisten = '127.0.0.1:8443'\n{certificates}[http.tls.acme]\n{settings}\n")
}

#[test]
fn a_bad_value_names_its_key_and_its_layer() {
    for (file, environment, wanted) in [
        ("[sip]\nlisten = ['sctp:1.2.3.4:5']\n", None, "sip.listen"),
        ("[sip]\nrealm = ''\n", None, "at least one character"),
        ("[sip]\nlisten = ['tls:127.0.0.1:5061']\n", None, "sip.tls.certificates"),
        ("[http.tls]\nlisten = '127.0.0.1:8443'\n", None, "http.tls.certificates"),
        ("[http]\nlisten = '0.0.0.0:8080'\n", None, "http.plain_beyond_loopback"),
        ("", Some(("VESTIBULE_HTTP_LISTEN", "[::]:8080")), "http.tls.listen"),
        (&acme("domains = ['gw.example.com']"), None, "http.tls.acme.agree_terms"),
        ("[http.tls.acme]\ndomains = ['gw.example.com']\nagree_terms = true\n", None, "set http.tls.listen"),
        (&acme("domains = ['*.example.com']\nagree_terms = true"), None, "without wildcard"),
        (&acme("domains = ['192.0.2.1']\nagree_terms = true"), None, "a host name in full"),
        (&acme("contacts = ['mailto:ops@example.com']"), None, "http.tls.acme.contacts"),
        (&acme("domains = ['a.example']\nagree_terms = true\ndirectory = 'http://a.b'"), None, "https://"),
        ("[sip.tls]\nclient_certificates = 'optional'\n", None, "sip.tls.client_ca"),
        ("[sip.tls]\nclient_certificates = 'perhaps'\n", None, "sip.tls.client_certificates"),
        ("[sip]\ndscp = 300\n", None, "sip.dscp"),
        ("[media]\nbind_address = '0.0.0.0'\n", None, "media.advertised_address"),
        ("[media]\nport_first = 30000\nport_last = 30001\n", None, "at least one pair"),
        ("", Some(("VESTIBULE_SIP_DSCP", "many")), "VESTIBULE_SIP_DSCP"),
        ("", Some(("VESTIBULE_ROUTING_ARM_NEW", "perhaps")), "neither true nor false"),
        ("[log]\nformat = 'xml'\n", None, "log.format"),
    ] {
        let environment: Vec<_> = environment.into_iter().collect();
        let error = load(file, &environment, &Overrides::default()).unwrap_err().to_string();
        assert!(error.contains(wanted), "{error}");
    }
}

#[test]
fn a_file_that_is_missing_or_no_toml_is_named() {
    let missing = Settings::load(Some("no-such-file.toml".as_ref()), [], &Overrides::default());
    assert!(missing.unwrap_err().to_string().contains("no-such-file.toml"));
    assert!(matches!(load("= 3", &[], &Overrides::default()), Err(SettingsError::NotToml { .. })));
}

#[test]
fn every_key_is_documented_where_it_stands() {
    let mut documented = false;
    for line in DEFAULTS.lines() {
        let is_key = line.contains(" = ") && !line.starts_with('#');
        assert!(!is_key || documented, "no comment above: {line}");
        documented = line.starts_with('#');
    }
}
