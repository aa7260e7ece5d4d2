//! The legs towards those who take the contact: some that ring, one that talks to the caller.

use std::{collections::VecDeque, sync::Arc, task::Poll};

use sip_proto::{
    endpoint::Party,
    sdp::{Codec, Direction, Negotiated},
};
use tokio::sync::{mpsc, oneshot};
use vestibule_routing::{
    address::Address,
    digit::Digit,
    journey::{Callee, Journey, Refusal, RequestId, TargetIndex},
};

use super::{MEDIA_EVENTS_MAX, media_leg::MediaLeg};
use crate::{
    api::live::Located,
    dialler::PhoneInUse,
    hub::Services,
    leg::{Destination, LegId, Placing, Signal, SignalLeg, SignalSink, srtp_of},
    media::MediaEvent,
    trunks::Way,
};

/// All legs but the caller's, and what new ones are made of.
#[derive(Debug)]
pub(super) struct Takers {
    ringing: Vec<Taker>,
    talking: Option<Taker>,
    /// The request that the journey is looking at.
    asked: Option<Asked>,
    requests: u32,
    /// A call of the journey's own whose target is being looked up.
    pub(super) forwards: Option<RequestId>,
    signals: mpsc::WeakSender<(LegId, Signal)>,
    from: Party,
    headers: Vec<(&'static str, String)>,
    max_forwards: u8,
    /// What the SIP of the contact is kept under.
    story: Arc<str>,
}

/// A request: who waits for its answer, and where its calls would go.
#[derive(Debug)]
struct Asked {
    id: RequestId,
    reply: oneshot::Sender<Result<(), Refusal>>,
    targets: Vec<Located>,
}

/// Names a leg: its request, and its place among the targets.
pub(super) type TakerId = (RequestId, TargetIndex);

/// One leg.
#[derive(Debug)]
pub(super) struct Taker {
    id: TakerId,
    pub(super) media: MediaLeg,
    signal: SignalLeg,
    events: mpsc::Receiver<MediaEvent>,
    placing: Placing,
    /// Where to call when the target does not answer where it was called.
    others: VecDeque<Way>,
    held: bool,
    /// The phone is in use as long as the leg is.
    phone: Option<PhoneInUse>,
}

impl Takers {
    pub(super) fn new(
        (max_forwards, story): (u8, Arc<str>),
        journey: &Journey,
        signals: mpsc::WeakSender<(LegId, Signal)>,
    ) -> Self {
        let contact = journey.contact();
        let company = match &contact.to {
            Address::Number(number) => number.to_string(),
            Address::Text(_) => String::new(),
        };
        let customer = if contact.from.anonymous {
            String::new()
        } else {
            contact.from.number.map_or_else(|| contact.from.text.clone(), |number| number.to_string())
        };
        let mut headers = vec![("X-Vestibule-Contact", contact.id.to_string())];
        if !customer.is_empty() {
            headers.push(("X-Vestibule-Customer", customer.clone()));
        }
        Self {
            ringing: Vec::new(),
            talking: None,
            asked: None,
            requests: 0,
            forwards: None,
            signals,
            // Who calls is one of our own numbers; whose call it is stands beside it.
            from: Party { user: company, host: String::new(), display: customer },
            headers,
            max_forwards,
            story,
        }
    }

    /// Names a request; its answer goes to `reply`.
    pub(super) fn ask(
        &mut self,
        reply: oneshot::Sender<Result<(), Refusal>>,
        targets: Vec<Located>,
    ) -> RequestId {
        self.requests = self.requests.wrapping_add(1);
        let id = RequestId(self.requests);
        self.asked = Some(Asked { id, reply, targets });
        id
    }

    /// Answers a request.
    pub(super) fn reply(&mut self, request: RequestId, result: Result<(), Refusal>) {
        if let Some(asked) = self.asked.take_if(|asked| asked.id == request) {
            // Whoever asked may have gone away.
            asked.reply.send(result).unwrap_or_default();
        }
    }

    /// Calls the targets of a request; the indices of those who cannot be called.
    pub(super) fn call(
        &mut self,
        request: RequestId,
        callee: &Callee,
        (services, caller, leg): (&Services, &MediaLeg, &SignalLeg),
    ) -> Vec<TargetIndex> {
        let targets = match self.asked.as_mut().filter(|asked| asked.id == request) {
            Some(asked) => std::mem::take(&mut asked.targets),
            None => Vec::new(),
        };
        self.call_located(request, callee, targets, (services, caller, leg))
    }

    /// Whether the request came from outside, and is not answered yet.
    pub(super) fn has_asked(&self, request: RequestId) -> bool {
        self.asked.as_ref().is_some_and(|asked| asked.id == request)
    }

    /// Calls targets that are there; the indices of those who cannot be called.
    pub(super) fn call_located(
        &mut self,
        request: RequestId,
        callee: &Callee,
        targets: Vec<Located>,
        (services, caller, leg): (&Services, &MediaLeg, &SignalLeg),
    ) -> Vec<TargetIndex> {
        let mut targets = targets.into_iter();
        let mut failed = Vec::new();
        for (index, uri) in callee.targets.iter().enumerate() {
            let taker = targets
                .next()
                .and_then(|located| self.called((request, index), uri, located, (services, caller, leg)));
            match taker {
                Some(taker) => self.ringing.push(taker),
                None => failed.push(index),
            }
        }
        failed
    }

    fn called(
        &self,
        id: TakerId,
        uri: &str,
        located: Located,
        (services, caller, leg): (&Services, &MediaLeg, &SignalLeg),
    ) -> Option<Taker> {
        let trunks = services.routing.active().load().trunks.clone();
        let srtp_at = |to: &Destination| trunks.find(to.peer.ip()).map(|trunk| srtp_of(trunk));
        let ways = located.ways.into_iter();
        let mut others: VecDeque<_> =
            ways.map(|way| Way { srtp: way.srtp.or_else(|| srtp_at(&way.to)), ..way }).collect();
        let way = others.pop_front()?;
        let (sender, events) = mpsc::channel(MEDIA_EVENTS_MAX);
        let mut media = MediaLeg::new(sender, way.to.peer.ip());
        // Before the caller is answered, his leg belongs beside the first of these.
        let beside = if caller.is_open() { Some(caller) } else { self.media_beside() };
        let replaces = located.replaces.map(|value| ("Replaces", value));
        // What is for agents' telephones is no business of carriers, nor of whom they reach.
        let own = if way.uri.is_none() { self.headers.as_slice() } else { &[] };
        let placing = Placing {
            story: self.story.clone(),
            to: way.to,
            uri: way.uri.unwrap_or_else(|| uri.to_owned()),
            login: way.login,
            trunk: way.trunk,
            from: self.from.clone(),
            media: media.open(services, beside)?,
            codecs: codecs(caller.codec()),
            srtp: way.srtp.unwrap_or_default(),
            headers: own.iter().cloned().chain(replaces).collect(),
            max_forwards: self.max_forwards,
        };
        let signal = self.place(id, &placing, leg)?;
        Some(Taker { id, media, signal, events, placing, others, held: false, phone: located.phone })
    }

    fn place(&self, id: TakerId, placing: &Placing, leg: &SignalLeg) -> Option<SignalLeg> {
        let signals = SignalSink::new(LegId::Callee(id.0, id.1), self.signals.upgrade()?);
        leg.place(placing.clone(), signals)
    }

    /// The call failed: whether the target is called somewhere else now.
    pub(super) fn call_elsewhere(&mut self, id: TakerId, leg: &SignalLeg) -> bool {
        let Some(mut taker) = self.take_ringing(id) else { return false };
        let Some(way) = taker.others.pop_front() else { return false };
        taker.placing.go_by(way);
        let Some(signal) = self.place(id, &taker.placing, leg) else { return false };
        taker.signal = signal;
        self.ringing.push(taker);
        true
    }

    fn take_ringing(&mut self, id: TakerId) -> Option<Taker> {
        let place = self.ringing.iter().position(|taker| taker.id == id)?;
        Some(self.ringing.swap_remove(place))
    }

    /// A leg.
    pub(super) fn find(&mut self, id: TakerId) -> Option<&mut Taker> {
        self.ringing.iter_mut().chain(&mut self.talking).find(|taker| taker.id == id)
    }

    /// Who talks to the caller.
    pub(super) fn talking(&self) -> Option<&Taker> {
        self.talking.as_ref()
    }

    /// Who talks to the caller, to be changed.
    pub(super) fn talking_mut(&mut self) -> Option<&mut Taker> {
        self.talking.as_mut()
    }

    /// A leg on whose media thread the caller's belongs.
    pub(super) fn media_beside(&self) -> Option<&MediaLeg> {
        self.ringing.first().map(|taker| &taker.media)
    }

    /// Takes the calls of a request back that nobody answered in time.
    pub(super) fn give_up(&mut self, request: RequestId) {
        self.forwards.take_if(|wanted| *wanted == request);
        for mut taker in self.take_back(request) {
            taker.rest();
        }
        self.tell_referrer(NO_ANSWER);
    }

    fn take_back(&mut self, request: RequestId) -> Vec<Taker> {
        let back: Vec<Taker> = self.ringing.extract_if(.., |taker| taker.id.0 == request).collect();
        for taker in &back {
            taker.signal.hang_up(NOT_WANTED);
        }
        back
    }

    /// Who rang talks to the caller from now on; who did before is let go, and so are those who ring for the same
    /// request. False when that leg is gone.
    pub(super) fn connect(&mut self, id: TakerId) -> bool {
        let taker = self.take_ringing(id);
        // Their phones were quick enough, but another was quicker.
        drop(self.take_back(id.0));
        let Some(taker) = taker else { return false };
        if let Some(before) = self.talking.replace(taker) {
            before.signal.referred(NORMAL);
            before.signal.hang_up(NORMAL);
        }
        true
    }

    /// Lets go of who talks to the caller.
    pub(super) fn release(&mut self) {
        if let Some(taker) = self.talking.take() {
            taker.signal.hang_up(NORMAL);
        }
    }

    /// Forgets a leg that is over; whether it talked to the caller.
    pub(super) fn forget(&mut self, id: TakerId) -> bool {
        drop(self.take_ringing(id));
        self.talking.take_if(|taker| taker.id == id).is_some()
    }

    /// The caller pressed a key: who talks to him gets it in a way that he takes.
    pub(super) fn press(&self, digit: Digit, came: KeyCame) {
        if let Some(taker) = &self.talking {
            came.pass_on(digit, &taker.media, &taker.signal);
        }
    }

    /// Tells who talks to the caller what came of the transfer that he asked for by telephone, if he did.
    pub(super) fn tell_referrer(&self, status: u16) {
        if let Some(taker) = self.talking.as_ref().filter(|_| self.ringing.is_empty()) {
            taker.signal.referred(status);
        }
    }

    /// Ends all legs.
    pub(super) fn end(&mut self, cause: u16) {
        let cause = if cause == 0 { NORMAL } else { cause };
        for taker in self.ringing.drain(..).chain(self.talking.take()) {
            taker.signal.hang_up(cause);
        }
    }

    /// What the media of a leg tells next. Safe to use in a `select!`.
    pub(super) async fn media_event(&mut self) -> (TakerId, MediaEvent) {
        std::future::poll_fn(|context| {
            for taker in self.ringing.iter_mut().chain(&mut self.talking) {
                if let Poll::Ready(Some(event)) = taker.events.poll_recv(context) {
                    return Poll::Ready((taker.id, event));
                }
            }
            Poll::Pending
        })
        .await
    }
}

/// How a key came to us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum KeyCame {
    /// As a telephone event: the bridge passes it on where the other side takes events.
    AsEvent,
    /// In an INFO.
    ByInfo,
}

impl KeyCame {
    /// Passes a key on to a leg, unless the bridge does.
    pub(super) fn pass_on(self, digit: Digit, media: &MediaLeg, signal: &SignalLeg) {
        match (self, media.takes_events()) {
            (Self::AsEvent, true) => {}
            (Self::ByInfo, true) => media.send_digit(digit),
            (_, false) => signal.press(digit),
        }
    }
}

impl Taker {
    pub(super) fn is(&self, id: TakerId) -> bool {
        self.id == id
    }

    /// Its signalling, and the URI that was called.
    pub(super) fn signalling(&self) -> (SignalLeg, String) {
        (self.signal.clone(), self.placing.uri.clone())
    }

    /// SDP agreed on something; what it means for the talk: held, talking again, or nothing new.
    pub(super) fn agreed(&mut self, agreed: &Negotiated) -> Option<bool> {
        self.media.agreed(agreed);
        let held = match agreed.direction {
            Direction::SendRecv | Direction::SendOnly => false,
            Direction::RecvOnly | Direction::Inactive => true,
        };
        (std::mem::replace(&mut self.held, held) != held).then_some(held)
    }

    /// Whether it has the caller on hold.
    pub(super) fn holds(&self) -> bool {
        self.held
    }

    pub(super) fn hang_up(&self, cause: u16) {
        self.signal.hang_up(cause);
    }

    /// Its phone did not take the call.
    pub(super) fn rest(&mut self) {
        if let Some(phone) = &mut self.phone {
            phone.rest();
        }
    }
}

/// Codecs for the other leg: the caller's first, so that nothing needs to be transcoded.
fn codecs(caller: Option<Codec>) -> Vec<Codec> {
    match caller {
        Some(Codec::Pcma) => vec![Codec::Pcma, Codec::Pcmu],
        Some(Codec::Pcmu) | None => vec![Codec::Pcmu, Codec::Pcma],
    }
}

/// An ordinary end.
const NORMAL: u16 = 200;
/// Nobody answered.
const NO_ANSWER: u16 = 408;
/// Taken back before it was answered.
const NOT_WANTED: u16 = 487;
