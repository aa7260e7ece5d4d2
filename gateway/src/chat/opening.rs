//! Whether a visitor may begin a chat, by the server's clock.

use jiff::Timestamp;
use serde::Serialize;
use vestibule_config::document::ThrottleDoc;

use crate::journal::ChatQueue;

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

/// How long a visitor would wait who begins now: as many times as others wait what chats last lately, shared among the
/// agents who are there; and never less than the first has waited already. Without agents or chats to tell by, that alone.
pub fn wait_seconds(queue: ChatQueue, agents: Option<u32>, now: Timestamp) -> i64 {
    let waited = queue.since.map_or(0, |since| now.duration_since(since).as_secs());
    let estimate = queue.handle_seconds.zip(agents).and_then(|(handle, agents)| {
        handle.saturating_mul(i64::from(queue.waiting)).checked_div(i64::from(agents))
    });
    estimate.unwrap_or(0).max(waited)
}

/// What a throttle says to a visitor who drew a number from 0 to 99, and would wait for so many seconds.
pub fn of_throttle(throttle: Option<ThrottleDoc>, draw: u8, wait_seconds: i64) -> Opening {
    let open = match throttle {
        None => true,
        Some(ThrottleDoc::Percent(percent)) => draw < percent,
        Some(ThrottleDoc::WaitSeconds(most)) => wait_seconds <= i64::from(most),
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
    fn a_wait_is_estimated_by_those_before_and_the_agents_who_are_there() {
        let now = Timestamp::from_second(1_800_000_000).unwrap();
        let since = Timestamp::from_second(1_800_000_000 - 40).ok();
        let queue = ChatQueue { waiting: 6, since, handle_seconds: Some(300) };
        assert_eq!(wait_seconds(queue, Some(3), now), 600);
        assert_eq!(wait_seconds(queue, Some(1000), now), 40, "the first has waited that long");
        assert_eq!(wait_seconds(queue, Some(0), now), 40, "nobody is there");
        assert_eq!(wait_seconds(queue, None, now), 40);
        assert_eq!(wait_seconds(ChatQueue { handle_seconds: None, ..queue }, Some(3), now), 40);
        assert_eq!(wait_seconds(ChatQueue::default(), Some(3), now), 0, "nobody waits");
    }

    #[test]
    fn a_long_queue_is_not_made_longer() {
        let at = |waited| of_throttle(Some(ThrottleDoc::WaitSeconds(60)), 50, waited);
        assert_eq!([at(0), at(60), at(61)], [Opening::Open, Opening::Open, Opening::Busy]);
    }
}
