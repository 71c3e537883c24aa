//! What the form of a ring does not support does not compile.
//!
//! The programs in `form/` are compiled one by one; beside each is the compiler's answer. The answers are for the
//! toolchain of the CI. To write them anew, set `TRYBUILD=overwrite`, and read the difference.
#![cfg(not(loom))]

#[test]
fn what_a_form_does_not_have_does_not_compile() {
    trybuild::TestCases::new().compile_fail("tests/form/*.rs");
}
