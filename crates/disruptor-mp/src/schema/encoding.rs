//! The bytes of a schema inside a segment.
//!
//! A process that creates a segment encodes; one that opens or inspects it decodes.
//!
//! Everything is little-endian and packed without alignment; a text is its length and that many bytes of UTF-8:
//!
//! ```text
//!   0      4      8             16             24
//!   +------+------+-------------+--------------+-----+-----------+
//!   | form | rows | event size  | event align  | len | type name |
//!   | u32  | u32  | u64         | u64          | u16 | len bytes |
//!   +------+------+-------------+--------------+-----+-----------+
//!   then `rows` times, one row after the other:
//!   +-------------+-------------+-----+-----------+-----+-----------+
//!   | offset      | size        | len | name      | len | type name |
//!   | u64         | u64         | u16 | len bytes | u16 | len bytes |
//!   +-------------+-------------+-----+-----------+-----+-----------+
//!   then, if there is a content tag, its text up to the end; it may be as long as the schema of a message
//! ```
//!
//! A schema has exactly one encoding, and bytes that are not the encoding of a schema are refused. So equal bytes mean
//! equal schemas, and the fingerprint may be taken over the bytes.

use super::{FIELDS_MAX, Field, MESSAGE_SCHEMA_BYTES_MAX, NAME_BYTES_MAX, Schema, is_name};

/// The number of this form of the bytes. Another form gets another number, and this build's error names it.
const FORM: u32 = 2;

/// Form, rows, size and alignment.
const HEAD_BYTES: usize = 4 + 4 + 8 + 8;

/// Offset and size of a row, without its two texts.
const ROW_BYTES: usize = 8 + 8;

/// The longest text, with its length.
const TEXT_BYTES_MAX: usize = 2 + NAME_BYTES_MAX;

/// The length in bytes of the longest possible schema. Real ones are much shorter; this bounds what a reader has to
/// map.
pub const ENCODED_BYTES_MAX: usize =
    HEAD_BYTES + TEXT_BYTES_MAX + FIELDS_MAX * (ROW_BYTES + 2 * TEXT_BYTES_MAX) + 2 + MESSAGE_SCHEMA_BYTES_MAX;

// The length of a text has 16 bits.
const _: () = assert!(NAME_BYTES_MAX <= MESSAGE_SCHEMA_BYTES_MAX && MESSAGE_SCHEMA_BYTES_MAX <= u16::MAX as usize);

/// Why bytes are not a schema. The segment is damaged, or was written by another version: inspect it, or remove it and
/// create it again.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SchemaError {
    /// The bytes end inside the schema.
    #[error("the schema ends after {len_bytes} bytes, in the middle of its {part}")]
    Truncated {
        /// How many bytes there are.
        len_bytes: usize,
        /// The part in which they end.
        part: &'static str,
    },
    /// There are more bytes than the schema has.
    #[error("{extra_bytes} bytes follow the end of the schema")]
    TooLong {
        /// How many bytes are left over.
        extra_bytes: usize,
    },
    /// The schema is written in a form that this build does not know.
    #[error("the schema is written in form {found}, this build reads form {wanted}", wanted = FORM)]
    UnknownForm {
        /// The number of that form.
        found: u32,
    },
    /// There are more fields than a schema has, or an alignment is no power of two.
    #[error("the schema's {part} is {found}")]
    Number {
        /// The meaning of the number.
        part: &'static str,
        /// The number.
        found: u64,
    },
    /// A text is longer than any name.
    #[error("the schema's {part} is {len_bytes} bytes long")]
    NameTooLong {
        /// What the text is.
        part: &'static str,
        /// The length that it claims.
        len_bytes: usize,
    },
    /// A text is empty, is not UTF-8 or contains control characters.
    #[error("the schema's {part} is no name")]
    Name {
        /// What the text is.
        part: &'static str,
    },
    /// A field ends beyond the event.
    #[error("the schema's field {field} and is {} bytes long, in an event of {event_bytes} bytes", field.size_bytes)]
    Outside {
        /// The field.
        field: Field,
        /// The size of the event in bytes.
        event_bytes: u64,
    },
}

impl Schema {
    /// The bytes by which a segment describes its events: at most [`ENCODED_BYTES_MAX`], the same on every platform and
    /// in every build.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.encoded_bytes());
        bytes.extend(FORM.to_le_bytes());
        bytes.extend((self.fields.len() as u32).to_le_bytes());
        bytes.extend(self.size_bytes.to_le_bytes());
        bytes.extend(self.align_bytes.to_le_bytes());
        push_text(&mut bytes, &self.type_name);
        for field in &self.fields {
            bytes.extend(field.offset_bytes.to_le_bytes());
            bytes.extend(field.size_bytes.to_le_bytes());
            push_text(&mut bytes, &field.name);
            push_text(&mut bytes, &field.type_name);
        }
        if let Some(tag) = &self.content_tag {
            push_text(&mut bytes, tag);
        }
        debug_assert!(bytes.len() == self.encoded_bytes() && bytes.len() <= ENCODED_BYTES_MAX);
        bytes
    }

    /// The length of [`encode`](Self::encode) in bytes.
    fn encoded_bytes(&self) -> usize {
        let text = |text: &str| 2 + text.len();
        let rows = self.fields.iter().map(|field| ROW_BYTES + text(&field.name) + text(&field.type_name));
        HEAD_BYTES + text(&self.type_name) + rows.sum::<usize>() + self.content_tag.as_deref().map_or(0, text)
    }

    /// Reads the schema back. For any bytes the worst result is an error, and the memory that is allocated is in
    /// proportion to the existing bytes, not to the numbers in them.
    ///
    /// # Errors
    /// Any [`SchemaError`]: the bytes are not a schema that [`encode`](Self::encode) of this version has written, and
    /// the segment must not be used.
    pub fn decode(bytes: &[u8]) -> Result<Schema, SchemaError> {
        let mut reader = Reader { len_bytes: bytes.len(), rest: bytes };
        let form = reader.u32("form")?;
        if form != FORM {
            return Err(SchemaError::UnknownForm { found: form });
        }
        let rows = reader.u32("number of fields")?;
        if rows as usize > FIELDS_MAX {
            return Err(SchemaError::Number { part: "number of fields", found: rows.into() });
        }
        let size_bytes = reader.u64("event size")?;
        let align_bytes = reader.u64("event alignment")?;
        if !align_bytes.is_power_of_two() {
            return Err(SchemaError::Number { part: "event alignment", found: align_bytes });
        }
        let type_name = reader.text("event name")?;
        // No capacity is reserved: `rows` cannot be trusted until the rows have been read.
        let mut fields = Vec::new();
        for _ in 0..rows {
            let field = reader.field()?;
            if !field.lies_within(size_bytes) {
                return Err(SchemaError::Outside { field, event_bytes: size_bytes });
            }
            fields.push(field);
        }
        let content_tag = if reader.rest.is_empty() { None } else { Some(reader.content_tag()?) };
        match reader.rest.len() {
            0 => Ok(Schema { type_name, size_bytes, align_bytes, fields, content_tag }),
            extra_bytes => Err(SchemaError::TooLong { extra_bytes }),
        }
    }
}

/// The length is at most [`NAME_BYTES_MAX`], or [`MESSAGE_SCHEMA_BYTES_MAX`] of a content tag: no `Schema` is made
/// without that check.
fn push_text(bytes: &mut Vec<u8>, text: &str) {
    bytes.extend((text.len() as u16).to_le_bytes());
    bytes.extend(text.as_bytes());
}

/// The bytes that are still to be read. Every method names the part that it reads, for the error.
struct Reader<'a> {
    len_bytes: usize,
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize, part: &'static str) -> Result<&'a [u8], SchemaError> {
        let truncated = SchemaError::Truncated { len_bytes: self.len_bytes, part };
        let (taken, rest) = self.rest.split_at_checked(count).ok_or(truncated)?;
        self.rest = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self, part: &'static str) -> Result<[u8; N], SchemaError> {
        let truncated = SchemaError::Truncated { len_bytes: self.len_bytes, part };
        let (taken, rest) = self.rest.split_first_chunk().ok_or(truncated)?;
        self.rest = rest;
        Ok(*taken)
    }

    fn u16(&mut self, part: &'static str) -> Result<u16, SchemaError> {
        self.array(part).map(u16::from_le_bytes)
    }

    fn u32(&mut self, part: &'static str) -> Result<u32, SchemaError> {
        self.array(part).map(u32::from_le_bytes)
    }

    fn u64(&mut self, part: &'static str) -> Result<u64, SchemaError> {
        self.array(part).map(u64::from_le_bytes)
    }

    fn text(&mut self, part: &'static str) -> Result<String, SchemaError> {
        self.text_of(part, NAME_BYTES_MAX, is_name)
    }

    fn content_tag(&mut self) -> Result<String, SchemaError> {
        self.text_of("content tag", MESSAGE_SCHEMA_BYTES_MAX, Schema::is_content_tag)
    }

    fn text_of(
        &mut self,
        part: &'static str,
        most_bytes: usize,
        is_good: impl Fn(&str) -> bool,
    ) -> Result<String, SchemaError> {
        let len_bytes = usize::from(self.u16(part)?);
        if len_bytes > most_bytes {
            return Err(SchemaError::NameTooLong { part, len_bytes });
        }
        let bytes = self.take(len_bytes, part)?;
        let text = core::str::from_utf8(bytes).ok().filter(|text| is_good(text));
        text.map(str::to_owned).ok_or(SchemaError::Name { part })
    }

    fn field(&mut self) -> Result<Field, SchemaError> {
        Ok(Field {
            offset_bytes: self.u64("field offset")?,
            size_bytes: self.u64("field size")?,
            name: self.text("field name")?,
            type_name: self.text("field type")?,
        })
    }
}
