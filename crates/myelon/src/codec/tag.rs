//! The name by which two programs agree on a type of message.

use super::Described;
use disruptor_mp::schema::MessageSchema;
use std::fmt;

/// What a stream carries, in one line of text that is compared as a whole when a program attaches.
///
/// For a type with [`#[message]`](super::message) it is the [schema](Self::schema): the codec, and names, types and
/// order of everything in the message. For one with a macro it is the codec, the type and its version, such as
/// `rkyv:Step/1`. That says nothing about fields: give such a type another version when its bytes change. Then a
/// program that knows only the old form is refused when it attaches, and does not misread messages later.
///
/// ```
/// use myelon::codec::TypeTag;
///
/// let tag = TypeTag::new("rkyv", "Step/2");
/// assert_eq!(tag.to_string(), "rkyv:Step/2");
/// assert_eq!(tag.schema(), None);
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TypeTag(String);

impl TypeTag {
    /// The maximum length of a tag that is no schema. It is stored in the segment beside the schema of the slots, whose
    /// names have the same limit.
    pub const LEN_MAX_BYTES: usize = 256;

    /// The tag of the type `name` (with its version), written by `codec`.
    ///
    /// # Panics
    /// When a part is empty or has characters other than visible ASCII, or the whole is longer than
    /// [`LEN_MAX_BYTES`](Self::LEN_MAX_BYTES). A programmer writes the text, and other programs show it in their
    /// errors.
    pub fn new(codec: &str, name: &str) -> Self {
        for part in [codec, name] {
            assert!(!part.is_empty(), "a tag names a codec and a type");
            assert!(part.bytes().all(|byte| byte.is_ascii_graphic()), "a tag is visible ASCII, not {part:?}");
        }
        let text = format!("{codec}:{name}");
        assert!(text.len() <= Self::LEN_MAX_BYTES, "a tag has at most {} bytes: {text}", Self::LEN_MAX_BYTES);
        Self(text)
    }

    /// The tag of version 1 of a type whose Rust path is `type_text`. Modules do not count, so that two programs may
    /// keep one type in different places.
    #[doc(hidden)]
    pub fn of_type(codec: &str, type_text: &str) -> Self {
        Self::new(codec, &format!("{}/1", without_modules(type_text)))
    }

    /// The tag of a type with a schema, as `codec` writes it.
    ///
    /// # Panics
    /// As [`MessageSchema::of`]: when the schema is longer than a ring takes.
    pub fn of_message<C, T: Described<C>>(codec: &str) -> Self {
        Self(MessageSchema::of::<C, T>(codec).to_string())
    }

    /// The schema of the messages; `None` if the tag is only a name.
    pub fn schema(&self) -> Option<MessageSchema> {
        MessageSchema::parse(&self.0).ok()
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for TypeTag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<TypeTag> for String {
    fn from(tag: TypeTag) -> Self {
        tag.0
    }
}

/// `wire::Envelope < crate::wire::Step >` as `Envelope<Step>`.
fn without_modules(type_text: &str) -> String {
    let mut name = String::new();
    let mut path_start = 0;
    for character in type_text.chars().filter(|character| !character.is_whitespace()) {
        name.push(character);
        if name.ends_with("::") {
            name.truncate(path_start);
        } else if !character.is_alphanumeric() && character != '_' && character != ':' {
            path_start = name.len();
        }
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modules_and_spaces_are_no_part_of_a_name() {
        assert_eq!(without_modules("Step"), "Step");
        assert_eq!(without_modules("crate :: wire :: Step"), "Step");
        assert_eq!(without_modules("::wire::Envelope < crate::a::Step , [ u8; 4 ] >"), "Envelope<Step,[u8;4]>");
    }

    #[test]
    fn a_type_is_version_one_unless_it_says_otherwise() {
        assert_eq!(TypeTag::of_type("rkyv", "crate::Step").as_str(), "rkyv:Step/1");
        assert_eq!(String::from(TypeTag::new("rkyv", "Step/7")), "rkyv:Step/7");
    }

    #[test]
    #[should_panic(expected = "visible ASCII")]
    fn a_tag_can_be_read_in_an_error() {
        TypeTag::new("rkyv", "Step\n1");
    }

    #[test]
    #[should_panic(expected = "names a codec and a type")]
    fn a_tag_is_not_empty() {
        TypeTag::new("rkyv", "");
    }
}
