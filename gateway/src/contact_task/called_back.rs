//! A contact that we call: who asked for a callback is rung up, and has the old place once they answer.

use std::time::Duration;

use rand::{Rng, rngs::StdRng};
use sip_proto::{
    endpoint::Party,
    sdp::{Codec, Srtp},
};
use tokio::sync::mpsc;
use vestibule_routing::{
    address::{Address, E164},
    channel::Channel,
    contact::{Caller, Contact},
    id::ContactId,
    journey::Journey,
    time::Now,
};

use super::{Begun, ContactTask, MEDIA_EVENTS_MAX, Record, hand_off::forward_to, media_leg::MediaLeg, now};
use crate::{
    callbacks::Attempt,
    contact_id::new_contact_id,
    hub::{Place, Services},
    journal::{CallbackRow, ContactStart},
    leg::{LegId, Placing, Signal, SignalLeg, SignalSink},
    media::MediaEvent,
    sip::SipInbox,
    trunks::Way,
};

use std::sync::Arc;

/// How long the telephone rings.
const RING: Duration = Duration::from_secs(45);

/// Hops that our INVITE may make.
const MAX_FORWARDS: u8 = 70;

/// Where the contact hears of its legs, while no leg holds the sending end.
pub(crate) type Ears = (mpsc::Receiver<(LegId, Signal)>, mpsc::Sender<(LegId, Signal)>);

/// Calls somebody back, and runs the contact if they answer.
pub(crate) async fn run(
    services: Arc<Services>,
    attempt: Attempt,
    mut ears: Ears,
    (place, mut rng): (Place, StdRng),
    sip: SipInbox,
) {
    let (media_events, media_receiver) = mpsc::channel(MEDIA_EVENTS_MAX);
    let id = new_contact_id(now().wall, &mut rng);
    let called = ring(&services, (attempt.row(), &id), media_events, &mut ears, &sip).await;
    let (leg, media) = match called {
        Ok(called) => called,
        Err(why) => {
            tracing::info!(callback = %attempt.row().id, %why, "a callback reached nobody");
            return;
        }
    };
    let now = now();
    let Some(contact) = contact_of(attempt.row(), id.clone(), rng.random(), now) else {
        return leg.hang_up(500);
    };
    let Some(live) = services.live.enter(id) else { return leg.hang_up(500) };
    let routing = services.routing.active().load();
    let mut record = Record::new(start_of(attempt.row(), &contact, routing.revision), false);
    record.progress.answered = Some(now.wall);
    let sounds = services.sounds.of(&routing.prompts);
    let mut actions = Vec::new();
    let inbox = attempt.row().inbox.clone();
    let known = routing.plan.inbox(&inbox).is_some();
    let inbox = if known { Some(inbox) } else { routing.plan.direct_inbox(&contact) };
    let Some(inbox) = inbox else { return leg.hang_up(500) };
    let journey = Journey::called_back(routing.plan.clone(), contact, inbox, now, &mut actions);
    drop(routing);
    let waits_since = attempt.row().since;
    let begun = Begun {
        leg,
        codecs: Vec::new(),
        // Settled already: whom we called has answered.
        srtp: Srtp::Off,
        media,
        journey,
        actions,
        record,
        sounds,
        live,
        waits_since,
        max_forwards: MAX_FORWARDS,
        attempt: Some(attempt),
    };
    let (mut task, answers) = ContactTask::new(services, begun, ears.1.downgrade(), place);
    // From here on the channel ends with the SIP thread.
    drop(ears.1);
    task.drive(ears.0, media_receiver, answers).await;
}

/// Rings until somebody answers: the leg, and its media.
async fn ring(
    services: &Services,
    (row, id): (&CallbackRow, &ContactId),
    media_events: mpsc::Sender<MediaEvent>,
    (signals, back): &mut Ears,
    sip: &SipInbox,
) -> Result<(SignalLeg, MediaLeg), String> {
    let located = forward_to(services, row.trunk.as_ref(), &row.number).await?;
    let first = located.ways.first().ok_or("the number leads nowhere")?.to.peer.ip();
    let mut media = MediaLeg::new(media_events, first);
    let address = media.open(services, None).ok_or("there is no media port")?;
    let until = tokio::time::Instant::now() + RING;
    let mut last = String::new();
    for Way { to, uri, login, srtp, trunk } in located.ways {
        let placing = Placing {
            story: id.as_str().into(),
            to,
            uri: uri.unwrap_or_default(),
            from: Party { user: row.company.clone(), host: String::new(), display: String::new() },
            media: address,
            codecs: vec![Codec::Pcmu, Codec::Pcma],
            srtp: srtp.unwrap_or_default(),
            login,
            headers: Vec::new(),
            max_forwards: MAX_FORWARDS,
            trunk,
        };
        let sink = SignalSink::new(LegId::Caller, back.clone());
        let leg = sip.place(placing, sink).ok_or("the SIP thread is too busy")?;
        match answer(signals, &mut media, until).await {
            Ok(()) => return Ok((leg, media)),
            Err(Some(status @ (408 | 503))) => last = format!("status {status}"),
            Err(Some(status)) => return Err(format!("status {status}")),
            Err(None) => {
                leg.hang_up(NOT_WANTED);
                return Err("nobody answered in time".to_owned());
            }
        }
    }
    Err(last)
}

/// Waits for the answer; the status of a refusal, or none when the time is over.
async fn answer(
    signals: &mut mpsc::Receiver<(LegId, Signal)>,
    media: &mut MediaLeg,
    until: tokio::time::Instant,
) -> Result<(), Option<u16>> {
    loop {
        let signal = tokio::time::timeout_at(until, signals.recv()).await.map_err(|_| None)?;
        match signal.map(|(_, signal)| signal) {
            Some(Signal::Media(agreed)) => media.agreed(&agreed),
            Some(Signal::Answered) => return Ok(()),
            Some(Signal::Failed(status)) => return Err(Some(status)),
            Some(Signal::HungUp(_)) => return Err(Some(GONE_AGAIN)),
            Some(Signal::Digit(_) | Signal::Refer(_)) => {}
            None => return Err(Some(500)),
        }
    }
}

fn contact_of(row: &CallbackRow, id: ContactId, seed: u64, now: Now) -> Option<Contact> {
    let number = E164::parse(&row.number).ok()?;
    let to = match E164::from_user_part(&row.company) {
        Some(company) => Address::Number(company),
        None => Address::Text(row.company.as_str().into()),
    };
    let from = Caller { number: Some(number), text: row.number.clone(), anonymous: false };
    Some(Contact { id, channel: Channel::Voice, to, from, arrived: now, seed })
}

fn start_of(row: &CallbackRow, contact: &Contact, revision: u64) -> ContactStart {
    ContactStart {
        channel: Channel::Voice,
        from: row.number.clone(),
        to: row.company.clone(),
        arrived: contact.arrived.wall,
        entry_point: Some(row.company.clone()),
        revision: Some(revision),
        trunk: row.trunk.clone(),
        call_id: None,
        diverted_from: None,
        callback: Some(row.id.clone()),
    }
}

/// Taken back before it was answered.
const NOT_WANTED: u16 = 487;
/// Answered, and over at once.
const GONE_AGAIN: u16 = 480;
