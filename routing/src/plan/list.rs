//! Shared lists of caller numbers.

use std::collections::HashSet;

use crate::{address::E164, contact::Caller};

/// Numbers and prefixes a caller may stand on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NumberList {
    /// Whole numbers.
    pub numbers: HashSet<E164>,
    /// Prefixes with their plus sign, `+4420`.
    pub prefixes: Vec<String>,
    /// Callers without a number belong to the list.
    pub anonymous: bool,
}

impl NumberList {
    /// Whether the caller stands on the list.
    pub fn contains(&self, caller: &Caller) -> bool {
        if caller.anonymous && self.anonymous {
            return true;
        }
        let Some(number) = caller.number else { return false };
        self.numbers.contains(&number) || {
            let text = number.to_string();
            self.prefixes.iter().any(|p| text.starts_with(p.as_str()))
        }
    }
}
