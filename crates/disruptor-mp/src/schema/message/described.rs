//! The types that can describe what they consist of.

use super::Types;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};
use std::marker::PhantomData;
use std::num::{
    NonZeroI8, NonZeroI16, NonZeroI32, NonZeroI64, NonZeroU8, NonZeroU16, NonZeroU32, NonZeroU64, NonZeroUsize,
};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

/// A type that can describe what its messages consist of. Numbers, texts, lists, maps, options and tuples can;
/// `#[message]` implements it for a struct or an enum.
///
/// `C` represents the derives that write the type, such as serde's: a field that serde skips exists in an archive of
/// rkyv. Types that every library writes in the same way, such as numbers and lists, are described for every `C`.
///
/// The trait is safe to implement: no memory safety depends on a description. A wrong one lets programs share a stream
/// although they should not. A type with a codec of its own has a tag instead of a description; change the tag when the
/// bytes change:
///
/// ```
/// use disruptor_mp::schema::{Described, MessageSchema, Types};
///
/// /// Written by hand as four bytes.
/// struct Angle(f32);
///
/// impl<C> Described<C> for Angle {
///     fn describe(types: &mut Types<C>) -> String {
///         types.opaque("angle/1")
///     }
/// }
///
/// let schema = MessageSchema::of::<(), Vec<Angle>>("bincode");
/// assert!(schema.to_string().contains("Vec<opaque angle/1>"));
/// ```
///
/// Source: RFC 0015, "Protocol".
#[diagnostic::on_unimplemented(
    message = "`{Self}` has no schema for `{C}`, so it cannot be part of a message",
    label = "is not described for `{C}`",
    note = "write `#[message]` on a type of your own, `#[message(rkyv)]` if it is part of archives, or `#[message(serde, rkyv)]` for \
            both; it adds what serde or rkyv say is missing as well",
    note = "for a type of another crate write `#[message(as = Type)]` on the field, with a type of the same bytes that has a schema, or \
            `#[message(opaque = \"name/1\")]`"
)]
pub trait Described<C>: 'static {
    /// Tells `types` what this type consists of, and returns the name by which a schema refers to it.
    fn describe(types: &mut Types<C>) -> String;
}

/// Whether a schema uses this name for a type of the standard library.
pub(super) fn is_standard(name: &str) -> bool {
    [PLAIN, AROUND_ONE, POINTERS, &["BTreeMap", "HashMap", "HashSet", "Result", "PhantomData"]].concat().contains(&name)
}

macro_rules! plain {
    ($($plain:ident)*) => {
        const PLAIN: &[&str] = &[$(stringify!($plain)),*];
        $(
        impl<C> Described<C> for $plain {
            fn describe(_types: &mut Types<C>) -> String {
                stringify!($plain).to_owned()
            }
        }
        )*
    };
}

plain! {
    bool char u8 u16 u32 u64 u128 usize i8 i16 i32 i64 i128 isize f32 f64 str String Duration
    NonZeroU8 NonZeroU16 NonZeroU32 NonZeroU64 NonZeroUsize NonZeroI8 NonZeroI16 NonZeroI32 NonZeroI64
}

macro_rules! around_one {
    ($($around:ident)*) => {
        const AROUND_ONE: &[&str] = &[$(stringify!($around)),*];
        $(
        impl<C, T: Described<C>> Described<C> for $around<T> {
            fn describe(types: &mut Types<C>) -> String {
                format!(concat!(stringify!($around), "<{}>"), T::describe(types))
            }
        }
        )*
    };
}

around_one! { Vec VecDeque Option BTreeSet }

macro_rules! pointers {
    ($($pointer:ident)*) => {
        const POINTERS: &[&str] = &[$(stringify!($pointer)),*];
        $(
        impl<C, T: Described<C> + ?Sized> Described<C> for $pointer<T> {
            fn describe(types: &mut Types<C>) -> String {
                format!(concat!(stringify!($pointer), "<{}>"), T::describe(types))
            }
        }
        )*
    };
}

pointers! { Box Rc Arc }

impl<C, T: Described<C>> Described<C> for [T] {
    fn describe(types: &mut Types<C>) -> String {
        format!("[{}]", T::describe(types))
    }
}

impl<C, T: Described<C>, const N: usize> Described<C> for [T; N] {
    fn describe(types: &mut Types<C>) -> String {
        format!("[{}; {N}]", T::describe(types))
    }
}

impl<C, K: Described<C>, V: Described<C>> Described<C> for BTreeMap<K, V> {
    fn describe(types: &mut Types<C>) -> String {
        format!("BTreeMap<{}, {}>", K::describe(types), V::describe(types))
    }
}

impl<C, K: Described<C>, V: Described<C>, S: 'static> Described<C> for HashMap<K, V, S> {
    fn describe(types: &mut Types<C>) -> String {
        format!("HashMap<{}, {}>", K::describe(types), V::describe(types))
    }
}

impl<C, T: Described<C>, S: 'static> Described<C> for HashSet<T, S> {
    fn describe(types: &mut Types<C>) -> String {
        format!("HashSet<{}>", T::describe(types))
    }
}

impl<C, T: Described<C>, E: Described<C>> Described<C> for Result<T, E> {
    fn describe(types: &mut Types<C>) -> String {
        format!("Result<{}, {}>", T::describe(types), E::describe(types))
    }
}

/// A codec writes nothing for it, for any `T`.
impl<C, T: ?Sized + 'static> Described<C> for PhantomData<T> {
    fn describe(_types: &mut Types<C>) -> String {
        "PhantomData".to_owned()
    }
}

impl<C> Described<C> for () {
    fn describe(_types: &mut Types<C>) -> String {
        "()".to_owned()
    }
}

macro_rules! tuples {
    ($(($($part:ident)+))*) => {$(
        impl<C, $($part: Described<C>),+> Described<C> for ($($part,)+) {
            fn describe(types: &mut Types<C>) -> String {
                format!("({})", [$($part::describe(types)),+].join(", "))
            }
        }
    )*};
}

tuples! {
    (T0) (T0 T1) (T0 T1 T2) (T0 T1 T2 T3) (T0 T1 T2 T3 T4) (T0 T1 T2 T3 T4 T5) (T0 T1 T2 T3 T4 T5 T6) (T0 T1 T2 T3 T4 T5 T6 T7)
    (T0 T1 T2 T3 T4 T5 T6 T7 T8) (T0 T1 T2 T3 T4 T5 T6 T7 T8 T9) (T0 T1 T2 T3 T4 T5 T6 T7 T8 T9 T10)
    (T0 T1 T2 T3 T4 T5 T6 T7 T8 T9 T10 T11)
}
