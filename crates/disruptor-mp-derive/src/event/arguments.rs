//! The arguments of `#[event(...)]`.

use proc_macro2::{Span, TokenStream};
use syn::{Error, Ident, LitInt, meta::ParseNestedMeta, parse::Parser};

use crate::attributes::crate_name;

/// The largest slot alignment; the same number as `disruptor_mp::schema::SLOT_ALIGN_MAX`.
const SLOT_ALIGN_MAX: usize = 128;

pub(super) struct Arguments {
    /// The least alignment of the slot, in bytes.
    pub(super) align: usize,
    /// Whether a `derive` above the attribute derives `Clone` and `Copy`. The attribute cannot see that one.
    pub(super) derived: bool,
    /// The name of the crate through which the generated code reaches disruptor-mp.
    pub(super) crate_name: Ident,
}

impl Arguments {
    pub(super) fn parse(tokens: TokenStream) -> syn::Result<Self> {
        let crate_name = Ident::new("disruptor_mp", Span::call_site());
        let mut arguments = Self { align: 1, derived: false, crate_name };
        syn::meta::parser(|meta| arguments.parse_one(&meta)).parse2(tokens)?;
        Ok(arguments)
    }

    fn parse_one(&mut self, meta: &ParseNestedMeta<'_>) -> syn::Result<()> {
        if meta.path.is_ident("align") {
            let align: LitInt = meta.value()?.parse()?;
            self.align = align
                .base10_parse()
                .ok()
                .filter(|bytes: &usize| bytes.is_power_of_two() && *bytes <= SLOT_ALIGN_MAX)
                .ok_or_else(|| Error::new(align.span(), "`align` is 1, 2, 4, 8, 16, 32, 64 or 128 bytes"))?;
            Ok(())
        } else if meta.path.is_ident("derived") {
            self.derived = true;
            Ok(())
        } else if meta.path.is_ident("crate") {
            self.crate_name = crate_name(meta)?;
            Ok(())
        } else {
            Err(meta.error("`event` takes `align = 16`, `derived` and `crate = \"name\"`"))
        }
    }
}
