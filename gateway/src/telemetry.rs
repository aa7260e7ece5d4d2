//! What operators see: metric families, log set-up, and the wrapper that keeps personal data out of logs.
//!
//! Metrics are plain structs handed to those who count; nothing here knows what is counted.

mod logs;
mod metrics;
mod pii;

pub use self::metrics::{AuditMetrics, GuardMetrics, IdentityMetrics, SignIn};
pub use self::{
    logs::{LogFormat, LogsError, start_logs},
    metrics::{
        ApiMetrics, Authenticated, CallMetrics, CallbackMetrics, CallbackResult, CarrierMetrics,
        CarrierResult, ChatMetrics, ChatRefusal, Counters, DeliveryMetrics, DeliveryResult, DigitSource,
        Families, HandOffMetrics, JournalMetrics, JournalRefusal, Label, MailMetrics, MailResult,
        MediaMetrics, MessageMediaMetrics, MessageMediaResult, MessageMetrics, Metrics, OutcomeLabel,
        PurchaseResult, QueueMetrics, SipMethod, SipMetrics, SipRejection, SmsMetrics, SmsResult,
        SmtpMetrics, StatusClass, TakeResult, TlsFailure, TrunkGauges, TrunkMetrics, WebhookResult,
    },
    pii::Pii,
};
