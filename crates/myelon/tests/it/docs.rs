//! What the docs have: an example of every type that a program holds, and every variable of the environment.

use std::collections::BTreeSet;
use std::fs;
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

/// The names in `text` that begin with `MYELON_`, each right after `before`.
fn variables(text: &str, before: char) -> Vec<String> {
    let names = text.match_indices("MYELON_").filter(|(start, _)| text[..*start].ends_with(before));
    names
        .map(|(start, _)| text[start..].chars().take_while(|c| c.is_ascii_uppercase() || *c == '_').collect())
        .collect()
}

/// Calls `see` with the text of each file below `folder` whose name ends with `extension`.
fn each_file(folder: &Path, extension: &str, see: &mut dyn FnMut(&Path, &str)) {
    for entry in fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
        let path = entry.expect("an entry of a folder that was opened").path();
        if path.is_dir() {
            each_file(&path, extension, see);
        } else if path.extension().is_some_and(|found| found == extension) {
            see(&path, &fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display())));
        }
    }
}

#[test]
fn the_list_of_variables_has_each_one_that_the_sources_read_once_and_the_guides_name_no_other() {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    let front = fs::read_to_string(package.join("src/lib.rs")).expect("the front page");
    let items = front.lines().filter_map(|line| line.strip_prefix("//! - `MYELON_"));
    let names = items.map(|item| format!("`MYELON_{}", item.split(':').next().unwrap_or(item)));
    let listed: Vec<_> = names.flat_map(|names| variables(&names, '`')).collect();
    let list: BTreeSet<_> = listed.iter().cloned().collect();
    assert_eq!(list.len(), listed.len(), "{listed:?} has one twice");

    let mut read = BTreeSet::new();
    for package in fs::read_dir(package.join("..")).expect("the packages") {
        each_file(&package.expect("a package").path().join("src"), "rs", &mut |_, text| {
            read.extend(variables(text, '"'))
        });
    }
    // What tests tell their children.
    read.retain(|name| !name.starts_with("MYELON_TEST_"));
    assert_eq!(list, read);

    let project = package.join("../..");
    let mut check = |path: &Path, text: &str| {
        // The alpha had others.
        if !path.ends_with("from-the-alpha.md") {
            let strange: Vec<_> = variables(text, '`').into_iter().filter(|name| !list.contains(name)).collect();
            assert!(strange.is_empty(), "{}: {strange:?}", path.display());
        }
    };
    check(Path::new("README.md"), &fs::read_to_string(project.join("README.md")).expect("the README"));
    each_file(&project.join("docs"), "md", &mut check);
}
