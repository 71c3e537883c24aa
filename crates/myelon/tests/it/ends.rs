//! No end lends an end by `&mut`: two ends are exchanged as a whole or not at all.
//!
//! The programs in `tests/ends/` are compiled one by one; beside each is the compiler's answer. The answers hold for
//! the toolchain of the CI. To write them anew, set `TRYBUILD=overwrite` and read the difference.

#[test]
fn ends_are_not_exchanged_in_part() {
    trybuild::TestCases::new().compile_fail("tests/ends/*.rs");
}
