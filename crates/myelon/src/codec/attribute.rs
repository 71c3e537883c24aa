//! The attribute [`message`], which makes a type a message.

/// How serde's derives write a type: the parameter of [`Described`](super::Described) for the codecs that use them.
#[derive(Debug)]
pub enum Serde {}

/// How rkyv's derives write a type: the parameter of [`Described`](super::Described) for archives.
#[derive(Debug)]
pub enum Rkyv {}

/// Makes a struct or an enum a message: a type whose values travel, and whose fields two programs compare when they
/// attach.
///
/// | written | derives | a stream of it travels as |
/// |---|---|---|
/// | `#[message]`, `#[message(serde)]` | serde's | bincode, feature `bincode` (default) |
/// | `#[message(postcard)]` | serde's | postcard, feature `postcard` |
/// | `#[message(rkyv)]` | rkyv's | an archive that is read in place, feature `rkyv` |
/// | `#[message(serde, rkyv)]` | both, so that it may be part of messages of both | the first one says |
#[cfg_attr(feature = "bincode", doc = "```")]
#[cfg_attr(not(feature = "bincode"), doc = "```ignore")]
/// use myelon::prelude::*;
///
/// #[message]
/// #[derive(Debug, PartialEq)]
/// struct Step {
///     id: u64,
///     work: Vec<Work>,
/// }
///
/// #[message]
/// #[derive(Debug, PartialEq)]
/// enum Work {
///     Prefill { tokens: Vec<u32> },
///     Decode(u32),
/// }
///
/// /// `Step` in an older program.
/// mod older {
///     # use myelon::prelude::*;
///     #[message]
///     pub struct Step {
///         pub id: u32,
///         pub work: Vec<super::Work>,
///     }
/// }
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let name = portable_shm_segment_name("doc");
/// let mut producer = TypedProducer::<Step>::create(&name, 1 << 20)?;
/// let mut consumer = TypedConsumer::<Step>::attach(&name, 0, WaitStrategy::Adaptive)?;
/// let step = Step { id: 7, work: vec![Work::Prefill { tokens: vec![1, 2] }, Work::Decode(3)] };
/// producer.publish(&step, 0)?;
/// assert_eq!(consumer.receive_owned(Patience::Endless)?, Some((step, 0)));
///
/// let refused = TypedConsumer::<older::Step>::attach(&name, 0, WaitStrategy::Adaptive).map(drop);
/// let says = "field `Step.id` is u32 at position 0 here, but u64 at position 0 there; \
///             give both programs the same type";
/// assert!(refused.is_err_and(|error| error.to_string().ends_with(says)));
/// # Ok(())
/// # }
/// ```
///
/// The attribute adds what is not written *below* it: the derives, and where their library is. So a program needs no
/// dependency but `myelon`, which has the libraries as `myelon::serde` and `myelon::rkyv`. It implements
/// [`Codec`](super::Codec) and [`Described`](super::Described). The types inside a message must be described as well:
/// put the attribute on your own types. Numbers, texts, lists, maps, options, boxes and tuples are described already.
///
/// # What is compared
/// Codec, names, types and order of all fields and variants, of nested types too; not the modules and crates in which
/// the types are defined, nor compilers and machines. A field added at the end is a difference like any other.
///
/// # Options
/// - On the type, a field or a variant `name = "Step/2"`: its name in the schema. Give a type another name when its
///   meaning changes and its fields do not. `rename` and `rename_all` of serde do the same.
/// - On a field `as = Type`: it is written as that type would be. `opaque = "uuid/1"`: the schema does not look into
///   it; change the text when its bytes change. For types of other crates, and beside serde's or rkyv's `with`. On the
///   type, either option describes the whole type.
/// - `crate = "facade"`: the crate through which myelon is reached, if it is no dependency under its own name.
#[cfg_attr(feature = "bincode", doc = "```")]
#[cfg_attr(not(feature = "bincode"), doc = "```ignore")]
/// use myelon::codec::Codec;
/// use myelon::message;
///
/// #[message(name = "Peer/2")]
/// struct Peer {
///     #[message(as = [u8; 4])]
///     address: std::net::Ipv4Addr,
///     #[message(opaque = "system-time/1")]
///     seen: std::time::SystemTime,
///     #[serde(skip)]
///     failures: u32,
/// }
///
/// assert_eq!(
///     Peer::type_tag().as_str(),
///     "message/1 bincode struct Peer/2 { address: [u8; 4], seen: opaque system-time/1 }"
/// );
/// ```
///
/// # Older versions
/// A reader can accept messages of programs that have not been upgraded yet. It looks at the ring when it attaches, and
/// converts from then on. Upgrade the readers first, because an old reader is refused by a newer writer. Then upgrade
/// the writer: the old one calls [`hand_over`](crate::typed_transport::TypedProducer::hand_over) instead of closing its
/// stream, and the new one replaces the ring. Readers read the old ring to its end and continue in the new one by
/// themselves. Readers with ids of their own miss nothing, even if they are away meanwhile. Between the two writers,
/// `next` returns `ProducerDied` ([`is_peer_gone`](crate::typed_transport::TypedReceiveError::is_peer_gone)) at once:
/// call it again after a pause. The example `upgrade` is a program to copy.
/// - `added = 2` on a field of a struct: the field exists since version 2, and has its default in older messages. It
///   may be at any position. The numbers only give the order of the versions.
/// - `takes(StepV1)` on the type: another type, with `From<StepV1>` for this one. Its schema must have the name that
///   the type had: write `name = "Step"`, or call both `Step` and put them into modules. A wrong name compiles, but a
///   stream of that version is refused with the difference to the type itself. The versions that `StepV1` takes are not
///   included: name every version, `takes(StepV2, StepV1)`.
#[cfg_attr(feature = "bincode", doc = "```")]
#[cfg_attr(not(feature = "bincode"), doc = "```ignore")]
/// use myelon::prelude::*;
///
/// /// The type in programs that are not upgraded yet.
/// #[message(name = "Step")]
/// struct StepV1 {
///     id: u32,
/// }
///
/// #[message(takes(StepV1))]
/// struct Step {
///     id: u64,
///     tokens: Vec<u32>,
///     #[message(added = 3)]
///     lane: u8,
/// }
///
/// impl From<StepV1> for Step {
///     fn from(step: StepV1) -> Self {
///         Self { id: step.id.into(), tokens: Vec::new(), lane: 0 }
///     }
/// }
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let name = portable_shm_segment_name("doc");
/// let mut old = TypedProducer::<StepV1>::create(&name, 1 << 16)?;
/// let mut consumer = TypedConsumer::<Step>::attach(&name, 0, WaitStrategy::Adaptive)?;
/// assert!(consumer.is_of_older_version());
/// old.publish(&StepV1 { id: 7 }, 0)?;
/// assert_eq!(consumer.receive_owned(Patience::Endless)?.map(|(step, _kind)| step.id), Some(7));
/// # Ok(())
/// # }
/// ```
///
/// Both are for the type of a stream and not for types inside it: if one of those has changed, write out the whole
/// older message. Messages of an older version are decoded and not read in place
/// ([`CodecError::OlderVersion`](super::CodecError::OlderVersion)), and a type that takes one cannot be read [without
/// validation](super::trusted).
///
/// An old reader that still runs reads the old ring to its end. Then its `next` returns `Build(IncompatibleContent)`
/// each time, which is no [end](crate::typed_transport::TypedReceiveError::is_end): stop it and start its new version.
/// Until then, and for a reader that is away, the rings stay, even after the stream was closed. A reader that never
/// comes back is [evicted](crate::typed_transport::TypedProducer::evict_consumer) by the writer, or removed with its
/// rings by [`gc`](crate::gc).
///
/// In a topology each direction has its readers: upgrade the workers first if the broadcasts change, and the scheduler
/// first if the answers change. A worker in the wrong order is refused when it joins. Workers are upgraded one by one
/// while their scheduler runs. When a scheduler ends, so do its workers: start all of them again with the new one.
///
/// # What is refused, at compile time
/// - A field of a type that has no schema: see the options above. If it has no derives either, serde reports that too,
///   once for each trait and several times for each field (`the trait bound Inner: serde::Serialize is not satisfied`):
///   the attribute on `Inner` removes all of these errors.
/// - Attributes of serde whose bytes bincode cannot read back (`flatten`, `tag`, `untagged`, `skip_serializing_if`,
///   `skip` of a variant and others), those that write the bytes of another type without `as` or `opaque` (`with`,
///   `from`, `into`), and those that are not known.
/// - `cfg` on fields and variants, lifetimes, unions.
/// - A codec whose feature is off: the feature is named. The compiler also reports that it finds no `myelon::serde`, or
///   no attribute `serde` or `rkyv`: the feature removes those errors.
///
/// # Panics
/// A type whose schema is longer than [`MESSAGE_SCHEMA_BYTES_MAX`](crate::schema::MESSAGE_SCHEMA_BYTES_MAX) panics
/// whenever a stream of it is created or attached to. This does not depend on the values.
///
/// Source: RFC 0015.
pub use disruptor_mp_derive::message;
