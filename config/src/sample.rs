//! The document that a new gateway starts with: three numbers to call, an SMS webhook and a chat, to see that everything
//! works.

use std::path::Path;

/// The sample, in YAML, for the default settings.
pub const SAMPLE: &str = include_str!("sample.yaml");

/// The file in the data folder whose words sign the sample's SMS webhook.
pub const TOKEN_FILE: &str = "sample-token";

/// The sample for a data folder and an address of the HTTP listener.
pub fn sample(data: &Path, http: &str) -> String {
    SAMPLE
        .replace("127.0.0.1:8080", http)
        .replace("file:vestibule-data/", &format!("file:{}/", data.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sample_knows_where_it_runs() {
        let text = sample(Path::new("/srv/data"), "10.0.0.1:81");
        assert!(text.contains(&format!("file:/srv/data/{TOKEN_FILE}")));
        assert!(text.contains("http://10.0.0.1:81/webhooks/sample") && !text.contains("8080"), "{text}");
    }
}
