//! The closed sets of label values.

use vestibule_routing::outcome::{Outcome, Reason, Side};

/// A label with a closed set of values.
pub trait Label: Copy + PartialEq + 'static {
    /// Every value.
    const ALL: &'static [Self];

    /// The value as Prometheus shows it; several labels are separated by `/`.
    fn text(self) -> String;
}

macro_rules! labels {
    ($($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $text:literal,)* })*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum $name { $($(#[$variant_doc])* $variant,)* }

        impl Label for $name {
            const ALL: &'static [Self] = &[$(Self::$variant,)*];

            fn text(self) -> String {
                match self { $(Self::$variant => $text,)* }.to_owned()
            }
        }
    )*};
}

labels! {
    /// A SIP method.
    SipMethod {
        /// INVITE.
        Invite = "INVITE",
        /// ACK.
        Ack = "ACK",
        /// BYE.
        Bye = "BYE",
        /// CANCEL.
        Cancel = "CANCEL",
        /// OPTIONS.
        Options = "OPTIONS",
        /// REGISTER.
        Register = "REGISTER",
        /// PRACK.
        Prack = "PRACK",
        /// UPDATE.
        Update = "UPDATE",
        /// INFO.
        Info = "INFO",
        /// REFER.
        Refer = "REFER",
        /// SUBSCRIBE.
        Subscribe = "SUBSCRIBE",
        /// NOTIFY.
        Notify = "NOTIFY",
        /// MESSAGE.
        Message = "MESSAGE",
        /// PUBLISH.
        Publish = "PUBLISH",
        /// Any other.
        Other = "other",
    }
    /// The class of a status code.
    StatusClass {
        /// 1xx.
        Provisional = "1xx",
        /// 2xx.
        Success = "2xx",
        /// 3xx.
        Redirection = "3xx",
        /// 4xx.
        ClientError = "4xx",
        /// 5xx.
        ServerError = "5xx",
        /// 6xx, and what is no status.
        GlobalError = "6xx",
    }
    /// What became of a sign-in.
    SignIn {
        /// Somebody signed in.
        Done = "done",
        /// Login and password do not fit.
        Wrong = "wrong",
        /// Too many attempts failed before.
        Throttled = "throttled",
        /// Too many at once, or the store failed.
        Failed = "failed",
    }
    /// Why a SIP request was refused before a transaction was made.
    SipRejection {
        /// The source is on no trunk's list.
        Acl = "acl",
        /// The source or its trunk sends too fast.
        Rate = "rate",
        /// It could not be parsed.
        Parse = "parse",
        /// Overload control refused a share of new calls.
        Overload = "overload",
        /// Credentials were missing or wrong.
        Auth = "auth",
    }
    /// Why a TLS handshake failed.
    TlsFailure {
        /// It took too long.
        TimedOut = "timed_out",
        /// The other side went away.
        Disconnected = "disconnected",
        /// The other side refused ours: its certificate, version or ciphers.
        Refused = "refused",
        /// A client had no certificate, and needs one.
        NoCertificate = "no_certificate",
        /// Its certificate is not valid now.
        Expired = "expired",
        /// Its certificate comes from nobody whom we believe.
        Untrusted = "untrusted",
        /// Its certificate names somebody else (RFC 5922).
        WrongName = "wrong_name",
        /// Its certificate cannot be used otherwise.
        BadCertificate = "bad_certificate",
        /// No common version or cipher, or no TLS at all.
        Protocol = "protocol",
    }
    /// How a key came.
    DigitSource {
        /// As a telephone event (RFC 4733).
        TelephoneEvent = "telephone_event",
        /// As tones in the audio.
        Inband = "inband",
        /// In a SIP INFO.
        Info = "info",
    }
    /// What became of calling somebody for a contact.
    TakeResult {
        /// They answered, and talk to the caller.
        Taken = "taken",
        /// They refused, were busy, or could not be reached.
        Refused = "refused",
        /// They did not answer in time.
        TimedOut = "timed_out",
    }
    /// What came of a request to a carrier.
    CarrierResult {
        /// It did what it was asked.
        Done = "done",
        /// It refused, or does not do that.
        Refused = "refused",
        /// It was asked too often.
        Later = "later",
        /// It was not reached, too slow, or not understood.
        Unknown = "unknown",
    }
    /// What became of the purchase of a number.
    PurchaseResult {
        /// It is ours.
        Bought = "bought",
        /// The carrier refused.
        Refused = "refused",
        /// The carrier knows nothing of it.
        NotBought = "not_bought",
        /// It turned up when it was given up already.
        Late = "late",
    }
    /// What became of calling somebody back.
    CallbackResult {
        /// They answered and pressed the key.
        Reached = "reached",
        /// They did not answer, or pressed no key.
        NotReached = "not_reached",
    }
    /// What became of a delivery to a consumer.
    DeliveryResult {
        /// It took it.
        Delivered = "delivered",
        /// It did not; it is tried again.
        Failed = "failed",
        /// It did not for a day.
        GivenUp = "given_up",
    }
    /// What became of a request to a webhook.
    WebhookResult {
        /// What it told is durable.
        Taken = "taken",
        /// It asked whether we are there.
        Asked = "asked",
        /// Its sender was not proven.
        Refused = "refused",
        /// No such provider.
        Unknown = "unknown",
        /// It could not be taken in now; the provider sends it again.
        NotTaken = "not_taken",
    }
    /// What became of a mail that came whole.
    MailResult {
        /// It is durable.
        Kept = "kept",
        /// It is too large, or is no mail.
        Refused = "refused",
        /// It could not be kept now; its sender keeps it.
        NotKept = "not_kept",
        /// It helps to verify an address, and is kept for that.
        Proof = "proof",
        /// It is for an address that is not verified; its sender keeps it.
        Unproven = "unproven",
    }
    /// How it was found out where a mail comes from.
    Authenticated {
        /// By the name service.
        Done = "done",
        /// Not in time; some or all of it is `temperror`.
        TimedOut = "timed_out",
        /// Too many others were being looked at.
        Busy = "busy",
        /// A fault in the gateway.
        Fault = "fault",
        /// Nobody was asked: switched off, or the provider took the mail apart.
        NotAsked = "not_asked",
    }
    /// What became of a text that an IVR was to send.
    SmsResult {
        /// The carrier took it.
        Sent = "sent",
        /// The number is not registered.
        NotRegistered = "not_registered",
        /// The customer wants none.
        OptedOut = "opted_out",
        /// The carrier refused it.
        Refused = "refused",
        /// Nobody could be asked.
        NotTried = "not_tried",
        /// The carrier did not answer, or not so that it is understood.
        Unknown = "unknown",
    }
    /// What became of an attempt to fetch a file of a message.
    MessageMediaResult {
        /// It is kept.
        Stored = "stored",
        /// It failed, and is tried again.
        Again = "again",
        /// It failed, and was given up.
        Failed = "failed",
    }
    /// Why a visitor of a page was refused.
    ChatRefusal {
        /// The page's origin is none of the chat app's.
        Origin = "origin",
        /// No token of ours, or an old one.
        Token = "token",
        /// The site's word for who it is was not believed, or missing.
        Identity = "identity",
        /// Too much in a minute.
        Rate = "rate",
        /// A message of a wrong form.
        Message = "message",
        /// A file that is not taken, or not there.
        File = "file",
        /// The chat was not open.
        NotOpen = "not_open",
        /// It could not be made durable.
        NotTaken = "not_taken",
        /// As many are connected as there may be.
        Sockets = "sockets",
    }
    /// Why the journal refused an entry.
    JournalRefusal {
        /// Its queue was full.
        QueueFull = "queue_full",
        /// The disk was full.
        DiskFull = "disk_full",
        /// The database was not open.
        Down = "down",
        /// The journal was closed.
        Closed = "closed",
    }
}

impl StatusClass {
    /// The class of a status code.
    pub const fn of(status: u16) -> Self {
        match status / 100 {
            1 => Self::Provisional,
            2 => Self::Success,
            3 => Self::Redirection,
            4 => Self::ClientError,
            5 => Self::ServerError,
            _ => Self::GlobalError,
        }
    }
}

/// An outcome as two labels, side and reason. A closed set, the product of both.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct OutcomeLabel(pub Outcome);

impl Label for OutcomeLabel {
    const ALL: &'static [Self] = &all_outcomes();

    fn text(self) -> String {
        let name = |value| match value {
            Ok(serde_json::Value::String(name)) => name,
            _ => String::new(),
        };
        let Outcome { side, reason } = self.0;
        format!("{}/{}", name(serde_json::to_value(side)), name(serde_json::to_value(reason)))
    }
}

const fn all_outcomes() -> [OutcomeLabel; SIDES.len() * REASONS.len()] {
    let mut all = [OutcomeLabel(Outcome::new(Side::Gateway, Reason::Failed)); SIDES.len() * REASONS.len()];
    let mut index = 0;
    while index < all.len() {
        let (side, reason) = (SIDES[index / REASONS.len()], REASONS[index % REASONS.len()]);
        all[index] = OutcomeLabel(Outcome::new(side, reason));
        index += 1;
    }
    all
}

/// The label values, for the reference page.
pub(super) fn reference() -> String {
    fn values<L: Label>(name: &str, page: &mut String) {
        let values: Vec<_> = L::ALL.iter().map(|value| format!("`{}`", value.text())).collect();
        page.push_str(&format!("| {name} | {} |\n", values.join(", ")));
    }
    let mut page = String::from("\n## Label values\n\n| Label | Values |\n| --- | --- |\n");
    values::<SipMethod>("`method`", &mut page);
    values::<StatusClass>("`class`", &mut page);
    values::<SipRejection>("`reason` of `vestibule_sip_rejected_total`", &mut page);
    values::<TlsFailure>("`reason` of `vestibule_sip_tls_handshakes_failed_total`", &mut page);
    values::<JournalRefusal>("`reason` of `vestibule_journal_refused_total`", &mut page);
    values::<DigitSource>("`source`", &mut page);
    values::<TakeResult>("`result` of `vestibule_takes_total`", &mut page);
    values::<CallbackResult>("`result` of `vestibule_callback_attempts_total`", &mut page);
    values::<DeliveryResult>("`result` of `vestibule_deliveries_total`", &mut page);
    values::<WebhookResult>("`result` of `vestibule_webhook_requests_total`", &mut page);
    values::<MailResult>("`result` of `vestibule_smtp_mails_total`", &mut page);
    values::<Authenticated>("`result` of `vestibule_mail_authentications_total`", &mut page);
    values::<SmsResult>("`result` of `vestibule_texts_total`", &mut page);
    values::<MessageMediaResult>("`result` of `vestibule_message_media_fetches_total`", &mut page);
    values::<CarrierResult>("`result` of `vestibule_carrier_requests_total`", &mut page);
    values::<PurchaseResult>("`result` of `vestibule_number_purchases_total`", &mut page);
    values::<ChatRefusal>("`reason` of `vestibule_chat_refused_total`", &mut page);
    values::<SignIn>("`result` of `vestibule_sign_ins_total`", &mut page);
    page.push_str(
        "| `side`, `reason` of `vestibule_calls_ended_total` | side and reason of a contact's outcome |\n",
    );
    page
}

const SIDES: [Side; 5] = [Side::Caller, Side::Inbox, Side::Carrier, Side::Plan, Side::Gateway];
const REASONS: [Reason; 18] = [
    Reason::Completed,
    Reason::Cancelled,
    Reason::AbandonedInIvr,
    Reason::AbandonedInQueue,
    Reason::LeftVoicemail,
    Reason::CallbackRequested,
    Reason::HungUpByIvr,
    Reason::UnknownNumber,
    Reason::VoiceOff,
    Reason::Blocked,
    Reason::QueueLimit,
    Reason::MediaRefused,
    Reason::MediaTimeout,
    Reason::SignallingTimeout,
    Reason::HungUpByApi,
    Reason::Overloaded,
    Reason::Failed,
    Reason::Restarted,
];
