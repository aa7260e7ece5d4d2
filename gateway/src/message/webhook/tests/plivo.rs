//! Signatures are made by the provider's own library (PyPI `plivo` 4.63, `get_signature_v3` over `construct_post_url` and
//! `construct_get_url`).

use super::*;

const TOKEN: &str = "token";
const BODY: &str = "From=14155550177&To=14155550100&Text=Gr%C3%BC%C3%9Fe+%26+more&Type=mms&MessageUUID=pl-1&Media0=https%3A%2F%2Fmedia.example.com%2Fm.jpg&TotalMedia=1";

fn post(signature: &str) -> Post {
    Post::new("https://gw.example.com/webhooks/pl", BODY)
        .header("x-plivo-signature-v3", signature)
        .header("x-plivo-signature-v3-nonce", "5")
}

fn signed() -> Post {
    post("ib55BaL5sxPLeTp5h2sa6lNDV9edpyJqLqphDLnTAs4=")
}

#[test]
fn only_what_the_provider_signed_passes() {
    passes_only_as_it_came(signed, Kind::Plivo, (TOKEN, "other"), "x-plivo-signature-v3");
    let (told, content) = message(signed().tells(Kind::Plivo, &[TOKEN]));
    assert_eq!(
        (told.id.as_str(), told.customer.as_str(), told.address.as_str()),
        ("pl-1", "+14155550177", "+14155550100")
    );
    assert_eq!(
        (content.text.as_str(), content.media[0].link.as_str()),
        ("Grüße & more", "https://media.example.com/m.jpg")
    );
}

#[test]
fn the_address_the_query_and_the_nonce_are_signed_too() {
    let mut asked = post("AAAA,nfrTf/zNlC0wytKUN69VZmoFidF8zHa9gb7e+Fys1cc=");
    asked.query = "b=2&a=1".into();
    assert!(asked.receive(Kind::Plivo, &[TOKEN]).is_ok(), "one of several signatures");
    asked.query = "b=2&a=2".into();
    assert_eq!(asked.receive(Kind::Plivo, &[TOKEN]), Err(Refused::WrongSignature));
    let mut elsewhere = signed();
    elsewhere.url = "https://gw.example.com/webhooks/other";
    assert_eq!(elsewhere.receive(Kind::Plivo, &[TOKEN]), Err(Refused::WrongSignature));
    let mut again = signed();
    again.headers.insert("x-plivo-signature-v3-nonce", HeaderValue::from_static("6"));
    assert_eq!(again.receive(Kind::Plivo, &[TOKEN]), Err(Refused::WrongSignature));
    let mut of_main = signed();
    let signature = of_main.headers.remove("x-plivo-signature-v3").unwrap();
    of_main.headers.insert("x-plivo-signature-ma-v3", signature);
    assert!(of_main.receive(Kind::Plivo, &[TOKEN]).is_ok(), "the main account's");
}

#[test]
fn a_get_and_a_report_are_read() {
    let got = Post::new("https://gw.example.com/webhooks/pl", "")
        .header("x-plivo-signature-v3", "xrduHF6OcPCmoXeQCniww8jr04oKwRoKcU4NKl/XuuI=")
        .header("x-plivo-signature-v3-nonce", "5");
    let query = "From=14155550177&To=14155550100&Text=Hi+there&Type=mms&MessageUUID=pl-1&Media0=https%3A%2F%2Fmedia.example.com%2Fm.jpg&TotalMedia=1";
    let got = Post { method: Method::GET, query: query.into(), ..got };
    assert_eq!(message(got.tells(Kind::Plivo, &[TOKEN])).1.text, "Hi there");
    let body = "MessageUUID=pl-2&From=14155550100&To=14155550177&Status=undelivered&ErrorCode=30";
    let told = only(read_into(Kind::Plivo, body, None));
    assert_eq!((told.id.as_str(), told.customer.as_str()), ("pl-2/undelivered", "+14155550177"));
    assert!(matches!(told.what, What::Delivery { error: Some(code), .. } if code == "30"));
}
