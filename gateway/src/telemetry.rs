//! What operators see: metric families, log set-up, and the wrapper that keeps personal data out of logs.
//!
//! Metrics are plain structs handed to those who count; nothing here knows what is counted.

mod logs;
mod metrics;
mod pii;

pub use self::{
    logs::{LogFormat, LogsError, start_logs},
    metrics::{
        ApiMetrics, CallMetrics, CallbackMetrics, CallbackResult, ChatMetrics, ChatRefusal, Counters,
        DeliveryMetrics, DeliveryResult, DigitSource, HandOffMetrics, JournalMetrics, JournalRefusal, Label,
        MailResult, MediaMetrics, MessageMetrics, Metrics, OutcomeLabel, QueueMetrics, SipMethod, SipMetrics,
        SipRejection, SmsMetrics, SmsResult, SmtpMetrics, StatusClass, TakeResult, TlsFailure, TrunkGauges,
        TrunkMetrics, WebhookResult,
    },
    pii::Pii,
};
