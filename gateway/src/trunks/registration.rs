//! A trunk at whose carrier we register (RFC 3261 §10): the carrier's calls come to where we are.
//!
//! `Course` says what follows an answer, and when; the task around it asks. One Call-ID for the life of the task,
//! growing numbers, nonces kept: all of that stands in the `Series` and `Login` that each answer gives back.

use std::{convert::Infallible, time::Duration};

use jiff::Timestamp;
use rand::{Rng, SeedableRng, rngs::StdRng};
use sip_proto::{
    digest::Login,
    endpoint::{Reply, Series},
    message::Method,
};
use tokio::{
    sync::{oneshot, watch},
    task::JoinHandle,
    time::{Instant, sleep, sleep_until},
};
use vestibule_config::document::Register;
use vestibule_routing::id::TrunkId;

use super::Trunks;
use crate::sip::{Inquiring, SipInbox};

/// How long the registrar may take: Timer F.
const PATIENCE: Duration = Duration::from_secs(32);

/// How long it may take to take us off, since somebody waits for us to leave.
const PATIENCE_LEAVING: Duration = Duration::from_secs(2);

/// The longest interval that a registrar may insist on, in seconds: a week.
const INTERVAL_MAX: u32 = 7 * 86_400;

/// First and longest pause after a failure that may pass by itself.
const PASSING: (Duration, Duration) = (Duration::from_secs(2), Duration::from_secs(300));

/// The same after a refusal of what we are: asking often would only get us blocked.
const REFUSED: (Duration, Duration) = (Duration::from_secs(30), Duration::from_secs(3600));

/// The longest Retry-After that is heeded.
const RETRY_AFTER_MAX: u32 = 3600;

/// No answer came (RFC 3261 §8.1.3.1).
const REQUEST_TIMEOUT: u16 = 408;

/// What follows an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    /// We are registered for so long; to be refreshed after the second time.
    Registered(Duration, Duration),
    /// Ask again at once: the interval was too short.
    Again,
    /// Ask again after a pause.
    Later(Duration),
}

/// What a registrar's answer says.
#[derive(Clone, Copy, Debug, Default)]
struct Answered {
    status: u16,
    granted_seconds: Option<u32>,
    min_expires_seconds: Option<u32>,
    retry_after_seconds: Option<u32>,
}

impl From<&Reply> for Answered {
    fn from(reply: &Reply) -> Self {
        let Reply { status, granted_seconds, min_expires_seconds, retry_after_seconds, .. } = *reply;
        Self { status, granted_seconds, min_expires_seconds, retry_after_seconds }
    }
}

/// How it goes at one registrar.
#[derive(Clone, Copy, Debug)]
struct Course {
    /// The interval that is asked for, in seconds.
    interval: u32,
    /// Failures in a row.
    failures: u32,
}

impl Course {
    fn new(interval: u32) -> Self {
        Self { interval, failures: 0 }
    }

    /// What an answer leads to. `random` is from 0 to 1.
    fn answered(&mut self, answer: Answered, random: f64) -> Next {
        let Answered { status, granted_seconds, min_expires_seconds, retry_after_seconds } = answer;
        match (status, min_expires_seconds) {
            (200..=299, _) => {
                let granted = granted_seconds.unwrap_or(self.interval);
                if granted > 0 {
                    self.failures = 0;
                    let granted = Duration::from_secs(granted.into());
                    // From half to nine tenths of the interval, so that the refreshes of many spread.
                    return Next::Registered(granted, granted.mul_f64(0.5 + 0.4 * random));
                }
            }
            // Each time a longer one, or it is a refusal like any other: no loop without a pause.
            (423, Some(wanted)) if wanted > self.interval && wanted <= INTERVAL_MAX => {
                self.interval = wanted;
                return Next::Again;
            }
            _ => {}
        }
        let (first, longest) = match status {
            408 | 480 | 500..=599 | 200..=299 => PASSING,
            _ => REFUSED,
        };
        let doubled = first.saturating_mul(1 << self.failures.min(16)).min(longest);
        self.failures = self.failures.saturating_add(1);
        let asked = Duration::from_secs(retry_after_seconds.unwrap_or(0).min(RETRY_AFTER_MAX).into());
        // Up to half as long again, so that those who failed together do not ask together.
        Next::Later(doubled.max(asked).mul_f64(1.0 + 0.5 * random))
    }
}

/// One trunk's registration.
pub(super) struct Registration {
    trunks: Trunks,
    trunk: TrunkId,
    register: Register,
    sip: SipInbox,
    login: Option<Login>,
    series: Option<Series>,
}

/// Ends a registration when it is dropped; the handle is of the task that takes us off.
pub(super) struct Registered {
    _stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Registration {
    pub(super) fn new(trunks: Trunks, trunk: TrunkId, register: Register, sip: SipInbox) -> Self {
        Self { trunks, trunk, register, sip, login: None, series: None }
    }

    /// Registers for as long as what this gives back is kept, or until all leave. The one of the same trunk before
    /// is taken off first.
    pub(super) fn start(self, before: Option<Registered>, leaving: watch::Receiver<bool>) -> Registered {
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(async move {
            if let Some(Registered { _stop, task }) = before {
                drop(_stop);
                if task.await.is_err() {
                    tracing::error!("a registration had panicked");
                }
            }
            self.run(stopped, leaving).await;
        });
        Registered { _stop: stop, task }
    }

    async fn run(mut self, stopped: oneshot::Receiver<()>, mut leaving: watch::Receiver<bool>) {
        let mut until = None;
        tokio::select! {
            never = self.go_on(&mut until) => match never {},
            _ = stopped => {}
            _ = leaving.wait_for(|leaving| *leaving) => {}
        }
        if until.is_some() {
            let said = self.ask(0, PATIENCE_LEAVING).await;
            tracing::info!(trunk = %self.trunk, status = said.map(|said| said.status), "a trunk was told that we leave");
        }
        self.trunks.forget_registration(&self.trunk);
    }

    /// Registers and refreshes; `until` says until when the registrar knows us.
    async fn go_on(&mut self, until: &mut Option<Instant>) -> Infallible {
        let mut course = Course::new(self.register.expires_seconds);
        let mut rng = StdRng::from_os_rng();
        let (trunks, trunk) = (self.trunks.clone(), self.trunk.clone());
        loop {
            let run_out = || trunks.note_registration(&trunk, REQUEST_TIMEOUT, None);
            let said = while_it_lasts(until, self.ask(course.interval, PATIENCE), run_out).await;
            let answer = said.unwrap_or_default();
            let status = answer.status;
            let now = Instant::now();
            let pause = match course.answered(answer, rng.random()) {
                Next::Again => continue,
                Next::Registered(lasts, refresh) => {
                    *until = Some(now + lasts);
                    refresh
                }
                Next::Later(pause) => {
                    // With what the document refers to now: a secret may have been mended.
                    self.login = None;
                    tracing::warn!(%trunk, status, ?pause, "a trunk does not register us");
                    pause
                }
            };
            let left = until.map(|until| until.saturating_duration_since(now));
            trunks.note_registration(&trunk, status, left);
            let run_out = || trunks.note_registration(&trunk, status, None);
            while_it_lasts(until, sleep(pause), run_out).await;
        }
    }

    /// Asks one registrar after the other until one says something final; none when nothing could be sent at all.
    async fn ask(&mut self, seconds: u32, patience: Duration) -> Option<Answered> {
        let uri = self.register.uri();
        let destinations = match self.trunks.locator.locate_named(&uri).await {
            Ok(destinations) => destinations,
            Err(error) => {
                tracing::warn!(trunk = %self.trunk, %error, "a registrar cannot be found");
                return None;
            }
        };
        let mut last = None;
        for to in destinations {
            let login = self.login.clone().or_else(|| self.new_login());
            let address = self.register.address_uri();
            let inquiring = Inquiring {
                to,
                method: Method::Register,
                uri: uri.clone(),
                from: address.clone(),
                to_uri: address,
                contact_user: Some(self.register.contact_user().to_owned()),
                headers: vec![("Expires", seconds.to_string())],
                login,
                series: self.series.clone(),
                patience,
            };
            let Some(reply) = self.sip.inquire(inquiring).await else { continue };
            let answer = Answered::from(&reply);
            (self.login, self.series) = (reply.login, Some(reply.series));
            last = Some(answer);
            // RFC 3263 §4.3: a failure of the transport, a time-out and a 503 are no answers.
            if !matches!(answer.status, 408 | 503) {
                break;
            }
        }
        last
    }

    fn new_login(&self) -> Option<Login> {
        match self.register.secret.reveal() {
            Ok(secret) => Some(Login::new(&self.register.user, &secret)),
            Err(error) => {
                tracing::error!(trunk = %self.trunk, %error, "the secret of a registration cannot be read");
                None
            }
        }
    }
}

/// Does something while a registration may run out; `over` is called when it does.
async fn while_it_lasts<T>(
    until: &mut Option<Instant>,
    work: impl Future<Output = T>,
    over: impl FnOnce(),
) -> T {
    let Some(at) = *until else { return work.await };
    tokio::pin!(work);
    tokio::select! {
        biased;
        done = &mut work => return done,
        () = sleep_until(at) => {}
    }
    *until = None;
    over();
    work.await
}

/// What is known of a registration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RegistrationState {
    /// The status of the last answer; 0 when none could be asked for.
    pub status: u16,
    /// Until when the registrar knows us; none when it does not.
    pub until: Option<Timestamp>,
}

impl Trunks {
    /// What a registrar said last, and for how long it knows us from now on.
    fn note_registration(&self, trunk: &TrunkId, status: u16, lasts: Option<Duration>) {
        let until = lasts.and_then(|lasts| Timestamp::now().checked_add(lasts).ok());
        let state = RegistrationState { status, until };
        let before = self.known.entry(trunk.clone()).or_default().registration.replace(state);
        self.metrics.registered.set(trunk, i64::from(until.is_some()));
        match (before.is_some_and(|before| before.until.is_some()), until.is_some()) {
            (false, true) => tracing::info!(%trunk, "a trunk has registered us"),
            (true, false) => tracing::error!(%trunk, status, "the registration at a trunk has run out"),
            (true, true) | (false, false) => {}
        }
    }

    /// There is no registration any more.
    fn forget_registration(&self, trunk: &TrunkId) {
        if let Some(mut known) = self.known.get_mut(trunk) {
            known.registration = None;
        }
        self.metrics.registered.forget(trunk);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(next: Next) -> u64 {
        match next {
            Next::Later(pause) => pause.as_secs(),
            Next::Registered(..) | Next::Again => panic!("{next:?}"),
        }
    }

    fn status(status: u16) -> Answered {
        Answered { status, ..Answered::default() }
    }

    #[test]
    fn what_is_granted_is_refreshed_between_half_and_nine_tenths_of_it() {
        let mut course = Course::new(3600);
        let granted = Answered { granted_seconds: Some(600), ..status(200) };
        let lasts = Duration::from_secs(600);
        assert_eq!(course.answered(granted, 0.0), Next::Registered(lasts, Duration::from_secs(300)));
        assert_eq!(course.answered(granted, 1.0), Next::Registered(lasts, Duration::from_secs(540)));
        let asked = Duration::from_secs(3600);
        assert_eq!(course.answered(status(200), 0.0), Next::Registered(asked, asked / 2), "it did not say");
    }

    #[test]
    fn a_longer_interval_is_taken_once_and_a_senseless_one_is_a_refusal() {
        let mut course = Course::new(60);
        let brief = |wanted| Answered { min_expires_seconds: Some(wanted), ..status(423) };
        assert_eq!(course.answered(brief(300), 0.0), Next::Again);
        assert_eq!(course.interval, 300);
        assert_eq!(seconds(course.answered(brief(300), 0.0)), 30);
        assert_eq!(seconds(course.answered(brief(u32::MAX), 0.0)), 60);
        assert_eq!(course.interval, 300);
    }

    #[test]
    fn failures_wait_longer_each_time_up_to_a_bound_and_a_success_begins_anew() {
        let mut course = Course::new(60);
        let pauses: Vec<u64> = (0..10).map(|_| seconds(course.answered(status(503), 0.0))).collect();
        assert_eq!(pauses, [2, 4, 8, 16, 32, 64, 128, 256, 300, 300]);
        course.answered(status(200), 0.5);
        assert_eq!(seconds(course.answered(status(408), 1.0)), 3, "half as long again at most");
        let mut refused = Course::new(60);
        let pauses: Vec<u64> = (0..9).map(|_| seconds(refused.answered(status(403), 0.0))).collect();
        assert_eq!(pauses, [30, 60, 120, 240, 480, 960, 1920, 3600, 3600]);
        for _ in 0..100 {
            assert_eq!(seconds(refused.answered(status(401), 0.0)), 3600);
        }
    }

    #[test]
    fn a_registrar_that_names_a_time_is_heeded_within_bounds() {
        let mut course = Course::new(60);
        let later = |seconds| Answered { retry_after_seconds: Some(seconds), ..status(503) };
        assert_eq!(seconds(course.answered(later(120), 0.0)), 120);
        assert_eq!(seconds(course.answered(later(u32::MAX), 0.0)), 3600);
    }
}
