//! Comments at atomic operations name their partner. The partner exists, and it orders memory.
//!
//! Which comments are read: a comment that says "partner" or "pairs with". Every name in backticks between these words
//! and the next `.`, `:`, `;` or `,` is a partner: `name`, `Type::name`, or `module::name`. A name alone is a function
//! of the same file, or else of any file of the crate.
//!
//! It reads the source line by line, as `rustfmt` leaves it.

use std::fs;
use std::path::{Path, PathBuf};

/// What shows in a body that it orders memory.
const ORDERS: [&str; 3] = ["Ordering::", "order(", "fence"];

/// What shows in a comment that names follow.
const SAYS_PARTNER: [&str; 2] = ["partner", "pairs with"];

struct Source {
    path: PathBuf,
    text: String,
}

/// A partner that a comment names.
#[derive(Debug, PartialEq)]
struct Named {
    /// Line of the first of the comment, from 1.
    line: usize,
    partner: String,
}

/// A function of a source.
struct Function<'a> {
    name: &'a str,
    /// The line that opens its block: of an `impl`, a trait or another function.
    block: &'a str,
    /// Without comments.
    body: String,
}

#[test]
fn every_partner_that_a_comment_names_exists_and_orders_memory() {
    let sources = sources_in(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"));
    let named = sources.iter().flat_map(|source| partners(&source.text).into_iter().map(move |named| (source, named)));
    let (mut right, mut wrong) = (0, vec![]);
    for (source, Named { line, partner }) in named {
        match why_wrong(&partner, source, &sources) {
            None => right += 1,
            Some(reason) => wrong.push(format!("{}:{line}: `{partner}` {reason}", source.path.display())),
        }
    }
    assert!(wrong.is_empty(), "comments name partners that are none:\n{}", wrong.join("\n"));
    assert!(right > 40, "only {right} partners were found: are comments written in another form?");
}

fn sources_in(folder: &Path) -> Vec<Source> {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let paths = entries.map(|entry| entry.expect("an entry of a folder that was opened").path());
    let mut found: Vec<_> = paths
        .flat_map(|path| {
            if path.is_dir() {
                return sources_in(&path);
            }
            let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            vec![Source { path, text }]
        })
        .collect();
    found.sort_by(|one, other| one.path.cmp(&other.path));
    found
}

/// The partners that the comments of `text` name.
fn partners(text: &str) -> Vec<Named> {
    let (mut comment, mut begin, mut found) = (String::new(), 0, vec![]);
    for (index, line) in text.lines().chain([""]).enumerate() {
        let code = line.trim_start();
        if code.starts_with("//") {
            begin = if comment.is_empty() { index + 1 } else { begin };
            comment.push_str(code.trim_start_matches('/'));
        } else {
            found.extend(
                partners_in(&comment).into_iter().map(|partner| Named { line: begin, partner: partner.to_owned() }),
            );
            comment.clear();
        }
    }
    found
}

fn partners_in(comment: &str) -> Vec<&str> {
    let lower = comment.to_ascii_lowercase();
    let begins = SAYS_PARTNER.iter().flat_map(|said| lower.match_indices(said));
    begins.flat_map(|(begin, _)| names_in_phrase(&comment[begin..])).collect()
}

fn names_in_phrase(text: &str) -> impl Iterator<Item = &str> {
    // Every other piece is in backticks. The phrase ends in the first of the others that has an end.
    let mut pieces = text.split('`');
    std::iter::from_fn(move || {
        let is_over = pieces.next()?.contains(['.', ':', ';', ',']);
        if is_over { None } else { pieces.next() }
    })
}

/// Why `partner`, named in a comment of `here`, is not a partner; `None` if it is one.
fn why_wrong(partner: &str, here: &Source, sources: &[Source]) -> Option<&'static str> {
    let (owner, name) = partner.rsplit_once("::").map_or((None, partner), |(owner, name)| (Some(owner), name));
    let called_so = |source: &Source| -> Vec<bool> {
        let is_file = owner.is_none_or(|owner| source.path.with_extension("").ends_with(owner.replace("::", "/")));
        functions(&source.text)
            .filter(|function| function.name == name && (is_file || owner.is_some_and(|owner| function.is_of(owner))))
            .map(|function| ORDERS.iter().any(|order| function.body.contains(order)))
            .collect()
    };
    let mut found = if owner.is_none() { called_so(here) } else { vec![] };
    if found.is_empty() {
        found = sources.iter().flat_map(called_so).collect();
    }
    match found.contains(&true) {
        true => None,
        false if found.is_empty() => Some("does not exist"),
        false => Some("has no ordering in its body"),
    }
}

impl Function<'_> {
    /// Whether it is in an `impl` of that type, or for it.
    fn is_of(&self, owner: &str) -> bool {
        self.block.starts_with("impl") && words(self.block).any(|word| word == owner)
    }
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_alphanumeric() && c != '_')
}

fn functions(text: &str) -> impl Iterator<Item = Function<'_>> {
    let lines: Vec<_> = text.lines().collect();
    (0..lines.len()).filter_map(move |at| {
        let line = lines[at];
        let name = words(line.trim_start().split_once("fn ")?.1).next()?;
        if line.trim_start().starts_with("//") {
            return None;
        }
        let depth = indent(line);
        // It ends at the first line that closes a block, or ends a declaration, no deeper than it begins.
        let is_end = |line: &&str| indent(line) <= depth && line.ends_with(['}', ';']);
        let end = at + lines[at..].iter().position(|line| !line.is_empty() && is_end(&line.trim_end()))?;
        let body = lines[at..=end].iter().filter(|line| !line.trim_start().starts_with("//")).copied().collect();
        let block = lines[..at].iter().rev().find(|line| !line.is_empty() && indent(line) < depth).unwrap_or(&"");
        Some(Function { name, block: block.trim_start(), body })
    })
}

fn indent(line: &str) -> usize {
    line.len() - line.trim_start().len()
}

const EXAMPLE: &str = "\
impl<M: Memory> Writer<M> {
    fn publish(
        &self,
    ) {
        // Release pairs with Acquire in `Reader::look`: see `nowhere`.
        self.word.store(1, Ordering::Release);
    }
    fn plain(&self) {
        // Ordering::Release
    }
}
impl Look for Reader {
    fn look(&self) {
        // Acquire, partner in the writer's `publish`, or the fence of `example::gone` and
        // of `Writer::plain`; not `elsewhere`.
        fence(Ordering::Acquire);
    }
}
";

#[test]
fn names_of_partners_end_with_their_part_of_the_sentence() {
    let named = partners(EXAMPLE).into_iter().map(|named| (named.line, named.partner)).collect::<Vec<_>>();
    assert_eq!(named, [(5, "Reader::look".into()), (14, "publish".into())]);
    let wrapped = "// Partner in `one` and\n// of `other`.";
    assert_eq!(partners(wrapped).iter().map(|named| &*named.partner).collect::<Vec<_>>(), ["one", "other"]);
}

#[test]
fn a_partner_that_is_gone_or_orders_nothing_is_wrong() {
    let sources = [Source { path: "src/example.rs".into(), text: EXAMPLE.into() }];
    let why_wrong = |partner| why_wrong(partner, &sources[0], &sources);
    for right in ["look", "Reader::look", "example::look", "Writer::publish"] {
        assert_eq!(why_wrong(right), None, "{right}");
    }
    for gone in ["gone", "Reader::publish", "other::look", "Gone::look"] {
        assert_eq!(why_wrong(gone), Some("does not exist"), "{gone}");
    }
    assert_eq!(why_wrong("Writer::plain"), Some("has no ordering in its body"));
}
