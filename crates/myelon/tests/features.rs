//! The error text of a codec whose feature is off.
//!
//! Each program in `features/` is compiled without the features that it needs; beside each is the compiler's answer.
//! Run it with `cargo test -p myelon --no-default-features --test features`.
#![cfg(not(any(
    feature = "bincode",
    feature = "postcard",
    feature = "rkyv",
    feature = "flatbuffers",
    feature = "serde"
)))]

#[test]
fn a_codec_whose_feature_is_off_names_the_feature() {
    trybuild::TestCases::new().compile_fail("tests/features/*.rs");
}
