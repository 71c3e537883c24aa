//! A ring of one type, and a program of another type that reads it.

use myelon::codec::Codec;
use myelon::liveness::SchemaDifference;
use myelon::prelude::*;
use std::time::Duration;
use testkit::names::ShmGuard;
use testkit::watchdog::Watchdog;

/// The error of a reader of `Reader` at a ring of `Writer`; `None` if it may read.
pub(crate) fn refusal<Writer: Codec, Reader: Codec>() -> Option<String> {
    let _watchdog = Watchdog::new(Duration::from_secs(60), "a reader attaches");
    let names = ShmGuard::new();
    let name = names.name("s");
    let mut producer = TypedProducer::<Writer>::create(&name, 1 << 16).unwrap();
    match TypedConsumer::<Reader>::attach(&name, 0, MyelonWaitStrategy::Adaptive) {
        Ok(_) => None,
        Err(error) => {
            assert!(
                matches!(error, TransportError::Build(MultiProcessError::IncompatibleContent { .. })),
                "refused for another reason: {error:?}"
            );
            let text = error.to_string();
            assert!(text.contains(&name), "{text}");
            let told = producer.refusal(None).expect("the producer is told");
            assert_eq!(told.pid, std::process::id());
            let report = producer.stall_report().to_string();
            assert!(report.contains(&format!("; {told}")), "{report}");
            let Some((_, difference)) = text.split_once(" carries other messages: ") else {
                assert_eq!(told.difference, None, "opaque tags have no rows");
                return Some(text);
            };
            let difference =
                difference.strip_suffix("; give both programs the same type").expect("the text says what to do");
            let both_say_the_same = match told.difference.as_ref().expect("both sides have a schema") {
                SchemaDifference::Changed { row } => {
                    difference.contains(&format!("`{}`", row.name())) && difference.ends_with(" there")
                }
                SchemaDifference::Missing { row } => {
                    difference.starts_with(&row.to_string()) && difference.ends_with("there, but does not exist here")
                }
                SchemaDifference::Added { .. } => difference.ends_with("here, but does not exist there"),
                SchemaDifference::Codec { .. } => difference.starts_with("the message is written by "),
                SchemaDifference::TypeName { .. } => difference.starts_with("the message is `"),
                other => panic!("{other:?}"),
            };
            assert!(both_say_the_same, "the consumer is told: {difference}; and the producer: {told}");
            Some(difference.to_owned())
        }
    }
}

/// The text of a type's schema, after the form and the codec.
pub(crate) fn schema_of<T: Codec>() -> String {
    let tag = T::type_tag().to_string();
    let after_codec = tag.strip_prefix("message/1 ").and_then(|rest| rest.split_once(' '));
    after_codec.expect("a described message").1.to_owned()
}
