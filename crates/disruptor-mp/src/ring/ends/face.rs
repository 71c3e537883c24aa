//! What a method of [`ProducerEnd`](crate::ProducerEnd) or [`ConsumerEnd`](crate::ConsumerEnd) does.
//!
//! **Lives here:** one macro. **May touch it:** `producer_face`, `consumer_face`, which write each method once, with
//! its docs, for the trait and for every end: what a trait has must be imported before it can be called, and what an
//! end has not.

/// The body of a method: in the trait, the work; in an end, a call of the trait's method.
#[doc(hidden)]
#[macro_export]
macro_rules! __face_method {
    (base; $end:ident::$name:ident($($arg:expr),*); $work:expr) => { $work };
    (end; $end:ident::$name:ident($($arg:expr),*); $work:expr) => { $crate::$end::$name($($arg),*) };
}
