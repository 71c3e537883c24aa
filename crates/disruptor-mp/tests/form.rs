//! What a ring's form does not have does not compile.
//!
//! **Lives here:** the programs in `form/`, compiled one by one; beside each is the compiler's answer. The answers hold for the
//! toolchain of the CI; write them anew with `TRYBUILD=overwrite`, and read the difference.
#![cfg(not(loom))]

#[test]
fn what_a_form_does_not_have_does_not_compile() {
    trybuild::TestCases::new().compile_fail("tests/form/*.rs");
}
