//! The docs of every type have an example of its use.

use std::path::Path;
use testkit::docs::structs_without_example;

#[test]
fn every_type_has_an_example_in_its_docs() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    // The clock of the system has nothing to show.
    assert_eq!(structs_without_example(&source), ["SystemClock"]);
}
