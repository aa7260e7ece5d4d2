//! Which routing a call goes through: the active one, or for a test number the draft.

use std::sync::Arc;

use vestibule_config::{active::ActiveRouting, store::Drafted};
use vestibule_routing::address::E164;

use crate::hub::Services;

/// The routing for a call to `user`. A draft that cannot be published lets nobody in: who tests it must not hear what is
/// active and take it for the draft.
pub(super) async fn routing_for(services: &Services, user: &str) -> Arc<ActiveRouting> {
    let active = services.routing.active().load();
    let number = E164::from_user_part(user).filter(|number| active.plan.test_numbers.contains(number));
    let Some(number) = number else { return active };
    let store = services.routing.clone();
    let drafted = tokio::task::spawn_blocking(move || store.drafted()).await;
    match drafted {
        Ok(Ok(Drafted::Same)) => active,
        Ok(Ok(Drafted::Ready(routing))) => routing,
        Ok(Ok(Drafted::Broken(findings))) => {
            tracing::warn!(findings = findings.len(), "a test number was called, and the draft has errors");
            Arc::new(active.without(number))
        }
        Ok(Err(error)) => {
            tracing::error!(%error, "a test number was called, and the draft could not be read");
            Arc::new(active.without(number))
        }
        Err(_) => {
            tracing::error!("compiling the draft had panicked");
            Arc::new(active.without(number))
        }
    }
}
