//! The routing domain.
