//! What the form of a ring does not support does not compile.
//!
//! The programs in `form/` are compiled one by one; beside each is the compiler's answer. The answers are for the
//! toolchain of the CI. To update them, set `TRYBUILD=overwrite`, and review the difference.
#![cfg(not(loom))]

#[test]
fn what_a_form_does_not_have_does_not_compile() {
    trybuild::TestCases::new().compile_fail("tests/form/*.rs");
}
