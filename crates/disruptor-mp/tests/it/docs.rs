//! The docs of every type that a program holds show what to do with it first.

use std::path::Path;
use testkit::docs::structs_without_example;

#[test]
fn every_end_lease_claim_held_message_tap_and_view_has_an_example_in_its_docs() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let bare = ["ring/ends", "view", "builder.rs"].map(|path| structs_without_example(&source.join(path))).concat();
    assert_eq!(
        bare,
        [
            // Parts of ends, or what they lend, for this crate and those above.
            "ConsumerBase",
            "ConsumerMut",
            // For the crates above.
            "GroupBatch",
            // Errors: their docs say what to do.
            "HeldLimit",
            "MissingFreeSlots",
            // For the crates above.
            "PeekedRun",
            "ProducerBase",
            "ProducerMut",
            // In the example of `Select`.
            "Ready",
            "RingBufferFull",
            // In the example of `Selectable`.
            "Source",
            // Configurations: `SharedMemoryConfig` has the example of all of them.
            "MmapCursorConfig",
            "MmapFileConfig",
            "RingConfig",
        ]
    );
}
