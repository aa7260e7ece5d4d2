//! The draft as routing, for calls to test numbers.

use std::sync::{Arc, Mutex, PoisonError};

use super::{Numbers, Store, StoreError, draft};
use crate::{active::ActiveRouting, diagnostic::Diagnostic};

/// The draft, compiled.
#[derive(Clone, Debug)]
pub enum Drafted {
    /// The draft changes nothing.
    Same,
    /// What publishing it would make active. Its revision is 0.
    Ready(Arc<ActiveRouting>),
    /// It cannot be published.
    Broken(Vec<Diagnostic>),
}

/// What was compiled last, with the versions that it was made from: of the draft, and of what was active.
#[derive(Debug, Default)]
pub(super) struct Kept(Mutex<Option<((u64, u64), Drafted)>>);

impl Store {
    /// The draft as routing, with its sounds made ready. Compiled once for each version of it.
    ///
    /// # Errors
    /// The store fails.
    pub fn drafted(&self) -> Result<Drafted, StoreError> {
        let connection = self.lock();
        let versions = (draft::version(&connection)?, self.active.load().revision);
        let kept = self.drafted.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some((_, known)) = kept.filter(|(known, _)| *known == versions) {
            return Ok(known);
        }
        let changes = draft::read(&connection)?.changes;
        let drafted = if changes.is_empty() {
            Drafted::Same
        } else {
            match self.compile_changes(&connection, changes, &Numbers::new()) {
                Ok((_, compiled, _)) => {
                    drop(connection);
                    match self.make_ready(&compiled.prompts) {
                        Ok(()) => Drafted::Ready(Arc::new(ActiveRouting::new(0, compiled))),
                        Err(StoreError::Invalid(findings)) => Drafted::Broken(findings),
                        Err(error) => return Err(error),
                    }
                }
                Err(StoreError::Invalid(findings)) => Drafted::Broken(findings),
                Err(error) => return Err(error),
            }
        };
        *self.drafted.0.lock().unwrap_or_else(PoisonError::into_inner) = Some((versions, drafted.clone()));
        Ok(drafted)
    }
}
