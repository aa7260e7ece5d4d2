use super::*;
use crate::{document::{Key, Kind}, sample::SAMPLE, store::Options};

fn seeded() -> (tempfile::TempDir, Store) {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path(), Options::default()).unwrap();
    store.seed(SAMPLE).unwrap();
    (folder, store)
}

fn edit(store: &Store, name: &str) {
    let key = Key::new(Kind::Inboxes, "ib_sales");
    store.edit(&key, Some(&json!({ "name": name })), None, "ann").unwrap();
}

/// Somebody with the file, who gets around the triggers.
fn meddle(folder: &tempfile::TempDir, sql: &str) {
    let connection = Connection::open(folder.path().join("config.db")).unwrap();
    for trigger in ["audit_stays", "audit_keeps", "audit_grows", "checkpoint_stays", "checkpoint_keeps"] {
        connection.execute_batch(&format!("DROP TRIGGER IF EXISTS {trigger};")).unwrap();
    }
    connection.execute_batch(sql).unwrap();
}

fn rows(store: &Store) -> Vec<AuditRow> {
    store.audit_page(&AuditFilter::default(), 500).unwrap()
}

#[test]
fn edits_and_publishes_stand_there_with_before_and_after() {
    let (_folder, store) = seeded();
    edit(&store, "Sales");
    edit(&store, "Selling");
    store.publish("ben", "Renamed", None).unwrap();
    store.roll_back(1, "cy", "Back").unwrap();
    edit(&store, "Once more");
    store.discard_draft(None, "ann").unwrap();
    let told: Vec<_> = rows(&store)
        .into_iter()
        .map(|row| (row.actor, row.action, row.subject))
        .take(6)
        .collect();
    let line = |a: &str, b: &str, c: &str| (a.to_owned(), b.to_owned(), c.to_owned());
    assert_eq!(told, [
        line("ann", "draft.discarded", "inboxes/ib_sales"),
        line("ann", "draft.edited", "inboxes/ib_sales"),
        line("cy", "revision.restored", "revision/3"),
        line("ben", "revision.published", "revision/2"),
        line("ann", "draft.edited", "inboxes/ib_sales"),
        line("ann", "draft.edited", "inboxes/ib_sales"),
    ]);
    let of = |action: &str| {
        let filter = AuditFilter { action: Some(action.into()), ..AuditFilter::default() };
        store.audit_page(&filter, 10).unwrap()
    };
    let edits = of("draft.edited");
    assert_eq!((edits[1].before.as_ref().unwrap()["name"].as_str(), edits[1].after.as_ref().unwrap()["name"].as_str()), (Some("Sales"), Some("Selling")));
    let published = of("revision.published").remove(0).after.unwrap();
    assert_eq!((&published["note"], &published["objects"][0]["after"]["name"]), (&json!("Renamed"), &json!("Selling")));
    assert_eq!(of("draft").len(), 4);
    assert!(of("dra").is_empty() && of("*").is_empty(), "a word is a whole word");
    let since = AuditFilter { until: Some(Timestamp::UNIX_EPOCH), ..AuditFilter::default() };
    assert!(store.audit_page(&since, 10).unwrap().is_empty());
    assert!(store.verify_audit(None).unwrap().sound);
}

#[test]
fn a_refused_edit_leaves_no_line() {
    let (_folder, store) = seeded();
    let before = store.newest_audit().unwrap();
    let key = Key::new(Kind::Inboxes, "ib_sales");
    assert!(store.edit(&key, Some(&json!({"name": "x"})), Some(999), "ann").is_err());
    assert!(store.publish("ann", "nothing", None).is_err());
    assert_eq!(store.newest_audit().unwrap(), before);
}

#[test]
fn the_database_refuses_to_change_and_remove_lines() {
    let (folder, store) = seeded();
    let connection = Connection::open(folder.path().join("config.db")).unwrap();
    for sql in [
        "UPDATE audit SET actor = 'eve' WHERE seq = 2",
        "DELETE FROM audit WHERE seq = 2",
        "DELETE FROM audit",
        "INSERT OR REPLACE INTO audit SELECT seq, at_ms, 'eve', action, subject, before, after, hash FROM audit WHERE seq = 2",
        "INSERT INTO audit_checkpoint VALUES (2, x'00'); UPDATE audit_checkpoint SET seq = 3",
    ] {
        assert!(connection.execute_batch(sql).is_err(), "{sql}");
    }
    drop(connection);
    drop(store);
}

#[test]
fn one_line_that_is_changed_taken_out_or_put_in_between_is_found() {
    let changes = [
        ("UPDATE audit SET actor = 'eve' WHERE seq = 3", "line 3 is not as it was written"),
        ("UPDATE audit SET at_ms = at_ms + 1 WHERE seq = 2", "line 2 is not as it was written"),
        ("UPDATE audit SET before = NULL WHERE seq = 6", "line 6 is not as it was written"),
        ("UPDATE audit SET hash = x'00' WHERE seq = 1", "line 1 is not as it was written"),
        ("DELETE FROM audit WHERE seq = 1", "line 1 is missing"),
        ("DELETE FROM audit WHERE seq = 4", "line 4 is missing"),
        ("DELETE FROM audit WHERE seq = 4; UPDATE audit SET seq = seq - 1 WHERE seq > 4", "line 4 is not as it was written"),
        ("INSERT INTO audit_checkpoint SELECT seq, hash FROM audit WHERE seq = 2; DELETE FROM audit WHERE seq <= 2", "no line vouches for the checkpoint at line 2"),
    ];
    for (sql, fault) in changes {
        let (folder, store) = seeded();
        edit(&store, "Sales");
        edit(&store, "Selling");
        let sound = store.verify_audit(None).unwrap();
        assert!(sound.sound && sound.lines == 6, "{sound:?}");
        drop(store);
        meddle(&folder, sql);
        let store = Store::open(folder.path(), Options::default()).unwrap();
        let findings = store.verify_audit(None).unwrap();
        assert_eq!((findings.sound, findings.fault.as_deref()), (false, Some(fault)), "{sql}");
    }
}

#[test]
fn an_end_that_is_cut_off_is_found_by_what_was_noted_of_it() {
    let (folder, store) = seeded();
    edit(&store, "Sales");
    let noted = store.newest_audit().unwrap().unwrap();
    edit(&store, "Selling");
    assert!(store.verify_audit(Some(&noted)).unwrap().sound);
    drop(store);
    meddle(&folder, "DELETE FROM audit WHERE seq >= 5");
    let store = Store::open(folder.path(), Options::default()).unwrap();
    assert!(store.verify_audit(None).unwrap().sound, "the chain alone cannot tell");
    assert!(!store.verify_audit(Some(&noted)).unwrap().sound);
    edit(&store, "Something else");
    assert!(!store.verify_audit(Some(&noted)).unwrap().sound, "another line in its place is another line");
}

#[test]
fn old_lines_go_by_a_checkpoint_and_the_rest_stays_proven() {
    let (_folder, store) = seeded();
    edit(&store, "Sales");
    let noted = store.newest_audit().unwrap().unwrap();
    assert_eq!(store.retire_audit(Timestamp::UNIX_EPOCH).unwrap(), 0);
    assert_eq!(store.retire_audit(Timestamp::MAX).unwrap(), 4, "the newest stays");
    let findings = store.verify_audit(Some(&noted)).unwrap();
    assert!(findings.sound, "{findings:?}");
    assert_eq!((findings.first, findings.lines), (5, 2));
    assert_eq!(rows(&store)[0].after.as_ref().unwrap()["through"], 4);
    edit(&store, "Selling");
    assert_eq!(store.retire_audit(Timestamp::MAX).unwrap(), 2);
    let findings = store.verify_audit(None).unwrap();
    assert!(findings.sound, "{findings:?}");
}

#[test]
fn lines_of_earlier_versions_are_chained_in_their_order() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config.db");
    let connection = Connection::open(&path).unwrap();
    connection.execute_batch(super::super::schema::first_version()).unwrap();
    connection
        .execute_batch(
            "INSERT INTO audit (at_ms, actor, action, subject, before, after) VALUES
               (1, 'ann', 'number.added', '+14155550100', NULL, '{}'), (2, 'ben', 'number.sms', '+14155550100', '{}', '{}');
             PRAGMA user_version = 1;",
        )
        .unwrap();
    drop(connection);
    let store = Store::open(folder.path(), Options::default()).unwrap();
    let kept: Vec<_> = rows(&store).into_iter().map(|row| (row.seq, row.actor, row.at.as_millisecond())).collect();
    assert_eq!(kept, [(2, "ben".to_owned(), 2), (1, "ann".to_owned(), 1)]);
    assert!(store.verify_audit(None).unwrap().sound);
}
