//! Programs to copy; each example is a file or folder beside this one.
#![forbid(unsafe_code)]
