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
/// /// `Step` as an older program has it.
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
/// let says = "field `Step.id` is u32 at position 0 here, but u64 at position 0 there";
/// assert!(refused.is_err_and(|error| error.to_string().ends_with(says)));
/// # Ok(())
/// # }
/// ```
///
/// The attribute adds what the type does not have *below* it: the derives, and where their library is, so that a
/// program needs no dependency but `myelon` (which has the libraries as `myelon::serde` and `myelon::rkyv`). It
/// implements [`Codec`](super::Codec) and [`Described`](super::Described). What a message has in it must be described
/// as well: put the attribute on types of your own; numbers, texts, lists, maps, options, boxes and tuples are.
///
/// # What is compared
/// Codec, names, types and order of all fields and variants, of nested types too; not the modules in which the types
/// stand, nor the crates, compilers and machines. A field added at the end is a difference like any other.
///
/// # Options
/// - On the type, a field or a variant `name = "Step/2"`: how the schema calls it. Give a type another name when its
///   meaning changes and its fields do not. `rename` and `rename_all` of serde do the same.
/// - On a field `as = Type`: it is written as that type would be. `opaque = "uuid/1"`: the schema does not look into
///   it; change the text when its bytes change. For types of other crates, and beside serde's or rkyv's `with`. On the
///   type either describes the whole.
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
/// A reader can take messages of programs that have not been upgraded yet. It looks at the ring when it attaches, and
/// converts from then on. Upgrade the readers first, and then the writer, which says
/// [`hand_over`](crate::typed_transport::TypedProducer::hand_over) instead of closing its stream: a reader of before is
/// refused by a writer that is newer. A new writer replaces the ring. Readers read the old one to its end and go on in
/// the new one by themselves; those with ids of their own miss nothing, also if they are away meanwhile. While the old
/// writer has gone and the new one is not there yet, `next` says `ProducerDied`
/// ([`is_peer_gone`](crate::typed_transport::TypedReceiveError::is_peer_gone)), at once: call it again after a pause.
/// The example `upgrade` is a program to copy.
/// - `added = 2` on a field of a struct: the field is there since version 2, and has its default in messages of before.
///   It may stand anywhere. The numbers only say what came first.
/// - `takes(StepV1)` on the type: another type, with `From<StepV1>` for this one. Its schema must have the name that
///   the type had: say `name = "Step"`, or call both `Step` and put them into modules. A wrong name compiles, and a
///   stream of that version is refused with what differs from the type itself. What `StepV1` takes is not taken with
///   it: name every version, `takes(StepV2, StepV1)`.
#[cfg_attr(feature = "bincode", doc = "```")]
#[cfg_attr(not(feature = "bincode"), doc = "```ignore")]
/// use myelon::prelude::*;
///
/// /// As programs have it that are not upgraded yet.
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
/// Both are for the type of a stream and not for types in it: where one of those has changed, write the whole older
/// message out. Messages of an older version are decoded and not read in place
/// ([`CodecError::OlderVersion`](super::CodecError::OlderVersion)), and a type that takes one cannot be read [without
/// validation](super::trusted).
///
/// A reader of before that is still running reads the old ring to its end, and then its `next` says
/// `Build(IncompatibleContent)` each time, which is no [end](crate::typed_transport::TypedReceiveError::is_end): end it
/// and start its new version. Until then, and for a reader that is away, the rings stay, also after the stream was
/// closed. One that never comes back is [evicted](crate::typed_transport::TypedProducer::evict_consumer) by the writer,
/// or removed with its rings by [`gc`](crate::gc).
///
/// In a topology each direction has its readers: upgrade the workers first where the broadcasts change, and the
/// scheduler first where the answers do. A worker in the wrong order is refused when it joins. Workers are upgraded one
/// by one while their scheduler runs. When a scheduler ends, so do its workers: start all of them again with the new
/// one.
///
/// # What is refused, at compile time
/// - A field of a type that has no schema: see the options above. If it has no derives either, serde says so
///   beside it, once for each trait and several times for each field, in its own words (`the trait bound Inner:
///   serde::Serialize is not satisfied`): all of that goes with the attribute on `Inner`.
/// - Attributes of serde whose bytes bincode cannot read back (`flatten`, `tag`, `untagged`, `skip_serializing_if`,
///   `skip` of a variant and others), those that make the bytes another type's without `as` or `opaque` (`with`,
///   `from`, `into`), and those that are not known.
/// - `cfg` on fields and variants, lifetimes, unions.
/// - A codec whose feature is off: the feature is named. The compiler says as well that it finds no `myelon::serde`, or
///   no attribute `serde` or `rkyv`: that goes with the feature.
///
/// # Panics
/// A type whose schema is longer than [`MESSAGE_SCHEMA_BYTES_MAX`](crate::schema::MESSAGE_SCHEMA_BYTES_MAX) panics when
/// a stream of it is created or attached to, always or never.
///
/// Source: RFC 0015.
pub use disruptor_mp_derive::message;
