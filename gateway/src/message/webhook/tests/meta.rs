//! The signature is taken by PyPI `pywa` (`webhook_updates_validator`).

use super::*;
use crate::message::Change;

const SECRET: &str = "app secret";
const BODY: &str = r#"{"object":"whatsapp_business_account","entry":[{"id":"1","changes":[{"field":"messages","value":{"messaging_product":"whatsapp","metadata":{"display_phone_number":"14155550100","phone_number_id":"9"},"contacts":[{"profile":{"name":"J\u00f6rg"},"wa_id":"14155550177"}],"messages":[{"from":"14155550177","id":"wamid.1","timestamp":"1700000000","type":"text","text":{"body":"Gr\u00fc\u00dfe"}}]}}]}]}"#;

fn signed() -> Post {
    Post::new("https://gw.example.com/webhooks/me", BODY).header(
        "x-hub-signature-256",
        "sha256=6cbf7a3381ad4bfb498d496f9aeac716be5b5995f6c7e6905ff517fc13c887b7",
    )
}

fn told(body: &str) -> Vec<Incoming> {
    let signature = format!("sha256={}", hex(&signed_with(SECRET, body)));
    Post::new("", body).header("x-hub-signature-256", &signature).tells(Kind::Meta, &[SECRET])
}

/// Messages of WhatsApp.
fn whatsapp(inner: &str) -> Vec<Incoming> {
    told(&format!(
        r#"{{"object":"whatsapp_business_account","entry":[{{"changes":[{{"field":"messages","value":{{
            "metadata":{{"display_phone_number":"14155550100"}},{inner}}}}}]}}]}}"#
    ))
}

fn wrote(more: &str) -> Incoming {
    only(whatsapp(&format!(
        r#""messages":[{{"from":"14155550177","id":"w1","timestamp":"1700000000",{more}}}]"#
    )))
}

fn content(more: &str) -> crate::message::Content {
    message(vec![wrote(more)]).1
}

#[test]
fn only_what_the_app_signed_passes() {
    passes_only_as_it_came(signed, Kind::Meta, (SECRET, "other"), "x-hub-signature-256");
    let (told, content) = message(signed().tells(Kind::Meta, &[SECRET]));
    assert_eq!((told.id.as_str(), told.channel), ("wamid.1", Channel::Whatsapp));
    assert_eq!((told.customer.as_str(), told.address.as_str()), ("+14155550177", "+14155550100"));
    assert_eq!((content.text.as_str(), content.name.as_deref()), ("Grüße", Some("Jörg")));
}

#[test]
fn a_subscription_needs_our_word_and_gives_a_plain_one_back() {
    let asks = |query: &str, verify_token| Post {
        method: Method::GET,
        query: query.to_owned(),
        verify_token,
        ..Post::new("", "")
    };
    let answer = |query: &str, token| asks(query, token).receive(Kind::Meta, &[SECRET]);
    let good = "hub.mode=subscribe&hub.challenge=1158201444&hub.verify_token=our+word";
    assert_eq!(
        answer(good, Some("our word")),
        Ok(Received::Asks(Answer::with("text/plain; charset=utf-8", "1158201444")))
    );
    assert_eq!(answer(good, Some("another")), Err(Refused::WrongSignature));
    assert_eq!(answer(good, None), Err(Refused::WrongSignature), "without a word of ours nobody subscribes");
    let hostile = good.replace("1158201444", "%3Cscript%3E");
    assert_eq!(answer(&hostile, Some("our word")), Err(Refused::WrongSignature));
    assert_eq!(answer("", Some("our word")), Err(Refused::Unsigned));
    let other = good.replace("subscribe", "unsubscribe");
    assert_eq!(answer(&other, Some("our word")), Err(Refused::WrongSignature));
}

#[test]
fn messages_of_every_type_say_something() {
    let image = content(r#""type":"image","image":{"id":"77","mime_type":"image/jpeg","caption":"c"}"#);
    assert_eq!((image.text.as_str(), image.media[0].link.as_str()), ("c", "77"));
    let file =
        content(r#""type":"document","document":{"id":"7","url":"https://x.example/a","filename":"a.pdf"}"#);
    // The link lapses after minutes; by the id another is had.
    assert_eq!((file.media[0].link.as_str(), file.media[0].file_name.as_deref()), ("7", Some("a.pdf")));
    assert_eq!(
        content(r#""type":"location","location":{"latitude":12.25,"longitude":43.9,"name":"Here"}"#).text,
        "geo:12.25,43.9 Here"
    );
    let cards = r#""type":"contacts","contacts":[{"name":{"formatted_name":"C B"},"phones":[{"phone":"+1 555"}]},{"name":{"formatted_name":"M"}}]"#;
    assert_eq!(content(cards).text, "C B +1 555\nM");
    let button = content(
        r#""type":"interactive","interactive":{"type":"button_reply","button_reply":{"id":"a","title":"A"}},"context":{"id":"ours"}"#,
    );
    assert_eq!(
        (button.payload.as_deref(), button.text.as_str(), button.reply_to.as_deref()),
        (Some("a"), "A", Some("ours"))
    );
    let form = content(
        r#""type":"interactive","interactive":{"type":"nfm_reply","nfm_reply":{"response_json":"{}","body":"Sent"}}"#,
    );
    assert_eq!((form.payload.as_deref(), form.text.as_str()), (Some("{}"), "Sent"));
    assert_eq!(
        content(r#""type":"button","button":{"payload":"p","text":"t"}"#).payload.as_deref(),
        Some("p")
    );
    assert!(
        content(r#""type":"order","order":{"product_items":[{"quantity":3}]}"#)
            .payload
            .unwrap()
            .contains("quantity")
    );
    for kept in [
        r#""type":"unsupported""#,
        r#""type":"interactive","interactive":{"type":"call_permission_reply"}"#,
        r#""type":"system","system":{"body":"x"}"#,
        r#""type":"reaction","reaction":{}"#,
    ] {
        assert!(matches!(wrote(kept).what, What::Other { .. }), "{kept}");
    }
}

#[test]
fn edits_deletions_and_reactions_change_what_was_said() {
    let changed = |more: &str| match wrote(more).what {
        What::Changed { message, change } => (message, change),
        other => panic!("{other:?}"),
    };
    let edit = r#""type":"edit","edit":{"original_message_id":"w0","message":{"type":"image","image":{"caption":"new","id":"1"}}}"#;
    assert_eq!(changed(edit), ("w0".into(), Change::Edited { text: "new".into() }));
    assert_eq!(
        changed(r#""type":"revoke","revoke":{"original_message_id":"w0"}"#),
        ("w0".into(), Change::Deleted)
    );
    let reaction =
        |emoji: &str| changed(&format!(r#""type":"reaction","reaction":{{"message_id":"w0"{emoji}}}"#)).1;
    assert_eq!(reaction(r#","emoji":"😮""#), Change::Reaction { emoji: Some("😮".into()) });
    assert_eq!(reaction(r#","emoji":"""#), Change::Reaction { emoji: None });
    assert_eq!(reaction(""), Change::Reaction { emoji: None });
}

#[test]
fn one_request_tells_of_many_and_of_people_without_a_number() {
    let many = r#""contacts":[{"profile":{"name":"Ann"},"user_id":"CC.1"}],"messages":[
        {"from_user_id":"CC.1","id":"w1","type":"text","text":{"body":"a"}},{"id":"w2","type":"text","text":{"body":"b"}}],
        "statuses":[{"id":"o1","status":"failed","recipient_id":"14155550178","errors":[{"code":130472}]}]"#;
    let all = whatsapp(many);
    let ids: Vec<_> = all.iter().map(|told| (told.id.as_str(), told.customer.as_str())).collect();
    assert_eq!(ids, [("w1", "CC.1"), ("w2", "CC.1"), ("o1/failed", "+14155550178")]);
    assert!(matches!(&all[2].what, What::Delivery { error: Some(code), .. } if code == "130472"));
    let other = r#"{"object":"whatsapp_business_account","entry":[{"changes":[{"field":"account_update","value":{}}]},{"id":"1"}]}"#;
    assert_eq!(told(other).len(), 2);
}

fn page(event: &str) -> Vec<Incoming> {
    told(&format!(
        r#"{{"object":"instagram","entry":[{{"id":"9","messaging":[{{"sender":{{"id":"u"}},"recipient":{{"id":9}},"timestamp":1700000000000,{event}}}]}}]}}"#
    ))
}

#[test]
fn pages_and_accounts_are_read_event_by_event() {
    let (told_of, said) = message(page(
        r#""message":{"mid":"m1","text":"hi","reply_to":{"mid":"m0"},"quick_reply":{"payload":"q"},
        "attachments":[{"type":"image","payload":{"url":"https://x.example/i"}},{"type":"fallback","payload":{}}]}"#,
    ));
    assert_eq!(
        (told_of.channel, told_of.customer.as_str(), told_of.address.as_str()),
        (Channel::Instagram, "u", "9")
    );
    assert_eq!(
        (said.text.as_str(), said.reply_to.as_deref(), said.payload.as_deref()),
        ("hi", Some("m0"), Some("q"))
    );
    assert_eq!(said.media.len(), 1);
    let is = |event: &str| only(page(event)).what;
    assert!(
        matches!(is(r#""message":{"mid":"m","is_echo":true,"text":"ours"}"#), What::Other { kind, .. } if kind == "instagram.echo")
    );
    assert_eq!(
        is(r#""message":{"mid":"m","is_deleted":true}"#),
        What::Changed { message: "m".into(), change: Change::Deleted }
    );
    let edited = What::Changed { message: "m".into(), change: Change::Edited { text: "x".into() } };
    assert_eq!(is(r#""message_edit":{"mid":"m","text":"x","num_edit":1}"#), edited);
    assert!(
        matches!(is(r#""postback":{"mid":"m","title":"T","payload":"P"}"#), What::Message(said) if said.payload.as_deref() == Some("P"))
    );
    let reacted = |action: &str| is(&format!(r#""reaction":{{"mid":"m","action":"{action}","emoji":"❤"}}"#));
    assert!(matches!(reacted("react"), What::Changed { change: Change::Reaction { emoji: Some(_) }, .. }));
    assert!(matches!(reacted("unreact"), What::Changed { change: Change::Reaction { emoji: None }, .. }));
    assert_eq!(page(r#""delivery":{"mids":["a","b"],"watermark":1}"#).len(), 2);
    assert!(matches!(is(r#""read":{"mid":"a"}"#), What::Delivery { status, .. } if status == "read"));
    assert!(matches!(is(r#""read":{"watermark":1}"#), What::Other { kind, .. } if kind == "instagram.read"));
    let looks_on = told(r#"{"object":"page","entry":[{"id":"1","standby":[{}]}]}"#);
    assert!(matches!(&only(looks_on).what, What::Other { kind, .. } if kind == "page.standby"));
    for body in ["[]", "{}", r#"{"object":"page"}"#, r#"{"object":"user","entry":[{}]}"#] {
        assert!(matches!(only(told(body)).what, What::Other { kind, .. } if kind == "unparsed"), "{body}");
    }
}
