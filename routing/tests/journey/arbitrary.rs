//! Any plan, any order of events, lost, late and doubled ones among them.

use std::time::Duration;

use proptest::prelude::*;
use vestibule_routing::{
    digit::Digit,
    journey::{Callee, Event, FeedEvent, PlaybackId, QueueView, Recorded, Request, RequestId},
    outcome::{Outcome, Reason, Side},
    plan::{NumberVoice, Plan, Treatment},
};

use super::bench::{Bench, NUMBER};

mod plans;

/// Actions of one event at most: the failing run, its fallback's and what follows, each a bounded walk.
const ACTIONS_MAX: usize = 1000;

/// Deadlines due at one moment at most: every treatment once, and what it starts.
const DEADLINES_AT_ONCE_MAX: u32 = 32;

/// What happens next to a call.
#[derive(Clone, Debug)]
enum Happening {
    Key(u8),
    /// What plays ends, as it should.
    Played,
    /// Some playback is said to have ended: an old one, an unknown one, or the one that plays.
    PlayedLate(u32),
    /// What plays cannot be played.
    PlayFailed,
    /// Some playback is said to have failed: an old one, an unknown one, or the one that plays.
    PlayFailedLate(u32),
    /// A data dip is answered: the last, an old one or none, with a value or without.
    Dip {
        back: u32,
        value: Option<String>,
    },
    /// A text went out, or did not: the last, or an old one.
    Texted(u32, bool),
    Full,
    Available(Option<u32>),
    /// The queue was looked at.
    Seen(Option<QueueView>),
    /// Whoever is recorded says nothing.
    Silent,
    /// A recording is over.
    Recorded(Recorded),
    CallbackStored(bool),
    /// A wake-up that nobody asked for.
    Spurious,
    Seconds(u64),
    HangUpAsked,
    Asked(Request),
    /// The phone that rings is answered, or some phone that does not.
    PickedUp(u32, usize),
    /// The phone that rings is not answered, or some phone that does not ring.
    NotPickedUp(u32, usize, u16),
    TakerGone,
    TakerHeld(bool),
    Closing,
}

fn any_callee() -> impl Strategy<Value = Callee> {
    (0_u64..90, 1_usize..4).prop_map(|(seconds, phones)| Callee {
        targets: (0..phones).map(|phone| format!("sip:agent{phone}@example.net")).collect(),
        ring: Duration::from_secs(seconds),
        by: "ann".into(),
    })
}

fn any_request() -> impl Strategy<Value = Request> {
    prop_oneof![
        4 => any_callee().prop_map(Request::Take),
        1 => Just(Request::Refuse { by: "ann".into() }),
        2 => any_callee().prop_map(Request::Transfer),
        1 => (0_usize..4).prop_map(|index| Request::Move {
            inbox: ["ib_a", "ib_b", "ib_c", "ib_none"][index].into(),
            by: "ann".into(),
        }),
        1 => Just(Request::Hold),
        1 => Just(Request::Resume),
    ]
}

fn any_happening() -> impl Strategy<Value = Happening> {
    prop_oneof![
        6 => (0_u8..16).prop_map(Happening::Key),
        8 => Just(Happening::Played),
        2 => (0_u32..40).prop_map(Happening::PlayedLate),
        1 => Just(Happening::PlayFailed),
        1 => (0_u32..40).prop_map(Happening::PlayFailedLate),
        3 => (0_u32..3, prop::option::of("[-a-c]{0,3}")).prop_map(|(back, value)| Happening::Dip { back, value }),
        2 => (0_u32..3, any::<bool>()).prop_map(|(back, sent)| Happening::Texted(back, sent)),
        1 => Just(Happening::Full),
        1 => prop::option::of(0_u32..2).prop_map(Happening::Available),
        3 => prop::option::of((0_u32..2000, prop::option::of(0_u64..9000))).prop_map(|view| {
            let view = view.map(|(position, wait)| QueueView { position, wait: wait.map(Duration::from_secs) });
            Happening::Seen(view)
        }),
        2 => Just(Happening::Silent),
        2 => prop::sample::select(vec![Recorded::Kept, Recorded::TooShort, Recorded::Failed])
            .prop_map(Happening::Recorded),
        2 => any::<bool>().prop_map(Happening::CallbackStored),
        2 => Just(Happening::Spurious),
        8 => (0_u64..90).prop_map(Happening::Seconds),
        1 => (600_u64..4000).prop_map(Happening::Seconds),
        1 => Just(Happening::HangUpAsked),
        5 => any_request().prop_map(Happening::Asked),
        4 => (0_u32..4, 0_usize..4).prop_map(|(back, phone)| Happening::PickedUp(back, phone)),
        3 => (0_u32..4, 0_usize..4, prop::sample::select(vec![408_u16, 486, 503, 603]))
            .prop_map(|(back, phone, status)| Happening::NotPickedUp(back, phone, status)),
        1 => Just(Happening::TakerGone),
        1 => any::<bool>().prop_map(Happening::TakerHeld),
        1 => Just(Happening::Closing),
    ]
}

/// A call that is looked at after every event.
struct Watched {
    bench: Bench,
    /// Requests so far; each names a phone that may have rung.
    asked: u32,
}

impl Watched {
    fn tell(&mut self, event: Event) {
        let told = format!("{event:?}");
        self.bench.stop_phone(&event);
        if let Event::Recorded(_) = event {
            self.bench.recording = None;
        }
        let journey = &mut self.bench.journey;
        journey.handle(self.bench.now, event, &mut self.bench.actions);
        let actions = self.bench.actions.len();
        assert!(actions <= ACTIONS_MAX, "{actions} actions after {told}");
        self.bench.take();
        self.look(&told);
    }

    /// A live call has something to wait for, or something is heard for as long as it takes.
    fn look(&self, told: &str) {
        let Bench { journey, ended, playing, rings, answered, talks, .. } = &self.bench;
        assert_eq!(journey.outcome(), ended.map(|(outcome, _)| outcome), "after {told}");
        let deadline = journey.deadline();
        if ended.is_some() {
            assert_eq!(deadline, None, "nothing is due after the end, after {told}");
            return;
        }
        if self.bench.recording.is_some() {
            assert!(self.bench.ringing.is_none() && talks.is_none(), "a message is cut off after {told}");
        }
        let endless = playing.as_ref().is_some_and(|playback| playback.looped);
        let ringing = *rings && !*answered;
        let connected = journey.place().0 == "connected";
        assert!(!connected || talks.is_some(), "connected with nobody after {told}");
        assert!(deadline.is_some() || endless || ringing || connected, "stalled after {told}");
    }

    /// A phone: the one that rings, or one of those before it.
    fn phone(&self, back: u32) -> RequestId {
        match (back, &self.bench.ringing) {
            (0, Some((id, _))) => *id,
            _ => RequestId(self.asked.saturating_sub(back)),
        }
    }

    fn happens(&mut self, what: &Happening) {
        match what {
            Happening::Key(code) => self.tell(Event::Digit(Digit::from_event(*code).unwrap())),
            Happening::Played => {
                if let Some(playback) = self.bench.playing.take_if(|playback| !playback.looped) {
                    self.tell(Event::PlaybackDone(playback.id));
                }
            }
            Happening::PlayedLate(id) => {
                self.bench.playing.take_if(|playback| !playback.looped && playback.id.0 == *id);
                self.tell(Event::PlaybackDone(PlaybackId(*id)));
            }
            Happening::PlayFailed => {
                if let Some(playback) = self.bench.playing.take() {
                    self.tell(Event::PlaybackFailed(playback.id, "test"));
                }
            }
            Happening::PlayFailedLate(id) => {
                self.bench.playing.take_if(|playback| playback.id.0 == *id);
                self.tell(Event::PlaybackFailed(PlaybackId(*id), "late"));
            }
            Happening::Dip { back, value } => {
                let last = self.bench.dips.last().map_or(0, |dip| dip.request);
                let values = value.clone().map(|value| vec![("x".to_owned(), value)]);
                self.tell(Event::DataDip { request: last.wrapping_sub(*back), values });
            }
            Happening::Texted(back, sent) => {
                let last = self.bench.texts.last().map_or(0, |(request, _)| *request);
                self.tell(Event::SmsSent { request: last.wrapping_sub(*back), sent: *sent });
            }
            Happening::Full => self.tell(Event::QueueFull),
            Happening::Available(agents) => self.tell(Event::Availability(*agents)),
            Happening::Seen(view) => self.tell(Event::InQueue(*view)),
            Happening::Silent => self.tell(Event::RecordingSilent),
            Happening::Recorded(recorded) => self.tell(Event::Recorded(*recorded)),
            Happening::CallbackStored(stored) => self.tell(Event::CallbackStored(*stored)),
            Happening::Spurious => self.tell(Event::Deadline),
            Happening::Seconds(seconds) => self.pass(*seconds),
            Happening::HangUpAsked => self.tell(Event::HangUpRequested),
            Happening::Asked(request) => {
                self.asked += 1;
                let over = self.bench.ended.is_some();
                self.tell(Event::Requested(RequestId(self.asked), request.clone()));
                let reply = self.bench.replies.pop();
                assert_eq!(
                    reply.map(|(id, _)| id),
                    (!over).then_some(RequestId(self.asked)),
                    "one answer each"
                );
                assert!(self.bench.replies.is_empty());
            }
            Happening::PickedUp(back, phone) => self.tell(Event::CallAnswered(self.phone(*back), *phone)),
            Happening::NotPickedUp(back, phone, status) => {
                self.tell(Event::CallFailed(self.phone(*back), *phone, *status));
            }
            Happening::Closing => self.tell(Event::Closing),
            Happening::TakerGone => self.tell(Event::TakerGone(Reason::Completed)),
            Happening::TakerHeld(held) => self.tell(Event::TakerHeld(*held)),
        }
    }

    fn pass(&mut self, seconds: u64) {
        let end = self.bench.now.after(Duration::from_secs(seconds));
        let mut at_once = 0;
        while let Some((at, timer)) = self.bench.journey.deadline().filter(|(at, _)| *at <= end.mono) {
            let before = self.bench.now.mono;
            self.bench.now = self.bench.start.after(at.max(before) - self.bench.start.mono);
            at_once = if self.bench.now.mono == before { at_once + 1 } else { 0 };
            assert!(at_once <= DEADLINES_AT_ONCE_MAX, "{timer:?} is due again and again");
            self.tell(Event::Deadline);
        }
        self.bench.now = end;
    }
}

/// Whether the plan itself wants callers of broken IVRs to be let go.
fn lets_go(plan: &Plan) -> bool {
    let number = vestibule_routing::address::E164::parse(NUMBER).unwrap();
    let voice: &NumberVoice = plan.numbers.get(&number).unwrap();
    matches!(
        voice.fallback,
        Some(Treatment::PromptThenHangUp(_) | Treatment::SipCode(_) | Treatment::Voicemail(_))
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_call_of_any_plan_goes_on_until_it_ends_once(
        plan in plans::any_plan(),
        seed in any::<u64>(),
        happenings in prop::collection::vec(any_happening(), 1..60),
    ) {
        let lets_go = lets_go(&plan);
        let mut call = Watched { bench: Bench::with_seed(plan, seed), asked: 0 };
        call.look("the arrival");
        for what in &happenings {
            call.happens(what);
        }
        // Nothing is told any more, for an hour: the call's own deadlines must carry it on.
        call.pass(3600);
        call.tell(Event::HungUp(Outcome::new(Side::Caller, Reason::Completed)));
        // What was being recorded is waited for, but not for long.
        call.pass(10);
        let (outcome, _) = call.bench.ended.unwrap();
        prop_assert!(lets_go || outcome.reason != Reason::Failed, "dropped for a broken IVR");
        for what in &happenings {
            call.happens(what);
        }
        call.tell(Event::HungUp(Outcome::new(Side::Carrier, Reason::MediaTimeout)));
        prop_assert_eq!(call.bench.journey.outcome(), Some(outcome), "the first outcome stays");
        let events = &call.bench.events;
        prop_assert!(matches!(events.first(), Some(FeedEvent::Started)));
        prop_assert_eq!(events.iter().filter(|e| matches!(e, FeedEvent::Started)).count(), 1);
        prop_assert!(matches!(events.last(), Some(FeedEvent::Ended(_))));
        prop_assert_eq!(events.iter().filter(|e| matches!(e, FeedEvent::Ended(_))).count(), 1);
    }
}
