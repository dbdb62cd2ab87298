//! What a run can choose by environment variables: which random cases and how many, and how patient it is.

use std::env;
use std::fmt::Debug;
use std::str::FromStr;
use std::time::Duration;

use proptest::test_runner::{Config, RngSeed};

/// The number in a variable.
pub fn number<T: FromStr<Err: Debug>>(variable: &str) -> Option<T> {
    let text = env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|error| panic!("{variable} is {text:?}: {error:?}")))
}

/// Where all random cases begin: the same in every run, but for `GPUNORM_TEST_SEED`.
pub fn seed() -> u64 {
    let seed = number("GPUNORM_TEST_SEED").unwrap_or(7);
    println!("GPUNORM_TEST_SEED={seed}");
    seed
}

/// This many random cases, or `GPUNORM_TEST_CASES`.
pub fn count(cases: u32) -> u32 {
    number("GPUNORM_TEST_CASES").unwrap_or(cases)
}

/// A property of as many random cases from [`seed`].
pub fn cases(cases: u32) -> Config {
    Config { cases: count(cases), rng_seed: RngSeed::Fixed(seed()), failure_persistence: None, ..Config::default() }
}

/// A time that a test must end in, `GPUNORM_TEST_TIME_FACTOR` times as long where machines are slow.
pub fn within(seconds: u64) -> Duration {
    Duration::from_secs(seconds).mul_f64(number("GPUNORM_TEST_TIME_FACTOR").unwrap_or(1.0))
}
