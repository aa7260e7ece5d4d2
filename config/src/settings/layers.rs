//! The layers of settings, and where each value came from.

use std::{collections::BTreeMap, fmt, net::SocketAddr, path::PathBuf, str::FromStr};

use serde::Deserialize;
use toml::{Table, Value};

use super::{ClientCertificates, Http, Settings, Transport, Tts, identity, message_media};

/// Every key with its default and meaning: the reference, and the lowest layer.
pub const DEFAULTS: &str = include_str!("../defaults.toml");

/// What was given as flags.
#[derive(Clone, Debug, Default)]
pub struct Overrides {
    /// `--data-dir`.
    pub data_dir: Option<PathBuf>,
    /// `--sip`: opens UDP and TCP on this address, in place of `sip.listen`.
    pub sip: Option<SocketAddr>,
    /// `--http`.
    pub http: Option<SocketAddr>,
}

/// The layer a value came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// `defaults.toml`.
    Default,
    /// The settings file.
    File(PathBuf),
    /// A variable of the environment.
    Environment(String),
    /// A flag of the command line.
    Flag(&'static str),
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("the defaults"),
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Environment(name) => write!(f, "the variable {name}"),
            Self::Flag(name) => write!(f, "the flag {name}"),
        }
    }
}

/// The layer of each key, by its path (`sip.limits.calls_max`).
pub type Sources = BTreeMap<String, Source>;

/// Settings with their sources.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The settings.
    pub settings: Settings,
    /// Where each value came from.
    pub sources: Sources,
}

/// Why settings cannot be used; the process ends with code 64.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// The file cannot be read.
    #[error("the settings file {path} cannot be read: {cause}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        cause: std::io::Error,
    },
    /// The file is not TOML.
    #[error("the settings file {path} is not TOML: {cause}")]
    NotToml {
        /// The file.
        path: PathBuf,
        /// Where and why.
        cause: Box<toml::de::Error>,
    },
    /// A key that does not exist.
    #[error("{source_layer} has the setting {key}, which does not exist{}", remedy(.nearest))]
    UnknownKey {
        /// Where it stands.
        source_layer: Source,
        /// The key or variable.
        key: String,
        /// The key that may have been meant.
        nearest: Option<String>,
    },
    /// A value that the key does not take.
    #[error("{key}, from {source_layer}: {reason}")]
    BadValue {
        /// The key.
        key: String,
        /// Where it stands.
        source_layer: Source,
        /// What is wrong, and what would be right.
        reason: String,
    },
}

fn remedy(nearest: &Option<String>) -> String {
    nearest.as_ref().map_or_else(|| "; remove it".to_owned(), |key| format!("; did you mean {key}?"))
}

impl Settings {
    /// Reads all layers. `environment` is every variable of the process; others than `VESTIBULE_…` are
    /// passed over, and so are those that stand for flags: `VESTIBULE_CONFIG`, and those of the command line.
    ///
    /// # Errors
    /// See [`SettingsError`]; each names the key, the layer and a remedy.
    pub fn load(
        file: Option<&std::path::Path>,
        environment: impl IntoIterator<Item = (String, String)>,
        overrides: &Overrides,
    ) -> Result<Loaded, SettingsError> {
        let mut layers = Layers::new()?;
        if let Some(path) = file {
            layers.file(path)?;
        }
        for (name, text) in environment {
            if name.starts_with("VESTIBULE_") && !NO_SETTINGS.contains(&name.as_str()) {
                layers.variable(&name, &text)?;
            }
        }
        layers.flags(overrides);
        layers.finish()
    }
}

/// Variables that stand for flags, and are no settings.
const NO_SETTINGS: [&str; 3] = ["VESTIBULE_CONFIG", "VESTIBULE_URL", "VESTIBULE_API_KEY"];

struct Layers {
    values: BTreeMap<String, Value>,
    sources: Sources,
}

impl Layers {
    fn new() -> Result<Self, SettingsError> {
        let table: Table = DEFAULTS.parse().map_err(|cause| SettingsError::NotToml {
            path: "defaults.toml".into(),
            cause: Box::new(cause),
        })?;
        let mut values = BTreeMap::new();
        flatten("", table, &mut values);
        let sources = values.keys().map(|key| (key.clone(), Source::Default)).collect();
        Ok(Self { values, sources })
    }

    fn file(&mut self, path: &std::path::Path) -> Result<(), SettingsError> {
        let text = std::fs::read_to_string(path)
            .map_err(|cause| SettingsError::Unreadable { path: path.to_owned(), cause })?;
        let table: Table = text
            .parse()
            .map_err(|cause| SettingsError::NotToml { path: path.to_owned(), cause: Box::new(cause) })?;
        let mut found = BTreeMap::new();
        flatten("", table, &mut found);
        for (key, value) in found {
            self.set(key, value, Source::File(path.to_owned()))?;
        }
        Ok(())
    }

    fn variable(&mut self, name: &str, text: &str) -> Result<(), SettingsError> {
        let source = Source::Environment(name.to_owned());
        let Some((key, default)) = self.values.iter().find(|(key, _)| variable_of(key) == name) else {
            let nearest = nearest(name, self.values.keys().map(|key| variable_of(key)));
            return Err(SettingsError::UnknownKey { source_layer: source, key: name.to_owned(), nearest });
        };
        let key = key.clone();
        let bad = |reason: String| SettingsError::BadValue {
            key: key.clone(),
            source_layer: source.clone(),
            reason,
        };
        let value = match default {
            Value::Integer(_) => Value::Integer(
                text.trim().parse().map_err(|_| bad(format!("\"{text}\" is not a whole number")))?,
            ),
            Value::Boolean(_) => Value::Boolean(
                text.trim().parse().map_err(|_| bad(format!("\"{text}\" is neither true nor false")))?,
            ),
            Value::Array(_) => Value::Array(
                text.split(',')
                    .map(str::trim)
                    .filter(|part| !part.is_empty())
                    .map(|part| Value::String(part.to_owned()))
                    .collect(),
            ),
            Value::String(_) | Value::Float(_) | Value::Datetime(_) | Value::Table(_) => {
                Value::String(text.to_owned())
            }
        };
        self.set(key, value, Source::Environment(name.to_owned()))
    }

    fn flags(&mut self, overrides: &Overrides) {
        let mut set = |key: &str, value: Value, flag: &'static str| {
            self.values.insert(key.to_owned(), value);
            self.sources.insert(key.to_owned(), Source::Flag(flag));
        };
        if let Some(path) = &overrides.data_dir {
            set("data_dir", Value::String(path.to_string_lossy().into_owned()), "--data-dir");
        }
        if let Some(address) = overrides.sip {
            let both = ["udp", "tcp"].map(|transport| Value::String(format!("{transport}:{address}")));
            set("sip.listen", Value::Array(both.to_vec()), "--sip");
        }
        if let Some(address) = overrides.http {
            set("http.listen", Value::String(address.to_string()), "--http");
        }
    }

    fn set(&mut self, key: String, value: Value, source: Source) -> Result<(), SettingsError> {
        if !self.values.contains_key(&key) {
            let nearest = nearest(&key, self.values.keys().cloned());
            return Err(SettingsError::UnknownKey { source_layer: source, key, nearest });
        }
        self.sources.insert(key.clone(), source);
        self.values.insert(key, value);
        Ok(())
    }

    fn source(&self, key: &str) -> Source {
        self.sources.get(key).cloned().unwrap_or(Source::Default)
    }

    fn finish(self) -> Result<Loaded, SettingsError> {
        let mut root = Table::new();
        for (key, value) in &self.values {
            insert(&mut root, key, value.clone());
        }
        let mut settings: Settings =
            serde_path_to_error::deserialize(Value::Table(root)).map_err(|error| {
                let path = error.path().to_string();
                // An element of a list has its source at the list.
                let key = path.split('[').next().unwrap_or_default().trim_end_matches('.').to_owned();
                SettingsError::BadValue {
                    source_layer: self.source(&key),
                    key,
                    reason: error.into_inner().to_string().trim().to_owned(),
                }
            })?;
        let named = self.source("sip.listen") != Source::Default;
        for listener in &mut settings.sip.listen {
            listener.named = named;
        }
        settings.smtp.listen_named = self.source("smtp.listen") != Source::Default;
        settings.http.listen_named = self.source("http.listen") != Source::Default;
        self.check(&settings)?;
        Ok(Loaded { settings, sources: self.sources })
    }

    /// Ranges, and what two settings say together.
    fn check(&self, settings: &Settings) -> Result<(), SettingsError> {
        let edges = edge_faults(settings);
        match edges
            .into_iter()
            .chain(http_faults(&settings.http))
            .chain(mail_faults(settings))
            .chain(inner_faults(settings))
            .chain(message_media::faults(&settings.message_media))
            .chain(identity::faults(&settings.identity))
            .find(|(_, wrong, _)| *wrong)
        {
            None => Ok(()),
            Some((key, _, reason)) => Err(SettingsError::BadValue {
                key: key.to_owned(),
                source_layer: self.source(key),
                reason: reason.to_owned(),
            }),
        }
    }
}

/// A key, whether its value is wrong, and why.
pub(super) type Fault = (&'static str, bool, &'static str);

/// What may be wrong with signalling, media and carriers.
fn edge_faults(settings: &Settings) -> Vec<Fault> {
    let Settings { sip, media, carriers, .. } = settings;
    let pairs = media.port_last.saturating_sub(media.port_first) / 2;
    let zero = |n: usize| n == 0;
    vec![
        ("sip.listen", sip.listen.is_empty(), "name at least one listener"),
        (
            "sip.tls.certificates",
            sip.tls.certificates.is_empty() && sip.listen.iter().any(|one| one.transport == Transport::Tls),
            "a listener of sip.listen speaks TLS: name its certificate",
        ),
        (
            "sip.tls.client_ca",
            sip.tls.client_ca.is_none() && sip.tls.client_certificates != ClientCertificates::None,
            "name the authorities that client certificates are believed from",
        ),
        ("sip.dscp", sip.dscp > 63, "a code point lies between 0 and 63"),
        ("sip.realm", sip.realm.is_empty(), "a realm has at least one character"),
        ("sip.session_min_seconds", sip.session_min_seconds < 90, "RFC 4028 asks for at least 90"),
        (
            "sip.session_expires_seconds",
            sip.session_expires_seconds < sip.session_min_seconds,
            "must not lie under sip.session_min_seconds",
        ),
        ("sip.limits.calls_max", zero(sip.limits.calls_max), "must be at least 1"),
        (
            "sip.limits.transactions_max",
            sip.limits.transactions_max < sip.limits.calls_max,
            "every call needs a transaction: must not lie under sip.limits.calls_max",
        ),
        ("sip.limits.inbox_messages_max", zero(sip.limits.inbox_messages_max), "must be at least 1"),
        ("sip.overload.delay_ms", sip.overload.delay_ms == 0, "must be at least 1"),
        ("sip.overload.tasks_waiting_max", zero(sip.overload.tasks_waiting_max), "must be at least 1"),
        ("sip.ping.answer_seconds", !(1..=32).contains(&sip.ping.answer_seconds), "must be from 1 to 32"),
        ("sip.ping.losses_max", sip.ping.losses_max == 0, "must be at least 1"),
        ("media.dscp", media.dscp > 63, "a code point lies between 0 and 63"),
        ("media.port_first", media.port_first < 1024, "ports under 1024 are reserved by the system"),
        ("media.port_last", pairs == 0, "the range must hold at least one pair of ports"),
        ("media.calls_max", zero(media.calls_max), "must be at least 1"),
        ("carriers.answer_seconds", !(1..=120).contains(&carriers.answer_seconds), "must be from 1 to 120"),
        (
            "carriers.settle_seconds",
            carriers.settle_seconds < carriers.answer_seconds.saturating_mul(2),
            "must be at least twice carriers.answer_seconds",
        ),
        ("carriers.poll_seconds", carriers.poll_seconds == 0, "must be at least 1"),
        ("carriers.searches_max", zero(carriers.searches_max), "must be at least 1"),
        (
            "media.advertised_address",
            media.sdp_address().is_unspecified(),
            "callers cannot send to an unspecified address: name the one that they reach us by",
        ),
    ]
}

/// What may be wrong with HTTP.
fn http_faults(http: &Http) -> Vec<Fault> {
    let acme = &http.tls.acme;
    let asked = !acme.domains.is_empty();
    vec![
        (
            "http.listen",
            !http.listen.ip().is_loopback() && !http.plain_beyond_loopback,
            "other machines would send their keys over plain HTTP: serve them by http.tls.listen; or, behind a proxy \
             that speaks TLS or in a network of its own, set http.plain_beyond_loopback to true",
        ),
        (
            "http.tls.acme.agree_terms",
            asked && !acme.agree_terms,
            "read the authority's terms of service, and set it to true if you agree: without it no certificate is \
             obtained",
        ),
        (
            "http.tls.acme.domains",
            asked && http.tls.listen.is_none(),
            "the authority proves the names by a connection to us: set http.tls.listen",
        ),
        (
            "http.tls.acme.domains",
            !acme.domains.iter().all(|name| is_host_name(name)),
            "a name is a host name in full, without wildcard, as www.example.com (others in their form of xn--)",
        ),
        (
            "http.tls.acme.contacts",
            !acme.contacts.iter().all(|contact| contact.contains('@') && !contact.contains([':', ' '])),
            "a contact is a mail address, as ops@example.com",
        ),
        (
            "http.tls.acme.directory",
            asked && !acme.directory.starts_with("https://"),
            "a directory is a URL that begins with https://",
        ),
        ("http.tls.acme.retry_seconds", acme.retry_seconds == 0, "must be at least 1"),
    ]
}

/// Whether a text is a full name of the DNS.
fn is_host_name(name: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    name.len() <= 253
        && name.contains('.')
        && name.split('.').all(label)
        && name.parse::<std::net::Ipv4Addr>().is_err()
}

/// What may be wrong with mail.
fn mail_faults(settings: &Settings) -> Vec<Fault> {
    let Settings { smtp, mail, .. } = settings;
    let zero = |n: usize| n == 0;
    vec![
        (
            "chat.uploads_parallel_max",
            !(1..=256).contains(&settings.chat.uploads_parallel_max),
            "must be from 1 to 256: each holds a file in memory",
        ),
        ("chat.uploads_kept_hours", settings.chat.uploads_kept_hours == 0, "must be at least 1"),
        (
            "smtp.host",
            smtp.host.is_empty()
                || !smtp.host.bytes().all(|b| b.is_ascii_alphanumeric() || b"-.".contains(&b)),
            "a host name has letters, digits, hyphens and dots",
        ),
        ("smtp.mail_bytes_max", smtp.mail_bytes_max < 65536, "RFC 5321 asks for at least 65536"),
        (
            "smtp.memory_bytes_max",
            smtp.memory_bytes_max < smtp.mail_bytes_max.saturating_add(1 << 20),
            "must hold one mail of smtp.mail_bytes_max, and a MiB more",
        ),
        ("smtp.recipients_max", smtp.recipients_max < 100, "RFC 5321 asks for at least 100"),
        ("smtp.mails_max", zero(smtp.mails_max), "must be at least 1"),
        ("smtp.connections_max", zero(smtp.connections_max), "must be at least 1"),
        ("smtp.connections_per_source_max", zero(smtp.connections_per_source_max), "must be at least 1"),
        ("smtp.greeting_delay_ms", smtp.greeting_delay_ms > 10_000, "must not exceed 10000"),
        ("smtp.command_seconds", smtp.command_seconds == 0, "must be at least 1"),
        ("smtp.mail_seconds", smtp.mail_seconds == 0, "must be at least 1"),
        (
            "mail.authentication_ms",
            !(100..=60_000).contains(&mail.authentication_ms),
            "must be from 100 to 60000: senders wait as long",
        ),
        ("mail.authentications_max", zero(mail.authentications_max), "must be at least 1"),
        ("mail.domain_check_minutes", mail.domain_check_minutes == 0, "must be at least 1"),
        ("mail.spam_score", mail.spam_score == 0, "must be at least 1"),
    ]
}

/// What may be wrong with the rest.
fn inner_faults(settings: &Settings) -> Vec<Fault> {
    let Settings { http, journal, routing, hand_off, recordings, tts, .. } = settings;
    let zero = |n: usize| n == 0;
    vec![
        ("http.body_bytes_max", http.body_bytes_max < 1024, "must be at least 1024"),
        (
            "http.tls.certificates",
            !http.tls.has_certificates() && http.tls.listen.is_some(),
            "http.tls.listen speaks TLS: name its certificate, or have one obtained by http.tls.acme.domains",
        ),
        ("http.webhook_bytes_max", http.webhook_bytes_max < 1024, "must be at least 1024"),
        (
            "http.mail_webhook_bytes_max",
            http.mail_webhook_bytes_max < http.webhook_bytes_max,
            "must not lie under http.webhook_bytes_max",
        ),
        ("http.connections_max", zero(http.connections_max), "must be at least 1"),
        ("journal.commit_window_ms", journal.commit_window_ms > 1000, "must not exceed 1000"),
        ("journal.queue_events_max", zero(journal.queue_events_max), "must be at least 1"),
        (
            "journal.free_space_warn_bytes",
            journal.free_space_warn_bytes < journal.free_space_stop_bytes,
            "must not lie under journal.free_space_stop_bytes",
        ),
        ("routing.revisions_kept_max", routing.revisions_kept_max < 11, "must be at least 11"),
        (
            "routing.recordings_unused_days",
            routing.recordings_unused_days == 0,
            "must be at least 1: an upload comes before the document that names it",
        ),
        ("hand_off.ring_seconds", !(1..=600).contains(&hand_off.ring_seconds), "must be from 1 to 600"),
        ("recordings.days_kept", recordings.days_kept == 0, "must be at least 1"),
        (
            "recordings.seconds_max",
            !(60..=86_400).contains(&recordings.seconds_max),
            "must be from 60 to 86400",
        ),
        (
            "tts.timeout_seconds",
            !(1..=600).contains(&tts.timeout_seconds),
            "must be from 1 to 600: a publish waits for it",
        ),
        (
            "tts.voice",
            !Tts::is_voice(&tts.voice),
            "must be at most 64 letters, digits and . _ + -, beginning with a letter or digit",
        ),
        ("tts.text_chars_max", zero(tts.text_chars_max), "must be at least 1"),
        ("tts.parallel_max", !(1..=64).contains(&tts.parallel_max), "must be from 1 to 64"),
    ]
}

/// Reads an empty text as none.
pub(super) fn optional<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: serde::Deserializer<'de>,
    T: FromStr,
    T::Err: fmt::Display,
{
    let text = String::deserialize(deserializer)?;
    if text.is_empty() {
        return Ok(None);
    }
    text.parse().map(Some).map_err(|error| serde::de::Error::custom(format!("\"{text}\": {error}")))
}

fn variable_of(key: &str) -> String {
    format!("VESTIBULE_{}", key.replace('.', "_").to_uppercase())
}

fn flatten(prefix: &str, table: Table, out: &mut BTreeMap<String, Value>) {
    for (key, value) in table {
        let path = if prefix.is_empty() { key } else { format!("{prefix}.{key}") };
        match value {
            Value::Table(inner) => flatten(&path, inner, out),
            other => {
                out.insert(path, other);
            }
        }
    }
}

fn insert(root: &mut Table, key: &str, value: Value) {
    match key.split_once('.') {
        None => {
            root.insert(key.to_owned(), value);
        }
        Some((head, rest)) => {
            let inner = root.entry(head.to_owned()).or_insert_with(|| Value::Table(Table::new()));
            if let Value::Table(table) = inner {
                insert(table, rest, value);
            }
        }
    }
}

/// The known name nearest to a mistyped one, when it is near enough to be meant.
fn nearest(name: &str, known: impl Iterator<Item = String>) -> Option<String> {
    let allowed = (name.len() / 4).max(2);
    known
        .map(|candidate| (distance(name, &candidate), candidate))
        .filter(|(distance, _)| *distance <= allowed)
        .min()
        .map(|(_, candidate)| candidate)
}

/// Levenshtein distance.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = row.first().copied().unwrap_or_default();
        if let Some(first) = row.first_mut() {
            *first = i + 1;
        }
        for (j, y) in b.iter().enumerate() {
            let substituted = diagonal + usize::from(x != *y);
            diagonal = row.get(j + 1).copied().unwrap_or_default();
            let left = row.get(j).copied().unwrap_or_default();
            if let Some(cell) = row.get_mut(j + 1) {
                *cell = substituted.min(diagonal + 1).min(left + 1);
            }
        }
    }
    row.last().copied().unwrap_or_default()
}
