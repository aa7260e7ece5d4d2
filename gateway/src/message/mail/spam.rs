//! Whether a mail is likely spam. It is marked with the reasons, and never dropped: who reads it decides.

use serde::Serialize;

use super::{
    Headers,
    authentication::{AuthResult, Authentication, Upstream},
};

/// The verdict.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Spam {
    /// Whether the points reach `mail.spam_score`.
    pub marked: bool,
    /// The points.
    pub score: u32,
    /// What they are for.
    pub reasons: Vec<String>,
}

/// What a mail is judged by.
#[derive(Debug)]
pub(crate) struct Judged<'a> {
    /// What was found out of where it comes from.
    pub(crate) authentication: &'a Authentication,
    /// What the domain in From wants done with mail that is not its own.
    pub(crate) policy: Policy,
    /// The forwarder that is trusted, and says that it came to it in order.
    pub(crate) vouched_by: Option<&'a str>,
    /// What the provider says.
    pub(crate) upstream: &'a Upstream,
    /// Its headers.
    pub(crate) headers: &'a Headers,
    /// Whether these were written by the provider or a forwarder that is trusted, so that a filter's word in them counts.
    pub(crate) headers_believed: bool,
}

/// What a domain wants done with mail that only says it was its own (RFC 9989 §4.7).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Policy {
    /// Nothing, or it does not say.
    #[default]
    None,
    /// It is suspicious.
    Quarantine,
    /// It is forged.
    Reject,
}

/// Judges a mail; marked from so many points on.
pub(crate) fn judge(judged: &Judged<'_>, marked_from: u32) -> Spam {
    let mut spam = Spam::default();
    let mut add = |points: u32, reason: String| {
        spam.score += points;
        spam.reasons.push(reason);
    };
    let Authentication { spf, dkim, dmarc, arc: _ } = judged.authentication;
    match (dmarc.result, judged.vouched_by) {
        (AuthResult::Fail, Some(forwarder)) => {
            add(0, format!("changed on its way; {forwarder} says that it came in order"));
        }
        (AuthResult::Fail, None) => add(
            match judged.policy {
                Policy::Reject => 5,
                Policy::Quarantine => 4,
                Policy::None => 1,
            },
            "not of the domain in From (DMARC)".to_owned(),
        ),
        _ => {}
    }
    if judged.vouched_by.is_none() && dkim.result != AuthResult::Pass {
        match spf.result {
            AuthResult::Fail => add(2, "the server may not send for the sender's domain (SPF)".to_owned()),
            AuthResult::Softfail => {
                add(1, "the server should not send for the sender's domain (SPF)".to_owned());
            }
            _ => {}
        }
        if dkim.result == AuthResult::Fail {
            add(1, "the signature is not of this mail (DKIM)".to_owned());
        }
    }
    match judged.headers.count("From") {
        0 => add(2, "no From".to_owned()),
        1 => {}
        more => add(3, format!("{more} times From")),
    }
    if judged.upstream.spam == Some(true) {
        let score = judged.upstream.score.as_deref().map(|score| format!(" ({score})")).unwrap_or_default();
        add(FILTERED, format!("the provider's filter says so{score}"));
    }
    if judged.upstream.virus {
        add(FILTERED, "the provider found something harmful".to_owned());
    }
    if judged.headers_believed && judged.upstream.spam.is_none() && says_spam(judged.headers) {
        add(FILTERED, "a header of the filter before us says so".to_owned());
    }
    spam.marked = spam.score >= marked_from;
    spam
}

/// A filter that looked into the mail knows more than we do.
const FILTERED: u32 = 5;

/// What filters write into headers.
fn says_spam(headers: &Headers) -> bool {
    ["X-Spam-Flag", "X-Spam-Status", "X-Spam"].iter().any(|name| {
        headers.text(name).is_some_and(|value| {
            let word = value.split([',', ' ', ';']).next().unwrap_or_default();
            word.eq_ignore_ascii_case("yes") || word.eq_ignore_ascii_case("true")
        })
    })
}

#[cfg(test)]
mod tests {
    use super::{super::authentication::Finding, *};

    fn finding(result: AuthResult) -> Finding {
        Finding { result, ..Finding::default() }
    }

    fn verdict(dmarc: AuthResult, policy: Policy, vouched_by: Option<&str>, upstream: &Upstream) -> Spam {
        let authentication = Authentication { dmarc: finding(dmarc), ..Authentication::default() };
        let headers = Headers::read(b"From: a@example.org\r\nX-Spam-Flag: YES\r\n");
        let judged = Judged {
            authentication: &authentication,
            policy,
            vouched_by,
            upstream,
            headers: &headers,
            headers_believed: false,
        };
        judge(&judged, 5)
    }

    #[test]
    fn a_forged_sender_is_marked_and_a_forwarded_mail_is_not() {
        let nothing = Upstream::default();
        assert!(verdict(AuthResult::Fail, Policy::Reject, None, &nothing).marked);
        assert!(!verdict(AuthResult::Fail, Policy::Quarantine, None, &nothing).marked);
        let forwarded = verdict(AuthResult::Fail, Policy::Reject, Some("forwarder.example"), &nothing);
        assert_eq!((forwarded.marked, forwarded.score, forwarded.reasons.len()), (false, 0, 1));
        assert_eq!(verdict(AuthResult::Pass, Policy::Reject, None, &nothing), Spam::default());
        assert!(!verdict(AuthResult::Temperror, Policy::Reject, None, &nothing).marked);
    }

    #[test]
    fn a_filters_word_counts_where_it_is_the_providers_own() {
        let mut scored = Upstream::default();
        scored.scored("4.9");
        assert!(!verdict(AuthResult::Pass, Policy::None, None, &scored).marked);
        scored.scored("5.1");
        let spam = verdict(AuthResult::Pass, Policy::None, None, &scored);
        assert_eq!(spam.reasons, ["the provider's filter says so (5.1)"]);
        assert!(spam.marked);
        // Anybody can write such a header.
        assert!(!verdict(AuthResult::Pass, Policy::None, None, &Upstream::default()).marked);
        let headers = Headers::read(b"From: a@b\r\nFrom: c@d\r\nX-Spam-Status: Yes, score=9\r\n");
        let judged = Judged {
            authentication: &Authentication::default(),
            policy: Policy::None,
            vouched_by: None,
            upstream: &Upstream::default(),
            headers: &headers,
            headers_believed: true,
        };
        assert_eq!(judge(&judged, 5).score, 8);
    }
}
