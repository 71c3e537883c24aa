//! Which library's derives write a message, and what their attributes do to its bytes.
//!
//! An attribute that is in neither of the two lists is refused: it may change bytes. RFC 0015 has the lists with their
//! reasons.

use super::arguments::word;
use super::case::Rule;
use proc_macro2::{Span, TokenStream, TokenTree};
use quote::quote;
use syn::{
    Attribute, Error, Ident, Lit, LitStr, Path, Token, Type, meta::ParseNestedMeta, parse_quote, spanned::Spanned,
    token,
};

/// A library whose derives write messages.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Derives {
    Serde,
    Rkyv,
}

/// The kind of item that an attribute is on.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Type,
    Variant,
    Field,
}

/// What the library's attributes do to their item.
#[derive(Default)]
pub(super) struct Effect {
    pub(super) name: Option<String>,
    /// For the fields of a struct or a variant, or the variants of an enum.
    pub(super) rename_members: Option<Rule>,
    /// For the fields of all variants of an enum.
    pub(super) rename_fields: Option<Rule>,
    /// It is not in the bytes.
    pub(super) is_skipped: bool,
    /// The attribute, if there is one, that replaces its bytes by those of another type.
    pub(super) hidden_by: Option<(Span, String)>,
}

/// What one attribute does.
enum Does {
    Nothing,
    Renames,
    RenamesMembers,
    RenamesFields,
    Skips,
    Hides,
    Refused(&'static str),
    /// Nothing, unless it changes the layout of an archive.
    NothingWithoutRepr,
    Unknown,
}

const UNREADABLE: &str = "bincode cannot read back what serde writes with this: its bytes do not say what they are";
const ONE_SIDED: &str = "what one side writes the other would not read: bincode's bytes do not say which fields are there; `skip` leaves a \
                         field out on both sides";
const NUMBERS: &str =
    "serde numbers the variants of an enum differently when it reads than when it writes if one is skipped: remove it";
const FOREIGN: &str = "a message has derives of its own, and this makes them those of another type: write it without `message`, and describe \
                       fields of that type by `#[message(as = Type)]` or `#[message(opaque = \"name/1\")]`";
const ON_FIELDS: &str = "on a variant this cannot be described: write it on the variant's fields";
const LAYOUT: &str = "this changes the layout of the archive";

impl Derives {
    pub(super) const ALL: [Self; 2] = [Self::Serde, Self::Rkyv];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Serde => "serde",
            Self::Rkyv => "rkyv",
        }
    }

    pub(super) fn quoted(self) -> &'static str {
        match self {
            Self::Serde => "`serde`",
            Self::Rkyv => "`rkyv`",
        }
    }

    /// The type that represents these derives as the parameter of `Described`.
    pub(super) fn marker(self) -> Ident {
        Ident::new(if self == Self::Serde { "Serde" } else { "Rkyv" }, Span::call_site())
    }

    /// The macro that makes a described type a message.
    pub(super) fn codec_macro(self, is_postcard: bool) -> Ident {
        let name = match self {
            Self::Serde if is_postcard => "postcard_message",
            Self::Serde => "bincode_message",
            Self::Rkyv => "rkyv_message",
        };
        Ident::new(name, Span::call_site())
    }

    /// The bounds that the codec needs of a type with parameters.
    pub(super) fn bounds(self, crate_name: &Ident, of: &TokenStream) -> TokenStream {
        match self {
            Self::Serde => quote! {
                #of: ::#crate_name::serde::Serialize + ::#crate_name::serde::de::DeserializeOwned,
            },
            Self::Rkyv => quote! {
                #of: for<'a> ::#crate_name::rkyv::Serialize<::#crate_name::codec::rkyv_support::Encoder<'a>>,
                ::#crate_name::rkyv::Archived<#of>:
                    for<'a> ::#crate_name::rkyv::bytecheck::CheckBytes<::#crate_name::codec::rkyv_support::Checker<'a>>
                    + ::#crate_name::rkyv::Deserialize<#of, ::#crate_name::codec::rkyv_support::Decoder>,
            },
        }
    }

    /// The derives that the type does not have yet, and the attribute that says where their library is.
    pub(super) fn missing(
        self,
        crate_name: &Ident,
        derives: &[Path],
        attributes: &[Attribute],
    ) -> (Vec<Path>, Option<Attribute>) {
        let wanted: &[&str] =
            if self == Self::Serde { &["Serialize", "Deserialize"] } else { &["Archive", "Serialize", "Deserialize"] };
        let library = Ident::new(self.name(), Span::call_site());
        let missing: Vec<Path> = wanted
            .iter()
            .filter(|name| !derives.iter().any(|derive| self.is_own(derive, name, derives)))
            .map(|name| {
                let name = Ident::new(name, Span::call_site());
                parse_quote!(::#crate_name::#library::#name)
            })
            .collect();
        let names_crate = |attribute: &Attribute| {
            let mut names_crate = false;
            // An attribute that cannot be parsed is refused with a better error where its effect is determined.
            let _ = attribute.parse_nested_meta(|meta| {
                names_crate |= meta.path.is_ident("crate");
                pass_value(&meta).map(drop)
            });
            attribute.path().is_ident(self.name()) && names_crate
        };
        let path: Path = parse_quote!(::#crate_name::#library);
        let text = format!("::{crate_name}::{library}");
        let where_it_is = match self {
            _ if missing.is_empty() || attributes.iter().any(names_crate) => None,
            Self::Serde => Some(parse_quote!(#[serde(crate = #text)])),
            Self::Rkyv => Some(parse_quote!(#[rkyv(crate = #path)])),
        };
        (missing, where_it_is)
    }

    /// Whether a derive that the type has is this library's `name`. Both libraries have a `Serialize`: without a path
    /// it counts as rkyv's if `Archive` is there without a path.
    fn is_own(self, derive: &Path, name: &str, derives: &[Path]) -> bool {
        let library = derive.segments.iter().rev().nth(1).map(|segment| segment.ident.to_string());
        let is_named = derive.segments.last().is_some_and(|segment| segment.ident == name);
        let is_ours = match library {
            Some(library) => library.starts_with(self.name()),
            None => derives.iter().any(|derive| derive.is_ident("Archive")) == (self == Self::Rkyv),
        };
        is_named && is_ours
    }

    /// What the attributes of this library do.
    pub(super) fn effect(self, place: Place, attributes: &[Attribute]) -> syn::Result<Effect> {
        let mut effect = Effect::default();
        for attribute in attributes {
            if self == Self::Serde && attribute.path().is_ident("serde_as") {
                let message = "`serde_as` stands above `message`, so that what it writes is seen here";
                return Err(Error::new_spanned(attribute, message));
            }
            if attribute.path().is_ident(self.name()) {
                attribute.parse_nested_meta(|meta| self.take_effect(place, &meta, &mut effect))?;
            }
        }
        Ok(effect)
    }

    fn take_effect(self, place: Place, meta: &ParseNestedMeta<'_>, effect: &mut Effect) -> syn::Result<()> {
        let name = meta.path.get_ident().map(ToString::to_string).unwrap_or_default();
        let does = if self == Self::Serde { serde_does(place, &name) } else { rkyv_does(place, &name) };
        match does {
            Does::Renames => effect.name = Some(word(&one_name(meta)?)?),
            Does::RenamesMembers => effect.rename_members = Some(rule(meta)?),
            Does::RenamesFields => effect.rename_fields = Some(rule(meta)?),
            Does::Skips => effect.is_skipped = true,
            Does::Hides => {
                pass_value(meta)?;
                effect.hidden_by = Some((meta.path.span(), name));
            }
            Does::Nothing => drop(pass_value(meta)?),
            Does::NothingWithoutRepr => {
                let value = pass_value(meta)?;
                if holds(value, "repr") {
                    return Err(meta.error(LAYOUT));
                }
            }
            Does::Refused(why) => return Err(meta.error(why)),
            Does::Unknown => {
                let library = self.name();
                return Err(meta.error(format!(
                    "`message` does not know what `{name}` of {library} does to the bytes of a message here"
                )));
            }
        }
        Ok(())
    }
}

fn serde_does(place: Place, name: &str) -> Does {
    match (place, name) {
        (_, "rename") => Does::Renames,
        (Place::Type | Place::Variant, "rename_all") => Does::RenamesMembers,
        (Place::Type, "rename_all_fields") => Does::RenamesFields,
        (_, "bound") | (Place::Type, "crate" | "default" | "deny_unknown_fields" | "expecting" | "transparent") => {
            Does::Nothing
        }
        (Place::Variant | Place::Field, "alias") | (Place::Field, "default" | "borrow") => Does::Nothing,
        (Place::Field, "skip") => Does::Skips,
        (Place::Type, "from" | "try_from" | "into") => Does::Hides,
        (Place::Field, "with" | "serialize_with" | "deserialize_with") => Does::Hides,
        (Place::Variant, "with" | "serialize_with" | "deserialize_with") => Does::Refused(ON_FIELDS),
        (Place::Variant, "skip" | "skip_serializing" | "skip_deserializing") => Does::Refused(NUMBERS),
        (_, "skip_serializing" | "skip_deserializing" | "skip_serializing_if") => Does::Refused(ONE_SIDED),
        (_, "flatten" | "tag" | "content" | "untagged" | "other" | "field_identifier" | "variant_identifier") => {
            Does::Refused(UNREADABLE)
        }
        (_, "remote" | "getter") => Does::Refused(FOREIGN),
        _ => Does::Unknown,
    }
}

fn rkyv_does(place: Place, name: &str) -> Does {
    match (place, name) {
        (Place::Type, "archived" | "resolver" | "compare" | "derive" | "bytecheck" | "crate") => Does::Nothing,
        (Place::Type, "archive_bounds" | "serialize_bounds" | "deserialize_bounds") => Does::Nothing,
        (Place::Field, "omit_bounds" | "niche") => Does::Nothing,
        (Place::Type | Place::Field, "attr") => Does::NothingWithoutRepr,
        (Place::Type, "as") | (Place::Field, "with") => Does::Hides,
        (_, "remote" | "getter") => Does::Refused(FOREIGN),
        _ => Does::Unknown,
    }
}

/// The value of `rename = "name"`.
fn one_name(meta: &ParseNestedMeta<'_>) -> syn::Result<LitStr> {
    if meta.input.peek(token::Paren) {
        return Err(meta.error("a name for reading and another for writing would be two schemas: give it one name"));
    }
    meta.value()?.parse()
}

fn rule(meta: &ParseNestedMeta<'_>) -> syn::Result<Rule> {
    let name = one_name(meta)?;
    Rule::named(&name.value()).ok_or_else(|| Error::new(name.span(), "serde has no such rule for names"))
}

/// Parses the value that an attribute may have, and returns it.
fn pass_value(meta: &ParseNestedMeta<'_>) -> syn::Result<TokenStream> {
    if meta.input.peek(Token![=]) {
        meta.input.parse::<Token![=]>()?;
        if meta.input.peek(Lit) {
            let value: Lit = meta.input.parse()?;
            return Ok(quote!(#value));
        }
        let value: Type = meta.input.parse()?;
        return Ok(quote!(#value));
    }
    if meta.input.is_empty() || meta.input.peek(Token![,]) {
        return Ok(TokenStream::new());
    }
    let value: TokenTree = meta.input.parse()?;
    Ok(quote!(#value))
}

/// Whether `word` is anywhere in the tokens.
fn holds(tokens: TokenStream, word: &str) -> bool {
    tokens.into_iter().any(|token| match token {
        TokenTree::Ident(ident) => ident == word,
        TokenTree::Group(group) => holds(group.stream(), word),
        _ => false,
    })
}
