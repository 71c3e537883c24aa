//! The way to what ends have in common, which the layers above have, does not lend it to be exchanged.

use disruptor_mp::__private::ends::{HasConsumer, HasProducer};

fn producers<P: HasProducer>(one: &mut P, other: &mut P) {
    std::mem::swap(one.base_mut().0, other.base_mut().0);
}

fn consumers<C: HasConsumer>(one: &mut C, other: &mut C) {
    std::mem::swap(one.base_mut().0, other.base_mut().0);
    let _: &mut C = &mut *one.base_mut();
}

fn main() {}
