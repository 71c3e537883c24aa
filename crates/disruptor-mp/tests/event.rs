//! What `#[event]` accepts and what it refuses, and with which error text.
//!
//! The programs in `event/` are compiled one by one; beside each refused one is the compiler's answer. The answers are
//! for the toolchain of the CI. To update them, set `TRYBUILD=overwrite`, and review the difference.
#![cfg(not(loom))]

#[test]
fn events_are_accepted_and_others_refused_with_advice() {
    let cases = trybuild::TestCases::new();
    cases.pass("tests/event/accepted/*.rs");
    cases.compile_fail("tests/event/refused/*.rs");
}
