//! What sort of mail it is: written by a machine, or a forwarding provider's question whether the address is ours.

use super::{Headers, Mail};

/// More hops than that are a loop.
const RECEIVED_MAX: usize = 30;

/// Whether a machine wrote it, or it goes in circles: such a mail is kept, and never answered by a machine.
pub(super) fn automatic(headers: &Headers, return_path: Option<&str>) -> bool {
    let says = |name: &str, words: &[&str]| {
        headers.text(name).is_some_and(|value| {
            let word = value.split([';', ' ', ',']).next().unwrap_or_default();
            words.iter().any(|known| word.eq_ignore_ascii_case(known))
        })
    };
    let has = |name: &str| headers.count(name) > 0;
    let bounce = |path: String| path.chars().all(|c| c == '<' || c == '>' || c.is_whitespace());
    // RFC 3834 §5: anything but `no` was sent by a machine.
    (has("Auto-Submitted") && !says("Auto-Submitted", &["no"]))
        || says("Precedence", &["bulk", "junk", "list", "auto_reply"])
        || (has("X-Auto-Response-Suppress") && !says("X-Auto-Response-Suppress", &["none"]))
        || ["List-Id", "X-Autoreply", "X-Autorespond", "X-Loop"].iter().any(|name| has(name))
        || headers.text("Return-Path").is_some_and(bounce)
        || return_path.is_some_and(|path| bounce(path.to_owned()))
        || headers.media_type() == "multipart/report"
        || headers.count("Received") > RECEIVED_MAX
}

/// Who forwards mail and asks first whether the address wants it. Known by the one mailbox that the provider itself writes
/// from: its customers write from the same domains (at Outlook, Yahoo, iCloud, Proton and Zoho), and are signed alike.
struct Forwarder {
    /// Its mailbox, in small letters.
    mailbox: &'static str,
    /// The domains that sign for it, exactly.
    signers: &'static [&'static str],
    /// Where its links lead: these hosts, and those within them.
    hosts: &'static [&'static str],
    /// One of these stands in its links.
    paths: &'static [&'static str],
    /// Two of these stand in its words; none where it writes in its user's language.
    words: &'static [&'static str],
}

const WORDS: &[&str] = &["forward", "verif", "confirm"];
const PATHS: &[&str] = &["verif", "confirm"];

const FORWARDERS: &[Forwarder] = &[
    Forwarder {
        mailbox: "forwarding-noreply@google.com",
        signers: &["google.com"],
        hosts: &["google.com"],
        paths: &["/mail/vf-"],
        words: &[],
    },
    Forwarder {
        mailbox: "no-reply@cc.yahoo-inc.com",
        signers: &["cc.yahoo-inc.com", "yahoo-inc.com"],
        hosts: &["yahoo.com"],
        paths: PATHS,
        words: WORDS,
    },
    Forwarder {
        mailbox: "noreply@zoho.com",
        signers: &["zoho.com"],
        hosts: &["zoho.com"],
        paths: PATHS,
        words: WORDS,
    },
    Forwarder {
        mailbox: "noreply@zoho.eu",
        signers: &["zoho.eu"],
        hosts: &["zoho.eu"],
        paths: PATHS,
        words: WORDS,
    },
];

/// Whether a mail from this mailbox, signed by these domains, is a forwarder's: its own signature is on it.
pub(super) fn is_of_forwarder(from: &str, signed_by: &[String]) -> bool {
    forwarder(from).is_some_and(|forwarder| {
        signed_by
            .iter()
            .any(|domain| forwarder.signers.iter().any(|signer| domain.eq_ignore_ascii_case(signer)))
    })
}

fn forwarder(from: &str) -> Option<&'static Forwarder> {
    FORWARDERS.iter().find(|known| from.eq_ignore_ascii_case(known.mailbox))
}

/// The link, else the code, by which forwarding to us is confirmed, as the mail says. Whether it is the forwarder's is
/// proven by its signature ([`is_of_forwarder`]); a person looks at it, and nothing opens it unasked.
pub(super) fn confirmation(mail: &Mail) -> Option<String> {
    let forwarder = forwarder(&mail.from)?;
    let subject = mail.content.subject.as_deref().unwrap_or_default();
    let text = &mail.content.text;
    if !forwarder.words.is_empty() {
        let words = format!("{subject}\n{text}").to_lowercase();
        let asks = forwarder.words.iter().filter(|word| words.contains(**word)).count();
        if !words.contains("forward") || asks < 2 {
            return None;
        }
    }
    let html = mail.content.html.as_deref().unwrap_or_default();
    let telling = |link: &&str| {
        let (host, path) = (host(link), link.to_lowercase());
        forwarder.hosts.iter().any(|domain| is_within(host, domain))
            && forwarder.paths.iter().any(|part| path.contains(part))
    };
    let link = links(text).chain(links(html)).find(telling).map(|link| link.replace("&amp;", "&"));
    let plain = || if forwarder.words.is_empty() { None } else { code(text) };
    link.or_else(|| code(subject)).or_else(plain)
}

fn is_within(host: &str, domain: &str) -> bool {
    host.strip_suffix(domain).is_some_and(|before| before.is_empty() || before.ends_with('.'))
}

/// The https links in a text.
fn links(text: &str) -> impl Iterator<Item = &str> {
    let starts = text.match_indices("https://").take(LINKS_MAX);
    starts.filter_map(|(at, _)| {
        let near = text.get(at..text.floor_char_boundary(at + LINK_MAX))?;
        near.split(|c: char| c.is_whitespace() || matches!(c, '"' | '\'' | '<' | '>' | ')' | ']')).next()
    })
}

const LINKS_MAX: usize = 200;
/// Longest link, in bytes.
const LINK_MAX: usize = 2000;

fn host(link: &str) -> &str {
    let rest = link.strip_prefix("https://").unwrap_or_default();
    rest.split(['/', '?', '#']).next().unwrap_or_default()
}

/// A code of 6 to 12 digits that stands alone.
fn code(text: &str) -> Option<String> {
    let words = text.split(|c: char| !c.is_alphanumeric());
    let is_code =
        |word: &&str| (6..=12).contains(&word.len()) && word.bytes().all(|byte| byte.is_ascii_digit());
    words.into_iter().find(is_code).map(str::to_owned)
}
