//! The machine's clock, moved.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use whereas::ledger::Timestamp;
use whereas::sequencer::{Clock, SystemClock};

/// Runs as the machine's clock does, and can be moved.
#[derive(Debug, Default)]
pub struct TestClock {
    machine: SystemClock,
    /// By how many microseconds time went on.
    passed: AtomicI64,
    /// By how many microseconds the wall clock alone was set.
    set: AtomicI64,
}

impl TestClock {
    /// Lets time pass.
    pub fn pass(&self, time: Duration) {
        let micros = i64::try_from(time.as_micros()).unwrap();
        self.passed.fetch_add(micros, Ordering::SeqCst);
    }

    /// Sets the wall clock by so many seconds; steady time goes on.
    pub fn set(&self, seconds: i64) {
        self.set.fetch_add(seconds * 1_000_000, Ordering::SeqCst);
    }
}

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        let moved = self.passed.load(Ordering::SeqCst) + self.set.load(Ordering::SeqCst);
        self.machine.now().plus_micros(moved)
    }

    fn elapsed(&self) -> Duration {
        let passed = u64::try_from(self.passed.load(Ordering::SeqCst)).unwrap();
        self.machine.elapsed() + Duration::from_micros(passed)
    }
}
