//! Older versions that cannot be converted or made, and reading without validation what may be of an older version.
use myelon::codec::trusted::TrustedCodec;
use myelon::message;

#[message(rkyv, name = "Step")]
struct StepV1 {
    id: u32,
}

#[message(rkyv, takes(StepV1))]
struct Unconverted {
    id: u64,
}

#[message(rkyv, takes(StepV1))]
struct Step {
    id: u64,
}

impl From<StepV1> for Step {
    fn from(step: StepV1) -> Self {
        Self { id: step.id.into() }
    }
}

fn is_trusted<T: TrustedCodec>() {}

fn main() {
    is_trusted::<StepV1>();
    is_trusted::<Step>();
}

#[message]
enum Kind {
    A {
        #[message(added = 2)]
        a: u8,
    },
}

#[message]
struct Envelope<T> {
    content: T,
    #[message(added = 2)]
    lane: u8,
}

#[message]
struct NoDefault;

#[message]
struct Grown {
    #[message(added = 2)]
    a: NoDefault,
}
