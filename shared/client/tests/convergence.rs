//! Whatever happens between several devices and their server: once it is quiet, all show what the server has.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test ends by panicking")]

mod model;

use model::world::{World, action};
use proptest::prelude::*;
use proptest::test_runner::RngSeed;

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 1_000,
        rng_seed: RngSeed::Fixed(0x0068_6f6e_6779_616e),
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn all_devices_come_to_show_what_the_server_has(
        messages in 0..10usize,
        connected in prop::bool::weighted(0.8),
        actions in prop::collection::vec(action(), 0..120),
    ) {
        let mut world = World::new(messages);
        if connected {
            world.drain();
        }
        for action in actions {
            world.perform(action);
        }
        world.drain();
        world.check();
    }
}
