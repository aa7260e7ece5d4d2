//! A word of our own proves the sender; bodies are as the provider's reference of updates has them.

use super::*;
use crate::message::Change;

const WORD: &str = "a-word_of-ours";

fn post(body: &str) -> Post {
    let post =
        Post::new("https://gw.example.com/webhooks/tg", body).header("x-telegram-bot-api-secret-token", WORD);
    Post { account: Some("shop_bot"), ..post }
}

fn told(inner: &str) -> Incoming {
    only(post(&format!("{{\"update_id\":7,{inner}}}")).tells(Kind::Telegram, &[WORD]))
}

const FROM: &str = r#""message_id":5,"date":1700000000,"chat":{"id":-42,"type":"private"},"from":{"id":1,"first_name":"Ann","last_name":"B"}"#;

#[test]
fn only_who_knows_the_word_passes() {
    let hello = || post(&format!("{{\"update_id\":7,\"message\":{{{FROM},\"text\":\"hi\"}}}}"));
    assert!(hello().receive(Kind::Telegram, &["new", WORD]).is_ok());
    assert_eq!(hello().receive(Kind::Telegram, &["other"]), Err(Refused::WrongSignature));
    assert_eq!(Post::new("", "{}").receive(Kind::Telegram, &[WORD]), Err(Refused::Unsigned));
    let twice = hello().header("x-telegram-bot-api-secret-token", WORD);
    assert_eq!(twice.receive(Kind::Telegram, &[WORD]), Err(Refused::Repeated));
}

#[test]
fn messages_are_read_in_all_their_forms() {
    let (incoming, content) = message(vec![told(&format!(
        r#""message":{{{FROM},"text":"hi","reply_to_message":{{"message_id":4}}}}"#
    ))]);
    assert_eq!(
        (incoming.id.as_str(), incoming.customer.as_str(), incoming.address.as_str()),
        ("7", "-42", "shop_bot")
    );
    assert_eq!((content.message_id.as_str(), content.reply_to.as_deref()), ("-42/5", Some("-42/4")));
    assert_eq!((content.text.as_str(), content.name.as_deref()), ("hi", Some("Ann B")));
    let photo = format!(
        r#""message":{{{FROM},"caption":"c","photo":[{{"file_id":"small"}},{{"file_id":"large"}}]}}"#
    );
    assert!(
        matches!(told(&photo).what, What::Message(content) if content.media[0].link == "large" && content.text == "c")
    );
    let file = format!(
        r#""message":{{{FROM},"document":{{"file_id":"d","file_name":"a.pdf","mime_type":"application/pdf"}}}}"#
    );
    assert!(
        matches!(told(&file).what, What::Message(content) if content.media[0].file_name.as_deref() == Some("a.pdf"))
    );
    let place = format!(r#""message":{{{FROM},"location":{{"latitude":1.5,"longitude":2}}}}"#);
    assert!(matches!(told(&place).what, What::Message(content) if content.text == "geo:1.5,2"));
    let joined = format!(r#""message":{{{FROM},"new_chat_members":[]}}"#);
    assert!(matches!(told(&joined).what, What::Other { kind, .. } if kind == "telegram.message"));
}

#[test]
fn edits_reactions_buttons_and_wishes_are_read() {
    let edited = told(&format!(r#""edited_message":{{{FROM},"text":"ho"}}"#));
    assert_eq!(
        edited.what,
        What::Changed { message: "-42/5".into(), change: Change::Edited { text: "ho".into() } }
    );
    let pressed = r#""callback_query":{"id":"q","from":{"id":1,"first_name":"Ann"},"message":{"message_id":5,"chat":{"id":-42}},"data":"x"}"#;
    assert!(matches!(told(pressed).what, What::Message(content) if content.payload.as_deref() == Some("x")));
    let reaction = |new: &str| told(&format!(r#""message_reaction":{{{FROM},"new_reaction":{new}}}"#)).what;
    let is = |emoji: Option<&str>| What::Changed {
        message: "-42/5".into(),
        change: Change::Reaction { emoji: emoji.map(str::to_owned) },
    };
    assert_eq!(reaction(r#"[{"type":"emoji","emoji":"👍"}]"#), is(Some("👍")));
    assert_eq!(reaction("[]"), is(None));
    let member = |status: &str| {
        told(&format!(r#""my_chat_member":{{{FROM},"new_chat_member":{{"status":"{status}"}}}}"#)).what
    };
    assert_eq!(member("kicked"), What::OptOut { out: true });
    assert_eq!(member("member"), What::OptOut { out: false });
    assert!(matches!(told(r#""poll":{"id":"1"}"#).what, What::Other { kind, .. } if kind == "telegram.poll"));
}
