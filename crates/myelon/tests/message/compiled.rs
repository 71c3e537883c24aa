//! What `#[message]` accepts and what it refuses, and in which words.
//!
//! **Lives here:** the programs in `accepted/` and `refused/`, compiled one by one; beside each refused one is the
//! compiler's answer. The answers hold for the toolchain of the CI; write them anew with `TRYBUILD=overwrite`, and read
//! the difference.

#[test]
fn messages_are_accepted_and_others_refused_with_advice() {
    let cases = trybuild::TestCases::new();
    cases.pass("tests/message/accepted/*.rs");
    cases.compile_fail("tests/message/refused/*.rs");
}
