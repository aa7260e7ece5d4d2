//! The HTTP listener: bounded connections, time-outs on heads, graceful end.

use std::{convert::Infallible, net::SocketAddr, pin::pin, sync::Arc, time::Duration};

use axum::{Router, body::Body, http::Request};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpListener,
    sync::{OwnedSemaphorePermit, Semaphore},
};

use super::{AppState, health::Peer, https::Https, readiness::Readiness};
use crate::telemetry::ApiMetrics;

/// Whether a connection is encrypted, put into each of its requests by the server.
#[derive(Clone, Copy, Debug)]
pub struct Encrypted(pub bool);

/// Serves the API until the phase is [`Stopping`](super::readiness::Phase::Stopping); then lets requests
/// that are being answered finish, for at most ten seconds. With `https`, connections begin with a TLS handshake.
pub async fn serve(listener: TcpListener, https: Option<Arc<Https>>, state: AppState) {
    let router = super::router(state.clone());
    let permits = Arc::new(Semaphore::new(state.limits.connections_max));
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = state.readiness.stopping() => break,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                // Out of descriptors, most likely: accepting again at once would spin.
                tracing::warn!(%error, "a connection to the API could not be accepted");
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        let Ok(permit) = permits.clone().try_acquire_owned() else {
            state.metrics.api.refused.inc();
            continue;
        };
        let open = Open::new(permit, state.metrics.api.clone());
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "no TCP_NODELAY");
        }
        let (router, readiness, header_within) =
            (router.clone(), state.readiness.clone(), state.limits.header);
        match https.clone() {
            None => {
                tokio::spawn(talk(
                    stream,
                    (peer, Encrypted(false)),
                    router,
                    readiness,
                    (open, header_within),
                ));
            }
            Some(https) => {
                tokio::spawn(async move {
                    match https.accept(stream).await {
                        Ok(stream) => {
                            let from = (peer, Encrypted(true));
                            talk(stream, from, router, readiness, (open, header_within)).await
                        }
                        Err(error) => {
                            tracing::debug!(%error, "a TLS handshake with the HTTP listener failed")
                        }
                    }
                });
            }
        }
    }
    drop(listener);
    // Every connection gives its permit back when it ends.
    let all = u32::try_from(state.limits.connections_max).unwrap_or(u32::MAX);
    if tokio::time::timeout(FINISH_WITHIN, permits.acquire_many(all)).await.is_err() {
        tracing::warn!("connections to the API were cut off at the end");
    }
}

/// Answers the requests of one connection.
async fn talk(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    (peer, encrypted): (SocketAddr, Encrypted),
    router: Router,
    readiness: Readiness,
    (open, head_within): (Open, Duration),
) {
    let _open = open;
    let service = service_fn(move |request: Request<Incoming>| {
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(Peer(peer));
        request.extensions_mut().insert(encrypted);
        let mut router = router.clone();
        async move {
            use tower_service::Service;
            Ok::<_, Infallible>(match router.call(request).await {
                Ok(response) => response,
                Err(never) => match never {},
            })
        }
    });
    let mut connection = pin!(
        http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(head_within)
            .max_buf_size(HEAD_BYTES_MAX)
            .serve_connection(TokioIo::new(stream), service)
            .with_upgrades()
    );
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = readiness.stopping() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection to the API ended badly");
    }
}

/// A connection's place among those allowed.
struct Open {
    _permit: OwnedSemaphorePermit,
    metrics: ApiMetrics,
}

impl Open {
    fn new(permit: OwnedSemaphorePermit, metrics: ApiMetrics) -> Self {
        metrics.connections.inc();
        Self { _permit: permit, metrics }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.metrics.connections.dec();
    }
}

const HEAD_BYTES_MAX: usize = 64 << 10;
const FINISH_WITHIN: Duration = Duration::from_secs(10);
