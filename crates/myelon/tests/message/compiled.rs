//! What `#[message]` accepts and what it refuses, and in which words.
//!
//! The programs in `accepted/` and `refused/` are compiled one by one; beside each refused one is the compiler's
//! answer. The answers hold for the toolchain of the CI. To write them anew, set `TRYBUILD=overwrite` and read the
//! difference.

#[test]
fn messages_are_accepted_and_others_refused_with_advice() {
    let cases = trybuild::TestCases::new();
    cases.pass("tests/message/accepted/*.rs");
    cases.compile_fail("tests/message/refused/*.rs");
}
