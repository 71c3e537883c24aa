//! The arguments of `#[message(...)]`, on a type, its fields and its variants.

use super::derives::Derives;
use crate::attributes::crate_name;
use proc_macro2::{Span, TokenStream};
use quote::quote;
use syn::{
    Attribute, Error, Ident, LitInt, LitStr, Token, Type,
    meta::ParseNestedMeta,
    parenthesized,
    parse::{Parse, Parser},
    parse_quote,
};

/// The arguments on the type.
pub(super) struct Arguments {
    /// The libraries whose derives the type gets; streams of it use the codec of the first one.
    pub(super) derives: Vec<Derives>,
    /// Whether a type with serde's derives uses postcard.
    pub(super) is_postcard: bool,
    pub(super) description: Description,
    /// Types of older versions that a reader accepts as well.
    pub(super) takes: Vec<Type>,
    /// The crate through which myelon is reached.
    pub(super) crate_name: Ident,
}

/// The arguments on a type, a variant or a field about its place in the schema.
#[derive(Default)]
pub(super) struct Description {
    /// Its name in the schema.
    pub(super) name: Option<String>,
    /// What the schema says of its bytes, instead of what the source says.
    pub(super) bytes: Option<Bytes>,
    /// In which version of the message the field was added.
    pub(super) added: Option<LitInt>,
}

/// Bytes that the source does not describe.
pub(super) enum Bytes {
    /// They are the bytes of this type.
    As(Type),
    /// The schema has only this name for them.
    Opaque(String),
}

const ON_A_TYPE: &str = "`message` takes `serde`, `postcard`, `rkyv`, `name = \"Step/2\"`, `as = Type`, `opaque = \"step/1\"`, \
                         `takes(StepV1)` and `crate = \"name\"`";
const ON_A_FIELD: &str =
    "on a field `message` takes `name = \"name\"`, `as = Type`, `opaque = \"name/1\"` and, in a struct, `added = 2`";
const ON_A_VARIANT: &str = "on a variant `message` takes `name = \"name\"`";

impl Arguments {
    pub(super) fn parse(tokens: TokenStream) -> syn::Result<Self> {
        let crate_name = Ident::new("myelon", Span::call_site());
        let description = Description::default();
        let mut arguments =
            Self { derives: Vec::new(), is_postcard: false, description, takes: Vec::new(), crate_name };
        syn::meta::parser(|meta| arguments.parse_one(&meta)).parse2(tokens)?;
        if arguments.derives.is_empty() {
            arguments.derives.push(Derives::Serde);
        }
        Ok(arguments)
    }

    fn parse_one(&mut self, meta: &ParseNestedMeta<'_>) -> syn::Result<()> {
        let is_postcard = meta.path.is_ident("postcard");
        let named = Derives::ALL.into_iter().find(|derives| meta.path.is_ident(derives.name()));
        if let Some(derives) = named.or(is_postcard.then_some(Derives::Serde)) {
            if self.derives.contains(&derives) {
                let names = if self.is_postcard || is_postcard { "`serde` or `postcard`" } else { derives.quoted() };
                return Err(meta.error(format!("{names} stands here twice")));
            }
            self.is_postcard |= is_postcard;
            self.derives.push(derives);
            Ok(())
        } else if meta.path.is_ident("takes") {
            let older;
            parenthesized!(older in meta.input);
            self.takes.extend(older.parse_terminated(Type::parse, Token![,])?);
            Ok(())
        } else if meta.path.is_ident("crate") {
            self.crate_name = crate_name(meta)?;
            Ok(())
        } else if meta.path.is_ident("bincode") {
            Err(meta.error("`#[message]` without a codec is bincode's: leave the word out"))
        } else if meta.path.is_ident("flatbuffers") {
            Err(meta.error(
                "flatbuffers writes its types itself, from a schema: `flatbuffers_message!` makes one a message",
            ))
        } else {
            self.description.parse_one(meta, ON_A_TYPE)
        }
    }
}

impl Description {
    pub(super) fn of_field(attributes: &[Attribute]) -> syn::Result<Self> {
        Self::parse(attributes, ON_A_FIELD)
    }

    /// The attribute with these arguments for a field, without the version that it was added in.
    pub(super) fn attribute(&self) -> Attribute {
        let name = self.name.iter();
        let bytes = self.bytes.iter().map(|bytes| match bytes {
            Bytes::As(ty) => quote!(as = #ty),
            Bytes::Opaque(tag) => quote!(opaque = #tag),
        });
        parse_quote!(#[message(#(name = #name,)* #(#bytes)*)])
    }

    pub(super) fn of_variant(attributes: &[Attribute]) -> syn::Result<Self> {
        let description = Self::parse(attributes, ON_A_VARIANT)?;
        match attributes.iter().find(|it| it.path().is_ident("message") && description.bytes.is_some()) {
            Some(attribute) => Err(Error::new_spanned(attribute, ON_A_VARIANT)),
            None => Ok(description),
        }
    }

    fn parse(attributes: &[Attribute], takes: &'static str) -> syn::Result<Self> {
        let mut description = Self::default();
        for attribute in attributes.iter().filter(|attribute| attribute.path().is_ident("message")) {
            attribute.parse_nested_meta(|meta| description.parse_one(&meta, takes))?;
        }
        Ok(description)
    }

    fn parse_one(&mut self, meta: &ParseNestedMeta<'_>, takes: &'static str) -> syn::Result<()> {
        let bytes = if takes == ON_A_FIELD && meta.path.is_ident("added") {
            self.added = Some(meta.value()?.parse()?);
            return Ok(());
        } else if meta.path.is_ident("name") {
            self.name = Some(word(&meta.value()?.parse()?)?);
            return Ok(());
        } else if meta.path.is_ident("as") {
            meta.input.parse::<Token![=]>()?;
            Bytes::As(meta.input.parse()?)
        } else if meta.path.is_ident("opaque") {
            Bytes::Opaque(word(&meta.value()?.parse()?)?)
        } else {
            return Err(meta.error(takes));
        };
        if self.bytes.replace(bytes).is_some() {
            return Err(meta.error("the bytes are described once: by `as` or by `opaque`"));
        }
        Ok(())
    }
}

/// A name for a schema, as `disruptor_mp::schema` accepts it.
pub(super) fn word(text: &LitStr) -> syn::Result<String> {
    let word = text.value();
    let is_bad = |c: char| c.is_whitespace() || c.is_control() || "{}()[]<>,:'".contains(c);
    if word.is_empty() || word.len() > 256 || word.contains(is_bad) {
        let message = "a name in a schema has 1 to 256 visible characters, no space, bracket, comma, colon or quote; write \
                       `#[message(name = \"..\")]` to give it another one there";
        return Err(Error::new(text.span(), message));
    }
    Ok(word)
}
