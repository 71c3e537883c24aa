//! A number has no unit: it is no patience.

use disruptor_mp::SharedConsumer;

fn receive(consumer: &mut SharedConsumer<u64>) {
    let _ = consumer.next(500);
}

fn main() {}
