//! Work that may wait for a disk, done where waiting is allowed. It is boxed, so that the compiler makes one task for
//! all kinds of work instead of one for each of some two hundred; a look at the disk costs far more than a box.

use std::any::Any;

use tokio::task::spawn_blocking;

type Answer = Box<dyn Any + Send>;
type Work = Box<dyn FnOnce() -> Answer + Send>;

/// The work panicked, or the process is ending.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the work was cut off")]
pub(crate) struct CutOff;

/// Runs work on a thread that may wait. It goes on to its end when nobody waits for it any more.
///
/// # Errors
/// It has no result: [`CutOff`].
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, CutOff> {
    let boxed: Work = Box::new(move || Box::new(work()));
    let answer = spawn_blocking(boxed).await.map_err(|_| CutOff)?;
    answer.downcast().map(|answer| *answer).map_err(|_| CutOff)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn work_gives_what_it_made_and_a_panic_is_no_result() {
        assert_eq!(blocking(|| vec!["a", "b"]).await, Ok(vec!["a", "b"]));
        assert_eq!(blocking(|| -> u32 { panic!("a fault") }).await, Err(CutOff));
    }
}
