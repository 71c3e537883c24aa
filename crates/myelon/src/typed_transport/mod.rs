//! Streams of one type of message.
//!
//! | for | see |
//! |---|---|
//! | sending | [`TypedProducer`] |
//! | receiving: in place, owned, by a handler | [`TypedConsumer`], [`TypedMessage`] |
//! | keeping messages while newer ones are received | [`TypedConsumer::next_held`], [`HeldTyped`] |
//! | a `for` loop | [`messages`](TypedConsumer::messages) |
//! | watching, without an entry in the ring | [`TypedTap`], [`TypedCopy`] |
//! | what can go wrong | [`TypedPublishError`], [`TypedReceiveError`] |
//!
//! A stream says what its messages are: the type's [tag](crate::codec::TypeTag) is in the ring, and a consumer of
//! another type, or of another version of it, is refused when it attaches. A message is encoded directly in the ring,
//! where its receivers read it. See [`codec`](crate::codec) for how a type becomes a message.

mod consumer;
mod error;
mod held;
mod message;
mod producer;
mod tap;

pub use consumer::{MmapTypedConsumer, OnUndecodable, TypedConsumer};
pub use error::{TypedPublishError, TypedReceiveError};
pub use held::HeldTyped;
pub use message::TypedMessage;
pub(crate) use message::{Reading, Tally};
pub(crate) use producer::Encoder;
pub use producer::{MmapTypedProducer, TypedProducer};
pub use tap::{TypedCopy, TypedTap};
