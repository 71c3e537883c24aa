//! Messages of codecs whose features are off.

#[myelon::message]
struct Step(u32);

#[myelon::message(postcard)]
struct Short(u32);

#[myelon::message(rkyv)]
struct Large(Vec<u32>);

struct Foreign;

myelon::bincode_message!(Foreign);
myelon::flatbuffers_message!(Foreign as Table);

fn main() {}
