//! How long to wait before trying again: doubling from one second to thirty, never all clients at once.

const FIRST_MS: i64 = 1_000;
const LONGEST_MS: i64 = 30_000;

/// SplitMix64: small, and the same for the same seed.
#[derive(Debug)]
pub struct Backoff {
    state: u64,
    attempt: u32,
}

impl Backoff {
    pub fn new(seed: u64) -> Self {
        Self { state: seed, attempt: 0 }
    }

    pub fn reset(&mut self) {
        self.attempt = 0;
    }

    pub fn attempt(&self) -> u32 {
        self.attempt
    }

    /// The wait before the next try: between half of its step and all of it.
    pub fn next_ms(&mut self) -> i64 {
        let step = FIRST_MS.saturating_mul(1 << self.attempt.min(5)).min(LONGEST_MS);
        self.attempt = self.attempt.saturating_add(1);
        self.between(step / 2, step)
    }

    /// Somewhere from `low` to `high`.
    pub fn between(&mut self, low: i64, high: i64) -> i64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^= mixed >> 31;
        let span = high.saturating_sub(low).unsigned_abs().saturating_add(1);
        low.saturating_add_unsigned(mixed % span)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_from_one_second_to_thirty_and_differ_by_seed() {
        let waits = |seed| {
            let mut backoff = Backoff::new(seed);
            (0..8).map(|_| backoff.next_ms()).collect::<Vec<_>>()
        };
        let one = waits(1);
        for (wait, step) in one.iter().zip([1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000, 30_000]) {
            assert!((step / 2..=step).contains(wait), "{wait} of {step}");
        }
        assert_eq!(one, waits(1));
        assert_ne!(one, waits(2));
    }
}
