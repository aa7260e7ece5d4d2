//! Numbers, addresses and texts of customers, wrapped so that a log line cannot show them by accident.

use std::fmt;

/// Personal data. `Debug` and `Display` show its length and nothing of it; [`Pii::reveal`] is for the wire
/// and the journal, never for a log.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Pii<T>(T);

impl<T> Pii<T> {
    /// Wraps a value.
    pub const fn new(value: T) -> Self {
        Self(value)
    }

    /// The value itself.
    pub const fn reveal(&self) -> &T {
        &self.0
    }

    /// The value itself, unwrapped.
    pub fn into_inner(self) -> T {
        self.0
    }
}

impl<T: AsRef<str>> fmt::Display for Pii<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "‹{} characters›", self.0.as_ref().chars().count())
    }
}

impl<T> fmt::Debug for Pii<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("‹hidden›")
    }
}

#[cfg(test)]
mod tests {
    use super::Pii;

    #[test]
    fn personal_data_shows_neither_in_debug_nor_in_display() {
        let number = Pii::new("+14155550100");
        let shown = format!("{number} {number:?} {:?}", Some(&number));
        assert!(!shown.contains("4155550100"), "{shown}");
        assert!(shown.contains("12 characters"), "{shown}");
        assert_eq!(*number.reveal(), "+14155550100");
    }
}
