//! What attributes do to a schema. Those that are refused are in `refused/`.

use crate::stage::schema_of;
use myelon::codec::{Codec, Described, Serde, Types};
use myelon::message;
use std::net::Ipv4Addr;
use std::time::SystemTime;

mod as_octets {
    use super::Ipv4Addr;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(super) fn serialize<S: Serializer>(address: &Ipv4Addr, serializer: S) -> Result<S::Ok, S::Error> {
        address.octets().serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Ipv4Addr, D::Error> {
        <[u8; 4]>::deserialize(deserializer).map(Ipv4Addr::from)
    }
}

#[message(name = "Peer/2")]
struct Peer {
    #[serde(with = "as_octets")]
    #[message(as = [u8; 4])]
    address: Ipv4Addr,
    #[message(opaque = "system-time/1")]
    seen: SystemTime,
    #[message(name = "previous")]
    last: u32,
    #[serde(skip)]
    failures: u32,
    #[serde(rename = "weight", alias = "w", default)]
    share: f32,
}

#[test]
fn types_of_other_crates_have_a_written_schema_or_an_opaque_tag() {
    assert_eq!(
        schema_of::<Peer>(),
        "struct Peer/2 { address: [u8; 4], seen: opaque system-time/1, previous: u32, weight: f32 }"
    );
    let peer = Peer { address: Ipv4Addr::LOCALHOST, seen: SystemTime::UNIX_EPOCH, last: 1, failures: 9, share: 1.0 };
    let mut bytes = [0; 64];
    let len = peer.encode(&mut (), &mut bytes).unwrap();
    let back = Peer::decode(&bytes[..len]).unwrap();
    assert_eq!((back.address, back.failures), (Ipv4Addr::LOCALHOST, 0));
}

#[message]
#[serde(rename_all = "kebab-case", rename_all_fields = "camelCase", deny_unknown_fields)]
enum Command {
    PauseAll,
    #[serde(rename = "stop")]
    StopNow {
        grace_ms: u32,
    },
    #[serde(rename_all = "UPPERCASE")]
    Go {
        to_rank: u8,
    },
    #[message(name = "Tail")]
    Rest(u8, #[serde(skip)] u16, u32),
}

#[test]
fn names_that_serde_changes_are_the_names_in_the_schema() {
    assert_eq!(
        schema_of::<Command>(),
        "enum Command { pause-all, stop { graceMs: u32 }, go { TO_RANK: u8 }, Tail { 0: u8, 2: u32 } }"
    );
}

mod numbered {
    #[myelon::message(serde)]
    pub(super) enum BySerde {
        A = 5,
        B,
    }

    #[myelon::message(rkyv)]
    pub(super) enum ByRkyv {
        A = 5,
        B,
        C = 9,
    }
}

#[test]
fn numbers_of_variants_count_where_they_stand_in_the_bytes() {
    assert_eq!(schema_of::<numbered::BySerde>(), "enum BySerde { A, B }");
    assert_eq!(schema_of::<numbered::ByRkyv>(), "enum ByRkyv { A = 5, B = 6, C = 9 }");
}

#[message(serde, rkyv)]
struct Both {
    #[serde(skip)]
    only_in_the_archive: u32,
    id: u64,
}

#[message(rkyv, serde)]
struct ArchivedFirst(u8);

#[message(rkyv)]
struct Around(Both);

#[test]
fn each_library_has_its_own_schema_and_the_first_one_says_how_a_stream_travels() {
    assert_eq!(Both::type_tag().as_str(), "message/1 bincode struct Both { id: u64 }");
    assert_eq!(schema_of::<Around>(), "struct Around { 0: Both } struct Both { only_in_the_archive: u32, id: u64 }");
    assert_eq!(ArchivedFirst::CODEC, "rkyv");
}

/// Its traits are written by hand, so only its author knows its bytes.
struct Angle(f32);

impl serde::Serialize for Angle {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f32(self.0)
    }
}

impl<'de> serde::Deserialize<'de> for Angle {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        serde::Deserialize::deserialize(deserializer).map(Self)
    }
}

impl Described<Serde> for Angle {
    fn describe(types: &mut Types<Serde>) -> String {
        types.opaque("angle/1")
    }
}

#[message]
struct Turn {
    by: Vec<Angle>,
}

#[message(as = u64)]
#[serde(from = "u64", into = "u64")]
#[derive(Clone, Copy)]
struct Micros(u128);

impl From<u64> for Micros {
    fn from(micros: u64) -> Self {
        Self(micros.into())
    }
}

impl From<Micros> for u64 {
    fn from(Micros(micros): Micros) -> Self {
        micros as u64
    }
}

#[test]
fn a_type_with_traits_of_its_own_is_described_by_hand() {
    assert_eq!(schema_of::<Turn>(), "struct Turn { by: Vec<opaque angle/1> }");
    assert_eq!(schema_of::<Micros>(), "struct Micros { as: u64 }");
}
