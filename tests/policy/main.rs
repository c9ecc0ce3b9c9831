//! Permission, limits and wallet against a reference that keeps every event for ever and recounts from the start each time.
//!
//! The reference knows no rows, indices, counters or increments; the store knows nothing else. Whatever can happen between
//! two numbers and their customers happens in random order, late, twice, corrected and in the same second, under rules and
//! prices that change, with the clock jumping over every boundary.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails there")]

mod compare;
mod reference;
mod regressions;
mod steps;
mod terms;
mod world;

use std::cell::Cell;

use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestRng, TestRunner};

use steps::{PAIRS, Step, steps};
use world::World;

/// Steps of one life at most; proptest shrinks a life that goes wrong to the few steps that matter.
const STEPS: usize = 200;

#[test]
fn lives_that_once_went_wrong_go_right() {
    for (name, life) in regressions::regressions() {
        live("", &life).unwrap_or_else(|error| panic!("{name}: {error}"));
    }
}

#[test]
fn the_store_agrees_with_the_reference_over_the_first_fifty_thousand_steps() {
    assert!(agree("", 1, 530) >= 50_000);
}

#[test]
fn the_store_agrees_with_the_reference_over_the_second_fifty_thousand_steps() {
    assert!(agree("", 2, 530) >= 50_000);
}

#[test]
fn the_store_agrees_with_the_reference_on_postgresql_too() {
    let server = std::env::var("TANDEM_TEST_POSTGRES")
        .expect("run `make test`, or `tests/with-postgres.sh cargo test`: it starts a PostgreSQL of its own");
    assert!(agree(&server, 3, 30) >= 2_000);
}

/// Lives so many lives in both worlds; gives back how many steps those were.
fn agree(server: &str, seed: u8, lives: u32) -> usize {
    let config = Config { cases: lives, failure_persistence: None, max_shrink_iters: 500, ..Config::default() };
    // The same lives in every run: a failure today is a failure tomorrow.
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &[seed; 32]);
    let mut runner = TestRunner::new_with_rng(config, rng);
    let (taken, until_red) = (Cell::new(0), Cell::new(0));
    let outcome = runner.run(&steps(STEPS), |life| {
        taken.set(taken.get() + life.len());
        live(server, &life).map_err(|difference| {
            // Later ones are attempts to shrink it.
            until_red.set(if until_red.get() == 0 { taken.get() } else { until_red.get() });
            TestCaseError::fail(difference)
        })
    });
    if let Err(error) = outcome {
        panic!("within {} steps: {error}", until_red.get());
    }
    taken.get()
}

/// Lives one life in both worlds; the error is the first difference.
fn live(server: &str, life: &[Step]) -> Result<(), String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut world = World::new(server).await;
        for (n, step) in life.iter().enumerate() {
            world.take(*step).await;
            // A difference elsewhere does not go away, and its turn comes.
            let pair = world.touched.take().unwrap_or(n % PAIRS);
            let same = compare::compare(&world, pair, n).await;
            same.map_err(|difference| format!("after step {n} {step:?}: {difference}"))?;
        }
        for pair in 0..PAIRS {
            compare::compare(&world, pair, 0).await?;
        }
        compare::statement(&world, usize::MAX).await
    })
}
