//! Numbers, places and waits, said with the built-in words.
//!
//! The words are prompts named `builtin:…`; a document's prompt of the same name takes the place of one.

use std::time::Duration;

use super::action::Sound;
use crate::id::PromptId;

/// The greatest number that can be said.
pub(super) const NUMBER_MAX: u32 = 999;

/// One of the gateway's own prompts.
pub(super) fn word(name: &str) -> Sound {
    Sound::Prompt(PromptId::new(format!("builtin:{name}")))
}

/// A number up to [`NUMBER_MAX`] in words; nothing for a greater one.
pub(super) fn number(number: u32) -> Vec<Sound> {
    let mut words = Vec::new();
    let (hundreds, rest) = (number / 100, number % 100);
    if number > NUMBER_MAX {
        return words;
    }
    let mut say = |number: u32| words.push(word(&format!("number_{number}")));
    if hundreds > 0 {
        say(hundreds);
        say(100);
    }
    match (rest, rest % 10) {
        (0, _) if hundreds > 0 => {}
        (0..=19, _) | (_, 0) => say(rest),
        (_, ones) => {
            say(rest.saturating_sub(ones));
            say(ones);
        }
    }
    words
}

/// The digits of a text, one by one; what is no digit is left out.
pub(super) fn digits(text: &str) -> Vec<Sound> {
    text.chars().filter_map(|c| c.to_digit(10)).map(|digit| word(&format!("number_{digit}"))).collect()
}

/// A place in a queue; nothing when it is too far back to be said.
pub(super) fn position(place: u32) -> Vec<Sound> {
    match place {
        0 => Vec::new(),
        1 => vec![word("position_next")],
        place => framed("position_before", number(place), "position_after"),
    }
}

/// An estimated wait, in minutes rounded up.
pub(super) fn wait(minutes: u64) -> Vec<Sound> {
    match u32::try_from(minutes) {
        Ok(0) => vec![word("wait_under_a_minute")],
        Ok(1) => framed("wait_before", number(1), "wait_minute"),
        Ok(minutes @ 2..60) => framed("wait_before", number(minutes), "wait_minutes"),
        Ok(_) | Err(_) => vec![word("wait_over_an_hour")],
    }
}

/// Minutes of a wait: none below half a minute, else rounded up.
pub(super) fn minutes(wait: Duration) -> u64 {
    match wait.as_secs() {
        0..30 => 0,
        seconds => seconds.div_ceil(60),
    }
}

fn framed(before: &str, words: Vec<Sound>, after: &str) -> Vec<Sound> {
    if words.is_empty() {
        return words;
    }
    std::iter::once(word(before)).chain(words).chain(std::iter::once(word(after))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(sounds: &[Sound]) -> String {
        let words: Vec<String> = sounds
            .iter()
            .map(|sound| match sound {
                Sound::Prompt(id) => id.as_str().trim_start_matches("builtin:").replace("number_", ""),
                Sound::Ringback | Sound::Beep | Sound::Silence(_) => "?".to_owned(),
            })
            .collect();
        words.join(" ")
    }

    #[test]
    fn numbers_are_said_as_people_say_them() {
        for (value, words) in [
            (0, "0"),
            (7, "7"),
            (13, "13"),
            (20, "20"),
            (21, "20 1"),
            (99, "90 9"),
            (100, "1 100"),
            (112, "1 100 12"),
            (340, "3 100 40"),
            (999, "9 100 90 9"),
            (1000, ""),
        ] {
            assert_eq!(said(&number(value)), words, "{value}");
        }
        assert_eq!(said(&digits("+1 (415) 0")), "1 4 1 5 0");
    }

    #[test]
    fn places_and_waits_have_their_own_words_at_the_ends() {
        assert_eq!(said(&position(1)), "position_next");
        assert_eq!(said(&position(24)), "position_before 20 4 position_after");
        assert_eq!(said(&position(1000)), "");
        let waited = |seconds| said(&wait(minutes(Duration::from_secs(seconds))));
        assert_eq!(waited(29), "wait_under_a_minute");
        assert_eq!(waited(30), "wait_before 1 wait_minute");
        assert_eq!(waited(61), "wait_before 2 wait_minutes");
        assert_eq!(waited(59 * 60), "wait_before 50 9 wait_minutes");
        assert_eq!(waited(59 * 60 + 1), "wait_over_an_hour");
    }
}
