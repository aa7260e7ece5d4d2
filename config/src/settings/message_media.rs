//! `[message_media]`: the files of messages that lie elsewhere, and how they are fetched.

use std::{fmt, str::FromStr};

use serde::Deserialize;

use super::AllowedTarget;

/// `[message_media]`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MessageMedia {
    /// Whether they are fetched at all.
    pub fetch: bool,
    /// Files of one message.
    pub per_message_max: usize,
    /// Fetched at once.
    pub parallel_max: usize,
    /// Fetched at once from one host.
    pub parallel_per_host_max: usize,
    /// Largest file, bytes.
    pub bytes_max: usize,
    /// Media types that are kept.
    pub types: Vec<MediaTypes>,
    /// Seconds for a connection.
    pub connect_seconds: u64,
    /// Seconds without a byte.
    pub idle_seconds: u64,
    /// Seconds for one file.
    pub total_seconds: u64,
    /// Redirections followed.
    pub redirects_max: usize,
    /// Attempts, the first included.
    pub attempts_max: u32,
    /// Hours after which no further attempt is made.
    pub age_hours_max: i64,
    /// Networks and hosts that files may lie at although they are not public.
    pub allowed_targets: Vec<AllowedTarget>,
    /// Whether `http:` is followed too.
    pub plain_http: bool,
}

/// One line of the list of media types: `image/*`, `application/pdf`, `*/*`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MediaTypes {
    /// Before the slash; none: any.
    kind: Option<String>,
    /// Behind it; none: any.
    form: Option<String>,
}

impl MediaTypes {
    /// Whether a media type (small letters, no parameters) is meant.
    pub fn allows(&self, media_type: &str) -> bool {
        let Some((kind, form)) = media_type.split_once('/') else { return false };
        self.kind.as_ref().is_none_or(|wanted| wanted == kind)
            && self.form.as_ref().is_none_or(|wanted| wanted == form)
    }
}

impl FromStr for MediaTypes {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let part = |part: &str| {
            let plain =
                |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"+-._".contains(&byte);
            match part {
                "*" => Some(None),
                part => (!part.is_empty() && part.bytes().all(plain)).then(|| Some(part.to_owned())),
            }
        };
        let both = text.split_once('/').and_then(|(kind, form)| Some((part(kind)?, part(form)?)));
        match both {
            Some((kind, form)) if kind.is_some() || form.is_none() => Ok(Self { kind, form }),
            _ => Err(format!(
                "\"{text}\" is no media type; write image/*, application/pdf or */*, in small letters"
            )),
        }
    }
}

impl fmt::Display for MediaTypes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.kind.as_deref().unwrap_or("*"), self.form.as_deref().unwrap_or("*"))
    }
}

impl<'de> Deserialize<'de> for MediaTypes {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// What may be wrong: a key, whether its value is, and why.
pub(super) fn faults(media: &MessageMedia) -> Vec<(&'static str, bool, &'static str)> {
    let zero = "must be at least 1";
    vec![
        ("message_media.per_message_max", media.per_message_max == 0, zero),
        (
            "message_media.parallel_max",
            !(1..=256).contains(&media.parallel_max),
            "must be from 1 to 256: each holds a file in memory",
        ),
        ("message_media.parallel_per_host_max", media.parallel_per_host_max == 0, zero),
        ("message_media.bytes_max", media.bytes_max == 0, zero),
        ("message_media.connect_seconds", media.connect_seconds == 0, zero),
        ("message_media.idle_seconds", media.idle_seconds == 0, zero),
        (
            "message_media.total_seconds",
            media.total_seconds < media.connect_seconds,
            "must not lie under message_media.connect_seconds",
        ),
        ("message_media.redirects_max", media.redirects_max > 10, "must not exceed 10"),
        ("message_media.attempts_max", !(1..=100).contains(&media.attempts_max), "must be from 1 to 100"),
        ("message_media.age_hours_max", media.age_hours_max < 1, zero),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn media_types_are_whole_halves_or_all() {
        for (list, is) in [
            ("image/*", "image/jpeg"),
            ("application/pdf", "application/pdf"),
            ("*/*", "font/woff"),
            ("application/vnd.ms-excel", "application/vnd.ms-excel"),
        ] {
            assert!(list.parse::<MediaTypes>().unwrap().allows(is), "{list} {is}");
        }
        for (list, is) in [
            ("image/*", "video/mp4"),
            ("application/pdf", "application/pdfx"),
            ("*/*", "jpeg"),
            ("image/*", "ximage/png"),
        ] {
            assert!(!list.parse::<MediaTypes>().unwrap().allows(is), "{list} {is}");
        }
        for bad in ["", "image", "image/", "/png", "*/png", "Image/png", "image/png; q=1"] {
            assert!(bad.parse::<MediaTypes>().is_err(), "{bad}");
        }
    }
}
