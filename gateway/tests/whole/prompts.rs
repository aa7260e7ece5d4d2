//! Recordings over real HTTP: uploaded, kept, listed, named by a document, published, and heard on a leg.

use std::net::SocketAddr;

use rtp_proto::{
    g711::Law,
    tone,
    wav::{self, Encoding, Wav},
};
use serde_json::{Value, json};
use tokio::{runtime::Handle, sync::mpsc::channel, task::block_in_place};
use vestibule::{
    media::{Media, MediaSettings, OpenLeg, Remote, Sound},
    sound::Library,
};
use vestibule_config::settings::Tts;
use vestibule_routing::{id::PromptId, journey::PlaybackId};

use crate::media::peer::{Peer, assert_unbroken};

struct Gateway {
    address: SocketAddr,
    base: crate::support::gateway::Gateway,
    sounds: Library,
    client: reqwest::Client,
}

impl Gateway {
    async fn new() -> Self {
        let base = crate::support::gateway::Gateway::new();
        let tts = Tts {
            command: Vec::new(),
            voice: "en-us".into(),
            timeout_seconds: 5,
            text_chars_max: 100,
            parallel_max: 2,
            cache_bytes_max: 1 << 20,
        };
        let sounds = Library::open(base.folder.path().to_owned(), tts).unwrap();
        let (ready, active) = (sounds.clone(), sounds.clone());
        base.state.store.prepare_with(move |table| ready.prepare(table));
        base.state.store.active().subscribe(move |routing| active.install(&routing.prompts));
        let address = base.serve().await;
        Self { address, base, sounds, client: reqwest::Client::new() }
    }

    async fn ask(&self, method: &str, path: &str, body: Vec<u8>) -> (u16, Vec<u8>) {
        let request = self
            .client
            .request(method.parse().unwrap(), format!("http://{}/api/v1{path}", self.address))
            .bearer_auth(&self.base.key)
            .header("content-type", if path.ends_with("publish") { "application/json" } else { "audio/wav" })
            .body(body);
        let response = request.send().await.unwrap();
        (response.status().as_u16(), response.bytes().await.unwrap().to_vec())
    }

    async fn json(&self, method: &str, path: &str, body: Vec<u8>) -> (u16, Value) {
        let (status, body) = self.ask(method, path, body).await;
        (status, serde_json::from_slice(&body).unwrap())
    }
}

/// A second of a tone as 44.1 kHz, 16 bits.
fn upload() -> Vec<u8> {
    let samples: Vec<i16> = (0..44_100)
        .map(|i| (2000.0 * (std::f64::consts::TAU * 1000.0 * f64::from(i) / 44_100.0).sin()) as i16)
        .collect();
    wav::write(&samples, 44_100, Encoding::Pcm16)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_uploaded_recording_is_heard_by_a_caller_after_the_publish() {
    let gateway = Gateway::new().await;
    let (status, kept) = gateway.json("PUT", "/prompts/greeting/recording", upload()).await;
    assert_eq!((status, &kept["duration_ms"]), (200, &json!(1000)), "{kept}");
    let hash = kept["sha256"].as_str().unwrap();
    let (status, file) = gateway.ask("GET", &format!("/recordings/{hash}"), Vec::new()).await;
    let canonical = Wav::parse(&file).unwrap();
    assert_eq!((status, canonical.rate, canonical.channels), (200, 8000, 1));
    assert!((tone::level_dbm0(&canonical.samples) + 20.0).abs() < 0.3);
    let (_, list) = gateway.json("GET", "/recordings", Vec::new()).await;
    assert_eq!(list, json!({"recordings": [kept], "next": null}));

    let note = json!({"note": "a greeting"}).to_string().into_bytes();
    let (status, published) = gateway.json("POST", "/routing/publish", note).await;
    assert_eq!(status, 201, "{published}");
    let sounds = gateway.sounds.of(&gateway.base.state.store.active().load().prompts);
    let audio = sounds.get(&PromptId::new("greeting")).unwrap();

    let settings = MediaSettings { ports: 47_000..=47_099, ..MediaSettings::default() };
    let media = Media::start(settings, &Handle::current()).unwrap();
    let (events, _receiver) = channel(64);
    let leg = media.open(OpenLeg { events }).unwrap();
    let peer = Peer::new(leg.local_addr());
    leg.set_remote(Remote::new(peer.addr(), Law::Mu)).unwrap();
    leg.play(PlaybackId(1), vec![Sound::Audio(audio)], false, 0).unwrap();
    let heard = block_in_place(|| peer.hear_many(60));
    assert_unbroken(&heard, 160);
    let samples: Vec<i16> =
        heard.iter().flat_map(|packet| packet.payload.iter().map(|byte| Law::Mu.decode(*byte))).collect();
    assert!(samples.len() >= 7200, "{} samples", samples.len());
    assert!(tone::power_share(&samples, 1000.0) > 0.95);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_played_is_refused_with_a_code_and_leaves_nothing() {
    let gateway = Gateway::new().await;
    let empty = wav::write(&[], 8000, Encoding::Pcm16);
    let long = wav::write(&vec![1; 4000 * 601], 4000, Encoding::G711(Law::A));
    for file in [Vec::new(), b"ID3 something else".to_vec(), empty, long] {
        for (method, path) in [("POST", "/recordings"), ("PUT", "/prompts/greeting/recording")] {
            let (status, problem) = gateway.json(method, path, file.clone()).await;
            assert_eq!((status, &problem["code"]), (422, &json!("recording_unusable")), "{problem}");
        }
    }
    let (_, list) = gateway.json("GET", "/recordings", Vec::new()).await;
    assert_eq!(list, json!({"recordings": [], "next": null}));
    assert!(gateway.base.state.store.draft().unwrap().changes.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_may_be_longer_than_other_bodies_but_not_than_20_mib() {
    let gateway = Gateway::new().await;
    // 595 s of 16 bits at 16 kHz.
    let samples = vec![1000_i16; 16_000 * 595];
    let (status, kept) =
        gateway.json("POST", "/recordings", wav::write(&samples, 16_000, Encoding::Pcm16)).await;
    assert_eq!((status, &kept["duration_ms"]), (201, &json!(595_000)));
    let (status, problem) = gateway.json("POST", "/recordings", vec![0; (20 << 20) + 1]).await;
    assert_eq!((status, &problem["code"]), (413, &json!("body_too_large")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recording_that_is_not_kept_is_not_found_and_stops_a_publish() {
    let gateway = Gateway::new().await;
    for hash in ["00".repeat(32), "..%2Fconfig.db".to_owned()] {
        let (status, problem) = gateway.json("GET", &format!("/recordings/{hash}"), Vec::new()).await;
        assert_eq!((status, &problem["code"]), (404, &json!("no_such_recording")));
    }
    let key = vestibule_config::document::Key::new(vestibule_config::document::Kind::Prompts, "lost");
    gateway.base.state.store.edit(&key, Some(&json!({"file": "00".repeat(32)})), None).unwrap();
    let note = json!({"note": "lost"}).to_string().into_bytes();
    let (status, problem) = gateway.json("POST", "/routing/publish", note).await;
    assert_eq!((status, &problem["more"]["diagnostics"][0]["code"]), (422, &json!("R-1107")), "{problem}");
}
