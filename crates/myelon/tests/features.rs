//! What is said where the feature of a codec is off.
//!
//! **Lives here:** the programs in `features/`, each for the features that it needs to be off; beside each is the
//! compiler's answer. Run it with `cargo test -p myelon --no-default-features --test features`.
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
