//! The macros of codecs whose feature is off: each is a compile error that names the feature.

/// `bincode_message!` without the feature `bincode`.
#[cfg(not(feature = "bincode"))]
#[doc(hidden)]
#[macro_export]
macro_rules! bincode_message {
    ($($message:tt)*) => {
        ::core::compile_error!(
            "`#[message]` and `bincode_message!` need the feature `bincode` of myelon, one of its default features: add \
             `features = [\"bincode\"]`, or take another codec, as `#[message(postcard)]` with the feature `postcard`"
        );
    };
}

/// `postcard_message!` without the feature `postcard`.
#[cfg(not(feature = "postcard"))]
#[doc(hidden)]
#[macro_export]
macro_rules! postcard_message {
    ($($message:tt)*) => {
        ::core::compile_error!(
            "`#[message(postcard)]` and `postcard_message!` need the feature `postcard` of myelon: add \
             `features = [\"postcard\"]`"
        );
    };
}

/// `rkyv_message!` without the feature `rkyv`.
#[cfg(not(feature = "rkyv"))]
#[doc(hidden)]
#[macro_export]
macro_rules! rkyv_message {
    ($($message:tt)*) => {
        ::core::compile_error!(
            "`#[message(rkyv)]` and `rkyv_message!` need the feature `rkyv` of myelon: add `features = [\"rkyv\"]`"
        );
    };
}

/// `flatbuffers_message!` without the feature `flatbuffers`.
#[cfg(not(feature = "flatbuffers"))]
#[doc(hidden)]
#[macro_export]
macro_rules! flatbuffers_message {
    ($($message:tt)*) => {
        ::core::compile_error!(
            "`flatbuffers_message!` needs the feature `flatbuffers` of myelon: add `features = [\"flatbuffers\"]`"
        );
    };
}
