//! The older versions that a struct had before fields were added to it.

use super::arguments::{Arguments, Description};
use super::derives::Place;
use proc_macro2::{Span, TokenStream};
use quote::{format_ident, quote, quote_spanned};
use std::collections::BTreeSet;
use syn::{
    Attribute, Data, DeriveInput, Error, Field, Fields, Ident, Index, LitInt, LitStr, Member, Token, Visibility,
    ext::IdentExt, punctuated::Punctuated, spanned::Spanned,
};

/// The older structs, each a message with a conversion, and their names; the newest first.
#[derive(Default)]
pub(super) struct Older {
    pub(super) items: TokenStream,
    pub(super) names: Vec<Ident>,
}

impl Older {
    pub(super) fn of(arguments: &Arguments, input: &DeriveInput) -> syn::Result<Self> {
        let fields = versions_of_fields(input)?;
        let versions: BTreeSet<u32> = fields.iter().filter_map(|(_, added)| *added).collect();
        let mut older = Self::default();
        for version in versions.into_iter().rev() {
            let name = format_ident!("{}Before{version}", input.ident.unraw());
            let was_there = |added: &Option<u32>| added.is_none_or(|added| added < version);
            older.items.extend(as_it_was(arguments, input, &name, version)?);
            older.items.extend(conversion(input, &name, fields.iter().map(|(field, added)| (field, was_there(added)))));
            older.names.push(name);
        }
        Ok(older)
    }
}

/// The fields of a struct, with the version that each was added in.
fn versions_of_fields(input: &DeriveInput) -> syn::Result<Vec<(Field, Option<u32>)>> {
    let (fields, is_struct): (Vec<&Field>, bool) = match &input.data {
        Data::Struct(data) => (data.fields.iter().collect(), true),
        Data::Enum(data) => (data.variants.iter().flat_map(|variant| &variant.fields).collect(), false),
        Data::Union(_) => (Vec::new(), false),
    };
    let mut versions = Vec::new();
    for field in fields {
        let description = Description::of_field(&field.attrs)?;
        if let Some(added) = description.added.as_ref().filter(|_| !is_struct || !input.generics.params.is_empty()) {
            let message = "`added` is for fields of a struct without parameters: write the older type out, and name it in `takes(..)`";
            return Err(Error::new(added.span(), message));
        }
        versions.push((field.clone(), version_of(&description)?));
    }
    Ok(versions)
}

/// The struct before `version`, as a message of the same name.
fn as_it_was(arguments: &Arguments, input: &DeriveInput, name: &Ident, version: u32) -> syn::Result<TokenStream> {
    let mut older = input.clone();
    older.ident = name.clone();
    older.vis = Visibility::Inherited;
    older.attrs.retain(is_of_library);
    if let Data::Struct(data) = &mut older.data {
        match &mut data.fields {
            Fields::Named(fields) => fields.named = kept(&fields.named, version)?,
            Fields::Unnamed(fields) => fields.unnamed = kept(&fields.unnamed, version)?,
            Fields::Unit => {}
        }
    }

    let crate_name = &arguments.crate_name;
    let crate_text = crate_name.to_string();
    let libraries = arguments.derives.iter().map(|derives| Ident::new(derives.name(), Span::call_site()));
    let first = arguments.derives[0].effect(Place::Type, &input.attrs)?;
    let own_name = || input.ident.unraw().to_string();
    let called = arguments.description.name.clone().or(first.name).unwrap_or_else(own_name);
    let called = LitStr::new(&called, input.ident.span());
    Ok(quote! {
        #[::#crate_name::message(#(#libraries,)* name = #called, crate = #crate_text)]
        #older
    })
}

/// The fields that were there before `version`.
fn kept(fields: &Punctuated<Field, Token![,]>, version: u32) -> syn::Result<Punctuated<Field, Token![,]>> {
    let mut kept = Punctuated::new();
    for field in fields {
        let description = Description::of_field(&field.attrs)?;
        if version_of(&description)?.is_none_or(|added| added < version) {
            let mut field = field.clone();
            field.attrs.retain(is_of_library);
            field.attrs.push(description.attribute());
            kept.push(field);
        }
    }
    Ok(kept)
}

fn version_of(description: &Description) -> syn::Result<Option<u32>> {
    description.added.as_ref().map(LitInt::base10_parse).transpose()
}

fn is_of_library(attribute: &Attribute) -> bool {
    attribute.path().is_ident("serde") || attribute.path().is_ident("rkyv")
}

/// Fields that existed keep their values, the others get their default.
fn conversion<'a>(input: &DeriveInput, older: &Ident, fields: impl Iterator<Item = (&'a Field, bool)>) -> TokenStream {
    let ident = &input.ident;
    let mut position = 0;
    let values = fields.enumerate().map(|(at, (field, was_there))| {
        let member = field.ident.clone().map_or_else(|| Member::Unnamed(Index::from(at)), Member::Named);
        if !was_there {
            let span = Span::call_site().located_at(field.ty.span());
            return quote_spanned!(span=> #member: ::core::default::Default::default());
        }
        let before = field.ident.clone().map_or_else(|| Member::Unnamed(Index::from(position)), Member::Named);
        position += 1;
        quote!(#member: __older.#before)
    });
    quote! {
        #[automatically_derived]
        impl ::core::convert::From<#older> for #ident {
            fn from(__older: #older) -> Self {
                Self { #(#values),* }
            }
        }
    }
}
