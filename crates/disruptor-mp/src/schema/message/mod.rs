//! What a message consists of, and how two programs find out whether they mean the same by it.
//!
//! Nothing here knows a codec by name.
//!
//! An event is in a slot as it is in memory, so its [`Schema`](super::Schema) has offsets and sizes. A codec makes the
//! bytes of a message; they follow from the codec and from what is compared here.

mod described;
mod difference;
mod text;
mod types;

pub use described::Described;
pub use difference::{MessageDifference, MessageRow, Said};
pub use text::MessageSchemaError;
pub use types::{Fields, Types, Variants};

/// The largest size of a schema's text in bytes. About five hundred fields fit; in a larger type, make parts
/// [opaque](Types::opaque). The limit bounds what a damaged segment can make a reader do, and two such texts fit into
/// one variable of a process's environment, in which a topology passes them to its workers.
pub const MESSAGE_SCHEMA_BYTES_MAX: usize = 16_384;

/// The description of a type of message: it must be equal in two programs that exchange the message.
///
/// It is displayed as its text, which a ring carries; [`parse`](Self::parse) reads the text back. A schema has exactly
/// one text.
///
/// ```
/// use disruptor_mp::schema::{Described, MessageSchema, Types};
///
/// struct Step {
///     id: u64,
///     tokens: Vec<u32>,
/// }
///
/// /// What `#[message]` of the crate `myelon` writes.
/// impl<C> Described<C> for Step {
///     fn describe(types: &mut Types<C>) -> String {
///         types.define_struct::<Self>("Step", |fields| {
///             fields.field::<u64>("id").field::<Vec<u32>>("tokens");
///         })
///     }
/// }
///
/// let ours = MessageSchema::of::<(), Step>("bincode");
/// assert_eq!(ours.to_string(), "message/1 bincode struct Step { id: u64, tokens: Vec<u32> }");
///
/// let theirs = MessageSchema::parse("message/1 bincode struct Step { id: u32, tokens: Vec<u32> }")?;
/// let difference = ours.first_difference(&theirs).expect("they differ");
/// assert_eq!(difference.to_string(), "field `Step.id` is u64 at position 0 here, but u32 at position 0 there");
/// # Ok::<(), disruptor_mp::schema::MessageSchemaError>(())
/// ```
///
/// Source: RFC 0015.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct MessageSchema {
    codec: String,
    /// The first one is the message; the names are unique.
    definitions: Vec<Definition>,
}

/// A struct or an enum: the message itself, or a part of it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Definition {
    name: String,
    body: Body,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Body {
    Struct(Vec<MessageField>),
    Enum(Vec<Variant>),
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Variant {
    name: String,
    /// The number that represents it in the bytes.
    number: i64,
    fields: Vec<MessageField>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct MessageField {
    name: String,
    type_name: String,
}

impl MessageSchema {
    /// The schema of `T` as `codec` writes it. `C` represents the derives that the codec uses.
    ///
    /// # Panics
    /// If `codec` or a name in the type is not valid in a schema, or if the text is longer than
    /// [`MESSAGE_SCHEMA_BYTES_MAX`]. For a type it panics always or never, and first when a stream of the type is
    /// created or attached to: make large parts opaque, or make them separate messages.
    pub fn of<C, T: Described<C> + ?Sized>(codec: &str) -> Self {
        assert!(text::is_word(codec), "{codec:?} cannot be the name of a codec");
        let mut types = Types::new();
        let name = T::describe(&mut types);
        let schema = Self { codec: codec.to_owned(), definitions: types.into_definitions(name) };
        let len_bytes = schema.to_string().len();
        assert!(
            len_bytes <= MESSAGE_SCHEMA_BYTES_MAX,
            "the schema of `{}` has {len_bytes} bytes, at most {MESSAGE_SCHEMA_BYTES_MAX} are possible: make parts of it opaque",
            schema.type_name()
        );
        schema
    }

    /// The codec that turns the message into bytes.
    pub fn codec(&self) -> &str {
        &self.codec
    }

    /// The name of the message's type, without its module and with its type arguments: `Envelope<Step>`.
    pub fn type_name(&self) -> &str {
        self.definitions.first().map_or("", |definition| &definition.name)
    }

    /// 64 bits that are equal for equal schemas and differ for all others that occur in practice: FNV-1a over the text.
    ///
    /// It depends on the source text only: not on the build, the compiler, the machine or the module. It is for logs
    /// and quick comparisons; it protects from mistakes, not from attacks.
    pub fn fingerprint(&self) -> u64 {
        super::fnv1a(self.to_string().as_bytes())
    }
}

#[cfg(test)]
mod tests;
