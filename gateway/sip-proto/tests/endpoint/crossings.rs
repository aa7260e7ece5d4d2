//! Requests and answers that cross, and limits on what a request may ask for.

use std::time::Duration;

use sip_proto::{
    endpoint::{Command, Transport},
    header::HeaderName,
};

use super::{Bench, OFFER, header, request, status, to_tag};

fn reply_to(request: &str, status_line: &str, extra: &str) -> String {
    let head: Vec<&str> = request
        .lines()
        .filter(|l| ["Via", "From", "To", "Call-ID", "CSeq"].iter().any(|n| l.starts_with(&format!("{n}:"))))
        .collect();
    format!("SIP/2.0 {status_line}\r\n{}\r\n{extra}Content-Length: 0\r\n\r\n", head.join("\r\n"))
}

#[test]
fn a_prack_that_crosses_the_200_is_still_accepted() {
    let mut bench = Bench::new(Transport::Udp);
    bench.invite(&["Require: 100rel"], OFFER);
    let call = bench.incoming();
    let ringing = bench.command(call, Command::Progress { status: 180 }).pop().unwrap();
    let rack = format!("RAck: {} 1 INVITE", header(&ringing, HeaderName::RSeq).unwrap());
    bench.answer(call);
    let reply = bench.receive(&request("PRACK", "z9hG4bKp", 2, Some(&to_tag(&ringing)), &[&rack], ""));
    assert_eq!(status(&reply[0]), 200);
}

#[test]
fn a_refresh_left_at_100_is_forgotten_with_its_call() {
    let mut bench = Bench::new(Transport::Udp);
    bench.established(&["Supported: timer", "Session-Expires: 100;refresher=uas"]);
    let refresh = bench.pass(Duration::from_secs(51)).remove(0);
    assert!(refresh.starts_with("INVITE "));
    bench.receive(&reply_to(&refresh, "100 Trying", ""));
    bench.pass(Duration::from_secs(600));
    assert_eq!(bench.endpoint.sizes().calls, 0);
    assert_eq!(bench.endpoint.sizes().client_transactions, 0);
}

#[test]
fn the_2xx_to_a_refresh_moves_the_target() {
    let mut bench = Bench::new(Transport::Udp);
    let (call, _) =
        bench.established(&["Supported: timer", "Allow: UPDATE", "Session-Expires: 90;refresher=uas"]);
    let update = bench.pass(Duration::from_millis(45_050)).pop().unwrap();
    bench.receive(&reply_to(
        &update,
        "200 OK",
        "Contact: <sip:moved@192.0.2.1>\r\nSession-Expires: 90;refresher=uac\r\n",
    ));
    let bye = bench.command(call, Command::HangUp { cause: 200 }).pop().unwrap();
    assert!(bye.starts_with("BYE sip:moved@192.0.2.1"), "{bye}");
}

#[test]
fn an_update_below_min_se_is_refused_with_422() {
    let mut bench = Bench::new(Transport::Udp);
    let (_, tag) = bench.established(&["Supported: timer", "Session-Expires: 90;refresher=uac"]);
    let reply = bench.receive(&request(
        "UPDATE",
        "z9hG4bKu",
        2,
        Some(&tag),
        &["Supported: timer", "Session-Expires: 5"],
        "",
    ));
    assert_eq!(status(&reply[0]), 422, "{}", reply[0]);
}

#[test]
fn a_481_to_a_refresh_after_our_bye_makes_no_second_bye() {
    let mut bench = Bench::new(Transport::Udp);
    let (call, _) =
        bench.established(&["Supported: timer", "Allow: UPDATE", "Session-Expires: 90;refresher=uas"]);
    let update = bench.pass(Duration::from_millis(45_050)).pop().unwrap();
    bench.command(call, Command::HangUp { cause: 200 });
    let sent = bench.receive(&reply_to(&update, "481 Gone", ""));
    assert!(sent.is_empty(), "{sent:?}");
}

#[test]
fn a_second_invite_of_the_same_pair_leaves_the_first_call_reachable() {
    let mut bench = Bench::new(Transport::Udp);
    let (_, tag) = bench.established(&[]);
    bench.receive(&request("INVITE", "z9hG4bKtwo", 7, None, &[], OFFER));
    let reply = bench.receive(&request("BYE", "z9hG4bKbye", 8, Some(&tag), &[], ""));
    assert_eq!(status(&reply[0]), 200);
}

#[test]
fn a_tiny_interval_in_the_answer_makes_no_storm() {
    let mut bench = Bench::new(Transport::Udp);
    bench.established(&["Supported: timer", "Allow: UPDATE", "Session-Expires: 90;refresher=uas"]);
    let mut update = bench.pass(Duration::from_millis(45_050)).pop().unwrap();
    let mut count = 0;
    for _ in 0..20 {
        bench.receive(&reply_to(&update, "200 OK", "Session-Expires: 1;refresher=uac\r\n"));
        let Some(next) = bench.pass(Duration::from_millis(100)).pop() else { break };
        update = next;
        count += 1;
    }
    assert_eq!(count, 0, "refreshes in two seconds");
}

#[test]
fn an_invite_without_hops_left_is_refused_with_483() {
    let mut bench = Bench::new(Transport::Udp);
    let text =
        request("INVITE", "z9hG4bKmf", 1, None, &[], OFFER).replace("Max-Forwards: 70", "Max-Forwards: 0");
    let codes: Vec<u16> = bench.receive(&text).iter().map(|t| status(t)).collect();
    assert_eq!(codes, [483]);
}

#[test]
fn an_update_with_an_offer_before_the_answer_is_put_off() {
    let mut bench = Bench::new(Transport::Udp);
    bench.invite(&["Require: 100rel"], OFFER);
    let call = bench.incoming();
    let ringing = bench.command(call, Command::Progress { status: 180 }).pop().unwrap();
    let tag = to_tag(&ringing);
    let reply = bench.receive(&request("UPDATE", "z9hG4bKu", 2, Some(&tag), &[], OFFER));
    assert_eq!(status(&reply[0]), 500);
    assert!(header(&reply[0], HeaderName::RetryAfter).is_some(), "{}", reply[0]);
}

#[test]
fn a_request_that_says_nothing_of_the_session_timer_leaves_it_as_agreed() {
    let mut bench = Bench::new(Transport::Udp);
    let (_, tag) = bench.established(&["Supported: timer", "Session-Expires: 90;refresher=uas"]);
    bench.pass(Duration::from_secs(30));
    let reply = bench.receive(&request("UPDATE", "z9hG4bKu", 2, Some(&tag), &["Supported: timer"], ""));
    assert_eq!(status(&reply[0]), 200);
    assert_eq!(header(&reply[0], HeaderName::SessionExpires).as_deref(), Some("90;refresher=uas"));
    assert!(bench.pass(Duration::from_secs(40)).is_empty(), "the interval began again");
    assert!(!bench.pass(Duration::from_secs(6)).is_empty(), "still ours to refresh");
}

#[test]
fn the_200_to_a_cancel_carries_the_tag_of_the_487() {
    let mut bench = Bench::new(Transport::Udp);
    bench.invite(&[], OFFER);
    let call = bench.incoming();
    bench.command(call, Command::Progress { status: 180 });
    let replies = bench.receive(&request("CANCEL", "z9hG4bKinvite", 1, None, &[], ""));
    let codes: Vec<u16> = replies.iter().map(|reply| status(reply)).collect();
    assert_eq!(codes, [200, 487]);
    assert_eq!(to_tag(&replies[0]), to_tag(&replies[1]));
}

#[test]
fn a_late_duplicate_of_a_refused_reinvite_ends_no_call() {
    let mut bench = Bench::new(Transport::Udp);
    let (_, tag) =
        bench.established(&["Supported: timer", "Allow: UPDATE", "Session-Expires: 90;refresher=uas"]);
    let update = bench.pass(Duration::from_millis(45_050)).pop().unwrap();
    let reinvite = request("INVITE", "z9hG4bKre", 2, Some(&tag), &[], OFFER);
    let refused = bench.receive(&reinvite);
    assert_eq!(status(&refused[0]), 491, "our refresh is under way");
    assert!(bench.receive(&request("ACK", "z9hG4bKre", 2, Some(&tag), &[], "")).is_empty());
    bench.receive(&reply_to(&update, "200 OK", "Session-Expires: 90;refresher=uac\r\n"));
    assert!(bench.receive(&reinvite).is_empty(), "the reason to refuse is over, the refusal stands");
    let sent = bench.pass(Duration::from_secs(40));
    assert!(sent.is_empty(), "{sent:?}");
    assert_eq!(bench.endpoint.sizes().calls, 1);
}
