//! On whose behalf a task works, carried from the request to the threads that write (for the audit log).

use vestibule_config::store::{self, Acting};

tokio::task_local! {
    static ACTING: Acting;
}

/// Runs a future on somebody's behalf.
pub(crate) async fn scope<F: Future>(who: Acting, work: F) -> F::Output {
    ACTING.scope(who, work).await
}

/// Work for another thread, done there on behalf of whom this task works for.
pub(crate) fn carried<T>(work: impl FnOnce() -> T) -> impl FnOnce() -> T {
    let who = ACTING.try_with(Clone::clone).ok();
    move || match who {
        Some(who) => store::acting(who, work),
        None => work(),
    }
}
