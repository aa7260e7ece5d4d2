//! Settings of the process: defaults < file < environment < flags.
//!
//! Every key stands, with its default and meaning, in `defaults.toml`; nothing else is taken. Each value
//! remembers the layer it came from, so that an error can name the place to mend.

use std::{
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    time::Duration,
};

use serde::Deserialize;

mod audit;
mod guard;
mod identity;
mod layers;
mod listener;
mod mail;
mod message_media;
mod target;

pub use audit::Audit;
pub use guard::Guard;
pub use identity::{Identity, PublicUrl};
pub use layers::{DEFAULTS, Loaded, Overrides, SettingsError, Source, Sources};
pub use listener::{Listener, Transport};
pub use mail::Mail;
pub use message_media::{MediaTypes, MessageMedia};
pub use target::{AllowedTarget, DnsServer};

/// Everything that is set at the start of the process.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Folder of the journal, the configuration store and recordings.
    pub data_dir: PathBuf,
    /// SIP listeners and their limits.
    pub sip: Sip,
    /// RTP sockets and threads.
    pub media: Media,
    /// Control API, health and metrics.
    pub http: Http,
    /// The console's pages.
    pub console: Console,
    /// The journal's commit window, queue and retention.
    pub journal: Journal,
    /// How routing documents are treated.
    pub routing: Routing,
    /// The end of the process.
    pub drain: Drain,
    /// Conversations of messages.
    pub conversations: Conversations,
    /// Files of messages that lie elsewhere.
    pub message_media: MessageMedia,
    /// Chats with visitors of pages.
    pub chat: Chat,
    /// Our own mail server.
    pub smtp: Smtp,
    /// What is found out of mails, and kept of them.
    pub mail: Mail,
    /// Users, keys and sessions.
    pub identity: Identity,
    /// The audit log.
    pub audit: Audit,
    /// Taking a revision back that callers fare badly under.
    pub guard: Guard,
    /// Waiting in queues.
    pub queue: Queue,
    /// Whom contacts may be handed to.
    pub hand_off: HandOff,
    /// Recordings of calls.
    pub recordings: Recordings,
    /// Web services that IVRs may ask.
    pub data_dip: DataDip,
    /// Speech for text prompts.
    pub tts: Tts,
    /// What we have to do with carriers.
    pub carriers: Carriers,
    /// Secrets that the gateway keeps.
    pub secrets: Secrets,
    /// Logging.
    pub log: Log,
}

/// `[sip]`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sip {
    /// Sockets that take SIP.
    pub listen: Vec<Listener>,
    /// Address that carriers reach us by; none means each listener's own.
    #[serde(deserialize_with = "layers::optional")]
    pub advertised_address: Option<IpAddr>,
    /// Name servers that are asked where targets are; none means those of the system.
    pub dns_servers: Vec<DnsServer>,
    /// Differentiated services code point, 0–63.
    pub dscp: u8,
    /// Realm of digest authentication.
    pub realm: String,
    /// Socket buffer in bytes.
    pub socket_buffer_bytes: usize,
    /// The Server header; empty for none.
    pub user_agent: String,
    /// Smallest session interval, seconds (RFC 4028 §5).
    pub session_min_seconds: u32,
    /// Longest session interval, seconds.
    pub session_expires_seconds: u32,
    /// Bounds.
    pub limits: SipLimits,
    /// When new calls are refused.
    pub overload: SipOverload,
    /// Certificates of TLS listeners and connections.
    pub tls: SipTls,
    /// Whether trunks are there.
    pub ping: SipPing,
}

/// `[sip.limits]`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SipLimits {
    /// Calls at once.
    pub calls_max: usize,
    /// Server transactions at once.
    pub transactions_max: usize,
    /// TCP and TLS connections at once.
    pub tcp_connections_max: usize,
    /// TCP and TLS connections at once from one source address.
    pub tcp_connections_per_source_max: usize,
    /// Seconds of silence after which a TCP or TLS connection is closed.
    pub tcp_idle_seconds: u64,
    /// Bytes of recent messages kept for traces; 0 for none.
    pub capture_bytes_max: usize,
    /// Messages that wait for the SIP thread.
    pub inbox_messages_max: usize,
}

/// `[sip.overload]`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SipOverload {
    /// Queue delay over which new INVITEs are refused, milliseconds.
    pub delay_ms: u64,
    /// How long that delay must last, milliseconds.
    pub lasting_ms: u64,
    /// New calls are refused while more tasks than this, for each core, have not had their turn.
    pub tasks_waiting_max: usize,
    /// Retry-After, seconds.
    pub retry_after_seconds: u32,
}

/// `[sip.tls]`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SipTls {
    /// Files or folders of our certificates and their keys; the first is the default.
    pub certificates: Vec<PathBuf>,
    /// File of the authorities that client certificates are believed from.
    #[serde(deserialize_with = "layers::optional")]
    pub client_ca: Option<PathBuf>,
    /// Whether those who connect must prove themselves by a certificate.
    pub client_certificates: ClientCertificates,
    /// File of the authorities believed where we connect; none means the public ones.
    #[serde(deserialize_with = "layers::optional")]
    pub trust: Option<PathBuf>,
}

/// Whether TLS clients are asked for a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ClientCertificates {
    /// Never.
    None,
    /// They are, and may have none; one that they show must be good.
    Optional,
    /// Without a good one there is no connection.
    Required,
}

/// `[sip.ping]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SipPing {
    /// Seconds between two pings of a trunk; 0 for none.
    pub every_seconds: u64,
    /// Seconds for which an answer is waited for.
    pub answer_seconds: u64,
    /// Losses in a row after which a trunk is down.
    pub losses_max: u32,
}

/// `[media]`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Media {
    /// Address that RTP sockets are bound to.
    pub bind_address: IpAddr,
    /// Address written into SDP; none means `bind_address`.
    #[serde(deserialize_with = "layers::optional")]
    pub advertised_address: Option<IpAddr>,
    /// First UDP port.
    pub port_first: u16,
    /// Last UDP port.
    pub port_last: u16,
    /// Differentiated services code point, 0–63.
    pub dscp: u8,
    /// Seconds without media that end a call; 0 for never.
    pub inactivity_seconds: u64,
    /// Media threads; 0 chooses by `calls_max` and cores.
    pub threads: usize,
    /// Calls with media at once.
    pub calls_max: usize,
}

impl Media {
    /// The address that stands in SDP.
    pub fn sdp_address(&self) -> IpAddr {
        self.advertised_address.unwrap_or(self.bind_address)
    }

    /// Silence that ends a call; none when that is switched off.
    pub fn inactivity(&self) -> Option<Duration> {
        (self.inactivity_seconds > 0).then(|| Duration::from_secs(self.inactivity_seconds))
    }
}

/// `[http]`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Http {
    /// Address and port.
    pub listen: SocketAddr,
    /// Whether the address was named by somebody: then a taken port fails the start.
    #[serde(skip)]
    pub listen_named: bool,
    /// Whether others than this machine may speak plain HTTP with us.
    pub plain_beyond_loopback: bool,
    /// Largest request body, bytes.
    pub body_bytes_max: usize,
    /// Largest routing document, bytes.
    pub document_bytes_max: usize,
    /// Largest request of a provider to its webhook, bytes.
    pub webhook_bytes_max: usize,
    /// The same where mail comes in by it, bytes.
    pub mail_webhook_bytes_max: usize,
    /// Seconds for request line and headers.
    pub header_seconds: u64,
    /// Seconds for a body.
    pub body_seconds: u64,
    /// Connections at once, on each of the two listeners.
    pub connections_max: usize,
    /// Hours for which the answer to a request with an `Idempotency-Key` is kept.
    pub idempotency_hours: u64,
    /// Such answers that are kept.
    pub idempotency_keys_max: u64,
    /// HTTPS.
    pub tls: HttpTls,
}

/// `[http.tls]`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HttpTls {
    /// Address and port of the TLS listener; none: no HTTPS.
    #[serde(deserialize_with = "layers::optional")]
    pub listen: Option<SocketAddr>,
    /// Files or folders of our certificates and their keys; the first is the default.
    pub certificates: Vec<PathBuf>,
    /// A certificate that we obtain ourselves.
    pub acme: HttpAcme,
}

impl HttpTls {
    /// Whether there is, or will be, a certificate.
    pub fn has_certificates(&self) -> bool {
        !self.certificates.is_empty() || !self.acme.domains.is_empty()
    }
}

/// `[http.tls.acme]`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HttpAcme {
    /// Names of the one certificate that is obtained; none: no ACME.
    pub domains: Vec<String>,
    /// Mail addresses that the authority may write to.
    pub contacts: Vec<String>,
    /// URL of the authority's directory.
    pub directory: String,
    /// Whether its terms are agreed to.
    pub agree_terms: bool,
    /// File of the authorities that its own HTTPS is believed by; none: those of browsers.
    #[serde(deserialize_with = "layers::optional")]
    pub trust: Option<PathBuf>,
    /// Seconds after a first failure until the next try.
    pub retry_seconds: u64,
}

/// `[console]`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Console {
    /// What this installation is called, shown on every page; empty: nothing is shown.
    pub environment: String,
    /// Live pages that are kept up to date at once.
    pub live_streams_max: usize,
    /// Milliseconds between two looks at what is live.
    pub live_refresh_ms: u64,
}

impl Default for Console {
    fn default() -> Self {
        Self { environment: String::new(), live_streams_max: 100, live_refresh_ms: 1000 }
    }
}

/// `[journal]`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Journal {
    /// Longest wait for a shared commit, milliseconds.
    pub commit_window_ms: u64,
    /// Events that wait for the writer.
    pub queue_events_max: usize,
    /// Bytes that wait for the writer.
    pub queue_bytes_max: usize,
    /// Days after which events are deleted.
    pub events_retention_days: u64,
    /// Days after which contact records are deleted.
    pub contacts_retention_days: u64,
    /// Size at which the oldest events go early, bytes.
    pub retention_bytes_max: u64,
    /// Days for which an idle consumer holds events back.
    pub consumer_idle_days: u64,
    /// Free space that gives a warning, bytes.
    pub free_space_warn_bytes: u64,
    /// Free space under which new contacts are refused, bytes.
    pub free_space_stop_bytes: u64,
}

/// `[routing]`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Routing {
    /// Entry points are armed on creation.
    pub arm_new: bool,
    /// Revisions that are kept.
    pub revisions_kept_max: u64,
    /// Recordings that are kept, bytes.
    pub recordings_bytes_max: u64,
    /// Days for which a recording is kept that nothing names.
    pub recordings_unused_days: u64,
    /// A publish waits until another person approves it.
    pub publish_needs_second: bool,
    /// Publishes that wait for that.
    pub publish_requests_max: u64,
}

/// `[drain]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Drain {
    /// Seconds for which calls go on after the process was told to stop.
    pub limit_seconds: u64,
}

/// `[conversations]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Conversations {
    /// Hours after the customer's last message at which a conversation is closed.
    pub idle_hours: i64,
    /// The same for mail.
    pub email_idle_hours: i64,
    /// Minutes for chats.
    pub chat_idle_minutes: i64,
}

/// `[chat]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Chat {
    /// Visitors connected at once.
    pub sockets_max: usize,
    /// Messages of one visitor in a minute.
    pub messages_per_minute: u32,
    /// Sessions from one address in a minute; an IPv6 network of 64 bits counts as one address.
    pub sessions_per_minute: u32,
    /// Largest file, bytes; 0: none is taken.
    pub file_bytes_max: usize,
    /// Files of one message.
    pub files_per_message_max: usize,
    /// Files that one address uploads in a minute.
    pub uploads_per_minute: u32,
    /// Files that come in at once.
    pub uploads_parallel_max: usize,
    /// Bytes of files that no message has named yet.
    pub uploads_bytes_max: u64,
    /// Hours after which such a file is removed.
    pub uploads_kept_hours: u64,
}

/// `[smtp]`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Smtp {
    /// Address and port; none: no mail server.
    #[serde(deserialize_with = "layers::optional")]
    pub listen: Option<SocketAddr>,
    /// Whether the address was named by somebody: then a taken port fails the start.
    #[serde(skip)]
    pub listen_named: bool,
    /// The name that the server calls itself by.
    pub host: String,
    /// Largest mail, bytes.
    pub mail_bytes_max: usize,
    /// Bytes of all mails that are coming in, or are not yet kept or refused.
    pub memory_bytes_max: usize,
    /// Recipients of one mail.
    pub recipients_max: usize,
    /// Mails of one connection.
    pub mails_max: usize,
    /// Errors of one connection.
    pub errors_max: usize,
    /// Connections at once.
    pub connections_max: usize,
    /// Connections at once from one address.
    pub connections_per_source_max: usize,
    /// Milliseconds before the greeting.
    pub greeting_delay_ms: u64,
    /// Seconds without a word.
    pub command_seconds: u64,
    /// Seconds for one mail.
    pub mail_seconds: u64,
}

/// `[queue]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Queue {
    /// Seconds for which a lost place can be had back; 0: never.
    pub place_kept_seconds: u64,
}

/// `[hand_off]`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HandOff {
    /// Hosts of SIP URIs that may be called for a contact.
    pub allowed_targets: Vec<AllowedTarget>,
    /// Seconds for which a telephone rings, where a request does not say.
    pub ring_seconds: u64,
}

/// `[recordings]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recordings {
    /// Days for which they are kept.
    pub days_kept: u64,
    /// The longest one, seconds.
    pub seconds_max: u64,
}

/// `[data_dip]`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DataDip {
    /// What the URL of a data dip must begin with; empty lets none through.
    pub allowed_url_prefixes: Vec<String>,
}

/// `[carriers]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Carriers {
    /// Seconds for which a carrier's answer is waited for.
    pub answer_seconds: u64,
    /// Seconds after which a purchase that the carrier knows nothing of counts as not made.
    pub settle_seconds: u64,
    /// Hours for which such a purchase is watched.
    pub watch_hours: u64,
    /// Seconds between two questions how a registration or a port is getting on.
    pub poll_seconds: u64,
    /// Seconds that the sandbox takes for each step of a review or a port.
    pub sandbox_seconds: u64,
    /// Searches and reviews that are remembered.
    pub searches_max: usize,
}

/// `[secrets]`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Secrets {
    /// File of the keys that secrets are sealed with; none: `master-key` in the data folder.
    #[serde(deserialize_with = "layers::optional")]
    pub master_key_file: Option<PathBuf>,
}

/// `[tts]`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tts {
    /// Program and arguments; empty switches text prompts off.
    pub command: Vec<String>,
    /// Voice of prompts that name none.
    pub voice: String,
    /// Seconds for one prompt.
    pub timeout_seconds: u64,
    /// Longest text of one prompt, in characters.
    pub text_chars_max: usize,
    /// Programs that speak at the same time.
    pub parallel_max: usize,
    /// Spoken texts kept on disk, in bytes; those not used for longest go first.
    pub cache_bytes_max: u64,
}

impl Tts {
    /// Whether a voice may be handed to the command: at most 64 letters, digits and `. _ + -`, of which the
    /// first is a letter or digit, so that no option, path or shell word can be meant.
    pub fn is_voice(voice: &str) -> bool {
        voice.len() <= 64
            && voice.starts_with(|c: char| c.is_ascii_alphanumeric())
            && voice.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '+' | '-'))
    }
}

/// `[log]`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Log {
    /// Level or directives.
    pub level: String,
    /// Text or JSON.
    pub format: LogFormat,
}

/// The form of log lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

#[cfg(test)]
mod tests;
