//! The architecture as tests: what may stand where, who may use whom, how long a file may grow.
//!
//! Reads the sources as text. What the compiler or clippy can check is left to them.

#![allow(clippy::expect_used, reason = "a test that cannot read the sources has failed")]

use std::{
    fs,
    path::{Path, PathBuf},
};

/// Longest source file.
const LINES_MAX: usize = 1000;

/// Crates without clock, socket, file, thread or chance.
const PURE: [&str; 3] = ["routing", "gateway/sip-proto", "gateway/rtp-proto"];

/// What stands at the top level beside dotfiles.
const TOP_LEVEL: [&str; 10] = [
    "Cargo.lock",
    "Cargo.toml",
    "LICENSE-APACHE",
    "LICENSE-MIT",
    "README.md",
    "config",
    "deploy",
    "gateway",
    "load-tests",
    "routing",
];

#[test]
fn the_top_level_holds_only_what_the_map_names() {
    let strangers: Vec<String> = fs::read_dir(root())
        .expect("the root can be read")
        .map(|entry| entry.expect("an entry can be read").file_name().to_string_lossy().into_owned())
        .filter(|name| !name.starts_with('.') && !PRODUCED.contains(&name.as_str()))
        .filter(|name| !TOP_LEVEL.contains(&name.as_str()))
        .collect();
    assert!(strangers.is_empty(), "not on the map of the top level: {strangers:?}");
}

#[test]
fn no_source_file_is_longer_than_the_limit() {
    let long: Vec<String> = texts(&["rs", "py", "sh", "toml", "xml", "css", "js", "mjs", "html"])
        .into_iter()
        .map(|(path, text)| (path, text.lines().count()))
        .filter(|(_, lines)| *lines > LINES_MAX)
        .map(|(path, lines)| format!("{path}: {lines} lines"))
        .collect();
    assert!(long.is_empty(), "longer than {LINES_MAX} lines: {long:?}");
}

#[test]
fn modules_stand_beside_their_folder() {
    let found: Vec<String> =
        texts(&["rs"]).into_iter().map(|(path, _)| path).filter(|path| path.ends_with("/mod.rs")).collect();
    assert!(found.is_empty(), "use foo.rs beside foo/: {found:?}");
}

#[test]
fn there_is_no_unsafe_code() {
    let keyword = ["un", "safe "].concat();
    let found = lines_with(&["rs"], |line| {
        code(line).split(&keyword).nth(1).is_some_and(|rest| {
            ["{", "fn ", "impl ", "trait ", "extern "].iter().any(|start| rest.starts_with(start))
        })
    });
    assert!(found.is_empty(), "found: {found:#?}");
}

#[test]
fn every_crate_takes_the_lints_of_the_workspace() {
    let lax: Vec<String> = manifests()
        .into_iter()
        .filter(|(path, _)| path != "Cargo.toml" && !path.contains("/fuzz/"))
        .filter(|(_, text)| !text.contains("[lints]\nworkspace = true"))
        .map(|(path, _)| path)
        .collect();
    assert!(lax.is_empty(), "without the lints of the workspace: {lax:?}");
}

#[test]
fn pure_crates_depend_on_nothing_that_reaches_outside() {
    for name in PURE {
        let found: Vec<String> = dependencies(name)
            .into_iter()
            .filter(|dependency| REACHES_OUTSIDE.iter().any(|start| dependency.starts_with(start)))
            .collect();
        assert!(found.is_empty(), "{name} is pure, but depends on {found:?}");
    }
    // The SIP endpoint is handed a seeded generator; the others need no chance at all.
    for name in ["routing", "gateway/rtp-proto"] {
        assert!(!dependencies(name).iter().any(|dependency| dependency == "rand"), "{name} takes no chances");
    }
}

#[test]
fn pure_crates_call_no_clock_socket_file_thread_or_chance() {
    let mut found = Vec::new();
    for name in PURE {
        for (path, text) in
            texts(&["rs"]).into_iter().filter(|(path, _)| path.starts_with(&format!("{name}/src/")))
        {
            if path.ends_with("/tests.rs") || path.contains("/tests/") {
                continue;
            }
            let shipped = text.split("#[cfg(test)]").next().unwrap_or_default();
            for (number, line) in shipped.lines().enumerate() {
                if OUTSIDE_CALLS.iter().any(|call| code(line).contains(call)) {
                    found.push(format!("{path}:{}: {}", number + 1, line.trim()));
                }
            }
        }
    }
    assert!(found.is_empty(), "found: {found:#?}");
}

#[test]
fn dependencies_run_downwards_only() {
    let allowed: [(&str, &[&str]); 6] = [
        ("routing", &[]),
        ("gateway/sip-proto", &[]),
        ("gateway/rtp-proto", &[]),
        ("config", &["vestibule-routing"]),
        ("gateway", &["vestibule-routing", "vestibule-config", "sip-proto", "rtp-proto"]),
        ("load-tests", &[]),
    ];
    for (name, below) in allowed {
        let upwards: Vec<String> = dependencies(name)
            .into_iter()
            .filter(|dependency| OUR_CRATES.contains(&dependency.as_str()))
            .filter(|dependency| !below.contains(&dependency.as_str()))
            .collect();
        assert!(upwards.is_empty(), "{name} must not depend on {upwards:?}");
    }
}

#[test]
fn the_load_tests_read_no_source_of_ours() {
    for (path, text) in texts(&["rs"]).into_iter().filter(|(path, _)| path.starts_with("load-tests/")) {
        for shared in
            ["#[path", "include!(", "sip_proto::", "rtp_proto::", "vestibule_routing::", "vestibule_config::"]
        {
            assert!(!text.contains(shared), "{path} shares code with what it tests: {shared}");
        }
    }
}

#[test]
fn no_line_names_a_place_on_somebodys_machine() {
    let places: Vec<String> = ["/ho me/", "/ro ot/", "/Us ers/", "/wo rk/", "/tmp/ v/"]
        .iter()
        .map(|place| place.replace(' ', ""))
        .collect();
    let found =
        lines_with(&["rs", "py", "sh", "toml", "xml", "md", "yaml", "yml", "cfg", "service", ""], |line| {
            places.iter().any(|place| {
                line.split(place.as_str()).skip(1).any(|rest| rest.starts_with(char::is_alphanumeric))
            })
        });
    assert!(found.is_empty(), "found: {found:#?}");
}

#[test]
fn names_of_tests_are_sentences() {
    let prefix = ["fn te", "st_"].concat();
    let found = lines_with(&["rs"], |line| code(line).contains(&prefix));
    assert!(found.is_empty(), "say what is true, not that it is a test: {found:#?}");
}

#[test]
fn open_ends_name_their_issue() {
    let word = ["TO", "DO"].concat();
    let found = lines_with(&["rs", "py", "sh"], |line| {
        line.split(&word).nth(1).is_some_and(|rest| !rest.starts_with("(#"))
    });
    assert!(found.is_empty(), "found: {found:#?}");
}

/// The text of a line before its comment. Good enough for words that do not occur in strings of ours.
fn code(line: &str) -> &str {
    line.split("//").next().unwrap_or_default()
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("gateway/ stands in the root").to_path_buf()
}

/// Files of the project with one of the endings, as path from the root and text.
fn texts(endings: &[&str]) -> Vec<(String, String)> {
    let mut found = Vec::new();
    collect(&root(), &mut found);
    found
        .into_iter()
        .filter(|path| endings.contains(&path.extension().unwrap_or_default().to_string_lossy().as_ref()))
        .filter_map(|path| {
            let name = path.strip_prefix(root()).ok()?.to_string_lossy().into_owned();
            Some((name, fs::read_to_string(&path).ok()?))
        })
        .collect()
}

fn collect(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder can be read") {
        let path = entry.expect("an entry can be read").path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if path.is_dir() {
            if !PRODUCED.contains(&name.as_str()) && name != ".git" && name != "corpus" {
                collect(&path, found);
            }
        } else if name != ".git" {
            // In a second work tree `.git` is a file that names a place.
            found.push(path);
        }
    }
}

fn lines_with(endings: &[&str], wanted: impl Fn(&str) -> bool) -> Vec<String> {
    let mut found = Vec::new();
    for (path, text) in texts(endings) {
        for (number, line) in text.lines().enumerate().filter(|(_, line)| wanted(line)) {
            found.push(format!("{path}:{}: {}", number + 1, line.trim()));
        }
    }
    found
}

fn manifests() -> Vec<(String, String)> {
    texts(&["toml"])
        .into_iter()
        .filter(|(path, _)| path == "Cargo.toml" || path.ends_with("/Cargo.toml"))
        .collect()
}

/// Names under `[dependencies]` of a crate; dev-dependencies are free.
fn dependencies(folder: &str) -> Vec<String> {
    let manifest =
        fs::read_to_string(root().join(folder).join("Cargo.toml")).expect("the crate has a manifest");
    let mut inside = false;
    let mut names = Vec::new();
    for line in manifest.lines() {
        if line.starts_with('[') {
            inside = line == "[dependencies]" || line == "[build-dependencies]";
            if let Some(name) = line.strip_prefix("[dependencies.").and_then(|rest| rest.strip_suffix(']')) {
                names.push(name.to_owned());
            }
        } else if inside
            && let Some(name) = line.split(['=', '.', ' ']).next().filter(|name| !name.is_empty())
        {
            names.push(name.to_owned());
        }
    }
    names
}

/// Made by building and running; not sources.
const PRODUCED: [&str; 4] = ["target", "vestibule-data", "__pycache__", "node_modules"];

const OUR_CRATES: [&str; 6] =
    ["vestibule", "vestibule-routing", "vestibule-config", "sip-proto", "rtp-proto", "vestibule-load-tests"];

const REACHES_OUTSIDE: [&str; 16] = [
    "async",
    "axum",
    "crossbeam",
    "dashmap",
    "fastrand",
    "getrandom",
    "hyper",
    "libc",
    "mio",
    "nix",
    "parking_lot",
    "reqwest",
    "rusqlite",
    "rustix",
    "socket2",
    "tokio",
];

const OUTSIDE_CALLS: [&str; 16] = [
    "Instant::now",
    "SystemTime::now",
    "Timestamp::now",
    "Zoned::now",
    "std::thread",
    "std::fs",
    "std::env",
    "std::process",
    "UdpSocket",
    "TcpStream",
    "TcpListener",
    "tokio::",
    "OsRng",
    "thread_rng",
    "rand::rng(",
    "from_os_rng",
];
