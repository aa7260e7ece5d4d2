//! The audit log over the API: what writes a line, who reads it, and that a line that was meddled with is found.

use axum::http::StatusCode;
use serde_json::{Value, json};

use crate::support::{
    gateway::Gateway,
    people::{PASSWORD, Person, sign_in},
};

impl Gateway {
    async fn lines(&self, query: &str) -> Vec<Value> {
        let (status, page) = self.get(&format!("/api/v1/audit?limit=500&{query}")).await;
        assert_eq!(status, StatusCode::OK, "{page}");
        page["lines"].as_array().unwrap().clone()
    }

    /// Somebody with the file, who gets around the triggers.
    fn meddle(&self, sql: &str) {
        let connection = rusqlite::Connection::open(self.folder.path().join("config.db")).unwrap();
        connection.execute_batch("DROP TRIGGER audit_stays; DROP TRIGGER audit_keeps;").unwrap();
        connection.execute_batch(sql).unwrap();
    }
}

#[tokio::test]
async fn every_kind_of_change_leaves_a_line_with_who_from_where_before_and_after() {
    let gateway = Gateway::new();
    gateway.publish(&json!({"inboxes": {"ib_general": {"name": "Everything", "sla_minutes": 5}}})).await;
    let edited = &gateway.lines("object=inboxes/ib_general").await[0];
    assert_eq!((&edited["action"], &edited["actor"]), (&json!("draft.edited"), &json!("first")));
    assert!(edited["from"].as_str().unwrap().contains("key ak_"), "{edited}");
    assert_eq!(edited["after"]["sla_minutes"], 5);
    assert_ne!(edited["before"]["name"], "Everything");
    let published = &gateway.lines("action=revision.published").await[0];
    assert_eq!((&published["subject"], &published["after"]["note"]), (&json!("revision/2"), &json!("test")));
    let acts: [(&str, &str, Option<Value>, &str); 5] = [
        (
            "POST",
            "/api/v1/entry-points/arm",
            Some(json!({"entry_points": ["voice/+14155550100"], "armed": false})),
            "revision.published",
        ),
        ("POST", "/api/v1/mail-domains", Some(json!({"domain": "example.net"})), "mail_domain.added"),
        ("POST", "/api/v1/numbers", Some(json!({"number": "+14155550188"})), "number.added"),
        (
            "PUT",
            "/api/v1/roles/watcher",
            Some(json!({"description": "Watches", "permissions": ["contacts.read"]})),
            "role.added",
        ),
        ("POST", "/api/v1/keys", Some(json!({"name": "robot", "roles": ["analyst"]})), "key.added"),
    ];
    for (method, path, body, action) in acts {
        let before = gateway.lines("").await.len();
        let (status, answer) = gateway.ask(method, path, body).await;
        assert!(status.is_success(), "{path}: {answer}");
        let lines = gateway.lines("").await;
        assert!(lines.len() > before, "{path}");
        assert!(
            lines[..lines.len() - before].iter().any(|line| line["action"] == action),
            "{path}: {}",
            lines[0]
        );
    }
    let text = serde_json::to_string(&gateway.lines("").await).unwrap();
    assert!(!text.contains("vk_"), "a key stands in the audit log");
}

#[tokio::test]
async fn sign_ins_failures_and_what_people_do_to_contacts_are_told_and_what_programs_do_is_not() {
    let gateway = Gateway::new();
    let ann = Person::new(&gateway, "ann@example.com", &["administrator"]).await;
    let (status, _) = sign_in(&gateway, "ann@example.com", "not her password").await;
    assert_eq!(status, StatusCode::UNAUTHORIZED);
    let (status, _) = sign_in(&gateway, "hunter2hunter2", PASSWORD).await;
    assert_eq!(status, StatusCode::UNAUTHORIZED);
    let failed = gateway.lines("action=user.sign_in_failed").await;
    assert_eq!((&failed[0]["actor"], &failed[1]["actor"]), (&json!("nobody"), &json!("ann@example.com")));
    assert!(!failed[0].to_string().contains("hunter2"), "what was typed may be a password: {}", failed[0]);
    assert!(
        gateway.lines("action=user.signed_in").await[0]["after"]["session"]
            .as_str()
            .unwrap()
            .starts_with("ss_")
    );
    let told = json!({"agents_available": 3});
    let path = "/api/v1/inboxes/ib_general/availability";
    assert!(gateway.ask("PUT", path, Some(told.clone())).await.0.is_success());
    assert!(gateway.lines("action=availability").await.is_empty());
    let (status, answer) = ann.ask("PUT", path, Some(told)).await;
    assert!(status.is_success(), "{answer}");
    let line = &gateway.lines("action=availability").await[0];
    assert_eq!(
        (&line["subject"], &line["after"]["agents_available"]),
        (&json!("inboxes/ib_general"), &json!(3))
    );
    assert_eq!(line["actor"], "ann@example.com");
    assert!(line["from"].as_str().unwrap().contains("session ss_"), "{line}");
}

#[tokio::test]
async fn the_log_is_paged_filtered_read_by_number_and_only_by_those_who_may() {
    let gateway = Gateway::new();
    for minutes in 1..=4 {
        let inbox = json!({"inboxes": {"ib_general": {"name": "General", "sla_minutes": minutes}}});
        gateway.publish(&inbox).await;
    }
    let (_, first) = gateway.get("/api/v1/audit?action=draft&limit=3").await;
    let (_, second) =
        gateway.get(&format!("/api/v1/audit?action=draft&limit=3&before={}", first["next"])).await;
    assert_eq!((first["lines"].as_array().unwrap().len(), second["lines"].as_array().unwrap().len()), (3, 1));
    assert_eq!(second["next"], Value::Null);
    let seq = &first["lines"][0]["seq"];
    assert_eq!(gateway.get(&format!("/api/v1/audit/{seq}")).await.1, first["lines"][0]);
    assert_eq!(gateway.get("/api/v1/audit/999999").await.0, StatusCode::NOT_FOUND);
    assert_eq!(gateway.get("/api/v1/audit/newest").await.0, StatusCode::BAD_REQUEST);
    assert_eq!(gateway.lines("since=2000-01-01T00:00:00Z&until=2000-01-02T00:00:00Z").await.len(), 0);
    let (_, made) =
        gateway.ask("POST", "/api/v1/keys", Some(json!({"name": "x", "roles": ["analyst"]}))).await;
    let analyst = Gateway { key: made["secret"].as_str().unwrap().to_owned(), ..gateway };
    for path in ["/api/v1/audit", "/api/v1/audit/1", "/api/v1/audit/verify"] {
        assert_eq!(analyst.get(path).await.0, StatusCode::FORBIDDEN, "{path}");
    }
}

#[tokio::test]
async fn one_line_that_is_changed_or_deleted_behind_our_back_is_found_and_named() {
    let gateway = Gateway::new();
    gateway.publish(&json!({"inboxes": {"ib_general": {"name": "General", "sla_minutes": 7}}})).await;
    let (_, sound) = gateway.get("/api/v1/audit/verify").await;
    assert_eq!(
        (&sound["sound"], &sound["signed"], &sound["faults"]),
        (&json!(true), &json!(true), &json!([]))
    );
    let newest = sound["newest"]["seq"].as_u64().unwrap();
    gateway.meddle("UPDATE audit SET actor = 'somebody else' WHERE seq = 4");
    let (_, found) = gateway.get("/api/v1/audit/verify").await;
    assert_eq!((&found["sound"], &found["faults"][0]["seq"]), (&json!(false), &json!(4)), "{found}");
    let (_, metrics) = gateway.get("/metrics").await;
    assert!(metrics.as_str().unwrap().contains("vestibule_audit_faults 1"));
    let gateway = Gateway::new();
    gateway.publish(&json!({"inboxes": {"ib_general": {"name": "General", "sla_minutes": 7}}})).await;
    let connection = rusqlite::Connection::open(gateway.folder.path().join("config.db")).unwrap();
    assert!(
        connection.execute("DELETE FROM audit WHERE seq = 3", []).is_err(),
        "the database itself refuses"
    );
    drop(connection);
    let connection = rusqlite::Connection::open(gateway.folder.path().join("config.db")).unwrap();
    connection.execute_batch("DROP TRIGGER audit_keeps").unwrap();
    connection.execute("DELETE FROM audit WHERE seq IN (3, ?1)", [newest.cast_signed()]).unwrap();
    let (_, found) = gateway.get("/api/v1/audit/verify").await;
    let faults: Vec<_> = found["faults"].as_array().unwrap().iter().map(|fault| &fault["kind"]).collect();
    assert_eq!(faults[0], &json!("missing"), "{found}");
    let noted = format!("seq={newest}&hash={}", sound["newest"]["hash"].as_str().unwrap());
    let (_, found) = gateway.get(&format!("/api/v1/audit/verify?{noted}")).await;
    assert_eq!(found["sound"], false);
}
