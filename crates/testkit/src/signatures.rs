//! The ways in which public functions take how long they may wait.

use std::fs;
use std::path::Path;

/// The parameters of public functions that say how long to wait and are not `impl Into<Patience>`, in the file at
/// `path`, or in the files of that folder: each as `file::function(parameter: Type)`, in order.
///
/// It reads the source in rustfmt's format. Functions of a public trait are public, and so are those whose visibility
/// is a parameter of a macro; functions of a test, and those with `#[doc(hidden)]`, are not.
pub fn other_than_patience(path: &Path) -> Vec<String> {
    if !path.is_dir() {
        let source = fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let file = path.file_stem().unwrap_or_default().display();
        return in_source(&source).iter().map(|said| format!("{file}::{said}")).collect();
    }
    let entries = fs::read_dir(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let mut found: Vec<_> = entries
        .map(|entry| entry.expect("an entry of a folder that was opened").path())
        .filter(|path| path.is_dir() || path.extension().is_some_and(|extension| extension == "rs"))
        .flat_map(|path| other_than_patience(&path))
        .collect();
    found.sort();
    found
}

fn in_source(source: &str) -> Vec<String> {
    let (mut in_trait, mut is_hidden, mut found) = (false, false, vec![]);
    let mut lines = source.lines();
    while let Some(line) = lines.next() {
        let code = line.trim_start();
        if line.starts_with("mod tests") {
            break;
        } else if !line.is_empty() && !line.starts_with([' ', '}', '/', '#']) {
            in_trait = line.starts_with("pub trait ");
        } else if line.starts_with('}') {
            in_trait = false;
        }
        if code.starts_with("//") || code.starts_with("#[") {
            is_hidden |= code == "#[doc(hidden)]";
            continue;
        }
        let was_hidden = std::mem::take(&mut is_hidden);
        let visible = ["pub ", "$($vis)* "].iter().find_map(|visibility| code.strip_prefix(visibility));
        let Some(function) = visible.or(in_trait.then_some(code)) else { continue };
        let function = function.trim_start_matches("const ").trim_start_matches("async ");
        let Some(function) = function.strip_prefix("fn ") else { continue };
        let mut signature = function.to_owned();
        while !is_whole(&signature) {
            let Some(line) = lines.next() else { break };
            signature.push(' ');
            signature.push_str(line.trim());
        }
        if !was_hidden {
            let name = signature.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap_or_default();
            let said = parameters(&signature).filter(|parameter| says_how_long(parameter));
            found.extend(said.map(|parameter| format!("{name}({parameter})")));
        }
    }
    found
}

/// Whether the list of parameters is complete in the part of a signature that was read.
fn is_whole(signature: &str) -> bool {
    signature.contains('(') && signature.matches('(').count() == signature.matches(')').count()
}

fn parameters(signature: &str) -> impl Iterator<Item = &str> {
    let list = signature.split_once('(').map_or("", |(_, rest)| rest);
    let mut depth = 0;
    list.split(move |c: char| {
        match c {
            '(' | '<' | '[' => depth += 1,
            ')' | '>' | ']' => depth -= 1,
            _ => {}
        }
        depth < 0 || c == ',' && depth == 0
    })
    .take_while(|parameter| !parameter.trim_start().starts_with("->"))
    .map(str::trim)
}

fn says_how_long(parameter: &str) -> bool {
    let Some((_, kind)) = parameter.split_once(": ") else { return false };
    let said =
        kind.split(|c: char| !c.is_alphanumeric()).any(|word| ["Patience", "Duration", "Instant"].contains(&word));
    said && kind.replace("$crate::", "") != "impl Into<Patience>"
}

#[cfg(test)]
mod tests {
    use super::in_source;

    #[test]
    fn what_a_public_function_is_told_otherwise_is_named() {
        let source = "\
impl End {
    pub fn good(&mut self, patience: impl Into<Patience>) -> Option<Instant> {
        fn inner(patience: Patience) {}
    }
    /// Says `pub fn docs(patience: Patience)`.
    pub async fn next(
        &mut self,
        map: HashMap<u8, u8>,
        patience: Patience,
    ) -> Duration {
    }
    pub(crate) fn next_within(&mut self, patience: Patience) {}
    #[doc(hidden)]
    pub fn hidden(&mut self, patience: Patience) {}
    fn private(timeout: Duration) {}
    pub const fn waits(self, timeout: Option<Duration>, f: impl Fn(u8) -> u8) {}
}
macro_rules! face {
        $($vis)* fn good(&self, id: &str, patience: impl Into<$crate::Patience>) -> bool {
        $($vis)* fn bad(&self, id: &str, timeout: ::std::time::Duration) -> bool {
}
pub trait Watch {
    type Error;

    fn wait(&self, deadline: Instant);
}
pub(crate) trait Inner {
    fn wait(&self, deadline: Instant);
}
mod tests {
    pub fn helper(patience: Patience) {}
}";
        assert_eq!(
            in_source(source),
            [
                "next(patience: Patience)",
                "waits(timeout: Option<Duration>)",
                "bad(timeout: ::std::time::Duration)",
                "wait(deadline: Instant)",
            ]
        );
    }
}
