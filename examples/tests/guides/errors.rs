//! The texts of errors that the guides quote are those of errors that the crates make.
//!
//! A guide quotes a text in a code block of the language `error`, or in a column of a table whose head is "text of the
//! error".

use crate::guides;
use myelon::liveness::Ending;
use myelon::prelude::*;
use myelon::segment::{ABI, AbiVersion, CreateError, OpenError, Permissions};
use myelon::{ConsumeError, InvalidWaitSetting, MultiProcessError, PublishError, WaitStrategy};
use std::io;
use std::time::Duration;
use testkit::errors::{ANYTHING, is_like};
use testkit::names::ShmGuard;

/// The head of a column of a table that quotes texts.
const COLUMN: &str = "text of the error";

/// Words of a quotation that are there for another name or number.
const PLACEHOLDERS: [&str; 8] = ["NAME", "ID", "N", "P", "U", "V", "W", "quickstart"];

/// The texts of the errors that are quoted.
fn texts_of_errors() -> Vec<String> {
    let names = ShmGuard::new();
    let (name, pid) = (names.name("r"), std::process::id());
    let place = || format!("shm:{name}");
    let ring = || TransportBuilder::at(&name).with_consumer_id("worker-0");
    let mut texts = Vec::new();
    let mut say = |error: &dyn std::error::Error| texts.push(error.to_string());

    // Of building and joining.
    say(&ring().build_consumer().map(drop).unwrap_err());
    let mut producer = ring().build_producer().unwrap();
    say(&ring().build_producer().map(drop).unwrap_err());
    let mut consumer = ring().build_consumer().unwrap();
    say(&ring().build_consumer().map(drop).unwrap_err());
    say(&CreateError::NoSpace { place: place(), wanted_bytes: 2, available_bytes: 1, source: refused() });
    say(&CreateError::MemoryLimit { place: place(), wanted_bytes: 2, available_bytes: 1, limit_bytes: 1 });
    let file = std::fs::File::open(format!("/dev/shm/{name}")).unwrap();
    let permissions = Permissions::of_file(&file);
    say(&OpenError::PermissionDenied { place: place(), call: "open", permissions, source: refused() });
    say(&MultiProcessError::NotOwner { place: place(), owner_uid: 7, source: refused() });
    let [old, new] = ["u8", "u16"].map(|kind| Some(format!("message/1 c struct A {{ f: {kind} }}")));
    say(&MultiProcessError::IncompatibleContent { place: place(), found: old, wanted: new });
    let found = AbiVersion { major: ABI.major + 1, minor: 0 };
    say(&OpenError::Version { place: place(), found, wanted: ABI });
    say(&InvalidWaitSetting("spin".parse::<WaitStrategy>().unwrap_err()));

    // Of a ring in use.
    let payload = vec![0; 16 << 20];
    say(&producer.send(&payload, 0, Patience::Now).unwrap_err());
    while producer.send(&payload[..1 << 20], 0, Patience::Now).is_ok() {}
    say(&producer.send(&payload[..1 << 20], 0, Duration::from_millis(1)).unwrap_err());
    let (id, how, report) = ("worker-0".to_owned(), Ending::Killed, Box::new(producer.stall_report()));
    say(&PublishError::ConsumerDied { id, pid, how, report });
    say(&PublishError::Forked);
    say(&ConsumeError::Forked);
    say(&ConsumeError::Damaged { skipped: 1 });
    while consumer.next(Patience::Now).is_ok_and(|message| message.is_some()) {}
    let report = Box::new(consumer.stall_report(Duration::from_millis(1)));
    say(&ConsumeError::ProducerDied { pid, how, report });
    let mut held = Vec::new();
    say(&loop {
        producer.send(b"a step", 0, Patience::Now).unwrap();
        match consumer.next_held(Patience::Now) {
            Ok(message) => held.extend(message),
            Err(error) => break error,
        }
    });
    drop((held, consumer));
    producer.hand_over();
    say(&ring().attach_when_ready(Patience::Now).build_consumer().map(drop).unwrap_err());

    // Of a topology.
    let label = testkit::names::short();
    let topology: Topology = Topology::new(&label, 1usize).unwrap().with_rendezvous_timeout(Duration::from_millis(1));
    say(&topology.launch(Workers::started_elsewhere()).map(drop).unwrap_err());
    texts
}

/// An error of the system.
fn refused() -> io::Error {
    io::Error::from_raw_os_error(13)
}

/// The quotations in a guide.
fn quotations(guide: &str) -> Vec<String> {
    let mut quotations = Vec::new();
    let (mut is_block, mut column) = (false, None);
    for line in guide.lines().map(str::trim) {
        let cells: Vec<_> = line.strip_prefix('|').unwrap_or_default().split('|').map(str::trim).collect();
        match line {
            "```error" => is_block = true,
            "```" => is_block = false,
            text if is_block => quotations.push(text.to_owned()),
            row if row.starts_with('|') => match column {
                None => column = Some(cells.iter().position(|cell| *cell == COLUMN)),
                Some(Some(column)) if !cells[column].starts_with("---") => quotations.push(code_in(cells[column])),
                Some(_) => {}
            },
            _ => column = None,
        }
    }
    quotations
}

/// The text of a cell that is all code, in single or double backticks.
fn code_in(cell: &str) -> String {
    let code = cell.strip_prefix("``").and_then(|cell| cell.strip_suffix("``"));
    let code = code.or_else(|| cell.strip_prefix('`').and_then(|cell| cell.strip_suffix('`')));
    code.unwrap_or_else(|| panic!("not in backticks: {cell}")).to_owned()
}

/// A quotation in which all that differs from run to run is the placeholder of [`is_like`].
fn pattern(quotation: &str) -> String {
    let quotation = quotation.replace("...", &ANYTHING.to_string());
    let is_of_word = |c: char| c.is_alphanumeric() || c == '_';
    let words = quotation.split_inclusive(|c| !is_of_word(c));
    words
        .map(|part| {
            let word = part.trim_end_matches(|c| !is_of_word(c));
            let is_placeholder = PLACEHOLDERS.contains(&word);
            if is_placeholder { part.replacen(word, &ANYTHING.to_string(), 1) } else { part.to_owned() }
        })
        .collect()
}

#[test]
fn every_text_of_an_error_that_a_guide_quotes_is_that_of_an_error() {
    let texts = texts_of_errors();
    let mut unquoted = texts.clone();
    for (path, guide) in guides() {
        for quotation in quotations(&guide) {
            let pattern = pattern(&quotation);
            let is_quoted = |text: &str| is_like(text, &pattern);
            assert!(
                texts.iter().any(|text| is_quoted(text)),
                "{}: no error has the text\n  {quotation}\nThe errors have the texts\n  {}",
                path.display(),
                texts.join("\n  ")
            );
            unquoted.retain(|text| !is_quoted(text));
        }
    }
    assert!(unquoted.is_empty(), "no guide quotes\n  {}", unquoted.join("\n  "));
}
