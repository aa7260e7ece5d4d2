//! On whose behalf a thread works just now: who changes something, and from where.
//!
//! Most changes are told who makes them; where they come from (an address, a session, a key) is known at the edge only, and
//! is no business of what lies between. So the edge says it once for all that is done for one request ([`acting`]), and
//! the audit log looks here.

use std::cell::RefCell;

/// Who acts, and from where.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Acting {
    /// A user's login, a key's name, or `system`.
    pub actor: String,
    /// The address, and the session or key; empty when nobody outside asked.
    pub from: String,
    /// The person behind it: who signed in, or made the key; empty when there is none.
    pub person: String,
}

thread_local! {
    static ACTING: RefCell<Option<Acting>> = const { RefCell::new(None) };
}

/// Does work on somebody's behalf; after that the thread works for whom it did before.
pub fn acting<T>(who: Acting, work: impl FnOnce() -> T) -> T {
    /// Puts the former one back, also when the work panics.
    struct Back(Option<Acting>);
    impl Drop for Back {
        fn drop(&mut self) {
            ACTING.with(|acting| *acting.borrow_mut() = self.0.take());
        }
    }
    let _back = Back(ACTING.with(|acting| acting.borrow_mut().replace(who)));
    work()
}

/// For whom this thread works; nobody: the gateway itself.
pub(in crate::store) fn now() -> Acting {
    let acting = ACTING.with(|acting| acting.borrow().clone());
    acting.unwrap_or_else(|| Acting { actor: SYSTEM.to_owned(), ..Acting::default() })
}

/// Who changes what nobody asked for.
const SYSTEM: &str = "system";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_works_for_the_one_before_again_also_after_a_panic() {
        let who = |actor: &str| Acting {
            actor: actor.to_owned(),
            from: "192.0.2.1".to_owned(),
            person: actor.to_owned(),
        };
        acting(who("ann"), || {
            let broken =
                std::panic::catch_unwind(|| acting(who("ben"), || std::panic::resume_unwind(Box::new(()))));
            assert!(broken.is_err());
            assert_eq!(now(), who("ann"));
        });
        assert_eq!(now().actor, SYSTEM);
    }
}
