//! `None` could mean "at once" as well as "without end".

use disruptor_mp::SharedConsumer;
use std::time::Duration;

fn receive(consumer: &mut SharedConsumer<u64>, timeout: Option<Duration>) {
    let _ = consumer.next(timeout);
}

fn main() {}
