//! The command line over the API: what it prints and how it ends, against a gateway in this process.

use std::{
    path::Path,
    process::{Command, Output},
};

use serde_json::{Value, json};
use vestibule_config::store::Options;

use crate::support::gateway::Gateway;

/// A gateway that is asked over a socket.
struct Asked {
    gateway: Gateway,
    url: String,
}

/// How the command ended, and what it wrote.
struct Ran {
    code: i32,
    out: String,
    err: String,
}

impl Ran {
    fn json(&self) -> Value {
        serde_json::from_str(&self.out).expect(&self.err)
    }
}

impl From<Output> for Ran {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code().unwrap(),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

impl Asked {
    async fn new(options: Options) -> Self {
        let gateway = Gateway::with_routing(options);
        let url = format!("http://{}", gateway.serve().await);
        Self { gateway, url }
    }

    async fn run(&self, arguments: &[&str]) -> Ran {
        run(&self.url, &self.gateway.key, self.gateway.folder.path(), arguments).await
    }
}

async fn run(url: &str, key: &str, folder: &Path, arguments: &[&str]) -> Ran {
    let mut command = Command::new(env!("CARGO_BIN_EXE_vestibule"));
    command
        .env_clear()
        .current_dir(folder)
        .env("VESTIBULE_URL", url)
        .env("VESTIBULE_API_KEY", key)
        .args(arguments);
    tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap().into()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_runs_is_shown_as_a_table_or_as_json() {
    let asked = Asked::new(Options::default()).await;
    let ran = asked.run(&["status"]).await;
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert!(
        ran.out.contains("revision   1, 0 unpublished changes") && ran.out.contains("ib_sales"),
        "{}",
        ran.out
    );
    let status = asked.run(&["status", "--output", "json"]).await.json();
    assert_eq!((&status["ready"], &status["routing"]["revision"]), (&json!(true), &json!(1)));
    let numbers = asked.run(&["numbers"]).await;
    assert!(numbers.out.starts_with("NUMBER") && numbers.out.contains("+14155550101"), "{}", numbers.out);
    let ivrs = asked.run(&["ivrs", "list"]).await;
    let main = ivrs.out.lines().find(|line| line.starts_with("ivr_main ")).unwrap_or_default();
    assert!(main.contains("published"), "{}", ivrs.out);
    asked.gateway.start("ct_1", "+14155550100").await;
    let contacts = asked.run(&["contacts", "list", "--channel", "voice"]).await;
    assert!(contacts.out.contains("ct_1") && contacts.out.contains("+14155550199"), "{}", contacts.out);
    let one = asked.run(&["contacts", "show", "ct_1"]).await;
    assert!(one.out.contains("channel") && one.out.contains("voice"), "{}{}", one.out, one.err);
    assert_eq!(asked.run(&["contacts", "show", "ct_none"]).await.code, 6);
    let help = asked.run(&["--help"]).await.out;
    for act in ["status", "numbers", "routing", "ivrs", "contacts", "arm", "disarm", "keys", "audit"] {
        assert!(help.contains(&format!("\n  {act} ")), "{act} is not in the help:\n{help}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn routing_goes_out_in_is_checked_compared_published_simulated_and_rolled_back() {
    let asked = Asked::new(Options::default()).await;
    let document = asked.run(&["routing", "export"]).await.out;
    assert!(document.contains("ib_sales:"), "{document}");
    let file = asked.gateway.folder.path().join("routing.yaml");
    std::fs::write(&file, document.replace("sla_minutes: 60", "sla_minutes: 61")).unwrap();
    let file = file.to_str().unwrap();
    assert_eq!(asked.run(&["routing", "validate", file]).await.code, 0);
    assert_eq!(asked.run(&["routing", "import", file]).await.code, 0);
    let diff = asked.run(&["routing", "diff"]).await.out;
    assert!(diff.contains("changed inboxes/ib_sales\n  /sla_minutes: 60 -> 61"), "{diff}");
    let published = asked.run(&["routing", "publish", "--note", "By the command line"]).await;
    assert_eq!((published.code, published.out.as_str()), (0, "revision 2 is active\n"), "{}", published.err);
    let again = asked.run(&["routing", "publish", "--note", "Nothing"]).await;
    assert_eq!(again.code, 6);
    assert!(again.err.contains("R-1602"), "{}", again.err);
    let simulated = asked.run(&["routing", "simulate", "--to", "+14155550101", "--keys", "7:2"]).await;
    assert_eq!(simulated.json()["revision"], 2, "{}", simulated.err);
    let back = asked.run(&["routing", "rollback", "1", "--note", "Back", "--output", "json"]).await.json();
    assert_eq!(back["revision"]["number"], 3);
    let between = asked.run(&["routing", "diff", "--from", "1", "--to", "3"]).await.out;
    assert_eq!(between, "nothing differs\n");
    assert!(asked.run(&["routing", "revisions"]).await.out.contains("By the command line"));
    std::fs::write(file, document.replace("inbox: ib_sales", "inbox: ib_nowhere")).unwrap();
    let broken = asked.run(&["routing", "validate", file]).await;
    assert_eq!(broken.code, 1);
    assert!(broken.out.contains("it cannot be published"), "{}", broken.out);
    let ivr = asked.run(&["ivrs", "export", "ivr_short"]).await.out;
    let ivr_file = asked.gateway.folder.path().join("ivr.yaml");
    std::fs::write(&ivr_file, ivr).unwrap();
    assert_eq!(asked.run(&["ivrs", "import", "ivr_copy", ivr_file.to_str().unwrap()]).await.code, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn entry_points_are_armed_and_keys_of_a_gateway_elsewhere_made_listed_and_revoked() {
    let asked = Asked::new(Options::default()).await;
    let disarmed = asked.run(&["disarm", "voice/+14155550100"]).await;
    assert_eq!((disarmed.code, disarmed.out.as_str()), (0, "disarmed by revision 2\n"), "{}", disarmed.err);
    assert_eq!(asked.run(&["arm", "voice/+14155550100"]).await.out, "armed by revision 3\n");
    assert_eq!(asked.run(&["arm", "voice/+14155550100"]).await.out, "they were armed already\n");
    let made = asked.run(&["keys", "add", "robot", "--role", "analyst"]).await;
    let secret = made.out.trim().to_owned();
    assert!(secret.starts_with("vk_"), "{}{}", made.out, made.err);
    let listed = asked.run(&["keys", "list", "--output", "json"]).await.json();
    let robot = listed.as_array().unwrap().iter().find(|key| key["name"] == "robot").unwrap().clone();
    let (url, folder) = (&asked.url, asked.gateway.folder.path());
    let refused = run(url, &secret, folder, &["disarm", "voice/+14155550100"]).await;
    assert_eq!(refused.code, 4, "{}", refused.err);
    assert!(refused.err.contains("routing.arm"), "{}", refused.err);
    assert_eq!(asked.run(&["keys", "revoke", robot["id"].as_str().unwrap()]).await.code, 0);
    assert_eq!(run(url, &secret, folder, &["status"]).await.code, 4);
    let nobody = run("http://127.0.0.1:9", &secret, folder, &["status"]).await;
    assert_eq!(nobody.code, 3, "{}", nobody.err);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_publish_that_waits_for_a_second_person_ends_with_a_code_of_its_own() {
    let asked = Asked::new(Options { publish_needs_second: true, ..Options::default() }).await;
    let inbox = json!({"name": "New"});
    asked.gateway.ask("PUT", "/api/v1/routing/draft/inboxes/ib_new", Some(inbox)).await;
    let ran = asked.run(&["routing", "publish", "--note", "New"]).await;
    assert_eq!((ran.code, ran.err.contains("request 1")), (5, true), "{}", ran.err);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_audit_log_is_verified_in_the_data_folder_and_a_deleted_line_ends_with_1() {
    let asked = Asked::new(Options::default()).await;
    asked.gateway.publish(&json!({"inboxes": {"ib_new": {"name": "New"}}})).await;
    let folder = asked.gateway.folder.path().to_str().unwrap();
    let sound = asked.run(&["audit", "verify", "--data-dir", folder]).await;
    assert_eq!(sound.code, 0, "{}{}", sound.out, sound.err);
    assert!(sound.out.contains("the audit log is as it was written"), "{}", sound.out);
    let connection = rusqlite::Connection::open(asked.gateway.folder.path().join("config.db")).unwrap();
    connection.execute_batch("DROP TRIGGER audit_keeps; DELETE FROM audit WHERE seq = 2").unwrap();
    let found = asked.run(&["audit", "verify", "--data-dir", folder]).await;
    assert_eq!(found.code, 1, "{}", found.err);
    assert!(found.out.contains("line 2 is missing"), "{}", found.out);
}
