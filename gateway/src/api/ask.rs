//! The API asked from within the process: what the console shows and does, it asks for here, as whoever signed in.
//!
//! So it has no power that the API lacks: the same routes, the same guard, the same caller.

use std::sync::{Arc, OnceLock};

use axum::{
    Router,
    extract::Request,
    http::Extensions,
    response::{IntoResponse, Response},
};
use tower::ServiceExt as _;

use super::{AppState, health::Peer, server::Encrypted};
use crate::identity::Caller;

/// The routes under `/api/v1`, made when they are first asked for.
#[derive(Clone, Default)]
pub struct Inner(Arc<OnceLock<Router>>);

impl std::fmt::Debug for Inner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Inner({})", self.0.get().is_some())
    }
}

impl AppState {
    /// Asks the API for whoever made another request, of which these are the extensions: its [`Caller`], if it has one,
    /// and where it came from. The answer is that which he would get himself.
    pub async fn ask(&self, on_behalf_of: &Extensions, mut request: Request) -> Response {
        let (from, to) = (on_behalf_of, request.extensions_mut());
        from.get::<Caller>().cloned().and_then(|caller| to.insert(caller));
        from.get::<Peer>().copied().and_then(|peer| to.insert(peer));
        from.get::<Encrypted>().copied().and_then(|encrypted| to.insert(encrypted));
        // The routes hold a state without routes: no circle keeps all of it alive.
        let alone = || Self { parts: self.parts.clone(), inner: Inner::default() };
        let routes = self.inner.0.get_or_init(|| super::api(alone()));
        match routes.clone().oneshot(request).await {
            Ok(response) => response.into_response(),
            Err(never) => match never {},
        }
    }
}
