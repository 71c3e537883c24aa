//! Only readers that expect the stream's type may read it.

use crate::messages::{BincodeStep, RkyvStep, StepT};
use crate::stage::{DEPTH, Frame, Stream};
use myelon::codec::Codec;
use myelon::transport::{FramedTransportConsumer, MyelonWaitStrategy, TransportBuilder, TransportError};
use myelon::typed_transport::{TypedConsumer, TypedProducer};
use myelon::{MultiProcessError, Patience};
use testkit::names::ShmGuard;

/// `RkyvStep` in a later build.
#[derive(serde::Serialize, serde::Deserialize)]
struct LaterStep;

myelon::bincode_message!(LaterStep = "BincodeStep/2");

fn refusal<T: Codec>(name: &str) -> (Option<String>, Option<String>) {
    match TypedConsumer::<T, Frame>::attach(name, DEPTH, MyelonWaitStrategy::Adaptive) {
        Err(TransportError::Build(MultiProcessError::IncompatibleContent { found, wanted, .. })) => (found, wanted),
        Err(error) => panic!("{error:?}"),
        Ok(_) => panic!("a stream of another type was attached to"),
    }
}

#[test]
fn a_consumer_of_another_type_codec_or_version_is_refused_and_told_both() {
    let stream = Stream::<BincodeStep, Frame>::new();
    let name = stream.guards.names.name("s");
    let found = Some("bincode:BincodeStep/1".to_owned());
    assert_eq!(refusal::<RkyvStep>(&name), (found.clone(), Some("rkyv:RkyvStep/1".into())));
    assert_eq!(refusal::<StepT>(&name), (found.clone(), Some("flatbuffers:Step/1".into())));
    assert_eq!(refusal::<LaterStep>(&name), (found, Some("bincode:BincodeStep/2".into())));
    TypedConsumer::<BincodeStep, Frame>::attach(name, DEPTH, MyelonWaitStrategy::Adaptive).unwrap();
}

#[test]
fn a_ring_of_bytes_is_no_stream_of_a_type_but_a_stream_can_be_read_as_bytes() {
    let names = ShmGuard::new();
    let bytes = TransportBuilder::<Frame>::new(names.name("b"), DEPTH).build_producer().unwrap();
    assert_eq!(refusal::<RkyvStep>(&names.name("b")).0, None);
    drop(bytes);
    let mut typed = TypedProducer::<BincodeStep, Frame>::create(names.name("t"), DEPTH).unwrap();
    let mut bytes =
        FramedTransportConsumer::<Frame>::attach(names.name("t"), DEPTH, MyelonWaitStrategy::Adaptive).unwrap();
    typed.publish(&BincodeStep(crate::messages::Step { sequences: vec![] }), 5).unwrap();
    assert_eq!(bytes.receive_owned(Patience::Endless).unwrap(), Some((5, vec![0; 8])));
}
