//! Tools of our own tests.
#![forbid(unsafe_code)]
