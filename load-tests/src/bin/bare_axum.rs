//! A peer of `bench/webhook.py`: axum that reads a POST and answers, with nothing checked and nothing kept.
//!
//! `bare_axum PORT`: what is left of a webhook's cost when this is taken away is what we do with it.

use axum::{Router, body::Bytes, http::header, response::IntoResponse, routing::post};

async fn take(body: Bytes) -> impl IntoResponse {
    // Looked at, so that reading it cannot be left out.
    let answer = if body.is_empty() { "<Response><!-- empty --></Response>" } else { "<Response/>" };
    ([(header::CONTENT_TYPE, "text/xml")], answer)
}

fn main() -> anyhow::Result<()> {
    let port: u16 = std::env::args().nth(1).ok_or_else(|| anyhow::anyhow!("name a port"))?.parse()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await?;
        axum::serve(listener, Router::new().route("/webhooks/sms", post(take))).await?;
        Ok(())
    })
}
