//! Where cargo has put the examples.

use std::fs;
use std::path::{Path, PathBuf};

/// The program of the example `name`, which cargo puts beside the folder of the tests; not older than its sources.
#[track_caller]
pub(crate) fn program(name: &str) -> PathBuf {
    let test = std::env::current_exe().expect("a running program has a path");
    let profile = test.ancestors().nth(2).expect("tests lie in PROFILE/deps");
    let program = profile.join("examples").join(name);
    // `cargo test` builds it first, `cargo test --test NAME` does not.
    let advice = "run `cargo build -p examples --examples` first";
    let changed = |path: &Path| fs::metadata(path).and_then(|facts| facts.modified());
    let built = changed(&program).unwrap_or_else(|error| panic!("{}: {error}; {advice}", program.display()));
    let sources = fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(name)).expect("its folder");
    for source in sources {
        let source = source.expect("its folder can be read").path();
        assert!(changed(&source).expect("a file") <= built, "{} is newer than the program; {advice}", source.display());
    }
    program
}
