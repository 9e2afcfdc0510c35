//! What several rounds gave.

use std::time::Duration;

#[derive(Debug, Default)]
pub struct Series(Vec<f64>);

impl Series {
    pub fn add(&mut self, value: f64) {
        self.0.push(value);
    }

    /// Takes how many were done in so much processor time, as how many a second.
    pub fn add_rate(&mut self, done: usize, spent: Duration) {
        // The kernel counts in ticks: less than one is one.
        self.add(done as f64 / spent.as_secs_f64().max(0.01));
    }

    /// Takes how many were done in so much processor time, as microseconds each.
    pub fn add_cost(&mut self, done: usize, spent: Duration) {
        self.add(spent.as_secs_f64() * 1e6 / done.max(1) as f64);
    }

    pub fn median(&self) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        let middle = sorted.len() / 2;
        match sorted.as_slice() {
            [] => f64::NAN,
            all if all.len() % 2 == 1 => all[middle],
            all => f64::midpoint(all[middle - 1], all[middle]),
        }
    }
}

/// The value below which this part of all lies; puts them in order.
pub fn quantile(all: &mut [f64], part: f64) -> f64 {
    all.sort_by(f64::total_cmp);
    all.get(((all.len() as f64 - 1.0) * part) as usize).copied().unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_in_the_middle() {
        assert_eq!(Series(vec![3.0, 1.0, 2.0]).median(), 2.0);
        assert_eq!(Series(vec![4.0, 1.0, 2.0, 3.0]).median(), 2.5);
        assert!(Series::default().median().is_nan());
    }
}
