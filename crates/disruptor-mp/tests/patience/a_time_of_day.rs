//! The time of day is set back and forth: no deadline can rest on it.

use disruptor_mp::SharedProducer;
use std::time::{Duration, SystemTime};

fn send(producer: &mut SharedProducer<u64>) {
    let _ = producer.publish_with(SystemTime::now() + Duration::from_secs(1), |event| *event = 1);
}

fn main() {}
