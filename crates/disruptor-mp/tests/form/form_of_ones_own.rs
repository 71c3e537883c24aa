//! No other crate has a form.

use disruptor_mp::{Carries, Lines};

struct Mine;

impl Carries for Mine {
    type Form = Lines;
}

fn main() {}
