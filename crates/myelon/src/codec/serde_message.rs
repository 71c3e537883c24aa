//! What makes a type with serde's derives a message of one of the codecs for such types.
//!
//! **Lives here:** the macro behind [`bincode_message!`](crate::bincode_message) and
//! [`postcard_message!`](crate::postcard_message). **Builds on:** the functions `encode` and `decode` of a codec's
//! module. **May touch it:** those macros.

/// `module` is that of the codec; then the type, and its tag, or what `#[message]` writes. No part of the interface.
#[doc(hidden)]
#[macro_export]
macro_rules! __message_of_serde {
    ($module:ident { $message:ty } $tag:ident($name:expr)) => {
        $crate::__message_of_serde!(@codec $module {} { $message } {} {} $crate::codec::TypeTag::$tag(Self::CODEC, $name));
    };
    (@described $module:ident
        { $($parameters:tt)* } { $message:ty } { $($bounds:tt)* } { $($older:ty),* $(,)? }
    ) => {
        $crate::__message_of_serde!(@codec $module { $($parameters)* } { $message } { $($bounds)* } { $($older),* }
            $crate::codec::TypeTag::of_message::<$crate::codec::Serde, Self>(Self::CODEC));
    };
    (@codec $module:ident
        { $($parameters:tt)* } { $message:ty } { $($bounds:tt)* } { $($older:ty),* } $type_tag:expr
    ) => {
        impl $($parameters)* $crate::codec::Codec for $message $($bounds)* {
            const CODEC: &'static str = $crate::codec::$module::CODEC;
            type Scratch = ();

            fn type_tag() -> $crate::codec::TypeTag {
                $type_tag
            }

            fn older_versions() -> ::std::vec::Vec<$crate::codec::OlderVersion<Self>> {
                ::std::vec![$($crate::codec::OlderVersion::of::<$older>()),*]
            }

            fn encode(
                &self,
                _scratch: &mut (),
                into: &mut [u8],
            ) -> ::core::result::Result<usize, $crate::codec::EncodeShort> {
                $crate::codec::$module::encode(self, into)
            }

            fn decode(bytes: &[u8]) -> $crate::codec::CodecResult<Self> {
                $crate::codec::$module::decode(bytes)
            }
        }
    };
}
