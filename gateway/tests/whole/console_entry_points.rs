//! The pages of entry points, by forms alone: where each leads, exceptions, arming, default inboxes, imports.

use serde_json::{Value, json};

use crate::support::{
    gateway::Gateway,
    pages::{HOSTILE, key, open, submit, upload},
};

async fn entry_point(gateway: &Gateway, path: &str) -> Value {
    gateway.get(&format!("/api/v1/entry-points/{path}")).await.1
}

async fn revision(gateway: &Gateway) -> u64 {
    gateway.get("/api/v1/routing").await.1["revision"].as_u64().unwrap()
}

#[tokio::test]
async fn the_list_says_by_channel_where_each_leads_and_how_many_exceptions_are_left() {
    let gateway = Gateway::new();
    gateway.publish(&json!({"inboxes": {"ib_hostile": {"name": HOSTILE}}, "entry_points": {"sms/+14155550102": {"inbox": "ib_hostile"}}})).await;
    let all = open(&gateway, &gateway.key, "/console/entry-points").await;
    assert_eq!(all.status, 200);
    for words in
        ["help@example.com", "Main line: exit_sales", "Sample chat", "+14155550101", "after the IVR ivr_main"]
    {
        assert!(all.shows(words), "{words} is missing in {}", all.text);
    }
    assert!(all.shows("&#60;img src=x onerror="), "the inbox has its name, as text");
    let exits = open(&gateway, &gateway.key, "/console/entry-points?channel=ivr").await;
    let (_, channels) = gateway.get("/api/v1/channels").await;
    let ivr = channels["channels"].as_array().unwrap().iter().find(|one| one["channel"] == "ivr").unwrap();
    assert!(
        exits.shows(&format!("<strong>{} of {}</strong>", ivr["left"], ivr["entry_points"])),
        "{}",
        exits.text
    );
    assert!(exits.shows("exception") && !exits.shows("value=\"disarm\""), "exits are not armed");
    let found = open(&gateway, &gateway.key, "/console/entry-points?channel=voice&text=0101").await;
    assert!(found.shows("+14155550101") && !found.shows(">+14155550100<"), "{}", found.text);
    let none = open(&gateway, &gateway.key, "/console/entry-points?text=nobody").await;
    assert!(none.shows("Nothing found") && !none.shows("With those that are ticked"));
    assert!(
        open(&gateway, &gateway.key, "/console/entry-points?channel=line")
            .await
            .shows("No entry point here yet")
    );
    assert_eq!(open(&gateway, &gateway.key, "/console/entry-points?channel=fax").await.status, 404);
}

#[tokio::test]
async fn an_entry_point_is_led_elsewhere_given_an_sla_and_forgotten_again() {
    let gateway = Gateway::new();
    let page = "/console/entry-points/voice/%2B14155550101";
    let shown = open(&gateway, &gateway.key, page).await;
    assert!(
        shown.shows("The channel's default: General") && shown.shows("/console/ivrs/ivr_main"),
        "{}",
        shown.text
    );
    assert!(shown.shows("1440, the inbox&#39;s") || shown.shows("1440, the inbox's"), "{}", shown.text);
    let was = shown.field("was");
    let fields = [("was", was.as_str()), ("inbox", "ib_nowhere"), ("sla_minutes", "5")];
    let wrong = submit(&gateway, &gateway.key, page, &fields).await;
    assert_eq!(wrong.status, 422);
    assert!(wrong.shows("class=\"fault\"") && wrong.shows("value=\"5\""), "{}", wrong.text);
    let fields = [("was", was.as_str()), ("inbox", "ib_sales"), ("sla_minutes", "soon")];
    assert!(submit(&gateway, &gateway.key, page, &fields).await.shows("value=\"soon\""));
    let fields = [("was", was.as_str()), ("inbox", "ib_sales"), ("sla_minutes", "5"), ("note", HOSTILE)];
    let saved = submit(&gateway, &gateway.key, page, &fields).await;
    assert_eq!((saved.status.as_u16(), saved.goes_to()), (303, page), "{}", saved.text);
    assert!(saved.says().contains("Revision 2 is active"), "{}", saved.says());
    let now = entry_point(&gateway, "voice/+14155550101").await;
    assert_eq!(
        (&now["inbox"], &now["sla_minutes"], &now["sla_of"]),
        (&json!("ib_sales"), &json!(5), &json!("entry_point"))
    );
    // Somebody else had the older page open.
    let late = submit(&gateway, &gateway.key, page, &[("was", was.as_str()), ("inbox", "ib_support")]).await;
    assert_eq!(late.status, 422);
    assert!(late.shows("Somebody else changed this entry point"), "{}", late.text);
    let revisions = open(&gateway, &gateway.key, "/console/revisions").await;
    assert!(revisions.shows("&#60;img src=x onerror="), "the reason is told as text: {}", revisions.text);
    let shown = open(&gateway, &gateway.key, page).await;
    assert!(
        shown.shows("Its contacts go to the channel&#39;s default inbox")
            || shown.shows("Its contacts go to the channel's default inbox"),
        "{}",
        shown.text
    );
    let gone =
        submit(&gateway, &gateway.key, &format!("{page}/delete"), &[("was", &shown.field("was"))]).await;
    assert_eq!(gone.goes_to(), "/console/entry-points?channel=voice", "{}", gone.says());
    let now = entry_point(&gateway, "voice/+14155550101").await;
    assert_eq!((&now["because"], &now["sla_of"]), (&json!("default"), &json!("inbox")));
    assert_eq!(open(&gateway, &gateway.key, "/console/entry-points/email/no@example.com").await.status, 404);
    assert_eq!(open(&gateway, &gateway.key, "/console/entry-points/voice/soon").await.status, 400);
}

#[tokio::test]
async fn disarming_says_what_it_does_and_exits_have_none() {
    let gateway = Gateway::new();
    for (address, words) in [
        ("voice/%2B14155550100", "480"),
        ("email/help%40example.com", "451"),
        ("sms/%2B14155550102", "acknowledged and kept"),
        ("chat/sample", "hidden on your pages"),
    ] {
        let page = format!("/console/entry-points/{address}");
        assert!(open(&gateway, &gateway.key, &page).await.shows(words), "{page}");
        let off =
            submit(&gateway, &gateway.key, &format!("{page}/arm"), &[("armed", "no"), ("note", "holiday")])
                .await;
        assert!(off.says().contains("It is disarmed"), "{}", off.says());
        let shown = open(&gateway, &gateway.key, &page).await;
        assert!(shown.shows(">disarmed<") && shown.shows(words), "{}", shown.text);
        submit(&gateway, &gateway.key, &format!("{page}/arm"), &[("armed", "yes")]).await;
        assert!(open(&gateway, &gateway.key, &page).await.shows(">armed<"), "{page}");
    }
    let exit = open(&gateway, &gateway.key, "/console/entry-points/ivr/ivr_main%2Fexit_sales").await;
    assert!(exit.shows("Main line: exit_sales") && !exit.shows("/arm\""), "{}", exit.text);
}

#[tokio::test]
async fn many_are_armed_and_excepted_in_one_revision() {
    let gateway = Gateway::new();
    let path = "/console/entry-points/many";
    let back = ("back", "/console/entry-points?channel=voice");
    let two = [("entry_points", "voice/+14155550100"), ("entry_points", "voice/+14155550102")];
    let off = submit(&gateway, &gateway.key, path, &[back, two[0], two[1], ("act", "disarm")]).await;
    assert_eq!(
        (off.goes_to(), off.says().contains("Revision 2 is active")),
        (back.1, true),
        "{}",
        off.says()
    );
    let off = open(&gateway, &gateway.key, "/console/entry-points?armed=no").await;
    assert!(
        off.shows("voice/+14155550100") && off.shows("voice/+14155550102") && !off.shows("help@example.com")
    );
    let fields = [back, two[0], two[1], ("act", "except"), ("inbox", "ib_sales")];
    let taken = submit(&gateway, &gateway.key, path, &fields).await;
    assert!(
        taken.says().contains("voice/+14155550100 is in the exception for ib_general"),
        "{}",
        taken.says()
    );
    let fields = [back, two[0], two[1], ("act", "except"), ("inbox", "ib_sales"), ("replace", "on")];
    let tested = submit(&gateway, &gateway.key, path, &fields).await;
    assert!(tested.says().contains("a direct line leads to its inbox: expected"), "{}", tested.says());
    let fields = [back, two[1], ("act", "except"), ("inbox", "ib_sales")];
    let led = submit(&gateway, &gateway.key, path, &fields).await;
    assert!(led.says().contains("The exception is made"), "{}", led.says());
    assert_eq!(entry_point(&gateway, "voice/+14155550102").await["inbox"], "ib_sales");
    let exit = [back, ("entry_points", "ivr/ivr_main/exit_sales"), ("act", "disarm")];
    assert!(submit(&gateway, &gateway.key, path, &exit).await.says().contains("cannot be armed or disarmed"));
    let before = revision(&gateway).await;
    assert!(submit(&gateway, &gateway.key, path, &[back, ("act", "arm")]).await.says().contains("Name 1 to"));
    let elsewhere = [("back", "//evil.example/"), ("act", "arm")];
    assert_eq!(submit(&gateway, &gateway.key, path, &elsewhere).await.goes_to(), "/console/live");
    assert!(
        submit(&gateway, &gateway.key, path, &[back, two[0]]).await.says().contains("Nothing was chosen")
    );
    assert_eq!(revision(&gateway).await, before);
}

#[tokio::test]
async fn channels_have_default_inboxes_exceptions_and_new_addresses() {
    let gateway = Gateway::new();
    let set = submit(
        &gateway,
        &gateway.key,
        "/console/entry-points/default-inbox",
        &[("channel", "sms"), ("inbox", "ib_support")],
    )
    .await;
    assert_eq!(set.goes_to(), "/console/entry-points?channel=sms", "{}", set.says());
    assert_eq!(entry_point(&gateway, "sms/+14155550102").await["inbox"], "ib_support");
    let bad = [("channel", "sms"), ("inbox", "ib_nowhere")];
    let bad = submit(&gateway, &gateway.key, "/console/entry-points/default-inbox", &bad).await;
    assert!(bad.says().contains("ib_nowhere"), "{}", bad.says());
    let path = "/console/entry-points/exceptions";
    let wrong = [("channel", "sms"), ("inbox", "ib_sales"), ("addresses", "+14155550101\n12")];
    let wrong = submit(&gateway, &gateway.key, path, &wrong).await;
    assert_eq!(wrong.status, 422);
    assert!(
        wrong.shows("+14155550101\n12</textarea>") && wrong.shows("This is no entry point"),
        "{}",
        wrong.text
    );
    let right = [("channel", "sms"), ("inbox", "ib_sales"), ("addresses", " +14155550101 \n\n+14155550102")];
    assert!(submit(&gateway, &gateway.key, path, &right).await.says().contains("The exception is made"));
    assert_eq!(entry_point(&gateway, "sms/+14155550101").await["inbox"], "ib_sales");
    let path = "/console/entry-points/new";
    let wrong = [("channel", "email"), ("addresses", HOSTILE), ("inbox", ""), ("sla_minutes", "")];
    let wrong = submit(&gateway, &gateway.key, path, &wrong).await;
    assert_eq!(wrong.status, 422, "{}", wrong.text);
    let right = [
        ("channel", "email"),
        ("addresses", "Sales@example.com"),
        ("inbox", "ib_sales"),
        ("sla_minutes", "30"),
    ];
    let right = submit(&gateway, &gateway.key, path, &right).await;
    assert_eq!(right.goes_to(), "/console/entry-points/email/Sales%40example.com", "{}", right.text);
    assert_eq!(entry_point(&gateway, "email/sales@example.com").await["sla_minutes"], 30);
    let again = [("channel", "email"), ("addresses", "sales@example.com")];
    assert!(submit(&gateway, &gateway.key, path, &again).await.shows("is an entry point already"));
    let voice = [("channel", "voice"), ("addresses", "+14155550133")];
    assert_eq!(submit(&gateway, &gateway.key, path, &voice).await.status, 422);
    let page = open(&gateway, &gateway.key, "/console/entry-points/email/sales%40example.com").await;
    assert!(page.shows("mail to it is refused with 550"), "{}", page.text);
}

#[tokio::test]
async fn lines_are_imported_by_text_and_by_file() {
    let gateway = Gateway::new();
    let path = "/console/entry-points/import";
    let text = "entry_point,inbox,sla_minutes,armed\nvoice/+14155550101,ib_sales,7,true\nvoice/12,,,\n";
    let fields = [("text", text), ("note", HOSTILE), ("form", "")];
    let faulty = submit(&gateway, &gateway.key, path, &fields).await;
    assert_eq!(faulty.status, 422);
    assert!(
        faulty.shows("1 of 2 lines cannot be taken in") && faulty.shows("<td class=\"n\">2</td>"),
        "{}",
        faulty.text
    );
    assert!(faulty.shows("voice/12,,,"), "what was typed stays");
    let fields = [("text", text), ("skip_faulty", "on"), ("form", "text/csv"), ("note", "the sound ones")];
    let taken = submit(&gateway, &gateway.key, path, &fields).await;
    assert_eq!(taken.status, 200, "{}", taken.text);
    assert!(taken.shows("2 lines read") && taken.shows("1 lines were left out"), "{}", taken.text);
    assert_eq!(entry_point(&gateway, "voice/+14155550101").await["sla_minutes"], 7);
    let lines = br#"{"entry_point": "email/new@example.com", "inbox": "ib_sales"}"#;
    let taken =
        upload(&gateway, &gateway.key, path, &[("text", ""), ("form", "")], ("a.ndjson", lines)).await;
    assert!(taken.shows("1 lines read") && taken.shows("revision 3"), "{}", taken.text);
    assert_eq!(entry_point(&gateway, "email/new@example.com").await["inbox"], "ib_sales");
    let again = upload(&gateway, &gateway.key, path, &[], ("a.ndjson", lines)).await;
    assert!(again.shows("Nothing changed"), "{}", again.text);
    let empty = upload(&gateway, &gateway.key, path, &[("text", " ")], ("", b"")).await;
    assert!(empty.status == 422 && empty.shows("neither a file nor a text"), "{}", empty.text);
    let large = vec![b'x'; 2 << 20];
    assert_eq!(upload(&gateway, &gateway.key, path, &[], ("a.csv", &large)).await.status, 413);
}

#[tokio::test]
async fn who_may_not_change_them_is_shown_no_button_and_refused() {
    let gateway = Gateway::new();
    let analyst = key(&gateway, "analyst").await;
    let buttons = [
        "Add an exception",
        "Choose another",
        "Do it",
        "/arm\"",
        "/delete\"",
        "Disarm now",
        "Import</a>",
        ">Save<",
    ];
    for page in [
        "/console/entry-points?channel=email",
        "/console/entry-points/voice/%2B14155550100",
        "/console/entry-points/import",
    ] {
        let shown = open(&gateway, &analyst, page).await;
        assert_eq!(shown.status, 200, "{page}");
        for button in buttons {
            assert!(!shown.shows(button), "{page} shows {button} to an analyst");
        }
    }
    let platform = key(&gateway, "agent_platform").await;
    assert_eq!(open(&gateway, &platform, "/console/entry-points").await.status, 403);
    let before = revision(&gateway).await;
    for (path, fields) in [
        ("/console/entry-points/voice/%2B14155550100", vec![("inbox", "ib_sales")]),
        ("/console/entry-points/voice/%2B14155550100/arm", vec![("armed", "no")]),
        ("/console/entry-points/voice/%2B14155550100/delete", vec![]),
        ("/console/entry-points/many", vec![("act", "disarm"), ("entry_points", "voice/+14155550100")]),
        (
            "/console/entry-points/exceptions",
            vec![("channel", "voice"), ("inbox", "ib_sales"), ("addresses", "+14155550101")],
        ),
        ("/console/entry-points/new", vec![("channel", "email"), ("addresses", "x@example.com")]),
        ("/console/entry-points/default-inbox", vec![("channel", "sms"), ("inbox", "ib_sales")]),
        ("/console/entry-points/import", vec![("text", "entry_point\nemail/x@example.com")]),
    ] {
        let refused = submit(&gateway, &analyst, path, &fields).await;
        let said = refused.status == 403 && refused.shows("routing.")
            || refused.says().contains("takes the permission");
        assert!(said, "{path}: {} {}", refused.status, refused.says());
    }
    assert_eq!(revision(&gateway).await, before);
}
