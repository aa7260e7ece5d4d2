//! Just enough SIP for a caller: builds requests, and finds what a caller needs in what comes back.

use std::net::{IpAddr, SocketAddr};

/// A call's constant parts.
#[derive(Clone, Debug)]
pub(crate) struct Names {
    /// Call-ID.
    pub(crate) call_id: String,
    /// Our tag and the branch's stem.
    pub(crate) tag: String,
    /// What is dialled.
    pub(crate) number: String,
    /// Where we are.
    pub(crate) local: SocketAddr,
    /// Where the gateway is.
    pub(crate) remote: SocketAddr,
}

/// What a caller reads from a response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) method: String,
    pub(crate) call_id: String,
    pub(crate) to: String,
    pub(crate) contact: Option<String>,
    pub(crate) media: Option<SocketAddr>,
}

impl Names {
    /// The INVITE, offering G.711 and keys as events; `media` is where we listen.
    pub(crate) fn invite(&self, media: SocketAddr) -> String {
        let kind = if media.is_ipv6() { "IP6" } else { "IP4" };
        let (ip, port) = (media.ip(), media.port());
        let body = format!(
            "v=0\r\no=load 1 1 IN {kind} {ip}\r\ns=-\r\nc=IN {kind} {ip}\r\nt=0 0\r\n\
             m=audio {port} RTP/AVP 0 8 101\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:8 PCMA/8000\r\n\
             a=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-15\r\na=ptime:20\r\na=sendrecv\r\n"
        );
        let uri = format!("sip:{}@{};user=phone", self.number, self.remote);
        let extra = "Allow: INVITE, ACK, CANCEL, BYE, OPTIONS, INFO\r\nContent-Type: application/sdp\r\n";
        self.request("INVITE", &uri, 1, "i", &format!("<{uri}>"), extra, &body)
    }

    /// The ACK of a 2xx: a transaction of its own.
    pub(crate) fn ack(&self, contact: &str, to: &str) -> String {
        self.request("ACK", contact, 1, "a", to, "", "")
    }

    /// The ACK of a refusal: the INVITE's branch.
    pub(crate) fn ack_refusal(&self, to: &str) -> String {
        let uri = format!("sip:{}@{};user=phone", self.number, self.remote);
        self.request("ACK", &uri, 1, "i", to, "", "")
    }

    /// The BYE.
    pub(crate) fn bye(&self, contact: &str, to: &str) -> String {
        self.request("BYE", contact, 2, "b", to, "", "")
    }

    #[expect(clippy::too_many_arguments, reason = "the parts of one text, used only above")]
    fn request(
        &self,
        method: &str,
        uri: &str,
        cseq: u32,
        branch: &str,
        to: &str,
        extra: &str,
        body: &str,
    ) -> String {
        let Self { call_id, tag, local, .. } = self;
        format!(
            "{method} {uri} SIP/2.0\r\nVia: SIP/2.0/UDP {local};branch=z9hG4bK{tag}{branch};rport\r\n\
             Max-Forwards: 70\r\nFrom: \"Load\" <sip:+12125550188@{local};user=phone>;tag={tag}\r\nTo: {to}\r\n\
             Call-ID: {call_id}\r\nCSeq: {cseq} {method}\r\nContact: <sip:load@{local}>\r\n{extra}\
             Content-Length: {}\r\n\r\n{body}",
            body.len()
        )
    }
}

impl Response {
    /// Reads a response; nothing when it is none.
    pub(crate) fn read(data: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(data).ok()?;
        let (head, body) = text.split_once("\r\n\r\n")?;
        let mut lines = head.split("\r\n");
        let status = lines.next()?.strip_prefix("SIP/2.0 ")?.split(' ').next()?.parse().ok()?;
        let (mut method, mut call_id, mut to, mut contact) = (None, None, None, None);
        for (name, value) in lines.filter_map(|line| line.split_once(':')) {
            let value = value.trim();
            match name.trim().to_ascii_lowercase().as_str() {
                "cseq" => method = value.split_whitespace().nth(1),
                "call-id" | "i" => call_id = Some(value),
                "to" | "t" => to = Some(value),
                "contact" | "m" => contact = value.split_once('<').and_then(|(_, rest)| rest.split_once('>')),
                _ => {}
            }
        }
        Some(Self {
            status,
            method: method?.to_owned(),
            call_id: call_id?.to_owned(),
            to: to?.to_owned(),
            contact: contact.map(|(uri, _)| uri.to_owned()),
            media: media(body),
        })
    }
}

/// Where an SDP body wants its audio.
fn media(body: &str) -> Option<SocketAddr> {
    let value = |prefix: &str, word: usize| {
        body.lines()
            .find_map(|line| line.strip_prefix(prefix))
            .and_then(|rest| rest.split_whitespace().nth(word))
    };
    let address: IpAddr = value("c=", 2)?.parse().ok()?;
    let port: u16 = value("m=audio ", 0)?.parse().ok()?;
    (port > 0).then_some(SocketAddr::new(address, port))
}

/// A request that came to us: its method, and the 200 that answers it.
pub(crate) fn answer_request(data: &[u8]) -> Option<(String, String, String)> {
    let text = std::str::from_utf8(data).ok()?;
    let (head, _) = text.split_once("\r\n\r\n")?;
    let method = head.split(' ').next().filter(|word| *word != "SIP/2.0")?;
    let kept = ["via", "v", "from", "f", "to", "t", "call-id", "i", "cseq"];
    let mut call_id = String::new();
    let mut answer = String::from("SIP/2.0 200 OK\r\n");
    for line in head.split("\r\n").skip(1) {
        let Some((name, value)) = line.split_once(':') else { continue };
        let name = name.trim().to_ascii_lowercase();
        if kept.contains(&name.as_str()) {
            answer.push_str(line);
            answer.push_str("\r\n");
        }
        if name == "call-id" || name == "i" {
            value.trim().clone_into(&mut call_id);
        }
    }
    answer.push_str("Content-Length: 0\r\n\r\n");
    Some((method.to_owned(), call_id, answer))
}

#[cfg(test)]
mod tests {
    use super::{Response, answer_request};

    #[test]
    fn a_response_gives_up_what_a_caller_needs() {
        let text = b"SIP/2.0 200 OK\r\nVia: x\r\nTo: <sip:a@b>;tag=7\r\ni: c-1\r\nCSeq: 1 INVITE\r\n\
                     Contact: <sip:gw@127.0.0.1:5060>\r\n\r\nv=0\r\nc=IN IP4 127.0.0.1\r\nm=audio 20002 RTP/AVP 0\r\n";
        let response = Response::read(text).unwrap();
        assert_eq!(
            (response.status, response.method.as_str(), response.call_id.as_str()),
            (200, "INVITE", "c-1")
        );
        assert_eq!(response.contact.as_deref(), Some("sip:gw@127.0.0.1:5060"));
        assert_eq!(response.media, "127.0.0.1:20002".parse().ok());
    }

    #[test]
    fn a_bye_is_answered_with_its_own_headers() {
        let text = b"BYE sip:load@127.0.0.1 SIP/2.0\r\nVia: v\r\nFrom: f\r\nTo: t\r\nCall-ID: c-2\r\nCSeq: 9 BYE\r\n\r\n";
        let (method, call_id, answer) = answer_request(text).unwrap();
        assert_eq!((method.as_str(), call_id.as_str()), ("BYE", "c-2"));
        assert!(
            answer.starts_with(
                "SIP/2.0 200 OK\r\nVia: v\r\nFrom: f\r\nTo: t\r\nCall-ID: c-2\r\nCSeq: 9 BYE\r\n"
            )
        );
        assert!(answer_request(b"SIP/2.0 200 OK\r\n\r\n").is_none());
    }
}
