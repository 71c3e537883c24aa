//! Attributes of serde that change the bytes in ways that bincode cannot read back, or that cannot be seen.
use myelon::message;

#[message]
struct Flatten {
    #[serde(flatten)]
    inner: u32,
}

#[message]
#[serde(untagged)]
enum Untagged {
    A(u8),
}

#[message]
#[serde(tag = "type", content = "content")]
enum Tagged {
    A(u8),
}

#[message]
enum OtherVariant {
    A,
    #[serde(other)]
    B,
}

#[message]
struct SkipIf {
    #[serde(skip_serializing_if = "Option::is_none")]
    maybe: Option<u32>,
}

#[message]
struct SkipWriting {
    #[serde(skip_serializing)]
    maybe: u32,
}

#[message]
enum SkipVariant {
    #[serde(skip)]
    A,
    B,
}

#[message]
struct With {
    #[serde(with = "module")]
    field: u32,
}

#[message]
struct SerializeWith {
    #[serde(default, serialize_with = "function")]
    field: u32,
}

#[message]
enum VariantWith {
    #[serde(with = "module")]
    A(u32),
}

#[message]
#[serde(from = "u64", into = "u64")]
struct From(u64);

#[message]
#[serde(remote = "Other")]
struct Remote(u64);

#[message]
struct TwoNames {
    #[serde(rename(serialize = "a", deserialize = "b"))]
    field: u32,
}

#[message]
#[serde(rename_all = "Title Case")]
struct NoRule(u64);

#[message]
struct NotAName {
    #[serde(rename = "two words")]
    field: u32,
}

#[message]
struct FromTheFuture {
    #[serde(compress = "zstd")]
    field: u32,
}

fn main() {}
