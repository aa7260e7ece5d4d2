//! The signature is taken by the provider's own library (PyPI `sinch` 2.3, `validate_sinch_event_signature_with_nonce`).

use super::*;

const SECRET: &str = "sinch secret";
const BODY: &str = r#"{"app_id":"01APP","accepted_time":"2026-01-23T18:10:02.574Z","message":{"id":"si-1","contact_id":"c","contact_message":{"text_message":{"text":"Hello"}},"channel_identity":{"channel":"WHATSAPP","identity":"14155550177"}}}"#;
const SECOND: i64 = 1_700_000_000;

fn signed() -> Post {
    Post::new("https://gw.example.com/webhooks/si", BODY)
        .header("x-sinch-webhook-signature", "lUc3pgaM3y7waLIIEhrKPp2MHITyL08OvzBTZtgOqdw=")
        .header("x-sinch-webhook-signature-nonce", "nonce-1")
        .header("x-sinch-webhook-signature-timestamp", "1700000000")
        .header("x-sinch-webhook-signature-algorithm", "HmacSHA256")
        .at(SECOND)
}

#[test]
fn only_what_the_provider_signed_lately_passes() {
    passes_only_as_it_came(signed, Kind::Sinch, (SECRET, "other"), "x-sinch-webhook-signature");
    assert_eq!(signed().at(SECOND + 301).receive(Kind::Sinch, &[SECRET]), Err(Refused::Stale));
    let (told, content) = message(signed().tells(Kind::Sinch, &[SECRET]));
    assert_eq!(
        (told.id.as_str(), told.channel, told.customer.as_str()),
        ("si-1", Channel::Whatsapp, "+14155550177")
    );
    assert_eq!((told.address.as_str(), content.text.as_str()), ("01APP", "Hello"));
    let named = Post { account: Some("14155550100"), ..signed() };
    assert_eq!(only(named.tells(Kind::Sinch, &[SECRET])).address, "+14155550100");
}

fn read(body: &str) -> Incoming {
    only(read_into(Kind::Sinch, body, Some("14155550100")))
}

#[test]
fn messages_reports_and_wishes_are_read_and_the_rest_is_kept() {
    let said = |inner: &str| {
        read(&format!(
            r#"{{"message":{{"id":"m","contact_message":{inner},"channel_identity":{{"channel":"RCS","identity":"14155550177"}}}}}}"#
        ))
    };
    let media = said(r#"{"media_message":{"url":"https://media.example.com/a"}}"#);
    assert!(
        matches!(media.what, What::Message(content) if content.media[0].link == "https://media.example.com/a")
    );
    let choice = said(r#"{"choice_response_message":{"message_id":"ours","postback_data":"yes"}}"#);
    let What::Message(content) = choice.what else { panic!() };
    assert_eq!((content.payload.as_deref(), content.reply_to.as_deref()), (Some("yes"), Some("ours")));
    assert!(matches!(said(r#"{"fallback_message":{}}"#).what, What::Other { .. }));
    let report = read(
        r#"{"message_delivery_report":{"message_id":"m","status":"FAILED","reason":{"code":"RECIPIENT_NOT_REACHABLE"},
        "channel_identity":{"channel":"SMS","identity":"14155550177"}}}"#,
    );
    let What::Delivery { status, error, .. } = report.what else { panic!() };
    assert_eq!((status.as_str(), error.as_deref()), ("FAILED", Some("RECIPIENT_NOT_REACHABLE")));
    let wish = read(
        r#"{"opt_out_notification":{"request_id":"r","channel":"SMS","identity":"14155550177","status":"OPT_OUT_SUCCEEDED"}}"#,
    );
    assert_eq!((wish.what, wish.customer.as_str()), (What::OptOut { out: true }, "+14155550177"));
    let kept = read(r#"{"contact_create_notification":{}}"#);
    assert!(matches!(kept.what, What::Other { kind, .. } if kind == "sinch.contact_create_notification"));
}
