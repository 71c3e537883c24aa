//! The docs of every type that a program holds have an example of its use.

use std::path::Path;
use testkit::docs::structs_without_example;

#[test]
fn every_end_message_and_answer_has_an_example_in_its_docs() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let rooms = [
        "transport/builder.rs",
        "transport/consumer.rs",
        "transport/message.rs",
        "transport/producer.rs",
        "transport/tap.rs",
        "typed_transport",
        "asynchronous",
        "topology",
    ];
    let bare = rooms.map(|path| structs_without_example(&source.join(path))).concat();
    assert_eq!(
        bare,
        [
            // Formats build their ends from it; programs do not.
            "Settings",
            // Shown in the example of `AsyncConsumer::messages`.
            "AsyncMessages",
            // Part of the sealed traits; no program can name it.
            "Bell",
            // Shown in the example of `Outcome`.
            "Answer",
        ]
    );
}
