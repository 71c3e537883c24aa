//! The types that may live in a slot.
//!
//! zerocopy checks every claim made here about bytes.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use super::Schema;

/// Makes a struct an event: a type that may be in a slot of a ring, and that other processes read in place.
///
/// ```
/// use disruptor_mp::{Event, event};
///
/// /// What the scheduler tells every worker.
/// #[event]
/// #[derive(Debug, PartialEq)]
/// struct Step {
///     number: u64,
///     tokens: [u32; 15],
///     is_last: u8,
///     _pad0: [u8; 3],
/// }
///
/// let step = Step { number: 7, tokens: [0; 15], is_last: 1, _pad0: [0; 3] };
/// assert_eq!(step.clone(), step); // `Clone` and `Copy` come with it
/// assert_eq!(Step::schema().size_bytes(), 72);
/// ```
///
/// The attribute adds `#[repr(C)]`, `#[derive(Clone, Copy)]`, the derives of zerocopy that check the fields, and the
/// implementation of [`Event`](trait@Event) with its schema. What the struct already has *below* the attribute is
/// not added again. The using crate needs no dependency on zerocopy and may say `#![forbid(unsafe_code)]`.
///
/// # What is refused, at compile time
/// - Fields that are not events: pointers, references, `String`, `bool`, `char`, enums, `usize`. See
///   [`Event`](trait@Event) for the reasons and for what to use instead.
/// - Padding. The error names the field after the padding, and the field to insert there:
///   ```compile_fail
///   # use disruptor_mp::event;
///   #[event]
///   struct Step {
///       flags: u32,
///       number: u64, // `Step` has 4 bytes of padding before `number`: insert `_pad0: [u8; 4],` before `number`, ...
///   }
///   ```
/// - Enums, unions, structs without bytes, and structs with type or lifetime parameters.
/// - Fields under `#[cfg]`: two builds of a program would not understand each other.
///
/// # Const parameters
/// A struct may have const parameters. zerocopy cannot check such a struct for padding, so all its fields need an
/// alignment of 1. `packed` gives it to fields of other types (these are then read by value, `frame.length`, never by
/// reference):
///
/// ```
/// use disruptor_mp::{Event, event};
///
/// #[event(align = 16)]
/// #[repr(C, packed)]
/// struct Frame<const N: usize> {
///     length: u32,
///     payload: [u8; N],
/// }
///
/// assert_eq!(Frame::<60>::schema().type_name(), "Frame<60>");
/// assert_eq!(Frame::<60>::SLOT_ALIGN, 16);
/// ```
///
/// # Arguments
/// - `align = 16`: the least alignment of the event in its slot, a power of two up to 128
///   ([`Event::SLOT_ALIGN`]). The struct itself does not grow.
/// - `derived`: the struct derives `Clone` and `Copy` *above* the attribute. A derive above is not visible when the
///   attribute is expanded, so without this argument both are derived twice, which is a compile error:
///   ```
///   # use disruptor_mp::event;
///   #[derive(Clone, Copy)]
///   #[event(derived)]
///   struct Tick {
///       at_ns: u64,
///   }
///   ```
/// - `crate = "myelon"`: the crate through which disruptor-mp is reached, if it is not a dependency under its own name.
///   That crate must contain `pub use disruptor_mp::*`.
pub use disruptor_mp_derive::event;

/// The largest [`Event::SLOT_ALIGN`], and the largest alignment of an event's type, in bytes: two cache lines.
pub const SLOT_ALIGN_MAX: usize = 128;

/// A type that may be in a slot of a ring: every process that maps the ring may read it in place, with any bytes in the
/// slot.
///
/// Write [`#[event]`](crate::event) on a struct to make it one. Numbers of a fixed width (`u8` to `u64`, `i8` to `i64`,
/// `f32`, `f64`), arrays of events and structs of events are events.
///
/// These are not:
/// - pointers, references and every type that contains one (`Box`, `Vec`, `String`): they mean nothing in another
///   process;
/// - `bool`, `char` and enums: some of their bit patterns are invalid, and a peer may write any pattern (use `u8`,
///   `u32`);
/// - structs with padding: its bytes are uninitialised, and would be published (give it a name, `_pad0: [u8; 4]`);
/// - `usize` and `isize`, because their width differs between processes (use `u64`, `i64`);
/// - `u128` and `i128`, because their alignment differs between targets and has changed between compilers (use `[u64;
///   2]`).
///
/// The trait is safe to implement: zerocopy's derives for the supertraits check what makes an event sound, and no
/// memory safety in this crate depends on [`SLOT_ALIGN`](Self::SLOT_ALIGN) or [`schema`](Self::schema).
///
/// # Example
/// ```
/// use disruptor_mp::{Event, event};
///
/// /// What the scheduler tells every worker.
/// #[event]
/// struct Step {
///     number: u64,
///     tokens: [u32; 16],
/// }
///
/// assert_eq!(Step::SLOT_ALIGN, align_of::<Step>());
/// let schema = Step::schema();
/// assert_eq!(schema.type_name(), "Step");
/// assert_eq!(schema.size_bytes(), 72);
/// assert_eq!(schema.fields()[1].name(), "tokens");
/// assert_eq!(schema.fields()[1].type_name(), "[u32; 16]");
/// assert_eq!(schema.fields()[1].offset_bytes(), 8);
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot live in a slot of a ring: it is no `Event`",
    label = "no `Event`",
    note = "another process maps the same bytes, and any bit pattern may be in them: an event has no pointers, \
            references, `bool`, `char`, enums, `usize` or `u128`",
    note = "use `u8` for a flag or an enum, `u32` for a `char`, `u64` for a `usize`, `[u64; 2]` for a `u128`, \
            `[u8; N]` for a text, and write `#[event]` on a struct of your own"
)]
pub trait Event: FromBytes + IntoBytes + Immutable + KnownLayout + Copy + Send + Sync + 'static {
    /// The alignment of the event inside its slot, in bytes: a power of two, at least `align_of::<Self>()`, at most
    /// [`SLOT_ALIGN_MAX`]. The ring places every event at a multiple of it.
    ///
    /// It is larger than the type's own alignment if the *contents* need it, such as bytes that a codec reads in place.
    const SLOT_ALIGN: usize;

    /// The names, types, offsets and sizes that two processes have to agree on before they share a ring of this type.
    ///
    /// # Panics
    /// If the type is too large to be described, see [`Schema::with_field`]. For a type it panics always or never, and
    /// first when a ring of the type is created.
    fn schema() -> Schema;
}

/// The alignment that a ring gives to an `E` in its slot, in bytes: [`Event::SLOT_ALIGN`] after a check. The trait is
/// safe, so a hand-written implementation may have any value there; a layout must use this function.
///
/// # Panics
/// If `E::SLOT_ALIGN` is no power of two, less than the type's own alignment or more than [`SLOT_ALIGN_MAX`],
/// or if `E` has no bytes. In a constant, as in a ring's layout, that is a compile error.
pub const fn slot_align<E: Event>() -> usize {
    assert!(size_of::<E>() > 0, "an event has at least one byte");
    assert!(E::SLOT_ALIGN.is_power_of_two(), "`SLOT_ALIGN` is a power of two");
    assert!(E::SLOT_ALIGN >= align_of::<E>(), "`SLOT_ALIGN` is at least the alignment of the type");
    assert!(E::SLOT_ALIGN <= SLOT_ALIGN_MAX, "`SLOT_ALIGN` is at most 128");
    E::SLOT_ALIGN
}

macro_rules! numbers {
    ($($number:ident)*) => {$(
        impl Event for $number {
            const SLOT_ALIGN: usize = align_of::<Self>();

            fn schema() -> Schema {
                Schema::of::<Self>(stringify!($number))
            }
        }
    )*};
}

numbers!(u8 u16 u32 u64 i8 i16 i32 i64 f32 f64);

/// An array of events is an event; its first element has the slot's alignment. One without elements may be a field, but
/// not a whole event, which [`slot_align`] refuses.
impl<E: Event, const N: usize> Event for [E; N] {
    const SLOT_ALIGN: usize = E::SLOT_ALIGN;

    fn schema() -> Schema {
        Schema::of_array::<E, N>()
    }
}
