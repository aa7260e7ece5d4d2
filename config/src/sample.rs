//! The document that a new gateway starts with: three numbers to call, to see that everything works.

/// The sample, in YAML.
pub const SAMPLE: &str = include_str!("sample.yaml");
