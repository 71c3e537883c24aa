//! Which types have an example in their docs.

use std::fs;
use std::path::Path;

/// The names of the public structs whose docs have no example, in order, in the file at `path`, or in the files of that
/// folder. Structs with `#[doc(hidden)]` are not part of an interface.
///
/// It reads the source line by line, in rustfmt's format: it does not see a struct that a macro makes.
pub fn structs_without_example(path: &Path) -> Vec<String> {
    if !path.is_dir() {
        let source = fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        return in_source(&source).map(String::from).collect();
    }
    let entries = fs::read_dir(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let mut found: Vec<_> = entries
        .map(|entry| entry.expect("an entry of a folder that was opened").path())
        .flat_map(|path| structs_without_example(&path))
        .collect();
    found.sort();
    found
}

fn in_source(source: &str) -> impl Iterator<Item = &str> {
    // What comes before the present item: its docs and its attributes.
    let (mut has_example, mut is_hidden) = (false, false);
    source.lines().filter_map(move |line| {
        if line.starts_with("///") || line.starts_with("#[") {
            has_example |= line.contains("```");
            is_hidden |= line == "#[doc(hidden)]";
            return None;
        } else if line.starts_with([' ', ')']) {
            return None; // within an item, or an attribute of several lines
        }
        let is_shown = has_example || is_hidden;
        (has_example, is_hidden) = (false, false);
        let name = line.strip_prefix("pub struct ")?.split(|c: char| !c.is_alphanumeric() && c != '_').next()?;
        (!is_shown).then_some(name)
    })
}

#[cfg(test)]
mod tests {
    use super::in_source;

    #[test]
    fn a_public_struct_needs_an_example_in_its_own_docs() {
        let source = "\
/// ```
/// ```
#[derive(Debug)]
pub struct Shown;

/// Only words.
pub struct Bare<T> {
    /// ```
    field: T,
}

#[doc(hidden)]
pub struct Hidden(u8);
struct Private;
/// ```
fn f() {}
pub struct AfterAnother;

#[cfg_attr(feature = \"bincode\", doc = \"```\")]
#[cfg_attr(
    feature = \"serde\",
    derive(serde::Serialize)
)]
pub struct Gated {";
        assert_eq!(in_source(source).collect::<Vec<_>>(), ["Bare", "AfterAnother"]);
    }
}
