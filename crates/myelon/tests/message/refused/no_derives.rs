//! Types without serde's traits, made messages by the macros.
use myelon::serde::{Deserialize, Serialize};

struct Neither(u32);

myelon::bincode_message!(Neither);

#[derive(Serialize)]
#[serde(crate = "myelon::serde")]
struct OnlySerialize(u32);

myelon::postcard_message!(OnlySerialize);

#[derive(Deserialize)]
#[serde(crate = "myelon::serde")]
struct OnlyDeserialize(u32);

myelon::bincode_message!(OnlyDeserialize);

fn main() {}
