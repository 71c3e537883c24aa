//! What the code that `#[event]` generates checks at compile time, for a better error message.
//!
//! The items are public for that code only; they are no part of the interface.
//!
//! Without these checks, zerocopy's derives would refuse padding, too. They count the bytes of padding, but do not say
//! where they are: only code that knows the fields by name can.

use core::marker::PhantomData;

use zerocopy::Unaligned;

use super::Event;

/// The type of a field.
#[derive(Debug)]
pub struct Field<T: Event>(PhantomData<T>);

/// The type of a field of an event with const parameters.
#[derive(Debug)]
pub struct UnalignedField<T: Event + AlignedToOne>(PhantomData<T>);

/// A type that has no padding around it, for any sizes of its neighbours.
#[diagnostic::on_unimplemented(
    message = "`{Self}` could be surrounded by padding, because the event has const parameters",
    label = "has an alignment above 1",
    note = "add `#[repr(C, packed)]` below `#[event]`; `#[event(align = 16)]` keeps the event itself aligned"
)]
pub trait AlignedToOne {}

// With this, the error about a type that is not `Unaligned` is the one above.
#[diagnostic::do_not_recommend]
impl<T: Unaligned> AlignedToOne for T {}

/// Enough for the fixed text, three identifiers of usual length and a number; longer ones are cut off.
const ADVICE_BYTES_MAX: usize = 1024;

/// How to fix one gap of a struct.
#[derive(Debug)]
pub struct Advice {
    text: [u8; ADVICE_BYTES_MAX],
    len_bytes: usize,
}

impl Advice {
    /// The text for gap `at` of `gaps`. Each gap is before the field of the same index, the last one after all fields.
    ///
    /// `fields` are the names of the struct's fields; `spare_names` has as many unused field names as there are gaps,
    /// or is empty if the fields of this struct have no names.
    pub const fn new(type_name: &str, fields: &[&str], gaps: &[usize], at: usize, spare_names: &[&str]) -> Self {
        let advice = Self { text: [0; ADVICE_BYTES_MAX], len_bytes: 0 };
        let bytes = if gaps[at] == 1 { " byte" } else { " bytes" };
        let advice = advice.text("`").text(type_name).text("` has ").number(gaps[at]).text(bytes).text(" of padding ");
        let advice = advice.place(fields, at).text(": insert `");
        let advice = if spare_names.is_empty() {
            advice
        } else {
            // The gaps before this one use up names, so that all the advice of one build can be followed at once.
            advice.text(spare_names[not_zero_before(gaps, at)]).text(": ")
        };
        let advice = advice.text("[u8; ").number(gaps[at]).text("],` ").place(fields, at);
        advice.text(", or put the fields with the largest alignment first")
    }

    /// The sentence.
    pub const fn as_str(&self) -> &str {
        match core::str::from_utf8(self.text.split_at(self.len_bytes).0) {
            Ok(text) => text,
            // A long identifier was cut inside a character.
            Err(_) => "there is padding between the fields",
        }
    }

    const fn place(self, fields: &[&str], at: usize) -> Self {
        if at < fields.len() { self.text("before `").text(fields[at]).text("`") } else { self.text("at the end") }
    }

    const fn text(mut self, text: &str) -> Self {
        let mut i = 0;
        while i < text.len() && self.len_bytes < ADVICE_BYTES_MAX {
            self.text[self.len_bytes] = text.as_bytes()[i];
            self.len_bytes += 1;
            i += 1;
        }
        self
    }

    const fn number(self, number: usize) -> Self {
        let more = if number >= 10 { self.number(number / 10) } else { self };
        more.text(DIGITS[number % 10])
    }
}

const DIGITS: [&str; 10] = ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"];

const fn not_zero_before(gaps: &[usize], at: usize) -> usize {
    let (mut count, mut i) = (0, 0);
    while i < at {
        count += (gaps[i] > 0) as usize;
        i += 1;
    }
    count
}

#[cfg(test)]
mod tests {
    use super::Advice;

    #[test]
    fn advice_names_struct_field_and_bytes() {
        let advice = |gaps: &[usize], at| {
            Advice::new("Step", &["a", "b"], gaps, at, &["_pad0", "_pad2", "_pad3"]).as_str().to_owned()
        };
        assert_eq!(
            advice(&[0, 4, 0], 1),
            "`Step` has 4 bytes of padding before `b`: insert `_pad0: [u8; 4],` before `b`, or put the fields with \
             the largest alignment first"
        );
        assert_eq!(
            advice(&[0, 4, 1], 2),
            "`Step` has 1 byte of padding at the end: insert `_pad2: [u8; 1],` at the end, or put the fields with \
             the largest alignment first"
        );
    }

    #[test]
    fn advice_for_a_tuple_struct_has_no_field_name() {
        let advice = Advice::new("Step", &["0", "1"], &[0, 124, 0], 1, &[]);
        assert!(
            advice.as_str().starts_with("`Step` has 124 bytes of padding before `1`: insert `[u8; 124],` before `1`")
        );
    }

    #[test]
    fn advice_with_endless_names_is_still_a_sentence() {
        for length in 480..520 {
            let name = "ä".repeat(length);
            assert!(!Advice::new(&name, &["a"], &[1, 0], 0, &["_pad0", "_pad1"]).as_str().is_empty());
        }
    }
}
