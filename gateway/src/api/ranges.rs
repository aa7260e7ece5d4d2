//! Files, whole or in part (RFC 9110 §14): players of recordings jump to and fro by asking for ranges.

use std::io::{self, SeekFrom};

use axum::{
    body::Body,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use tokio::{
    fs::File,
    io::{AsyncReadExt as _, AsyncSeekExt as _},
};

use super::files::in_pieces;

/// A file as an answer, or the part of it that the request asks for. Several parts at once are answered by all of it, as
/// RFC 9110 §14.2 allows.
pub(super) async fn served(mut file: File, headers: &HeaderMap, kind: &'static str) -> io::Result<Response> {
    let length = file.metadata().await?.len();
    let asked = headers.get(header::RANGE).and_then(|value| value.to_str().ok());
    let plain = [(header::CONTENT_TYPE, kind.to_owned()), (header::ACCEPT_RANGES, "bytes".to_owned())];
    match asked.map_or(Part::Whole, |asked| part(asked, length)) {
        Part::Whole => {
            let size = [(header::CONTENT_LENGTH, length.to_string())];
            Ok((plain, size, Body::from_stream(in_pieces(file))).into_response())
        }
        Part::Some { first, last } => {
            file.seek(SeekFrom::Start(first)).await?;
            let count = last - first + 1;
            let size = [
                (header::CONTENT_LENGTH, count.to_string()),
                (header::CONTENT_RANGE, format!("bytes {first}-{last}/{length}")),
            ];
            let body = Body::from_stream(in_pieces(file.take(count)));
            Ok((StatusCode::PARTIAL_CONTENT, plain, size, body).into_response())
        }
        Part::Nothing => {
            let size = [(header::CONTENT_RANGE, format!("bytes */{length}"))];
            Ok((StatusCode::RANGE_NOT_SATISFIABLE, size).into_response())
        }
    }
}

/// What is to be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Whole,
    Some {
        first: u64,
        last: u64,
    },
    /// The file has nothing there.
    Nothing,
}

fn part(asked: &str, length: u64) -> Part {
    let Some((first, last)) = asked.strip_prefix("bytes=").and_then(|range| range.split_once('-')) else {
        return Part::Whole;
    };
    let end = length.saturating_sub(1);
    match (first.trim().parse::<u64>(), last.trim()) {
        (Ok(first), _) if first >= length => Part::Nothing,
        (Ok(first), "") => Part::Some { first, last: end },
        (Ok(first), last) => match last.parse::<u64>() {
            Ok(last) if last >= first => Part::Some { first, last: last.min(end) },
            _ => Part::Whole,
        },
        (Err(_), last) if first.trim().is_empty() => match last.parse::<u64>() {
            Ok(0) => Part::Nothing,
            Ok(count) if length > 0 => Part::Some { first: length.saturating_sub(count), last: end },
            Ok(_) => Part::Nothing,
            Err(_) => Part::Whole,
        },
        (Err(_), _) => Part::Whole,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_read_as_the_rfc_says() {
        let some = |first, last| Part::Some { first, last };
        assert_eq!(part("bytes=0-99", 1000), some(0, 99));
        assert_eq!(part("bytes=900-", 1000), some(900, 999));
        assert_eq!(part("bytes=990-5000", 1000), some(990, 999));
        assert_eq!(part("bytes=-10", 1000), some(990, 999));
        assert_eq!(part("bytes=-5000", 1000), some(0, 999));
        assert_eq!(part("bytes=1000-", 1000), Part::Nothing);
        assert_eq!(part("bytes=-0", 1000), Part::Nothing);
        assert_eq!(part("bytes=0-", 0), Part::Nothing);
        for whole in ["bytes=9-5", "bytes=a-b", "items=0-1", "bytes=0-1,5-9", "bytes=5"] {
            assert_eq!(part(whole, 1000), Part::Whole, "{whole}");
        }
    }
}
