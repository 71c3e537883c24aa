//! Makes a type with serde's derives a message of one of the codecs for such types.

use serde::Serialize;
use serde::de::DeserializeOwned;

/// serde's `Serialize` under a name of our own, so that the compiler's error says what to do about a type that does not
/// implement it.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be encoded: it does not implement serde's `Serialize`",
    label = "has no `Serialize`",
    note = "write `#[myelon::message]` on it in place of this macro; or derive `myelon::serde::Serialize` and \
            `myelon::serde::Deserialize`, with `#[serde(crate = \"myelon::serde\")]` if serde is no dependency of yours"
)]
pub trait CanSerialize: Serialize {}

// With this, the error about a type that is not `Serialize` is the one above.
#[diagnostic::do_not_recommend]
impl<T: Serialize> CanSerialize for T {}

/// serde's `Deserialize` for types that borrow nothing, under a name of our own: see [`CanSerialize`].
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be decoded: it does not implement serde's `Deserialize`, or borrows from the bytes",
    label = "has no `Deserialize` of its own",
    note = "write `#[myelon::message]` on it in place of this macro; or derive `myelon::serde::Serialize` and \
            `myelon::serde::Deserialize`, with `#[serde(crate = \"myelon::serde\")]` if serde is no dependency of yours",
    note = "a message owns what it carries: `String` in place of `&str`, `Vec<u8>` in place of `&[u8]`"
)]
pub trait CanDeserialize: DeserializeOwned {}

#[diagnostic::do_not_recommend]
impl<T: DeserializeOwned> CanDeserialize for T {}

/// `module` is the codec's module. Then come the type and its tag, or what `#[message]` writes. Not part of the public
/// interface.
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

            fn encode_if_it_fits(
                &self,
                _scratch: &mut (),
                into: &mut [u8],
            ) -> ::core::result::Result<usize, $crate::codec::EncodeShort> {
                $crate::codec::$module::encode_if_it_fits(self, into)
            }

            fn decode(bytes: &[u8]) -> $crate::codec::CodecResult<Self> {
                $crate::codec::$module::decode(bytes)
            }
        }
    };
}
