//! A codec in the wrong place, or one that there is not.
use myelon::codec::ZeroCopyCodec;
use myelon::message;
use myelon::transport::TransportProducer;
use myelon::typed_transport::{HeldTyped, TypedProducer};

#[message(bincode)]
struct Bincode(u32);

#[message(flatbuffers)]
struct Flatbuffers(u32);

#[message(json)]
struct Json(u32);

#[message]
struct Step(u32);

struct Postcard;

fn the_second_parameter_is_the_format(producer: &mut TypedProducer<Step, Postcard>) {}

fn a_transport_has_no_type(producer: &mut TransportProducer<Step>) {}

fn read_in_place<T: ZeroCopyCodec>(message: &HeldTyped<T>) {}

fn made_into_a_value(message: &HeldTyped<Step>) {
    read_in_place(message);
}

fn main() {}
