//! Each machine against its figure: every state and input, and when which timer fires.

#![allow(
    clippy::disallowed_methods,
    clippy::arithmetic_side_effects,
    reason = "a test needs some instant to start at, and may overflow loudly"
)]

use std::time::{Duration, Instant};

use super::{
    Step, TimerValues, client::Client, client_invite::ClientInvite, server::Server,
    server_invite::ServerInvite,
};

const T1: Duration = Duration::from_millis(500);
const VALUES: TimerValues = TimerValues { t1: T1, t2: Duration::from_secs(4), t4: Duration::from_secs(5) };

/// Milliseconds after the start at which `timeout` does something, and what, until the machine ends.
macro_rules! fired {
    ($machine:expr, $start:expr) => {{
        let mut steps = Vec::new();
        while let Some((at, _)) = $machine.deadline() {
            assert_eq!($machine.timeout(at - Duration::from_millis(1), &VALUES), Step::Nothing, "too early");
            let step = $machine.timeout(at, &VALUES);
            steps.push((at.duration_since($start).as_millis(), step));
            if matches!(step, Step::TimedOut | Step::Terminated) || steps.len() > 50 {
                break;
            }
        }
        steps
    }};
}

fn resends(at: &[u128], end: (u128, Step)) -> Vec<(u128, Step)> {
    at.iter().map(|at| (*at, Step::Resend)).chain([end]).collect()
}

#[test]
fn an_invite_without_answer_is_repeated_at_doubling_intervals_until_timer_b() {
    let start = Instant::now();
    let mut machine = ClientInvite::new(start, false, &VALUES);
    let wanted = resends(&[500, 1_500, 3_500, 7_500, 15_500, 31_500], (32_000, Step::TimedOut));
    assert_eq!(fired!(machine, start), wanted);
    let mut reliable = ClientInvite::new(start, true, &VALUES);
    assert_eq!(fired!(reliable, start), [(32_000, Step::TimedOut)]);
}

#[test]
fn a_provisional_response_stops_both_timers_of_an_invite() {
    let start = Instant::now();
    let mut machine = ClientInvite::new(start, false, &VALUES);
    assert_eq!(machine.response(start, 100, &VALUES), Step::Deliver);
    assert_eq!(machine.deadline(), None, "how long it may ring is not the transaction's business");
    assert_eq!(machine.response(start, 180, &VALUES), Step::Deliver);
}

#[test]
fn a_refused_invite_acknowledges_each_repetition_until_timer_d() {
    let start = Instant::now();
    for (reliable, timer_d) in [(false, 32_000), (true, 0)] {
        let mut machine = ClientInvite::new(start, reliable, &VALUES);
        assert_eq!(machine.response(start, 486, &VALUES), Step::Acknowledge { first: true });
        assert_eq!(machine.response(start, 486, &VALUES), Step::Acknowledge { first: false });
        assert_eq!(machine.response(start, 180, &VALUES), Step::Nothing);
        assert_eq!(machine.response(start, 200, &VALUES), Step::Nothing, "a 2xx after a refusal counts not");
        assert_eq!(fired!(machine, start), [(timer_d, Step::Terminated)]);
    }
}

#[test]
fn an_accepted_invite_hands_up_every_2xx_until_timer_m() {
    let start = Instant::now();
    let mut machine = ClientInvite::new(start, false, &VALUES);
    assert_eq!(machine.response(start, 200, &VALUES), Step::Deliver);
    assert_eq!(machine.response(start, 200, &VALUES), Step::Deliver);
    assert_eq!(machine.response(start, 486, &VALUES), Step::Nothing);
    assert_eq!(fired!(machine, start), [(32_000, Step::Terminated)]);
}

#[test]
fn a_request_without_answer_is_repeated_up_to_t2_until_timer_f() {
    let start = Instant::now();
    let mut machine = Client::new(start, false, &VALUES);
    let at = [500, 1_500, 3_500, 7_500, 11_500, 15_500, 19_500, 23_500, 27_500, 31_500];
    assert_eq!(fired!(machine, start), resends(&at, (32_000, Step::TimedOut)));
    let mut reliable = Client::new(start, true, &VALUES);
    assert_eq!(fired!(reliable, start), [(32_000, Step::TimedOut)]);
}

#[test]
fn a_provisional_response_lets_timer_e_fire_as_set_and_then_every_t2() {
    let start = Instant::now();
    let mut machine = Client::new(start, false, &VALUES);
    assert_eq!(machine.response(start + T1 / 2, 100, &VALUES), Step::Nothing);
    let at = [500, 4_500, 8_500, 12_500, 16_500, 20_500, 24_500, 28_500];
    assert_eq!(fired!(machine, start), resends(&at, (32_000, Step::TimedOut)));
}

#[test]
fn a_final_response_is_handed_up_once_and_timer_k_absorbs_the_rest() {
    let start = Instant::now();
    for (reliable, timer_k) in [(false, 5_000), (true, 0)] {
        let mut machine = Client::new(start, reliable, &VALUES);
        assert_eq!(machine.response(start, 200, &VALUES), Step::Deliver);
        assert_eq!(machine.response(start, 200, &VALUES), Step::Nothing);
        assert_eq!(fired!(machine, start), [(timer_k, Step::Terminated)]);
    }
}

#[test]
fn a_refusal_is_repeated_by_timer_g_until_timer_h_or_its_ack() {
    let start = Instant::now();
    let mut machine = ServerInvite::new(false);
    assert_eq!(machine.request(), Step::Resend);
    assert_eq!(machine.deadline(), None, "the application may take its time");
    machine.responded(start, 486, &VALUES);
    let at = [500, 1_500, 3_500, 7_500, 11_500, 15_500, 19_500, 23_500, 27_500, 31_500];
    assert_eq!(fired!(machine, start), resends(&at, (32_000, Step::TimedOut)));

    let mut machine = ServerInvite::new(false);
    machine.responded(start, 486, &VALUES);
    assert_eq!(machine.request(), Step::Resend);
    assert_eq!(machine.ack(start, &VALUES), Step::Nothing);
    assert_eq!(machine.request(), Step::Nothing, "Confirmed absorbs");
    assert_eq!(machine.ack(start, &VALUES), Step::Nothing);
    assert_eq!(fired!(machine, start), [(5_000, Step::Terminated)]);
}

#[test]
fn on_reliable_transports_a_refusal_is_not_repeated_and_its_ack_ends_it() {
    let start = Instant::now();
    let mut machine = ServerInvite::new(true);
    machine.responded(start, 486, &VALUES);
    assert_eq!(fired!(machine, start), [(32_000, Step::TimedOut)]);
    let mut machine = ServerInvite::new(true);
    machine.responded(start, 486, &VALUES);
    assert_eq!(machine.ack(start, &VALUES), Step::Terminated);
}

#[test]
fn an_accepted_server_transaction_absorbs_requests_and_hands_up_acks_until_timer_l() {
    let start = Instant::now();
    let mut machine = ServerInvite::new(false);
    machine.responded(start, 180, &VALUES);
    assert_eq!(machine.request(), Step::Resend);
    machine.responded(start, 200, &VALUES);
    assert_eq!(machine.request(), Step::Nothing, "the user repeats the 2xx on its own clock");
    assert_eq!(machine.ack(start, &VALUES), Step::Deliver);
    assert_eq!(fired!(machine, start), [(32_000, Step::Terminated)]);
}

#[test]
fn a_completed_server_transaction_repeats_its_answer_until_timer_j() {
    let start = Instant::now();
    let mut machine = Server::completed(start, &VALUES);
    assert_eq!(machine.request(), Step::Resend);
    assert_eq!(fired!(machine, start), [(32_000, Step::Terminated)]);
}
