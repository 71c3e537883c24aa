//! What `#[message]` generates for a struct or an enum: the type with the derives of its codec, its description, and
//! the call of the macro that makes it a message.
//!
//! There is one description for each library, because their attributes differ in what they do. It comes from the types
//! of the fields, not from how they are written, so another name for a type makes no difference.

mod arguments;
mod case;
mod derives;
mod older;

use proc_macro2::{Span, TokenStream};
use quote::{ToTokens, quote, quote_spanned};
use syn::{
    Attribute, Data, DeriveInput, Error, Expr, Field, Fields, GenericParam, Generics, Path, Type, Variant,
    ext::IdentExt, parse_quote, spanned::Spanned,
};

use crate::attributes::{beside, is_conditional, listed};
use arguments::{Arguments, Bytes, Description, word};
use case::Rule;
use derives::{Derives, Effect, Place};
use older::Older;

/// The attribute's whole expansion.
pub(crate) fn expand(arguments: TokenStream, item: TokenStream) -> TokenStream {
    let expanded = Arguments::parse(arguments).and_then(|arguments| expand_type(&arguments, item.clone()));
    expanded.unwrap_or_else(|refusal| beside(refusal, &without_words(item)))
}

/// The item without the attributes of derives that it does not get, so that there are no further errors about them.
fn without_words(item: TokenStream) -> TokenStream {
    let Ok(mut input) = syn::parse2::<DeriveInput>(item.clone()) else { return item };
    let is_word = |attribute: &Attribute| {
        ["message", "rkyv", "serde", "serde_as"].iter().any(|word| attribute.path().is_ident(word))
            || is_conditional(attribute)
    };
    input.attrs.retain(|attribute| !is_word(attribute));
    for_members(&mut input.data, |attributes| attributes.retain(|attribute| !is_word(attribute)));
    input.into_token_stream()
}

fn expand_type(arguments: &Arguments, item: TokenStream) -> syn::Result<TokenStream> {
    let mut input: DeriveInput = syn::parse2(item)?;
    if let Data::Union(data) = &input.data {
        return Err(Error::new(data.union_token.span, "a message is a struct or an enum"));
    }
    check_conditions(&input)?;
    check_generics(&input.generics)?;
    let described: Vec<TokenStream> = arguments
        .derives
        .iter()
        .map(|&derives| implement_described(arguments, derives, &input))
        .collect::<syn::Result<_>>()?;
    let codec = implement_codec(arguments, &input, &Older::of(arguments, &input)?);

    let derives: Vec<Path> = listed(&input.attrs, "derive")?;
    let mut wanted = Vec::new();
    for library in &arguments.derives {
        let (missing, where_it_is) = library.missing(&arguments.crate_name, &derives, &input.attrs);
        wanted.extend(missing);
        // After the derives, wherever those are.
        input.attrs.extend(where_it_is);
    }
    if !wanted.is_empty() {
        input.attrs.insert(0, parse_quote!(#[derive(#(#wanted),*)]));
    }
    let ours = |attribute: &Attribute| attribute.path().is_ident("message");
    for_members(&mut input.data, |attributes| attributes.retain(|attribute| !ours(attribute)));
    // The descriptions come first: if a field has neither a description nor derives, their error comes before that of
    // the derives.
    Ok(quote!(#(#described)* #input #codec))
}

/// Calls `change` for the attributes of every field and variant.
fn for_members(data: &mut Data, mut change: impl FnMut(&mut Vec<Attribute>)) {
    match data {
        Data::Struct(data) => data.fields.iter_mut().for_each(|field| change(&mut field.attrs)),
        Data::Enum(data) => {
            for variant in &mut data.variants {
                change(&mut variant.attrs);
                variant.fields.iter_mut().for_each(|field| change(&mut field.attrs));
            }
        }
        Data::Union(_) => {}
    }
}

/// A message is the same in every build. Conditions on the type itself have been decided before we see it.
fn check_conditions(input: &DeriveInput) -> syn::Result<()> {
    let mut refusal = Ok(());
    for_members(&mut input.data.clone(), |attributes| {
        for attribute in attributes.iter().filter(|attribute| is_conditional(attribute)) {
            let message = "no `cfg` inside a message: builds that differ in it could not share a ring";
            refusal = Err(Error::new_spanned(attribute, message));
        }
    });
    refusal
}

fn check_generics(generics: &Generics) -> syn::Result<()> {
    const KNOWN: [&str; 13] =
        ["u8", "u16", "u32", "u64", "u128", "usize", "i8", "i16", "i32", "i64", "i128", "isize", "bool"];
    let refused = generics.params.iter().find_map(|parameter| match parameter {
        GenericParam::Lifetime(_) => {
            Some((parameter.to_token_stream(), "a message has no lifetime parameters: it owns what it carries"))
        }
        GenericParam::Const(parameter) => {
            let is_known = KNOWN.iter().any(|known| is_called(&parameter.ty, known));
            (!is_known)
                .then(|| (parameter.to_token_stream(), "the const parameters of a message are numbers and `bool`"))
        }
        GenericParam::Type(_) => None,
    });
    refused.map_or(Ok(()), |(parameter, message)| Err(Error::new_spanned(parameter, message)))
}

fn is_called(ty: &Type, name: &str) -> bool {
    matches!(ty, Type::Path(path) if path.path.is_ident(name))
}

/// The description of the type as one library's derives write it.
fn implement_described(arguments: &Arguments, derives: Derives, input: &DeriveInput) -> syn::Result<TokenStream> {
    let crate_name = &arguments.crate_name;
    let marker = derives.marker();
    let ident = &input.ident;
    let effect = derives.effect(Place::Type, &input.attrs)?;
    let own_name = || ident.unraw().to_string();
    let base = arguments.description.name.clone().or(effect.name.clone()).unwrap_or_else(own_name);
    check_visible(&base, ident.span())?;
    let name = type_name(arguments, derives, &base, &input.generics);

    let definition = match (&arguments.description.bytes, &effect.hidden_by) {
        (Some(bytes), _) => {
            let member = describe_bytes("as", bytes);
            quote!(__types.define_struct::<Self>(__name, |__fields| { #member }))
        }
        (None, Some(hidden_by)) => return Err(hidden(hidden_by)),
        (None, None) => match &input.data {
            Data::Struct(data) => {
                let fields = describe_fields(derives, effect.rename_members, &data.fields)?;
                quote!(__types.define_struct::<Self>(__name, |__fields| { let _ = &__fields; #(#fields)* }))
            }
            Data::Enum(data) => {
                let mut variants = Vec::new();
                let mut last_number: Option<(Expr, i64)> = None;
                for (position, variant) in data.variants.iter().enumerate() {
                    last_number = match (&variant.discriminant, last_number) {
                        (Some((_, number)), _) => Some((number.clone(), 0)),
                        (None, last) => last.map(|(number, after)| (number, after + 1)),
                    };
                    let number = match &last_number {
                        // If numbers are given, rkyv's archive contains them; serde writes the position.
                        Some((number, after)) if derives == Derives::Rkyv => quote!((#number) as i64 + #after),
                        _ => {
                            let position = position as i64;
                            quote!(#position)
                        }
                    };
                    variants.push(describe_variant(derives, &effect, variant, &number)?);
                }
                quote!(__types.define_enum::<Self>(__name, |__variants| { let _ = &__variants; #(#variants)* }))
            }
            Data::Union(_) => unreachable!("unions were refused"),
        },
    };

    let mut generics = input.generics.clone();
    for parameter in input.generics.type_params() {
        let parameter = &parameter.ident;
        let bound = parse_quote!(#parameter: ::#crate_name::codec::Described<::#crate_name::codec::#marker>);
        generics.make_where_clause().predicates.push(bound);
    }
    let (impl_generics, ty_generics, where_clause) = generics.split_for_impl();
    Ok(quote! {
        #[automatically_derived]
        impl #impl_generics ::#crate_name::codec::Described<::#crate_name::codec::#marker> for #ident #ty_generics
        #where_clause
        {
            fn describe(
                __types: &mut ::#crate_name::codec::Types<::#crate_name::codec::#marker>,
            ) -> ::std::string::String {
                let __name = #name;
                #definition
            }
        }
    })
}

/// The name with the arguments of its parameters, as an expression.
fn type_name(arguments: &Arguments, derives: Derives, base: &str, generics: &Generics) -> TokenStream {
    let Arguments { crate_name, .. } = arguments;
    let marker = derives.marker();
    let parameters: Vec<TokenStream> = generics
        .params
        .iter()
        .filter_map(|parameter| match parameter {
            GenericParam::Type(parameter) => {
                let parameter = &parameter.ident;
                let described = quote!(::#crate_name::codec::Described<::#crate_name::codec::#marker>);
                Some(quote!(<#parameter as #described>::describe(__types)))
            }
            GenericParam::Const(parameter) => Some(parameter.ident.to_token_stream()),
            GenericParam::Lifetime(_) => None,
        })
        .collect();
    if parameters.is_empty() {
        return base.into_token_stream();
    }
    let format = format!("{base}<{}>", vec!["{}"; parameters.len()].join(", "));
    quote!(::std::format!(#format, #(#parameters),*))
}

fn describe_variant(
    derives: Derives,
    of_enum: &Effect,
    variant: &Variant,
    number: &TokenStream,
) -> syn::Result<TokenStream> {
    let description = Description::of_variant(&variant.attrs)?;
    let effect = derives.effect(Place::Variant, &variant.attrs)?;
    let own_name = variant.ident.unraw().to_string();
    let renamed = || of_enum.rename_members.map_or_else(|| own_name.clone(), |rule| rule.variant(&own_name));
    let name = description.name.or(effect.name).unwrap_or_else(renamed);
    check_visible(&name, variant.ident.span())?;
    let fields = describe_fields(derives, effect.rename_members.or(of_enum.rename_fields), &variant.fields)?;
    Ok(quote!(__variants.variant(#name, #number, |__fields| { let _ = &__fields; #(#fields)* });))
}

fn describe_fields(derives: Derives, rename: Option<Rule>, fields: &Fields) -> syn::Result<Vec<TokenStream>> {
    let mut described = Vec::new();
    for (at, field) in fields.iter().enumerate() {
        described.extend(describe_field(derives, rename, at, field)?);
    }
    Ok(described)
}

fn describe_field(
    derives: Derives,
    rename: Option<Rule>,
    at: usize,
    field: &Field,
) -> syn::Result<Option<TokenStream>> {
    let description = Description::of_field(&field.attrs)?;
    let effect = derives.effect(Place::Field, &field.attrs)?;
    if effect.is_skipped {
        return Ok(None);
    }
    let own_name = || match (&field.ident, rename) {
        (None, _) => at.to_string(),
        (Some(ident), None) => ident.unraw().to_string(),
        (Some(ident), Some(rule)) => rule.field(&ident.unraw().to_string()),
    };
    let name = description.name.or(effect.name).unwrap_or_else(own_name);
    check_visible(&name, field.span())?;
    match (&description.bytes, &effect.hidden_by) {
        (Some(bytes), _) => Ok(Some(describe_bytes(&name, bytes))),
        (None, Some(hidden_by)) => Err(hidden(hidden_by)),
        (None, None) => Ok(Some(describe_bytes(&name, &Bytes::As(field.ty.clone())))),
    }
}

fn describe_bytes(name: &str, bytes: &Bytes) -> TokenStream {
    match bytes {
        Bytes::As(ty) => {
            // Errors show the type's place, but names resolve as ours: the type may come from a macro with names of its
            // own.
            let span = Span::call_site().located_at(ty.span());
            quote_spanned!(span=> __fields.field::<#ty>(#name);)
        }
        Bytes::Opaque(tag) => quote!(__fields.opaque(#name, #tag);),
    }
}

fn hidden((span, name): &(Span, String)) -> Error {
    let message = format!(
        "`{name}` makes the bytes those of another type: say of which by `as = Type` in `#[message(..)]` on the same item, or give them a name \
         by `opaque = \"name/1\"`, which changes when they change"
    );
    Error::new(*span, message)
}

/// A name that comes from an identifier or from a rule.
fn check_visible(name: &str, span: Span) -> syn::Result<()> {
    word(&syn::LitStr::new(name, span)).map(drop)
}

/// The call that makes it a message: the macro of the first library's codec.
fn implement_codec(arguments: &Arguments, input: &DeriveInput, older: &Older) -> TokenStream {
    let crate_name = &arguments.crate_name;
    let derives = arguments.derives[0];
    let (codec_macro, marker) = (derives.codec_macro(arguments.is_postcard), derives.marker());
    let ident = &input.ident;
    let (impl_generics, ty_generics, where_clause) = input.generics.split_for_impl();
    let of = quote!(#ident #ty_generics);
    let bounds = input.generics.params.iter().any(|parameter| matches!(parameter, GenericParam::Type(_))).then(|| {
        let predicates = where_clause.map(|clause| {
            let predicates = clause.predicates.iter();
            quote!(#(#predicates,)*)
        });
        let bounds = derives.bounds(crate_name, &of);
        quote!(where #of: ::#crate_name::codec::Described<::#crate_name::codec::#marker>, #bounds #predicates)
    });
    let bounds = bounds.or_else(|| where_clause.map(ToTokens::to_token_stream));
    let Older { items, names } = older;
    let takes = &arguments.takes;
    let older = quote!(#(#names,)* #(#takes),*);
    let codec = quote!(::#crate_name::#codec_macro!(@described { #impl_generics } { #of } { #bounds } { #older }););
    if names.is_empty() {
        return codec;
    }
    // In a scope of their own: they belong to this type, and a program does not need them.
    quote!(const _: () = { #items #codec };)
}
