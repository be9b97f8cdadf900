//! Time, as the ledger takes it.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::ledger::Timestamp;

/// Gives the wall clock's time, and a clock that cannot be set to compare it with.
pub trait Clock: Send + Sync {
    /// The wall clock.
    fn now(&self) -> Timestamp;
    /// Time since some fixed moment of this process; never steps.
    fn elapsed(&self) -> Duration;
}

/// The machine's clocks.
#[derive(Debug)]
pub struct SystemClock(Instant);

impl Default for SystemClock {
    fn default() -> Self {
        Self(Instant::now())
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        let micros = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |d| i64::try_from(d.as_micros()).unwrap_or(i64::MAX));
        // A machine whose clock is beyond the year 9999 has other problems; time 0 is far behind and stops writes.
        Timestamp::from_micros(micros).unwrap_or(Timestamp::EPOCH)
    }

    fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }
}

/// Decides what `recorded` says, and notices steps.
#[derive(Debug)]
pub(super) struct LedgerClock {
    last: Timestamp,
    /// Wall and steady clock at the last look.
    seen: Option<(Timestamp, Duration)>,
    confirmed: bool,
}

/// A step larger than this is an entry.
const STEP: i64 = 2_000_000;
/// A clock further behind the ledger than this stops writes until somebody confirms it.
const FAR_BEHIND: i64 = 300_000_000;

/// What the clocks say at the start of a commit.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Reading {
    /// Use this.
    Time {
        recorded: Timestamp,
        step: Option<Step>,
    },
    /// The wall clock is this far behind the ledger: do not write.
    FarBehind { now: Timestamp, last: Timestamp },
}

/// The wall clock is not where it should be.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Step {
    pub expected: Timestamp,
    pub found: Timestamp,
}

impl LedgerClock {
    pub fn new(last: Timestamp) -> Self {
        Self {
            last,
            seen: None,
            confirmed: false,
        }
    }

    /// Allows the next commit although the clock is far behind.
    pub fn confirm(&mut self) {
        self.confirmed = true;
    }

    pub fn read(&mut self, clock: &dyn Clock) -> Reading {
        let (now, steady) = (clock.now(), clock.elapsed());
        if now.micros() < self.last.micros() - FAR_BEHIND && !self.confirmed {
            return Reading::FarBehind {
                now,
                last: self.last,
            };
        }
        let expected = match self.seen {
            Some((wall, then)) => wall.plus_micros(
                i64::try_from(steady.saturating_sub(then).as_micros()).unwrap_or(i64::MAX),
            ),
            // After a start only a clock behind the ledger is known to be wrong.
            None => now.max(self.last),
        };
        let step = ((now.micros() - expected.micros()).abs() > STEP).then_some(Step {
            expected,
            found: now,
        });
        self.seen = Some((now, steady));
        self.last = self.last.max(now);
        if now.micros() >= self.last.micros() {
            self.confirmed = false;
        }
        Reading::Time {
            recorded: self.last,
            step,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;

    struct Hands(Mutex<(i64, u64)>);
    impl Clock for Hands {
        fn now(&self) -> Timestamp {
            Timestamp::from_micros(self.0.lock().map(|h| h.0).unwrap_or(0))
                .unwrap_or(Timestamp::EPOCH)
        }
        fn elapsed(&self) -> Duration {
            Duration::from_micros(self.0.lock().map(|h| h.1).unwrap_or(0))
        }
    }

    fn at(wall: i64, steady: u64) -> Hands {
        Hands(Mutex::new((wall * 1_000_000, steady * 1_000_000)))
    }

    fn secs(s: i64) -> Timestamp {
        Timestamp::from_micros(s * 1_000_000).unwrap_or(Timestamp::EPOCH)
    }

    #[test]
    fn recorded_never_decreases_and_steps_are_noticed() {
        let mut c = LedgerClock::new(secs(1000));
        assert_eq!(
            c.read(&at(1010, 0)),
            Reading::Time {
                recorded: secs(1010),
                step: None
            }
        );
        assert_eq!(
            c.read(&at(1015, 5)),
            Reading::Time {
                recorded: secs(1015),
                step: None
            }
        );
        assert_eq!(
            c.read(&at(1006, 6)),
            Reading::Time {
                recorded: secs(1015),
                step: Some(Step {
                    expected: secs(1016),
                    found: secs(1006)
                })
            }
        );
        assert_eq!(
            c.read(&at(1007, 7)),
            Reading::Time {
                recorded: secs(1015),
                step: None
            }
        );
        assert_eq!(
            c.read(&at(5000, 8)),
            Reading::Time {
                recorded: secs(5000),
                step: Some(Step {
                    expected: secs(1008),
                    found: secs(5000)
                })
            }
        );
    }

    #[test]
    fn a_clock_far_behind_stops_writes_until_confirmed() {
        let mut c = LedgerClock::new(secs(10_000));
        let behind = Reading::FarBehind {
            now: secs(9_000),
            last: secs(10_000),
        };
        assert_eq!(c.read(&at(9_000, 0)), behind);
        assert_eq!(c.read(&at(9_000, 1)), behind);
        c.confirm();
        assert!(
            matches!(c.read(&at(9_001, 1)), Reading::Time { recorded, step: Some(_) } if recorded == secs(10_000))
        );
        assert!(
            matches!(c.read(&at(9_002, 2)), Reading::Time { step: None, .. }),
            "confirmed once is enough until it has caught up"
        );
        assert!(matches!(c.read(&at(10_001, 1001)), Reading::Time { .. }));
        assert!(
            matches!(c.read(&at(9_000, 1002)), Reading::FarBehind { .. }),
            "caught up, so the next fall is news"
        );
    }
}
