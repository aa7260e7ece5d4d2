//! Every metric family, in one struct.
//!
//! Names are `vestibule_<noun>_<unit>[_total]` in base units. Labels are closed enums, or the ids of trunks, of which
//! routing has few: no number, address or Call-ID ever becomes a label, so the number of series stays small.

mod labels;

use std::sync::Arc;

use vestibule_routing::id::TrunkId;

use prometheus::{
    Encoder, Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
    TextEncoder,
};

pub use self::labels::SignIn;
pub use self::labels::{
    Authenticated, CallbackResult, CarrierResult, ChatRefusal, DeliveryResult, DigitSource, JournalRefusal,
    Label, MailResult, MessageMediaResult, OutcomeLabel, PurchaseResult, SipMethod, SipRejection, SmsResult,
    StatusClass, TakeResult, TlsFailure, WebhookResult,
};

/// Counters of one family, one for each value of a closed label; looked up by index, not by text.
#[derive(Clone, Debug)]
pub struct Counters<L> {
    counters: Arc<[IntCounter]>,
    label: std::marker::PhantomData<fn(L)>,
}

impl<L: Label> Counters<L> {
    /// The counter of a label value.
    pub fn of(&self, label: L) -> &IntCounter {
        let index = L::ALL.iter().position(|one| *one == label).unwrap_or(0);
        &self.counters[index]
    }
}

/// Gauges of one family, one for each trunk that there is something to say of.
#[derive(Clone, Debug)]
pub struct TrunkGauges(IntGaugeVec);

impl TrunkGauges {
    /// Sets the gauge of a trunk.
    pub fn set(&self, trunk: &TrunkId, value: i64) {
        self.0.with_label_values(&[trunk.as_str()]).set(value);
    }

    /// There is nothing more to say of a trunk.
    pub fn forget(&self, trunk: &TrunkId) {
        // It fails when there was nothing to say before either.
        self.0.remove_label_values(&[trunk.as_str()]).unwrap_or_default();
    }
}

/// All families of the process, [`Families`]. Cloning shares them, and costs one count.
#[derive(Clone, Debug)]
pub struct Metrics(Arc<Families>);

impl std::ops::Deref for Metrics {
    type Target = Families;

    fn deref(&self) -> &Families {
        &self.0
    }
}

/// What is counted and measured, by the part that it belongs to.
#[derive(Debug)]
pub struct Families {
    /// SIP.
    pub sip: SipMetrics,
    /// Calls.
    pub call: CallMetrics,
    /// Queues of inboxes.
    pub queue: QueueMetrics,
    /// Hand-offs to those who take contacts.
    pub hand_off: HandOffMetrics,
    /// Trunks.
    pub trunk: TrunkMetrics,
    /// Callbacks.
    pub callback: CallbackMetrics,
    /// Messages.
    pub message: MessageMetrics,
    /// Files of messages that lie elsewhere.
    pub message_media: MessageMediaMetrics,
    /// Our own mail server.
    pub smtp: SmtpMetrics,
    /// Mails, whichever way they come.
    pub mail: MailMetrics,
    /// Chats.
    pub chat: ChatMetrics,
    /// Texts that IVRs send.
    pub sms: SmsMetrics,
    /// Carriers, and what is asked of them.
    pub carrier: CarrierMetrics,
    /// Deliveries to consumers.
    pub delivery: DeliveryMetrics,
    /// Media.
    pub media: MediaMetrics,
    /// The journal.
    pub journal: JournalMetrics,
    /// The control API.
    pub api: ApiMetrics,
    /// Users and sessions.
    pub identity: IdentityMetrics,
    /// The audit log.
    pub audit: AuditMetrics,
    /// The guard of revisions.
    pub guard: GuardMetrics,
    registry: Registry,
}

macro_rules! families {
    ($($(#[$doc:meta])* $name:ident { $($(#[$field_doc:meta])* $field:ident: $kind:tt $args:tt,)* })*) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug)]
        pub struct $name { $($(#[$field_doc])* pub $field: families!(@type $kind $args),)* }

        impl $name {
            fn register(registry: &Registry) -> prometheus::Result<Self> {
                Ok(Self { $($field: families!(@make registry $kind $args),)* })
            }

            /// These families without a registry that shows them: for tests and tools.
            ///
            /// # Errors
            /// Never in practice; a name would have to be malformed.
            pub fn unregistered() -> prometheus::Result<Self> {
                Self::register(&Registry::new())
            }
        }
    )*};
    (@type counter $args:tt) => { IntCounter };
    (@type gauge $args:tt) => { IntGauge };
    (@type gauges $args:tt) => { IntGaugeVec };
    (@type seconds $args:tt) => { Histogram };
    (@type by_trunk $args:tt) => { TrunkGauges };
    (@type counters ($name:literal, $help:literal, $label:literal: $kind:ty)) => { Counters<$kind> };
    (@make $r:ident counter ($name:literal, $help:literal)) => { counter($r, $name, $help)? };
    (@make $r:ident gauge ($name:literal, $help:literal)) => { gauge($r, $name, $help)? };
    (@make $r:ident gauges ($name:literal, $help:literal, $label:literal)) => { gauges($r, $name, $help, $label)? };
    (@make $r:ident by_trunk ($name:literal, $help:literal)) => { by_trunk($r, $name, $help)? };
    (@make $r:ident seconds ($name:literal, $help:literal, $buckets:expr)) => { seconds($r, $name, $help, $buckets)? };
    (@make $r:ident counters ($name:literal, $help:literal, $label:literal: $kind:ty)) => {
        counters::<$kind>($r, $name, $help, $label)?
    };
}

families! {
    /// The SIP edge.
    SipMetrics {
        /// Requests received, by method; retransmissions count too.
        requests: counters("vestibule_sip_requests_total", "Requests received.", "method": SipMethod),
        /// Responses sent, by class of status.
        responses: counters("vestibule_sip_responses_total", "Responses sent.", "class": StatusClass),
        /// Requests refused before a transaction was made.
        rejected: counters("vestibule_sip_rejected_total", "Requests refused before a transaction was made.", "reason": SipRejection),
        /// Messages sent again: for want of an answer, or because a request was repeated.
        retransmissions: counter("vestibule_sip_retransmissions_total", "Messages sent again, for want of an answer or because a request was repeated."),
        /// INVITE received to first answer above 100 (RFC 6076 SRD).
        setup_seconds: seconds("vestibule_sip_setup_seconds", "INVITE received to first answer above 100.", FAST),
        /// Time a datagram waited before it was looked at.
        queue_delay_seconds: seconds("vestibule_sip_queue_delay_seconds", "Time a datagram waited before it was looked at.", FAST),
        /// Datagrams the kernel dropped because the socket's buffer was full.
        udp_drops: counter("vestibule_sip_udp_drops_total", "Datagrams dropped by the kernel for want of buffer."),
        /// Things dropped because a ring between threads was full.
        rings_full: counter("vestibule_sip_ring_full_total", "Items refused because a ring between threads was full."),
        /// Calls not placed because their trunk was full.
        trunks_full: counter("vestibule_sip_trunk_full_total", "Calls not placed by a trunk that had as many calls as it may (concurrent_max)."),
        /// Transactions alive.
        transactions: gauge("vestibule_sip_transactions", "Transactions alive."),
        /// Dialogs alive.
        dialogs: gauge("vestibule_sip_dialogs", "Dialogs alive."),
        /// TCP and TLS connections open.
        connections: gauge("vestibule_sip_connections", "Stream connections open."),
        /// TLS handshakes that led to no connection, with those who connect and those whom we connect to.
        tls_handshakes_failed: counters("vestibule_sip_tls_handshakes_failed_total", "TLS handshakes that led to no connection.", "reason": TlsFailure),
        /// Files of `[sip.tls]` that could not be used when they were read again.
        tls_files_failed: counter("vestibule_sip_tls_files_failed_total", "Files of [sip.tls] that could not be used when they were read again."),
        /// When each of our certificates expires.
        tls_certificate_expiry: gauges("vestibule_sip_tls_certificate_expiry_timestamp_seconds", "When a certificate of ours expires, in seconds since 1970.", "name"),
    }
    /// Calls, from INVITE past admission to their record.
    CallMetrics {
        /// Calls going on.
        active: gauge("vestibule_calls_active", "Calls going on."),
        /// Calls that began.
        started: counter("vestibule_calls_started_total", "Calls that began."),
        /// Calls that ended, by outcome side and reason.
        ended: counters("vestibule_calls_ended_total", "Calls that ended, by outcome.", "side,reason": OutcomeLabel),
        /// Answer to end.
        duration_seconds: seconds("vestibule_call_duration_seconds", "Answer to end.", LONG),
        /// Contacts ended by a panic of their task.
        panics: counter("vestibule_call_panics_total", "Contacts ended by a panic of their task."),
        /// Calls refused because the gateway held as many as it may.
        full: counter("vestibule_calls_full_total", "Calls refused because the limit of calls was reached."),
    }
    /// Waiting for people.
    QueueMetrics {
        /// Contacts waiting.
        waiting: gauge("vestibule_queue_waiting_contacts", "Contacts waiting in all inboxes."),
        /// How long the longest waiting contact has waited.
        oldest_seconds: gauge("vestibule_queue_oldest_seconds", "Wait of the contact that waits longest."),
        /// Entry to leaving, however it left.
        wait_seconds: seconds("vestibule_queue_wait_seconds", "Wait in a queue, however it ended.", LONG),
        /// Callers who hung up waiting.
        abandoned: counter("vestibule_queue_abandoned_total", "Contacts abandoned while waiting."),
        /// Entries refused because a queue was at its maximum length.
        full: counter("vestibule_queue_full_total", "Entries refused because a queue was full."),
    }
    /// Hand-offs.
    HandOffMetrics {
        /// Takes that were tried, by what became of them.
        takes: counters("vestibule_takes_total", "Takes of contacts that were tried, by result.", "result": TakeResult),
    }
    /// Trunks.
    TrunkMetrics {
        /// Whether we are registered at a trunk.
        registered: by_trunk("vestibule_trunk_registered", "1 while a trunk's registrar knows us, 0 while it does not; none for a trunk without a registration."),
        /// Whether a trunk answers pings.
        up: by_trunk("vestibule_trunk_up", "1 when a trunk answers pings, 0 when it is down; none for a trunk that is not pinged."),
    }
    /// Callbacks.
    CallbackMetrics {
        /// Callbacks to be made.
        waiting: gauge("vestibule_callbacks_waiting", "Callbacks that are still to be made."),
        /// Attempts, by what became of them.
        attempts: counters("vestibule_callback_attempts_total", "Calls placed to who asked to be called back, by result.", "result": CallbackResult),
    }
    /// Messages.
    MessageMetrics {
        /// Requests to webhooks.
        webhooks: counters("vestibule_webhook_requests_total", "Requests to webhooks of providers, by result.", "result": WebhookResult),
        /// Messages, reports and changes that were taken in.
        received: counter("vestibule_messages_received_total", "Messages, reports and changes taken in from providers."),
        /// Those that had come before.
        duplicates: counter("vestibule_messages_duplicate_total", "Messages, reports and changes left out since they had come before."),
    }
    /// Files of messages that lie elsewhere.
    MessageMediaMetrics {
        /// Attempts, by what became of them.
        fetches: counters("vestibule_message_media_fetches_total", "Attempts to fetch files of messages from where they lie, by result.", "result": MessageMediaResult),
        /// Files still to be fetched.
        waiting: gauge("vestibule_message_media_waiting", "Files of messages that are still to be fetched."),
        /// Bytes that were kept.
        bytes: counter("vestibule_message_media_bytes_total", "Bytes of files of messages that were fetched and kept."),
        /// Time of an attempt.
        seconds: seconds("vestibule_message_media_fetch_seconds", "Time of an attempt to fetch a file of a message.", SLOW),
    }
    /// Texts that IVRs send.
    SmsMetrics {
        /// Texts, by what became of them.
        texts: counters("vestibule_texts_total", "Texts that IVRs were to send, by result.", "result": SmsResult),
    }
    /// Our own mail server.
    SmtpMetrics {
        /// Connections open.
        connections: gauge("vestibule_smtp_connections", "Connections to the mail server."),
        /// Connections refused because of too many.
        refused: counter("vestibule_smtp_refused_connections_total", "Connections to the mail server that were one too many, in all or from one address."),
        /// Clients that spoke before they were greeted.
        early: counter("vestibule_smtp_early_talkers_total", "Clients that spoke before they were greeted, and were sent away."),
        /// Recipients that no mail is taken for.
        recipients_refused: counter("vestibule_smtp_refused_recipients_total", "Recipients of mails that are not ours, or take nothing now."),
        /// Mails, by what became of them.
        mails: counters("vestibule_smtp_mails_total", "Mails that came whole to the mail server, by result.", "result": MailResult),
    }
    /// Mails, whichever way they come.
    MailMetrics {
        /// How it was found out where they come from.
        authenticated: counters("vestibule_mail_authentications_total", "Mails of which it was to be found out where they come from, by result.", "result": Authenticated),
        /// How long that took.
        authentication_seconds: seconds("vestibule_mail_authentication_seconds", "Time until it is known where a mail comes from, the name service's answers included.", FAST),
        /// Those marked as spam.
        spam: counter("vestibule_mail_spam_total", "Mails that were marked as spam."),
    }
    /// Chats.
    ChatMetrics {
        /// Visitors connected.
        sockets: gauge("vestibule_chat_sockets", "Visitors of pages who are connected."),
        /// Files that came.
        uploads: counter("vestibule_chat_uploads_total", "Files that were uploaded for messages of chats."),
        /// Bytes of files that no message has named, or not long ago.
        uploads_held: gauge("vestibule_chat_uploads_held_bytes", "Bytes of uploads that are held until a message names them, or their time is over."),
        /// What was refused, by why.
        refused: counters("vestibule_chat_refused_total", "Requests and messages of visitors that were refused, by reason.", "reason": ChatRefusal),
    }
    /// Carriers, and what is asked of them.
    CarrierMetrics {
        /// Requests, by what came of them.
        requests: counters("vestibule_carrier_requests_total", "Requests to carriers of numbers, by result.", "result": CarrierResult),
        /// Purchases, by what became of them.
        purchases: counters("vestibule_number_purchases_total", "Purchases of numbers that came to an end, by result.", "result": PurchaseResult),
        /// Purchases of which it is not known yet what became of them.
        undecided: gauge("vestibule_number_purchases_undecided", "Purchases of numbers whose outcome is not known yet."),
        /// Searches and reviews that were forgotten for want of room.
        forgotten: counter("vestibule_number_searches_forgotten_total", "Searches for numbers, and reviews of them, forgotten before their time because carriers.searches_max was reached."),
    }
    /// Deliveries to consumers.
    DeliveryMetrics {
        /// Requests, by what became of them.
        requests: counters("vestibule_deliveries_total", "Deliveries of events to consumers by webhook, by result.", "result": DeliveryResult),
    }
    /// Media.
    MediaMetrics {
        /// Streams open.
        streams: gauge("vestibule_media_streams", "Streams open."),
        /// RTP packets accepted.
        received: counter("vestibule_media_received_packets_total", "RTP packets accepted."),
        /// RTP packets sent.
        sent: counter("vestibule_media_sent_packets_total", "RTP packets sent."),
        /// RTP packets sent that came in at the other leg of a bridge.
        relayed: counter("vestibule_media_relayed_packets_total", "RTP packets relayed between the two legs of a bridge."),
        /// Packets missing by their sequence numbers.
        lost: counter("vestibule_media_lost_packets_total", "RTP packets missing by sequence number."),
        /// Packets from a source that is not the latched one.
        wrong_source: counter("vestibule_media_wrong_source_packets_total", "RTP packets from a source that is not the latched one."),
        /// Packets on encrypted legs that are not authentic.
        srtp_unauthentic: counter("vestibule_media_srtp_unauthentic_packets_total", "SRTP and SRTCP packets dropped since they are not authentic, clear ones among them."),
        /// Packets on encrypted legs that came before.
        srtp_replayed: counter("vestibule_media_srtp_replayed_packets_total", "SRTP and SRTCP packets dropped since they came before, or too late to tell."),
        /// Frames skipped because the thread was late.
        skipped: counter("vestibule_media_skipped_frames_total", "Frames skipped because a media thread was late."),
        /// Keys heard, by how they came.
        digits: counters("vestibule_media_digits_total", "Keys heard.", "source": DigitSource),
        /// Digits sent as telephone events of our own.
        digits_sent: counter("vestibule_media_digits_sent_total", "Digits sent as telephone events, beside relayed ones."),
        /// Digits that could not be sent.
        digits_unsent: counter("vestibule_media_digits_unsent_total", "Digits not sent: telephone events not agreed, on hold, or too many at once."),
        /// Recordings that go on.
        recordings: gauge("vestibule_media_recordings", "Recordings that go on."),
        /// Audio written to recordings.
        recording_bytes: counter("vestibule_media_recording_bytes_total", "Bytes of audio written to recordings."),
        /// Sound that came, but is silence in a recording.
        recording_lost: counter("vestibule_media_recording_lost_frames_total", "Frames of 20 ms that are silence in a recording because the disk was too slow or they came too late."),
        /// Recordings that failed.
        recordings_failed: counter("vestibule_media_recordings_failed_total", "Recordings that could not be made, written or named."),
        /// How late slots were served.
        pacing_seconds: seconds("vestibule_media_pacing_seconds", "How late slots were served, rounded up to a bucket of the media threads.", FAST),
        /// Events to contacts that were lost because their waiting lists were full too.
        events_lost: counter("vestibule_media_events_lost_total", "Events to contacts lost because a ring or a channel and its waiting list were full."),
        /// Calls refused because every port was in use.
        ports_exhausted: counter("vestibule_media_ports_exhausted_total", "Calls refused because every media port was in use."),
        /// Port pairs in use.
        ports_used: gauge("vestibule_media_ports_used", "Port pairs in use."),
        /// Port pairs that drain before reuse.
        ports_draining: gauge("vestibule_media_ports_draining", "Port pairs that drain before reuse."),
        /// Calls ended because no media came.
        timeouts: counter("vestibule_media_timeouts_total", "Calls ended because no media came."),
        /// Commands refused because a ring to a media thread was full.
        rings_full: counter("vestibule_media_ring_full_total", "Commands refused because a ring was full."),
        /// 1 when media threads run with real-time priority.
        realtime: gauge("vestibule_media_realtime", "1 when media threads run with real-time priority."),
    }
    /// The journal.
    JournalMetrics {
        /// How far consumers are behind.
        consumer_lag: gauges("vestibule_feed_consumer_lag_events", "Events behind a consumer's cursor, of all types; consumers told by webhook begin with webhook:.", "consumer"),
        /// Events on the disk.
        events: counter("vestibule_journal_events_total", "Events committed."),
        /// Commits.
        commits: counter("vestibule_journal_commits_total", "Commits."),
        /// Commits that failed; each is a page at once.
        failed_commits: counter("vestibule_journal_failed_commits_total", "Commits that failed."),
        /// Time of a commit, with its statements.
        commit_seconds: seconds("vestibule_journal_commit_seconds", "Time of a commit.", FAST),
        /// Entries refused, by reason.
        refused: counters("vestibule_journal_refused_total", "Entries refused.", "reason": JournalRefusal),
        /// Events waiting for the writer.
        queue_events: gauge("vestibule_journal_queue_events", "Events waiting for the writer."),
        /// Bytes waiting for the writer.
        queue_bytes: gauge("vestibule_journal_queue_bytes", "Bytes waiting for the writer."),
        /// The last sequence on the disk.
        last_seq: gauge("vestibule_journal_last_seq", "Sequence of the last event committed."),
        /// Free bytes on the disk.
        free_bytes: gauge("vestibule_journal_free_bytes", "Free bytes on the journal's disk."),
        /// 1 when less than `journal.free_space_warn_bytes` of the disk is free.
        disk_low: gauge("vestibule_journal_disk_low", "1 when less than journal.free_space_warn_bytes of the disk is free."),
        /// Bytes of the database in use.
        size_bytes: gauge("vestibule_journal_size_bytes", "Bytes of the journal's database in use."),
        /// Erasures of customers that go on.
        erasures_open: gauge("vestibule_erasures_open", "Erasures of customers that go on, or wait for calls to end."),
        /// Erasures of customers that were finished.
        erasures_done: counter("vestibule_erasures_total", "Erasures of customers that were finished."),
        /// Events trimmed by age or size.
        trimmed: counter("vestibule_journal_trimmed_events_total", "Events trimmed by age or size."),
    }
    /// The control API.
    ApiMetrics {
        /// TLS handshakes with the HTTP listener that failed.
        tls_handshakes_failed: counters("vestibule_http_tls_handshakes_failed_total", "TLS handshakes with the HTTP listener that led to no connection.", "reason": TlsFailure),
        /// Files of `[http.tls]` that could not be used when they were read again.
        tls_files_failed: counter("vestibule_http_tls_files_failed_total", "Files of [http.tls] that could not be used when they were read again."),
        /// Certificates obtained by ACME.
        acme_certificates: counter("vestibule_http_acme_certificates_total", "Certificates obtained by ACME."),
        /// Tries to obtain one that failed.
        acme_failures: counter("vestibule_http_acme_failures_total", "Tries to obtain a certificate by ACME that failed."),
        /// When our certificates expire.
        tls_certificate_expiry: gauges("vestibule_http_tls_certificate_expiry_timestamp_seconds", "When a certificate of the HTTP listener expires, in seconds since 1970.", "name"),
        /// Requests answered, by class of status.
        responses: counters("vestibule_api_responses_total", "Requests answered.", "class": StatusClass),
        /// Time of a request; long polls and streams are not in it.
        request_seconds: seconds("vestibule_api_request_seconds", "Time of a request, long polls and streams apart.", FAST),
        /// Connections open.
        connections: gauge("vestibule_api_connections", "Connections open."),
        /// Connections refused because as many as allowed were open.
        refused: counter("vestibule_api_connections_refused_total", "Connections refused because too many were open."),
        /// Requests that came again under their Idempotency-Key.
        idempotency_replayed: counter("vestibule_api_idempotency_replayed_total", "Requests that came again under their Idempotency-Key and were answered as before."),
        /// Idempotency keys forgotten before their time.
        idempotency_forgotten: counter("vestibule_api_idempotency_forgotten_total", "Idempotency keys forgotten before their time, because http.idempotency_keys_max were kept."),
        /// Requests with a missing or wrong key.
        unauthorised: counter("vestibule_api_unauthorised_total", "Requests with a missing or wrong key."),
        /// Requests of somebody who may not.
        forbidden: counter("vestibule_api_forbidden_total", "Requests refused because the caller may not, or because another site had the browser make them."),
        /// Live pages of the console that are kept up to date.
        console_streams: gauge("vestibule_console_streams", "Live pages of the console that are kept up to date."),
        /// Live pages that were not, because too many were.
        console_streams_refused: counter("vestibule_console_streams_refused_total", "Live pages of the console that were not kept up to date because too many were."),
    }
    /// Users, keys and sessions.
    IdentityMetrics {
        /// Sign-ins by password, by what became of them.
        sign_ins: counters("vestibule_sign_ins_total", "Sign-ins by password, by result.", "result": SignIn),
        /// Sessions that have not ended.
        sessions: gauge("vestibule_sessions", "Sessions of users that have not ended."),
    }
    /// The guard of revisions.
    GuardMetrics {
        /// Revisions that are watched.
        watched: gauge("vestibule_guard_revisions_watched", "Revisions under which calls are watched by the guard."),
        /// Revisions that were taken back.
        rolled_back: counter("vestibule_guard_rolled_back_total", "Revisions that the guard took back because callers fared badly."),
        /// Revisions that should have been.
        failed: counter("vestibule_guard_failed_total", "Revisions that callers fared badly under, and that could not be taken back."),
        /// Revisions that were not watched to the end.
        dropped: counter("vestibule_guard_dropped_total", "Revisions that were watched no longer because too many were."),
    }
    /// The audit log.
    AuditMetrics {
        /// Lines at the last look.
        lines: gauge("vestibule_audit_lines", "Number of the newest line of the audit log, as of the last look at all of it."),
        /// Lines that nothing vouched for when signing began.
        unsigned: gauge("vestibule_audit_unsigned_lines", "Number of the newest line of the audit log that no signature vouched for before the log was signed; 0 when all were signed as they were written."),
        /// What was wrong at the last look.
        faults: gauge("vestibule_audit_faults", "Lines of the audit log that were changed, put in or taken out, and signatures that did not hold, as of the last look."),
    }
}

impl AuditMetrics {
    /// Shows, and logs, what a look at the whole log has found.
    pub fn looked(&self, found: &vestibule_config::store::AuditFindings) {
        let newest = found.newest.as_ref().map_or(0, |end| end.seq);
        self.lines.set(i64::try_from(newest).unwrap_or(i64::MAX));
        self.faults.set(i64::try_from(found.faults.len()).unwrap_or(i64::MAX));
        self.unsigned.set(i64::try_from(found.unsigned_through.unwrap_or(0)).unwrap_or(i64::MAX));
        if let Some(line) = found.unsigned_through {
            tracing::warn!(
                line,
                "lines of the audit log up to this one were not signed when the log was signed: they vouch for nothing"
            );
        }
        for fault in &found.faults {
            tracing::error!(
                line = fault.seq,
                fault = fault.sentence,
                "the audit log is not as it was written"
            );
        }
    }
}

impl Metrics {
    /// Makes and registers every family.
    ///
    /// # Errors
    /// When two families share a name: a fault of this table, found by its test.
    pub fn new() -> prometheus::Result<Self> {
        let registry = Registry::new();
        let build = Opts::new("vestibule_build_info", "The version that runs; always 1.")
            .const_label("version", env!("CARGO_PKG_VERSION"));
        let build = IntGauge::with_opts(build)?;
        build.set(1);
        registry.register(Box::new(build))?;
        Ok(Self(Arc::new(Families {
            sip: SipMetrics::register(&registry)?,
            call: CallMetrics::register(&registry)?,
            queue: QueueMetrics::register(&registry)?,
            hand_off: HandOffMetrics::register(&registry)?,
            trunk: TrunkMetrics::register(&registry)?,
            callback: CallbackMetrics::register(&registry)?,
            message: MessageMetrics::register(&registry)?,
            message_media: MessageMediaMetrics::register(&registry)?,
            smtp: SmtpMetrics::register(&registry)?,
            mail: MailMetrics::register(&registry)?,
            chat: ChatMetrics::register(&registry)?,
            sms: SmsMetrics::register(&registry)?,
            carrier: CarrierMetrics::register(&registry)?,
            delivery: DeliveryMetrics::register(&registry)?,
            media: MediaMetrics::register(&registry)?,
            journal: JournalMetrics::register(&registry)?,
            api: ApiMetrics::register(&registry)?,
            identity: IdentityMetrics::register(&registry)?,
            audit: AuditMetrics::register(&registry)?,
            guard: GuardMetrics::register(&registry)?,
            registry,
        })))
    }

    /// All families in the Prometheus text format.
    ///
    /// # Errors
    /// When a family cannot be encoded.
    pub fn text(&self) -> prometheus::Result<Vec<u8>> {
        let mut text = Vec::with_capacity(16 << 10);
        TextEncoder::new().encode(&self.registry.gather(), &mut text)?;
        Ok(text)
    }

    /// The reference page: every family with its kind, labels and meaning, as Markdown.
    pub fn reference(&self) -> String {
        use std::fmt::Write as _;

        let mut page = String::from(REFERENCE_HEAD);
        // A family whose label is a name of the settings has no series by itself, and would not be shown.
        let examples =
            [&self.sip.tls_certificate_expiry, &self.api.tls_certificate_expiry, &self.journal.consumer_lag];
        for example in examples {
            example.with_label_values(&[""]).set(0);
        }
        for family in self.registry.gather() {
            let kind = format!("{:?}", family.get_field_type()).to_lowercase();
            let labels = family.get_metric().first().map_or(String::new(), |metric| {
                let names: Vec<_> =
                    metric.get_label().iter().map(|pair| format!("`{}`", pair.name())).collect();
                names.join(", ")
            });
            // Writing to a string cannot fail.
            let _ok = writeln!(page, "| `{}` | {kind} | {labels} | {} |", family.name(), family.help());
        }
        page.push_str(&labels::reference());
        for example in examples {
            // Nothing can be wrong but that it is gone already.
            let _gone = example.remove_label_values(&[""]).is_err();
        }
        page
    }
}

fn counter(registry: &Registry, name: &str, help: &str) -> prometheus::Result<IntCounter> {
    let counter = IntCounter::new(name, help)?;
    registry.register(Box::new(counter.clone()))?;
    Ok(counter)
}

fn gauge(registry: &Registry, name: &str, help: &str) -> prometheus::Result<IntGauge> {
    let gauge = IntGauge::new(name, help)?;
    registry.register(Box::new(gauge.clone()))?;
    Ok(gauge)
}

/// One series for each name of the settings: few, and none that callers could choose.
fn gauges(registry: &Registry, name: &str, help: &str, label_name: &str) -> prometheus::Result<IntGaugeVec> {
    let gauges = IntGaugeVec::new(Opts::new(name, help), &[label_name])?;
    registry.register(Box::new(gauges.clone()))?;
    Ok(gauges)
}

fn by_trunk(registry: &Registry, name: &str, help: &str) -> prometheus::Result<TrunkGauges> {
    gauges(registry, name, help, "trunk").map(TrunkGauges)
}

fn seconds(registry: &Registry, name: &str, help: &str, buckets: &[f64]) -> prometheus::Result<Histogram> {
    let histogram = Histogram::with_opts(HistogramOpts::new(name, help).buckets(buckets.to_vec()))?;
    registry.register(Box::new(histogram.clone()))?;
    Ok(histogram)
}

fn counters<L: Label>(
    registry: &Registry,
    name: &str,
    help: &str,
    label_names: &str,
) -> prometheus::Result<Counters<L>> {
    let names: Vec<_> = label_names.split(',').collect();
    let family = IntCounterVec::new(Opts::new(name, help), &names)?;
    let counters = L::ALL
        .iter()
        .map(|value| family.get_metric_with_label_values(&value.text().split('/').collect::<Vec<_>>()))
        .collect::<prometheus::Result<_>>()?;
    registry.register(Box::new(family))?;
    Ok(Counters { counters, label: std::marker::PhantomData })
}

const FAST: &[f64] = &[0.0001, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0];
const SLOW: &[f64] = &[0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0];
const LONG: &[f64] = &[1.0, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0];

const REFERENCE_HEAD: &str = "\
# Metrics

What `/metrics` shows, in the Prometheus text format. The page is made from the code
(`Metrics::reference`) and checked by a test. Labels are closed, or the id of a trunk: no number, address or Call-ID
is ever one.

| Name | Kind | Labels | Meaning |
| --- | --- | --- | --- |
";

#[cfg(test)]
mod tests;
