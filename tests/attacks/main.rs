//! Attacks on a ledger, with every advantage that an operator, an administrator of the database or a thief of keys has.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

mod dice;
mod forger;
mod ground;
mod mutation;

use forger::{Forger, Outcome, Power};

#[test]
fn the_forgers_hand_is_sure() -> Outcome {
    let ground = ground::ledger(60)?;
    let before = ground::rows(&ground.data())?;
    let forger = Forger::open(&ground.data(), ground::NAME, ground::ORIGIN)?;
    let entries = forger.entries()?;
    forger.rewrite(entries, Power::WithKey)?;
    drop(forger);
    assert_eq!(ground::rows(&ground.data())?, before);
    ground.open()?;
    Ok(())
}
