//! How both attributes read attributes and report errors.

use proc_macro2::TokenStream;
use quote::quote;
use syn::{Attribute, Error, Ident, LitStr, Token, meta::ParseNestedMeta, parse::Parse, punctuated::Punctuated};

/// Returns the refused item unchanged together with a compile error, so that there are no further errors about a
/// missing item.
pub(crate) fn beside(refusal: Error, item: &TokenStream) -> TokenStream {
    let refusal = refusal.into_compile_error();
    quote!(#refusal #item)
}

/// All items in the attributes of that name.
pub(crate) fn listed<T: Parse>(attributes: &[Attribute], name: &str) -> syn::Result<Vec<T>> {
    let mut listed = Vec::new();
    for attribute in attributes.iter().filter(|attribute| attribute.path().is_ident(name)) {
        listed.extend(attribute.parse_args_with(Punctuated::<T, Token![,]>::parse_terminated)?);
    }
    Ok(listed)
}

/// Whether the attribute makes its item depend on the build.
pub(crate) fn is_conditional(attribute: &Attribute) -> bool {
    attribute.path().is_ident("cfg") || attribute.path().is_ident("cfg_attr")
}

/// The value of `crate = "name"`.
pub(crate) fn crate_name(meta: &ParseNestedMeta<'_>) -> syn::Result<Ident> {
    let name: LitStr = meta.value()?.parse()?;
    name.parse().map_err(|_| Error::new(name.span(), "`crate` is the name of a dependency, such as `\"myelon\"`"))
}
