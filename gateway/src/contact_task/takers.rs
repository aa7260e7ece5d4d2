//! The legs towards those who take the contact: one that rings, one that talks to the caller.

use std::collections::VecDeque;

use sip_proto::{
    endpoint::Party,
    sdp::{Codec, Direction, Negotiated},
};
use tokio::sync::{mpsc, oneshot};
use vestibule_routing::{
    address::Address,
    digit::Digit,
    journey::{Callee, Journey, Refusal, RequestId},
};

use super::{MEDIA_EVENTS_MAX, media_leg::MediaLeg};
use crate::{
    hub::Services,
    leg::{ArrivingCall, Destination, LegId, Placing, Signal, SignalLeg, SignalSink},
    media::MediaEvent,
};

/// All legs but the caller's, and what new ones are made of.
#[derive(Debug)]
pub(super) struct Takers {
    ringing: Option<Taker>,
    talking: Option<Taker>,
    /// The request that the journey is looking at.
    asked: Option<Asked>,
    requests: u32,
    signals: mpsc::WeakSender<(LegId, Signal)>,
    from: Party,
    headers: Vec<(&'static str, String)>,
    max_forwards: u8,
}

/// A request: who waits for its answer, and where its call would go.
#[derive(Debug)]
struct Asked {
    id: RequestId,
    reply: oneshot::Sender<Result<(), Refusal>>,
    destinations: VecDeque<Destination>,
}

/// One leg.
#[derive(Debug)]
pub(super) struct Taker {
    pub(super) request: RequestId,
    pub(super) media: MediaLeg,
    signal: SignalLeg,
    events: mpsc::Receiver<MediaEvent>,
    placing: Placing,
    /// Where to call when the target does not answer where it was called.
    others: VecDeque<Destination>,
    held: bool,
}

impl Takers {
    pub(super) fn new(
        call: &ArrivingCall,
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
            ringing: None,
            talking: None,
            asked: None,
            requests: 0,
            signals,
            // Who calls is one of our own numbers; whose call it is stands beside it.
            from: Party { user: company, host: String::new(), display: customer },
            headers,
            max_forwards: call.invite.max_forwards.saturating_sub(1),
        }
    }

    /// Names a request; its answer goes to `reply`.
    pub(super) fn ask(
        &mut self,
        reply: oneshot::Sender<Result<(), Refusal>>,
        destinations: Vec<Destination>,
    ) -> RequestId {
        self.requests = self.requests.wrapping_add(1);
        let id = RequestId(self.requests);
        self.asked = Some(Asked { id, reply, destinations: destinations.into() });
        id
    }

    /// Answers a request.
    pub(super) fn reply(&mut self, request: RequestId, result: Result<(), Refusal>) {
        if let Some(asked) = self.asked.take_if(|asked| asked.id == request) {
            // Whoever asked may have gone away.
            asked.reply.send(result).unwrap_or_default();
        }
    }

    /// Calls somebody for a request: false when that cannot be done.
    pub(super) fn call(
        &mut self,
        request: RequestId,
        callee: &Callee,
        (services, caller, leg): (&Services, &MediaLeg, &SignalLeg),
    ) -> bool {
        let Some(asked) = self.asked.as_mut().filter(|asked| asked.id == request) else { return false };
        let mut others = std::mem::take(&mut asked.destinations);
        let Some(to) = others.pop_front() else { return false };
        let (sender, events) = mpsc::channel(MEDIA_EVENTS_MAX);
        let mut media = MediaLeg::new(sender, to.peer.ip());
        let Some(address) = media.open(services, Some(caller)) else { return false };
        let placing = Placing {
            to,
            uri: callee.target.clone(),
            from: self.from.clone(),
            media: address,
            codecs: codecs(caller.codec()),
            headers: self.headers.clone(),
            max_forwards: self.max_forwards,
        };
        let Some(signal) = self.place(request, &placing, leg) else { return false };
        self.ringing = Some(Taker { request, media, signal, events, placing, others, held: false });
        true
    }

    fn place(&self, request: RequestId, placing: &Placing, leg: &SignalLeg) -> Option<SignalLeg> {
        let signals = SignalSink::new(LegId::Callee(request), self.signals.upgrade()?);
        leg.place(placing.clone(), signals)
    }

    /// The call failed: whether the target is called somewhere else now.
    pub(super) fn call_elsewhere(&mut self, request: RequestId, leg: &SignalLeg) -> bool {
        let Some(mut taker) = self.ringing.take_if(|taker| taker.request == request) else { return false };
        let Some(to) = taker.others.pop_front() else { return false };
        taker.placing.to = to;
        let Some(signal) = self.place(request, &taker.placing, leg) else { return false };
        taker.signal = signal;
        self.ringing = Some(taker);
        true
    }

    /// The leg of a request.
    pub(super) fn find(&mut self, request: RequestId) -> Option<&mut Taker> {
        [&mut self.ringing, &mut self.talking].into_iter().flatten().find(|taker| taker.request == request)
    }

    /// Who talks to the caller.
    pub(super) fn talking(&self) -> Option<&Taker> {
        self.talking.as_ref()
    }

    /// A leg on whose media thread the caller's belongs.
    pub(super) fn media_beside(&self) -> Option<&MediaLeg> {
        self.ringing.as_ref().map(|taker| &taker.media)
    }

    /// Takes a call back that is not wanted any more.
    pub(super) fn give_up(&mut self, request: RequestId) {
        if let Some(taker) = self.ringing.take_if(|taker| taker.request == request) {
            taker.signal.hang_up(NOT_WANTED);
        }
    }

    /// Who rang talks to the caller from now on, and who did before is let go. False when that leg is gone.
    pub(super) fn connect(&mut self, request: RequestId) -> bool {
        let Some(taker) = self.ringing.take_if(|taker| taker.request == request) else { return false };
        if let Some(before) = self.talking.replace(taker) {
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
    pub(super) fn forget(&mut self, request: RequestId) -> bool {
        self.ringing.take_if(|taker| taker.request == request);
        self.talking.take_if(|taker| taker.request == request).is_some()
    }

    /// The caller pressed a key that came without audio: who talks to him gets it as a telephone event.
    pub(super) fn press(&self, digit: Digit) {
        if let Some(taker) = &self.talking {
            taker.media.send_digit(digit);
        }
    }

    /// Ends all legs.
    pub(super) fn end(&mut self, cause: u16) {
        let cause = if cause == 0 { NORMAL } else { cause };
        for taker in [self.ringing.take(), self.talking.take()].into_iter().flatten() {
            taker.signal.hang_up(cause);
        }
    }

    /// What the media of a leg tells next. Safe to use in a `select!`.
    pub(super) async fn media_event(&mut self) -> (RequestId, MediaEvent) {
        tokio::select! {
            event = next_event(&mut self.ringing) => event,
            event = next_event(&mut self.talking) => event,
        }
    }
}

impl Taker {
    /// SDP agreed on something; what it means for the talk: held, talking again, or nothing new.
    pub(super) fn agreed(&mut self, agreed: &Negotiated) -> Option<bool> {
        self.media.agreed(agreed);
        let held = match agreed.direction {
            Direction::SendRecv | Direction::SendOnly => false,
            Direction::RecvOnly | Direction::Inactive => true,
        };
        (std::mem::replace(&mut self.held, held) != held).then_some(held)
    }

    pub(super) fn hang_up(&self, cause: u16) {
        self.signal.hang_up(cause);
    }
}

async fn next_event(taker: &mut Option<Taker>) -> (RequestId, MediaEvent) {
    match taker {
        Some(taker) => match taker.events.recv().await {
            Some(event) => (taker.request, event),
            // The leg holds the other end.
            None => std::future::pending().await,
        },
        None => std::future::pending().await,
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
/// Taken back before it was answered.
const NOT_WANTED: u16 = 487;
