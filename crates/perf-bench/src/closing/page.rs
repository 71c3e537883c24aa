//! The page of figures: tables and pictures, made from a log, so that no figure is copied by hand.
//!
//! People write the page's prose. Between two marks for each label this module writes the tables.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::log::Figure;
use super::picture::{Curve, Picture, Scale};
use super::standing::{COLUMNS, PROCESSES, Row, Standing};
use super::{Entry, Whose};
use crate::probe::Label;
use crate::stats::Unit;

/// Why a page could not be made.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PageError {
    #[error("the page {} could not be {what}", path.display())]
    Os { path: PathBuf, what: &'static str, source: io::Error },
    #[error("the page {} has no lines `{}` and `{END}` after it", path.display(), begin(*label))]
    NoMarks { path: PathBuf, label: Label },
}

/// The mark before the part that is made for a label.
fn begin(label: Label) -> String {
    format!("<!-- figures: {label} -->")
}

/// The mark after it.
const END: &str = "<!-- end of figures -->";

/// The labels that the page has.
const LABELS: [Label; 2] = [Label::Near, Label::Far];

/// The table of waiting, which has two figures in each cell.
const WAIT: &str = "wait";

/// Writes the figures into the page and the pictures into the folder beside the log.
///
/// # Errors
/// See [`PageError`].
pub(crate) fn write(standing: &Standing<'_>, page: &Path, folder: &Path) -> Result<(), PageError> {
    let os = |path: &Path, what| {
        let path = path.to_owned();
        move |source| PageError::Os { path, what, source }
    };
    let mut text = fs::read_to_string(page).map_err(os(page, "read"))?;
    for label in LABELS {
        let (made, pictures) = made(standing, label, folder);
        text = between_marks(&text, label, &made).ok_or(PageError::NoMarks { path: page.to_owned(), label })?;
        for (name, svg) in pictures {
            let path = folder.join(name);
            fs::write(&path, svg).map_err(os(&path, "written"))?;
        }
    }
    fs::write(page, text).map_err(os(page, "written"))
}

/// The page with other text between the marks of a label. `None`: there are no such marks.
fn between_marks(page: &str, label: Label, made: &str) -> Option<String> {
    let begin = begin(label);
    let (before, rest) = page.split_once(&begin)?;
    let (_, after) = rest.split_once(END)?;
    Some(format!("{before}{begin}\n{made}{END}{after}"))
}

/// The text of the page for a label, and the pictures that it shows: their names and texts.
fn made(standing: &Standing<'_>, label: Label, folder: &Path) -> (String, Vec<(String, String)>) {
    let (mut page, mut pictures) = (String::new(), Vec::new());
    let Some(line_ns) = standing.figures.line_ns(label) else {
        return (format!("\nNothing was measured {label} yet.\n\n"), pictures);
    };
    let written = |value| Unit::Nanoseconds.written(value);
    let _ = writeln!(
        page,
        "\nCache-line round trip {} ({} - {}) over all measurements.\n\n{}",
        written(line_ns.median),
        written(line_ns.min),
        written(line_ns.max),
        runs(standing)
    );
    let (missing, all) = standing.missing(label, PROCESSES);
    if missing > 0 {
        let _ =
            writeln!(page, "{missing} of {all} figures are of fewer than {PROCESSES} processes, or not measured.\n");
    }
    let mut tables: Vec<&str> = Vec::new();
    for entry in standing.entries.iter().filter(|entry| !tables.contains(&entry.table.as_str())).collect::<Vec<_>>() {
        if !tables.contains(&entry.table.as_str()) {
            tables.push(&entry.table);
        }
    }
    for table in tables {
        let entries: Vec<_> = standing.of_table(table).collect();
        if entries.iter().all(|entry| standing.figures.of(&entry.case.name, label).is_none()) {
            continue;
        }
        let _ = writeln!(page, "### {}, {label}\n\n`perf-bench closing --only \"{table}:\"`\n", capital(table));
        page.push_str(&table_of(standing, &entries, label));
        for (picture, kind) in pictures_of(standing, table, &entries, label) {
            let Some(svg) = picture.svg() else { continue };
            let name = format!("{}{kind}-{label}.svg", table.replace(' ', "-"));
            let _ = writeln!(page, "![{}]({})\n", picture.title, folder.join(&name).display());
            pictures.push((name, svg));
        }
    }
    let mut standings = |title: &str, rows: Vec<Row>| {
        let _ = writeln!(page, "### {title}, {label}, worst first\n");
        page.push_str(&markdown(&COLUMNS.map(str::to_owned), rows.iter().map(Row::cells)));
        page.push('\n');
    };
    standings("Our best form over the best form of a peer", standing.best_rows(label));
    standings("Each of our forms over the best peer", standing.rows(label));
    (page, pictures)
}

/// A sentence about the machine and the runs of the figures.
fn runs(standing: &Standing<'_>) -> String {
    let runs = &standing.figures.runs;
    let machines: BTreeSet<_> = runs.iter().map(|run| run.machine.sentence()).collect();
    let builds: BTreeSet<_> = runs.iter().map(|run| run.build).collect();
    let windows: BTreeSet<_> = runs.iter().map(|run| format!("{} ms", run.window_ms)).collect();
    let day = |at_s: Option<u64>| at_s.map_or_else(String::new, day);
    let (first, last) = (day(runs.iter().map(|run| run.at_s).min()), day(runs.iter().map(|run| run.at_s).max()));
    let when = if first == last { first } else { format!("{first} to {last}") };
    format!(
        "{}. {} runs on {when} of {} build(s) of the program, {} a measurement.\n",
        machines.into_iter().collect::<Vec<_>>().join("; "),
        runs.len(),
        builds.len(),
        windows.into_iter().collect::<Vec<_>>().join(" or "),
    )
}

/// The day of this many seconds since 1970.
fn day(at_s: u64) -> String {
    let (mut days, mut year) = (at_s / 86_400, 1970);
    let days_of_year = |year: u64| {
        if year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400)) { 366 } else { 365 }
    };
    while days >= days_of_year(year) {
        days -= days_of_year(year);
        year += 1;
    }
    let february = days_of_year(year) - 337;
    let mut month = 1;
    for length in [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30] {
        if days < length {
            break;
        }
        days -= length;
        month += 1;
    }
    format!("{year}-{month:02}-{:02}", days + 1)
}

/// The columns or the subjects of entries, in their order, each once.
fn each_once<'e>(entries: &[&'e Entry], of: fn(&Entry) -> &String) -> Vec<&'e str> {
    let mut all: Vec<&str> = Vec::new();
    for entry in entries {
        if !all.contains(&of(entry).as_str()) {
            all.push(of(entry));
        }
    }
    all
}

/// A table: one row per subject, ours first, and one column per size. The best of each size is bold.
fn table_of(standing: &Standing<'_>, entries: &[&Entry], label: Label) -> String {
    let columns = each_once(entries, |entry| &entry.column);
    let mut subjects = Vec::new();
    for whose in [Whose::Limit, Whose::Ours, Whose::Peers] {
        let of: Vec<_> = entries.iter().copied().filter(|entry| entry.whose == whose).collect();
        subjects.extend(each_once(&of, |entry| &entry.subject));
    }
    let figure = |column: &str, subject: &str| {
        let entry = entries.iter().find(|entry| entry.column == column && entry.subject == subject)?;
        Some((*entry, standing.figures.of(&entry.case.name, label)?))
    };
    let best: Vec<_> = columns
        .iter()
        .map(|column| {
            let in_column = subjects.iter().filter_map(|subject| figure(column, subject));
            let rivals = in_column.filter(|(entry, _)| entry.whose != Whose::Limit).map(|(_, figure)| figure);
            rivals.min_by(|one, other| {
                let order = one.summary.median.total_cmp(&other.summary.median);
                if one.unit.is_lower_better() { order } else { order.reverse() }
            })
        })
        .collect();
    let rows = subjects.iter().map(|subject| {
        let cells = columns.iter().zip(&best).map(|(column, best)| match figure(column, subject) {
            None => "-".to_owned(),
            Some((entry, figure)) if entry.table == WAIT => wait_cell(figure),
            Some((_, figure)) if best.is_some_and(|best| std::ptr::eq(best, figure)) => format!("**{}**", cell(figure)),
            Some((_, figure)) => cell(figure),
        });
        std::iter::once((*subject).to_owned()).chain(cells).collect::<Vec<_>>()
    });
    let head: Vec<_> = std::iter::once("").chain(columns.iter().copied()).map(str::to_owned).collect();
    markdown(&head, rows)
}

/// The median, and the smallest and largest of all processes.
fn cell(figure: &Figure) -> String {
    let [median, min, max] =
        [figure.summary.median, figure.summary.min, figure.summary.max].map(|value| figure.unit.written(value));
    let without_unit = |text: &str| text.split(' ').next().unwrap_or_default().to_owned();
    let is_same_unit = |text: &str| text.split(' ').nth(1) == median.split(' ').nth(1);
    let min = if is_same_unit(&min) { without_unit(&min) } else { min };
    let max = if is_same_unit(&max) { without_unit(&max) } else { max };
    format!("{median} ({min}-{max})")
}

/// How late a consumer is, in the median and at its p90, and what it uses of its cpu.
fn wait_cell(figure: &Figure) -> String {
    let written = |value| figure.unit.written(value);
    let p90 = figure.p90_ns.map_or_else(String::new, |p90| format!(", p90 {}", written(p90)));
    format!("{}{p90}; {}", written(figure.summary.median), Unit::Share.written(figure.cpu_share))
}

/// The pictures of a table whose columns have an order, and the suffix of each one's name: how ours compare with the
/// best peer at each size; and for waiting, how late a consumer is and what it uses of its cpu.
fn pictures_of(standing: &Standing<'_>, table: &str, entries: &[&Entry], label: Label) -> Vec<(Picture, &'static str)> {
    let columns = each_once(entries, |entry| &entry.column);
    let subjects = each_once(entries, |entry| &entry.subject);
    let picture = |title: String, scale, value: &dyn Fn(&str, &str) -> Option<f64>| {
        let curve = |subject: &&str| {
            let is_of = |entry: &&&Entry| entry.subject == **subject;
            let is_ours = entries.iter().find(is_of).is_some_and(|entry| entry.whose == Whose::Ours);
            let values = columns.iter().map(|column| value(column, subject)).collect();
            Curve { name: (*subject).to_owned(), values, is_ours }
        };
        let curves = subjects.iter().map(curve).filter(|curve| curve.values.iter().flatten().count() > 1);
        let places = columns.iter().copied().map(str::to_owned).collect();
        Picture { title: format!("{title}, {label}"), scale, places, curves: curves.collect() }
    };
    let figure = |column: &str, subject: &str| {
        let entry = entries.iter().find(|entry| entry.column == column && entry.subject == subject)?;
        standing.figures.of(&entry.case.name, label)
    };
    match table {
        WAIT => {
            let late = |column: &str, subject: &str| Some(figure(column, subject)?.summary.median);
            let used = |column: &str, subject: &str| Some(figure(column, subject)?.cpu_share);
            let (time, share) = (Scale::Of(Unit::Nanoseconds), Scale::Of(Unit::Share));
            let late = picture("how late a consumer is, by the time between events".to_owned(), time, &late);
            vec![(late, ""), (picture("what a consumer uses of its cpu".to_owned(), share, &used), "-cpu")]
        }
        "round trip" | "one way" => {
            let rows: Vec<_> =
                standing.rows(label).into_iter().filter(|row| row.table == table && row.is_to_peer).collect();
            let now = |column: &str, subject: &str| {
                let is_drawn = !subject.contains(DEFAULT_WAIT) && !subject.contains(ONE_BY_ONE);
                let row = rows.iter().find(|row| row.column == column && row.subject == subject)?;
                is_drawn.then_some(row.now)
            };
            let better = if table == "one way" { "more" } else { "less" };
            vec![(picture(format!("{table}: ours over the best peer ({better} is better)"), Scale::Times, &now), "")]
        }
        _ => Vec::new(),
    }
}

/// Left out of pictures: its curve would be nearly the same as another.
const DEFAULT_WAIT: &str = "default wait";
const ONE_BY_ONE: &str = "one by one";

/// A table in markdown.
fn markdown<R: AsRef<[String]>>(head: &[String], rows: impl Iterator<Item = R>) -> String {
    let line = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
    let rule = format!("|{}\n", "---|".repeat(head.len()));
    let rows = rows.map(|row| line(row.as_ref())).collect::<String>();
    format!("{}{rule}{rows}\n", line(head))
}

fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

#[cfg(test)]
mod tests {
    use super::super::log::tests::figures;
    use super::super::targets::Targets;
    use super::*;
    use crate::cases::limits::cache_line_case;

    fn entries() -> [Entry; 5] {
        let entry = |column: &str, subject, whose| Entry::new("round trip", column, subject, whose, cache_line_case());
        [
            entry("64 B", "records", Whose::Ours),
            entry("64 B", "Aeron", Whose::Peers),
            entry("1 KiB", "records", Whose::Ours),
            entry("1 KiB", "Aeron", Whose::Peers),
            entry("64 B", "cache line", Whose::Limit),
        ]
    }

    #[test]
    fn the_page_keeps_its_words_and_gets_the_figures_of_each_label() {
        let folder = std::env::temp_dir().join(format!("perf-bench-page-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let page = folder.join("page.md");
        let marks = |label| format!("{}\nold figures\n{END}\n", begin(label));
        fs::write(&page, format!("words\n{}between\n{}after\n", marks(Label::Near), marks(Label::Far))).unwrap();
        let near = |case, value| (case, Label::Near, value, Unit::Nanoseconds);
        let figures = figures(&[
            near("round trip: 64 B: records", 138.0),
            near("round trip: 64 B: records", 141.0),
            near("round trip: 64 B: records", 150.0),
            near("round trip: 64 B: Aeron", 117.0),
            near("round trip: 1 KiB: records", 1226.0),
            near("round trip: 1 KiB: Aeron", 1500.0),
        ]);
        let (entries, targets) = (entries(), Targets::known().unwrap());
        let standing = Standing { entries: &entries, figures: &figures, targets: &targets };
        for _ in 0..2 {
            write(&standing, &page, &folder).unwrap();
        }
        let text = fs::read_to_string(&page).unwrap();
        for found in ["words\n", "between\n", "after\n", "Nothing was measured far yet", "### Round trip, near"] {
            assert_eq!(text.matches(found).count(), 1, "{found} in\n{text}");
        }
        assert!(!text.contains("old figures"), "{text}");
        assert!(text.contains("| records | 141 ns (138-150) | **1.23 µs (1.23-1.23)** |\n"), "{text}");
        assert!(text.contains("| Aeron | **117 ns (117-117)** | 1.50 µs (1.50-1.50) |\n"), "{text}");
        assert!(text.contains("| 1.21 | 1.56 | <= 1: missed | round trip | 64 B | records |"), "{text}");
        assert!(folder.join("round-trip-near.svg").exists());
        fs::write(&page, "no marks\n").unwrap();
        let error = write(&standing, &page, &folder).unwrap_err();
        assert!(error.to_string().contains("has no lines `<!-- figures: near -->`"), "{error}");
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn a_day_is_the_calendars() {
        for (at_s, written) in [(0, "1970-01-01"), (951_782_400, "2000-02-29"), (1_796_083_200, "2026-12-01")] {
            assert_eq!(day(at_s), written);
        }
    }
}
