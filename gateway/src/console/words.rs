//! Times, durations and the API's words as people read them.

use std::fmt;

use askama::filters::HtmlSafe;
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;

/// A moment, shown in UTC; a script shows it in the zone of whoever reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(transparent)]
pub(super) struct When(pub(super) Timestamp);

impl When {
    /// How long ago, counted on by a script.
    pub(super) fn since(self) -> Since {
        Since(self.0)
    }

    /// How long until then, counted down by a script.
    pub(super) fn due(self) -> Due {
        Due(self.0)
    }

    /// The time between two moments, such as `2 min 5 s`.
    pub(super) fn until(self, later: &Self) -> String {
        duration_ms(later.0.duration_since(self.0).as_millis())
    }

    /// Whether it has passed.
    pub(super) fn passed(self) -> bool {
        self.0 <= Timestamp::now()
    }
}

impl HtmlSafe for When {}

impl fmt::Display for When {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = self.0.strftime("%-d %b %H:%M:%S");
        write!(f, "<time datetime=\"{:.3}\" data-when>{shown} UTC</time>", self.0)
    }
}

/// How long ago something was.
#[derive(Clone, Copy, Debug)]
pub(super) struct Since(Timestamp);

impl HtmlSafe for Since {}

impl fmt::Display for Since {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ago = Timestamp::now().duration_since(self.0).max(SignedDuration::ZERO);
        write!(f, "<time datetime=\"{:.3}\" data-since>{}</time>", self.0, clock(ago))
    }
}

/// How long until something is due; negative when it is late.
#[derive(Clone, Copy, Debug)]
pub(super) struct Due(Timestamp);

impl HtmlSafe for Due {}

impl fmt::Display for Due {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let left = self.0.duration_since(Timestamp::now());
        let (late, words) = if left.is_negative() {
            (" class=\"late\"", format!("{} late", clock(-left)))
        } else {
            ("", format!("in {}", clock(left)))
        };
        write!(f, "<time datetime=\"{:.3}\" data-due{late}>{words}</time>", self.0)
    }
}

/// `0:07`, `12:30`, `3:02:11`, `2 d 4 h`.
fn clock(duration: SignedDuration) -> String {
    let seconds = duration.as_secs().unsigned_abs();
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
    match (days, hours) {
        (0, 0) => format!("{minutes}:{:02}", seconds % 60),
        (0, hours) => format!("{hours}:{minutes:02}:{:02}", seconds % 60),
        (days, hours) => format!("{days} d {hours} h"),
    }
}

/// Milliseconds as people say them: `450 ms`, `12 s`, `2 min 5 s`, `3 h 10 min`, `2 d`.
pub(super) fn duration_ms(milliseconds: i128) -> String {
    let ms = milliseconds.max(0);
    let seconds = ms / 1000;
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
    match (days, hours, minutes, seconds) {
        (0, 0, 0, 0) => format!("{ms} ms"),
        (0, 0, 0, seconds) => format!("{seconds} s"),
        (0, 0, minutes, _) => match seconds % 60 {
            0 => format!("{minutes} min"),
            rest => format!("{minutes} min {rest} s"),
        },
        (0, hours, 0, _) => format!("{hours} h"),
        (0, hours, minutes, _) => format!("{hours} h {minutes} min"),
        (days, 0, _, _) => format!("{days} d"),
        (days, hours, _, _) => format!("{days} d {hours} h"),
    }
}

/// Minutes as people say them.
pub(super) fn minutes(minutes: u64) -> String {
    duration_ms(i128::from(minutes) * 60_000)
}

/// Bytes as people say them.
pub(super) fn bytes(bytes: u64) -> String {
    match bytes {
        0..1024 => format!("{bytes} B"),
        1024..1_048_576 => format!("{} KiB", bytes >> 10),
        _ => format!("{}.{} MiB", bytes >> 20, (bytes >> 10) % 1024 * 10 / 1024),
    }
}

/// A channel's name for people.
pub(super) fn channel(name: &str) -> &str {
    match name {
        "voice" => "Voice",
        "sms" => "SMS",
        "chat" => "Chat",
        "messenger" => "Messenger",
        "instagram" => "Instagram",
        "whatsapp" => "WhatsApp",
        "telegram" => "Telegram",
        "line" => "LINE",
        "viber" => "Viber",
        "email" => "E-mail",
        "custom" => "Custom",
        "ivr" => "IVR exit",
        other => other,
    }
}

/// Why a contact ended, for people.
pub(super) fn reason(name: &str) -> &str {
    match name {
        "completed" => "Completed",
        "cancelled" => "Hung up before it was answered",
        "abandoned_in_ivr" => "Abandoned in the IVR",
        "abandoned_in_queue" => "Abandoned in the queue",
        "left_voicemail" => "Left a voicemail",
        "callback_requested" => "Will be called back",
        "hung_up_by_ivr" => "Ended by the IVR",
        "unknown_number" => "Number not ours",
        "voice_off" => "Voice is off",
        "blocked" => "Caller is blocked",
        "queue_limit" => "Limit of the queue",
        "media_refused" => "No common codec",
        "media_timeout" => "No media came",
        "signalling_timeout" => "Signalling timed out",
        "hung_up_by_api" => "Ended on request",
        "overloaded" => "Gateway was full",
        "failed" => "Gateway failed",
        "restarted" => "Gateway restarted",
        other => other,
    }
}

/// How serious an end is: `good`, `warn`, `bad` or plain.
pub(super) fn tone(reason: &str) -> &'static str {
    match reason {
        "completed" | "left_voicemail" | "callback_requested" => "good",
        "abandoned_in_ivr" | "abandoned_in_queue" | "cancelled" | "queue_limit" | "voice_off" => "warn",
        "media_refused" | "media_timeout" | "signalling_timeout" | "overloaded" | "failed" | "restarted"
        | "unknown_number" => "bad",
        _ => "plain",
    }
}

/// Whose doing an end was.
pub(super) fn side(name: &str) -> &str {
    match name {
        "caller" => "the caller",
        "inbox" => "the inbox",
        "carrier" => "the carrier",
        "plan" => "the routing",
        "gateway" => "the gateway",
        other => other,
    }
}

/// The customer's address; withheld when there is none.
pub(super) fn who(address: &str) -> &str {
    if address.is_empty() { "Withheld" } else { address }
}

/// One step of a path, percent-encoded.
pub(super) fn encoded(step: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte);
    step.bytes()
        .map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}

/// The sentence of an act that waits for a second person instead of being done.
pub(super) fn waits(answer: &serde_json::Value) -> Option<String> {
    let request =
        ["/done/request", "/request/id", "/request"].iter().find_map(|at| answer.pointer(at)?.as_u64())?;
    Some(format!("It waits as request {request} until somebody else approves it."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_said_in_two_units_at_most() {
        let say = |ms| duration_ms(ms);
        assert_eq!([say(450), say(12_000), say(125_000)], ["450 ms", "12 s", "2 min 5 s"]);
        assert_eq!([say(3_600_000), say(11_400_000), say(172_800_000)], ["1 h", "3 h 10 min", "2 d"]);
        assert_eq!([minutes(1440), bytes(3 << 19), bytes(900)], ["1 d", "1.5 MiB", "900 B"]);
    }

    #[test]
    fn a_step_of_a_path_stays_one_step() {
        assert_eq!(encoded("voice/+1 ü"), "voice%2F%2B1%20%C3%BC");
    }
}
