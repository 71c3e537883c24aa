//! The macro that writes each method of [`ProducerEnd`](crate::ProducerEnd) and [`ConsumerEnd`](crate::ConsumerEnd)
//! once, with its docs, for the trait and for every end.
//!
//! Both are needed: a method of a trait can be called only where the trait is imported, an inherent method everywhere.

/// The body of a method: in the trait, the work; in an end, a call of the trait's method.
#[doc(hidden)]
#[macro_export]
macro_rules! __face_method {
    (base; $end:ident::$name:ident($($arg:expr),*); $work:expr) => { $work };
    (end; $end:ident::$name:ident($($arg:expr),*); $work:expr) => { $crate::$end::$name($($arg),*) };
}
