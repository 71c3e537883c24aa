//! Field types that are refused because of their name or their syntax.
//!
//! This list need not be complete. For instance, it misses a type under another name. Then zerocopy's derives refuse
//! the type, or the check that the type of a field is an `Event`. But they do so in up to twenty errors, and none of
//! these says what to write instead.

use syn::{Error, Type};

/// Refuses the types that a beginner is likely to try, each with its reason and its replacement.
pub(super) fn check_type(ty: &Type) -> syn::Result<()> {
    let message = match ty {
        Type::Array(array) => return check_type(&array.elem),
        Type::Group(group) => return check_type(&group.elem),
        Type::Paren(paren) => return check_type(&paren.elem),
        Type::Reference(_) | Type::Ptr(_) | Type::BareFn(_) => {
            "an address means nothing in another process: put the value itself into the event, or an index"
        }
        Type::Tuple(_) => "the layout of a tuple is not fixed: use a struct with `#[event]`",
        Type::Path(path) if path.qself.is_none() => {
            let Some(name) = path.path.segments.last().map(|segment| segment.ident.to_string()) else { return Ok(()) };
            match name.as_str() {
                "bool" => "a slot may hold bytes that are neither `true` nor `false`: use `u8`",
                "char" => "a slot may hold numbers that are no `char`: use `u32`",
                "usize" => "the width of a `usize` is not the same in every process: use `u64`",
                "isize" => "the width of an `isize` is not the same in every process: use `i64`",
                "u128" | "i128" => "the alignment of 128-bit numbers is not the same on every target: use `[u64; 2]`",
                "String" => "the text of a `String` is in the memory of one process: use `[u8; N]` and a length",
                "Vec" => "the elements of a `Vec` are in the memory of one process: use an array and a length",
                _ => return Ok(()),
            }
        }
        _ => return Ok(()),
    };
    Err(Error::new_spanned(ty, message))
}
