//! What an error says about a segment that was opened by its name only, and whose header has a title.

use crate::stage::watchdog;
use disruptor_mp::counters::CountersFile;
use disruptor_mp::segment::Title;
use disruptor_mp::{
    MultiProcessError, Place, SharedCursor, SharedDisruptorBuilder, SharedProducer, SharedRingBuffer, StartAt,
};
use std::time::Duration;
use testkit::errors::assert_says;
use testkit::names::ShmGuard;

type Builder = SharedDisruptorBuilder<u64>;

/// What to do about a segment that is in the way of a new one.
const REMOVE_IT: &str = "choose another name, or remove it (gc) if no process uses it";

fn titled(name: &str) -> Place {
    Place::from(name).titled(Title::new("tp-engine", Some(1)))
}

#[track_caller]
fn says<T>(answer: Result<T, MultiProcessError>, text: &str) {
    assert_says(&answer.map(drop).unwrap_err(), text);
}

/// A ring of 8 with a title, its name without the title, and its name in errors.
fn ring(names: &ShmGuard) -> (SharedProducer<u64>, String, String) {
    let name = names.name("r");
    let builder = Builder::new(titled(&name), 8).with_content_tag("steps/1").discover_consumer_with_prefix(1, "w-");
    let producer = builder.build_producer(|| 0).unwrap();
    let called = format!("tp-engine, rank 1 (shm:{name})");
    (producer, name, called)
}

#[test]
fn every_refusal_of_a_consumer_by_bare_name_begins_with_the_title_in_the_header() {
    let _watchdog = watchdog();
    let names = ShmGuard::new();
    let (mut producer, name, called) = ring(&names);
    let pid = std::process::id();
    let plain = || Builder::new(&name, 0);
    let other_kind = format!(
        "{called} is a ring of events or frames of 8 bytes each, and this program wants a ring of records; choose \
         another name, or attach to it as what it is"
    );
    says(SharedDisruptorBuilder::records_at(&name).build_record_consumer(), &other_kind);
    says(SharedDisruptorBuilder::records_at(&name).build_tap(), &other_kind);
    let other_type = format!(
        "{called} holds other events: the event is `i64` here, but `u64` there; give both programs the same type"
    );
    says(SharedDisruptorBuilder::<i64>::new(&name, 0).build_consumer(), &other_type);
    says(SharedDisruptorBuilder::<i64>::new(&name, 0).build_tap(), &other_type);
    says(SharedRingBuffer::<i64>::open(&name, 0), &other_type);
    says(
        Builder::new(&name, 16).build_consumer(),
        &format!(
            "{called} has 8 slots, and this program asks for 16; give both programs the same size, or give consumers none (0)"
        ),
    );
    says(
        plain().with_content_tag("steps/2").build_consumer(),
        &format!(
            "{called} carries `steps/1`, and this program expects `steps/2`; give both programs the same content tag"
        ),
    );
    for number in 0..20 {
        producer.publish(|slot| *slot = number).unwrap();
    }
    says(
        plain().start_at(StartAt::Beginning).build_consumer(),
        &format!(
            "{called} could not be joined: the ring no longer holds its first event; the oldest that is certain to stay is 12: \
             begin with it (`StartAt::Oldest`)"
        ),
    );
    let consumer = plain().with_consumer_id("w-0").build_consumer().unwrap();
    assert_eq!(consumer.place().to_string(), called);
    says(
        plain().with_consumer_id("w-0").build_consumer(),
        &format!(
            "{called} could not be joined: consumer `w-0` is in use by process {pid}; choose another id, or end that \
             process"
        ),
    );
    says(
        plain().with_consumer_id("w-1").build_consumer(),
        &format!(
            "{called} could not be joined: all 1 entries for such consumer ids are in use; create the ring with more entries"
        ),
    );
    producer.hand_over();
    let ready = plain().with_consumer_id("w-0").attach_when_ready(Duration::ZERO);
    says(
        ready.build_consumer(),
        &format!(
            "there was nothing to attach to at {called} within …: the ring at {called} has no producer: process {pid} …"
        ),
    );
}

#[test]
fn every_refusal_of_a_producer_by_bare_name_begins_with_the_title_in_the_header() {
    let _watchdog = watchdog();
    let names = ShmGuard::new();
    let (producer, name, called) = ring(&names);
    let pid = std::process::id();
    let build = |builder: Builder| builder.build_producer(|| 0);
    let plain = || Builder::new(&name, 8);
    says(
        build(plain()),
        &format!(
            "{called} is in use by producer process {pid}, which is …; end that process first, or choose another name"
        ),
    );
    let exists = format!("{called} exists already; {REMOVE_IT}");
    says(build(plain().create()), &exists);
    let abi = disruptor_mp::segment::ABI;
    says(
        SharedDisruptorBuilder::records(&name, 4096).build_record_producer(),
        &format!(
            "{called} is in use and cannot be used by this program: it is a ring of events or frames, layout version {abi}; this program \
             needs a ring of records, layout version {abi}; end the processes that use it, or choose another name"
        ),
    );
    says(SharedCursor::create(&name, 0), &exists);
    let _consumer = Builder::new(&name, 0).with_consumer_id("w-0").build_consumer().unwrap();
    producer.hand_over();
    let successor = || plain().with_content_tag("steps/1").discover_consumer_with_prefix(1, "w-");
    says(
        build(plain().with_content_tag("steps/1").discover_consumer_with_prefix(2, "w-").take_over()),
        &format!(
            "{called}: number of entries for consumers is 1, and this program asks for 2; give both programs the same \
             number"
        ),
    );
    says(
        build(plain().with_content_tag("steps/1").discover_consumer_with_prefix(1, "x-").take_over()),
        &format!(
            "{called} keeps entries for consumer ids that begin with `w-`, and this program asks for `x-`; give both \
             programs the same prefix"
        ),
    );
    says(
        build(successor().with_content_tag("steps/2").take_over()),
        &format!(
            "{called} carries `steps/1`, and this program expects `steps/2`; give both programs the same content tag"
        ),
    );
}

#[test]
fn counters_that_are_opened_by_bare_name_are_called_by_the_title_in_the_header() {
    let _watchdog = watchdog();
    let names = ShmGuard::new();
    let (name, cursor) = (names.name("c"), names.name("p"));
    let called = |name: &str| format!("tp-engine, rank 1 (shm:{name})");
    let _counters = CountersFile::create(titled(&name), 8).unwrap();
    const ANOTHER: &str = "choose another name, or attach to it as what it is";
    let wanted = format!("is a counters file, and this program wants a ring of events or frames; {ANOTHER}");
    says(Builder::new(&name, 8).build_consumer(), &format!("{} {wanted}", called(&name)));
    says(SharedCursor::attach(&name), &format!("{} {wanted}", called(&name)));
    says(CountersFile::create(&name, 8), &format!("{} exists already; {REMOVE_IT}", called(&name)));
    let _cursor = SharedCursor::create(titled(&cursor), 0).unwrap();
    for refused in [CountersFile::open(&cursor), CountersFile::open_read_only(&cursor)] {
        says(refused, &format!("{} is a cursor, and this program wants a counters file; {ANOTHER}", called(&cursor)));
    }
}
