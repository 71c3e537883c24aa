//! `{error}` says everything that a person needs at night, once; and the error that is promised is the one that comes.

use crate::messages::{BincodeStep, RkyvStep, Step, StepT};
use crate::stage::{DEPTH, Frame, Stream};
use myelon::codec::rkyv_support::rkyv;
use myelon::codec::{Codec, CodecError};
use myelon::segment::OpenError;
use myelon::topology::{Invitation, LaunchError, Topology, Workers};
use myelon::transport::{
    FixedFrame, Format, FramedTransportConsumer, FramedTransportProducer, MyelonTransportLayout, MyelonWaitStrategy,
    Records, TransportBuilder, TransportError,
};
use myelon::typed_transport::{TypedConsumer, TypedProducer};
use myelon::{MultiProcessError, Patience, Place, SharedDisruptorBuilder};
use std::error::Error;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use testkit::errors::assert_says_all_once;
use testkit::names::ShmGuard;

#[track_caller]
fn says<T, E: Error + 'static>(answer: Result<T, E>, facts: &[&str]) {
    match answer {
        Ok(_) => panic!("no error"),
        Err(error) => assert_says_all_once(&error, facts),
    }
}

fn attach<F: Format>(name: &str, depth: usize) -> Result<FramedTransportConsumer<F>, TransportError> {
    FramedTransportConsumer::attach(name, depth, MyelonWaitStrategy::Adaptive)
}

#[test]
fn a_ring_of_another_format_is_refused_as_the_builder_says() {
    let names = ShmGuard::new();
    let name = names.name("r");
    let _records = FramedTransportProducer::<Records>::create(&name, 1 << 16).unwrap();
    let refused = attach::<Frame>(&name, 0).map(drop).unwrap_err();
    let is_kind = |error: &TransportError| {
        matches!(error, TransportError::Build(MultiProcessError::Unusable { source: OpenError::WrongKind { .. }, .. }))
    };
    assert!(is_kind(&refused), "{refused:?}");
    assert_says_all_once(&refused, &[&name, "is a ring of records", "wants a ring of events or frames"]);

    let name = names.name("f");
    let _frames = FramedTransportProducer::<Frame>::create(&name, DEPTH).unwrap();
    let refused = attach::<Records>(&name, 0).map(drop).unwrap_err();
    assert!(is_kind(&refused), "{refused:?}");
    assert_says_all_once(&refused, &[&name, "is a ring of events or frames of", "wants a ring of records"]);
    let refused = attach::<FixedFrame<100>>(&name, 0).map(drop).unwrap_err();
    let is_event = matches!(refused, TransportError::Build(MultiProcessError::IncompatibleEvent { .. }));
    assert!(is_event, "{refused:?}");
    assert_says_all_once(&refused, &[&name, "holds other events"]);
}

#[test]
fn an_error_of_a_transport_names_the_reason_once() {
    let names = ShmGuard::new();
    let name = names.name("r");
    says(attach::<Records>(&name, 0), &["there is no ring", &name]);
    says(
        FramedTransportProducer::<Records>::create(&name, usize::MAX),
        &["1 to 35184372088832 bytes", "were asked for"],
    );
    says(FramedTransportProducer::<Records>::create(&name, 0), &["1 to 35184372088832 bytes", "0 were asked for"]);
    says(FramedTransportProducer::<Frame>::create(&name, 0), &["a power of two"]);
    let mut producer = FramedTransportProducer::<Records>::create(&name, 1 << 14).unwrap();
    let mut consumer = attach::<Records>(&name, 0).unwrap();
    says(producer.publish(&vec![0; 1 << 15], 0), &["a message of 32768 bytes", "a ring of depth 65536"]);
    while producer.try_publish(&[0; 1000], 0).is_ok() {}
    says(producer.try_publish(&[0; 1000], 0), &["the ring is full"]);
    says(producer.publish_deadline(&[0; 1000], 0, std::time::Instant::now()), &["timed out", "producer waits"]);
    says(producer.publish_managed(&[0; 1000], 0), &["is not enabled"]);
    drop(producer);
    consumer.process_available(|_| ()).unwrap();
    says(consumer.next(Patience::Endless).map(drop), &["the ring is closed"]);
}

#[test]
fn a_message_that_is_skipped_says_what_is_wrong_with_it() {
    let place = Place::heap();
    let mut stranger = SharedDisruptorBuilder::records(&place, 1 << 14).build_record_producer().unwrap();
    let mut consumer = TransportBuilder::<Records>::new(&place, 0).build_consumer().unwrap();
    stranger.publish(b"no message", 0, 0x40, Patience::Now).unwrap();
    says(consumer.next(Patience::Now).map(drop), &["a message was skipped", "flags 0x40"]);
}

/// A message that no form of its codec has.
#[derive(rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
#[rkyv(crate = myelon::codec::rkyv_support::rkyv)]
struct Located {
    #[rkyv(with = rkyv::with::AsString)]
    path: PathBuf,
}

myelon::rkyv_message!(Located);

fn undecodable<T: Codec>(facts: &[&str]) {
    let Stream { guards: _guards, mut producer, mut consumer } = Stream::<T, Frame>::new();
    producer.send_raw(&[0xFF; 100], 4, Patience::Endless).unwrap();
    says(
        consumer.next(Patience::Now).unwrap().unwrap().decode(),
        &[&[T::CODEC, "could not decode 100 bytes"], facts].concat(),
    );
    producer.send_raw(&[0xFF; 100], 4, Patience::Endless).unwrap();
    says(
        consumer.receive_owned(Patience::Now),
        &[&["message 1 of kind 4 was skipped", "could not decode 100 bytes"], facts].concat(),
    );
}

#[test]
fn an_error_of_a_codec_says_what_its_library_said() {
    undecodable::<BincodeStep>(&[]);
    undecodable::<RkyvStep>(&["pointer"]);
    undecodable::<StepT>(&[]);
    let mut producer = TypedProducer::<Located>::create(Place::heap(), 1 << 14).unwrap();
    let not_text = Located { path: PathBuf::from(OsStr::from_bytes(&[0xFF])) };
    says(producer.publish(&not_text, 0), &["rkyv could not encode the message", "UTF-8"]);
    assert_says_all_once(&CodecError::encode("mine", "no such form"), &["mine could not encode", "no such form"]);
}

#[test]
fn an_error_of_a_typed_stream_names_the_reason_once() {
    let Stream { guards, mut producer, consumer: _consumer } = Stream::<BincodeStep, Frame>::new();
    let name = guards.names.name("s");
    let other = TypedConsumer::<RkyvStep, Frame>::attach(&name, DEPTH, MyelonWaitStrategy::Adaptive);
    says(other, &[&name, "`bincode:BincodeStep/1`", "`rkyv:RkyvStep/1`"]);
    let huge = BincodeStep(Step { sequences: vec![Step::typical().sequences[0].clone(); 1000] });
    says(producer.publish(&huge, 0), &["does not fit", "a ring of depth"]);
    let small = || BincodeStep(Step { sequences: vec![] });
    while producer.try_publish(&small(), 0).is_ok() {}
    says(producer.try_publish(&small(), 0), &["the ring is full"]);
    says(producer.publish_managed(&small(), 0), &["is not enabled"]);
}

#[test]
fn an_error_of_a_topology_names_the_reason_once() {
    let label = testkit::names::short();
    says(Topology::<Records>::new(&label, 0usize), &["at least one worker, and 0 were asked for"]);
    says(MyelonTransportLayout::for_session_with_prefix("a/b", "x", 1, 8, 8), &["a/b", "letters, digits"]);
    let invitation: Result<Invitation, _> = "no invitation".parse();
    says(
        invitation.map_err(myelon::topology::WorkerJoinError::from),
        &["the invitation cannot be read", "does not begin"],
    );
    let topology = Topology::<Records>::new(&label, 1usize).unwrap();
    let name = topology.layout().rpc_ring_name();
    let _stranger = FramedTransportProducer::<Records>::create(&name, 1 << 16).unwrap();
    let refused = topology.launch(Workers::started_elsewhere()).map(drop).unwrap_err();
    assert!(matches!(refused, LaunchError::Broadcast { .. }));
    assert_says_all_once(&refused, &["the broadcast ring could not be created", &name, "is in use by"]);
}
