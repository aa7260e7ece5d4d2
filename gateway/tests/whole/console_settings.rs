//! What messages and calls need, set up by forms alone: mail domains and mailboxes, chat windows, providers, blocked callers,
//! and the test of a trunk.

use serde_json::json;
use vestibule_config::mail::{Confirmation, MailboxEvent};

use crate::support::{
    gateway::Gateway,
    pages::{HOSTILE, key, open, submit},
};

const DOMAINS: &str = "/console/settings/mail-domains";
const MAILBOXES: &str = "/console/settings/mailboxes";
const BLOCKED: &str = "/console/settings/blocked-callers";

#[tokio::test]
async fn a_mail_domain_shows_the_records_for_its_zone_and_what_was_found() {
    let gateway = Gateway::new();
    for bad in ["", HOSTILE, "no domain"] {
        let refused = submit(&gateway, &gateway.key, DOMAINS, &[("domain", bad)]).await;
        assert_eq!(refused.status, 422, "{bad}");
        assert!(!bad.starts_with('<') || refused.shows("value=\"&#60;img"), "{}", refused.text);
    }
    let made = submit(&gateway, &gateway.key, DOMAINS, &[("domain", "Mail.Example.net")]).await;
    assert_eq!(made.goes_to(), format!("{DOMAINS}/mail.example.net"), "{}", made.text);
    let page = open(&gateway, &gateway.key, made.goes_to()).await;
    let (_, known) = gateway.get("/api/v1/mail-domains/mail.example.net").await;
    for record in known["mail_domain"]["records"].as_array().unwrap() {
        let copied = format!("data-copy=\"{}\"", record["value"].as_str().unwrap());
        assert!(page.shows(&copied), "{copied} is missing in {}", page.text);
    }
    assert!(page.shows("waits for its record") && page.shows("Look for the record now"));
    let twice = submit(&gateway, &gateway.key, DOMAINS, &[("domain", "mail.example.net")]).await;
    assert_eq!(twice.status, 422);
    let with_box = [("address", "help@mail.example.net")];
    assert_eq!(submit(&gateway, &gateway.key, MAILBOXES, &with_box).await.status, 303);
    let kept = submit(&gateway, &gateway.key, &format!("{DOMAINS}/mail.example.net/delete"), &[]).await;
    assert_eq!(kept.goes_to(), format!("{DOMAINS}/mail.example.net"), "it has a mailbox: {}", kept.says());
    submit(&gateway, &gateway.key, &format!("{MAILBOXES}/help%40mail.example.net/delete"), &[]).await;
    let gone = submit(&gateway, &gateway.key, &format!("{DOMAINS}/mail.example.net/delete"), &[]).await;
    assert_eq!(gone.goes_to(), DOMAINS, "{}", gone.says());
    assert_eq!(open(&gateway, &gateway.key, &format!("{DOMAINS}/mail.example.net")).await.status, 404);
}

#[tokio::test]
async fn a_mailbox_says_what_it_needs_shows_forwarders_questions_and_is_tested() {
    let gateway = Gateway::new();
    submit(&gateway, &gateway.key, DOMAINS, &[("domain", "mail.example.net")]).await;
    let stray = submit(&gateway, &gateway.key, MAILBOXES, &[("address", "a@elsewhere.example")]).await;
    assert_eq!(stray.status, 422, "its domain is not there");
    let made = submit(&gateway, &gateway.key, MAILBOXES, &[("address", "help@mail.example.net")]).await;
    let page = format!("{MAILBOXES}/help%40mail.example.net");
    assert_eq!(made.goes_to(), page, "{}", made.text);
    let shown = open(&gateway, &gateway.key, &page).await;
    assert!(shown.shows("It is no <a href=\"/console/entry-points?channel=email\">"), "{}", shown.text);
    let asked = Confirmation {
        at: jiff::Timestamp::now(),
        from: HOSTILE.into(),
        subject: Some(HOSTILE.into()),
        link_or_code: "https://forwarder.example/confirm?a=1&b=\"<script>".into(),
        mail: None,
    };
    let event = MailboxEvent::ForwarderAsks(asked);
    gateway.state.mailboxes.change("help@mail.example.net", event, "smtp").await.unwrap();
    let shown = open(&gateway, &gateway.key, &page).await;
    assert!(
        shown.shows("a forwarder asks")
            && shown.shows("Link: <code>https://forwarder.example/confirm?a=1&#38;b="),
        "{}",
        shown.text
    );
    assert!(!shown.shows("href=\"https://forwarder"), "nothing here opens it");
    let test = submit(&gateway, &gateway.key, &format!("{page}/test"), &[]).await;
    assert!(test.status == 200 && test.shows("It is shown once"), "{}", test.text);
    let again = open(&gateway, &gateway.key, &page).await;
    assert!(again.shows("A test mail is waited for") && !again.shows("It is shown once"), "{}", again.text);
    let without =
        submit(&gateway, &gateway.key, &format!("{page}/state"), &[("event", "verify"), ("note", "")]).await;
    assert!(without.says().contains("`note` says why"), "{}", without.says());
    let by_hand = [("event", "verify"), ("note", HOSTILE)];
    submit(&gateway, &gateway.key, &format!("{page}/state"), &by_hand).await;
    gateway.publish(&json!({"entry_points": {"email/help@mail.example.net": {"inbox": "ib_sales"}}})).await;
    let shown = open(&gateway, &gateway.key, &page).await;
    assert!(shown.shows("By hand: &#60;img") && shown.shows("leads to Sales"), "{}", shown.text);
    assert!(shown.shows("verified, but not live"), "its domain is not verified: {}", shown.text);
    let back = submit(&gateway, &gateway.key, &format!("{page}/state"), &[("event", "withdraw")]).await;
    assert!(back.says().contains("put off"), "{}", back.says());
    let list = open(&gateway, &gateway.key, MAILBOXES).await;
    assert!(list.shows("help@mail.example.net") && list.shows("1 from forwarders"), "{}", list.text);
}

#[tokio::test]
async fn a_chat_window_has_its_snippet_and_a_provider_its_address_and_secrets() {
    let gateway = Gateway::new();
    let chat = open(&gateway, &gateway.key, "/console/settings/chat_apps/sample").await;
    assert!(chat.shows("/chat/sample/widget.js") && chat.shows("Chats wait in General"), "{}", chat.text);
    assert!(chat.shows("/console/entry-points/chat/sample"), "{}", chat.text);
    submit(&gateway, &gateway.key, "/console/entry-points/chat/sample/arm", &[("armed", "no")]).await;
    let chat = open(&gateway, &gateway.key, "/console/settings/chat_apps/sample").await;
    assert!(chat.shows("The window is hidden"), "{}", chat.text);
    let provider = open(&gateway, &gateway.key, "/console/settings/providers/sample").await;
    assert!(provider.shows("data-copy=\"http://127.0.0.1:8080/webhooks/sample\""), "{}", provider.text);
    assert!(provider.shows("<dt>Signs its requests</dt><dd><code>file:"), "{}", provider.text);
    assert!(
        provider.shows("<dt>Sends by its API</dt><dd><span class=\"quiet\">not set</span>"),
        "{}",
        provider.text
    );
}

#[tokio::test]
async fn a_caller_is_blocked_and_let_in_again_at_once() {
    let gateway = Gateway::new();
    assert!(open(&gateway, &gateway.key, BLOCKED).await.shows("Nobody is blocked"));
    for bad in ["", "12", HOSTILE] {
        let refused = submit(&gateway, &gateway.key, BLOCKED, &[("number", bad), ("note", HOSTILE)]).await;
        assert_eq!(refused.status, 422, "{bad}: {}", refused.says());
        assert!(refused.shows("name=\"note\" value=\"&#60;img"), "{}", refused.text);
    }
    let number = [("number", "+14155550123"), ("note", "a nuisance")];
    let blocked = submit(&gateway, &gateway.key, BLOCKED, &number).await;
    assert_eq!(blocked.goes_to(), BLOCKED, "{}", blocked.text);
    assert!(open(&gateway, &gateway.key, BLOCKED).await.shows(">+14155550123</a>"));
    let plan = gateway.state.store.active().load().plan.clone();
    assert!(plan.block_list.is_some(), "it holds at once");
    let gone = submit(&gateway, &gateway.key, &format!("{BLOCKED}/let-in"), &number).await;
    assert!(gone.says().contains("let in again"), "{}", gone.says());
    let twice = submit(&gateway, &gateway.key, &format!("{BLOCKED}/let-in"), &number).await;
    assert!(twice.says().contains("not in the list"), "{}", twice.says());
}

#[tokio::test]
async fn a_trunk_is_tested_from_its_page_and_says_what_came_of_it() {
    let gateway = Gateway::new();
    gateway.publish(&json!({"trunks": {"tr_far": {"name": "Far", "allowed": ["192.0.2.0/24"], "outbound": {"target": "sip:192.0.2.1", "ping": false}}}})).await;
    let page = open(&gateway, &gateway.key, "/console/settings/trunks/tr_far").await;
    assert!(page.shows("Test the connection"), "{}", page.text);
    let path = "/console/settings/trunks/tr_far/test";
    let tested = submit(&gateway, &gateway.key, path, &[]).await;
    assert!(tested.says().contains("signalling is not up"), "{}", tested.says());
    let local = open(&gateway, &gateway.key, "/console/settings/trunks/tr_local").await;
    assert!(!local.shows("Test the connection"), "nobody knows where it is: {}", local.text);
    let local = submit(&gateway, &gateway.key, "/console/settings/trunks/tr_local/test", &[]).await;
    assert!(local.says().contains("outbound"), "{}", local.says());
    let analyst = key(&gateway, "analyst").await;
    assert!(!open(&gateway, &analyst, "/console/settings/trunks/tr_far").await.shows("Test the connection"));
    assert_eq!(submit(&gateway, &analyst, path, &[]).await.status, 403);
}

#[tokio::test]
async fn who_may_not_set_mail_up_is_shown_no_button_and_refused() {
    let gateway = Gateway::new();
    submit(&gateway, &gateway.key, DOMAINS, &[("domain", "mail.example.net")]).await;
    submit(&gateway, &gateway.key, MAILBOXES, &[("address", "help@mail.example.net")]).await;
    let (domain, mailbox) =
        (format!("{DOMAINS}/mail.example.net"), format!("{MAILBOXES}/help%40mail.example.net"));
    let analyst = key(&gateway, "analyst").await;
    for path in [DOMAINS, MAILBOXES, &domain, &mailbox, BLOCKED] {
        let page = open(&gateway, &analyst, path).await;
        let shows_form = page.shows(&format!("method=\"post\" action=\"{path}"));
        assert!(page.status == 403 || (page.status == 200 && !shows_form), "{path}: {}", page.text);
    }
    for (path, fields) in [
        (DOMAINS.to_owned(), vec![("domain", "b.example.net")]),
        (format!("{domain}/verify"), vec![]),
        (format!("{domain}/delete"), vec![]),
        (MAILBOXES.to_owned(), vec![("address", "b@mail.example.net")]),
        (format!("{mailbox}/test"), vec![]),
        (format!("{mailbox}/state"), vec![("event", "verify"), ("note", "x")]),
        (format!("{mailbox}/delete"), vec![]),
        (BLOCKED.to_owned(), vec![("number", "+14155550123")]),
        (format!("{BLOCKED}/let-in"), vec![("number", "+14155550123")]),
    ] {
        let refused = submit(&gateway, &analyst, &path, &fields).await;
        assert!(refused.status == 403 && refused.shows("takes the permission"), "{path}: {}", refused.text);
    }
    let (_, known) = gateway.get("/api/v1/mailboxes/help@mail.example.net").await;
    assert_eq!(known["mailbox"]["state"], "unverified");
}
