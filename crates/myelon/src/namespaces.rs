//! Re-exports of all layers, grouped as programs of this family import them.
//!
//! They are the same types by every path. Groups to which this crate adds nothing are re-exported from [`disruptor_mp`]
//! as they are.

/// What a program usually needs.
///
/// ```
/// use myelon::prelude::*;
///
/// # fn main() -> TransportResult<()> {
/// # let name = portable_shm_segment_name("doc");
/// let mut producer = TransportProducer::create_default(&name)?;
/// let mut consumer = TransportConsumer::join(&name, "worker-0")?;
/// producer.publish(b"a step", 1)?;
/// assert_eq!(consumer.receive_owned(Patience::Endless)?, Some((1, b"a step".to_vec())));
/// # Ok(())
/// # }
/// ```
pub mod prelude {
    pub use super::consumer;
    pub use crate::codec::{Codec, CodecError, ZeroCopyCodec, message};
    pub use crate::inference::{FixedTopology, InferenceTopologyError, WorkerCount};
    pub use crate::topology::{
        Answer, Arrival, Broadcast, Change, Departure, Invitation, LaunchError, Outcome, Parting, RestartError,
        SchedulerEnd, Topology, TopologyError, TypedAnswer, TypedBroadcast, TypedScheduler, TypedWorker, UrgentError,
        Whom, WorkerEnd, WorkerJoinError, Workers,
    };
    pub use crate::transport::{
        AlignedFixedFrame, FixedFrame, Format, FrameMeta, FramedTransportConsumer, FramedTransportProducer,
        HeldMessage, Message, MmapFramedTransportConsumer, MmapFramedTransportProducer, MmapTransportConsumer,
        MmapTransportProducer, MyelonTransportConfig, MyelonTransportLayout, MyelonWaitStrategy, Records,
        RunnerMyelonTransportConfig, TransportBuilder, TransportConsumer, TransportError, TransportProducer,
        TransportResult, TransportTap, WaitStrategy, compact_session_tag, coordination_cursor_name,
        ensure_coordination_cursor, frame_flags, is_last_frame, is_single_frame, publish_framed_payload,
        recv_framed_message, validate_segment_name,
    };
    pub use crate::typed_transport::{
        HeldTyped, MmapTypedConsumer, MmapTypedProducer, TypedConsumer, TypedMessage, TypedProducer, TypedPublishError,
        TypedReceiveError, TypedTap,
    };
    pub use disruptor_mp::prelude::*;
    pub use disruptor_mp::{
        HELD_MAX, Place, RequiredConsumerAlert, RequiredConsumerAlertHook, RequiredConsumerFailureAction,
        RequiredConsumerLivenessConfig, StartAt, backend, lock_free, portable_shm_segment_name, shared_memory,
    };
}

/// Counters that every process can read, and reports of what an end waits for.
pub mod observability {
    pub use crate::transport::TraceId;
    pub use disruptor_mp::observability::*;
    pub use disruptor_mp::{ConsumerInfo, RequiredConsumerAlert, RequiredConsumerAlertHook, StallReport};
}

/// The writing end, of each layer.
pub mod producer {
    pub use crate::transport::{
        FramedTransportProducer, MmapFramedTransportProducer, MmapTransportProducer, TransportProducer,
    };
    pub use crate::typed_transport::{MmapTypedProducer, TypedProducer};
    pub use disruptor_mp::producer::*;
    pub use disruptor_mp::{ProducerEnd, RecordProducer};
}

/// The reading end, of each layer.
pub mod consumer {
    pub use crate::transport::{
        FramedTransportConsumer, MmapFramedTransportConsumer, MmapTransportConsumer, TransportConsumer,
    };
    pub use crate::typed_transport::{MmapTypedConsumer, TypedConsumer};
    pub use disruptor_mp::consumer::*;
    pub use disruptor_mp::{ConsumerEnd, RecordConsumer};
}

/// Child processes, signals and Unix sockets: everything of the crate `myelon-process`, as the same types.
///
/// [`Workers::spawned`](crate::topology::Workers::spawned) takes a [`Command`](crate::process::Command) of it.
pub mod process {
    pub use myelon_process::*;
}
