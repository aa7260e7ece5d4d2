//! Messages of disarmed entry points: none is starved by others that wait, and none ends unseen.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::gateway::Gateway;

/// Writes into the journal what waits there, beside its writer.
fn write(gateway: &Gateway, sql: &str) {
    let database = rusqlite::Connection::open(gateway.folder.path().join("journal.sqlite")).unwrap();
    database.busy_timeout(Duration::from_secs(5)).unwrap();
    database.execute_batch(sql).unwrap();
}

/// A held message for each of so many, in conversations of which nobody has heard for a year.
fn hold(gateway: &Gateway, address: &str, count: u32) {
    let year_ago = jiff::Timestamp::now().as_microsecond() - 365 * 86_400_000_000;
    write(
        gateway,
        &format!(
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {count})
             INSERT INTO contact(id, channel, from_address, to_address, arrived_us, entry_point, inbox, conversation, held)
             SELECT printf('ct_{address}_%05d', i), 'custom', 'c' || i, '{address}', {year_ago}, 'custom/{address}',
             'ib_support', printf('cv_{address}_%05d', i), 1 FROM n;
             INSERT INTO conversation SELECT conversation, channel, to_address, from_address, inbox, {year_ago}, {year_ago},
             1, NULL, NULL, NULL FROM contact WHERE to_address = '{address}';"
        ),
    );
}

async fn armed(gateway: &Gateway, address: &str, armed: bool) {
    let name = format!("custom/{address}");
    gateway.publish(&json!({"entry_points": {name: {"armed": armed}}})).await;
}

async fn queued(gateway: &Gateway) -> Vec<Value> {
    let (_, page) = gateway.get("/api/v1/events?after=0&limit=1000&type=contact.queued").await;
    page["events"].as_array().unwrap().clone()
}

async fn until(what: &str, so: impl AsyncFn() -> bool) {
    for _ in 0..200 {
        if so().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("{what}");
}

#[tokio::test]
async fn messages_of_an_entry_point_that_is_armed_do_not_wait_behind_thousands_that_are_not() {
    let gateway = Gateway::new();
    armed(&gateway, "a-old", false).await;
    armed(&gateway, "b-young", false).await;
    hold(&gateway, "a-old", 2000);
    hold(&gateway, "b-young", 600);
    tokio::spawn(gateway.state.intake.clone().go_on());
    tokio::time::sleep(Duration::from_millis(2500)).await;
    assert_eq!(queued(&gateway).await.len(), 0, "all are disarmed");
    armed(&gateway, "b-young", true).await;
    until("all that waited there are handed on", async || queued(&gateway).await.len() == 600).await;
    let subjects: Vec<String> =
        queued(&gateway).await.iter().map(|event| event["subject"].as_str().unwrap().to_owned()).collect();
    assert!(subjects.iter().all(|subject| subject.starts_with("ct_b-young")));
    assert!(subjects.is_sorted(), "in their order");
}

#[tokio::test]
async fn a_conversation_with_a_held_message_stays_open_however_long_nobody_writes() {
    let gateway = Gateway::new();
    armed(&gateway, "shut", false).await;
    hold(&gateway, "shut", 1);
    hold(&gateway, "seen", 1);
    write(&gateway, "UPDATE contact SET held = 0 WHERE to_address = 'seen'");
    tokio::spawn(gateway.state.intake.clone().go_on());
    let closed = async |address: &str| {
        let (_, conversation) = gateway.get(&format!("/api/v1/conversations/cv_{address}_00001")).await;
        assert_eq!(conversation["id"], format!("cv_{address}_00001"), "{conversation}");
        !conversation["closed"].is_null()
    };
    until("one in which nobody writes is closed", async || closed("seen").await).await;
    assert!(!closed("shut").await, "nobody could see its message yet");
    armed(&gateway, "shut", true).await;
    until("its message is handed on", async || queued(&gateway).await.len() == 1).await;
    // Several looks later: who is to answer it has as long as for any other.
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert!(!closed("shut").await, "it is not idle as soon as it is seen");
}
