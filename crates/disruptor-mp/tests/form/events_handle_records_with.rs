//! A ring of events has no records.

use disruptor_mp::attach_shared_consumer;

fn main() {
    let _ = attach_shared_consumer::<u64>("ring", 0).handle_records_with(|_, _, _| ());
}
