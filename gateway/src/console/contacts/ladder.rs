//! The SIP of a contact as a ladder: the gateway in the middle, every other side a line of its own.
//!
//! Drawn as SVG from what was captured, with no more than numbers computed here: all words are escaped by the template.

use serde::Deserialize;

use crate::console::words::When;

/// A captured message, as the API tells it.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Message {
    at: When,
    direction: String,
    transport: String,
    peer: String,
    call_id: String,
    text: String,
}

/// The whole drawing.
#[derive(Clone, Debug, Default)]
pub(super) struct Ladder {
    pub(super) width: usize,
    pub(super) height: usize,
    pub(super) lines: Vec<Line>,
    pub(super) rungs: Vec<Rung>,
}

/// A vertical line: one of those who talk.
#[derive(Clone, Debug)]
pub(super) struct Line {
    pub(super) x: usize,
    pub(super) name: String,
    pub(super) transport: String,
}

/// One message between two lines.
#[derive(Clone, Debug)]
pub(super) struct Rung {
    pub(super) number: usize,
    pub(super) y: usize,
    pub(super) from_x: usize,
    pub(super) to_x: usize,
    pub(super) label: String,
    pub(super) detail: String,
    /// `request`, `good`, `wait` or `bad`.
    pub(super) kind: &'static str,
    pub(super) after: String,
    pub(super) at: When,
    pub(super) direction: String,
    pub(super) peer: String,
    pub(super) call_id: String,
    pub(super) text: String,
}

impl Rung {
    /// The middle of the arrow.
    pub(super) fn middle(&self) -> usize {
        self.from_x.midpoint(self.to_x)
    }

    /// The points of the arrow's head.
    pub(super) fn head(&self) -> String {
        let (x, y) = (self.to_x, self.y);
        let back = if self.to_x > self.from_x { x.saturating_sub(8) } else { x + 8 };
        format!("{x},{y} {back},{} {back},{}", y - 4, y + 4)
    }

    /// Where its label stands.
    pub(super) fn label_y(&self) -> usize {
        self.y - 6
    }
}

const LEFT: usize = 110;
const BETWEEN: usize = 260;
const TOP: usize = 64;
const STEP: usize = 38;

impl Ladder {
    pub(super) fn drawn(messages: Vec<Message>) -> Self {
        let Some(first) = messages.first().map(|message| message.at) else { return Self::default() };
        // The caller stands on the left, then the gateway, then those whom the gateway called.
        let mut peers: Vec<(String, String)> = Vec::new();
        for message in &messages {
            if !peers.iter().any(|(peer, _)| *peer == message.peer) {
                peers.push((message.peer.clone(), message.transport.clone()));
            }
        }
        let column = |peer: &str| match peers.iter().position(|(known, _)| known == peer) {
            Some(0) | None => LEFT,
            Some(index) => LEFT + (index + 1) * BETWEEN,
        };
        let gateway = LEFT + BETWEEN;
        let mut lines = vec![Line { x: gateway, name: "Vestibule".into(), transport: String::new() }];
        lines.extend(peers.iter().map(|(peer, transport)| Line {
            x: column(peer),
            name: peer.clone(),
            transport: transport.clone(),
        }));
        lines.sort_by_key(|line| line.x);
        let rungs: Vec<Rung> = messages
            .into_iter()
            .enumerate()
            .map(|(index, message)| {
                let peer = column(&message.peer);
                let sent = message.direction == "sent";
                let (from_x, to_x) = if sent { (gateway, peer) } else { (peer, gateway) };
                let (label, detail, kind) = told(&message.text);
                Rung {
                    number: index + 1,
                    y: TOP + (index + 1) * STEP,
                    from_x,
                    to_x,
                    label,
                    detail,
                    kind,
                    after: offset(message.at, first),
                    at: message.at,
                    direction: message.direction,
                    peer: message.peer,
                    call_id: message.call_id,
                    text: message.text,
                }
            })
            .collect();
        let last = lines.last().map_or(gateway, |line| line.x);
        Self { width: last + LEFT, height: TOP + (rungs.len() + 1) * STEP, lines, rungs }
    }
}

fn offset(at: When, first: When) -> String {
    let ms = at.0.duration_since(first.0).as_millis().max(0);
    format!("{}.{:03}", ms / 1000, ms % 1000)
}

/// What a message is in a few words, what else is worth a glance, and its colour.
fn told(text: &str) -> (String, String, &'static str) {
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((text, ""));
    let start = head.lines().next().unwrap_or_default();
    let header = |name: &str| {
        head.lines().skip(1).find_map(|line| {
            let (found, value) = line.split_once(':')?;
            found.trim().eq_ignore_ascii_case(name).then(|| value.trim().to_owned())
        })
    };
    let sequence = header("CSeq").unwrap_or_default();
    let with_sdp = if body.starts_with("v=0") { " · SDP" } else { "" };
    if let Some(status) = start.strip_prefix("SIP/2.0 ") {
        let kind = match status.as_bytes().first() {
            Some(b'1') => "wait",
            Some(b'2') => "good",
            Some(b'3') => "request",
            _ => "bad",
        };
        return (format!("{status}{with_sdp}"), sequence, kind);
    }
    let method = start.split(' ').next().unwrap_or_default();
    (
        format!("{method}{with_sdp}"),
        sequence,
        if matches!(method, "CANCEL" | "BYE") { "wait" } else { "request" },
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(direction: &str, peer: &str, text: &str) -> Message {
        Message {
            at: When("2026-03-02T15:00:00Z".parse().unwrap()),
            direction: direction.into(),
            transport: "UDP".into(),
            peer: peer.into(),
            call_id: "one".into(),
            text: text.into(),
        }
    }

    #[test]
    fn the_caller_is_left_of_the_gateway_and_those_called_are_right() {
        let ladder = Ladder::drawn(vec![
            message("received", "192.0.2.1:5060", "INVITE sip:x SIP/2.0\r\nCSeq: 1 INVITE\r\n\r\nv=0\r\n"),
            message("sent", "192.0.2.1:5060", "SIP/2.0 180 Ringing\r\n\r\n"),
            message("sent", "192.0.2.9:5060", "INVITE sip:ann SIP/2.0\r\n\r\n"),
            message("received", "192.0.2.9:5060", "SIP/2.0 486 Busy Here\r\n\r\n"),
        ]);
        let names: Vec<&str> = ladder.lines.iter().map(|line| line.name.as_str()).collect();
        assert_eq!(names, ["192.0.2.1:5060", "Vestibule", "192.0.2.9:5060"]);
        assert!(
            ladder.rungs[0].from_x < ladder.rungs[0].to_x && ladder.rungs[1].from_x > ladder.rungs[1].to_x
        );
        assert!(ladder.rungs[2].from_x < ladder.rungs[2].to_x, "we call to the right");
        assert_eq!((ladder.rungs[0].label.as_str(), ladder.rungs[0].kind), ("INVITE · SDP", "request"));
        assert_eq!((ladder.rungs[3].label.as_str(), ladder.rungs[3].kind), ("486 Busy Here", "bad"));
        assert!(Ladder::drawn(Vec::new()).rungs.is_empty());
    }
}
