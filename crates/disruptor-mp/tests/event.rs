//! What `#[event]` accepts and what it refuses, and in which words.
//!
//! **Lives here:** the programs in `event/`, compiled one by one; beside each refused one is the compiler's answer. The
//! answers hold for the toolchain of the CI; write them anew with `TRYBUILD=overwrite`, and read the difference.
#![cfg(not(loom))]

#[test]
fn events_are_accepted_and_others_refused_with_advice() {
    let cases = trybuild::TestCases::new();
    cases.pass("tests/event/accepted/*.rs");
    cases.compile_fail("tests/event/refused/*.rs");
}
