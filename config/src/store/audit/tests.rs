use super::*;
use crate::{
    document::{Key, Kind},
    sample::SAMPLE,
    store::{IdentityStore, Options},
};

fn keys() -> AuditKeys {
    AuditKeys::new(vec![[7; 32]])
}

fn open(folder: &tempfile::TempDir) -> Store {
    let store = Store::open(folder.path(), Options::default()).unwrap();
    store.sign_audit_with(keys()).unwrap();
    store
}

fn seeded() -> (tempfile::TempDir, Store) {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder);
    store.seed(SAMPLE).unwrap();
    (folder, store)
}

fn edit(store: &Store, name: &str) {
    let key = Key::new(Kind::Inboxes, "ib_sales");
    let ann = Acting { actor: "ann".into(), from: "192.0.2.1 session ss_1".into(), person: "ann".into() };
    acting(ann, || store.edit(&key, Some(&json!({ "name": name })), None)).unwrap();
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

fn newest(store: &Store) -> u64 {
    store.newest_audit().unwrap().unwrap().seq
}

fn of(store: &Store, action: &str) -> Vec<AuditRow> {
    let filter = AuditFilter { action: Some(action.into()), ..AuditFilter::default() };
    store.audit_page(&filter, 100).unwrap()
}

#[test]
fn edits_and_publishes_stand_there_with_who_from_where_before_and_after() {
    let (_folder, store) = seeded();
    edit(&store, "Sales");
    edit(&store, "Selling");
    store.publish("ben", "Renamed", None).unwrap();
    store.roll_back(1, "cy", "Back").unwrap();
    edit(&store, "Once more");
    store.discard_draft(None).unwrap();
    let told: Vec<_> =
        rows(&store).into_iter().map(|row| (row.actor, row.action, row.subject)).take(6).collect();
    let line = |a: &str, b: &str, c: &str| (a.to_owned(), b.to_owned(), c.to_owned());
    assert_eq!(
        told,
        [
            line("system", "draft.discarded", "draft"),
            line("ann", "draft.edited", "inboxes/ib_sales"),
            line("cy", "revision.restored", "revision/3"),
            line("ben", "revision.published", "revision/2"),
            line("ann", "draft.edited", "inboxes/ib_sales"),
            line("ann", "draft.edited", "inboxes/ib_sales"),
        ]
    );
    let edits = of(&store, "draft.edited");
    let name = |value: &Option<Value>| value.as_ref().unwrap()["name"].as_str().unwrap().to_owned();
    assert_eq!((name(&edits[1].before), name(&edits[1].after)), ("Sales".into(), "Selling".into()));
    assert_eq!(edits[1].from, "192.0.2.1 session ss_1");
    let published = of(&store, "revision.published").remove(0).after.unwrap();
    assert_eq!(
        (&published["note"], &published["objects"][0]["after"]["name"]),
        (&json!("Renamed"), &json!("Selling"))
    );
    assert_eq!(of(&store, "draft").len(), 4);
    assert!(of(&store, "dra").is_empty() && of(&store, "*").is_empty(), "a word is a whole word");
    let before_all = AuditFilter { until: Some(Timestamp::UNIX_EPOCH), ..AuditFilter::default() };
    assert!(store.audit_page(&before_all, 10).unwrap().is_empty());
    assert_eq!(store.audit_line(newest(&store)).unwrap().unwrap().action, "draft.discarded");
    let findings = store.verify_audit(None).unwrap();
    assert!(findings.sound && findings.signed == Some(true), "{findings:?}");
}

#[test]
fn a_refused_edit_leaves_no_line() {
    let (_folder, store) = seeded();
    let before = store.newest_audit().unwrap();
    let key = Key::new(Kind::Inboxes, "ib_sales");
    assert!(store.edit(&key, Some(&json!({"name": "x"})), Some(999)).is_err());
    assert!(store.publish("ann", "nothing", None).is_err());
    assert_eq!(store.newest_audit().unwrap(), before);
}

#[test]
fn the_database_refuses_to_change_and_remove_lines() {
    let (folder, _store) = seeded();
    let connection = Connection::open(folder.path().join("config.db")).unwrap();
    for sql in [
        "UPDATE audit SET actor = 'eve' WHERE seq = 2",
        "DELETE FROM audit WHERE seq = 2",
        "DELETE FROM audit",
        "INSERT OR REPLACE INTO audit SELECT seq, at_ms, 'eve', origin, action, subject, before, after, hash FROM audit
         WHERE seq = 2",
        "INSERT INTO audit_checkpoint VALUES (2, x'00'); UPDATE audit_checkpoint SET seq = 3",
    ] {
        assert!(connection.execute_batch(sql).is_err(), "{sql}");
    }
}

/// What is found after somebody has changed the file, while nobody was looking and after the next start.
fn found_after(sql: &str) -> Vec<(AuditFaultKind, u64)> {
    let (folder, store) = seeded();
    while newest(&store) < 10 {
        edit(&store, &format!("Sales {}", newest(&store)));
    }
    let sound = store.verify_audit(None).unwrap();
    assert!(sound.sound && sound.lines == newest(&store), "{sound:?}");
    drop(store);
    meddle(&folder, sql);
    let store = open(&folder);
    edit(&store, "Afterwards");
    let findings = store.verify_audit(None).unwrap();
    assert_eq!(findings.sound, findings.faults.is_empty());
    findings.faults.iter().map(|fault| (fault.kind, fault.seq)).collect()
}

#[test]
fn one_line_that_is_changed_taken_out_put_in_or_moved_is_found_and_named() {
    use AuditFaultKind::{Changed, Checkpoint, CutOff, Missing, Signature};
    let all = "seq, at_ms, actor, origin, action, subject, before, after, hash";
    let exchange = "UPDATE audit SET seq = -3 WHERE seq = 3; UPDATE audit SET seq = 3 WHERE seq = 4;
                    UPDATE audit SET seq = 4 WHERE seq = -3";
    let put_in = format!(
        "UPDATE audit SET seq = -seq - 1 WHERE seq > 4; UPDATE audit SET seq = -seq WHERE seq < 0;
         INSERT INTO audit ({all}) SELECT 5, at_ms, 'eve', origin, action, subject, before, after, hash FROM audit
         WHERE seq = 4; UPDATE audit_head SET seq = seq + 1"
    );
    let changes: [(&str, &[(AuditFaultKind, u64)]); 10] = [
        ("UPDATE audit SET actor = 'eve' WHERE seq = 3", &[(Changed, 3)]),
        ("UPDATE audit SET at_ms = at_ms + 1 WHERE seq = 2", &[(Changed, 2)]),
        ("UPDATE audit SET origin = '' , after = NULL WHERE seq = 10", &[(Changed, 10)]),
        ("UPDATE audit SET hash = x'00' WHERE seq = 6", &[(Changed, 6), (Changed, 7)]),
        ("DELETE FROM audit WHERE seq = 1", &[(Missing, 1)]),
        ("DELETE FROM audit WHERE seq IN (4, 5)", &[(Missing, 4)]),
        // What is written after a cut goes on behind the head, so that the gap stays.
        ("DELETE FROM audit WHERE seq >= 9", &[(Missing, 9)]),
        (exchange, &[(Changed, 3), (Changed, 4), (Changed, 5)]),
        (
            "UPDATE audit_head SET seq = 8, hash = (SELECT hash FROM audit WHERE seq = 8);
          DELETE FROM audit WHERE seq > 8",
            &[(Signature, 9)],
        ),
        (
            "INSERT INTO audit_checkpoint SELECT seq, hash FROM audit WHERE seq = 2; DELETE FROM audit WHERE seq <= 2",
            &[(Checkpoint, 2)],
        ),
    ];
    for (sql, faults) in changes {
        assert_eq!(found_after(sql), faults, "{sql}");
    }
    let found = found_after(&put_in);
    assert!(found.contains(&(Changed, 5)) && found.iter().any(|(kind, _)| *kind == Signature), "{found:?}");
    assert!(!found.iter().any(|(kind, _)| *kind == CutOff));
}

#[test]
fn an_end_that_is_cut_off_is_found_by_the_head_and_by_what_was_noted() {
    let (folder, store) = seeded();
    edit(&store, "Sales");
    let noted = store.newest_audit().unwrap().unwrap();
    assert!(store.verify_audit(Some(&noted)).unwrap().sound);
    edit(&store, "Selling");
    // The head as it was before the last line, with its signature, and the lines as they were then.
    let (seq, hash, mac): (i64, Vec<u8>, Vec<u8>) = {
        let connection = Connection::open(folder.path().join("config.db")).unwrap();
        connection
            .query_row("SELECT seq, hash, mac FROM audit_head", [], |row| {
                Ok((row.get(0)?, row.get(1)?, row.get(2)?))
            })
            .unwrap()
    };
    edit(&store, "Sold");
    let noted_later = store.newest_audit().unwrap().unwrap();
    meddle(&folder, &format!("DELETE FROM audit WHERE seq > {seq}"));
    let findings = store.verify_audit(None).unwrap();
    assert_eq!(findings.faults[0].kind, AuditFaultKind::CutOff, "{findings:?}");
    let connection = Connection::open(folder.path().join("config.db")).unwrap();
    connection
        .execute("UPDATE audit_head SET seq = ?1, hash = ?2, mac = ?3", params![seq, hash, mac])
        .unwrap();
    assert!(
        store.verify_audit(None).unwrap().sound,
        "all of an earlier time is put back: nothing within can tell"
    );
    let kinds: Vec<_> =
        store.verify_audit(Some(&noted_later)).unwrap().faults.iter().map(|fault| fault.kind).collect();
    assert_eq!(kinds, [AuditFaultKind::Noted]);
}

#[test]
fn a_head_that_does_not_hold_is_not_signed_by_the_next_change_but_by_somebody_who_says_why() {
    let (folder, store) = seeded();
    meddle(&folder, "UPDATE audit_head SET mac = x'0102'");
    edit(&store, "Sales");
    assert_eq!(store.verify_audit(None).unwrap().signed, Some(false));
    drop(store);
    let store = open(&folder);
    assert_eq!(store.verify_audit(None).unwrap().signed, Some(false), "a start signs nothing anew");
    store.sign_audit_anew("ann", "The disk was restored").unwrap();
    let findings = store.verify_audit(None).unwrap();
    assert!(findings.sound, "{findings:?}");
    let line = rows(&store).remove(0);
    assert_eq!(
        (line.action.as_str(), &line.after.unwrap()["signature_held_before"]),
        ("audit.signed_anew", &json!(false))
    );
    let others = AuditKeys::new(vec![[8; 32]]);
    assert_eq!(verify(folder.path(), Some(&others), None).unwrap().signed, Some(false));
    assert_eq!(verify(folder.path(), None, None).unwrap().signed, None);
}

#[test]
fn new_keys_prove_what_the_ones_before_have_signed_and_sign_the_next_line() {
    let folder = tempfile::tempdir().unwrap();
    let shared = keys();
    let store = Store::open(folder.path(), Options::default()).unwrap();
    store.sign_audit_with(shared.clone()).unwrap();
    store.seed(SAMPLE).unwrap();
    shared.set(vec![[9; 32], [7; 32]]);
    assert!(store.verify_audit(None).unwrap().sound);
    edit(&store, "Sales");
    shared.set(vec![[9; 32]]);
    assert!(store.verify_audit(None).unwrap().sound);
}

#[test]
fn old_lines_go_by_a_checkpoint_and_the_rest_stays_proven() {
    let (_folder, store) = seeded();
    edit(&store, "Sales");
    let noted = store.newest_audit().unwrap().unwrap();
    assert_eq!(store.retire_audit(Timestamp::UNIX_EPOCH).unwrap(), 0);
    assert_eq!(store.retire_audit(Timestamp::MAX).unwrap(), noted.seq - 1, "the newest stays");
    let findings = store.verify_audit(Some(&noted)).unwrap();
    assert!(findings.sound, "{findings:?}");
    assert_eq!((findings.first, findings.lines), (noted.seq, 2));
    assert_eq!(rows(&store)[0].after.as_ref().unwrap()["through"], noted.seq - 1);
    edit(&store, "Selling");
    assert!(store.retire_audit(Timestamp::MAX).unwrap() > 0);
    let findings = store.verify_audit(None).unwrap();
    assert!(findings.sound, "{findings:?}");
}

#[test]
fn both_connections_and_many_threads_write_one_chain() {
    let (folder, store) = seeded();
    let before = newest(&store);
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let (store, folder) = (&store, &folder);
            scope.spawn(move || {
                let mut identity = IdentityStore::open(folder.path()).unwrap();
                identity.sign_audit_with(keys()).unwrap();
                for step in 0..10 {
                    edit(store, &format!("{thread} {step}"));
                    let line = Line {
                        action: "user.sign_in_failed",
                        subject: "ann".into(),
                        before: None,
                        after: None,
                    };
                    identity.note("ann", &[line]).unwrap();
                }
            });
        }
    });
    let findings = store.verify_audit(None).unwrap();
    assert!(findings.sound && findings.lines == before + 80, "{findings:?}");
}

#[test]
fn lines_of_earlier_versions_are_chained_in_their_order() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config.db");
    let connection = Connection::open(&path).unwrap();
    connection.execute_batch(crate::store::schema::first_version()).unwrap();
    connection
        .execute_batch(
            "INSERT INTO audit (at_ms, actor, action, subject, before, after) VALUES
               (1, 'ann', 'number.added', '+14155550100', NULL, '{}'),
               (2, 'ben', 'number.sms', '+14155550100', '{}', '{}');
             PRAGMA user_version = 1;",
        )
        .unwrap();
    assert!(matches!(verify(folder.path(), None, None), Err(StoreError::OtherVersion { found: 1, .. })));
    drop(connection);
    let store = open(&folder);
    let kept: Vec<_> =
        rows(&store).into_iter().map(|row| (row.seq, row.action, row.at.as_millisecond())).skip(1).collect();
    assert_eq!(kept, [(2, "number.sms".to_owned(), 2), (1, "number.added".to_owned(), 1)]);
    assert_eq!(rows(&store)[0].action, "audit.signed");
    assert!(store.verify_audit(None).unwrap().sound);
}

#[test]
fn a_signature_that_somebody_took_away_is_made_anew_and_that_is_told_for_ever() {
    let (folder, store) = seeded();
    assert_eq!(store.verify_audit(None).unwrap().unsigned_through, None, "it was signed from the start");
    let newest = newest(&store);
    drop(store);
    meddle(&folder, "UPDATE audit_head SET mac = NULL");
    let store = open(&folder);
    edit(&store, "Sales");
    let findings = store.verify_audit(None).unwrap();
    assert!(findings.sound && findings.signed == Some(true), "{findings:?}");
    assert_eq!(findings.unsigned_through, Some(newest));
}
