//! The names that users of this family know, through `myelon`: none may disappear, and those of layer 0 are the same
//! types as there.
#![forbid(unsafe_code)]

use myelon::event;
use std::any::{TypeId, type_name};
use std::time::Duration;
use testkit::names::ShmGuard;
use testkit::watchdog::{PATIENCE, Watchdog};

/// What users import from the crate root, one line each: the compiler checks it.
#[rustfmt::skip]
#[expect(unused_imports, reason = "each line is a claim that the name is there")]
mod the_crate_root {
    use myelon::AlignedFixedFrame as _;
    use myelon::attach_shared_consumer as _;
    use myelon::AutoConsumer as _;
    use myelon::AutoWaitStrategy as _;
    use myelon::backend as _;
    use myelon::build_shared_single_producer as _;
    use myelon::Codec as _;
    use myelon::codec as _;
    use myelon::CodecError as _;
    use myelon::compact_session_tag as _;
    use myelon::consumer as _;
    use myelon::ConsumerBarrier as _;
    use myelon::coordination_cursor_name as _;
    use myelon::CoordinationMode as _;
    use myelon::CounterHandle as _;
    use myelon::CountersFile as _;
    use myelon::CounterSnapshot as _;
    use myelon::default_block_strategy_duration as _;
    use myelon::default_consume_sleep_duration as _;
    use myelon::default_coordination_timeout_duration as _;
    use myelon::default_discovery_poll_duration as _;
    use myelon::DEFAULT_MAX_CONSUMERS as _;
    use myelon::DEFAULT_MYELON_RESPONSE_DEPTH as _;
    use myelon::DEFAULT_MYELON_RPC_DEPTH as _;
    use myelon::default_progress_check_interval_duration as _;
    use myelon::default_progress_timeout_duration as _;
    use myelon::default_scan_interval_duration as _;
    use myelon::default_shutdown_grace_period_duration as _;
    use myelon::default_startup_wait_timeout_duration as _;
    use myelon::DEFAULT_TRANSPORT_PREFIX as _;
    use myelon::DiscoveryMode as _;
    use myelon::ensure_coordination_cursor as _;
    use myelon::event as _;
    use myelon::FixedTopology as _;
    use myelon::frame_flags as _;
    use myelon::FrameMeta as _;
    use myelon::inference as _;
    use myelon::InferenceTopologyError as _;
    use myelon::InferenceTopologyResult as _;
    use myelon::is_last_frame as _;
    use myelon::is_single_frame as _;
    use myelon::lock_free as _;
    use myelon::message as _;
    use myelon::MissingFreeSlots as _;
    use myelon::MmapConsumer as _;
    use myelon::MmapConsumerBarrier as _;
    use myelon::MmapCursor as _;
    use myelon::MmapCursorConfig as _;
    use myelon::MmapFileConfig as _;
    use myelon::MmapFramedTransportConsumer as _;
    use myelon::MmapFramedTransportProducer as _;
    use myelon::MmapProducer as _;
    use myelon::MmapRingBuffer as _;
    use myelon::MmapTransportLayout as _;
    use myelon::MmapTypedConsumer as _;
    use myelon::MmapTypedProducer as _;
    use myelon::MultiProcessError as _;
    use myelon::MultiProcessResult as _;
    use myelon::MyelonTransportConfig as _;
    use myelon::MyelonTransportLayout as _;
    use myelon::MyelonWaitStrategy as _;
    use myelon::observability as _;
    use myelon::perform_default_block_wait as _;
    use myelon::perform_default_consume_sleep_wait as _;
    use myelon::perform_default_discovery_poll_wait as _;
    use myelon::perform_sleep_wait as _;
    use myelon::portable_shm_segment_name as _;
    use myelon::PORTABLE_SHM_SEGMENT_NAME_MAX_LEN as _;
    use myelon::prelude as _;
    use myelon::producer as _;
    use myelon::ProducerBarrier as _;
    use myelon::publish_framed_payload as _;
    use myelon::PublishError as _;
    use myelon::recv_framed_message as _;
    use myelon::RequiredConsumerAlert as _;
    use myelon::RequiredConsumerAlertHook as _;
    use myelon::RequiredConsumerError as _;
    use myelon::RequiredConsumerFailureAction as _;
    use myelon::RequiredConsumerLivenessConfig as _;
    use myelon::RingBufferFull as _;
    use myelon::RunnerMyelonTransportConfig as _;
    use myelon::SEGMENT_NAME_LIMIT_MACOS as _;
    use myelon::Sequence as _;
    use myelon::shared_memory as _;
    use myelon::SharedConsumer as _;
    use myelon::SharedCursor as _;
    use myelon::SharedCursorTrait as _;
    use myelon::SharedDisruptorBuilder as _;
    use myelon::SharedMemoryConfig as _;
    use myelon::SharedProducer as _;
    use myelon::SharedRingBuffer as _;
    use myelon::ShmRingBuffer as _;
    use myelon::transport as _;
    use myelon::TransportError as _;
    use myelon::TransportResult as _;
    use myelon::typed_transport as _;
    use myelon::TypedConsumer as _;
    use myelon::TypedProducer as _;
    use myelon::TypedPublishError as _;
    use myelon::validate_segment_name as _;
    use myelon::WorkerCount as _;
    #[cfg(feature = "flatbuffers")]
    use myelon::flatbuffers as _;
    #[cfg(feature = "rkyv")]
    use myelon::rkyv as _;
    #[cfg(feature = "bincode")]
    use myelon::serde as _;
}

/// What users get from the prelude.
#[rustfmt::skip]
#[expect(unused_imports, reason = "each line is a claim that the name is there")]
mod the_prelude {
    use myelon::prelude::AlignedFixedFrame as _;
    use myelon::prelude::attach_shared_consumer as _;
    use myelon::prelude::AutoConsumer as _;
    use myelon::prelude::AutoWaitStrategy as _;
    use myelon::prelude::backend as _;
    use myelon::prelude::build_shared_single_producer as _;
    use myelon::prelude::Codec as _;
    use myelon::prelude::CodecError as _;
    use myelon::prelude::compact_session_tag as _;
    use myelon::prelude::consumer as _;
    use myelon::prelude::coordination_cursor_name as _;
    use myelon::prelude::ensure_coordination_cursor as _;
    use myelon::prelude::FixedTopology as _;
    use myelon::prelude::frame_flags as _;
    use myelon::prelude::FrameMeta as _;
    use myelon::prelude::is_last_frame as _;
    use myelon::prelude::is_single_frame as _;
    use myelon::prelude::lock_free as _;
    use myelon::prelude::MmapConsumer as _;
    use myelon::prelude::MmapFramedTransportConsumer as _;
    use myelon::prelude::MmapFramedTransportProducer as _;
    use myelon::prelude::MmapProducer as _;
    use myelon::prelude::MmapTransportLayout as _;
    use myelon::prelude::MmapTypedConsumer as _;
    use myelon::prelude::MmapTypedProducer as _;
    use myelon::prelude::MyelonTransportConfig as _;
    use myelon::prelude::MyelonTransportLayout as _;
    use myelon::prelude::MyelonWaitStrategy as _;
    use myelon::prelude::publish_framed_payload as _;
    use myelon::prelude::recv_framed_message as _;
    use myelon::prelude::RequiredConsumerAlert as _;
    use myelon::prelude::RequiredConsumerAlertHook as _;
    use myelon::prelude::RequiredConsumerError as _;
    use myelon::prelude::RequiredConsumerFailureAction as _;
    use myelon::prelude::RequiredConsumerLivenessConfig as _;
    use myelon::prelude::RunnerMyelonTransportConfig as _;
    use myelon::prelude::Sequence as _;
    use myelon::prelude::shared_memory as _;
    use myelon::prelude::SharedConsumer as _;
    use myelon::prelude::SharedDisruptorBuilder as _;
    use myelon::prelude::SharedProducer as _;
    use myelon::prelude::TypedConsumer as _;
    use myelon::prelude::TypedProducer as _;
    use myelon::prelude::TypedPublishError as _;
    use myelon::prelude::validate_segment_name as _;
    use myelon::prelude::WorkerCount as _;
}

/// What users import to read counters.
#[rustfmt::skip]
#[expect(unused_imports, reason = "each line is a claim that the name is there")]
mod the_observability {
    use myelon::observability::COUNTER_FLAG_CONSUMER as _;
    use myelon::observability::COUNTER_FLAG_IN_USE as _;
    use myelon::observability::COUNTER_FLAG_PRODUCER as _;
    use myelon::observability::CounterHandle as _;
    use myelon::observability::COUNTERS_FILE_RESERVED_BYTES as _;
    use myelon::observability::CountersFile as _;
    use myelon::observability::CounterSnapshot as _;
    use myelon::observability::ids as _;
}

/// An event, made with the attribute that this crate re-exports.
#[event(crate = "myelon")]
struct Tick {
    number: u64,
}

/// Requires that each type is the same in both crates, and names it if it is not.
macro_rules! same_types {
    ($($($segment:ident)::+ $(<$parameter:ty>)?),+ $(,)?) => {
        $(assert_eq!(
            TypeId::of::<myelon::$($segment)::+ $(<$parameter>)?>(),
            TypeId::of::<disruptor_mp::$($segment)::+ $(<$parameter>)?>(),
            "{}", stringify!($($segment)::+)
        );)+
    };
}

/// Requires that both paths lead to one type.
#[track_caller]
fn same<A: 'static, B: 'static>() {
    assert_eq!(TypeId::of::<A>(), TypeId::of::<B>(), "{} is not {}", type_name::<A>(), type_name::<B>());
}

#[test]
fn types_of_layer_0_are_the_same_through_either_crate() {
    same_types![
        SharedDisruptorBuilder<Tick>,
        SharedProducer<Tick>,
        SharedConsumer<Tick>,
        MmapProducer<Tick>,
        MmapConsumer<Tick>,
        MmapTransportLayout,
        MmapRingBuffer<Tick>,
        MmapCursor,
        MmapCursorConfig,
        MmapFileConfig,
        MmapConsumerBarrier,
        SharedRingBuffer<Tick>,
        ShmRingBuffer<Tick>,
        SharedMemoryConfig,
        SharedCursor,
        ConsumerBarrier,
        ProducerBarrier,
        DiscoveryMode,
        AutoConsumer,
        AutoWaitStrategy,
        CoordinationMode,
        Sequence,
        RingBufferFull,
        MissingFreeSlots,
        MultiProcessError,
        MultiProcessResult<Tick>,
        PublishError,
        ConsumeError,
        Patience,
        Place,
        RequiredConsumerLivenessConfig,
        RequiredConsumerFailureAction,
        RequiredConsumerAlert,
        RequiredConsumerAlertHook,
        RequiredConsumerError,
        StallReport,
        CountersFile,
        CounterHandle,
        CounterSnapshot,
    ];
    fn is_event<E: disruptor_mp::Event + myelon::Event>() {}
    fn is_cursor<C: disruptor_mp::SharedCursorTrait + myelon::SharedCursorTrait>() {}
    is_event::<Tick>();
    is_cursor::<myelon::SharedCursor>();
}

#[test]
fn functions_and_limits_of_layer_0_are_here() {
    assert_eq!(myelon::PORTABLE_SHM_SEGMENT_NAME_MAX_LEN, 14);
    assert_eq!(myelon::DEFAULT_MAX_CONSUMERS, 64);
    let name = myelon::portable_shm_segment_name("name");
    assert!(name.starts_with("name") && name.len() <= myelon::PORTABLE_SHM_SEGMENT_NAME_MAX_LEN, "{name}");
    let durations: [fn() -> Duration; 9] = [
        myelon::default_block_strategy_duration,
        myelon::default_consume_sleep_duration,
        myelon::default_coordination_timeout_duration,
        myelon::default_discovery_poll_duration,
        myelon::default_progress_check_interval_duration,
        myelon::default_progress_timeout_duration,
        myelon::default_scan_interval_duration,
        myelon::default_shutdown_grace_period_duration,
        myelon::default_startup_wait_timeout_duration,
    ];
    assert!(durations.iter().all(|duration| !duration().is_zero()));
    myelon::perform_default_block_wait();
    myelon::perform_default_consume_sleep_wait();
    myelon::perform_default_discovery_poll_wait();
    myelon::perform_sleep_wait(Duration::from_micros(1));
}

#[test]
fn the_verbs_of_layer_0_work_on_an_event_made_here() {
    use myelon::{CoordinationMode, RequiredConsumerLivenessConfig};
    let (_watchdog, shm) = (Watchdog::new(PATIENCE, "the verbs of layer 0"), ShmGuard::new());
    let mut producer = myelon::build_shared_single_producer::<Tick>(shm.name("n"), 8)
        .discover_consumer_with_prefix(2, "worker-")
        .enable_discovery(2)
        .with_coordination(CoordinationMode::Immediate)
        .build_producer(|| Tick { number: 0 })
        .unwrap();
    let mut consumer =
        myelon::attach_shared_consumer::<Tick>(shm.name("n"), 8).with_consumer_id("worker-0").build_consumer().unwrap();
    producer.enable_required_consumer_liveness(RequiredConsumerLivenessConfig::new(["worker-0"])).unwrap();
    producer.publish(|tick| tick.number = 0).unwrap();
    producer.try_publish(|tick| tick.number = 1).unwrap();
    producer.publish_batch(2, |tick, index| tick.number = 2 + index as u64).unwrap();
    producer.publish_managed(|tick| tick.number = 4).unwrap();
    producer.publish_batch_managed(2, |tick, index| tick.number = 5 + index as u64).unwrap();
    let mut numbers = vec![consumer.consume_next_leased().unwrap().number];
    while let Some(lease) = consumer.try_consume_next_leased() {
        numbers.push(lease.number);
    }
    assert_eq!(numbers, [0, 1, 2, 3, 4, 5, 6]);
    let published = producer.ring_counters().snapshot();
    let published = published.iter().find(|counter| counter.id == myelon::counters::ids::EVENTS_PUBLISHED);
    assert_eq!(published.expect("every ring counts").value, 7);
}

#[test]
fn liveness_says_how_somebody_failed() {
    use myelon::{RequiredConsumerError, RequiredConsumerFailureAction, RequiredConsumerLivenessConfig};
    let how = |error: &RequiredConsumerError| match error {
        RequiredConsumerError::StartupTimeout { missing, .. } => format!("{missing:?} did not come"),
        RequiredConsumerError::GracefulShutdownTriggered { consumer_id, .. } => format!("{consumer_id} did not get on"),
        RequiredConsumerError::ConsumerDied { consumer_id, .. } => format!("{consumer_id} died"),
        other => format!("{other}"),
    };
    let (_watchdog, shm) = (Watchdog::new(PATIENCE, "a required consumer"), ShmGuard::new());
    let config = RequiredConsumerLivenessConfig::new(["worker-0"]).with_startup_wait_timeout(Duration::from_millis(1));
    assert_eq!(config.failure_action, RequiredConsumerFailureAction::GracefulShutdown);
    let mut producer =
        myelon::build_shared_single_producer::<Tick>(shm.name("l"), 8).build_producer(|| Tick { number: 0 }).unwrap();
    producer.enable_required_consumer_liveness(config).unwrap();
    let error = producer.publish_managed(|tick| tick.number = 1).unwrap_err();
    assert_eq!(how(&error), r#"["worker-0"] did not come"#);
}

#[test]
fn namespaces_lead_to_the_same_types() {
    use myelon::{backend, consumer, lock_free, observability, prelude, producer, shared_memory, transport};
    same::<shared_memory::SharedMemoryConfig, backend::shared_memory::SharedMemoryConfig>();
    same::<shared_memory::SharedRingBuffer<Tick>, myelon::SharedRingBuffer<Tick>>();
    same::<shared_memory::ShmRingBuffer<Tick>, myelon::ShmRingBuffer<Tick>>();
    same::<backend::mmap::MmapFileConfig, myelon::MmapFileConfig>();
    same::<backend::mmap::MmapProducer<Tick>, myelon::MmapProducer<Tick>>();
    same::<backend::mmap::MmapConsumer<Tick>, myelon::MmapConsumer<Tick>>();
    same::<backend::mmap::MmapTransportLayout, myelon::MmapTransportLayout>();
    same::<lock_free::SharedCursor, myelon::SharedCursor>();
    same::<lock_free::ConsumerBarrier, myelon::ConsumerBarrier>();
    same::<lock_free::DiscoveryMode, myelon::DiscoveryMode>();
    same::<observability::CountersFile, disruptor_mp::counters::CountersFile>();
    same::<observability::CounterSnapshot, disruptor_mp::CounterSnapshot>();
    same::<observability::StallReport, disruptor_mp::StallReport>();
    same::<producer::SharedProducer<Tick>, disruptor_mp::SharedProducer<Tick>>();
    same::<producer::FramedTransportProducer, transport::FramedTransportProducer>();
    same::<consumer::SharedConsumer<Tick>, disruptor_mp::SharedConsumer<Tick>>();
    same::<consumer::FramedTransportConsumer, transport::FramedTransportConsumer>();
    same::<prelude::SharedProducer<Tick>, disruptor_mp::prelude::SharedProducer<Tick>>();
    same::<prelude::FramedTransportProducer, transport::FramedTransportProducer>();
    let table = observability::CountersFile::boxed(4);
    table.register(observability::ids::APPLICATION_BASE, 0, "steps").expect("there is room").add(3);
    let counter = table.snapshot().remove(0);
    assert_eq!((counter.value, &*counter.name, counter.owner_pid), (3, "steps", std::process::id()));
}

#[test]
fn a_table_of_counters_can_be_laid_into_any_memory() {
    // Named and not called: their argument must live long enough.
    let _ = myelon::observability::CountersFile::init;
    let _ = myelon::observability::CountersFile::attach;
    let _ = <myelon::SharedProducer<Tick> as myelon::ProducerEnd>::attach_counters;
    let _ = <myelon::SharedConsumer<Tick> as myelon::ConsumerEnd>::attach_counters;
}

#[test]
fn the_names_of_layer_1_are_here() {
    use myelon::transport::reassembly::Reassembler;
    use myelon::transport::{
        AlignedFixedFrame, FixedFrame, Format, FrameMeta, FramedTransportConsumer, FramedTransportFrame,
        FramedTransportProducer, MmapFramedTransportConsumer, MmapFramedTransportProducer, MyelonWaitStrategy,
        TransportError, TransportResult, frame_flags, is_last_frame, is_single_frame, publish_framed_payload,
        recv_framed_message,
    };
    type Frame = FixedFrame<64>;
    // The current names, and their aliases from earlier versions.
    same::<myelon::TransportProducer<Frame>, FramedTransportProducer<Frame>>();
    same::<myelon::TransportConsumer, FramedTransportConsumer>();
    same::<myelon::transport::MmapTransportProducer, MmapFramedTransportProducer>();
    same::<myelon::prelude::MmapTransportConsumer, myelon::consumer::MmapFramedTransportConsumer>();
    same::<MyelonWaitStrategy, myelon::WaitStrategy>();
    same::<myelon::AutoWaitStrategy, myelon::transport::WaitStrategy>();
    same::<MmapFramedTransportProducer<Frame>, FramedTransportProducer<Frame>>();
    same::<MmapFramedTransportConsumer<Frame>, FramedTransportConsumer<Frame>>();
    assert!(is_single_frame(frame_flags(true, true)) && is_last_frame(frame_flags(false, true)));
    assert_eq!((Frame::PAYLOAD_ALIGN, AlignedFixedFrame::<64>::PAYLOAD_ALIGN), (1, 16));
    let waits = [MyelonWaitStrategy::BusySpin, MyelonWaitStrategy::Block, MyelonWaitStrategy::Adaptive];
    assert_eq!(waits[2], MyelonWaitStrategy::default());

    let (_watchdog, shm) = (Watchdog::new(PATIENCE, "layer 1"), ShmGuard::new());
    let exchange = || -> TransportResult<Vec<u8>> {
        let mut producer = FramedTransportProducer::<Frame>::create_with_consumers(shm.name("f"), 16, 2)?;
        let mut consumer =
            FramedTransportConsumer::<Frame>::attach_with_consumer_id(shm.name("f"), 16, "worker-0", waits[0])?;
        assert!(producer.discover_consumer_id("worker-0", PATIENCE) && producer.discover_consumers(PATIENCE));
        producer.publish(b"a step", 1)?;
        let mut bytes = Vec::new();
        consumer.process_available(|meta: FrameMeta<'_>| bytes = meta.data.to_vec())?;
        Ok(bytes)
    };
    assert_eq!(exchange().unwrap(), b"a step");

    let place = shm.name("e");
    let mut producer =
        myelon::build_shared_single_producer::<Frame>(place.as_str(), 16).build_producer(Frame::default).unwrap();
    let mut consumer = myelon::attach_shared_consumer::<Frame>(place.as_str(), 16).build_consumer().unwrap();
    publish_framed_payload(&mut producer, 1, &[7; 100], 2, myelon::Patience::Endless).unwrap();
    let mut reassembler = Reassembler::new(Frame::SHAPE, 1 << 10);
    let received = recv_framed_message(&mut consumer, &mut reassembler, myelon::Patience::Endless);
    assert_eq!(received.unwrap(), Some((2, vec![7; 100])));
    let too_large = publish_framed_payload(&mut producer, 2, &[0; 64 * 16], 2, myelon::Patience::Endless);
    assert!(matches!(too_large, Err(TransportError::TooLarge { .. })));
}

#[cfg(feature = "bincode")]
#[test]
fn the_names_of_layers_2_and_3_are_here() {
    use myelon::codec::{Codec, CodecError};
    use myelon::topology::{SchedulerEnd, Topology, TypedScheduler, TypedWorker, WorkerEnd};
    use myelon::transport::FixedFrame;
    use myelon::typed_transport::{
        MmapTypedConsumer, MmapTypedProducer, TypedConsumer, TypedProducer, TypedPublishError,
    };

    #[derive(serde::Serialize, serde::Deserialize)]
    struct Step(u64);
    myelon::bincode_message!(Step);

    fn is_message<T: Codec>() {}
    is_message::<Step>();
    same::<MmapTypedProducer<Step>, TypedProducer<Step>>();
    same::<MmapTypedConsumer<Step, FixedFrame<64>>, TypedConsumer<Step, FixedFrame<64>>>();
    same::<myelon::prelude::TypedScheduler<Step, Step>, TypedScheduler<Step, Step>>();
    same::<myelon::prelude::TypedWorker<Step, Step>, TypedWorker<Step, Step>>();
    same::<myelon::prelude::SchedulerEnd, SchedulerEnd>();
    same::<myelon::prelude::WorkerEnd, WorkerEnd>();
    let _: Topology = Topology::new("names", 2usize).unwrap().carrying::<Step, Step>();
    assert!(matches!(Step::decode(&[1]), Err(CodecError::Decode { .. })));
    let _: fn(CodecError) -> TypedPublishError = TypedPublishError::Codec;
    let _: fn(myelon::RequiredConsumerError) -> TypedPublishError = TypedPublishError::RequiredConsumer;
}

#[test]
fn the_names_around_the_layers_are_here() {
    use myelon::inference::{FixedTopology, InferenceTopologyError, InferenceTopologyResult, WorkerCount};
    use myelon::transport::{
        DEFAULT_MYELON_RESPONSE_DEPTH, DEFAULT_MYELON_RPC_DEPTH, DEFAULT_TRANSPORT_PREFIX, MyelonTransportConfig,
        MyelonTransportLayout, MyelonWaitStrategy, RunnerMyelonTransportConfig, SEGMENT_NAME_LIMIT_MACOS,
        compact_session_tag, coordination_cursor_name, ensure_coordination_cursor, validate_segment_name,
    };
    assert_eq!((WorkerCount::Two.as_usize(), WorkerCount::from_usize(8)), (2, Some(WorkerCount::Eight)));
    assert_eq!((WorkerCount::from_usize(1), WorkerCount::from_usize(9)), (None, None));
    let fixed = FixedTopology::new("segment", 1024, WorkerCount::Two);
    assert_eq!(fixed.worker_consumer_id(1).unwrap(), "segment_wk_1");
    let beyond: InferenceTopologyResult<String> = fixed.worker_consumer_id(2);
    assert!(matches!(beyond, Err(InferenceTopologyError::InvalidWorkerIndex { index: 2, worker_count: 2 })));

    assert_eq!((DEFAULT_MYELON_RPC_DEPTH, DEFAULT_MYELON_RESPONSE_DEPTH), (1024, 256));
    assert_eq!((DEFAULT_TRANSPORT_PREFIX, SEGMENT_NAME_LIMIT_MACOS), ("vmy", 14));
    let layout = MyelonTransportLayout::for_session("session", 2, 1024, 256).unwrap();
    let tag = compact_session_tag("session");
    assert_eq!(layout.rpc_ring_name(), format!("vmy{tag}p"));
    assert_eq!(layout.response_ring_name(1), Some(format!("vmy{tag}r1")));
    let config = MyelonTransportConfig::default();
    let runner = RunnerMyelonTransportConfig::for_rank(&layout, 1, MyelonWaitStrategy::Block).unwrap();
    assert_eq!((config.rpc_depth, runner.response_depth), (1024, 256));
    validate_segment_name(&runner.rpc_ring_name).unwrap();

    let shm = ShmGuard::new();
    assert!(coordination_cursor_name("ring").len() <= SEGMENT_NAME_LIMIT_MACOS);
    ensure_coordination_cursor(&shm.name("")).unwrap();
}

#[cfg(all(feature = "bincode", feature = "rkyv", feature = "flatbuffers"))]
#[test]
fn every_codec_has_its_module() {
    use myelon::codec::{ZeroCopyCodec, bincode_support, flatbuf_support, rkyv_support, trusted::TrustedCodec};
    use rkyv_support::rkyv::{self, Archive, Deserialize, Serialize};

    #[derive(Archive, Serialize, Deserialize)]
    #[rkyv(crate = myelon::codec::rkyv_support::rkyv)]
    struct Step(u64);
    myelon::rkyv_message!(Step);

    fn is_read_in_place<T: ZeroCopyCodec + TrustedCodec>() {}
    is_read_in_place::<Step>();
    assert_eq!(
        [bincode_support::CODEC, rkyv_support::CODEC, flatbuf_support::CODEC],
        ["bincode", "rkyv", "flatbuffers"]
    );
    // Users need no dependency on these libraries of their own.
    same::<rkyv::Archived<bool>, bool>();
    same::<flatbuf_support::flatbuffers::UOffsetT, u32>();
}

#[cfg(feature = "tokio")]
#[test]
fn either_end_can_be_awaited() {
    use myelon::asynchronous::{AsyncConsumer, AsyncProducer, Publish, Receive};
    use myelon::transport::{FramedTransportConsumer, FramedTransportProducer};
    fn is_awaited<P: Publish, C: Receive>() -> [usize; 2] {
        [size_of::<AsyncProducer<P>>(), size_of::<AsyncConsumer<C>>()]
    }
    assert!(is_awaited::<FramedTransportProducer, FramedTransportConsumer>().iter().all(|size| *size > 0));
}
