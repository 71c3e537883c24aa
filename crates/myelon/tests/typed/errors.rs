//! `{error}` says everything that an operator needs, once; and the error that is promised is the one that comes.

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
use testkit::errors::assert_says;
use testkit::names::ShmGuard;

#[track_caller]
fn says<T, E: Error + 'static>(answer: Result<T, E>, text: &str) {
    match answer {
        Ok(_) => panic!("no error"),
        Err(error) => assert_says(&error, text),
    }
}

fn attach<F: Format>(name: &str, depth: usize) -> Result<FramedTransportConsumer<F>, TransportError> {
    FramedTransportConsumer::attach(name, depth, MyelonWaitStrategy::Adaptive)
}

/// What to do if a ring is of another format.
const ANOTHER: &str = "choose another name, or attach to it as what it is";

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
    assert_says(
        &refused,
        &format!("shm:{name} is a ring of records, and this program wants a ring of events or frames; {ANOTHER}"),
    );

    let name = names.name("f");
    let _frames = FramedTransportProducer::<Frame>::create(&name, DEPTH).unwrap();
    let refused = attach::<Records>(&name, 0).map(drop).unwrap_err();
    assert!(is_kind(&refused), "{refused:?}");
    assert_says(
        &refused,
        &format!(
            "shm:{name} is a ring of events or frames of 4096 bytes each, and this program wants a ring of records; {ANOTHER}"
        ),
    );
    let refused = attach::<FixedFrame<100>>(&name, 0).map(drop).unwrap_err();
    let is_event = matches!(refused, TransportError::Build(MultiProcessError::IncompatibleEvent { .. }));
    assert!(is_event, "{refused:?}");
    assert_says(
        &refused,
        &format!(
            "shm:{name} holds other events: the event is `FixedFrame<100>` here, but `AlignedFixedFrame<4080>` there; \
             give both programs the same type"
        ),
    );
}

#[test]
fn an_error_of_a_transport_names_the_reason_once() {
    let names = ShmGuard::new();
    let (name, pid) = (names.name("r"), std::process::id());
    says(
        attach::<Records>(&name, 0),
        &format!("there is no ring at shm:{name}; start its producer first, or wait for it with `attach_when_ready`"),
    );
    says(
        FramedTransportProducer::<Records>::create(&name, usize::MAX),
        "a ring of records has 1 to 35184372088832 bytes, and 18446744073709551615 were asked for; the default size \
         is 8388608",
    );
    says(
        FramedTransportProducer::<Records>::create(&name, 0),
        "a ring of records has 1 to 35184372088832 bytes, and 0 were asked for; the default size is 8388608",
    );
    says(
        FramedTransportProducer::<Frame>::create(&name, 0),
        "a ring has a power of two of slots, 1 to 1099511627776, and 0 were asked for; the next that is possible is 1",
    );
    let mut producer = FramedTransportProducer::<Records>::create(&name, 1 << 14).unwrap();
    let mut consumer = attach::<Records>(&name, 0).unwrap();
    says(
        producer.publish(&vec![0; 1 << 15], 0),
        "a message of 32768 bytes does not fit: at most 16304; a ring of depth 65536 would hold it",
    );
    while producer.try_publish(&[0; 1000], 0).is_ok() {}
    says(producer.try_publish(&[0; 1000], 0), "the ring is full");
    says(
        producer.publish_deadline(&[0; 1000], 0, std::time::Instant::now()),
        &format!("timed out: ring shm:{name}: producer waits for space since …; … pid {pid} is …; gives up"),
    );
    says(
        producer.publish_managed(&[0; 1000], 0),
        "required-consumer liveness is not enabled on this producer; call `enable_required_consumer_liveness` first",
    );
    drop(producer);
    consumer.process_available(|_| ()).unwrap();
    says(consumer.next(Patience::Endless).map(drop), "the ring is closed");
}

#[test]
fn a_message_that_is_skipped_says_what_is_wrong_with_it() {
    let place = Place::heap();
    let mut stranger = SharedDisruptorBuilder::records(&place, 1 << 14).build_record_producer().unwrap();
    let mut consumer = TransportBuilder::<Records>::new(&place, 0).build_consumer().unwrap();
    stranger.publish(b"no message", 0, 0x40, Patience::Now).unwrap();
    says(
        consumer.next(Patience::Now).map(drop),
        "a message was skipped: a frame has flags 0x40, which no sender of this library sets",
    );
}

/// A message with a value that its codec cannot encode.
#[derive(rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
#[rkyv(crate = myelon::codec::rkyv_support::rkyv)]
struct Located {
    #[rkyv(with = rkyv::with::AsString)]
    path: PathBuf,
}

myelon::rkyv_message!(Located);

/// A message that serde refuses.
#[derive(serde::Deserialize)]
struct Unsent;

impl serde::Serialize for Unsent {
    fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        Err(serde::ser::Error::custom("there is no such form"))
    }
}

myelon::bincode_message!(Unsent);

fn undecodable<T: Codec>(text: &str) {
    let Stream { guards: _guards, mut producer, mut consumer } = Stream::<T, Frame>::new();
    producer.send_raw(&[0xFF; 100], 4, Patience::Endless).unwrap();
    says(consumer.next(Patience::Now).unwrap().unwrap().decode(), text);
    producer.send_raw(&[0xFF; 100], 4, Patience::Endless).unwrap();
    says(consumer.receive_owned(Patience::Now), &format!("message 1 of kind 4 was skipped: {text}"));
}

#[test]
fn an_error_of_a_codec_says_what_its_library_said() {
    undecodable::<BincodeStep>(
        "bincode could not decode 100 bytes: a message of 100 bytes cannot have a sequence of 18446744073709551615 elements",
    );
    undecodable::<RkyvStep>(
        "rkyv could not decode 100 bytes: subtree pointer overran range: ptr …, while checking field 'sequences' of struct \
         'ArchivedStep', while checking field index 0 of tuple struct 'ArchivedRkyvStep'",
    );
    undecodable::<StepT>("flatbuffers could not decode 100 bytes: Type `i32` at position 4294967295 is unaligned.");
    let mut producer = TypedProducer::<Located>::create(Place::heap(), 1 << 14).unwrap();
    let unsent = TypedProducer::<Unsent>::create(Place::heap(), 1 << 14).unwrap().publish(&Unsent, 0);
    says(unsent, "bincode could not encode the message: there is no such form");
    let not_text = Located { path: PathBuf::from(OsStr::from_bytes(&[0xFF])) };
    says(
        producer.publish(&not_text, 0),
        "rkyv could not encode the message: `Option` is `None`, expected `Some`, invalid UTF-8",
    );
    assert_says(&CodecError::encode("mine", "no such form"), "mine could not encode the message: no such form");
}

#[test]
fn an_error_of_a_typed_stream_names_the_reason_once() {
    let Stream { guards, mut producer, consumer: _consumer } = Stream::<BincodeStep, Frame>::new();
    let name = guards.names.name("s");
    let other = TypedConsumer::<RkyvStep, Frame>::attach(&name, DEPTH, MyelonWaitStrategy::Adaptive);
    says(
        other,
        &format!(
            "shm:{name} carries `bincode:BincodeStep/1`, and this program expects `rkyv:RkyvStep/1`; give both programs the same content tag"
        ),
    );
    let huge = BincodeStep(Step { sequences: vec![Step::typical().sequences[0].clone(); 1000] });
    says(
        producer.publish(&huge, 0),
        "a message of 408008 bytes does not fit: at most 65264; a ring of depth 128 would hold it",
    );
    let small = || BincodeStep(Step { sequences: vec![] });
    while producer.try_publish(&small(), 0).is_ok() {}
    says(producer.try_publish(&small(), 0), "the ring is full");
    says(
        producer.publish_managed(&small(), 0),
        "required-consumer liveness is not enabled on this producer; call `enable_required_consumer_liveness` first",
    );
}

#[test]
fn an_error_of_a_topology_names_the_reason_once() {
    let label = testkit::names::short();
    says(
        Topology::<Records>::new(&label, 0usize),
        &format!("{label}: a session has at least one worker, and 0 were asked for"),
    );
    says(
        MyelonTransportLayout::for_session_with_prefix("a/b", "x", 1, 8, 8),
        "the segment name `a/b7g8o064np` contains '/'; letters, digits, `_` and `-` are allowed",
    );
    let invitation: Result<Invitation, _> = "no invitation".parse();
    says(
        invitation.map_err(myelon::topology::WorkerJoinError::from),
        "the invitation cannot be read: the text does not begin with `myelon-worker:`; pass on the text of \
         `Topology::invitation` unchanged",
    );
    let topology = Topology::<Records>::new(&label, 1usize).unwrap();
    let name = topology.layout().rpc_ring_name();
    let _stranger = FramedTransportProducer::<Records>::create(&name, 1 << 16).unwrap();
    let refused = topology.launch(Workers::started_elsewhere()).map(drop).unwrap_err();
    assert!(matches!(refused, LaunchError::Broadcast { .. }));
    assert_says(
        &refused,
        &format!(
            "{label}: the broadcast ring could not be created: {label} (shm:{name}) is in use by producer process \
             {}, which is …; end that process first, or choose another name",
            std::process::id()
        ),
    );
}
