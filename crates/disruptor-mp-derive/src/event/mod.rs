//! What `#[event]` generates for a struct: the struct with its attributes, the implementation of `Event`, and the items
//! that find padding.
//!
//! No `unsafe` is generated: zerocopy's derives check and declare that a struct may be shared. The rest are error
//! messages, where an error of zerocopy would not say what to do.

use proc_macro2::{Span, TokenStream};
use quote::{ToTokens, quote, quote_spanned};
use syn::{
    Attribute, Data, DeriveInput, Error, GenericParam, Generics, Ident, Index, Member, Meta, Path, Type, ext::IdentExt,
    parse_quote, spanned::Spanned,
};

use crate::attributes::{beside, is_conditional, listed};
use arguments::Arguments;
use types::check_type;

mod arguments;
mod types;

/// The attribute's whole expansion.
pub(crate) fn expand(arguments: TokenStream, item: TokenStream) -> TokenStream {
    let expanded = Arguments::parse(arguments).and_then(|arguments| expand_struct(&arguments, item.clone()));
    expanded.unwrap_or_else(|refusal| beside(refusal, &item))
}

fn expand_struct(arguments: &Arguments, item: TokenStream) -> syn::Result<TokenStream> {
    let mut input: DeriveInput = syn::parse2(item)?;
    let fields = fields_of(&input)?;
    check_generics(&input.generics)?;
    let added = added_attributes(arguments, &input.attrs)?;
    // Before the struct's own attributes: the `zerocopy` attribute must come after the derives, wherever those are.
    input.attrs.splice(0..0, added);

    let mut expansion = check_fields(arguments, &input, &fields)?;
    if input.generics.params.is_empty() {
        expansion.extend(check_layout(arguments, &input, &fields));
    }
    // After the checks, because the compiler reports errors in this order.
    expansion.extend(input.to_token_stream());
    expansion.extend(implement_event(arguments, &input, &fields));
    Ok(expansion)
}

/// The parts of a field that are used here.
struct EventField {
    /// How an expression names it.
    member: Member,
    /// How the schema and the errors name it.
    name: String,
    ty: Type,
    /// Its place in the source.
    span: Span,
}

fn fields_of(input: &DeriveInput) -> syn::Result<Vec<EventField>> {
    let fields = match &input.data {
        Data::Struct(data) => &data.fields,
        Data::Enum(data) => {
            let message = "an event is a struct: another process could leave bytes in a slot that are no variant of an \
                           enum; use a struct with a `u8` for the kind";
            return Err(Error::new(data.enum_token.span, message));
        }
        Data::Union(data) => {
            let message = "an event is a struct: the bytes of a union need not be initialised";
            return Err(Error::new(data.union_token.span, message));
        }
    };
    if fields.is_empty() {
        return Err(Error::new(
            input.ident.span(),
            "an event has at least one field: without bytes there is nothing to publish",
        ));
    }
    for attribute in fields.iter().flat_map(|field| &field.attrs) {
        if is_conditional(attribute) {
            let message = "no `cfg` on the field of an event: builds that differ in it could not share a ring";
            return Err(Error::new_spanned(attribute, message));
        }
    }
    fields.iter().try_for_each(|field| check_type(&field.ty))?;
    let event_fields = fields.iter().enumerate().map(|(at, field)| {
        let (member, name) = match &field.ident {
            Some(ident) => (Member::Named(ident.clone()), ident.unraw().to_string()),
            None => (Member::Unnamed(Index::from(at)), at.to_string()),
        };
        let span = field.ident.as_ref().map_or_else(|| field.ty.span(), Ident::span);
        EventField { member, name, ty: field.ty.clone(), span }
    });
    Ok(event_fields.collect())
}

fn check_generics(generics: &Generics) -> syn::Result<()> {
    let refused = generics.params.iter().find_map(|parameter| match parameter {
        GenericParam::Const(_) => None,
        GenericParam::Type(_) => Some((
            parameter,
            "an event has no type parameters: write one struct per type, or use a const parameter for a length",
        )),
        GenericParam::Lifetime(_) => {
            Some((parameter, "an event has no lifetime parameters: a reference means nothing in another process"))
        }
    });
    refused.map_or(Ok(()), |(parameter, message)| Err(Error::new_spanned(parameter, message)))
}

/// `repr(C)` and the derives, except those that the struct has already.
fn added_attributes(arguments: &Arguments, present: &[Attribute]) -> syn::Result<Vec<Attribute>> {
    let crate_name = &arguments.crate_name;
    let mut added = Vec::new();

    let reprs = listed::<Meta>(present, "repr")?;
    if let Some(transparent) = reprs.iter().find(|repr| repr.path().is_ident("transparent")) {
        return Err(Error::new_spanned(
            transparent,
            "an event is `repr(C)`, which `event` adds: leave out `transparent`",
        ));
    }
    if !reprs.iter().any(|repr| repr.path().is_ident("C")) {
        added.push(parse_quote!(#[repr(C)]));
    }

    let derives = listed::<Path>(present, "derive")?;
    let mut wanted: Vec<Path> = if arguments.derived {
        Vec::new()
    } else {
        vec![parse_quote!(::core::clone::Clone), parse_quote!(::core::marker::Copy)]
    };
    for checked in ["FromBytes", "IntoBytes", "Immutable", "KnownLayout"] {
        let checked = Ident::new(checked, Span::call_site());
        wanted.push(parse_quote!(::#crate_name::__zerocopy::#checked));
    }
    let last = |path: &Path| path.segments.last().map(|segment| segment.ident.clone());
    wanted.retain(|wanted| !derives.iter().any(|derive| last(derive) == last(wanted)));
    if !wanted.is_empty() {
        added.push(parse_quote!(#[derive(#(#wanted),*)]));
    }
    let zerocopy = format!("::{crate_name}::__zerocopy");
    added.push(parse_quote!(#[zerocopy(crate = #zerocopy)]));
    Ok(added)
}

fn implement_event(arguments: &Arguments, input: &DeriveInput, fields: &[EventField]) -> TokenStream {
    let Arguments { align, crate_name, .. } = arguments;
    let ident = &input.ident;
    let (impl_generics, ty_generics, where_clause) = input.generics.split_for_impl();
    let type_name = type_name(input);
    let rows = fields.iter().map(
        |EventField { member, name, ty, .. }| quote!(.with_field::<#ty>(#name, ::core::mem::offset_of!(Self, #member))),
    );
    quote! {
        #[automatically_derived]
        impl #impl_generics ::#crate_name::Event for #ident #ty_generics #where_clause {
            const SLOT_ALIGN: usize =
                if ::core::mem::align_of::<Self>() > #align { ::core::mem::align_of::<Self>() } else { #align };

            fn schema() -> ::#crate_name::schema::Schema {
                ::#crate_name::schema::Schema::of::<Self>(#type_name) #(#rows)*
            }
        }
    }
}

/// The name for the schema, with the values of the const parameters: an expression, because the values are known only
/// when the type is used.
fn type_name(input: &DeriveInput) -> TokenStream {
    let name = input.ident.unraw().to_string();
    let parameters: Vec<&Ident> = input.generics.const_params().map(|parameter| &parameter.ident).collect();
    if parameters.is_empty() {
        return name.into_token_stream();
    }
    let format = format!("{name}<{}>", vec!["{}"; parameters.len()].join(", "));
    quote!(::std::format!(#format, #(#parameters),*))
}

/// Types that do not compile if the struct has padding, has no bytes or needs more alignment than a slot has: one for
/// each place, with the span of that place.
fn check_layout(arguments: &Arguments, input: &DeriveInput, fields: &[EventField]) -> TokenStream {
    let crate_name = &arguments.crate_name;
    let ident = &input.ident;
    let type_name = ident.unraw().to_string();
    let names: Vec<&str> = fields.iter().map(|field| field.name.as_str()).collect();
    let spare_names = spare_names(fields);

    // A gap can be before every field and at the end. `repr(C)` keeps the fields in order, so no subtraction is below
    // 0.
    let offset = |field: &EventField| {
        let member = &field.member;
        quote!(::core::mem::offset_of!(#ident, #member))
    };
    let starts = fields.iter().map(offset).chain([quote!(::core::mem::size_of::<#ident>())]);
    let ends = [quote!(0)].into_iter().chain(fields.iter().map(|field| {
        let (offset, ty) = (offset(field), &field.ty);
        quote!((#offset + ::core::mem::size_of::<#ty>()))
    }));
    let gaps = starts.zip(ends).map(|(start, end)| quote!(#start - #end));
    let count = fields.len() + 1;

    // The length of an array in a signature is evaluated before zerocopy's bounds are checked, so that the error that
    // says what to do comes first.
    let spans = fields.iter().map(|field| field.span).chain([ident.span()]);
    let gap_checks = spans.enumerate().map(|(at, span)| {
        let advice = quote!(::#crate_name::__private::Advice::new(
            #type_name, __EVENT_FIELDS, &__EVENT_GAPS, #at, __EVENT_SPARE_NAMES
        ));
        quote_spanned! {span=>
            const _: [(); { if __EVENT_GAPS[#at] > 0 { ::core::panic!("{}", #advice.as_str()) } 0 }] = [];
        }
    });

    let no_bytes = format!("an event has at least one byte, `{type_name}` has none");
    let too_aligned = format!("a slot is aligned to at most 128 bytes, `{type_name}` to more");
    let struct_checks = quote_spanned! {ident.span()=>
        const _: () = ::core::assert!(::core::mem::size_of::<#ident>() > 0, #no_bytes);
        const _: () = ::core::assert!(
            ::core::mem::align_of::<#ident>() <= ::#crate_name::schema::SLOT_ALIGN_MAX,
            #too_aligned
        );
    };
    quote! {
        const _: () = {
            const __EVENT_GAPS: [usize; #count] = [#(#gaps),*];
            const __EVENT_FIELDS: &[&str] = &[#(#names),*];
            const __EVENT_SPARE_NAMES: &[&str] = &[#(#spare_names),*];
            #(#gap_checks)*
            #struct_checks
        };
    }
}

/// As many unused field names as there can be gaps; none for a tuple struct.
fn spare_names(fields: &[EventField]) -> Vec<String> {
    if fields.iter().any(|field| matches!(field.member, Member::Unnamed(_))) {
        return Vec::new();
    }
    let candidates = (0..).map(|number| format!("_pad{number}"));
    let unused = candidates.filter(|candidate| fields.iter().all(|field| field.name != *candidate));
    unused.take(fields.len() + 1).collect()
}

/// A struct that does not compile if a field is not an event, or if there could be padding around it that no check can
/// find. zerocopy requires the same, but this is checked first, and its errors say what to do.
fn check_fields(arguments: &Arguments, input: &DeriveInput, fields: &[EventField]) -> syn::Result<TokenStream> {
    let crate_name = &arguments.crate_name;
    let has_parameters = !input.generics.params.is_empty();
    let is_packed = listed::<Meta>(&input.attrs, "repr")?.iter().any(|repr| repr.path().is_ident("packed"));
    // The sizes that depend on a parameter are unknown here, so zerocopy relies on alignments of 1. A single field
    // never has padding around it, and neither have packed ones.
    let checked_type = if has_parameters && !is_packed && fields.len() > 1 { "UnalignedField" } else { "Field" };
    let checked_type = Ident::new(checked_type, Span::call_site());

    let (impl_generics, _, where_clause) = input.generics.split_for_impl();
    let checked = fields
        .iter()
        .map(|EventField { ty, .. }| quote_spanned!(ty.span()=> ::#crate_name::__private::#checked_type<#ty>));
    Ok(quote! {
        const _: () = {
            #[allow(dead_code, reason = "it is there to be compiled")]
            struct __EventFields #impl_generics (#(#checked),*) #where_clause;
        };
    })
}
