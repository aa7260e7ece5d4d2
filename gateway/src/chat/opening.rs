//! Whether a visitor may begin a chat, by the server's clock.

use serde::Serialize;
use vestibule_config::document::ThrottleDoc;

/// Whether a chat may be begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Opening {
    /// It may, or it goes on.
    Open,
    /// Out of hours.
    Closed,
    /// There are too many chats.
    Busy,
    /// The entry point is disarmed: there is no chat.
    Off,
}

/// Whether the throttle wants to know how long chats wait.
pub fn asks_for_wait(throttle: ThrottleDoc) -> bool {
    matches!(throttle, ThrottleDoc::WaitSeconds(_))
}

/// What a throttle says to a visitor who drew a number from 0 to 99, while the first chat in the queue has waited for
/// so many seconds.
pub fn of_throttle(throttle: Option<ThrottleDoc>, draw: u8, waited_seconds: i64) -> Opening {
    let open = match throttle {
        None => true,
        Some(ThrottleDoc::Percent(percent)) => draw < percent,
        Some(ThrottleDoc::WaitSeconds(most)) => waited_seconds <= i64::from(most),
    };
    if open { Opening::Open } else { Opening::Busy }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_throttle_lets_through_its_share() {
        let through = |percent| {
            (0..100)
                .filter(|draw| of_throttle(Some(ThrottleDoc::Percent(percent)), *draw, 0) == Opening::Open)
                .count()
        };
        assert_eq!([through(0), through(37), through(100)], [0, 37, 100]);
        assert_eq!(of_throttle(None, 99, 9999), Opening::Open);
    }

    #[test]
    fn a_long_queue_is_not_made_longer() {
        let at = |waited| of_throttle(Some(ThrottleDoc::WaitSeconds(60)), 50, waited);
        assert_eq!([at(0), at(60), at(61)], [Opening::Open, Opening::Open, Opening::Busy]);
    }
}
