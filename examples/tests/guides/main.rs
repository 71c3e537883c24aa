//! The guides in `docs/`, as far as their own programs do not test them.
#![forbid(unsafe_code)]

mod errors;

use std::fs;
use std::path::{Path, PathBuf};

/// The pages, each with its text.
fn guides() -> Vec<(PathBuf, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs");
    let entries = fs::read_dir(folder).expect("there are guides").map(|entry| entry.expect("an entry").path());
    let pages = entries.filter(|path| path.extension().is_some_and(|extension| extension == "md"));
    let guides: Vec<_> = pages.map(|path| (path.clone(), fs::read_to_string(path).expect("a text"))).collect();
    assert!(!guides.is_empty(), "there are no guides");
    guides
}

#[test]
fn the_programs_of_every_guide_are_doc_tests() {
    let tested_here = include_str!("../../src/lib.rs");
    for (path, _) in guides() {
        let name = path.file_name().and_then(|name| name.to_str()).expect("a name");
        // The guide for users of the alpha comes with the package `myelon`, which tests it.
        let is_tested = name == "from-the-alpha.md" || tested_here.contains(&format!("../../docs/{name}\")]"));
        assert!(is_tested, "{name} is not in the module `guides` of this crate");
    }
}

#[test]
fn every_link_of_a_guide_leads_to_a_file() {
    for (path, text) in guides() {
        let links = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
        for link in links.filter(|link| !link.starts_with("https://") && !link.starts_with('#')) {
            let file = link.split('#').next().unwrap_or(link);
            let target = path.parent().expect("a folder").join(file);
            assert!(target.exists(), "{}: {link} leads nowhere", path.display());
        }
    }
}
