use super::*;

fn reference_path() -> std::path::PathBuf {
    std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/metrics.md")
}

#[test]
fn every_family_has_a_name_by_the_rules_and_stands_once() {
    let metrics = Metrics::new().unwrap();
    let text = String::from_utf8(metrics.text().unwrap()).unwrap();
    for line in text.lines().filter(|line| line.starts_with("# TYPE")) {
        let mut words = line.split(' ').skip(2);
        let (name, kind) = (words.next().unwrap(), words.next().unwrap());
        assert!(name.starts_with("vestibule_"), "{name}");
        assert_eq!(kind == "counter", name.ends_with("_total"), "{name} is a {kind}");
        assert_eq!(kind == "histogram", name.ends_with("_seconds") && kind != "gauge", "{name} is a {kind}");
    }
}

#[test]
fn the_reference_page_is_what_the_code_says() {
    let metrics = Metrics::new().unwrap();
    // Families by trunk show nothing while there is no trunk.
    metrics.trunk.up.set(&TrunkId::new("tr_a"), 1);
    metrics.trunk.registered.set(&TrunkId::new("tr_a"), 1);
    let page = metrics.reference();
    if std::env::var_os("UPDATE_REFERENCE").is_some() {
        std::fs::write(reference_path(), &page).unwrap();
    }
    let written = std::fs::read_to_string(reference_path()).unwrap_or_default();
    assert!(page == written, "gateway/docs/metrics.md is stale: run this test with UPDATE_REFERENCE=1");
}

#[test]
fn a_counter_of_a_label_counts_under_that_label() {
    let metrics = Metrics::new().unwrap();
    metrics.sip.rejected.of(SipRejection::Overload).inc_by(3);
    let text = String::from_utf8(metrics.text().unwrap()).unwrap();
    assert!(text.contains("vestibule_sip_rejected_total{reason=\"overload\"} 3"), "{text}");
    assert!(text.contains("vestibule_sip_rejected_total{reason=\"acl\"} 0"), "{text}");
}

#[test]
fn a_trunk_that_is_gone_leaves_no_series() {
    let metrics = Metrics::new().unwrap();
    let shown = || String::from_utf8(metrics.text().unwrap()).unwrap().contains("tr_a");
    metrics.trunk.up.set(&TrunkId::new("tr_a"), 1);
    assert!(shown());
    metrics.trunk.up.forget(&TrunkId::new("tr_a"));
    metrics.trunk.up.forget(&TrunkId::new("tr_a"));
    assert!(!shown());
}
