//! Failed sign-ins, counted for a time: by login and by address.

use std::{
    collections::HashMap,
    hash::Hash,
    net::IpAddr,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

/// Counts the failures of each for a window that begins with the first.
#[derive(Debug)]
pub(super) struct Failures<K> {
    most: u32,
    window: Duration,
    remembered_max: usize,
    known: Mutex<HashMap<K, (Instant, u32)>>,
}

impl<K: Hash + Eq + Clone> Failures<K> {
    pub(super) fn new(most: u32, window: Duration, remembered_max: usize) -> Self {
        Self { most, window, remembered_max, known: Mutex::default() }
    }

    /// How long no other attempt is looked at; none when it may be made. It counts as failed until [`Failures::forget`]
    /// says otherwise, so that many at once are no way around.
    pub(super) fn begin(&self, key: &K) -> Result<(), Duration> {
        let now = Instant::now();
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((since, count)) = known.get_mut(key) {
            let left = self.window.saturating_sub(now.saturating_duration_since(*since));
            if left.is_zero() {
                (*since, *count) = (now, 1);
            } else if *count >= self.most {
                return Err(left);
            } else {
                *count += 1;
            }
            return Ok(());
        }
        if known.len() >= self.remembered_max {
            known.retain(|_, (since, _)| now.saturating_duration_since(*since) < self.window);
        }
        if known.len() >= self.remembered_max {
            let oldest = known.iter().min_by_key(|(_, (since, _))| *since).map(|(key, _)| key.clone());
            oldest.and_then(|oldest| known.remove(&oldest));
        }
        known.insert(key.clone(), (now, 1));
        Ok(())
    }

    /// Who signed in has not failed.
    pub(super) fn forget(&self, key: &K) {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).remove(key);
    }

    /// One attempt did not fail.
    pub(super) fn take_back(&self, key: &K) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, count)) = known.get_mut(key) {
            *count = count.saturating_sub(1);
        }
    }
}

/// What counts as one address: an IPv6 network of 64 bits is one customer's.
pub(super) fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => IpAddr::V6((u128::from(v6) & !u128::from(u64::MAX)).into()),
        v4 @ IpAddr::V4(_) => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn after_so_many_failures_none_is_looked_at_until_the_window_is_over() {
        let failures = Failures::new(2, Duration::from_secs(60), 10);
        assert!(failures.begin(&"ann").is_ok() && failures.begin(&"ann").is_ok());
        assert_eq!(failures.begin(&"ann"), Err(Duration::from_secs(60)));
        assert!(failures.begin(&"ben").is_ok(), "others are not concerned");
        tokio::time::advance(Duration::from_secs(59)).await;
        assert!(failures.begin(&"ann").is_err());
        tokio::time::advance(Duration::from_secs(1)).await;
        assert!(failures.begin(&"ann").is_ok());
        failures.forget(&"ann");
        assert!(failures.begin(&"ann").is_ok() && failures.begin(&"ann").is_ok());
        failures.take_back(&"ann");
        assert!(failures.begin(&"ann").is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn no_more_are_remembered_than_may_be() {
        let failures = Failures::new(1, Duration::from_secs(60), 3);
        for name in 0..100 {
            assert!(failures.begin(&name).is_ok());
            tokio::time::advance(Duration::from_millis(10)).await;
        }
        assert_eq!(failures.known.lock().unwrap().len(), 3);
        assert!(failures.begin(&99).is_err(), "the newest are remembered");
    }

    #[test]
    fn an_ipv6_network_counts_as_one_address() {
        let of = |text: &str| network(text.parse().unwrap());
        assert_eq!(of("2001:db8::1"), of("2001:db8::ffff:1"));
        assert_ne!(of("2001:db8::1"), of("2001:db8:0:1::1"));
        assert_eq!(of("::ffff:192.0.2.1"), of("192.0.2.1"));
    }
}
