//! A ring of one type, looked at by a program with another.

use myelon::codec::Codec;
use myelon::prelude::*;
use std::time::Duration;
use testkit::names::ShmGuard;
use testkit::watchdog::Watchdog;

/// What is said to a reader of `Reader` by a ring of `Writer`; `None` if it may read.
pub(crate) fn refusal<Writer: Codec, Reader: Codec>() -> Option<String> {
    let _watchdog = Watchdog::new(Duration::from_secs(60), "a reader attaches");
    let names = ShmGuard::new();
    let name = names.name("s");
    let _producer = TypedProducer::<Writer>::create(&name, 1 << 16).unwrap();
    match TypedConsumer::<Reader>::attach(&name, 0, MyelonWaitStrategy::Adaptive) {
        Ok(_) => None,
        Err(error) => {
            assert!(
                matches!(error, TransportError::Build(MultiProcessError::IncompatibleContent { .. })),
                "refused for another reason: {error:?}"
            );
            let text = error.to_string();
            assert!(text.contains(&name), "{text}");
            Some(
                text.split_once(" carries other messages: ")
                    .map_or(text.clone(), |(_, difference)| difference.to_owned()),
            )
        }
    }
}

/// The text of a type's schema, behind the form and the codec.
pub(crate) fn schema_of<T: Codec>() -> String {
    let tag = T::type_tag().to_string();
    let after_codec = tag.strip_prefix("message/1 ").and_then(|rest| rest.split_once(' '));
    after_codec.expect("a described message").1.to_owned()
}
