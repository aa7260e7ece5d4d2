//! Deliveries to a consumer on loopback: what it refuses stands in the way of nothing else.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{Router, extract::State, http::StatusCode, routing::post};
use serde_json::{Value, json};

use crate::support::gateway::Gateway;

/// A consumer that takes events but for those of some contacts, and notes of whose it was told.
#[derive(Clone, Default)]
struct Consumer(Arc<Mutex<Told>>);

#[derive(Default)]
struct Told {
    refused: BTreeSet<String>,
    asked: Vec<String>,
    taken: BTreeSet<String>,
}

impl Consumer {
    async fn serve(&self) -> String {
        let router = Router::new().route("/events", post(Self::hear)).with_state(self.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/events", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        url
    }

    async fn hear(State(consumer): State<Self>, axum::Json(event): axum::Json<Value>) -> StatusCode {
        let mut told = consumer.0.lock().unwrap();
        let subject = event["subject"].as_str().unwrap().to_owned();
        told.asked.push(subject.clone());
        if told.refused.contains(&subject) {
            return StatusCode::INTERNAL_SERVER_ERROR;
        }
        told.taken.insert(subject);
        StatusCode::OK
    }

    fn refuse(&self, contacts: &[&str]) {
        self.0.lock().unwrap().refused = contacts.iter().map(|&contact| contact.to_owned()).collect();
    }

    fn asked(&self) -> usize {
        self.0.lock().unwrap().asked.len()
    }

    fn has(&self, contact: &str) -> bool {
        self.0.lock().unwrap().taken.contains(contact)
    }
}

/// A gateway that tells such a consumer of contacts that begin.
async fn telling(consumer: &Consumer) -> Gateway {
    let gateway = Gateway::new();
    let secret = gateway.folder.path().join("secret");
    std::fs::write(&secret, "a secret of thirty-two bytes long").unwrap();
    let doc = json!({"name": "CRM", "url": consumer.serve().await, "types": ["contact.started"],
                     "secrets": [format!("file:{}", secret.display())]});
    tokio::spawn(gateway.state.deliveries.clone().follow(gateway.state.store.clone()));
    gateway.publish(&json!({"consumers": {"crm": doc}})).await;
    until("the consumer has a cursor", async || {
        let (_, list) = gateway.get("/api/v1/webhook-consumers").await;
        list["consumers"][0]["cursor"].is_u64()
    })
    .await;
    gateway
}

async fn until(what: &str, so: impl AsyncFn() -> bool) {
    for _ in 0..400 {
        if so().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("{what}");
}

async fn undelivered(gateway: &Gateway) -> Vec<Value> {
    let (_, list) = gateway.get("/api/v1/webhook-consumers/crm/undelivered").await;
    list["undelivered"].as_array().unwrap().clone()
}

#[tokio::test]
async fn one_event_that_a_consumer_refuses_holds_up_no_other_and_its_attempts_are_counted() {
    let consumer = Consumer::default();
    let contacts = ["ct_0", "ct_1", "ct_2", "ct_3", "ct_4", "ct_5"];
    consumer.refuse(&contacts);
    let gateway = telling(&consumer).await;
    for contact in contacts {
        gateway.start(contact, "+14155550100").await;
    }
    // All fail, and it is tried with one of them before any is due again: for how long each is tried does not depend on it.
    let probed = async || {
        let waiting = undelivered(&gateway).await.len();
        waiting >= 5 && consumer.asked() > waiting
    };
    until("it is tried with one event", probed).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    let waiting = undelivered(&gateway).await;
    assert!(waiting.iter().all(|row| row["attempts"] == 1), "{waiting:?}");

    consumer.refuse(&["ct_0"]);
    until("all others have come", async || contacts[1..].iter().all(|contact| consumer.has(contact))).await;
    gateway.start("ct_6", "+14155550100").await;
    until("so do new ones", async || consumer.has("ct_6")).await;
    let waiting = undelivered(&gateway).await;
    assert_eq!(waiting.len(), 1, "{waiting:?}");
    assert_eq!((&waiting[0]["subject"], &waiting[0]["given_up"]), (&json!("ct_0"), &json!(false)));
    until("its attempts are counted", async || {
        undelivered(&gateway).await.first().is_some_and(|row| row["attempts"].as_u64().unwrap() >= 2)
    })
    .await;
    assert!(!consumer.has("ct_0"));
}
