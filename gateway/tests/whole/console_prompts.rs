//! The library of prompts, by forms alone: uploaded, spoken, heard, renamed, and removed once nothing uses them.

use axum::http::header;
use serde_json::json;

use crate::support::{
    gateway::Gateway,
    pages::{HOSTILE, key, open, submit, upload},
};

const LIBRARY: &str = "/console/ivrs/prompts";

fn tone(ending: &str) -> Vec<u8> {
    std::fs::read(format!("{}/tests/sounds/tone.{ending}", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

async fn with_prompt(gateway: &Gateway, id: &str) {
    let made =
        upload(gateway, &gateway.key, LIBRARY, &[("id", id), ("text", "")], ("tone.mp3", &tone("mp3"))).await;
    assert_eq!(made.goes_to(), format!("{LIBRARY}/{id}?saved=1"), "{}", made.text);
}

#[tokio::test]
async fn a_recording_of_each_form_is_uploaded_and_heard_in_the_browser() {
    let gateway = Gateway::new();
    let empty = open(&gateway, &gateway.key, LIBRARY).await;
    assert!(empty.shows("No prompt of your own yet") && empty.shows("builtin:welcome"), "{}", empty.text);
    for ending in ["mp3", "ogg", "flac", "m4a"] {
        let name = format!("C:\\{HOSTILE}.{ending}");
        let fields = [("id", ending), ("text", ""), ("voice", "")];
        let made =
            upload(&gateway, &gateway.key, LIBRARY, &fields, (&name.replace('"', ""), &tone(ending))).await;
        assert_eq!(made.goes_to(), format!("{LIBRARY}/{ending}?saved=1"), "{}", made.text);
        let page = open(&gateway, &gateway.key, made.goes_to()).await;
        assert!(page.shows("not published yet") && page.shows("audio?draft=true"), "{}", page.text);
        let (status, headers, sound) = gateway.fetch(&format!("{LIBRARY}/{ending}/audio?draft=true")).await;
        assert_eq!((status.as_u16(), &sound[..4]), (200, b"RIFF".as_slice()), "{ending}");
        assert_eq!(headers[header::CONTENT_TYPE], "audio/wav");
        assert!(headers[header::CONTENT_SECURITY_POLICY].to_str().unwrap().contains("media-src 'self'"));
    }
    let (status, _, sound) = gateway.fetch(&format!("{LIBRARY}/builtin%3Awelcome/audio")).await;
    assert_eq!((status.as_u16(), &sound[..4]), (200, b"RIFF".as_slice()));
    let found = open(&gateway, &gateway.key, &format!("{LIBRARY}?text=FLA")).await;
    assert!(found.shows(">flac</a>") && !found.shows(">mp3</a>"), "{}", found.text);
    // What is changed has two sounds until it is published.
    gateway.publish(&json!({})).await;
    let again =
        upload(&gateway, &gateway.key, &format!("{LIBRARY}/mp3/recording"), &[], ("x", &tone("ogg"))).await;
    assert_eq!(again.status, 303, "{}", again.text);
    let page = open(&gateway, &gateway.key, &format!("{LIBRARY}/mp3")).await;
    assert!(page.shows("As callers hear it") && page.shows("As the draft has it"), "{}", page.text);
}

#[tokio::test]
async fn what_is_no_sound_or_has_no_good_name_is_refused_with_what_was_typed() {
    let gateway = Gateway::new();
    let path = LIBRARY;
    for (id, text, file, said) in [
        ("good", "", b"<script>alert(1)</script>".as_slice(), "cannot be played"),
        ("", "words", b"", "has no name"),
        ("good", "", b"", "neither a recording nor a text"),
        (HOSTILE, "words", b"", "Nothing was kept"),
        ("../../etc", "words", b"", "Nothing was kept"),
    ] {
        let fields = [("id", id), ("text", text), ("voice", HOSTILE)];
        let refused = upload(&gateway, &gateway.key, path, &fields, ("a.wav", file)).await;
        assert_eq!(refused.status, 422, "{id}: {}", refused.text);
        assert!(refused.shows(said), "{id}: {}", refused.text);
        assert!(refused.shows("name=\"voice\" value=\"&#60;img"), "what was typed stays, as text");
    }
    let (_, prompts) = gateway.get("/api/v1/prompts").await;
    assert_eq!(prompts["prompts"], json!([]));
    let large = vec![0; 21 << 20];
    let refused = upload(&gateway, &gateway.key, path, &[("id", "large")], ("a.wav", &large)).await;
    assert_eq!(refused.status, 413);
    with_prompt(&gateway, "opening").await;
    let twice = upload(&gateway, &gateway.key, path, &[("id", "opening")], ("a.mp3", &tone("mp3"))).await;
    assert!(twice.status == 422 && twice.shows("There is a prompt opening already"), "{}", twice.text);
    let wrong =
        upload(&gateway, &gateway.key, &format!("{path}/opening/recording"), &[], ("a.mp3", b"no")).await;
    assert!(wrong.status == 422 && wrong.shows("cannot be played"), "{}", wrong.text);
    assert_eq!(open(&gateway, &gateway.key, &format!("{path}/nobody")).await.status, 404);
}

#[tokio::test]
async fn a_text_is_kept_in_the_draft_and_shown_as_text() {
    let gateway = Gateway::new();
    let spoken = format!("Welcome {HOSTILE}");
    let made =
        submit(&gateway, &gateway.key, LIBRARY, &[("id", "hello"), ("text", &spoken), ("voice", "en-gb")])
            .await;
    assert_eq!(made.goes_to(), format!("{LIBRARY}/hello?saved=1"), "{}", made.text);
    let (_, body) = gateway.get("/api/v1/routing/draft/prompts/hello").await;
    assert_eq!(body, json!({"text": spoken, "voice": "en-gb"}));
    let page = open(&gateway, &gateway.key, made.goes_to()).await;
    assert!(page.shows("Welcome &#60;img") && page.shows("value=\"en-gb\""), "{}", page.text);
    let fields = [("text", "Good day"), ("voice", "")];
    assert_eq!(submit(&gateway, &gateway.key, &format!("{LIBRARY}/hello/text"), &fields).await.status, 303);
    let (_, body) = gateway.get("/api/v1/routing/draft/prompts/hello").await;
    assert_eq!(body, json!({"text": "Good day"}));
    let empty = submit(&gateway, &gateway.key, &format!("{LIBRARY}/hello/text"), &[("text", " ")]).await;
    assert_eq!(empty.status, 422);
    let gone = submit(&gateway, &gateway.key, &format!("{LIBRARY}/hello/delete"), &[]).await;
    assert_eq!(gone.goes_to(), LIBRARY, "what only the draft has is taken out of it: {}", gone.text);
    assert_eq!(open(&gateway, &gateway.key, &format!("{LIBRARY}/hello")).await.status, 404);
}

#[tokio::test]
async fn a_prompt_in_use_is_renamed_everywhere_and_not_removed() {
    let gateway = Gateway::new();
    with_prompt(&gateway, "jazz").await;
    gateway.publish(&json!({"inboxes": {"ib_music": {"name": "Music", "queue_music": "jazz"}}})).await;
    let list = open(&gateway, &gateway.key, LIBRARY).await;
    assert!(list.shows("href=\"/console/inboxes/ib_music\">inbox ib_music</a>"), "{}", list.text);
    let kept = submit(&gateway, &gateway.key, &format!("{LIBRARY}/jazz/delete"), &[]).await;
    assert_eq!(kept.status, 422);
    assert!(kept.shows("1 places use the prompt jazz") && kept.shows(">queue_music</span>"), "{}", kept.text);
    let page = open(&gateway, &gateway.key, &format!("{LIBRARY}/jazz")).await;
    assert!(
        page.shows("It cannot be removed while it is used") && !page.shows("/jazz/delete"),
        "{}",
        page.text
    );
    let bad = submit(&gateway, &gateway.key, &format!("{LIBRARY}/jazz/rename"), &[("to", HOSTILE)]).await;
    assert!(bad.status == 422 && bad.shows("value=\"&#60;img"), "{}", bad.text);
    let named = submit(&gateway, &gateway.key, &format!("{LIBRARY}/jazz/rename"), &[("to", "swing")]).await;
    assert_eq!(named.goes_to(), format!("{LIBRARY}/swing"), "{}", named.text);
    let (_, inbox) = gateway.get("/api/v1/routing/draft/inboxes/ib_music").await;
    assert_eq!(inbox["queue_music"], "swing");
    gateway.publish(&json!({"inboxes": {"ib_music": {"name": "Music"}}})).await;
    let gone = submit(&gateway, &gateway.key, &format!("{LIBRARY}/swing/delete"), &[]).await;
    assert_eq!(gone.goes_to(), LIBRARY, "{}", gone.text);
}

#[tokio::test]
async fn who_may_not_edit_prompts_hears_them_and_is_shown_no_button() {
    let gateway = Gateway::new();
    with_prompt(&gateway, "opening").await;
    gateway.publish(&json!({})).await;
    let analyst = key(&gateway, "analyst").await;
    for path in [LIBRARY.to_owned(), format!("{LIBRARY}/opening")] {
        let page = open(&gateway, &analyst, &path).await;
        assert_eq!(page.status, 200);
        assert!(
            page.shows("<audio") && !page.shows("method=\"post\" action=\"/console/ivrs"),
            "{}",
            page.text
        );
    }
    let refused = upload(&gateway, &analyst, LIBRARY, &[("id", "x")], ("a.mp3", &tone("mp3"))).await;
    assert_eq!(refused.status, 403);
    for act in ["text", "rename", "delete"] {
        let fields = [("text", "x"), ("to", "x")];
        let refused = submit(&gateway, &analyst, &format!("{LIBRARY}/opening/{act}"), &fields).await;
        assert!(refused.status == 403 && refused.shows("takes the permission"), "{act}: {}", refused.text);
    }
    let platform = key(&gateway, "agent_platform").await;
    assert_eq!(open(&gateway, &platform, LIBRARY).await.status, 403);
}
