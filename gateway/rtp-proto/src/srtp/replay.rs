//! Which indices of a source were used: the window that refuses replays, and the estimate of the rollover counter.

use super::SrtpError;

/// The indices seen, of the highest one and of 127 before it (RFC 3711 §3.3.2 asks for 64 at least).
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Window {
    /// None before the first packet.
    highest: Option<u64>,
    /// The lowest bit is the highest index; those before it follow.
    seen: u128,
}

impl Window {
    /// The index a sequence number stands for: of those that end in it the one nearest to the highest index seen
    /// (RFC 3711 §3.3.1); the first packet has no rollover behind it. None before index zero or past the last.
    pub(super) fn estimate(&self, sequence: u16) -> Option<u64> {
        let Some(highest) = self.highest else { return Some(u64::from(sequence)) };
        let [.., high, low] = highest.to_be_bytes();
        let distance = sequence.wrapping_sub(u16::from_be_bytes([high, low])).cast_signed();
        highest.checked_add_signed(i64::from(distance)).filter(|index| *index <= RTP_INDEX_MAX)
    }

    /// Refuses an index that was seen, or that is too old to know.
    pub(super) fn check(&self, index: u64) -> Result<(), SrtpError> {
        let Some(highest) = self.highest else { return Ok(()) };
        match highest.checked_sub(index).map(u32::try_from) {
            None => Ok(()),
            Some(Ok(age)) if age < u128::BITS && self.seen.wrapping_shr(age) & 1 == 0 => Ok(()),
            Some(Ok(_) | Err(_)) => Err(SrtpError::Replayed),
        }
    }

    /// Remembers an index; only after its packet was found authentic.
    pub(super) fn note(&mut self, index: u64) {
        let highest = self.highest.unwrap_or(index);
        if let Some(age) = highest.checked_sub(index) {
            let bit = u32::try_from(age).ok().and_then(|age| 1_u128.checked_shl(age));
            self.seen |= bit.unwrap_or(0);
            self.highest = Some(highest);
        } else {
            let step = u32::try_from(index.wrapping_sub(highest)).ok();
            self.seen = step.and_then(|step| self.seen.checked_shl(step)).unwrap_or(0) | 1;
            self.highest = Some(index);
        }
    }
}

/// 32 bits of rollovers above 16 of sequence number.
const RTP_INDEX_MAX: u64 = 0xffff_ffff_ffff;

#[cfg(test)]
mod tests {
    use super::*;

    fn after(indices: &[u64]) -> Window {
        let mut window = Window::default();
        for &index in indices {
            window.note(index);
        }
        window
    }

    #[test]
    fn the_rollover_counter_follows_the_sequence_number_in_both_directions() {
        assert_eq!(Window::default().estimate(65_535), Some(65_535));
        assert_eq!(after(&[65_535]).estimate(0), Some(65_536), "wrapped");
        assert_eq!(after(&[65_536]).estimate(65_535), Some(65_535), "late, from before the wrap");
        assert_eq!(after(&[5]).estimate(65_000), None, "from before the first packet");
        assert_eq!(after(&[65_536 * 7 + 40_000]).estimate(7000), Some(65_536 * 8 + 7000));
        assert_eq!(after(&[65_536 * 7 + 40_000]).estimate(8000), Some(65_536 * 7 + 8000));
        assert_eq!(after(&[RTP_INDEX_MAX]).estimate(0), None, "no index is left");
    }

    #[test]
    fn an_index_is_taken_once_and_only_while_the_window_reaches_it() {
        let window = after(&[1000, 1003, 1001]);
        for (index, taken) in
            [(1000, false), (1001, false), (1002, true), (1003, false), (1004, true), (999, true)]
        {
            assert_eq!(window.check(index).is_ok(), taken, "{index}");
        }
        assert_eq!(window.check(1003 - 127), Ok(()));
        assert_eq!(window.check(1003 - 128), Err(SrtpError::Replayed));
        assert_eq!(window.check(0), Err(SrtpError::Replayed));
        let far = after(&[1000, 1 << 40]);
        assert_eq!((far.check((1 << 40) - 1), far.check(1000)), (Ok(()), Err(SrtpError::Replayed)));
    }
}
