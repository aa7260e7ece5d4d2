//! Asking a carrier over HTTP: what may be asked again is, what must not be is asked once, and the answer is sorted by what
//! is known afterwards.

use std::time::Duration;

use rand::{Rng as _, SeedableRng as _, rngs::StdRng};
use reqwest::{RequestBuilder, Response, StatusCode, header};
use serde_json::Value;

use super::contract::NotDone;

/// How often what may be repeated is asked.
const TRIES: u32 = 3;
/// Before the second try; doubled for the third.
const FIRST_WAIT: Duration = Duration::from_millis(300);
/// A carrier that wants more patience than this is left for later.
const PATIENCE: Duration = Duration::from_secs(5);
/// Longest answer read, bytes.
const ANSWER_BYTES_MAX: usize = 2 << 20;
/// Longest of a carrier's words that are kept, characters.
const WORDS_MAX: usize = 300;

/// The code and words of a refusal.
pub(super) type Words = fn(&Value) -> (Option<String>, Option<String>);

/// Asks what changes nothing, or changes nothing more the second time; a few times when it fails.
pub(super) async fn again(words: Words, request: impl Fn() -> RequestBuilder) -> Result<Value, NotDone> {
    let mut wait = FIRST_WAIT;
    for _ in 1..TRIES {
        match attempt(words, request()).await {
            (Err(NotDone::Later | NotDone::Unknown(_)), patience) => {
                let wanted = patience.unwrap_or(wait);
                if wanted > PATIENCE {
                    break;
                }
                tokio::time::sleep(wanted.mul_f64(StdRng::from_os_rng().random_range(0.75..1.25))).await;
                wait *= 2;
            }
            (answer, _) => return answer,
        }
    }
    attempt(words, request()).await.0
}

/// Asks once: for what would be done twice.
pub(super) async fn once(words: Words, request: RequestBuilder) -> Result<Value, NotDone> {
    attempt(words, request).await.0
}

/// What came of it, and how long the carrier wants to be left alone.
async fn attempt(words: Words, request: RequestBuilder) -> (Result<Value, NotDone>, Option<Duration>) {
    let response = match request.send().await {
        Ok(response) => response,
        Err(error) => return (Err(NotDone::Unknown(failure(&error))), None),
    };
    let status = response.status();
    let patience = response.headers().get(header::RETRY_AFTER).and_then(|value| value.to_str().ok());
    let patience = patience.and_then(|text| text.trim().parse().ok()).map(Duration::from_secs);
    let answer = match read(response).await {
        Ok(answer) => answer,
        Err(why) => return (Err(NotDone::Unknown(why)), patience),
    };
    (sorted(words, status, answer), patience)
}

fn sorted(words: Words, status: StatusCode, answer: Option<Value>) -> Result<Value, NotDone> {
    match status.as_u16() {
        204 => Ok(Value::Null),
        200..=299 => answer.ok_or_else(|| NotDone::Unknown("its answer is not understood".to_owned())),
        429 => Err(NotDone::Later),
        // A request that timed out, or came too early: nobody says that it was not done.
        408 | 425 => Err(NotDone::Unknown(format!("it answered {status}"))),
        400..=499 => {
            let (code, says) = words(&answer.unwrap_or_default());
            let code = code.unwrap_or_else(|| status.as_u16().to_string());
            let says = says.unwrap_or_else(|| status.canonical_reason().unwrap_or("no reason").to_owned());
            Err(NotDone::Refused { code, says: says.chars().take(WORDS_MAX).collect() })
        }
        _ => Err(NotDone::Unknown(format!("it answered {status}"))),
    }
}

/// Without the address, which may hold an account's id.
fn failure(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        "it did not answer in time".to_owned()
    } else if error.is_connect() {
        "it was not reached".to_owned()
    } else {
        "the connection broke off".to_owned()
    }
}

/// The answer as JSON; none when it is something else.
async fn read(mut response: Response) -> Result<Option<Value>, String> {
    let mut bytes = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| failure(&error))? {
        if bytes.len().saturating_add(chunk.len()) > ANSWER_BYTES_MAX {
            return Err("its answer is too long".to_owned());
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(serde_json::from_slice(&bytes).ok())
}

/// A text in an answer; none when it is missing, empty or something else.
pub(super) fn text(answer: &Value, pointer: &str) -> Option<String> {
    answer.pointer(pointer)?.as_str().filter(|text| !text.is_empty()).map(str::to_owned)
}

/// A list in an answer; empty when it is missing.
pub(super) fn list<'a>(answer: &'a Value, pointer: &str) -> &'a [Value] {
    answer.pointer(pointer).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// The id that must stand in an answer.
pub(super) fn id(answer: &Value, pointer: &str) -> Result<String, NotDone> {
    text(answer, pointer).ok_or_else(|| NotDone::Unknown("its answer has no id".to_owned()))
}
