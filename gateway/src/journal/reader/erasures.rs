//! What is read of erasures of customers.

use std::collections::HashSet;

use super::Reader;
use crate::journal::{ErasureRow, FoundKind, JournalError, erasure};

impl Reader {
    /// Erasures that are under way, the oldest first.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn erasures_open(&self) -> Result<Vec<ErasureRow>, JournalError> {
        self.with(|connection| Ok(erasure::open(connection)?)).await
    }

    /// Erasures before an id, the newest first.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn erasures(
        &self,
        before: Option<String>,
        limit: usize,
    ) -> Result<Vec<ErasureRow>, JournalError> {
        self.with(move |connection| Ok(erasure::list(connection, before.as_deref(), limit)?)).await
    }

    /// One of them.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn erasure(&self, id: String) -> Result<Option<ErasureRow>, JournalError> {
        self.with(move |connection| Ok(erasure::one(connection, &id)?)).await
    }

    /// What an erasure has found of a kind; all of it, or what is not done.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn erasure_found(
        &self,
        id: String,
        kind: FoundKind,
        all: bool,
    ) -> Result<Vec<String>, JournalError> {
        self.with(move |connection| Ok(erasure::found_of(connection, &id, kind, all)?)).await
    }

    /// The next rows of events that an erasure has to look into, and how far was looked.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn erasure_events(&self, row: ErasureRow) -> Result<(Vec<u64>, u64), JournalError> {
        self.with(move |connection| Ok(erasure::doomed(connection, &row)?)).await
    }

    /// Which of some files anything names that is kept, in a part of the events behind a sequence; and where to look on.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn files_named(
        &self,
        files: HashSet<String>,
        after: u64,
    ) -> Result<(Vec<String>, Option<u64>), JournalError> {
        self.with(move |connection| Ok(erasure::named(connection, &files, after)?)).await
    }

    /// How many calls of a customer go on.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn calls_of(&self, customer: String) -> Result<u64, JournalError> {
        self.with(move |connection| Ok(erasure::calls(connection, &customer)?)).await
    }
}
