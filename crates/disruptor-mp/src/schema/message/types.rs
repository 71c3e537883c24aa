//! How types put a schema together.

use super::described::is_standard;
use super::text::{base_of, is_type, is_type_definition, is_word};
use super::{Body, Definition, Described, MessageField, Variant};
use std::any::TypeId;
use std::collections::HashMap;
use std::marker::PhantomData;

/// The types that a message consists of, as described so far. [`Described::describe`] gets it and adds to it.
#[derive(Debug)]
pub struct Types<C> {
    /// In the order in which they were met. Without a body while their members are being described.
    definitions: Vec<(String, Option<Body>)>,
    /// The types that are defined, or are being defined, with their names here.
    names: HashMap<TypeId, String>,
    codec: PhantomData<fn(C)>,
}

/// The fields of a struct or of a variant, in the order in which they are written.
#[derive(Debug)]
pub struct Fields<'a, C> {
    types: &'a mut Types<C>,
    fields: Vec<MessageField>,
}

/// The variants of an enum, in the order of the source.
#[derive(Debug)]
pub struct Variants<'a, C> {
    types: &'a mut Types<C>,
    variants: Vec<Variant>,
}

impl<C> Types<C> {
    pub(super) fn new() -> Self {
        Self { definitions: Vec::new(), names: HashMap::new(), codec: PhantomData }
    }

    /// Defines the struct `T` unless it is defined already, and returns the name by which a schema refers to it.
    ///
    /// `name` has no module path, because two programs may keep the same struct in different modules. It includes the
    /// arguments of its parameters: `Envelope<Step>`.
    ///
    /// # Panics
    /// If a name is not valid in a schema.
    pub fn define_struct<T: ?Sized + 'static>(
        &mut self,
        name: impl Into<String>,
        tell: impl FnOnce(&mut Fields<'_, C>),
    ) -> String {
        self.define::<T>(name.into(), |types| {
            let mut fields = Fields { types, fields: Vec::new() };
            tell(&mut fields);
            Body::Struct(fields.fields)
        })
    }

    /// Defines the enum `T` unless it is defined already, and returns the name by which a schema refers to it. The name
    /// is as for [`define_struct`](Self::define_struct).
    ///
    /// # Panics
    /// If a name is not valid in a schema.
    pub fn define_enum<T: ?Sized + 'static>(
        &mut self,
        name: impl Into<String>,
        tell: impl FnOnce(&mut Variants<'_, C>),
    ) -> String {
        self.define::<T>(name.into(), |types| {
            let mut variants = Variants { types, variants: Vec::new() };
            tell(&mut variants);
            Body::Enum(variants.variants)
        })
    }

    /// The name by which a schema refers to a type that it does not describe. The tag represents the bytes: change it
    /// when they change.
    ///
    /// # Panics
    /// If the tag is not valid in a schema: it must be 1 to 256 visible characters without spaces, brackets, commas and
    /// colons.
    pub fn opaque(&mut self, tag: &str) -> String {
        assert!(
            is_word(tag),
            "{tag:?} cannot be an opaque tag: it needs 1 to 256 visible characters, no space, bracket, comma or colon"
        );
        format!("opaque {tag}")
    }

    fn define<T: ?Sized + 'static>(&mut self, plain: String, body: impl FnOnce(&mut Self) -> Body) -> String {
        if let Some(name) = self.names.get(&TypeId::of::<T>()) {
            return name.clone();
        }
        assert!(is_type_definition(&plain), "{plain:?} cannot be the name of a type in a schema");
        let namesakes: Vec<String> = self.called(&plain);
        // A program's own `Vec` is not the `Vec` of the standard library.
        let unnumbered = (!is_standard(base_of(&plain))).then(|| plain.clone());
        let numbered = (2..).map(|number| format!("{plain}'{number}"));
        let name = unnumbered.into_iter().chain(numbered).find(|name| !namesakes.contains(name));
        let name = name.expect("there is always another number");
        let at = self.definitions.len();
        // The name is inserted before the members are described: one of them may be of this type.
        self.names.insert(TypeId::of::<T>(), name.clone());
        self.definitions.push((name.clone(), None));
        let body = body(self);
        // Two types with the same name and the same description are one type, in whatever module they are.
        let is_same = |(known, its): &&(String, Option<Body>)| namesakes.contains(known) && its.as_ref() == Some(&body);
        if let Some((known, _)) = self.definitions.iter().find(is_same).cloned() {
            // The definitions after it are its members, which are complete; incomplete ones are before it.
            self.definitions.remove(at);
            self.names.insert(TypeId::of::<T>(), known.clone());
            return known;
        }
        self.definitions[at].1 = Some(body);
        name
    }

    /// The names here of the types with this name in the source.
    fn called(&self, plain: &str) -> Vec<String> {
        let is_called =
            |name: &&String| name.strip_prefix(plain).is_some_and(|it| it.is_empty() || it.starts_with('\''));
        self.definitions.iter().map(|(name, _)| name).filter(is_called).cloned().collect()
    }

    /// All definitions, with the type of that name first.
    pub(super) fn into_definitions(self, name: String) -> Vec<Definition> {
        let complete = |(name, body): (String, Option<Body>)| Some(Definition { name, body: body? });
        let mut definitions: Vec<Definition> = self.definitions.into_iter().filter_map(complete).collect();
        match definitions.iter().position(|definition| definition.name == name) {
            // The arguments of a generic type were described before it.
            Some(at) => definitions[..=at].rotate_right(1),
            // A list or an opaque type as the whole message.
            None => {
                let fields = vec![MessageField { name: "as".to_owned(), type_name: name.clone() }];
                definitions.insert(0, Definition { name, body: Body::Struct(fields) });
            }
        }
        definitions
    }
}

impl<C> Fields<'_, C> {
    /// The next field, of type `T`. The fields of a tuple have the names `0`, `1` and so on.
    ///
    /// # Panics
    /// If the name is not valid in a schema.
    pub fn field<T: Described<C> + ?Sized>(&mut self, name: &str) -> &mut Self {
        let type_name = T::describe(self.types);
        self.push(name, type_name)
    }

    /// The next field, of a type that the schema does not describe: see [`Types::opaque`].
    ///
    /// # Panics
    /// If the name or the tag is not valid in a schema.
    pub fn opaque(&mut self, name: &str, tag: &str) -> &mut Self {
        let type_name = self.types.opaque(tag);
        self.push(name, type_name)
    }

    fn push(&mut self, name: &str, type_name: String) -> &mut Self {
        assert_member(name);
        assert!(is_type(&type_name), "{type_name:?} cannot be the name of a type in a schema");
        self.fields.push(MessageField { name: name.to_owned(), type_name });
        self
    }
}

impl<C> Variants<'_, C> {
    /// The next variant, with the number that represents it in the bytes.
    ///
    /// # Panics
    /// If a name is not valid in a schema.
    pub fn variant(&mut self, name: &str, number: i64, tell: impl FnOnce(&mut Fields<'_, C>)) -> &mut Self {
        assert_member(name);
        let mut fields = Fields { types: &mut *self.types, fields: Vec::new() };
        tell(&mut fields);
        self.variants.push(Variant { name: name.to_owned(), number, fields: fields.fields });
        self
    }
}

fn assert_member(name: &str) {
    assert!(
        is_word(name),
        "{name:?} cannot be the name of a field or a variant in a schema: it needs 1 to 256 visible characters, no space, bracket, \
         comma or colon"
    );
}
